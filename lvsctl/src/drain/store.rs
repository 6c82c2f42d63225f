//! Where it is kept which weight a drained server had: a file that only root can read, gone after a reboot
//! as the table is.
//!
//! It is replaced as a whole, so a reader never sees half of it, and changed under a lock, so that two
//! administrators do not forget each other's servers.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::Memory;

/// The file's usual place.
pub const PATH: &str = "/run/lvs/drained.json";

/// Ten thousand servers are a quarter of this, bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The memory cannot be used.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::drain::store::{PATH, Store, StoreError};
///
/// match Store::open(Path::new(PATH)) {
///     Ok(store) => println!("{} servers are drained", store.memory.drained.len()),
///     Err(StoreError::Malformed { path, .. }) => println!("{} is not ours", path.display()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {attempt} {}", path.display())]
    File {
        /// `read`, `write`, `lock`.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else wrote something into it.
    #[error("{} is not what lvsctl wrote; move it away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The memory, locked until this is dropped.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::drain::store::{PATH, Store};
///
/// let store = Store::open(Path::new(PATH))?; // nobody else has it before this is dropped
/// for drained in &store.memory.drained {
///     println!("{} had weight {}", drained.target, drained.destination.weight);
/// }
/// # Ok::<(), lvs::drain::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// What is remembered; [`Store::save`] keeps changes.
    pub memory: Memory,
    // Held for its lock.
    _lock: File,
}

impl Store {
    /// Waits for the lock and reads the file; no file means nothing is remembered.
    ///
    /// # Errors
    /// If the system refuses, or the file holds something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock_path = path.with_extension("lock");
        let failed = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::File { attempt, path, source }
        };
        if let Some(directory) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
            made.map_err(failed("make", directory))?;
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed("open", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed("lock", &lock_path)(e.into()))?;
        let mut text = Vec::new();
        let memory = match File::open(path) {
            Ok(file) => {
                file.take(LARGEST).read_to_end(&mut text).map_err(failed("read", path))?;
                serde_json::from_slice(&text)
                    .map_err(|source| StoreError::Malformed { path: path.to_owned(), source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(error) => return Err(failed("read", path)(error)),
        };
        Ok(Self { path: path.to_owned(), memory, _lock: lock })
    }

    /// Writes the memory beside the file and puts it in its place.
    ///
    /// # Errors
    /// If the system refuses; the old file is still there then.
    pub fn save(&self) -> Result<(), StoreError> {
        let fresh = self.path.with_extension("new");
        let failed = |source| StoreError::File { attempt: "write", path: self.path.clone(), source };
        // What a run that was killed left behind, or anything else of that name.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let text = serde_json::to_vec_pretty(&self.memory).map_err(|error| failed(error.into()))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        fs::rename(&fresh, &self.path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::{Drained, Target};
    use crate::ipvs::{Destination, Forward, ServiceKey};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    #[test]
    fn what_is_saved_is_there_the_next_time_and_for_root_alone() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("lvs/drained.json");
        let target =
            Target { service: ServiceKey::tcp(([10, 0, 0, 1], 80).into()), server: ([10, 1, 0, 1], 80).into() };
        let destination = Destination::new(Forward::Gate, 3);
        let drained = Drained { namespace: "net:[1]".into(), target, destination, since: 7 };
        let mut store = Store::open(&path).expect("no file is an empty memory");
        store.memory.remember(drained.clone());
        store.save().expect("written");
        drop(store);
        let store = Store::open(&path).expect("read");
        assert_eq!(store.memory.drained, [drained]);
        store.save().expect("written over the old one");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn another_file_of_that_name_is_left_alone() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("drained.json");
        fs::write(&path, "weights: 3").expect("written");
        assert!(matches!(Store::open(&path), Err(StoreError::Malformed { .. })));
        assert_eq!(fs::read_to_string(&path).expect("there"), "weights: 3");
    }
}
