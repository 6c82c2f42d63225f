//! Three nodes or more: who takes and who lets go of a group.
//!
//! The rules of two nodes ([`native`](crate::core::takeover)) with "the other" replaced by "every other that is heard":
//!
//! - **Nobody has it.** Of those who could, the first of its homes claims it, and takes it when every node that it hears
//!   has said that it knows of the claim and has none itself.
//! - **Nobody else is there.** It is taken at once.
//! - **A planned switch.** The holder offers it to one node by name; that one starts it, announces it and says so; the
//!   holder lets go then and not before. What must not run twice is let go first and then claimed.
//! - **Several have it**, as after a partition. The highest tenancy keeps it, of equal ones the earlier home; every other
//!   lets go at once.
//! - **Somebody whom we do not hear may have it**: nothing is taken. That is so until a node is heard or given up, as long
//!   as one that we hear still hears a node that we do not, and while a heartbeat 3.0.6 is there.

use crate::core::takeover::State;

/// What the others say of a group, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Others {
    /// There may be somebody of whom nothing is known.
    pub unsure: bool,
    /// One that we have given up is still heard by another: it may have taken what we offered it.
    pub doubted: bool,
    /// Every other is dead or has left.
    pub alone: bool,
    /// Somebody has it, its start or stop is under way there, or it cannot be stopped; an offer to us does not count.
    pub busy: bool,
    /// Somebody starts it.
    pub acquiring: bool,
    /// Somebody stops it.
    pub releasing: bool,
    /// Somebody claims it, and whether an earlier home than we does.
    pub claimed: Option<Claim>,
    /// It is offered to us.
    pub offered: bool,
    /// Somebody has it besides us, offered or not.
    pub held: bool,
    /// The tenancy of one of those is the one that stays.
    pub stronger: bool,
}

/// Somebody else's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// Of a later home.
    Later,
    /// Of an earlier home: it stays.
    Earlier,
}

/// What bears on the decision besides the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    /// We are the one to have it when nobody has it.
    pub ours: bool,
    /// We could start it.
    pub able: bool,
    /// We could serve at once, or who offers it is leaving anyway.
    pub fit: bool,
    /// Every node that is heard knows of our claim.
    pub told: bool,
    /// It is to be handed over.
    pub give: bool,
    /// It may run on two for a moment.
    pub overlaps: bool,
    /// There is a node that could take it: the one it was offered to, where it was offered.
    pub taker: bool,
    /// There is another than the one it was offered to.
    pub another: bool,
    /// The offer was not taken up in time.
    pub expired: bool,
    /// This node stops: what cannot be handed over is let go.
    pub leaving: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
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
    /// Offering → Held, or the switch is called off before it began.
    Withdraw,
    /// Held by several, the others are to let go.
    Contest,
    /// → Releasing.
    Release,
}

/// The table.
pub(super) fn step(us: State, others: &Others, case: &Case) -> Step {
    let or_stay = |condition, step| if condition { step } else { Step::Stay };
    match us {
        State::Free if others.offered => or_stay(case.able && case.fit && !others.busy, Step::Acquire),
        State::Free if others.unsure || others.busy || others.claimed.is_some() => Step::Stay,
        State::Free if others.alone => or_stay(case.able, Step::Acquire),
        State::Free => or_stay(case.ours && case.able, Step::Claim),

        State::Claiming if others.unsure || others.busy || others.offered || !case.able => Step::Yield,
        State::Claiming if others.alone => Step::Acquire,
        State::Claiming if others.claimed == Some(Claim::Earlier) || !case.ours => Step::Yield,
        State::Claiming => or_stay(case.told && others.claimed.is_none(), Step::Acquire),

        State::Held if others.held && others.stronger => Step::Release,
        State::Held if others.held => Step::Contest,
        // One of the two will let go when it has it; one that claims it does not know yet that we have it.
        State::Held if others.acquiring || others.releasing || others.claimed.is_some() => Step::Stay,
        State::Held => match (case.give, case.taker) {
            (false, true | false) => Step::Stay,
            (true, true) if case.overlaps && !others.doubted => Step::Offer,
            (true, true | false) if case.leaving => Step::Release,
            // Let go first, it could be nowhere for as long as the doubt lasts.
            (true, true) => or_stay(!case.overlaps && !others.unsure, Step::Release),
            (true, false) => Step::Withdraw,
        },

        State::Offering if others.held && others.stronger => Step::Release,
        // It did not take ours but had its own; while it may still be of another mind, nothing is lost by waiting.
        State::Offering if others.held => or_stay(case.expired, Step::Withdraw),
        State::Offering if others.acquiring || others.releasing => Step::Stay,
        State::Offering => match (case.taker && !case.expired, case.leaving) {
            (true, true | false) => Step::Stay,
            (false, true) if !case.another || case.expired => Step::Release,
            (false, true | false) => Step::Withdraw,
        },

        // Their end is reported by whoever does the work.
        State::Acquiring | State::Releasing | State::Stuck => Step::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Acquiring, Claiming, Free, Held, Offering, Releasing, Stuck};

    fn every_case() -> impl Iterator<Item = Case> {
        (0..1024u32).map(|bits| {
            let bit = |at: u32| bits >> at & 1 == 1;
            Case {
                ours: bit(0),
                able: bit(1),
                fit: bit(2),
                told: bit(3),
                give: bit(4),
                overlaps: bit(5),
                taker: bit(6),
                another: bit(7),
                expired: bit(8),
                leaving: bit(9),
            }
        })
    }

    fn all_others() -> impl Iterator<Item = Others> {
        (0..1536u32).map(|number| {
            let bit = |at: u32| number >> at & 1 == 1;
            Others {
                unsure: bit(0),
                alone: bit(1),
                busy: bit(2),
                acquiring: bit(3),
                releasing: bit(4),
                offered: bit(5),
                held: bit(6),
                stronger: bit(7),
                doubted: bit(8),
                claimed: [None, Some(Claim::Later), Some(Claim::Earlier)][number as usize / 512],
            }
        })
    }

    #[test]
    fn nothing_is_taken_that_anybody_may_have() {
        for case in every_case() {
            for others in all_others() {
                for us in [Free, Claiming] {
                    if step(us, &others, &case) == Step::Acquire {
                        assert!(case.able && !others.busy, "{us:?} {others:?} {case:?}");
                        let agreed = us == Claiming && case.told && others.claimed.is_none();
                        let offered = us == Free && others.offered && case.fit;
                        assert!(offered || !others.unsure && (others.alone || agreed), "{us:?} {others:?} {case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_held_moves_only_to_somebody_or_for_a_stronger_tenancy_or_because_we_leave() {
        for case in every_case() {
            for others in all_others() {
                if step(Held, &others, &case) == Step::Release {
                    let given = case.give && (case.taker && !case.overlaps || case.leaving);
                    assert!(given || others.held && others.stronger, "{others:?} {case:?}");
                }
            }
        }
    }

    #[test]
    fn of_several_holders_all_but_the_strongest_let_go() {
        let others = Others { held: true, busy: true, ..Others::default() };
        for case in every_case() {
            for us in [Held, Offering] {
                assert_eq!(step(us, &Others { stronger: true, ..others }, &case), Step::Release, "{case:?}");
                assert_ne!(step(us, &others, &case), Step::Release, "{case:?}");
            }
        }
    }

    #[test]
    fn work_under_way_is_waited_for_and_what_cannot_be_stopped_stays() {
        for case in every_case() {
            for others in all_others() {
                for us in [Acquiring, Releasing, Stuck] {
                    assert_eq!(step(us, &others, &case), Step::Stay);
                }
            }
        }
    }

    #[test]
    fn what_may_not_overlap_is_not_let_go_while_nobody_could_be_sure_enough_to_take_it() {
        for case in every_case().filter(|case| !case.leaving) {
            for others in all_others().filter(|others| others.unsure && !others.held) {
                assert_ne!(step(Held, &others, &case), Step::Release, "{others:?} {case:?}");
            }
        }
    }

    #[test]
    fn a_node_that_leaves_does_not_wait_for_a_doubt_to_end() {
        for case in every_case().filter(|case| case.leaving && case.give) {
            let others = Others { doubted: true, unsure: true, ..Others::default() };
            assert_eq!(step(Held, &others, &case), Step::Release, "{case:?}");
        }
    }
}
