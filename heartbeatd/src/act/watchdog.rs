//! A watchdog device: a machine whose main loop stands still is reset by it (spec/heartbeat.md 7.5).

mod timeout;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As heartbeat has it: the device resets the machine a moment after the other node has declared it dead.
const MARGIN: Duration = Duration::from_millis(10);
/// What is written before the device is closed, so that it does not go off.
const MAGIC_CLOSE: &[u8] = b"V";

/// An open device. Dropped without [`Self::close`], as when the program dies, it goes off.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    path: PathBuf,
    every: Duration,
    next: Instant,
    failed: bool,
}

/// Whole seconds after which the device goes off.
#[must_use]
pub fn seconds(deadtime: Duration) -> u32 {
    let whole = (deadtime + MARGIN).as_millis().div_ceil(1000);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

impl Watchdog {
    /// Opens the device, which counts from then on.
    ///
    /// # Errors
    /// It is not there, or in use by another program.
    pub fn open(path: &Path, deadtime: Duration, now: Instant) -> io::Result<Self> {
        let device = OpenOptions::new().write(true).open(path)?;
        let wanted = seconds(deadtime);
        let granted = match timeout::set(&device, wanted) {
            Ok(granted) => granted,
            Err(e) => {
                log::warn!("{}: cannot be set to {wanted} s ({e}): its own time holds", path.display());
                wanted
            }
        };
        log::info!("Using watchdog device: {}, {granted} s", path.display());
        let mut this = Self {
            device,
            path: path.to_owned(),
            every: Duration::from_millis(u64::from(granted.max(1)) * 1000 / 5),
            next: now,
            failed: false,
        };
        this.alive(now);
        Ok(this)
    }

    /// The main loop has come round. To be called from nowhere else.
    pub fn alive(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        match self.device.write_all(b"\0") {
            Ok(()) => self.failed = false,
            Err(e) if !std::mem::replace(&mut self.failed, true) => {
                log::error!("cannot write to {}: {e}: the machine may be reset", self.path.display());
            }
            Err(_) => {}
        }
    }

    /// When [`Self::alive`] is due again.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// An orderly end: the device stops counting, unless its driver was told never to.
    pub fn close(mut self) {
        if let Err(e) = self.device.write_all(MAGIC_CLOSE) {
            log::error!("cannot stop {}: {e}: the machine will be reset", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_off_a_moment_after_the_death() {
        let deadtimes = [(100, 1), (1000, 2), (1990, 2), (1991, 3), (30_000, 31)];
        for (deadtime, wanted) in deadtimes {
            assert_eq!(seconds(Duration::from_millis(deadtime)), wanted, "{deadtime} ms");
        }
    }

    #[test]
    fn only_the_loop_keeps_it_quiet_and_an_orderly_end_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        std::fs::write(&path, "").unwrap();
        let now = Instant::now();
        // A file has no time that could be set; the one that was wanted holds.
        let mut watchdog = Watchdog::open(&path, Duration::from_secs(1), now).unwrap();
        let written = || std::fs::read(&path).unwrap();
        assert_eq!(written(), b"\0");
        watchdog.alive(now + Duration::from_millis(399));
        assert_eq!(written().len(), 1);
        watchdog.alive(now + Duration::from_millis(400));
        assert_eq!((written().len(), watchdog.deadline()), (2, now + Duration::from_millis(800)));
        watchdog.close();
        assert_eq!(written(), b"\0\0V");
        std::fs::write(&path, "").unwrap();
        let died = Watchdog::open(&path, Duration::from_secs(1), now).unwrap();
        drop(died);
        assert_eq!(written(), b"\0");
    }
}
