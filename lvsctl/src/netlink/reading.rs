//! The answer to one request, put together from datagrams.

use std::fmt;

use super::message::{Answer, HEADER, Message, first_message};
use super::socket::RequestError;

/// What came when the next datagram was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// One or more messages.
    Datagram,
    /// Something did not fit and is gone; what fitted is still to be read.
    Overrun,
    /// Nothing, and nothing will come before the next request.
    Nothing,
}

/// Where datagrams come from: a socket, or a recording.
pub trait Source {
    /// Makes the next datagram the current one.
    fn advance(&mut self) -> Result<Arrival, RequestError>;
    /// The datagram that arrived last.
    fn current(&self) -> &[u8];
    /// Throws away what is left of an answer, so that a congested socket hears again.
    fn drain(&mut self);
}

/// Reads the answer to the request with one sequence number, message by message.
#[derive(Debug)]
pub struct Reading {
    sequence: u32,
    /// Where the next message of the current datagram begins.
    at: usize,
    /// Datagrams read.
    datagrams: usize,
    disturbed: bool,
    ended: bool,
}

impl Reading {
    /// Nothing is read yet.
    pub fn of(sequence: u32) -> Self {
        Self { sequence, at: 0, datagrams: 0, disturbed: false, ended: false }
    }

    /// Whether a message is part of the answer.
    pub fn is_about(&self, message: &Message<'_>) -> bool {
        message.sequence == self.sequence
    }

    /// Whether the kernel said that others changed the list meanwhile.
    pub fn disturbed(&self) -> bool {
        self.disturbed
    }

    /// Whether the kernel let go of the list between one part and the next: what came in one datagram
    /// was read under its lock. The end of a dump may come by itself.
    pub fn in_parts(&self) -> bool {
        self.datagrams > 1
    }

    /// Whether nothing of the answer is left in the source.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The next part of the answer, its message type and payload; `None` at the end, and ever after.
    ///
    /// `what` was asked, for the error.
    pub fn part<'s, S: Source>(
        &mut self,
        source: &'s mut S,
        what: &dyn fmt::Display,
    ) -> Result<Option<(u16, &'s [u8])>, RequestError> {
        while !self.ended {
            let unread = if self.datagrams == 0 { None } else { source.current().get(self.at..) };
            let Some((message, length)) = unread.and_then(first_message) else {
                self.next_datagram(source)?;
                continue;
            };
            let start = self.at + HEADER;
            self.at += length;
            if !self.is_about(&message) {
                continue;
            }
            self.disturbed |= message.disturbed;
            match message.answer() {
                Answer::Part(kind, payload) => {
                    let payload = start..start + payload.len();
                    return Ok(source.current().get(payload).map(|payload| (kind, payload)));
                }
                Answer::Done => self.ended = true,
                Answer::Error(errno) => {
                    self.ended = true;
                    return Err(RequestError::refused(what, errno));
                }
                Answer::Nothing => {}
            }
        }
        Ok(None)
    }

    fn next_datagram(&mut self, source: &mut impl Source) -> Result<(), RequestError> {
        self.at = 0;
        self.datagrams += 1;
        match source.advance() {
            Ok(Arrival::Datagram) => Ok(()),
            Ok(Arrival::Overrun | Arrival::Nothing) => {
                self.ended = true;
                source.drain();
                Err(RequestError::Lost)
            }
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    /// Reads to the end. `take` sees each part until it finds one that makes no sense, which is told when
    /// everything has been read: the next answer must not be taken for the rest of this one.
    pub fn read_to_end<S: Source>(
        &mut self,
        source: &mut S,
        what: &dyn fmt::Display,
        mut take: impl FnMut(u16, &[u8]) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let mut taken = Ok(());
        while let Some((kind, payload)) = self.part(source, what)? {
            taken = taken.and_then(|()| take(kind, payload));
        }
        taken
    }
}

/// Datagrams that were received before.
#[derive(Debug)]
pub struct Recorded<I: Iterator> {
    datagrams: I,
    current: Option<I::Item>,
}

impl<I: Iterator<Item: AsRef<[u8]>>> Recorded<I> {
    pub fn new(datagrams: impl IntoIterator<IntoIter = I>) -> Self {
        Self { datagrams: datagrams.into_iter(), current: None }
    }
}

impl<I: Iterator<Item: AsRef<[u8]>>> Source for Recorded<I> {
    fn advance(&mut self) -> Result<Arrival, RequestError> {
        self.current = self.datagrams.next();
        Ok(if self.current.is_some() { Arrival::Datagram } else { Arrival::Nothing })
    }

    fn current(&self) -> &[u8] {
        self.current.as_ref().map(AsRef::as_ref).unwrap_or_default()
    }

    fn drain(&mut self) {
        self.datagrams.by_ref().for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::write_message;
    use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};
    use proptest::prelude::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_message(&mut out, kind, flags, sequence, |body| body.extend_from_slice(payload));
        out
    }

    /// The parts, each as its payload; the error, if there is one; what is left in the source.
    fn read(datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Option<String>, Reading) {
        let mut source = Recorded::new(datagrams);
        let mut reading = Reading::of(7);
        let mut parts = Vec::new();
        let read = reading.read_to_end(&mut source, &"count", |_, payload| {
            parts.push(payload.to_vec());
            Ok(())
        });
        (parts, read.err().map(|error| error.to_string()), reading)
    }

    #[test]
    fn an_answer_ends_with_its_done_and_leaves_out_what_answers_others() {
        let datagrams = [
            [message(20, 0, 7, b"one"), message(20, 0, 6, b"not ours"), message(20, 0, 7, b"two")].concat(),
            message(20, NLM_F_DUMP_INTR, 7, b"three"),
            message(NLMSG_DONE, 0, 7, &[0; 4]),
            message(20, 0, 7, b"behind the end"),
        ];
        let (parts, error, reading) = read(&datagrams);
        assert_eq!(parts, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        assert_eq!(error, None);
        assert!(reading.disturbed() && reading.in_parts() && reading.ended);
    }

    #[test]
    fn an_errno_ends_an_answer_and_a_missing_end_is_told() {
        let refused = message(NLMSG_ERROR, 0, 7, &(-libc::EPERM).to_ne_bytes());
        let (parts, error, _) = read(&[message(20, 0, 7, b"one"), refused]);
        assert_eq!((parts.len(), error.as_deref()), (1, Some("the kernel refuses to count")));
        let (parts, error, reading) = read(&[message(20, 0, 7, b"one")]);
        assert_eq!((parts.len(), error.is_some(), reading.ended), (1, true, true));
    }

    proptest! {
        #[test]
        fn any_datagrams_are_read_to_an_end(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5),
        ) {
            let (_, _, reading) = read(&datagrams);
            prop_assert!(reading.ended);
        }
    }
}
