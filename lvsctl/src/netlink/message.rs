//! Netlink messages: a walk over a datagram, and a writer that appends.

use std::num::NonZeroI32;

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader,
};

/// Bytes of a message's header.
pub const HEADER: usize = 16;

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
        let (message, length) = first_message(datagram)?;
        datagram = datagram.get(length..).unwrap_or_default();
        Some(message)
    })
}

/// The first message, and where the next one begins; that may be behind the end.
pub fn first_message(datagram: &[u8]) -> Option<(Message<'_>, usize)> {
    let message = NetlinkBuffer::new_checked(datagram).ok()?;
    let parsed = Message {
        sequence: message.sequence_number(),
        kind: message.message_type(),
        disturbed: message.flags() & NLM_F_DUMP_INTR != 0,
        payload: message.payload(),
    };
    Some((parsed, (message.length() as usize).next_multiple_of(usize::from(NLMSG_ALIGNTO))))
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

/// Directs messages that were written to whoever has this number, numbers them from `first` on, and has the last of them
/// acknowledged.
pub fn direct(messages: &mut [u8], kind: u16, first: u32) {
    let (mut start, mut sequence) = (0, first);
    while let Some(rest) = messages.get_mut(start..).filter(|rest| rest.len() >= HEADER) {
        let length = rest.len();
        let mut message = NetlinkBuffer::new(rest);
        let own = (message.length() as usize).max(HEADER).next_multiple_of(usize::from(NLMSG_ALIGNTO));
        message.set_message_type(kind);
        message.set_sequence_number(sequence);
        message.set_flags(NLM_F_REQUEST | if own < length { 0 } else { NLM_F_ACK });
        start += own;
        sequence = sequence.wrapping_add(1);
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
