//! What waits to leave over a serial line.
//!
//! No I/O: a line takes some bytes now and some later, and one that nobody listens on takes none. A heartbeat is worth
//! the less the older it is, so of too many the oldest go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many messages wait: at 19200 baud some four seconds.
const MOST: usize = 16;
/// A line that takes nothing for so long is not slow: what it has taken before is as old as what waits.
const STALLED: Duration = Duration::from_secs(3);
/// After a message that was cut off, so that the next one begins on a line of its own.
const APART: u8 = b'\n';

/// Messages in the order in which they leave.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: VecDeque<Vec<u8>>,
    /// How much of the first has left.
    left: usize,
    apart: bool,
    /// Something has left since [`Self::is_stalled`] was asked.
    moved: bool,
    still_since: Option<Instant>,
}

impl Outbox {
    /// For a line that may be in the middle of something.
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), left: 0, apart: true, moved: false, still_since: None }
    }

    /// Puts a message behind the others; how many had to go for it.
    pub(super) fn push(&mut self, message: &[u8]) -> u64 {
        // What has begun to leave must end, or it is lost for nothing.
        let dropped = (self.waiting.len() == MOST).then(|| self.waiting.remove(usize::from(self.left > 0)));
        let start: &[u8] = if std::mem::take(&mut self.apart) { &[APART] } else { &[] };
        self.waiting.push_back([start, message].concat());
        u64::from(dropped.is_some())
    }

    /// What is to leave next; nothing where nothing waits.
    pub(super) fn next(&self) -> Option<&[u8]> {
        self.waiting.front().and_then(|first| first.get(self.left..))
    }

    /// The line has taken so much of it; whether a message is complete with that.
    pub(super) fn took(&mut self, count: usize) -> bool {
        self.left += count;
        self.moved |= count > 0;
        let complete = self.next().is_some_and(<[u8]>::is_empty);
        if complete {
            self.waiting.pop_front();
            self.left = 0;
        }
        complete
    }

    /// Whether the line takes nothing any more. To be asked about once a second.
    pub(super) fn is_stalled(&mut self, now: Instant) -> bool {
        if std::mem::take(&mut self.moved) || self.waiting.is_empty() {
            self.still_since = None;
            return false;
        }
        now.saturating_duration_since(*self.still_since.get_or_insert(now)) >= STALLED
    }

    /// Gives up everything that waits; how many messages that is.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.waiting.len() as u64;
        *self = Self::new();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(outbox: &mut Outbox) -> String {
        let mut left = String::new();
        while let Some(next) = outbox.next() {
            left += &String::from_utf8_lossy(next);
            let count = next.len();
            outbox.took(count);
        }
        left
    }

    #[test]
    fn messages_leave_in_order_and_in_parts() {
        let mut outbox = Outbox::new();
        assert_eq!((outbox.push(b"one"), outbox.push(b"two")), (0, 0));
        assert_eq!(outbox.next(), Some(&b"\none"[..]));
        assert!(!outbox.took(3));
        assert_eq!(outbox.next(), Some(&b"e"[..]));
        assert!(outbox.took(1));
        assert_eq!(leave(&mut outbox), "two");
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn of_too_many_the_oldest_go_but_not_the_one_that_is_leaving() {
        let mut outbox = Outbox::new();
        for message in 0..MOST {
            assert_eq!(outbox.push(&[b'a' + message as u8]), 0);
        }
        outbox.took(1);
        assert_eq!(outbox.push(b"z"), 1);
        assert_eq!(leave(&mut outbox), "acdefghijklmnopz");
        for message in 0..=MOST {
            outbox.push(&[b'a' + message as u8]);
        }
        assert_eq!(leave(&mut outbox), "bcdefghijklmnopq");
    }

    #[test]
    fn a_line_is_stalled_when_nothing_has_left_for_a_while() {
        let mut outbox = Outbox::new();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!outbox.is_stalled(after(100)));
        outbox.push(b"one");
        assert!(!outbox.is_stalled(after(101)) && !outbox.is_stalled(after(103)));
        outbox.took(1);
        assert!(!outbox.is_stalled(after(104)) && !outbox.is_stalled(after(105)) && !outbox.is_stalled(after(107)));
        assert!(outbox.is_stalled(after(108)));
        outbox.push(b"two");
        assert_eq!((outbox.clear(), outbox.next()), (2, None));
        // What was cut off must not run into the next.
        outbox.push(b"three");
        assert_eq!(leave(&mut outbox), "\nthree");
    }
}
