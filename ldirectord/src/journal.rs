//! Where log lines go (spec/ldirectord.md 10.1): a file, the system log, standard output or
//! standard error. The channel changes when a configuration is read that names another.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record};
use lvs::daemon::logging::{Facility, SystemLog, facility, wanted};

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
    File(PathBuf),
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
        let channel = if debug { Channel::Stderr } else { Channel::File(file.to_owned()) };
        Self { instance: instance.to_owned(), zone: Zone::of_machine(), channel: Mutex::new(channel), pinned: debug }
    }

    /// Goes on where a configuration says.
    pub fn follow(&self, target: &LogTarget, supervised: bool) {
        if self.pinned {
            return;
        }
        *self.channel() = match target {
            _ if supervised => Channel::Stdout,
            LogTarget::File(path) => Channel::File(path.clone()),
            LogTarget::Facility(name) => {
                Channel::System(SystemLog::of("ldirectord", facility(name).unwrap_or(Facility::LOG_DAEMON)))
            }
        };
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
                Channel::File(path) => {
                    let line = self.line(&text);
                    if let Err(error) = append(path, &line) {
                        drop(writeln!(io::stderr(), "cannot write {}: {error}: {text}", path.display()));
                    }
                }
            }
        }
    }

    fn flush(&self) {}
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // One write, so that lines of several processes do not mix.
    file.write_all(format!("{line}\n").as_bytes())
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
