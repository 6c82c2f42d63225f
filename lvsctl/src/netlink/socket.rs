//! A netlink socket: requests out, answers in, matched by sequence number.
//!
//! The kernel handles a request inside the send, so an answer that is not in the socket
//! afterwards will never come. Reads therefore never wait.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_sys::SocketAddr;

use super::message::write_message;
use super::reading::{Arrival, Reading, Source};

/// The kernel builds dump messages of up to 32 KiB once it has seen reads of that size.
const READ: usize = 64 * 1024;
/// Room for the answers to a whole batch that failed, with much to spare.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// A dump that others disturbed is read this often in all.
pub const DUMP_ATTEMPTS: usize = 5;

/// A request that has no useful answer.
///
/// ```
/// use lvs::netlink::RequestError;
///
/// /// Whether the same question may be answered the next time.
/// fn is_passing(error: &RequestError) -> bool {
///     matches!(error, RequestError::Lost | RequestError::Disturbed)
/// }
/// # assert!(is_passing(&RequestError::Lost));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request did not reach the kernel.
    #[error("cannot send a netlink request")]
    Send(#[source] io::Error),
    /// The answer could not be read.
    #[error("cannot read the kernel's netlink answer")]
    Receive(#[source] io::Error),
    /// The answer did not fit into the socket or the buffer.
    #[error("the kernel's netlink answer was lost or cut short; ask again")]
    Lost,
    /// The table changed during each of several dumps.
    #[error("the kernel's list kept changing while it was read; ask again")]
    Disturbed,
    /// The kernel said no.
    #[error("the kernel refuses to {what}")]
    Refused {
        /// What was asked: "list the virtual services".
        what: String,
        /// The kernel's errno as an error.
        source: io::Error,
    },
    /// The thread that talks to the kernel has died; it does so only with a defect in the program.
    #[error("the thread that talks to the kernel has died")]
    Gone,
    /// The answer lacks something it must have.
    #[error("the kernel's netlink answer makes no sense: {0}")]
    Malformed(&'static str),
}

impl RequestError {
    /// The kernel's errno, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Send(source) | Self::Receive(source) | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Lost | Self::Disturbed | Self::Gone | Self::Malformed(_) => None,
        }
    }

    pub(super) fn refused(what: &dyn fmt::Display, errno: i32) -> Self {
        Self::Refused { what: what.to_string(), source: io::Error::from_raw_os_error(errno) }
    }
}

/// A socket to one netlink protocol of the kernel.
#[derive(Debug)]
pub(super) struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    out: Vec<u8>,
    received: Vec<u8>,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Socket {
    /// Opens a socket in this thread's network namespace.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(protocol)?;
        inner.bind_auto()?;
        inner.connect(&SocketAddr::new(0, 0))?;
        // Errors without the request that they answer: the sequence number tells.
        inner.set_cap_ack(true)?;
        // The privileged call goes past net.core.rmem_max; the other is as good as it gets.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&inner, RECEIVE_BUFFER).is_err() {
            rustix::net::sockopt::set_socket_recv_buffer_size(&inner, RECEIVE_BUFFER)?;
        }
        Ok(Self { inner, sequence: 0, out: Vec::new(), received: Vec::with_capacity(READ) })
    }

    /// Reserves `count` sequence numbers and returns the first.
    pub fn reserve(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// The sequence number of the next request.
    pub fn next_sequence(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// Sends what `build` appends to an empty buffer, in one datagram.
    pub fn send(&mut self, build: impl FnOnce(&mut Vec<u8>)) -> Result<(), RequestError> {
        self.out.clear();
        build(&mut self.out);
        self.transmit(&self.out)
    }

    /// Sends messages that are complete, in one datagram.
    pub fn transmit(&self, messages: &[u8]) -> Result<(), RequestError> {
        loop {
            match self.inner.send(messages, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RequestError::Send(error)),
            }
        }
    }

    /// One request with one answer, or only an acknowledgement.
    ///
    /// `take` sees each part of the answer: its message type and payload.
    pub fn request(
        &mut self,
        what: &dyn fmt::Display,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Vec<u8>),
        take: impl FnMut(u16, &[u8]) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let sequence = self.reserve(1);
        self.send(|out| write_message(out, kind, flags | NLM_F_ACK, sequence, body))?;
        Reading::of(sequence).read_to_end(self, what, take)
    }

    /// Asks for a dump; what it sends is still to be read.
    pub fn start_dump(&mut self, kind: u16, body: impl FnOnce(&mut Vec<u8>)) -> Result<Reading, RequestError> {
        let sequence = self.reserve(1);
        self.send(|out| write_message(out, kind, NLM_F_DUMP, sequence, body))?;
        Ok(Reading::of(sequence))
    }

    /// A dump: each message becomes a value, or is none of ours.
    ///
    /// Read again when the kernel says that others changed the list meanwhile.
    pub fn dump<T>(
        &mut self,
        what: &dyn fmt::Display,
        kind: u16,
        body: impl Fn(&mut Vec<u8>),
        parse: impl Fn(u16, &[u8]) -> Result<Option<T>, RequestError>,
    ) -> Result<Vec<T>, RequestError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut reading = self.start_dump(kind, &body)?;
            let mut found = Vec::new();
            reading.read_to_end(self, what, |kind, payload| {
                found.extend(parse(kind, payload)?);
                Ok(())
            })?;
            if !reading.disturbed() {
                return Ok(found);
            }
        }
        Err(RequestError::Disturbed)
    }
}

/// Reads do not wait.
impl Source for Socket {
    fn advance(&mut self) -> Result<Arrival, RequestError> {
        let length = loop {
            self.received.clear();
            match self.inner.recv(&mut self.received, libc::MSG_TRUNC | libc::MSG_DONTWAIT) {
                Ok(length) => break length,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => return Ok(Arrival::Nothing),
                    Some(libc::ENOBUFS) => return Ok(Arrival::Overrun),
                    _ => return Err(RequestError::Receive(error)),
                },
            }
        };
        Ok(if length > self.received.len() { Arrival::Overrun } else { Arrival::Datagram })
    }

    fn current(&self) -> &[u8] {
        &self.received
    }

    fn drain(&mut self) {
        // No more datagrams fit into the buffer than it has bytes.
        for _ in 0..RECEIVE_BUFFER {
            let left = rustix::net::recv(&self.inner, &mut [0_u8; 16][..], rustix::net::RecvFlags::DONTWAIT);
            match left {
                Ok(_) | Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
