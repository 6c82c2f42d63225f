//! A server's processes.
//!
//! Each server has a process space and mounts of its own. So whatever it forks, however it leaves its parent, is
//! stopped with it and dies with it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{Attempt, Result, wait_for};
use rustix::process::{Pid, Signal, kill_process};

/// A server that runs; killed when this value goes.
pub struct Server {
    /// `unshare`, which waits for the server and takes it along.
    child: Child,
    output: PathBuf,
}

impl Server {
    /// Starts one.
    pub(crate) fn start(directory: &Path, command: &[&str]) -> Result<Self> {
        let program = command.first().copied().unwrap_or_default();
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let output = directory.join(format!("{name}.out"));
        let file = File::create(&output).attempt(|| format!("make {}", output.display()))?;
        let child = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--"])
            // The first process of a space inherits the orphans, and servers do not expect strangers' children: vsftpd
            // dies of the first. A shell that waits collects them; the last command keeps it from giving way to the server.
            .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
            .args(command)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(file.try_clone().attempt(|| "share an output file".into())?)
            .stderr(file)
            .spawn()
            .attempt(|| format!("start {program}"))?;
        Ok(Self { child, output })
    }

    /// What it has written so far, both streams.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Stops all its processes: the kernel still takes connections up for it, and nothing is said on them.
    ///
    /// # Errors
    /// If they do not all stop.
    pub fn hang(&self) -> Result<()> {
        wait_for("all processes of a server to stop", Duration::from_secs(10), || {
            let running: Vec<Pid> = self.processes().into_iter().filter(|&pid| !is_stopped(pid)).collect();
            running.iter().for_each(|&pid| send(pid, Signal::STOP));
            if running.is_empty() { Ok(()) } else { Err(format!("{running:?} running")) }
        })
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.processes().into_iter().for_each(|pid| send(pid, Signal::CONT));
    }

    /// Those in its process space.
    fn processes(&self) -> Vec<Pid> {
        let inode = |path: String| fs::metadata(path).ok().map(|space| space.ino());
        let own = inode(format!("/proc/{}/ns/pid_for_children", self.child.id()));
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse::<i32>().ok());
        numbers
            .filter(|number| own.is_some() && inode(format!("/proc/{number}/ns/pid")) == own)
            .filter_map(Pid::from_raw)
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With the first process of the space the kernel kills all the others, stopped or not.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn send(pid: Pid, signal: Signal) {
    // It may have ended in between.
    let _ = kill_process(pid, signal);
}

/// Stopped, or no more.
fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name before it may have blanks and parentheses in it.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
}
