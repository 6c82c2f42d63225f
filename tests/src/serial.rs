//! Null-modem cables: two pseudo-terminals, and a thread that carries what is written to one to the other.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::error::{Attempt, Result};

/// How long until the thread sees that it is no longer wanted.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A cable between two serial ports. Nothing arrives at an end that is not plugged in, as at a port nobody has opened.
#[derive(Debug)]
pub struct SerialCable {
    devices: [PathBuf; 2],
    /// While somebody has it open, a terminal outlives the programs that use it, as a port does.
    _open: [File; 2],
    shared: Arc<Shared>,
    carrier: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    plugged: [AtomicBool; 2],
    cut: AtomicBool,
    /// Of a hundred pieces so many are lost.
    loss: AtomicU32,
    ended: AtomicBool,
}

impl SerialCable {
    /// A cable that is plugged in nowhere.
    ///
    /// # Errors
    /// There are no pseudo-terminals.
    pub fn new() -> Result<Self> {
        let [(far, near, device), (other_far, other_near, other)] = [terminal()?, terminal()?];
        let shared = Arc::<Shared>::default();
        let carried = Arc::clone(&shared);
        let carrier = thread::spawn(move || carry([far, other_far], &carried));
        Ok(Self { devices: [device, other], _open: [near, other_near], shared, carrier: Some(carrier) })
    }

    /// The device at one end.
    #[must_use]
    pub fn device(&self, end: usize) -> &PathBuf {
        &self.devices[end]
    }

    /// Whether the port at that end is open.
    pub fn plug(&self, end: usize, plugged: bool) {
        self.shared.plugged[end].store(plugged, Ordering::SeqCst);
    }

    /// Nothing is carried any more, or again. Neither end sees that.
    pub fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
    }

    /// Of a hundred pieces so many are lost from now on. A piece is most often a whole message.
    pub fn lose(&self, percent: u32) {
        self.shared.loss.store(percent, Ordering::SeqCst);
    }
}

impl Drop for SerialCable {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(carrier) = self.carrier.take() {
            drop(carrier.join());
        }
    }
}

/// A raw terminal: what the far end is given comes out of the near one, which has the name.
fn terminal() -> Result<(File, File, PathBuf)> {
    let open = || -> std::io::Result<_> {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&far)?;
        unlockpt(&far)?;
        rustix::fs::fcntl_setfl(&far, OFlags::NONBLOCK)?;
        let device = PathBuf::from(ptsname(&far, Vec::new())?.to_string_lossy().into_owned());
        let near =
            rustix::fs::open(&device, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
        let mut settings = tcgetattr(&near)?;
        settings.make_raw();
        tcsetattr(&near, OptionalActions::Now, &settings)?;
        Ok((far.into(), near.into(), device))
    };
    open().attempt(|| "open a pseudo-terminal".into())
}

fn carry(ends: [File; 2], shared: &Shared) {
    let mut buffer = [0; 4096];
    let mut pieces: u32 = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        let mut wanted = ends.each_ref().map(|end| PollFd::new(end, PollFlags::IN));
        if poll(&mut wanted, Some(&TICK)).is_err() {
            thread::sleep(Duration::from_millis(10));
            continue;
        }
        for from in [0, 1] {
            let count = match (&ends[from]).read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            pieces = pieces.wrapping_add(1);
            // Spread over the pieces of both directions, and the same in every run.
            let lost = pieces.wrapping_mul(37) % 100 < shared.loss.load(Ordering::SeqCst);
            let carried = shared.plugged[1 - from].load(Ordering::SeqCst) && !shared.cut.load(Ordering::SeqCst);
            if carried && !lost {
                // What a port has no room for is lost, as without flow control.
                drop((&ends[1 - from]).write(&buffer[..count]));
            }
        }
    }
}
