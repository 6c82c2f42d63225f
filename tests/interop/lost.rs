//! Orders that the original loses on its way from its scripts to itself (fault 2): they write to its FIFO in pieces, and two of
//! them at once make a message of neither.

use super::pair::Kind;
use lab::Result;
use std::panic::{catch_unwind, resume_unwind};

/// How the original says so.
const LOST_ORDER: &str = "NV failure (msgfromsteam)";

/// What the original was told and has lost never comes, whoever the other node is: such a story begins again, twice at most.
pub fn until_no_order_is_lost(kinds: [Kind; 2], story: fn([Kind; 2]) -> Result<()>) -> Result<()> {
    for _ in 0..2 {
        let ended = catch_unwind(|| story(kinds));
        let why = match &ended {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        };
        if !why.contains(LOST_ORDER) {
            return ended.unwrap_or_else(|panic| resume_unwind(panic));
        }
        println!("    ... once more: the original has lost an order of its own ({LOST_ORDER})");
    }
    story(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn complaint() -> String {
        format!("lvs2 heartbeat: [8]: ERROR: {LOST_ORDER}: [>>>")
    }

    #[test]
    fn a_story_in_which_the_original_lost_an_order_begins_again() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let passed = until_no_order_is_lost([Kind::Original; 2], |_| match RUNS.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::Senseless(complaint())),
            1 => panic!("{}", complaint()),
            _ => Ok(()),
        });
        assert!(passed.is_ok());
        assert_eq!(RUNS.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_story_that_fails_for_another_reason_has_failed() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let failed = until_no_order_is_lost([Kind::Original; 2], |_| {
            RUNS.fetch_add(1, Ordering::Relaxed);
            Err(Error::Senseless("no owner".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_story_that_loses_orders_each_time_has_failed() {
        let failed = until_no_order_is_lost([Kind::Original; 2], |_| Err(Error::Senseless(complaint())));
        assert!(failed.is_err());
    }
}
