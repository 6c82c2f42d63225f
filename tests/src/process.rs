//! Programs a story has started.

use crate::enter;
use crate::error::{Attempt, Error, Result};
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A program that runs in a machine. Killed when this value goes.
#[derive(Debug)]
pub struct Process {
    node: String,
    name: String,
    pid: Pid,
    output: PathBuf,
    ended: Arc<OnceLock<ExitStatus>>,
    /// Collects the program when it ends. That must not wait for the story: as long as one dead process of a machine has
    /// not been collected the kernel does not let its first process go.
    collector: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` in the machine `node` with this first process, both its streams going to the file `output`.
    pub(crate) fn start(node: &str, first: Pid, name: &str, mut command: Command, output: PathBuf) -> Result<Self> {
        let file = File::create(&output).attempt(|| format!("make {}", output.display()))?;
        command.stdin(Stdio::null()).stderr(file.try_clone().attempt(|| "share an output file".into())?).stdout(file);
        Self::spawn(node, first, name, command, output)
    }

    fn spawn(node: &str, first: Pid, name: &str, command: Command, output: PathBuf) -> Result<Self> {
        let mut child = enter::spawn(first, command)?;
        let pid = Pid::from_child(&child);
        let ended = Arc::new(OnceLock::new());
        let end = Arc::clone(&ended);
        let collector = thread::spawn(move || {
            if let Ok(status) = child.wait() {
                end.get_or_init(|| status);
            }
        });
        Ok(Self { node: node.to_owned(), name: name.to_owned(), pid, output, ended, collector: Some(collector) })
    }

    /// Its number, as the story counts processes.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What it has written so far, both streams.
    #[must_use]
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.get().is_none()
    }

    /// Sends it a signal; one that is gone already is no mistake.
    pub fn signal(&self, signal: Signal) {
        if self.is_running() {
            kill(self.pid, signal);
        }
    }

    /// Waits for its end and returns its status, 128 + signal for a killed one.
    ///
    /// # Errors
    /// [`Error::Late`] with what it has written.
    pub fn wait(&self, limit: Duration) -> Result<i32> {
        let what = format!("the end of {} on {}", self.name, self.node);
        wait_for(&what, limit, || self.ended.get().map(|&status| code(status)).ok_or_else(|| self.output()))
    }

    /// Asks it to end (SIGTERM), waits and returns its status.
    ///
    /// # Errors
    /// [`Error::Late`] with what it has written.
    pub fn stop(&self, limit: Duration) -> Result<i32> {
        self.signal(Signal::TERM);
        self.wait(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(collector) = self.collector.take() {
            drop(collector.join());
        }
    }
}

/// Sends a signal to any process of a machine, by the numbers that [`crate::Node::processes`] gives.
pub fn kill(pid: Pid, signal: Signal) {
    // It may have ended in between, which is what a killer wants.
    let _ = kill_process(pid, signal);
}

/// Runs a command to its end and returns its status and what it wrote, standard error included if the status is not 0.
///
/// The output goes through files and not pipes: a daemon that the command leaves behind would keep those open.
pub(crate) fn finish(
    node: &str,
    first: Pid,
    mut command: Command,
    output: PathBuf,
    limit: Duration,
) -> Result<(i32, String)> {
    let errors = output.with_extension("err");
    let create = |path: &Path| File::create(path).attempt(|| format!("make {}", path.display()));
    command.stdin(Stdio::null()).stdout(create(&output)?).stderr(create(&errors)?);
    let name = format!("`{}`", enter::words(&command));
    let process = Process::spawn(node, first, &name, command, output)?;
    let status = process.wait(limit);
    let mut text = process.output();
    if !matches!(status, Ok(0)) {
        text += &read(&errors);
    }
    // Hundreds of commands in a story; what they said is in the caller's hands now.
    let _ = fs::remove_file(&process.output);
    let _ = fs::remove_file(errors);
    match status {
        Err(Error::Late { what, limit, .. }) => Err(Error::Late { what, limit, detail: format!("; it said {text}") }),
        other => Ok((other?, text)),
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
