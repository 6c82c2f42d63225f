//! Resource scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds a resource script: `resource.d` of the folder, then /etc/init.d; a regular file that may
/// be executed (spec/heartbeat.md 2.2).
#[must_use]
pub fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join("resource.d").join(name), Path::new("/etc/init.d").join(name)]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}
