//! Sockets that the service manager opens before the daemon is there (`sd_listen_fds(3)`).

use std::io;
use std::os::unix::net::UnixListener;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The listening socket that was handed to this process; `None` if none was.
///
/// # Errors
/// If there are several, the variables make no sense, or the kernel, before 5.6, has no way to take it.
pub fn inherited() -> io::Result<Option<UnixListener>> {
    let mut numbers = sd_notify::listen_fds()?;
    let Some(number) = numbers.next() else { return Ok(None) };
    if numbers.len() > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the service manager passed more than one socket"));
    }
    // A number is no descriptor that Rust could vouch for. One that is fetched like another process's is.
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(Some(pidfd_getfd(this, number, PidfdGetfdFlags::empty())?.into()))
}
