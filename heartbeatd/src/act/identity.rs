//! What a node must remember from one life of its daemon to the next: its UUID and the number of
//! its generation (spec/heartbeat.md 5.1, 5.2), in the files and the form heartbeat has them, and
//! whether it is in maintenance.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use lvs::daemon::file;
use sha1::{Digest, Sha1};

use crate::config::{GenerationMethod, UuidFrom};
use crate::wire::Uuid;

/// The folder, usually /var/lib/heartbeat.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// Why a node cannot know who it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// `read`, `write` or `remove`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file with the UUID is not 16 bytes long.
    #[error("{} does not hold a UUID of 16 bytes: remove it, and the node is given a new one", .0.display())]
    NotAUuid(PathBuf),
}

/// A value, and whether it had to be made up because nothing was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Nothing was stored before.
    pub fresh: bool,
}

impl Store {
    /// A store in the folder; nothing is touched yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The node's UUID; made and stored if there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn uuid(&self, from: UuidFrom, name: &str) -> Result<Known<Uuid>, StoreError> {
        if from == UuidFrom::NodeName {
            return Ok(Known { value: named(name), fresh: false });
        }
        let path = self.folder.join("hb_uuid");
        let mut bytes = Vec::new();
        // One byte more than a UUID has tells that it is none.
        match File::open(&path).and_then(|file| file.take(17).read_to_end(&mut bytes)).map(|_| bytes) {
            Ok(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(Known { value: Uuid(bytes), fresh: false }),
                Err(_) => Err(StoreError::NotAUuid(path)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let random =
                    lvs::daemon::random_bytes().map_err(|source| failed("read", Path::new("/dev/urandom"), source))?;
                let uuid = with_version(random, 4);
                self.write(&path, &uuid.0)?;
                Ok(Known { value: uuid, fresh: true })
            }
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    /// The generation of a new life, stored before it is used. Above the stored one, and not below
    /// `time(2)`: so a node restored from an old copy is not behind what its peer knows (fault 6).
    ///
    /// # Errors
    /// It cannot be stored. With [`GenerationMethod::Time`] that does not matter.
    pub fn next_generation(&self, method: GenerationMethod, time: u64) -> Result<Known<u64>, StoreError> {
        let stored = self.generation();
        let value = stored.map_or(time.saturating_add(1), |stored| stored.saturating_add(1).max(time));
        match (self.save_generation(value), method) {
            (Err(e), GenerationMethod::File) => Err(e),
            _ => Ok(Known { value, fresh: stored.is_none() }),
        }
    }

    /// Stores the generation so that it survives a loss of power. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn save_generation(&self, generation: u64) -> Result<(), StoreError> {
        self.write(&self.generation_file(), format!("{generation:>15}\n").as_bytes())
    }

    /// Whether the administrator has put this node into maintenance.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn maintenance(&self) -> Result<bool, StoreError> {
        let path = self.maintenance_file();
        path.try_exists().map_err(|source| failed("read", &path, source))
    }

    /// Stores that, so that it survives a loss of power. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn save_maintenance(&self, on: bool) -> Result<(), StoreError> {
        let path = self.maintenance_file();
        if on {
            return self.write(&path, b"As long as this file is here heartbeatd takes and gives nothing by itself.\n");
        }
        let remove = || match fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => File::open(&self.folder)?.sync_all(),
        };
        remove().map_err(|source| failed("remove", &path, source))
    }

    fn maintenance_file(&self) -> PathBuf {
        self.folder.join("maintenance")
    }

    fn generation_file(&self) -> PathBuf {
        self.folder.join("hb_generation")
    }

    /// What is stored; a file that is missing or makes no sense counts as none, as with heartbeat.
    fn generation(&self) -> Option<u64> {
        file::read(&self.generation_file(), 64).ok()?.trim().parse().ok()
    }

    /// The old content or the new, never half of one.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let new = path.with_extension("new");
        let write = || {
            fs::create_dir_all(&self.folder)?;
            // The folder may belong to another user: what is there is not followed, wherever it leads.
            match fs::remove_file(&new) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            // The new name itself must reach the disk.
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| failed("write", path, source))
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what, path: path.to_owned(), source }
}

/// The same for the same name; heartbeat's own derivation differs, which nobody can notice.
fn named(name: &str) -> Uuid {
    let digest = Sha1::digest(name.as_bytes());
    with_version(std::array::from_fn(|at| digest[at]), 5)
}

/// Marks the bytes as a UUID of that version (RFC 9562).
fn with_version(mut bytes: [u8; 16], version: u8) -> Uuid {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("not/there/yet"));
        (folder, store)
    }

    #[test]
    fn a_uuid_is_made_once_and_kept_as_heartbeat_keeps_it() {
        let (_folder, store) = store();
        let made = store.uuid(UuidFrom::File, "lvs1").unwrap();
        assert!(made.fresh);
        assert_eq!(fs::read(store.folder.join("hb_uuid")).unwrap(), made.value.0);
        assert_eq!(store.uuid(UuidFrom::File, "lvs1").unwrap(), Known { fresh: false, ..made });
        fs::write(store.folder.join("hb_uuid"), "short").unwrap();
        assert!(matches!(store.uuid(UuidFrom::File, "lvs1"), Err(StoreError::NotAUuid(_))));
    }

    #[test]
    fn a_uuid_from_the_name_is_the_same_for_the_same_name_only() {
        let (_folder, store) = store();
        let uuid = |name| store.uuid(UuidFrom::NodeName, name).unwrap().value;
        assert_eq!(uuid("lvs1"), uuid("lvs1"));
        assert_ne!(uuid("lvs1"), uuid("lvs2"));
    }

    #[test]
    fn each_life_has_a_higher_generation_stored_in_heartbeats_form() {
        let (_folder, store) = store();
        let next = |time| store.next_generation(GenerationMethod::File, time).unwrap();
        assert_eq!(next(1_795_167_503), Known { value: 1_795_167_504, fresh: true });
        assert_eq!(fs::read_to_string(store.folder.join("hb_generation")).unwrap(), "     1795167504\n");
        // Started again within the second, with a clock set back, and long after.
        assert_eq!(next(1_795_167_504).value, 1_795_167_505);
        assert_eq!(next(5), Known { value: 1_795_167_506, fresh: false });
        assert_eq!(next(1_800_000_000).value, 1_800_000_000);
    }

    #[test]
    fn maintenance_is_remembered_until_it_is_over() {
        let (_folder, store) = store();
        assert!(!store.maintenance().unwrap());
        store.save_maintenance(false).unwrap();
        for _ in 0..2 {
            store.save_maintenance(true).unwrap();
            assert!(Store::new(&store.folder).maintenance().unwrap());
        }
        store.save_maintenance(false).unwrap();
        assert!(!store.maintenance().unwrap());
    }

    #[test]
    fn a_link_that_somebody_planted_is_not_written_through() {
        let (folder, store) = store();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        fs::create_dir_all(&store.folder).unwrap();
        std::os::unix::fs::symlink(&victim, store.generation_file().with_extension("new")).unwrap();
        store.save_generation(1000).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(store.generation(), Some(1000));
        assert!(fs::symlink_metadata(store.generation_file()).unwrap().is_file());
    }

    #[test]
    fn a_node_restored_from_an_old_copy_is_not_behind() {
        let (_folder, store) = store();
        store.save_generation(1000).unwrap();
        assert_eq!(store.next_generation(GenerationMethod::File, 1_795_167_503).unwrap().value, 1_795_167_503);
    }

    #[test]
    fn a_generation_that_cannot_be_stored_is_no_generation_unless_it_is_the_time() {
        let (folder, _) = store();
        fs::write(folder.path().join("file"), "").unwrap();
        let store = Store::new(&folder.path().join("file"));
        assert!(store.next_generation(GenerationMethod::File, 7).is_err());
        assert_eq!(store.next_generation(GenerationMethod::Time, 7).unwrap().value, 8);
    }
}
