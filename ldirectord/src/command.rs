//! Other programs: external checks and commands of the file (spec/ldirectord.md 8.3).
//!
//! A program gets an environment that does not depend on who started the daemon, no standard
//! input unless something is to be said to it, a process group of its own, and a time. What it
//! prints is read up to a bound and thrown away beyond it. When its time has passed, its whole
//! group is asked to end, and killed a second later.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// What is kept of a program's output, bytes; the same of its errors.
pub const MAX_OUTPUT: usize = 4096;

/// From the request to end until a group is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long a program's output is read after it has ended: something it left behind may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Where programs are found. The daemon's own depends on how it was started.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    input: Option<Vec<u8>>,
    timeout: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself, or by somebody's signal.
    Status(ExitStatus),
    /// Its time has passed.
    TimedOut,
    /// It could not be started.
    NotStarted(io::Error),
}

/// What came of a program.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// The beginning of its standard output.
    pub output: String,
    /// The beginning of its standard error.
    pub errors: String,
}

impl Outcome {
    /// It ended with exit status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.ended, Ended::Status(status) if status.success())
    }

    /// The first line that it said about its trouble, if it said one.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        [&self.errors, &self.output].into_iter().find_map(|text| text.lines().find(|line| !line.trim().is_empty()))
    }
}

/// `exit status 7`, `killed by signal 9`, `did not end in time`.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit status {code}"),
                (None, Some(signal)) => write!(f, "killed by signal {signal}"),
                (None, None) => f.write_str("ended in an unknown way"),
            },
            Self::TimedOut => f.write_str("did not end in time"),
            Self::NotStarted(error) => write!(f, "cannot be run ({})", crate::check::reason(error)),
        }
    }
}

impl Command {
    /// A program and its arguments; nothing in them is interpreted.
    pub fn new<A: Into<OsString>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
        timeout: Duration,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.as_ref().to_owned(), arguments, input: None, timeout }
    }

    /// A line for the shell, with words behind it that the shell does not interpret.
    #[must_use]
    pub fn shell(line: &str, words: &[&str], timeout: Duration) -> Self {
        let script = format!("{line} \"$@\"");
        let arguments = ["-c", &script, "ldirectord"].into_iter().chain(words.iter().copied());
        Self::new("/bin/sh", arguments, timeout)
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn reading(self, input: Vec<u8>) -> Self {
        Self { input: Some(input), ..self }
    }

    /// Runs it to its end. Dropped before that, the program and its group are killed.
    pub async fn run(&self) -> Outcome {
        self.attend(self.start()).await
    }

    /// Starts it at once, with the privileges of this moment; what is returned runs it to its end, as [`Command::run`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn begin(self) -> impl Future<Output = Outcome> + Send {
        let started = self.start();
        async move { self.attend(started).await }
    }

    async fn attend(&self, started: io::Result<Group>) -> Outcome {
        let mut group = match started {
            Ok(group) => group,
            Err(error) => {
                return Outcome { ended: Ended::NotStarted(error), output: String::new(), errors: String::new() };
            }
        };
        let (input, stdin) = (self.input.clone(), group.child.stdin.take());
        let mut output = Kept::of(group.child.stdout.take());
        let mut errors = Kept::of(group.child.stderr.take());
        let ended = timeout(self.timeout, async {
            let said = async {
                if let (Some(input), Some(mut stdin)) = (input, stdin) {
                    // It may end without having read everything; that is its business.
                    let _ = stdin.write_all(&input).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                ended = group.child.wait() => ended,
                () = async { tokio::join!(said, output.read(), errors.read()); } => unreachable!("nothing ends that waits for ever"),
            }
        });
        let ended = match ended.await {
            Ok(Ok(status)) => {
                group.leader = None;
                let _ = timeout(LAST_WORDS, async { tokio::join!(output.read(), errors.read()) }).await;
                Ended::Status(status)
            }
            Ok(Err(error)) => Ended::NotStarted(error),
            Err(_) => {
                tokio::spawn(group.end());
                Ended::TimedOut
            }
        };
        Outcome { ended, output: output.text(), errors: errors.text() }
    }

    fn start(&self) -> io::Result<Group> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("HOSTNAME", lvs::daemon::node_name())
            .current_dir("/")
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, leader })
    }
}

/// The beginning of what a program prints.
struct Kept<R> {
    from: Option<R>,
    kept: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Kept<R> {
    fn of(from: Option<R>) -> Self {
        Self { from, kept: Vec::new() }
    }

    /// Reads to the end. Cancel-safe.
    async fn read(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(from) = &mut self.from {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => self.from = None,
                Ok(n) => {
                    let room = MAX_OUTPUT - self.kept.len();
                    self.kept.extend_from_slice(&buffer[..n.min(room)]);
                }
            }
        }
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// A child and what it started, killed if it is let go while it runs.
struct Group {
    child: Child,
    /// `None` once the child has been waited for: its number may be somebody else's then.
    leader: Option<Pid>,
}

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It may have ended by itself just now.
            _ = kill_process_group(leader, signal);
        }
    }

    /// Asks the group to end, and kills it a little later.
    async fn end(mut self) {
        self.signal(Signal::TERM);
        // Not waited for before the kill: until then nobody else is given the group's number.
        sleep(GRACE).await;
        self.signal(Signal::KILL);
        _ = self.child.wait().await;
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn run(command: &Command) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(command.run())
    }

    fn sh(script: &str, timeout: Duration) -> Outcome {
        run(&Command::new("/bin/sh", ["-c", script], timeout))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_status_tells_how_it_ended() {
        assert!(sh("exit 0", LONG).is_success());
        assert_eq!(sh("exit 7", LONG).ended.to_string(), "exit status 7");
        assert_eq!(sh("kill -9 $$", LONG).ended.to_string(), "killed by signal 9");
        let missing = run(&Command::new("/no/such/program", [""; 0], LONG));
        assert_eq!(missing.ended.to_string(), "cannot be run (No such file or directory)");
    }

    #[test]
    fn the_environment_is_the_same_whoever_started_the_daemon() {
        let said = sh("env | sort | cut -d= -f1 | grep -v -e ^PWD -e ^SHLVL -e ^_ -e ^OLDPWD; pwd; cat", LONG);
        assert_eq!(said.output, "HOSTNAME\nPATH\n/\n");
    }

    #[test]
    fn output_is_kept_up_to_a_bound_and_a_talker_is_not_held_up() {
        let said = sh("yes | head -c 1000000; echo trouble >&2; exit 3", LONG);
        assert_eq!((said.output.len(), said.complaint()), (MAX_OUTPUT, Some("trouble")));
        assert_eq!(said.ended.to_string(), "exit status 3");
    }

    #[test]
    fn what_it_left_behind_does_not_hold_up_its_end() {
        let begin = Instant::now();
        let said = sh("sleep 30 & echo done", LONG);
        assert!(said.is_success() && begin.elapsed() < LONG / 2);
        assert_eq!(said.output, "done\n");
    }

    #[test]
    fn when_the_time_has_passed_the_whole_group_goes_whatever_it_ignores() {
        let directory = tempfile::tempdir().expect("a directory");
        let pids = directory.path().join("pids");
        let script = format!("trap '' TERM; sleep 60 & echo $$ $! > {}; wait; sleep 60", pids.display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let begin = Instant::now();
            let said = Command::new("/bin/sh", ["-c", &script], Duration::from_millis(500)).run().await;
            assert_eq!(said.ended.to_string(), "did not end in time");
            assert!(begin.elapsed() < Duration::from_secs(15), "the group's end is not waited for");
            let written = std::fs::read_to_string(&pids).expect("written");
            // A zombie that nobody waits for in a container has no command line.
            let lives = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
            for _ in 0..200 {
                if !written.split_whitespace().any(lives) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
            panic!("{written} are still there");
        });
    }

    #[test]
    fn words_behind_a_shell_line_are_taken_literally() {
        let said = run(&Command::shell("printf '%s;' a", &["b c", "$HOME", "*"], LONG));
        assert_eq!(said.output, "a;b c;$HOME;*;");
        let said = run(&Command::new("/bin/cat", [""; 0], LONG).reading(b"{}".to_vec()));
        assert_eq!(said.output, "{}");
    }
}
