//! What makes a program a daemon: going to the background and saying when it is ready, its
//! pid file, its log, its signals, the sockets it is given, and the privileges it keeps.

pub mod activation;
pub mod detach;
pub mod file;
pub mod logging;
pub mod pidfile;
pub mod privilege;
pub mod signals;
mod start;

pub use start::StartError;

use std::fs;

/// The node name: what `uname -n` prints.
#[must_use]
pub fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A fresh number for ids that only have to differ, from the kernel's random pool.
///
/// # Errors
/// If /dev/urandom cannot be read.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    use std::io::Read;
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
