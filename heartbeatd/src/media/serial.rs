//! Heartbeats over a serial line (spec/heartbeat.md 4.1).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::task::Context;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, tcdrain, tcflush, tcgetattr, tcsetattr,
};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::error::OpenError;
use super::outbox::Outbox;
use crate::config::Line;
use crate::wire::stream::Splitter;

/// As much as is read at once.
const CHUNK: usize = 4096;
/// A device that is away is looked for that often in the end.
const SELDOM: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_secs(1);

/// An open line. Of the pipes in the types nothing is used but that they are read, and written.
#[derive(Debug)]
pub(super) struct Port {
    reader: Receiver,
    writer: Sender,
    outbox: Outbox,
    splitter: Splitter,
}

/// What reading has come to.
#[derive(Debug)]
pub(super) enum Got {
    /// A message, or noise.
    Piece(Vec<u8>),
    /// Some bytes, and more may be there.
    Part,
    /// Nothing is there.
    Nothing,
}

/// What writing has come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Messages that the line has taken whole.
    pub(super) sent: u64,
    /// Messages that were given up.
    pub(super) dropped: u64,
}

/// A line that is being opened. The driver of an adapter that has been pulled out can take its time, so this is done
/// beside the loop.
#[derive(Debug)]
pub(super) struct Opening(mpsc::Receiver<Result<OwnedFd, OpenError>>);

impl Opening {
    pub(super) fn begin(line: &Line) -> Self {
        let (done, opening) = mpsc::sync_channel(1);
        let line = line.clone();
        // Nobody wants it any more if this program has ended meanwhile.
        tokio::task::spawn_blocking(move || drop(done.send(open(&line))));
        Self(opening)
    }

    /// The open line, once it is.
    pub(super) fn ended(&self, device: &str) -> Option<Result<Port, OpenError>> {
        let opened = match self.0.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(mpsc::TryRecvError::Disconnected) => Err(hung_up(device)(io::ErrorKind::BrokenPipe.into())),
            Ok(opened) => opened,
        };
        Some(opened.and_then(|line| Port::new(line).map_err(cannot(device, "listen on"))))
    }
}

fn cannot(device: &str, what: &str) -> impl FnOnce(io::Error) -> OpenError {
    let what = format!("{what} {device}");
    move |source| OpenError::Kernel { what, source }
}

/// What is made of the error that ended a line.
pub(super) fn hung_up(device: &str) -> impl FnOnce(io::Error) -> OpenError {
    let device = device.to_owned();
    move |source| OpenError::HungUp { device, source }
}

fn open(line: &Line) -> Result<OwnedFd, OpenError> {
    let device = line.device.as_str();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(device, flags, Mode::empty()).map_err(|e| cannot(device, "open")(e.into()))?;
    // Two that read from one line each get half of what is said.
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| match e {
        rustix::io::Errno::WOULDBLOCK => OpenError::InUse(device.to_owned()),
        e => cannot(device, "lock")(e.into()),
    })?;
    set_up(&file, line.baud).map_err(cannot(device, "set up"))?;
    Ok(file)
}

/// Raw, eight bits, no parity, one stop bit, RTS/CTS, whatever a modem says.
fn set_up(file: &OwnedFd, baud: u32) -> io::Result<()> {
    let mut settings = tcgetattr(file)?;
    settings.make_raw();
    // A sender that is switched on breaks the line.
    settings.input_modes.insert(InputModes::IGNBRK);
    settings.input_modes.remove(InputModes::IXOFF | InputModes::IXANY | InputModes::INPCK);
    settings.control_modes.remove(ControlModes::CSTOPB);
    settings.control_modes.insert(ControlModes::CREAD | ControlModes::CLOCAL | ControlModes::CRTSCTS);
    settings.set_speed(baud)?;
    // Not after what is still to leave: that may be never.
    tcsetattr(file, OptionalActions::Now, &settings)?;
    tcflush(file, QueueSelector::IOFlush)?;
    Ok(())
}

impl Port {
    fn new(line: OwnedFd) -> io::Result<Self> {
        let reader = Receiver::from_owned_fd_unchecked(line.try_clone()?)?;
        let writer = Sender::from_owned_fd_unchecked(line)?;
        Ok(Self { reader, writer, outbox: Outbox::new(), splitter: Splitter::new() })
    }

    /// Hands over what has arrived, after at most one look at the line.
    ///
    /// # Errors
    /// It has been hung up.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        if let Some(piece) = self.splitter.take() {
            return Ok(Got::Piece(piece));
        }
        let room = buffer.len().min(CHUNK);
        let room = &mut buffer[..room];
        match self.reader.try_read(room) {
            // A terminal without bytes would say that it has none.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.splitter.push(&room[..count]);
                Ok(self.splitter.take().map_or(Got::Part, Got::Piece))
            }
            Err(e) if is_passing(&e) => Ok(Got::Nothing),
            Err(e) => Err(e),
        }
    }

    /// Sends a message, or keeps it until the line takes it.
    ///
    /// # Errors
    /// The line has been hung up.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<Left> {
        let dropped = self.outbox.push(message);
        let Left { sent, .. } = self.flush()?;
        Ok(Left { sent, dropped })
    }

    /// Sends what waits, as far as the line takes it.
    ///
    /// # Errors
    /// The line has been hung up.
    pub(super) fn flush(&mut self) -> io::Result<Left> {
        let mut sent = 0;
        while let Some(bytes) = self.outbox.next() {
            match self.writer.try_write(bytes) {
                Ok(0) => break,
                Ok(count) => sent += u64::from(self.outbox.took(count)),
                Err(e) if is_passing(&e) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(Left { sent, dropped: 0 })
    }

    /// Sends what waits, and gives it up where nothing has left for too long. To be called about once a second.
    ///
    /// # Errors
    /// The line has been hung up.
    pub(super) fn keep_moving(&mut self, now: Instant) -> io::Result<Left> {
        let Left { sent, .. } = self.flush()?;
        if !self.outbox.is_stalled(now) {
            return Ok(Left { sent, dropped: 0 });
        }
        // What the kernel has taken would be the first to arrive when the line works again.
        tcflush(&self.writer, QueueSelector::OFlush)?;
        Ok(Left { sent, dropped: self.outbox.clear() })
    }

    /// Waits until everything has left, which may be for ever.
    pub(super) async fn drain(&mut self) {
        while self.outbox.next().is_some() {
            if self.writer.writable().await.is_err() || self.flush().is_err() {
                return;
            }
        }
        // The last of it is in the kernel still.
        if let Ok(line) = self.writer.as_fd().try_clone_to_owned() {
            let _ = tokio::task::spawn_blocking(move || tcdrain(line)).await;
        }
    }

    /// Whether there is something to read, or room for what waits. Wakes the task later if not.
    pub(super) fn poll_ready(&self, context: &mut Context) -> bool {
        // An error is for the reader to see.
        self.splitter.is_ready()
            || self.reader.poll_read_ready(context).is_ready()
            || self.outbox.next().is_some() && self.writer.poll_write_ready(context).is_ready()
    }
}

impl Drop for Port {
    /// The kernel waits up to half a minute in `close` for what a line does not take.
    fn drop(&mut self) {
        // Of a line that has been hung up nothing is left.
        let _ = tcflush(&self.writer, QueueSelector::IOFlush);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// When a line that could not be opened, or was hung up, is tried again.
#[derive(Debug)]
pub(super) struct Patience {
    wait: Duration,
    next: Option<Instant>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { wait: OFTEN, next: None }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    pub(super) fn tried(&mut self, now: Instant) {
        self.next = Some(now + self.wait);
        self.wait = (self.wait * 2).min(SELDOM);
    }

    /// Something was heard.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_tried_again_ever_more_seldom_until_it_is_heard() {
        let mut patience = Patience::new();
        let mut now = Instant::now();
        assert!(patience.is_over(now));
        for seconds in [1, 2, 4, 8, 10, 10] {
            patience.tried(now);
            assert!(!patience.is_over(now + Duration::from_millis(seconds * 1000 - 1)));
            now += Duration::from_secs(seconds);
            assert!(patience.is_over(now));
        }
        patience.renew();
        patience.tried(now);
        assert!(patience.is_over(now + OFTEN));
    }
}
