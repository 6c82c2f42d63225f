//! A file that lines are appended to, opened and closed for every line so that it may be renamed
//! at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Such a file.
#[derive(Debug)]
pub struct Appended {
    path: PathBuf,
    /// Open since before privileges were given up: whoever we became may not open it again.
    open: Option<File>,
}

impl Appended {
    /// Opened now, and created if need be.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { path: path.to_owned(), open: Some(open) })
    }

    /// Opened with its first line.
    #[must_use]
    pub fn later(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line; the newline is added.
    ///
    /// # Errors
    /// If the file cannot be opened or written.
    pub fn append(&mut self, line: &str) -> io::Result<()> {
        // One write, so that lines of several processes do not mix.
        let line = format!("{line}\n");
        match (OpenOptions::new().append(true).create(true).open(&self.path), &mut self.open) {
            (Ok(mut file), _) => file.write_all(line.as_bytes()),
            (Err(error), Some(file)) if error.kind() == io::ErrorKind::PermissionDenied => {
                file.write_all(line.as_bytes())
            }
            (Err(error), _) => Err(error),
        }
    }
}
