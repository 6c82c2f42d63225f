//! Which resource scripts were started and not stopped yet: a note for the next life.
//!
//! Should the daemon be killed, the guard takes the addresses off, and nobody calls the scripts with `stop`; the next start
//! does, for what is in the note. It lies beside the pid file, where a reboot, which ends everything, removes it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::script::Run;

/// More is neither written nor read.
const LARGEST: usize = 64 * 1024;

/// A script with its arguments, in one group: another may have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The group's name.
    pub group: String,
    /// File name.
    pub name: String,
    /// What stands before the action.
    pub args: Vec<String>,
}

/// A line of the note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What was started.
    #[serde(flatten)]
    pub resource: Resource,
    /// Its script, if that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// The note.
#[derive(Debug)]
pub struct Started {
    path: PathBuf,
    /// In the order of their start.
    entries: Vec<Left>,
}

impl Started {
    /// What an earlier life has left. A note that somebody else wrote is told and not followed, and so is a line that makes
    /// no sense.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let entries = match read(path) {
            Ok(text) => {
                let (entries, bad) = parse(&text);
                if let Some((number, why)) = bad.first() {
                    let (path, count) = (path.display(), bad.len());
                    log::warn!(
                        "{path}:{number}: {why}: {count} lines are passed over, and what they name is not stopped"
                    );
                }
                entries
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                log::error!("{}: what scripts an earlier life has left running is not known: {e}", path.display());
                Vec::new()
            }
        };
        Self { path: path.to_owned(), entries }
    }

    /// Everything in it, the last one started first.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        self.entries.iter().rev().cloned().collect()
    }

    /// The script is about to be started.
    pub fn begin(&mut self, resource: &Resource) {
        if self.entries.iter().all(|each| each.resource != *resource) {
            self.entries.push(Left { resource: resource.clone(), run: None });
            self.store();
        }
    }

    /// The script is under way, or is no longer. Nothing where it was not started.
    pub fn runs(&mut self, resource: &Resource, run: Option<Run>) {
        if let Some(each) = self.entries.iter_mut().find(|each| each.resource == *resource && each.run != run) {
            each.run = run;
            self.store();
        }
    }

    /// The script has stopped it.
    pub fn end(&mut self, resource: &Resource) {
        let count = self.entries.len();
        self.entries.retain(|each| each.resource != *resource);
        if self.entries.len() != count {
            self.store();
        }
    }

    /// A few bytes in a file system in memory: it does not keep the loop. The old note or the new one, never half of one.
    fn store(&self) {
        if let Err(e) = self.write() {
            log::warn!(
                "cannot write {}: {e}. Should heartbeatd be killed, its next start stops none of its scripts",
                self.path.display()
            );
        }
    }

    fn write(&self) -> io::Result<()> {
        if self.entries.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            };
        }
        let (text, without) = written(&self.entries)?;
        if without > 0 {
            let path = self.path.display();
            log::warn!(
                "{path}: full: should heartbeatd be killed, its next start does not stop {without} of its scripts"
            );
        }
        let new = self.path.with_extension("started.new");
        // One that is there is not followed, wherever it leads.
        if let Err(e) = fs::remove_file(&new)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?.write_all(text.as_bytes())?;
        fs::rename(&new, &self.path)
    }
}

/// The lines, as far as there is room, and how many have none.
fn written(entries: &[Left]) -> io::Result<(String, usize)> {
    let (mut text, mut without) = (String::new(), 0);
    for entry in entries {
        let line = serde_json::to_string(entry)?;
        if text.len() + line.len() < LARGEST {
            text += &line;
            text.push('\n');
        } else {
            without += 1;
        }
    }
    Ok((text, without))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let not_ours = || io::Error::other("it is not a file of this daemon alone");
    // No link, and nothing that waits to be opened.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(not_ours());
    }
    let mut text = Vec::new();
    file.take(LARGEST as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// What the lines name, and the numbers of those that make no sense.
fn parse(text: &[u8]) -> (Vec<Left>, Vec<(usize, String)>) {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')).filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice::<Left>(line) {
            // As haresources has it: the file in resource.d or init.d.
            Ok(Left { resource: Resource { name, .. }, .. })
                if name.is_empty() || name.contains('/') || matches!(name.as_str(), "." | "..") =>
            {
                bad.push((number, format!("{name:?} is no script")));
            }
            Ok(entry) => entries.push(entry),
            Err(e) => bad.push((number, e.to_string())),
        }
    }
    (entries, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(group: &str, name: &str, words: &str) -> Resource {
        let args = words.split_whitespace().map(str::to_owned).collect();
        Resource { group: group.into(), name: name.into(), args }
    }

    fn left(started: &Started) -> Vec<Resource> {
        started.left().into_iter().map(|left| left.resource).collect()
    }

    #[test]
    fn the_next_life_knows_what_was_started_and_not_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeatd.started");
        let mut started = Started::open(&path);
        let (disk, web, other) =
            (script("a", "Filesystem", "/dev/sdb1 /srv"), script("a", "apache2", ""), script("b", "apache2", ""));
        for each in [&disk, &web, &web, &other] {
            started.begin(each);
        }
        let run = Run::of(rustix::process::getpid()).unwrap();
        started.runs(&web, Some(run));
        started.runs(&script("a", "unknown", ""), Some(run));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let mut next = Started::open(&path);
        assert_eq!(left(&next), [other.clone(), web.clone(), disk.clone()]);
        assert_eq!(next.left().iter().map(|left| left.run).collect::<Vec<_>>(), [None, Some(run), None]);
        next.runs(&web, None);
        assert_eq!(Started::open(&path).left()[1].run, None);
        // The same script of another group stays.
        next.end(&web);
        assert_eq!(left(&Started::open(&path)), [other.clone(), disk.clone()]);
        next.end(&other);
        next.end(&disk);
        assert!(!path.exists());
    }

    #[test]
    fn a_line_that_makes_no_sense_is_passed_over() {
        let named = |name: &str| format!("{{\"group\":\"g\",\"name\":\"{name}\",\"args\":[]}}\n");
        for bad in [named("../../tmp/evil"), named(""), named(".."), "[]\n".into(), "apache2\n".into(), "{\"gro".into()]
        {
            let (entries, wrong) = parse(format!("{}{bad}", named("a")).as_bytes());
            assert_eq!((entries.len(), wrong.len(), wrong[0].0), (1, 1, 2), "{bad}");
        }
        let (entries, wrong) = parse(&[b"\xff\n", named("a").as_bytes()].concat());
        assert_eq!((entries.len(), wrong.len()), (1, 1));
    }

    #[test]
    fn a_note_that_would_be_too_large_holds_what_was_started_first_and_can_be_read() {
        let entry = |number: usize| Left { resource: script("g", &format!("{number:01000}"), ""), run: None };
        let entries: Vec<Left> = (0..100).map(entry).collect();
        let (text, without) = written(&entries).unwrap();
        assert!(text.len() <= LARGEST && (30..40).contains(&without), "{} {without}", text.len());
        assert_eq!(parse(text.as_bytes()), (entries[..100 - without].to_vec(), vec![]));
    }

    #[test]
    fn a_note_of_somebody_else_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeatd.started");
        Started::open(&path).begin(&script("g", "apache2", ""));
        assert_eq!(Started::open(&path).left().len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Started::open(&path).left().is_empty());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Started::open(&link).left().is_empty());
    }
}
