//! One machine of a cluster: namespaces of its own, a few directories of its own.
//!
//! It has its own network, host name, process numbers, /dev/log, and [`DIRECTORIES`], which lie as ordinary
//! directories where the story can read and write them. Of everything else it sees what the lab has. What is started
//! in it ends with it.

use crate::batch::Batch;
use crate::enter;
use crate::error::{Attempt, Error, Result};
use crate::inside;
use crate::plan::Machine;
use crate::process::{Process, finish};
use crate::wait::wait_for;
use rustix::process::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Directories of the machine and what they are called below its directory in the story's. All but /run survive a
/// power failure, as a disk would.
pub const DIRECTORIES: [(&str, &str); 4] =
    [("/etc/ha.d", "ha.d"), ("/run", "run"), ("/var/lib/heartbeat", "heartbeat"), ("/var/log", "log")];

/// How long a command may take that a story waits for.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// A machine; switched off or running.
#[derive(Debug)]
pub struct Node {
    machine: Machine,
    directory: PathBuf,
    /// The machine's first process.
    holder: Mutex<Option<Child>>,
    /// Its number as we count; 0 while the machine is switched off.
    pid: Arc<AtomicI32>,
    batch: Mutex<Option<Batch>>,
    outputs: AtomicU32,
}

impl Node {
    /// A machine that is switched off, with empty directories below `directory`.
    pub(crate) fn new(machine: Machine, directory: PathBuf) -> Result<Self> {
        for (_, own) in DIRECTORIES {
            fs::create_dir_all(directory.join(own)).attempt(|| format!("make a directory for {}", machine.name))?;
        }
        // Daemons without privileges must be able to reach their sockets and logs.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))
            .attempt(|| format!("open the directory of {}", machine.name))?;
        let (holder, pid, batch, outputs) = Default::default();
        Ok(Self { machine, directory, holder, pid, batch, outputs })
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// What the plan says of it.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whether it is switched on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.pid.load(Ordering::SeqCst) != 0
    }

    /// Where it publishes its first process, for watchers that outlive a power failure.
    pub(crate) fn first_process(&self) -> Arc<AtomicI32> {
        Arc::clone(&self.pid)
    }

    /// The machine's first process, by our numbers: all others come from it.
    ///
    /// # Errors
    /// [`Error::Off`].
    pub fn first(&self) -> Result<Pid> {
        Pid::from_raw(self.pid.load(Ordering::SeqCst)).ok_or_else(|| Error::Off { node: self.name().to_owned() })
    }

    /// Where this machine's view of the file system begins for us; nothing while it is switched off.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        self.first().ok().map(|first| PathBuf::from(format!("/proc/{}/root", first.as_raw_nonzero())))
    }

    /// What a second network namespace needs to be plugged in here, in the words of `ip link ... netns`.
    pub(crate) fn network(&self) -> Result<String> {
        self.first().map(|first| first.as_raw_nonzero().to_string())
    }

    /// Starts its first process, without waiting; `hosts` becomes its /etc/hosts.
    pub(crate) fn boot(&self, hosts: &str) -> Result<()> {
        let run = self.directory.join("run");
        let _ = fs::remove_dir_all(&run);
        fs::create_dir_all(run.join("lock")).attempt(|| format!("empty /run of {}", self.name()))?;
        fs::write(self.directory.join("hosts"), hosts).attempt(|| format!("write /etc/hosts of {}", self.name()))?;
        let mut command = Command::new(inside::program()?);
        command.args(["hold", self.name()]).arg(&self.directory);
        command.arg(if self.machine.forwards { "forwards" } else { "ends" });
        let errors = File::create(self.directory.join("errors")).attempt(|| "make a file for errors".into())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        *self.lock() = Some(enter::spawn_first(command)?);
        Ok(())
    }

    /// Waits until its first process has made its surroundings.
    pub(crate) fn await_boot(&self) -> Result<()> {
        let mut holder = self.lock();
        let child = holder.as_mut().ok_or_else(|| Error::Off { node: self.name().to_owned() })?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).attempt(|| format!("hear from {}", self.name()))?;
        }
        if line != "ready\n" {
            let why = fs::read_to_string(self.directory.join("errors")).unwrap_or_default();
            return Err(Error::Senseless(format!("the machine {} did not start: {why}", self.name())));
        }
        self.pid.store(Pid::from_child(child).as_raw_nonzero().get(), Ordering::SeqCst);
        Ok(())
    }

    /// Kills everything in it at once.
    pub(crate) fn kill(&self) {
        self.pid.store(0, Ordering::SeqCst);
        // It would keep the network of a dead machine alive.
        *self.batch() = None;
        if let Some(mut first) = self.lock().take() {
            // With it the kernel kills all the others.
            drop(first.kill());
            drop(first.wait());
        }
    }

    /// Starts a command in this machine. For what [`Node::run`] and [`Node::start`] cannot do: with other pipes, another
    /// environment. Whoever calls this must wait for the child, or the machine's end takes until then.
    ///
    /// # Errors
    /// [`Error::Off`], or if it cannot be started.
    pub fn spawn(&self, command: Command) -> Result<Child> {
        enter::spawn(self.first()?, command)
    }

    /// Runs a command in this machine to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    /// [`Error::Command`] if it does not end with status 0.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        let (status, output) = self.try_run(command)?;
        if status == 0 {
            return Ok(output);
        }
        let status = format!("status {status}");
        Err(Error::Command { node: self.name().to_owned(), command: command.join(" "), status, output })
    }

    /// Runs a command in this machine to its end and returns its status (128 + signal for a killed one) and what it
    /// wrote; if the status is not 0, standard error as well.
    ///
    /// # Errors
    /// If it cannot be started, or [`Error::Late`] if it takes more than a minute.
    pub fn try_run(&self, command: &[&str]) -> Result<(i32, String)> {
        let [program, arguments @ ..] = command else {
            return Err(Error::Senseless("an empty command".into()));
        };
        let mut started = Command::new(program);
        started.args(arguments);
        finish(self.name(), self.first()?, started, self.output_file(program), COMMAND_LIMIT)
    }

    /// Starts a program in this machine that stays; its output goes to a file. `name` is for people.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, name: &str, command: &[&str]) -> Result<Process> {
        let [program, arguments @ ..] = command else {
            return Err(Error::Senseless("an empty command".into()));
        };
        let mut started = Command::new(program);
        started.args(arguments);
        Process::start(self.name(), self.first()?, name, started, self.output_file(name))
    }

    fn output_file(&self, name: &str) -> PathBuf {
        let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        self.directory.join(format!("{name}.{}.out", self.outputs.fetch_add(1, Ordering::Relaxed)))
    }

    /// Carries out lines of `ip` (`"address add 192.0.2.1/32 dev eth0\n"`), none of which prints anything, in this
    /// machine's network. Much faster than starting `ip`.
    ///
    /// # Errors
    /// [`Error::Command`]; the lines before the one that failed have been carried out.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut kept = self.batch();
        let mut batch = match kept.take() {
            Some(batch) => batch,
            None => Batch::start(self.name(), self.first()?)?,
        };
        batch.run(lines)?;
        *kept = Some(batch);
        Ok(())
    }

    /// The same for lines of `tc`, which is started for it.
    ///
    /// # Errors
    /// [`Error::Command`]; the lines before the one that failed have been carried out.
    pub fn tc(&self, lines: &str) -> Result<()> {
        self.write("/run/tc", lines)?;
        self.run(&["tc", "-batch", "/run/tc"]).map(drop)
    }

    fn batch(&self) -> MutexGuard<'_, Option<Batch>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something on a thread of its own that is in this machine's network: sockets it opens are the machine's.
    /// Everything else is the story's. If it panics, so does the caller.
    ///
    /// # Errors
    /// [`Error::Off`].
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        enter::in_network(self.first()?, work).attempt(|| format!("enter the network of {}", self.name()))
    }

    /// Where a file of one of the machine's own [`DIRECTORIES`] lies for the story.
    ///
    /// # Errors
    /// [`Error::Senseless`] for any other file, which the machine shares with everybody.
    pub fn path(&self, file: &str) -> Result<PathBuf> {
        let file = Path::new(file);
        DIRECTORIES
            .iter()
            .find_map(|(place, own)| Some(self.directory.join(own).join(file.strip_prefix(place).ok()?)))
            .ok_or_else(|| Error::Senseless(format!("{} has no {} of its own", self.name(), file.display())))
    }

    /// Writes a file of the machine's own, with mode 0644.
    ///
    /// # Errors
    /// See [`Node::path`].
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        self.write_with_mode(file, text, 0o644)
    }

    /// Writes a file of the machine's own with these permissions: authkeys wants 0600, a script 0755.
    ///
    /// # Errors
    /// See [`Node::path`].
    pub fn write_with_mode(&self, file: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.path(file)?;
        let what = || format!("write {file} of {}", self.name());
        fs::create_dir_all(path.parent().unwrap_or(&path)).attempt(what)?;
        fs::write(&path, text).attempt(what)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).attempt(what)
    }

    /// What a file of the machine's own says; nothing if it is not there.
    ///
    /// # Errors
    /// See [`Node::path`].
    pub fn read(&self, file: &str) -> Result<String> {
        match fs::read(self.path(file)?) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(Error::Io { what: format!("read {file} of {}", self.name()), source }),
        }
    }

    /// Waits for a line in a file of the machine's own that has `text` in it, and returns the line.
    ///
    /// # Errors
    /// [`Error::Late`], with the end of the file.
    pub fn await_line(&self, file: &str, text: &str, limit: Duration) -> Result<String> {
        wait_for(&format!("\"{text}\" in {file} of {}", self.name()), limit, || {
            let all = self.read(file).map_err(|error| lvs::diag::chain(&error))?;
            let found = all.lines().find(|line| line.contains(text)).map(str::to_owned);
            let end: Vec<&str> = all.lines().rev().take(10).collect();
            found.ok_or_else(|| format!("in the end:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n")))
        })
    }

    /// Waits until something listens on a TCP port of this machine.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn await_listener(&self, port: u16, limit: Duration) -> Result<()> {
        wait_for(&format!("a listener on port {port} of {}", self.name()), limit, || {
            let first = self.first().map_err(|error| error.to_string())?.as_raw_nonzero();
            let listens = ["tcp", "tcp6"].iter().any(|table| {
                let table = fs::read_to_string(format!("/proc/{first}/net/{table}")).unwrap_or_default();
                table.lines().skip(1).any(|line| listens_on(line, port))
            });
            if listens { Ok(()) } else { Err(String::new()) }
        })
    }

    /// The machine's processes that run the program `name`, by our numbers; ready for [`crate::kill`].
    ///
    /// # Errors
    /// [`Error::Off`].
    pub fn processes(&self, name: &str) -> Result<Vec<Pid>> {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = space(&self.first()?.as_raw_nonzero().to_string());
        let entries = fs::read_dir("/proc").attempt(|| "read /proc".into())?;
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(numbers
            .filter(|pid| own.is_some() && space(pid) == own && program_of(pid).as_deref() == Some(name))
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The file name of the program a process runs; nothing for one that is no more.
fn program_of(pid: &str) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = words.split(|&byte| byte == 0).next()?;
    Some(Path::new(std::str::from_utf8(first).ok()?).file_name()?.to_str()?.to_owned())
}

/// Whether a line of /proc/net/tcp is of a socket that listens (state 0A) on `port`.
fn listens_on(line: &str, port: u16) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next().and_then(|local| u16::from_str_radix(local.rsplit(':').next()?, 16).ok());
    local == Some(port) && fields.nth(1) == Some("0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_on_the_port_counts() {
        let listening = "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1";
        assert!(listens_on(listening, 80));
        assert!(!listens_on(listening, 81));
        assert!(!listens_on(&listening.replace(" 0A ", " 01 "), 80));
    }
}
