//! The one call of a watchdog device that no crate in use has; without it the device's own minute holds.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `WDIOC_SETTIMEOUT` (linux/watchdog.h).
const SET_TIMEOUT: Opcode = opcode::read_write::<i32>(b'W', 6);

/// Asks for a time in seconds; what the device made of it.
pub fn set(device: &File, seconds: u32) -> io::Result<u32> {
    let mut value = i32::try_from(seconds).unwrap_or(i32::MAX);
    // SAFETY: the call reads and writes one int, which `value` is, and keeps no pointer to it.
    unsafe { ioctl(device, Updater::<SET_TIMEOUT, i32>::new(&mut value)) }?;
    Ok(u32::try_from(value).unwrap_or(seconds))
}
