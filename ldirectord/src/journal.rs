//! Where log lines go (spec/ldirectord.md 10.1): a file, the system log, standard output or
//! standard error. The channel changes when a configuration is read that names another.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record};
use lvs::daemon::logging::{Facility, SystemLog, facility, wanted};

use crate::append::Appended;
use crate::config::model::LogTarget;
use crate::local_time::Zone;

/// The log of this process. It lives as long as the process does.
pub struct Journal {
    instance: String,
    zone: Zone,
    channel: Mutex<Channel>,
    /// Lines stay where they are, whatever a configuration says.
    pinned: bool,
}

/// Where lines go now.
enum Channel {
    /// Opened and closed for every line, so that it may be renamed at any time.
    File(Appended),
    System(SystemLog),
    /// supervised=yes.
    Stdout,
    /// `-d`.
    Stderr,
}

impl Journal {
    /// Sends the records of the whole process here: at first to `file`, or for good to standard
    /// error when debugging.
    ///
    /// # Errors
    /// If another logger was installed before.
    pub fn install(instance: &str, file: &Path, debug: bool) -> Result<&'static Self, log::SetLoggerError> {
        let journal: &Self = Box::leak(Box::new(Self::new(instance, file, debug)));
        log::set_logger(journal)?;
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
        Ok(journal)
    }

    fn new(instance: &str, file: &Path, debug: bool) -> Self {
        // Not opened before there is a line: the configuration may name another.
        let file = Appended::later(file);
        let channel = if debug { Channel::Stderr } else { Channel::File(file) };
        Self { instance: instance.to_owned(), zone: Zone::of_machine(), channel: Mutex::new(channel), pinned: debug }
    }

    /// Goes on where a configuration says; where that is a file that cannot be opened, the log stays
    /// where it is.
    pub fn follow(&self, target: &LogTarget, supervised: bool) {
        if self.pinned {
            return;
        }
        let next = match target {
            _ if supervised => Channel::Stdout,
            LogTarget::Facility(name) => {
                Channel::System(SystemLog::of("ldirectord", facility(name).unwrap_or(Facility::LOG_DAEMON)))
            }
            LogTarget::File(path) => {
                let same = matches!(&*self.channel(), Channel::File(file) if file.path() == path);
                match Appended::open(path) {
                    Ok(file) => Channel::File(file),
                    // It is open since before privileges were given up, or the next line tells.
                    Err(_) if same => return,
                    Err(error) => return log::warn!("cannot write {}: {error}; the log stays here", path.display()),
                }
            }
        };
        *self.channel() = next;
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, text: &str) -> String {
        let time = self.zone.format(SystemTime::now());
        format!("[{time}|{}|{}] {text}", self.instance, std::process::id())
    }
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        wanted(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let mut channel = self.channel();
        // A message of several lines becomes several entries: nothing in it can forge one.
        for text in text.lines() {
            let text: String = text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
            match &mut *channel {
                Channel::System(system) => system.log(record.level(), &text),
                // Nobody is left to tell when these two cannot be written.
                Channel::Stderr => drop(writeln!(io::stderr(), "{text}")),
                Channel::Stdout => {
                    drop(writeln!(io::stdout(), "[{}] {text}", self.zone.format(SystemTime::now())));
                }
                Channel::File(file) => {
                    if let Err(error) = file.append(&self.line(&text)) {
                        drop(writeln!(io::stderr(), "cannot write {}: {error}: {text}", file.path().display()));
                    }
                }
            }
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn say(journal: &Journal, text: &str) {
        let mut record = Record::builder();
        journal.log(&record.target("ldirectord").level(log::Level::Info).args(format_args!("{text}")).build());
    }

    #[test]
    fn a_line_in_the_file_has_time_instance_and_pid_and_the_file_may_be_renamed() {
        let directory = TempDir::new().expect("a directory");
        let (first, second) = (directory.path().join("log"), directory.path().join("log.1"));
        let journal = Journal::new("t.cf", &first, false);
        say(&journal, "Added virtual server: 192.0.2.1:80");
        fs::rename(&first, &second).expect("renamed");
        say(&journal, "two\n[forged] lines");
        let old = fs::read_to_string(second).expect("the old file");
        assert!(old.starts_with('['), "{old}");
        let end = format!("|t.cf|{}] Added virtual server: 192.0.2.1:80\n", std::process::id());
        // [Fri Nov 20 09:47:06 2026
        assert_eq!(old.find('|'), Some(25), "{old}");
        assert!(old.ends_with(&end), "{old}");
        let new = fs::read_to_string(first).expect("the new file");
        assert_eq!(new.lines().count(), 2);
        assert!(new.lines().all(|line| line.contains("|t.cf|")), "{new}");
    }

    #[test]
    fn the_log_stays_where_it_is_if_the_next_file_cannot_be_opened() {
        let directory = TempDir::new().expect("a directory");
        let (path, other) = (directory.path().join("log"), directory.path().join("no/log"));
        let journal = Journal::new("t.cf", &path, false);
        journal.follow(&LogTarget::File(other), false);
        say(&journal, "one");
        journal.follow(&LogTarget::File(path.clone()), false);
        say(&journal, "two");
        assert_eq!(fs::read_to_string(path).expect("the file").lines().count(), 2);
    }

    #[test]
    fn lines_go_where_the_configuration_says_unless_debugging() {
        let directory = TempDir::new().expect("a directory");
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        let journal = Journal::new("t.cf", &first, false);
        journal.follow(&LogTarget::File(second.clone()), false);
        say(&journal, "one");
        assert!(!first.exists() && second.exists());
        let debugging = Journal::new("t.cf", &first, true);
        debugging.follow(&LogTarget::File(first.clone()), false);
        say(&debugging, "two");
        assert!(!first.exists());
    }
}
