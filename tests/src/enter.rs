//! Starting programs in the namespaces of a machine, without `nsenter` and `unshare`: each of them costs an emulated guest
//! a tenth of a second.
//!
//! A thread of its own goes there, starts the program, which inherits where it is, and ends.

use crate::error::{Attempt, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};
use std::io;
use std::panic::resume_unwind;
use std::process::{Child, Command};
use std::thread;

/// What a machine has for itself.
const OWN: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::NETWORK)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::PROCESS_ID);

/// Starts `command` as the first process of a machine.
pub(crate) fn spawn_first(command: Command) -> Result<Child> {
    spawn_after(command, || {
        leave(
            UnshareFlags::NEWNS
                | UnshareFlags::NEWNET
                | UnshareFlags::NEWUTS
                | UnshareFlags::NEWIPC
                | UnshareFlags::NEWPID,
        )
    })
}

/// Starts `command` in the machine with this first process. Its working directory is `/`.
pub(crate) fn spawn(first: Pid, command: Command) -> Result<Child> {
    spawn_after(command, move || {
        // Threads share their root and working directory, and those who share cannot go to another mount namespace.
        leave(UnshareFlags::FS)?;
        move_into_thread_name_spaces(rustix::fd::AsFd::as_fd(&pidfd_open(first, PidfdFlags::empty())?), OWN)
    })
}

/// Starts `command` in the network of that machine; it keeps our files and process numbers.
pub(crate) fn spawn_in_network(first: Pid, command: Command) -> Result<Child> {
    spawn_after(command, move || go_to_network(first))
}

/// Does something on a thread that is in the network of that machine. If it panics, so does the caller.
pub(crate) fn in_network<T: Send>(first: Pid, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            go_to_network(first)?;
            Ok(work())
        });
        there.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn go_to_network(first: Pid) -> rustix::io::Result<()> {
    let machine = pidfd_open(first, PidfdFlags::empty())?;
    move_into_thread_name_spaces(rustix::fd::AsFd::as_fd(&machine), ThreadNameSpaceType::NETWORK)
}

fn spawn_after(mut command: Command, go: impl FnOnce() -> rustix::io::Result<()> + Send) -> Result<Child> {
    let line = words(&command);
    let spawned = thread::scope(|scope| {
        let there = scope.spawn(|| -> io::Result<Child> {
            go()?;
            command.spawn()
        });
        there.join().expect("a thread without panics")
    });
    spawned.attempt(|| format!("start `{line}` in a machine"))
}

/// Gives the calling thread what it shared so far.
fn leave(shared: UnshareFlags) -> rustix::io::Result<()> {
    #[expect(deprecated, reason = "it is so because of FILES, which nobody here asks for")]
    rustix::thread::unshare(shared)
}

/// Program and arguments, for people.
pub(crate) fn words(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
