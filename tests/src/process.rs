//! Programs a story has started.

use crate::error::{Attempt, Error, Result};
use crate::node::child_of;
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// How long starting may take before something is wrong.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A program that runs in a machine. Killed when this value goes.
#[derive(Debug)]
pub struct Process {
    node: String,
    name: String,
    /// `nsenter`, which waits for the program and ends as it does.
    outer: Child,
    /// The program itself.
    pid: Pid,
    output: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn start(node: &str, name: &str, command: Command, output: PathBuf) -> Result<Self> {
        let mut outer = spawn(command, &output)?;
        let pid = wait_for(&format!("{name} to start on {node}"), START_LIMIT, || {
            let pid = child_of(outer.id()).and_then(Pid::from_raw);
            match (pid, outer.try_wait()) {
                (Some(pid), _) => Ok(Some(pid)),
                (None, Ok(Some(_))) => Ok(None),
                (None, _) => Err(""),
            }
        })?;
        let Some(pid) = pid else {
            let status = outer.wait().map(|status| status.to_string()).unwrap_or_default();
            let output = read(&output);
            return Err(Error::Command { node: node.to_owned(), command: name.to_owned(), status, output });
        };
        Ok(Self { node: node.to_owned(), name: name.to_owned(), outer, pid, output, ended: None })
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
    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// Sends it a signal; one that is gone already is no mistake.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            kill(self.pid, signal);
        }
    }

    /// Waits for its end and returns its status, 128 + signal for a killed one.
    ///
    /// # Errors
    /// [`Error::Late`] with what it has written.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        let what = format!("the end of {} on {}", self.name, self.node);
        wait_for(&what, limit, || self.status().map(code).ok_or_else(|| self.output()))
    }

    /// Asks it to end (SIGTERM), waits and returns its status.
    ///
    /// # Errors
    /// [`Error::Late`] with what it has written.
    pub fn stop(&mut self, limit: Duration) -> Result<i32> {
        self.signal(Signal::TERM);
        self.wait(limit)
    }

    fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.outer.try_wait().ok().flatten();
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if self.ended.is_none() {
            drop(self.outer.wait());
        }
    }
}

/// Sends a signal to any process of a machine, by the numbers that [`crate::Node::processes`] gives.
pub fn kill(pid: Pid, signal: Signal) {
    // It may have ended in between, which is what a killer wants.
    let _ = kill_process(pid, signal);
}

/// Runs a command to its end. Its output goes through a file and not a pipe: a daemon it leaves behind would keep that
/// open.
pub(crate) fn finish(node: &str, command: Command, output: &Path, limit: Duration) -> Result<(i32, String)> {
    let line = command_line(&command);
    let errors = output.with_extension("err");
    let mut command = command;
    command.stderr(File::create(&errors).attempt(|| format!("make {}", errors.display()))?);
    let mut child = spawn_with_stdout(command, output)?;
    let status = wait_for(&format!("the end of `{line}` on {node}"), limit, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        _ => Err(read(output)),
    });
    if status.is_err() {
        drop(child.kill());
        drop(child.wait());
    }
    let status = code(status?);
    let mut text = read(output);
    if status != 0 {
        text += &read(&errors);
    }
    // Hundreds of commands in a story; what they said is in the caller's hands now.
    let _ = fs::remove_file(output);
    let _ = fs::remove_file(errors);
    Ok((status, text))
}

fn spawn(mut command: Command, output: &Path) -> Result<Child> {
    let file = File::create(output).attempt(|| format!("make {}", output.display()))?;
    command.stderr(file.try_clone().attempt(|| "share an output file".into())?);
    command.stdout(file).spawn().attempt(|| format!("start `{}`", command_line(&command)))
}

fn spawn_with_stdout(mut command: Command, output: &Path) -> Result<Child> {
    let file = File::create(output).attempt(|| format!("make {}", output.display()))?;
    command.stdout(file).spawn().attempt(|| format!("start `{}`", command_line(&command)))
}

/// What was meant: without the `nsenter` in front.
fn command_line(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let mut words: Vec<String> = words.skip_while(|word| word != "--").skip(1).collect();
    if words.is_empty() {
        words.push(command.get_program().to_string_lossy().into_owned());
    }
    words.join(" ")
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
