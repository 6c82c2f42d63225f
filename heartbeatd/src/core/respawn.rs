//! What becomes of a program that ha.cf has started (`respawn`, `failfast`) and that has ended (spec/heartbeat.md 1.3).

use std::time::Duration;

/// A program that lived longer was well.
const SHORT: Duration = Duration::from_secs(30);
/// So many short lives in a row, and it is given up.
const MOST_SHORT: u32 = 10;
/// What keeps a program from being started seldom passes at once.
const PAUSE: Duration = Duration::from_secs(5);
/// The exit status of a program that does not want to be started again.
const ENOUGH: i32 = 100;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again, at once.
    Again,
    /// It said that it is done.
    Done,
    /// Start it again after so long.
    Later(Duration),
    /// It ends as soon as it is started, or cannot be: that is no use.
    TooFast,
    /// The node is nothing without it.
    Reboot,
}

/// One program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Respawn {
    failfast: bool,
    short: u32,
}

impl Respawn {
    /// With `failfast` its end is the node's.
    #[must_use]
    pub fn new(failfast: bool) -> Self {
        Self { failfast, short: 0 }
    }

    /// It has ended after so long, with that exit status; `None`: by a signal.
    pub fn ended(&mut self, lived: Duration, status: Option<i32>) -> Next {
        if status == Some(ENOUGH) {
            return Next::Done;
        }
        if self.failfast {
            return Next::Reboot;
        }
        self.short = if lived < SHORT { self.short + 1 } else { 0 };
        if self.short > MOST_SHORT { Next::TooFast } else { Next::Again }
    }

    /// It could not be started: a file that is missing, or no memory. That is never the node's end, since it would be
    /// the same after a reboot; it counts as a short life.
    pub fn not_started(&mut self) -> Next {
        self.short += 1;
        if self.short > MOST_SHORT { Next::TooFast } else { Next::Later(PAUSE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(31);

    #[test]
    fn a_program_is_started_again_until_it_has_died_young_eleven_times_in_a_row() {
        let mut program = Respawn::new(false);
        for _ in 0..3 {
            for _ in 0..10 {
                assert_eq!(program.ended(Duration::ZERO, Some(0)), Next::Again);
            }
            assert_eq!(program.ended(LONG, None), Next::Again);
        }
        for _ in 0..10 {
            assert_eq!(program.ended(Duration::from_secs(29), Some(1)), Next::Again);
        }
        assert_eq!(program.ended(Duration::ZERO, Some(1)), Next::TooFast);
    }

    #[test]
    fn one_that_ends_with_100_wants_no_more_and_the_end_of_another_can_be_the_nodes() {
        assert_eq!(Respawn::new(false).ended(LONG, Some(100)), Next::Done);
        assert_eq!(Respawn::new(true).ended(LONG, Some(100)), Next::Done);
        for status in [Some(0), Some(1), None] {
            assert_eq!(Respawn::new(true).ended(LONG, status), Next::Reboot);
        }
    }

    #[test]
    fn one_that_cannot_be_started_is_tried_again_ten_times_and_never_reboots_the_machine() {
        for failfast in [false, true] {
            let mut program = Respawn::new(failfast);
            for _ in 0..10 {
                assert_eq!(program.not_started(), Next::Later(PAUSE));
            }
            assert_eq!(program.not_started(), Next::TooFast);
        }
        let mut program = Respawn::new(true);
        assert_eq!(program.not_started(), Next::Later(PAUSE));
        assert_eq!(program.ended(Duration::ZERO, Some(1)), Next::Reboot, "it was started in the end, and died");
    }
}
