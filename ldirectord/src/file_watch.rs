//! Whether the configuration file has changed on disk (spec/ldirectord.md 7.6).
//!
//! It has changed if its time of modification and its contents have: `touch` is no change.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a look at the file showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It is another than before.
    Changed,
    /// It was there before and cannot be read now. Told once.
    Vanished,
}

/// What a file is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    modified: SystemTime,
    contents: u64,
}

impl Look {
    /// Looks at a file; `None` if it cannot be read.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        let mut contents = DefaultHasher::new();
        crate::config::read_file(path).ok()?.hash(&mut contents);
        Some(Self { modified, contents: contents.finish() })
    }
}

/// Remembers what a file was like.
#[derive(Debug)]
pub struct FileWatch {
    known: Option<Look>,
    there: bool,
}

impl FileWatch {
    /// `known` is what is in force.
    #[must_use]
    pub fn new(known: Option<Look>) -> Self {
        Self { known, there: true }
    }

    /// Takes the next look.
    pub fn look(&mut self, now: Option<Look>) -> Option<Happened> {
        let Some(now) = now else { return std::mem::replace(&mut self.there, false).then_some(Happened::Vanished) };
        self.there = true;
        let changed = self.known.is_none_or(|known| known.modified != now.modified && known.contents != now.contents);
        self.known = Some(now);
        changed.then_some(Happened::Changed)
    }
}

/// Looks each `interval`, for ever, or until nobody listens any more.
pub async fn watch(path: PathBuf, interval: Duration, tell: impl Fn(Happened) -> bool) {
    let look = |path: PathBuf| tokio::task::spawn_blocking(move || Look::at(&path));
    let Ok(first) = look(path.clone()).await else { return };
    let mut watch = FileWatch::new(first);
    loop {
        tokio::time::sleep(interval).await;
        // The program ends if the look is broken off.
        let Ok(now) = look(path.clone()).await else { return };
        if let Some(happened) = watch.look(now)
            && !tell(happened)
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(seconds: u64, contents: u64) -> Option<Look> {
        Some(Look { modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), contents })
    }

    #[test]
    fn row_59_touched_is_not_changed_and_edited_is() {
        let mut watch = FileWatch::new(look(1, 1));
        assert_eq!(watch.look(look(1, 1)), None);
        assert_eq!(watch.look(look(2, 1)), None, "touched");
        assert_eq!(watch.look(look(3, 2)), Some(Happened::Changed));
        assert_eq!(watch.look(look(3, 2)), None);
    }

    #[test]
    fn a_file_that_vanishes_is_told_once_and_picked_up_when_it_returns() {
        let mut watch = FileWatch::new(look(1, 1));
        assert_eq!(watch.look(None), Some(Happened::Vanished));
        assert_eq!(watch.look(None), None);
        assert_eq!(watch.look(look(1, 1)), None, "it is back as it was");
        assert_eq!(watch.look(None), Some(Happened::Vanished));
        assert_eq!(watch.look(look(2, 2)), Some(Happened::Changed));
    }

    #[test]
    fn a_look_sees_contents() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.cf");
        assert_eq!(Look::at(&path), None);
        fs::write(&path, "a").expect("written");
        let before = Look::at(&path).expect("there");
        fs::write(&path, "b").expect("written");
        assert_ne!(Look::at(&path).expect("there").contents, before.contents);
    }
}
