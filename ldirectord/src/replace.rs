//! `restart`: the daemon that runs gives way to the next one.
//!
//! It is asked over its socket to hand over: it takes what the file says now, so that services that are no longer in it
//! leave the table, and ends without touching the rest, which the next one finds and adopts. Connections and servers notice
//! nothing. A daemon that does not know that, or does not answer, is stopped as ever.

use std::path::Path;
use std::time::Duration;

use lvs::control::ldirectord::{Request, SPEAKS};
use lvs::diag::chain;
use lvs::ipc::{CallError, Client};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// How long it may take to read its file and to program the table.
const PATIENCE: Duration = Duration::from_secs(15);

/// Returns when the process has ended, however long that takes; `socket` is where it listens. `true` if it has left its
/// table behind.
///
/// # Errors
/// If it can neither be asked nor stopped.
pub fn replace(pid: u32, socket: &Path) -> Result<bool, Errno> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let watched = match pidfd_open(process, PidfdFlags::empty()) {
        Ok(watched) => watched,
        Err(Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error),
    };
    let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    match ask(socket) {
        Ok(()) => {
            if ended(&watched, Some(&patience))? {
                return Ok(true);
            }
            log::warn!("pid {pid} has not handed over within {} s and is stopped", PATIENCE.as_secs());
        }
        Err(why) => log::warn!("pid {pid} is stopped, as it does not hand over: {why}"),
    }
    match kill_process(process, Signal::TERM) {
        Ok(()) => ended(&watched, None).map(|_| false),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

fn ask(socket: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| chain(&e))?;
    let asked = async {
        let mut client = Client::connect(socket, SPEAKS).await.map_err(|e| chain(&e))?;
        match client.call::<()>(&Request::HandOver {}).await {
            // It may be gone before its answer is here.
            Ok(()) | Err(CallError::Lost { .. }) => Ok(()),
            Err(error) => Err(chain(&error)),
        }
    };
    // A timer is made where the runtime is.
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// Whether the process has ended, after `limit` at the latest.
fn ended(watched: &impl std::os::fd::AsFd, limit: Option<&Timespec>) -> Result<bool, Errno> {
    loop {
        match poll(&mut [PollFd::new(watched, PollFlags::IN)], limit) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
