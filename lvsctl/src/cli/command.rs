//! What a command line of ipvsadm asks for, and why one is refused.

use std::io;

use super::popt::Fault;
use crate::ipvs::list::Columns;
use crate::ipvs::{Change, ServiceKey};

/// One run of ipvsadm, with nothing left to decide.
///
/// ```
/// use lvs::cli::{Command, parse};
/// use lvs::ipvs::text::Numeric;
///
/// assert_eq!(parse(&[b"-Sn"], false, &mut Numeric), Ok(Command::Save { numeric: true }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One request to the kernel.
    Change(Change),
    /// `-L`.
    List(List),
    /// `-S`.
    Save {
        /// `-n`.
        numeric: bool,
    },
    /// `-R`: command lines from standard input.
    Restore,
    /// `-h`.
    Help,
    /// `-v`.
    Version,
}

/// What `-L` shows.
///
/// ```
/// use lvs::cli::{Command, List, parse};
/// use lvs::ipvs::text::Numeric;
///
/// assert_eq!(parse(&[b"-L", b"--timeout"], false, &mut Numeric), Ok(Command::List(List::Timeouts)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// `-c`.
    Connections {
        /// `-n`.
        numeric: bool,
        /// `--persistent-conn`.
        engines: bool,
    },
    /// `--timeout`.
    Timeouts,
    /// `--daemon`.
    Daemons,
    /// Services and their servers.
    Services(Services),
}

/// A listing of services.
///
/// ```
/// use lvs::cli::{Command, List, Services, parse};
/// use lvs::ipvs::text::Numeric;
///
/// let listing = Services { numeric: true, ..Services::default() };
/// assert_eq!(parse(&[b"-Ln"], false, &mut Numeric), Ok(Command::List(List::Services(listing))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// That one only, without the version line.
    pub only: Option<ServiceKey>,
    /// What is shown of each.
    pub columns: Columns,
    /// `--exact`.
    pub exact: bool,
    /// `-n`.
    pub numeric: bool,
    /// `--nosort`: in the kernel's order.
    pub unsorted: bool,
}

/// A command line that is not carried out (spec/ipvs.md A.3 to A.5).
///
/// ```
/// use lvs::cli::parse;
/// use lvs::ipvs::text::Numeric;
///
/// let usage = parse(&[b"-A", b"-t", b"192.0.2.1:80", b"--lazy"], false, &mut Numeric).expect_err("no such option");
/// assert_eq!((usage.text().as_str(), usage.status()), ("--lazy: unknown option", 255));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// Not even the command could be read.
    TryHelp,
    /// A later option could not be read. `-R` goes on after it.
    Option {
        /// The word it stands in.
        word: Vec<u8>,
        /// popt's reason.
        reason: &'static str,
    },
    /// The options were read and make no sense.
    Invalid(Vec<u8>),
}

impl Usage {
    pub(super) fn fault(word: &[u8], fault: Fault) -> Self {
        Self::Option { word: word.to_owned(), reason: fault.text() }
    }

    /// `before X after`, X being what was on the command line.
    pub(super) fn about(before: &str, word: &[u8], after: &str) -> Self {
        Self::Invalid([before.as_bytes(), word, after.as_bytes()].concat())
    }

    /// ipvsadm's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::TryHelp | Self::Option { .. } => 255,
            Self::Invalid(_) => 2,
        }
    }

    /// The message without the program's name, for a line of a file.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::TryHelp => "this is no command of ipvsadm".to_owned(),
            Self::Option { word, reason } => format!("{}: {reason}", String::from_utf8_lossy(word)),
            Self::Invalid(text) => String::from_utf8_lossy(text).trim_end().to_owned(),
        }
    }

    /// Writes ipvsadm's message, which quotes words byte for byte. `program` is `argv[0]`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, program: &[u8], out: &mut dyn io::Write) -> io::Result<()> {
        match self {
            Self::TryHelp => {
                let text = [b"Try `", program, b" -h' or '", program, b" --help' for more information.\n"].concat();
                out.write_all(&text)
            }
            Self::Option { word, reason } => {
                out.write_all(&[word, b": ".as_slice(), reason.as_bytes(), b"\n"].concat())
            }
            Self::Invalid(text) => out.write_all(&[text, b"\n".as_slice()].concat()),
        }
    }
}

impl From<&str> for Usage {
    fn from(text: &str) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<String> for Usage {
    fn from(text: String) -> Self {
        Self::Invalid(text.into())
    }
}
