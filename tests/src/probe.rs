//! A client that never stops asking, and what it went through.
//!
//! A new TCP connection with one HTTP GET is started every few milliseconds, whether the earlier ones have been answered
//! or not, so that a server that hangs does not slow the probing down. Every request is recorded with its own times;
//! [`Report`] is arithmetic on those records.

mod report;

pub use report::{Outage, Report};

use crate::clock;
use crate::error::{Attempt, Error, Result};
use crate::inside;
use crate::node::Node;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What to ask for, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Where to connect to.
    pub target: SocketAddr,
    /// Time between the starts of two requests.
    pub every: Duration,
    /// A request that has not been answered in full after this time has failed. Time in which the client itself was not
    /// run does not count.
    pub timeout: Duration,
}

impl Spec {
    /// A request each 20 ms, that has 900 ms to be answered: much even for an emulated guest, and less than the second
    /// after which the kernel sends a lost SYN again and hides the loss.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self { target, every: Duration::from_millis(20), timeout: Duration::from_millis(900) }
    }

    /// With another time between two requests.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// With another limit for an answer.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was started, by [`clock::now`].
    pub at: Duration,
    /// Until the end of the answer, or until it was given up.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Status 200; the first line of the body, which names the real server.
    Answer(String),
    /// Anything else.
    Failure(Failure),
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The connection was refused.
    Refused,
    /// The time was up: no connection, or no complete answer.
    Timeout,
    /// The connection was reset.
    Reset,
    /// No way to the address, or nobody there knows its hardware address.
    Unreachable,
    /// The server closed the connection without an answer.
    Closed,
    /// An answer with another status than 200.
    Status(u16),
    /// Another error number of the kernel's.
    Errno(i32),
}

/// A running probe. It ends when this value goes.
#[derive(Debug)]
pub struct Probe {
    /// Closing it is how the helper is asked to end.
    stdin: Option<ChildStdin>,
    records: Arc<Mutex<Vec<Record>>>,
    /// Collects the records, then the helper.
    reader: Option<JoinHandle<io::Result<ExitStatus>>>,
    timeout: Duration,
}

impl Probe {
    /// Starts asking from `node`, as a process in its network.
    ///
    /// # Errors
    /// If the helper does not start.
    pub fn start(node: &Node, spec: &Spec) -> Result<Self> {
        let words = serde_json::to_string(spec).map_err(|error| Error::Senseless(error.to_string()))?;
        let mut command = Command::new(inside::program()?);
        command.args(["probe", &words]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut helper = node.spawn(command)?;
        let stdin = helper.stdin.take();
        let records = Arc::default();
        let kept = Arc::clone(&records);
        let reader = std::thread::spawn(move || {
            helper.stdout.take().into_iter().for_each(|stdout| keep(BufReader::new(stdout), &kept));
            helper.wait()
        });
        Ok(Self { stdin, records, reader: Some(reader), timeout: spec.timeout })
    }

    /// The requests that have ended so far, in the order in which they ended.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the next request that is started from now on and answered, and returns who answered.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn await_answer(&self, limit: Duration) -> Result<String> {
        self.await_answer_from(|_| true, limit)
    }

    /// Waits for the next request that is started from now on and answered by a server that `which` accepts.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn await_answer_from(&self, which: impl Fn(&str) -> bool, limit: Duration) -> Result<String> {
        let from = clock::now();
        crate::wait::wait_for("an answer to the probe", limit, || {
            let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let new = records.iter().rev().take_while(|record| record.at + self.timeout >= from);
            let answers = new.filter(|record| record.at >= from).filter_map(|record| record.outcome.server());
            let found = answers.into_iter().find(|server| which(server)).map(str::to_owned);
            found.ok_or_else(|| format!("{:?}", records.last()))
        })
    }

    /// Stops asking, waits for what is under way and reports on everything.
    ///
    /// # Errors
    /// If the helper ended badly.
    pub fn stop(mut self) -> Result<Report> {
        self.end()?;
        Ok(Report::of(&self.records()))
    }

    fn end(&mut self) -> Result<()> {
        drop(self.stdin.take());
        let Some(reader) = self.reader.take() else { return Ok(()) };
        // The helper has a limit for everything.
        let status = reader.join().expect("a thread without panics").attempt(|| "wait for the probe".into())?;
        if status.success() { Ok(()) } else { Err(Error::Senseless(format!("the probe ended with {status}"))) }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl Outcome {
    /// Who answered, if somebody did.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Answer(server) => Some(server),
            Self::Failure(_) => None,
        }
    }
}

fn keep(lines: impl BufRead, records: &Mutex<Vec<Record>>) {
    for line in lines.lines().map_while(std::result::Result::ok) {
        // A line that was cut off when the machine lost its power is no record.
        if let Ok(record) = serde_json::from_str(&line) {
            records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        }
    }
}
