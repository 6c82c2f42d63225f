//! What is thought of a real server, and which half of a combined check comes next.
//!
//! Pure: results of checks go in, what they change comes out (spec/ldirectord.md 7.1, 8.1).

use std::num::NonZeroU32;

use lvs::control::ldirectord::RealState;

use crate::agent::{Order, Stance};

/// What the checks of one real server of one virtual have shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Up,
    Down,
}

/// The verdict on one real server of one virtual.
///
/// Each result of a check is noted once here, however many virtuals share the check, so
/// `failurecount` means failed checks and not failed checks times virtuals (spec B10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    state: State,
    failures: u32,
    /// Good checks in a row while it is down.
    passes: u32,
    drained: bool,
    maintained: bool,
    agent: Stance,
}

/// What a result changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// Nothing anybody wants to hear of.
    Unchanged,
    /// It failed, and `failurecount` is not reached: it goes on serving.
    SoftFailure {
        /// Failed checks in a row.
        failures: u32,
    },
    /// It was not up, or had failed; now it passed.
    Passed {
        /// It comes up with this result.
        came_up: bool,
        /// It had failed before: the count starts again.
        reset: bool,
    },
    /// It goes down with this result.
    WentDown {
        /// It had never passed a check: it was not serving.
        first: bool,
    },
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            state: State::Unknown,
            failures: 0,
            passes: 0,
            drained: false,
            maintained: false,
            agent: Stance::default(),
        }
    }
}

impl Verdict {
    /// Notes the result of a check.
    ///
    /// `failure_count` protects a server that is up; one that never passed is down at its
    /// first failure (spec T23).
    pub fn note(&mut self, passed: bool, failure_count: NonZeroU32) -> Noted {
        if passed {
            let (came_up, reset) = (self.state != State::Up, self.failures > 0);
            (self.state, self.failures) = (State::Up, 0);
            return if came_up || reset { Noted::Passed { came_up, reset } } else { Noted::Unchanged };
        }
        match self.state {
            State::Down => Noted::Unchanged,
            State::Unknown => {
                (self.state, self.failures) = (State::Down, 1);
                Noted::WentDown { first: true }
            }
            State::Up => {
                self.failures += 1;
                if self.failures < failure_count.get() {
                    return Noted::SoftFailure { failures: self.failures };
                }
                self.state = State::Down;
                Noted::WentDown { first: false }
            }
        }
    }

    /// Whether a good check is enough, to be asked before it is noted: a server that went down has to
    /// pass `rise` checks in a row.
    pub fn may_rise(&mut self, passed: bool, rise: NonZeroU32) -> bool {
        self.passes = if passed && self.state == State::Down { self.passes.saturating_add(1) } else { 0 };
        !passed || self.state != State::Down || self.passes >= rise.get()
    }

    /// Found serving in the table at start: up until a check says otherwise (spec 7.2). Means
    /// nothing for a server that was judged already.
    pub fn adopt(&mut self) {
        if self.state == State::Unknown {
            self.state = State::Up;
        }
    }

    /// Nobody is going to check it, and it was not found serving (spec 7.5, `off`).
    pub fn give_up(&mut self) {
        if self.state == State::Unknown {
            self.state = State::Down;
        }
    }

    /// As if it had never been checked; a server that was taken out stays out.
    #[must_use]
    pub fn forgotten(self) -> Self {
        Self { drained: self.drained, maintained: self.maintained, agent: self.agent, ..Self::default() }
    }

    /// Takes it out of service, or puts it back under its checks. Whether that is a change.
    pub fn drain(&mut self, drained: bool) -> bool {
        std::mem::replace(&mut self.drained, drained) != drained
    }

    /// Takes it out of service by a file in the maintenance directory, or puts it back under its
    /// checks. Whether that is a change.
    pub fn maintain(&mut self, maintained: bool) -> bool {
        std::mem::replace(&mut self.maintained, maintained) != maintained
    }

    /// Takes what its agent has said so far.
    pub fn heed(&mut self, stance: Stance) {
        self.agent = stance;
    }

    /// What its agent has said so far.
    #[must_use]
    pub fn stance(&self) -> Stance {
        self.agent
    }

    /// A file in the maintenance directory, or its agent's word for that, took it out.
    #[must_use]
    pub fn is_maintained(&self) -> bool {
        self.maintained || self.agent.order == Order::Maintenance
    }

    /// Nothing is known yet.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.state == State::Unknown
    }

    /// The checks, or its agent, say that it does not work.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.state == State::Down || self.agent.down
    }

    /// The checks say that it works, and its agent does not say otherwise; whether or not it is drained.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.state == State::Up && !self.agent.down
    }

    /// Somebody took it out, by an order, by a file, or by its agent; each holds until it is taken back.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.drained || self.maintained || self.agent.order != Order::Ready
    }

    /// An administrator's order took it out.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// It takes new connections: it passes and nobody took it out. While no server does, the
    /// fallback serves.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.passes() && !self.is_out()
    }

    /// Failed checks in a row; frozen while it is down.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// As the status tells it.
    #[must_use]
    pub fn state(&self) -> RealState {
        match self.state {
            _ if self.is_maintained() => RealState::Maintenance,
            _ if self.is_down() => RealState::Down,
            _ if self.is_out() => RealState::Drained,
            State::Down => RealState::Down,
            State::Up => RealState::Up,
            State::Unknown => RealState::Unknown,
        }
    }
}

/// Where a combined check (`checktype=N`) is in its round: a negotiation, after its success
/// N connects, then a negotiation again (spec 8.1, T18).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    connects_left: u32,
}

impl Turn {
    /// Whether a connect is next; otherwise a negotiation.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.connects_left > 0
    }

    /// Notes the result of the step that was next.
    pub fn note(&mut self, passed: bool, connects: NonZeroU32) {
        self.connects_left = match (passed, self.connects_left) {
            (false, _) => 0,
            (true, 0) => connects.get(),
            (true, left) => left - 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;
    const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();

    #[test]
    fn a_server_that_is_up_may_fail_less_than_failurecount_times() {
        let mut verdict = Verdict::default();
        assert_eq!(verdict.note(true, THREE), Noted::Passed { came_up: true, reset: false });
        assert_eq!(verdict.note(false, THREE), Noted::SoftFailure { failures: 1 });
        assert_eq!(verdict.note(false, THREE), Noted::SoftFailure { failures: 2 });
        assert_eq!(verdict.note(true, THREE), Noted::Passed { came_up: false, reset: true });
        assert_eq!(verdict.note(true, THREE), Noted::Unchanged);
        assert_eq!(verdict.note(false, THREE), Noted::SoftFailure { failures: 1 });
        assert_eq!(verdict.note(false, THREE), Noted::SoftFailure { failures: 2 });
        assert_eq!(verdict.note(false, THREE), Noted::WentDown { first: false });
        assert_eq!(verdict.note(false, THREE), Noted::Unchanged);
        assert_eq!(verdict.failures(), 3);
        assert_eq!(verdict.note(true, THREE), Noted::Passed { came_up: true, reset: true });
    }

    #[test]
    fn a_server_that_never_passed_is_down_at_its_first_failure() {
        let mut verdict = Verdict::default();
        assert_eq!(verdict.note(false, THREE), Noted::WentDown { first: true });
        assert_eq!(verdict.state(), RealState::Down);
    }

    #[test]
    fn an_adopted_server_has_its_failurecount() {
        let mut verdict = Verdict::default();
        verdict.adopt();
        assert_eq!(verdict.note(false, THREE), Noted::SoftFailure { failures: 1 });
        let mut judged = Verdict::default();
        judged.note(false, ONE);
        judged.adopt();
        assert!(!judged.passes(), "what a check found counts more than what the table holds");
    }

    #[test]
    fn a_drained_server_does_not_serve_and_its_checks_go_on() {
        let mut verdict = Verdict::default();
        verdict.note(true, ONE);
        assert!(verdict.drain(true) && !verdict.drain(true));
        assert_eq!((verdict.state(), verdict.serves()), (RealState::Drained, false));
        verdict.note(false, ONE);
        assert_eq!(verdict.state(), RealState::Down);
        verdict.note(true, ONE);
        assert!(verdict.drain(false) && verdict.serves());
    }

    #[test]
    fn a_combined_check_negotiates_first_and_after_every_failure() {
        let two = NonZeroU32::new(2).expect("not zero");
        let mut turn = Turn::default();
        let mut steps = String::new();
        for passed in [true, true, true, true, false, true, true, true, false, false, true] {
            steps.push(if turn.is_connect() { 'c' } else { 'n' });
            turn.note(passed, two);
        }
        assert_eq!(steps, "nccncnccnnn");
    }
}
