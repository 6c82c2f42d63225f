//! A running `ip -batch`: cables are cut within milliseconds, where starting a program takes fifty in an emulated guest.

use crate::enter;
use crate::error::{Attempt, Error, Result};
use rustix::process::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// `ip -batch` in the network of a machine, with our process numbers.
#[derive(Debug)]
pub(crate) struct Batch {
    node: String,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Batch {
    /// Starts it for the machine `node`, whose first process is `first`.
    pub fn start(node: &str, first: Pid) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["-oneline", "-batch", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = enter::spawn_in_network(first, command)?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                Ok(Self { node: node.to_owned(), child, stdin, stdout: BufReader::new(stdout), stderr })
            }
            _ => Err(Error::Senseless("ip -batch has no pipes".into())),
        }
    }

    /// Carries out `lines` and returns when that is done. After an error it can do nothing more.
    pub fn run(&mut self, lines: &str) -> Result<()> {
        let what = || format!("hand commands to ip -batch for {}", self.node);
        // Showing lo, in one line, is how it says that it has come to the end.
        let written = self.stdin.write_all(format!("{lines}link show lo\n").as_bytes());
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).attempt(what)?;
        if !answer.is_empty() {
            return written.attempt(what);
        }
        let mut errors = String::new();
        drop(self.stderr.read_to_string(&mut errors));
        let status = self.child.wait().attempt(what)?.to_string();
        let output = format!("{errors}{lines}");
        Err(Error::Command { node: self.node.clone(), command: "ip -batch".into(), status, output })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
