//! The last messages sent, by sequence number, for those that got lost (spec/heartbeat.md 5.8).

use std::collections::VecDeque;

/// How many of our own messages are kept, as heartbeat 3.0.6 does.
pub const DEPTH: usize = 500;

/// Something kept for each of the last [`DEPTH`] sequence numbers. The core keeps when a
/// message was last sent again; its driver keeps the signed bytes, which must leave
/// unchanged the second time.
#[derive(Debug, Clone)]
pub struct History<T> {
    kept: VecDeque<T>,
    /// The number of the newest, 0 before the first.
    highest: u64,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> History<T> {
    /// Nothing sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self { kept: VecDeque::new(), highest: 0 }
    }

    /// Keeps `what` for `seq`. Numbers come one after the other; with any other number the
    /// daemon has begun a new life and what was kept is forgotten.
    pub fn push(&mut self, seq: u64, what: T) {
        if seq != self.highest + 1 {
            self.kept.clear();
        }
        if self.kept.len() == DEPTH {
            self.kept.pop_front();
        }
        self.kept.push_back(what);
        self.highest = seq;
    }

    /// Keeps something else for a number that is still kept.
    pub fn replace(&mut self, seq: u64, what: T) {
        if let Some(kept) = self.get_mut(seq) {
            *kept = what;
        }
    }

    /// The highest number sent, 0 before the first.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The lowest number kept.
    #[must_use]
    pub fn lowest(&self) -> u64 {
        self.highest + 1 - self.kept.len() as u64
    }

    /// What was kept for `seq`.
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<&T> {
        self.kept.get(self.index(seq)?)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, seq: u64) -> Option<&mut T> {
        let index = self.index(seq)?;
        self.kept.get_mut(index)
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.lowest())?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_five_hundred_are_kept_and_no_more() {
        let mut history = History::new();
        (1..=700).for_each(|seq| history.push(seq, seq));
        assert_eq!((history.lowest(), history.highest()), (201, 700));
        assert_eq!(
            (history.get(200), history.get(201), history.get(700), history.get(701)),
            (None, Some(&201), Some(&700), None)
        );
    }

    #[test]
    fn a_new_life_forgets_the_old_one() {
        let mut history = History::new();
        (1..=9).for_each(|seq| history.push(seq, ()));
        history.push(1, ());
        assert_eq!((history.lowest(), history.highest()), (1, 1));
    }
}
