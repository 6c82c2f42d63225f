//! Which resource scripts were started and not stopped yet: a note for the next life.
//!
//! Should the daemon be killed, the guard takes the addresses off, and nobody calls the scripts with `stop`; the next start
//! does, for what is in the note. It lies beside the pid file, where a reboot, which ends everything, removes it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// More is not read.
const LARGEST: u64 = 64 * 1024;

/// A script with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// File name.
    pub name: String,
    /// What stands before the action.
    pub args: Vec<String>,
}

/// The note.
#[derive(Debug)]
pub struct Started {
    path: PathBuf,
    /// In the order of their start.
    resources: Vec<Resource>,
}

impl Started {
    /// What an earlier life has left. A note that somebody else wrote, or that makes no sense, is told and not followed.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let resources = match read(path) {
            Ok(resources) => resources,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                log::error!("{}: what scripts an earlier life has left running is not known: {e}", path.display());
                Vec::new()
            }
        };
        Self { path: path.to_owned(), resources }
    }

    /// Everything in it, the last one started first.
    #[must_use]
    pub fn left(&self) -> Vec<Resource> {
        self.resources.iter().rev().cloned().collect()
    }

    /// Whether the script is in it.
    #[must_use]
    pub fn has(&self, name: &str, args: &[String]) -> bool {
        self.resources.iter().any(|each| each.name == name && each.args == args)
    }

    /// The script is about to be started.
    pub fn begin(&mut self, name: &str, args: &[String]) {
        if !self.has(name, args) {
            self.resources.push(Resource { name: name.to_owned(), args: args.to_vec() });
            self.store();
        }
    }

    /// The script has stopped it.
    pub fn end(&mut self, name: &str, args: &[String]) {
        if self.has(name, args) {
            self.resources.retain(|each| each.name != name || each.args != args);
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
        if self.resources.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            };
        }
        let mut text = String::new();
        for Resource { name, args } in &self.resources {
            let words: Vec<&String> = std::iter::once(name).chain(args).collect();
            text += &serde_json::to_string(&words)?;
            text.push('\n');
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

fn read(path: &Path) -> io::Result<Vec<Resource>> {
    let not_ours = || io::Error::other("it is not a file of this daemon alone");
    // No link, and nothing that waits to be opened.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(not_ours());
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    let resource = |line: &str| {
        let mut words: Vec<String> = serde_json::from_str(line)?;
        // As haresources has it: the file in resource.d or init.d.
        if words.first().is_none_or(|name| name.is_empty() || name.contains('/') || matches!(name.as_str(), "." | ".."))
        {
            return Err(io::Error::other(format!("{line}: not a script")));
        }
        let name = words.remove(0);
        Ok(Resource { name, args: words })
    };
    text.lines().map(resource).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn args(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_next_life_knows_what_was_started_and_not_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeatd.started");
        let mut started = Started::open(&path);
        started.begin("Filesystem", &args("/dev/sdb1 /srv"));
        started.begin("apache2", &[]);
        started.begin("apache2", &[]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let mut next = Started::open(&path);
        let named = |name: &str, words| Resource { name: name.into(), args: args(words) };
        assert_eq!(next.left(), [named("apache2", ""), named("Filesystem", "/dev/sdb1 /srv")]);
        assert!(next.has("apache2", &[]) && !next.has("Filesystem", &[]));
        next.end("apache2", &[]);
        assert_eq!(Started::open(&path).left(), [named("Filesystem", "/dev/sdb1 /srv")]);
        next.end("Filesystem", &args("/dev/sdb1 /srv"));
        assert!(!path.exists());
    }

    #[test]
    fn a_note_of_somebody_else_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeatd.started");
        for text in ["[\"../../tmp/evil\"]\n", "[]\n", "[\"\"]\n", "apache2\n", "[\"a\"]\n[\"b\"\n"] {
            fs::write(&path, text).unwrap();
            assert!(Started::open(&path).left().is_empty(), "{text}");
        }
        fs::write(&path, "[\"apache2\"]\n").unwrap();
        assert_eq!(Started::open(&path).left().len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Started::open(&path).left().is_empty());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Started::open(&link).left().is_empty());
    }
}
