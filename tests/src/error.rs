//! Why a story could not go on.

use std::fmt;
use std::io;
use std::time::Duration;

/// What went wrong while a cluster was built, used or watched.
///
/// `Debug` prints the whole sentence with its causes, because that is what a test that returns an error shows.
#[derive(thiserror::Error)]
pub enum Error {
    /// We are not inside the lab, where making and killing things is safe.
    #[error("a cluster is only built inside the lab, as root: run this with tests/lab/run or tests/lab/stories")]
    NotInTheLab,
    /// Something the kernel or the file system refused.
    #[error("cannot {what}")]
    Io {
        /// What was attempted, in the infinitive.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A command that ended badly.
    #[error("`{command}` on {node} ended with {status}: {output}")]
    Command {
        /// The machine it ran on.
        node: String,
        /// Program and arguments.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote, both streams.
        output: String,
    },
    /// An event that did not come.
    #[error("waited {} ms in vain for {what}{detail}", limit.as_millis())]
    Late {
        /// The event.
        what: String,
        /// For how long.
        limit: Duration,
        /// What was there instead, or nothing.
        detail: String,
    },
    /// A machine that is switched off was asked to do something.
    #[error("{node} is switched off")]
    Off {
        /// The machine.
        node: String,
    },
    /// The story itself, or a helper's answer, makes no sense.
    #[error("{0}")]
    Senseless(String),
}

/// What everything here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lvs::diag::chain(self))
    }
}

/// Adds what was attempted to the kernel's answer.
pub trait Attempt<T> {
    /// `what` in the infinitive: "read /proc/net/ip_vs".
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Attempt<T> for std::result::Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source: source.into() })
    }
}
