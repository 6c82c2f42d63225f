//! Two heartbeatd: who takes and who lets go of a group.
//!
//! Neither sends orders. Each tells in every status how it stands to every group
//! ([`Word`](super::Word)), and acts on the last status it has heard. The rules, for one group:
//!
//! - **Nobody has it.** The one who is to have it claims it, and takes it when the other
//!   has said that it knows of the claim and has none itself. So two nodes that hear each
//!   other never take it both, whatever is lost, delayed or out of order.
//! - **The other is dead or has left.** It is taken at once.
//! - **A planned switch.** The holder offers; the taker starts it, announces it and says so;
//!   the holder lets go then and not before. Its address answers on both for as long as that
//!   one status takes, and on the taker it is announced once more afterwards. A group that
//!   must not run twice is let go first and then claimed by the taker.
//! - **Both have it**, as after a partition. The higher tenancy keeps it: that node
//!   announced last, so the neighbours send to it, and the connections made since are in its
//!   table. With equal tenancies, its home keeps it. The other lets go at once; failback, if
//!   configured, then moves it like any planned switch.
//! - **It cannot be stopped** where it was: nobody takes it before it has been.

use super::unit::State;

/// What is known of the other node's relation to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    /// Not heard yet, and not given up.
    Unknown,
    /// Dead or gone: it has nothing.
    Gone,
    /// Its last word.
    Says(State),
}

/// What bears on the decision besides the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    /// We are the one to have it when nobody has it.
    pub ours: bool,
    /// We could start it.
    pub able: bool,
    /// We could serve at once, or the holder is leaving anyway.
    pub fit: bool,
    /// We are its home, which decides between two claims.
    pub home: bool,
    /// The other knows of our claim.
    pub told: bool,
    /// It is to be handed over.
    pub give: bool,
    /// It may run on both for a moment.
    pub overlaps: bool,
    /// The other could start it, and serve at once unless we are leaving anyway.
    pub other_able: bool,
    /// Our tenancy is the one that stays.
    pub stronger: bool,
    /// The other has not taken up the offer in time.
    pub expired: bool,
    /// This node stops: what cannot be handed over is let go.
    pub leaving: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Stay,
    /// Free → Claiming.
    Claim,
    /// Claiming → Free.
    Yield,
    /// → Acquiring.
    Acquire,
    /// Held → Offering.
    Offer,
    /// Offering → Held.
    Withdraw,
    /// Held, the switch is called off.
    CallOff,
    /// Held by both, the other is to let go.
    Contest,
    /// → Releasing.
    Release,
}

/// The table.
pub(crate) fn step(us: State, other: Other, case: &Case) -> Step {
    use Other::{Gone, Says, Unknown};
    use State::{Acquiring, Claiming, Free, Held, Offering, Releasing, Stuck};
    let or_stay = |condition, step| if condition { step } else { Step::Stay };
    match (us, other) {
        (Free, Gone) => or_stay(case.able, Step::Acquire),
        (Free, Says(Free)) => or_stay(case.ours && case.able, Step::Claim),
        (Free, Says(Offering)) => or_stay(case.able && case.fit, Step::Acquire),
        (Free, Unknown | Says(Claiming | Acquiring | Held | Releasing | Stuck)) => Step::Stay,

        (Claiming, Gone) => {
            if case.able {
                Step::Acquire
            } else {
                Step::Yield
            }
        }
        (Claiming, Says(Free)) => match (case.ours && case.able, case.told) {
            (false, true | false) => Step::Yield,
            (true, true) => Step::Acquire,
            (true, false) => Step::Stay,
        },
        (Claiming, Says(Claiming)) => or_stay(!case.home, Step::Yield),
        (Claiming, Unknown | Says(Acquiring | Held | Offering | Releasing | Stuck)) => Step::Yield,

        (Held, Unknown | Gone) => or_stay(case.leaving, Step::Release),
        (Held, Says(Free)) => match (case.give, case.other_able) {
            (false, true | false) => Step::Stay,
            (true, true) if case.overlaps => Step::Offer,
            (true, true) => Step::Release,
            (true, false) if case.leaving => Step::Release,
            (true, false) => Step::CallOff,
        },
        // It does not know yet that we have it.
        (Held, Says(Claiming)) => Step::Stay,
        // One of the two will let go when it has it.
        (Held, Says(Acquiring)) => Step::Stay,
        (Held, Says(Held | Offering)) => {
            if case.stronger {
                Step::Contest
            } else {
                Step::Release
            }
        }
        (Held, Says(Releasing)) => Step::Stay,
        (Held, Says(Stuck)) => match (case.give, case.leaving) {
            (false, true | false) => Step::Stay,
            (true, true) => Step::Release,
            (true, false) => Step::CallOff,
        },

        (Offering, Unknown | Gone | Says(Stuck)) => {
            if case.leaving {
                Step::Release
            } else {
                Step::Withdraw
            }
        }
        (Offering, Says(Free | Claiming)) => match (case.other_able && !case.expired, case.leaving) {
            (true, true | false) => Step::Stay,
            (false, true) => Step::Release,
            (false, false) => Step::Withdraw,
        },
        (Offering, Says(Acquiring | Releasing)) => Step::Stay,
        // It did not take ours but had its own; while it may still be of another mind, nothing is lost by waiting.
        (Offering, Says(Held | Offering)) => match (case.stronger, case.expired) {
            (false, true | false) => Step::Release,
            (true, true) => Step::Withdraw,
            (true, false) => Step::Stay,
        },

        // Their end is reported by whoever does the work.
        (Acquiring | Releasing | Stuck, Unknown | Gone | Says(_)) => Step::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Acquiring, Claiming, Free, Held, Offering, Releasing, Stuck};

    const PLAIN: Case = Case {
        ours: false,
        able: true,
        fit: true,
        home: false,
        told: false,
        give: false,
        overlaps: true,
        other_able: true,
        stronger: false,
        expired: false,
        leaving: false,
    };
    const STATES: [State; 7] = [Free, Claiming, Acquiring, Held, Offering, Releasing, Stuck];

    fn every_case() -> impl Iterator<Item = Case> {
        (0..2048u32).map(|bits| {
            let bit = |at: u32| bits >> at & 1 == 1;
            Case {
                ours: bit(0),
                able: bit(1),
                home: bit(2),
                told: bit(3),
                give: bit(4),
                overlaps: bit(5),
                other_able: bit(6),
                stronger: bit(7),
                expired: bit(8),
                leaving: bit(9),
                fit: bit(10),
            }
        })
    }

    fn others() -> impl Iterator<Item = Other> {
        [Other::Unknown, Other::Gone].into_iter().chain(STATES.map(Other::Says))
    }

    #[test]
    fn nothing_is_taken_that_the_other_has_not_offered_or_does_not_have() {
        for case in every_case() {
            for other in others() {
                for us in [Free, Claiming] {
                    if step(us, other, &case) == Step::Acquire {
                        let agreed = us == Claiming && other == Other::Says(Free) && case.told;
                        let offered = us == Free && other == Other::Says(Offering);
                        assert!(agreed || offered || other == Other::Gone, "{us:?} {other:?} {case:?}");
                        assert!(case.able);
                    }
                }
            }
        }
    }

    #[test]
    fn of_two_holders_exactly_one_lets_go() {
        for us in [Held, Offering] {
            for them in [Held, Offering] {
                for case in every_case().filter(|case| case.stronger) {
                    let weaker = Case { stronger: false, ..case };
                    assert_ne!(step(us, Other::Says(them), &case), Step::Release, "{case:?}");
                    assert_eq!(step(them, Other::Says(us), &weaker), Step::Release, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn of_two_claims_the_home_has_the_better_one() {
        assert_eq!(step(Claiming, Other::Says(Claiming), &Case { home: true, ..PLAIN }), Step::Stay);
        assert_eq!(step(Claiming, Other::Says(Claiming), &PLAIN), Step::Yield);
    }

    #[test]
    fn a_holder_that_neither_gives_nor_contests_never_moves_while_the_other_lives() {
        for case in every_case().filter(|case| !case.give && case.stronger) {
            for them in STATES {
                let step = step(Held, Other::Says(them), &case);
                assert!(matches!(step, Step::Stay | Step::Contest), "{them:?} {case:?}: {step:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_stopped_stays_where_it_is_and_nobody_takes_it() {
        for case in every_case() {
            for other in others() {
                assert_eq!(step(Stuck, other, &case), Step::Stay);
            }
            for us in [Free, Claiming] {
                assert!(matches!(step(us, Other::Says(Stuck), &case), Step::Stay | Step::Yield), "{us:?} {case:?}");
            }
        }
    }

    #[test]
    fn the_table_of_a_planned_switch() {
        let give = Case { give: true, ..PLAIN };
        let table = [
            (Held, Other::Says(Free), give, Step::Offer),
            (Held, Other::Says(Free), Case { overlaps: false, ..give }, Step::Release),
            (Held, Other::Says(Free), Case { other_able: false, ..give }, Step::CallOff),
            (Free, Other::Says(Offering), PLAIN, Step::Acquire),
            (Free, Other::Says(Offering), Case { fit: false, ..PLAIN }, Step::Stay),
            (Offering, Other::Says(Free), give, Step::Stay),
            (Offering, Other::Says(Acquiring), give, Step::Stay),
            (Offering, Other::Says(Held), give, Step::Release),
            (Offering, Other::Says(Free), Case { expired: true, ..give }, Step::Withdraw),
            (Offering, Other::Says(Held), Case { stronger: true, ..give }, Step::Stay),
            (Offering, Other::Says(Held), Case { stronger: true, expired: true, ..give }, Step::Withdraw),
            (Offering, Other::Gone, give, Step::Withdraw),
            (Offering, Other::Gone, Case { leaving: true, ..give }, Step::Release),
            (Held, Other::Gone, Case { leaving: true, ..give }, Step::Release),
        ];
        for (us, other, case, expected) in table {
            assert_eq!(step(us, other, &case), expected, "{us:?} {other:?}");
        }
    }
}
