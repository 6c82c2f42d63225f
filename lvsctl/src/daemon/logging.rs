//! The system log, without ever waiting for it.
//!
//! A log daemon that hangs must not stop heartbeats: the socket does not block, what cannot be
//! handed over is counted and dropped, and the count is logged when the log daemon is back.
//! After a restart of the log daemon the next line connects again.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
pub use syslog::Facility;
use syslog::{Formatter3164, LogFormat, Severity};

/// Longest line handed to the log daemon, bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// Where log lines go.
///
/// ```
/// use log::LevelFilter;
/// use lvs::daemon::logging::{Sink, install};
///
/// install("realserver", Sink::Stderr, LevelFilter::Info)?;
/// log::info!("up");
/// # Ok::<(), log::SetLoggerError>(())
/// ```
#[derive(Debug, Clone)]
pub enum Sink {
    /// The system log, under the program's own name.
    System(Facility),
    /// Standard error, for a daemon in the foreground.
    Stderr,
}

/// Sends the `log` crate's records of this process to the sink, from `level` up.
///
/// Libraries below us (TLS, HTTP) are heard only when they warn.
///
/// # Errors
/// If a logger was installed before.
pub fn install(program: &'static str, sink: Sink, level: LevelFilter) -> Result<(), log::SetLoggerError> {
    let target = match sink {
        Sink::System(facility) => Target::System(Mutex::new(SystemLog::of(program, facility))),
        Sink::Stderr => Target::Stderr,
    };
    log::set_boxed_logger(Box::new(Logger { target }))?;
    log::set_max_level(level);
    Ok(())
}

struct Logger {
    target: Target,
}

enum Target {
    System(Mutex<SystemLog>),
    Stderr,
}

/// The crates whose every word is wanted; others are heard from `Warn` up.
const OURS: &[&str] = &["lvs", "lvsctl", "ldirectord", "heartbeatd", "realserver"];

/// Whether a record is worth logging, whatever the level that is set: libraries below us (TLS,
/// HTTP) are heard only when they warn.
#[must_use]
pub fn wanted(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    metadata.level() <= Level::Warn || OURS.contains(&root)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        wanted(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match &self.target {
            Target::System(system) => {
                let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
                system.log(record.level(), &record.args().to_string());
            }
            Target::Stderr => {
                let _ = writeln!(io::stderr(), "{}", record.args());
            }
        }
    }

    fn flush(&self) {}
}

/// A connection to the log daemon that comes and goes with it.
///
/// ```no_run
/// use lvs::daemon::logging::{Facility, SystemLog};
///
/// let mut log = SystemLog::of("realserver", Facility::LOG_DAEMON);
/// log.log(log::Level::Info, "up");
/// ```
pub struct SystemLog {
    path: PathBuf,
    formatter: Formatter3164,
    socket: Option<UnixDatagram>,
    lost: u64,
}

impl SystemLog {
    /// Lines of `program`, under its own name and with its pid.
    #[must_use]
    pub fn of(program: &str, facility: Facility) -> Self {
        Self::new(program, facility, "/dev/log".into())
    }

    /// Hands over one line, or counts it as lost.
    pub fn log(&mut self, level: Level, text: &str) {
        let severity = match level {
            Level::Error => Severity::LOG_ERR,
            Level::Warn => Severity::LOG_WARNING,
            Level::Info => Severity::LOG_INFO,
            Level::Debug | Level::Trace => Severity::LOG_DEBUG,
        };
        self.say(severity, text);
    }

    fn new(program: &str, facility: Facility, path: PathBuf) -> Self {
        // A local socket wants no host name.
        let formatter =
            Formatter3164 { facility, hostname: None, process: program.to_owned(), pid: std::process::id() };
        Self { path, formatter, socket: None, lost: 0 }
    }

    fn say(&mut self, severity: Severity, text: &str) {
        if self.lost > 0 {
            let note = format!("{} log lines were lost while the system log was away", self.lost);
            if self.send(Severity::LOG_WARNING, &note).is_ok() {
                self.lost = 0;
            }
        }
        // One line of the log is one line: what came from outside cannot forge another.
        let text: String = text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        if self.send(severity, &text).is_err() {
            self.lost += 1;
        }
    }

    fn send(&mut self, severity: Severity, text: &str) -> io::Result<()> {
        let mut line = Vec::with_capacity(text.len() + 64);
        self.formatter.format(&mut line, severity, text).map_err(io::Error::other)?;
        line.truncate(MAX_MESSAGE);
        if let Some(socket) = &self.socket {
            match socket.send(&line) {
                Ok(_) => return Ok(()),
                // A full queue is not a reason to connect again.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(e),
                Err(_) => {}
            }
        }
        self.socket = None;
        let socket = connect(&self.path)?;
        socket.send(&line)?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// The facility of that name, as syslog.conf spells it: `local0`, `daemon`.
#[must_use]
pub fn facility(name: &str) -> Option<Facility> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn hear(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        socket.set_nonblocking(true).expect("non-blocking");
        let n = socket.recv(&mut buffer).expect("a line is there");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    #[test]
    fn lines_go_on_after_the_log_daemon_was_restarted_and_the_lost_ones_are_counted() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("log");
        let mut log = SystemLog::new("heartbeatd", Facility::LOG_DAEMON, path.clone());
        log.say(Severity::LOG_INFO, "nobody hears this");
        let first = UnixDatagram::bind(&path).expect("bound");
        log.say(Severity::LOG_INFO, "one");
        let note = hear(&first);
        assert!(note.starts_with("<28>") && note.contains("heartbeatd[") && note.contains("1 log lines"), "{note}");
        assert!(hear(&first).ends_with(": one"));
        drop(first);
        std::fs::remove_file(&path).expect("removed");
        let second = UnixDatagram::bind(&path).expect("bound again");
        log.say(Severity::LOG_INFO, "two");
        assert!(hear(&second).ends_with(": two"));
    }

    #[test]
    fn a_log_daemon_that_does_not_read_costs_lines_and_no_time() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("log");
        let stuck = UnixDatagram::bind(&path).expect("bound");
        let mut log = SystemLog::new("heartbeatd", Facility::LOG_DAEMON, path);
        for _ in 0..5000 {
            log.say(Severity::LOG_INFO, "still alive");
        }
        assert!(log.lost > 0, "the queue of a Unix socket is shorter than that");
        drop(stuck);
    }

    #[test]
    fn what_came_from_outside_cannot_forge_a_line() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("log");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let mut log = SystemLog::new("heartbeatd", Facility::LOG_DAEMON, path);
        log.say(Severity::LOG_INFO, "bad node [x\n<13>root: all is well]");
        assert!(hear(&socket).ends_with("bad node [x <13>root: all is well]"));
    }
}
