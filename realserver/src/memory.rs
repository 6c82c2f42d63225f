//! The file in which [`Memory`] outlives the program that made the changes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::plan::Memory;

/// Where it is, unless the command line says otherwise. In `/run`, because what it remembers ends
/// with the next boot as well.
pub const PATH: &str = "/run/lvs/realserver.state";

/// A longer file is not ours, bytes.
const MAX: u64 = 64 * 1024;

/// The memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged; remove it if the ARP settings need not be put back", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        source: serde_json::Error,
    },
    /// It cannot be written or removed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What is remembered; nothing if there is no file.
///
/// # Errors
/// If the file cannot be read or is not one of ours.
pub fn load(path: &Path) -> Result<Memory, MemoryError> {
    let unreadable = |source| MemoryError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(e) => return Err(unreadable(e)),
    };
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|source| MemoryError::Damaged { path: path.to_owned(), source })
}

/// Replaces the file: there is the old one or the new one, at any moment.
///
/// # Errors
/// If it cannot be written.
pub fn store(path: &Path, memory: &Memory) -> Result<(), MemoryError> {
    let text = serde_json::to_string(memory).expect("addresses and numbers");
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = File::create(&beside)?;
        writeln!(file, "{text}")?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| MemoryError::Write { path: path.to_owned(), source })
}

/// Removes the file, if there is one.
///
/// # Errors
/// If it cannot be removed.
pub fn forget(path: &Path) -> Result<(), MemoryError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(MemoryError::Write { path: path.to_owned(), source: e }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Setting;

    #[test]
    fn what_is_stored_is_loaded_and_can_be_read_by_people() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("below/realserver.state");
        assert_eq!(load(&path).expect("no file is no error"), Memory::default());
        let memory = Memory {
            addresses: ["192.168.60.200".parse().expect("an address")].into(),
            settings: [(Setting::AllArpIgnore, 2)].into(),
        };
        store(&path, &memory).expect("written");
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text, "{\"addresses\":[\"192.168.60.200\"],\"settings\":{\"net.ipv4.conf.all.arp_ignore\":2}}\n");
        assert_eq!(load(&path).expect("readable"), memory);
        forget(&path).expect("removed");
        forget(&path).expect("removing twice is no error");
        assert_eq!(fs::read_dir(path.parent().expect("below")).expect("a directory").count(), 0);
    }

    #[test]
    fn a_damaged_or_endless_file_is_refused_and_left_where_it_is() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("realserver.state");
        let settings_of_others = r#"{"addresses":[],"settings":{"kernel.sysrq":1}}"#.to_owned();
        for text in ["{".to_owned(), " ".repeat(70_000) + "{}", settings_of_others] {
            fs::write(&path, &text).expect("written");
            assert!(matches!(load(&path), Err(MemoryError::Damaged { .. })));
            assert!(path.exists());
        }
    }
}
