//! To the background without `fork`.
//!
//! The command that the administrator types starts itself a second time in a session of its
//! own, with the same arguments, and waits until that process says that it is ready. So
//! `start` returns when the service is there, errors of the start appear on the caller's
//! terminal, and the process list shows the arguments as they were typed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the process that started this one in the background.
const STARTED_BY: &str = "LVS_STARTED_BY";
const READY: &str = "ready";

/// Which half of a start this process is.
///
/// ```no_run
/// use lvs::daemon::detach::{Half, half, launch};
///
/// # fn example() -> std::io::Result<()> {
/// match half()? {
///     Half::Foreground => println!("{:?}", launch()?),
///     Half::Background(readiness) => readiness.ready()?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Half {
    /// The daemon was started by [`launch`].
    Background(Readiness),
    /// Somebody typed the command.
    Foreground,
}

/// The line to the command that waits.
///
/// ```
/// use lvs::daemon::detach::Readiness;
///
/// fn serve(readiness: Readiness) -> std::io::Result<()> {
///     let file = readiness.started_in().join("table.toml"); // as it was typed
///     println!("{}", file.display());
///     readiness.ready()
/// }
/// ```
#[derive(Debug)]
pub struct Readiness {
    started_in: PathBuf,
}

/// Which half this process is. The variable is inherited by children of the daemon too, and means
/// nothing there: their parent is another.
///
/// # Errors
/// If the kernel refuses a session of its own.
pub fn half() -> io::Result<Half> {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if parent.is_none() || std::env::var(STARTED_BY).ok() != parent {
        return Ok(Half::Foreground);
    }
    // Fails only where this is a session leader already.
    let _ = rustix::process::setsid();
    let started_in = std::env::current_dir()?;
    std::env::set_current_dir("/")?;
    Ok(Half::Background(Readiness { started_in }))
}

impl Readiness {
    /// The directory in which the command was typed: relative names among its arguments begin there.
    #[must_use]
    pub fn started_in(&self) -> &Path {
        &self.started_in
    }

    /// Says that the service is there; from now on nothing is printed any more.
    ///
    /// # Errors
    /// If /dev/null cannot be opened.
    pub fn ready(self) -> io::Result<()> {
        // The waiting command may have been interrupted: then nobody wants to know.
        let _ = writeln!(io::stdout(), "{READY}");
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(())
    }
}

/// How a start in the background ended.
///
/// ```no_run
/// use lvs::daemon::detach::{Launched, launch};
///
/// match launch()? {
///     Launched::Ready => println!("started"),
///     Launched::Ended(status) => std::process::exit(status),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The daemon is ready.
    Ready,
    /// It ended before, with this status; its messages are on the caller's standard error.
    Ended(i32),
}

/// Starts this program again in the background with the same arguments.
///
/// # Errors
/// If the program cannot be started.
pub fn launch() -> io::Result<Launched> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "daemon".into());
    let mut child = Command::new(std::env::current_exe()?)
        .arg0(name)
        .args(arguments)
        .env(STARTED_BY, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line == READY {
            return Ok(Launched::Ready);
        }
        println!("{line}");
    }
    let status = child.wait()?;
    Ok(Launched::Ended(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
}
