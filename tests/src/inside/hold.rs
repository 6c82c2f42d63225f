//! The first process of a machine: makes its surroundings, then collects orphans until it is killed.
//!
//! When it goes the kernel kills every other process of the machine: that is how power fails here.

use crate::error::{Attempt, Result};
use crate::node::DIRECTORIES;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_move,
};
use rustix::process::{WaitOptions, wait};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// Devices a daemon may open; those that this kernel does not have are left out.
const DEVICES: [&str; 10] =
    ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "kmsg", "watchdog", "watchdog0"];

pub fn run(name: &str, directory: &str, forwards: bool) -> Result<()> {
    let directory = Path::new(directory);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .attempt(|| "keep what is mounted here from the lab".into())?;
    // Both show what they show according to who mounted them.
    for (file_system, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
        mount(file_system, at, file_system, MountFlags::empty(), None).attempt(|| format!("mount {at}"))?;
    }
    rustix::system::sethostname(name.as_bytes()).attempt(|| format!("name the machine {name}"))?;
    // An address that waits for the end of duplicate detection would only slow each story down.
    for which in ["all", "default"] {
        set(&format!("/proc/sys/net/ipv6/conf/{which}/accept_dad"), "0")?;
    }
    if forwards {
        set("/proc/sys/net/ipv4/ip_forward", "1")?;
        set("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    }
    for (place, own) in DIRECTORIES {
        fs::create_dir_all(place).attempt(|| format!("make {place}"))?;
        mount_bind(directory.join(own), place).attempt(|| format!("cover {place}"))?;
    }
    mount_bind(directory.join("hosts"), "/etc/hosts").attempt(|| "cover /etc/hosts".into())?;
    devices()?;

    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready")
        .and_then(|()| stdout.flush())
        .attempt(|| "tell the story that the machine runs".into())?;
    loop {
        // Without children there is nothing to wait for, and a first orphan may come at any time.
        if matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A /dev of the machine's own, so that its /dev/log is.
fn devices() -> Result<()> {
    let new = Path::new("/run/dev");
    fs::create_dir_all(new).attempt(|| "make /run/dev".into())?;
    mount("dev", new, "tmpfs", MountFlags::empty(), c"mode=755").attempt(|| "mount a file system for /dev".into())?;
    for device in DEVICES.iter().filter(|device| Path::new("/dev").join(device).exists()) {
        fs::write(new.join(device), "").attempt(|| format!("make a place for /dev/{device}"))?;
        mount_bind(Path::new("/dev").join(device), new.join(device)).attempt(|| format!("bind /dev/{device}"))?;
    }
    for directory in ["pts", "shm"] {
        fs::create_dir(new.join(directory)).attempt(|| format!("make a place for /dev/{directory}"))?;
    }
    if Path::new("/dev/pts").is_dir() {
        mount_bind_recursive("/dev/pts", new.join("pts")).attempt(|| "bind /dev/pts".into())?;
    }
    for (link, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(format!("/proc/self/{target}"), new.join(link)).attempt(|| format!("link /dev/{link}"))?;
    }
    mount_move(new, "/dev").attempt(|| "cover /dev".into())?;
    fs::remove_dir(new).attempt(|| "remove /run/dev".into())
}

fn set(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).attempt(|| format!("write {value} to {path}"))
}
