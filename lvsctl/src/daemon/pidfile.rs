//! The pid file, and whether the daemon it names runs.
//!
//! A running daemon holds a lock on its pid file, so "runs" does not rest on a number that
//! another process may have been given since. A pid file that is not locked may still be
//! that of the program we replace: then the process it names is looked at.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// What a pid file says.
///
/// ```
/// use std::path::Path;
/// use lvs::daemon::pidfile::{Running, probe};
///
/// let running = probe(Path::new("/nonexistent/ldirectord.pid"), "ldirectord")?;
/// assert_eq!(running, Running::No);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// The daemon runs.
    Yes {
        /// Its process.
        pid: u32,
    },
    /// It does not, but its pid file is there.
    Stale {
        /// The process it had; `None` if the file does not hold a number.
        pid: Option<u32>,
    },
    /// There is no pid file.
    No,
}

/// The pid file of this process, locked; removed when dropped.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::daemon::pidfile::PidFile;
///
/// let held = PidFile::claim(Path::new("/run/lvs/ldirectord.pid"), "ldirectord")?;
/// // ... as long as the daemon runs
/// drop(held);
/// # Ok::<(), lvs::daemon::pidfile::ClaimError>(())
/// ```
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    // Held for its lock.
    file: File,
}

/// The pid file could not be taken.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::daemon::pidfile::{ClaimError, PidFile};
///
/// match PidFile::claim(Path::new("/run/lvs/ldirectord.pid"), "ldirectord") {
///     Ok(_) => println!("it did not run"),
///     Err(ClaimError::Running { pid, .. }) => println!("it runs as process {pid}"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The daemon already runs.
    #[error("already running with pid {pid} ({})", path.display())]
    Running {
        /// Its process.
        pid: u32,
        /// The pid file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The pid file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl PidFile {
    /// Writes this process's pid, decimal with a newline, and locks the file. Its directory is created where
    /// missing.
    ///
    /// # Errors
    /// If the daemon already runs or the file cannot be written. The file of a running daemon
    /// is not touched.
    pub fn claim(path: &Path, program: &str) -> Result<Self, ClaimError> {
        let fail = |source| ClaimError::Write { path: path.to_owned(), source };
        if let Running::Yes { pid } = probe(path, program).map_err(fail)? {
            return Err(ClaimError::Running { pid, path: path.to_owned() });
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(fail)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)
            .map_err(fail)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Another start won the race between the look and the lock.
            let pid = read_pid(&mut file).unwrap_or(0);
            return Err(ClaimError::Running { pid, path: path.to_owned() });
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(fail)?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Gone already, or not ours to remove since we became another user: then it is left
        // empty, which says the same. The lock goes with the descriptor.
        if fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

/// Whether the daemon of this pid file runs.
///
/// # Errors
/// If the file exists and cannot be read.
pub fn probe(path: &Path, program: &str) -> io::Result<Running> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Running::No),
        Err(e) => return Err(e),
    };
    let empty = file.metadata()?.len() == 0;
    let pid = read_pid(&mut file);
    let locked = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
    Ok(match pid {
        Some(pid) if locked || runs_program(pid, program) => Running::Yes { pid },
        // Left by a daemon that ended in good order and could not remove it.
        None if empty && !locked => Running::No,
        pid => Running::Stale { pid },
    })
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 0)
}

/// Whether a process was started as `program`: its name is the last component of one of the first
/// two words of the command line (the second for an interpreter's script).
fn runs_program(pid: u32, program: &str) -> bool {
    let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    command
        .split(|&b| b == 0)
        .take(2)
        .any(|word| word.rsplit(|&b| b == b'/').next().is_some_and(|name| name == program.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_claimed_pid_file_names_this_process_and_goes_with_it() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("ldirectord.test.pid");
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::No);
        let claimed = PidFile::claim(&path, "ldirectord").expect("claimed");
        let me = std::process::id();
        assert_eq!(fs::read_to_string(&path).expect("readable"), format!("{me}\n"));
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::Yes { pid: me });
        let second = PidFile::claim(&path, "ldirectord");
        assert!(matches!(second, Err(ClaimError::Running { pid, .. }) if pid == me));
        drop(claimed);
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::No);
    }

    #[test]
    fn a_pid_that_now_belongs_to_another_program_is_stale() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("ldirectord.test.pid");
        let me = std::process::id();
        fs::write(&path, format!("{me}\n")).expect("written");
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::Stale { pid: Some(me) });
        fs::write(&path, "").expect("written");
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::No, "left empty by a daemon that ended");
        fs::write(&path, "garbage\n").expect("written");
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::Stale { pid: None });
        let claimed = PidFile::claim(&path, "ldirectord").expect("a stale file is taken over");
        assert_eq!(probe(&path, "ldirectord").expect("readable"), Running::Yes { pid: me });
        drop(claimed);
    }
}
