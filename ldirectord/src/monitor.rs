//! Monitor files: a line for each result of a check (spec/ldirectord.md chapter 11).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::append::Appended;
use crate::config::Config;
use crate::local_time::Zone;

/// The most of a message that is written, bytes: it may be a whole web page.
const MAX_MESSAGE: usize = 64 * 1024;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where to write it.
    pub file: PathBuf,
    /// [`crate::config::model::Real::check_identity`].
    pub identity: String,
    /// The result of this one check.
    pub up: bool,
    /// What the server said, or `None`.
    pub message: Option<String>,
}

impl Entry {
    /// The line without its time and pid: `negotiate http tcp 10.9.0.2 80 ... [up] 200 OK`.
    fn text(&self) -> String {
        let mut identity = String::new();
        let mut in_run = false;
        for c in self.identity.chars().filter(|&c| c != '\\') {
            if !(c == ':' && in_run) {
                identity.push(if c == ':' { ' ' } else { c });
            }
            in_run = c == ':';
        }
        let state = if self.up { "up" } else { "down" };
        format!("{identity} [{state}] {}", self.message.as_deref().map_or_else(|| "-".to_owned(), encoded))
    }
}

/// What would break the line or its fields, as `%xx`.
fn encoded(message: &str) -> String {
    let mut cut = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut out = String::with_capacity(cut);
    for c in message[..cut].chars() {
        match c {
            '%' => out.push_str("%25"),
            '|' => out.push_str("%7c"),
            '\r' => out.push_str("%0d"),
            '\n' => out.push_str("%0a"),
            c => out.push(c),
        }
    }
    out
}

/// The files.
#[derive(Debug)]
pub struct Monitor {
    zone: Zone,
    files: HashMap<PathBuf, Appended>,
    /// Of these it was told that they cannot be written.
    broken: HashSet<PathBuf>,
}

impl Monitor {
    /// Opens the files of a configuration: to be called while the privileges for that are there.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut monitor = Self { zone: Zone::of_machine(), files: HashMap::new(), broken: HashSet::new() };
        monitor.follow(config);
        monitor
    }

    /// Goes on with the files of another configuration.
    pub fn follow(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.files);
        for path in config.virtuals.iter().filter_map(|v| v.monitor_file.as_deref()) {
            let kept = before.remove(path);
            // One that cannot be opened is told with its first line.
            let file = kept.unwrap_or_else(|| Appended::open(path).unwrap_or_else(|_| Appended::later(path)));
            self.files.entry(path.to_owned()).or_insert(file);
        }
        self.broken.clear();
    }

    /// Writes a line. A file that cannot be written is told once (B15).
    pub fn write(&mut self, entry: &Entry) {
        let (time, pid) = (self.zone.format(SystemTime::now()), std::process::id());
        let line = format!("[{time}] [{pid}] {}", entry.text());
        let file = self.files.entry(entry.file.clone()).or_insert_with(|| Appended::later(&entry.file));
        match file.append(&line) {
            Ok(()) => self.mended(&entry.file),
            Err(error) if self.broken.insert(entry.file.clone()) => {
                log::warn!("cannot write monitorfile {}: {error}; the checks go on", entry.file.display());
            }
            Err(_) => {}
        }
    }

    fn mended(&mut self, file: &Path) {
        if self.broken.remove(file) {
            log::info!("monitorfile {} can be written again", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(identity: &str, up: bool, message: Option<&str>) -> Entry {
        Entry { file: "/m".into(), identity: identity.into(), up, message: message.map(str::to_owned) }
    }

    #[test]
    fn row_64_the_line_is_the_originals() {
        let http = "negotiate:http:tcp:10.9.0.2:80:::1:masq:\\/index\\.html:Test\\ Page";
        assert_eq!(
            entry(http, true, Some("200 OK")).text(),
            "negotiate http tcp 10.9.0.2 80 1 masq /index.html Test Page [up] 200 OK"
        );
        let external = "external:/bin/check:tcp:[2001:db8::1]:80:::1:gate::";
        assert_eq!(entry(external, false, None).text(), "external /bin/check tcp [2001 db8 1] 80 1 gate  [down] -");
        let body = entry("connect", false, Some("100 % of\r\nnothing|\n"));
        assert_eq!(body.text(), "connect [down] 100 %25 of%0d%0anothing%7c%0a");
    }

    #[test]
    fn fault_b15_a_monitor_file_that_cannot_be_written_is_no_reason_to_die() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("later/monitor");
        let mut monitor = Monitor { zone: Zone::of_machine(), files: HashMap::new(), broken: HashSet::new() };
        let line = Entry { file: file.clone(), ..entry("connect", true, None) };
        monitor.write(&line);
        assert!(monitor.broken.contains(&file));
        std::fs::create_dir(directory.path().join("later")).expect("made");
        monitor.write(&line);
        let text = std::fs::read_to_string(&file).expect("written");
        assert!(text.starts_with('[') && text.ends_with("] connect [up] -\n"), "{text}");
        assert!(monitor.broken.is_empty());
    }
}
