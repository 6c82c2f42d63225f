//! A serial line: messages in heartbeat's classic text form, one after the other (spec/heartbeat.md 4.1, 4.3).
//!
//! heartbeat passes on what it hears, so that nodes can form a ring. Here a cluster has two nodes: what one of them hears
//! is from the other or its own, and there is nobody to pass it on to. What comes back to its sender is not listened to.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use rustix::fs::OFlags;
use tokio::io::unix::AsyncFd;

use crate::config::SerialLine;

/// No message over a serial line is longer; heartbeat reads lines of 5120 bytes.
const LONGEST: usize = 16 * 1024;
/// What waits to be written: a line that is cut takes nothing, and what is older than a few messages is worth nothing.
const MOST_WAITING: usize = 8 * 1024;
const START: &[u8] = b">>>\n";
const END: &[u8] = b"\n<<<\n";

/// An open line.
#[derive(Debug)]
pub(super) struct Port {
    line: AsyncFd<File>,
    incoming: Incoming,
    outgoing: VecDeque<u8>,
    /// It was hung up, or its device is gone.
    broken: bool,
}

/// Messages out of a stream of bytes that may begin anywhere.
#[derive(Debug, Default)]
pub(super) struct Incoming(Vec<u8>);

impl Incoming {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next complete message. What stands before it is dropped, and so is what cannot become one any more.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = find(&self.0, END).map(|at| at + END.len()) else {
                if self.0.len() > LONGEST {
                    let keep = self.0.len() - END.len();
                    self.0.drain(..keep);
                }
                return None;
            };
            // One that lost its end is followed by the start of the next one: the last start counts.
            let start = rfind(&self.0[..end], START);
            let message = start.map(|start| self.0[start..end].to_vec());
            self.0.drain(..end);
            if message.is_some() {
                return message;
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

impl Port {
    /// Opens the device and makes it raw, at its speed, with hardware flow control.
    pub(super) fn open(line: &SerialLine) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let device = OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(&line.device)?;
        // A process for a moment, when a line is opened: the call itself is in no crate that is used.
        let set = Command::new("stty")
            .args([&line.baud.to_string(), "raw", "-echo", "crtscts", "clocal", "-hupcl"])
            .stdin(device.try_clone()?)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        if !set.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&set.stderr).trim().to_owned()));
        }
        let line = AsyncFd::new(device)?;
        Ok(Self { line, incoming: Incoming::default(), outgoing: VecDeque::new(), broken: false })
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes what the line takes now and keeps the rest for the next call. Never waits.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.flush()?;
        if self.outgoing.len() + message.len() > MOST_WAITING {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the line takes nothing: is its cable plugged in?"));
        }
        self.outgoing.extend(message);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let (bytes, _) = self.outgoing.as_slices();
            match self.line.get_ref().write(bytes) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.broken = true;
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.broken {
            return Poll::Pending;
        }
        // The state is kept until `take` has read the line dry.
        self.line.poll_read_ready(context).map(drop)
    }

    /// The next message that has arrived.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.incoming.next() {
                return Some(message);
            }
            if self.broken {
                return None;
            }
            let mut chunk = [0; 4096];
            match self.line.try_io(tokio::io::Interest::READABLE, |mut device| device.read(&mut chunk)) {
                // Without the other end of a pseudo-terminal, or of a device that was unplugged.
                Ok(0) => self.broken = true,
                Ok(length) => self.incoming.push(&chunk[..length]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(incoming: &mut Incoming) -> Vec<String> {
        std::iter::from_fn(|| incoming.next()).map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn messages_are_found_wherever_the_stream_is_cut_and_whatever_stands_between() {
        let stream = b"oise\n<<<\n>>>\nt=a\n<<<\n\0>>>\nt=b\n<<<\n\x07>>>\nlost its e>>>\nt=c\n<<<\n>>>\nt=d";
        for size in [1, 2, 3, 5, 64, 1000] {
            let mut incoming = Incoming::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                incoming.push(piece);
                found.append(&mut all(&mut incoming));
            }
            assert_eq!(found, [">>>\nt=a\n<<<\n", ">>>\nt=b\n<<<\n", ">>>\nt=c\n<<<\n"], "{size}");
        }
    }

    #[test]
    fn a_line_of_noise_takes_no_memory() {
        let mut incoming = Incoming::default();
        for _ in 0..1000 {
            incoming.push(&[b'x'; 4096]);
            assert_eq!(incoming.next(), None);
            assert!(incoming.0.len() <= LONGEST + 4096);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut incoming = Incoming::default();
            for piece in pieces {
                incoming.push(&piece);
                while let Some(message) = incoming.next() {
                    prop_assert!(message.starts_with(START) && message.ends_with(END));
                }
            }
        }
    }
}
