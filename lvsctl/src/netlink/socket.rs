//! A netlink socket: requests out, answers in, matched by sequence number.
//!
//! The kernel handles a request inside the send, so an answer that is not in the socket
//! afterwards will never come. Reads therefore never wait.

use std::fmt;
use std::io;
use std::num::NonZeroI32;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader,
};
use netlink_sys::SocketAddr;

/// The kernel builds dump messages of up to 32 KiB once it has seen reads of that size.
const READ: usize = 64 * 1024;
/// Room for the answers to a whole batch that failed, with much to spare.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// A dump that others disturbed is read again this often.
const DUMP_ATTEMPTS: usize = 5;

/// A request that has no useful answer.
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
            Self::Lost | Self::Disturbed | Self::Malformed(_) => None,
        }
    }

    fn refused(what: &dyn fmt::Display, errno: i32) -> Self {
        Self::Refused { what: what.to_string(), source: io::Error::from_raw_os_error(errno) }
    }
}

/// One message of a datagram.
#[derive(Debug)]
pub struct Message<'a> {
    pub sequence: u32,
    pub kind: u16,
    pub disturbed: bool,
    pub payload: &'a [u8],
}

/// What a message means to whoever asked.
#[derive(Debug)]
pub enum Answer<'a> {
    /// Part of the answer: message type and payload.
    Part(u16, &'a [u8]),
    /// End of a dump, or an acknowledgement.
    Done,
    /// The errno, positive.
    Error(i32),
    /// Padding, or something about the socket itself.
    Nothing,
}

impl<'a> Message<'a> {
    pub fn answer(&self) -> Answer<'a> {
        let errno =
            |code: Option<NonZeroI32>| code.map_or(Answer::Done, |code| Answer::Error(code.get().saturating_neg()));
        match self.kind {
            NLMSG_ERROR => match ErrorBuffer::new_checked(self.payload) {
                Ok(error) => errno(error.code()),
                Err(_) => Answer::Error(libc::EBADMSG),
            },
            // Carries the dump's result in the place where an error has its code.
            NLMSG_DONE => ErrorBuffer::new_checked(self.payload).map_or(Answer::Done, |done| errno(done.code())),
            NLMSG_NOOP | NLMSG_OVERRUN => Answer::Nothing,
            kind => Answer::Part(kind, self.payload),
        }
    }
}

/// The messages of one datagram, up to the first that claims to be longer than what is left.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = message.length() as usize;
        let parsed = Message {
            sequence: message.sequence_number(),
            kind: message.message_type(),
            disturbed: message.flags() & NLM_F_DUMP_INTR != 0,
            payload: message.payload(),
        };
        datagram = datagram.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
        Some(parsed)
    })
}

/// Appends a message: header, then whatever `body` appends.
pub fn write_message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let mut header = NetlinkHeader::default();
    out.resize(start + header.buffer_len(), 0);
    body(out);
    header.length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = flags | NLM_F_REQUEST;
    header.sequence_number = sequence;
    header.emit(&mut out[start..]);
    out.resize(out.len().next_multiple_of(usize::from(NLMSG_ALIGNTO)), 0);
}

/// What was in the socket.
#[derive(Debug)]
pub enum Received<'a> {
    /// One or more messages.
    Datagram(&'a [u8]),
    /// Something did not fit and is gone; what fitted is still to be read.
    Overrun,
    /// Nothing, and nothing will come before the next request.
    Nothing,
}

/// A socket to one netlink protocol of the kernel.
#[derive(Debug)]
pub struct Socket {
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

    /// Sends what `build` appends to an empty buffer, in one datagram.
    pub fn send(&mut self, build: impl FnOnce(&mut Vec<u8>)) -> Result<(), RequestError> {
        self.out.clear();
        build(&mut self.out);
        loop {
            match self.inner.send(&self.out, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RequestError::Send(error)),
            }
        }
    }

    /// The next datagram. Does not wait.
    pub fn receive(&mut self) -> Result<Received<'_>, RequestError> {
        let length = loop {
            self.received.clear();
            match self.inner.recv(&mut self.received, libc::MSG_TRUNC | libc::MSG_DONTWAIT) {
                Ok(length) => break length,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => return Ok(Received::Nothing),
                    Some(libc::ENOBUFS) => return Ok(Received::Overrun),
                    _ => return Err(RequestError::Receive(error)),
                },
            }
        };
        Ok(if length > self.received.len() { Received::Overrun } else { Received::Datagram(&self.received) })
    }

    /// Throws away what is left of an answer, so that a congested socket hears again.
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
        self.answers(what, sequence, take).map(|_| ())
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
            let sequence = self.reserve(1);
            self.send(|out| write_message(out, kind, NLM_F_DUMP, sequence, &body))?;
            let mut found = Vec::new();
            let whole = self.answers(what, sequence, |kind, payload| {
                found.extend(parse(kind, payload)?);
                Ok(())
            })?;
            if whole {
                return Ok(found);
            }
        }
        Err(RequestError::Disturbed)
    }

    /// Reads until the request is answered; whether the answer is undisturbed.
    fn answers(
        &mut self,
        what: &dyn fmt::Display,
        sequence: u32,
        mut take: impl FnMut(u16, &[u8]) -> Result<(), RequestError>,
    ) -> Result<bool, RequestError> {
        let mut whole = true;
        // The first thing in the answer that makes no sense, told when the answer has been read to its end.
        let mut taken = Ok(());
        loop {
            let datagram = match self.receive()? {
                Received::Datagram(datagram) => datagram,
                Received::Overrun | Received::Nothing => {
                    self.drain();
                    return Err(RequestError::Lost);
                }
            };
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                whole &= !message.disturbed;
                match message.answer() {
                    Answer::Part(kind, payload) => taken = taken.and_then(|()| take(kind, payload)),
                    Answer::Done => return taken.map(|()| whole),
                    Answer::Error(errno) => return Err(RequestError::refused(what, errno)),
                    Answer::Nothing => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_of_a_batch_are_told_apart() {
        let mut out = Vec::new();
        write_message(&mut out, 17, 0, 1, |body| body.extend_from_slice(&[1, 2, 3]));
        write_message(&mut out, 18, NLM_F_ACK, 2, |body| body.extend_from_slice(&[4]));
        let read: Vec<_> = messages(&out).map(|m| (m.sequence, m.kind, m.payload.to_vec())).collect();
        assert_eq!(read, [(1, 17, vec![1, 2, 3]), (2, 18, vec![4])]);
    }

    #[test]
    fn an_acknowledgement_is_an_error_of_zero() {
        let answer = |kind, payload: &[u8]| {
            let answer = Message { sequence: 1, kind, disturbed: false, payload }.answer();
            match answer {
                Answer::Done => 0,
                Answer::Error(errno) => errno,
                Answer::Part(..) | Answer::Nothing => -1,
            }
        };
        assert_eq!(answer(NLMSG_ERROR, &0_i32.to_ne_bytes()), 0);
        assert_eq!(answer(NLMSG_ERROR, &(-libc::EEXIST).to_ne_bytes()), libc::EEXIST);
        assert_eq!(answer(NLMSG_ERROR, &i32::MIN.to_ne_bytes()), i32::MAX);
        assert_eq!(answer(NLMSG_ERROR, &[1]), libc::EBADMSG);
        assert_eq!(answer(NLMSG_DONE, &[]), 0);
        assert_eq!(answer(NLMSG_DONE, &(-libc::EPERM).to_ne_bytes()), libc::EPERM);
        assert_eq!(answer(99, &[]), -1);
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for message in messages(&bytes) {
                let _ = message.answer();
            }
        }
    }
}
