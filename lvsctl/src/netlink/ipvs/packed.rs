//! Changes as the messages that ask for them, made before anything is sent: the kernel may be at work on others meanwhile.

use super::encode;
use crate::ipvs::Change;
use crate::netlink::message::write_message;

/// Changes in one send. More gains nothing, and their refusals still fit into the smallest
/// receive buffer a kernel gives by default.
pub(super) const BATCH: usize = 64;

/// Changes in their order, ready to be sent: see [`Client::change_packed`](super::Client::change_packed).
///
/// ```
/// use lvs::ipvs::{Change, ServiceKey};
/// use lvs::netlink::ipvs::Packed;
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let mut packed = Packed::default();
/// packed.push(Change::AddService(web, Default::default()));
/// assert_eq!(packed.changes().len(), 1);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Packed {
    changes: Vec<Change>,
    messages: Vec<u8>,
    /// Where the messages of each batch but the first begin.
    starts: Vec<usize>,
}

impl Packed {
    /// Adds one behind the others.
    pub fn push(&mut self, change: Change) {
        if !self.changes.is_empty() && self.changes.len().is_multiple_of(BATCH) {
            self.starts.push(self.messages.len());
        }
        ask_for(&mut self.messages, &change, &[]);
        self.changes.push(change);
    }

    /// Those that were added.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.messages.clear();
        self.starts.clear();
    }

    /// Each with its messages.
    pub(super) fn batches(&mut self) -> impl Iterator<Item = (&[Change], &mut [u8])> {
        let mut messages = self.messages.as_mut_slice();
        let mut begun = 0;
        let ends = self.starts.iter().copied().chain([messages.len()]);
        self.changes.chunks(BATCH).zip(ends).map(move |(changes, end)| {
            let (batch, rest) = std::mem::take(&mut messages).split_at_mut(end - begun);
            (messages, begun) = (rest, end);
            (changes, batch)
        })
    }
}

/// Appends the message that asks for a change, but for what
/// [`direct`](crate::netlink::message::direct) fills in. An edit sends `unknown` back.
pub(super) fn ask_for(messages: &mut Vec<u8>, change: &Change, unknown: &[u8]) {
    write_message(messages, 0, 0, 0, |body| encode::change(body, change, unknown));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, Forward, ServiceKey};
    use crate::netlink::message::{direct, messages};

    #[test]
    fn batches_hold_every_change_once_with_its_message() {
        let web = ServiceKey::tcp(([192, 0, 2, 1], 80).into());
        for count in [0, 1, BATCH, BATCH + 1, 3 * BATCH, 3 * BATCH + 7] {
            let mut packed = Packed::default();
            // Cleared, it begins anew.
            packed.push(Change::Flush);
            packed.clear();
            for port in 0..count {
                let at = ([10, 0, 0, 1], port as u16 + 1).into();
                packed.push(Change::AddDestination(web, at, Destination::new(Forward::Gate, 1)));
            }
            assert_eq!(packed.changes().len(), count);
            let mut seen = 0;
            for (changes, asking) in packed.batches() {
                assert!((1..=BATCH).contains(&changes.len()));
                direct(asking, 31, 7);
                let sequences: Vec<u32> = messages(asking).map(|message| message.sequence).collect();
                assert_eq!(sequences, (7..7 + changes.len() as u32).collect::<Vec<_>>());
                for (message, change) in messages(asking).zip(changes) {
                    let mut alone = Vec::new();
                    ask_for(&mut alone, change, &[]);
                    let Some(wanted) = messages(&alone).next() else { panic!("a message") };
                    assert_eq!((message.kind, message.payload), (31, wanted.payload));
                }
                seen += changes.len();
            }
            assert_eq!(seen, count);
        }
    }
}
