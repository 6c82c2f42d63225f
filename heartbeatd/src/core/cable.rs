//! Groups whose cable is out: nobody can reach them here, and another node may be serving them.
//!
//! The kernel answers for an address again in the moment in which its interface has a carrier again; the other node is
//! heard a little later. So that no client finds two machines in between, the addresses are taken off while the cable is
//! out, as soon as another node may have taken the group; and when it is in again, the others are listened to for a
//! keepalive before they are put on again, and before anything is taken that seems to be nobody's. Who hears meanwhile that
//! another has the group lets go of it as after any partition, only that no client has seen it there. So a standby whose
//! own cable was out does not come back with the later tenancy either.
//!
//! Where the others are heard all the same, on another interface, the group is given to one that could take it.

use std::time::{Duration, Instant};

use super::notice::Notice;
use super::plan::GroupId;
use super::takeover::State;
use super::{Action, Node, Phase};

/// How often we say that we are here when a cable is in again, and how far apart: the switch may not pass the first on.
pub(super) const HAILS: u32 = 5;
pub(super) const HAIL_EVERY: Duration = Duration::from_millis(25);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Cable {
    #[default]
    In,
    /// Since when.
    Out(Instant),
    /// In again since then, and nobody was heard yet.
    Back(Instant),
}

/// What has happened to a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Out,
    Back,
}

/// What is to be done with the addresses of a group that is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Withhold,
    Restore,
}

/// One group.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    cable: Cable,
    withheld: bool,
    /// While the cable is out: when others were heard first, after what was under way, and when last.
    others: Option<(Instant, Instant)>,
    /// When time alone changes something.
    due: Option<Instant>,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Cables {
    groups: Vec<Reach>,
    /// How long the others are listened to: in that time each that is there is heard.
    listen: Duration,
    /// After how long without a cable another node may have what is here: it heard us last a keepalive before.
    patience: Duration,
}

impl Cables {
    pub fn new(groups: usize, keepalive: Duration, deadtime: Duration) -> Self {
        let patience = deadtime.saturating_sub(keepalive);
        Self { groups: vec![Reach::default(); groups], listen: keepalive, patience }
    }

    /// Whether somebody could reach the group here. Tells what is new about that.
    fn changed(&mut self, now: Instant, id: GroupId, reachable: bool) -> Option<Turn> {
        let cable = &mut self.groups.get_mut(id.0)?.cable;
        let (after, turn) = match (*cable, reachable) {
            (Cable::Out(_), true) => (Cable::Back(now), Some(Turn::Back)),
            (Cable::In, false) => (Cable::Out(now), Some(Turn::Out)),
            // That it is out was told, and not yet that it is in again.
            (Cable::Back(_), false) => (Cable::Out(now), None),
            (Cable::In | Cable::Back(_), true) | (Cable::Out(_), false) => (*cable, None),
        };
        *cable = after;
        turn
    }

    fn ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.groups.len()).map(GroupId)
    }

    /// Nothing is to be taken that seems to be nobody's.
    fn is_cut_off(&self, id: GroupId) -> bool {
        self.groups.get(id.0).is_some_and(|reach| reach.cable != Cable::In)
    }

    /// Nobody can reach it.
    pub fn is_out(&self, id: GroupId) -> bool {
        self.groups.get(id.0).is_some_and(|reach| matches!(reach.cable, Cable::Out(_)))
    }

    /// Nobody could reach it for so long that it is better elsewhere, and others have been heard meanwhile.
    fn is_dead(&self, now: Instant, id: GroupId) -> bool {
        let dead = |reach: &Reach| match (reach.cable, reach.others) {
            // One message says nothing: our clock may have leapt while it was under way.
            (Cable::Out(since), Some((first, last))) => since + self.patience <= now && first + self.listen <= last,
            (Cable::Out(_) | Cable::In | Cable::Back(_), _) => false,
        };
        self.groups.get(id.0).is_some_and(dead)
    }

    fn is_withheld(&self, id: GroupId) -> bool {
        self.groups.get(id.0).is_some_and(|reach| reach.withheld)
    }

    /// `held`: it is ours by the last decision. `heard`: when another node last told how it stands to the groups.
    fn step(&mut self, now: Instant, id: GroupId, held: bool, heard: Option<Instant>) -> Option<Step> {
        let (listen, patience) = (self.listen, self.patience);
        let reach = self.groups.get_mut(id.0)?;
        let heard_since = |since: Instant| heard.is_some_and(|at| at > since);
        reach.due = None;
        reach.others = match (reach.cable, heard) {
            (Cable::Out(since), Some(at)) if at > since + listen && now <= at + 2 * listen => {
                Some((reach.others.map_or(at, |(first, _)| first), at))
            }
            (Cable::Out(_) | Cable::In | Cable::Back(_), _) => None,
        };
        // What is let go of is off in any case.
        reach.withheld &= held;
        let withhold = match reach.cable {
            Cable::In => false,
            Cable::Out(_) if reach.withheld => true,
            Cable::Out(since) if held => {
                let (long, quiet) = (since + patience, heard.map_or(since, |at| at.max(since)) + patience);
                reach.due = [long, quiet].into_iter().find(|due| now < *due);
                quiet <= now
            }
            Cable::Out(_) => false,
            Cable::Back(since) if heard_since(since) || since + listen <= now => {
                reach.cable = Cable::In;
                false
            }
            Cable::Back(since) => {
                reach.due = Some(since + listen);
                reach.withheld
            }
        };
        match (std::mem::replace(&mut reach.withheld, withhold), withhold) {
            (false, true) => Some(Step::Withhold),
            (true, false) => Some(Step::Restore),
            (false, false) | (true, true) => None,
        }
    }

    /// Whether every cable is in, and nothing is withheld.
    fn is_idle(&self) -> bool {
        self.groups.iter().all(|reach| reach.cable == Cable::In && !reach.withheld)
    }

    /// When [`Self::step`] next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.groups.iter().filter_map(|reach| reach.due).min()
    }
}

impl Node {
    pub(super) fn reach(&mut self, now: Instant, group: GroupId, reachable: bool, out: &mut Vec<Action>) {
        if self.membership.peers().is_empty() {
            return; // Nobody else can have anything.
        }
        match self.cables.changed(now, group, reachable) {
            Some(Turn::Out) => out.push(Action::Notice(Notice::CableOut { group: self.key(group) })),
            Some(Turn::Back) => self.hail(now, out),
            None => {}
        }
    }

    /// A cable is in again: whoever is there is to know at once, and to answer.
    pub(super) fn hail(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        // Of several cables at once the first has begun it.
        let begun = std::mem::replace(&mut self.hails, HAILS) > 0;
        if !begun {
            self.send_status(now, out);
        }
    }

    /// A partition has healed, and who is to let go has been decided. Clients on the other side may have been served there;
    /// the other node may have let go before we could hear that it had anything.
    pub(super) fn tell_where_it_is(&self, out: &mut Vec<Action>) {
        let ids = self.membership.settings().plan.iter().map(|(id, _)| id);
        let held = ids.filter(|id| self.takeover.state(*id) == Some(State::Held) && !self.is_withheld(*id));
        out.extend(held.map(|group| Action::Announce { group }));
    }

    /// After everything else in a turn: what was heard in it has been decided on.
    pub(super) fn check_cables(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.cables.is_idle() {
            return;
        }
        // Of more nodes the one that was heard first may not be the one that has the group.
        let heard = self.membership.last_account().filter(|_| !self.takeover.is_unsure());
        for id in self.cables.ids() {
            let held = matches!(self.takeover.state(id), Some(State::Held | State::Offering));
            match self.cables.step(now, id, held, heard) {
                Some(Step::Withhold) => {
                    out.push(Action::Withhold { group: id });
                    out.push(Action::Notice(Notice::Withheld { group: self.key(id) }));
                }
                Some(Step::Restore) => {
                    out.push(Action::Restore { group: id });
                    out.push(Action::Notice(Notice::Restored { group: self.key(id) }));
                }
                None => {}
            }
            let mut fx = Vec::new();
            let (cut_off, dead) = (self.cables.is_cut_off(id), self.cables.is_dead(now, id));
            self.takeover.set_cut_off(now, id, cut_off, dead, &mut fx);
            self.carry_out(now, fx, out);
        }
    }

    /// Whether the addresses of a group that is held here are off for the time being.
    pub(super) fn is_withheld(&self, group: GroupId) -> bool {
        self.cables.is_withheld(group)
    }

    fn key(&self, id: GroupId) -> String {
        self.membership.settings().plan.get(id).map(|group| group.key.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(0);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn cables() -> (Cables, Instant) {
        (Cables::new(1, ms(200), ms(1000)), Instant::now())
    }

    /// Out at 0, looked at when it says so; back after two seconds.
    fn withheld() -> (Cables, Instant) {
        let (mut cables, now) = cables();
        assert_eq!(cables.changed(now, GROUP, false), Some(Turn::Out));
        assert_eq!(cables.step(now, GROUP, true, None), None);
        assert_eq!(cables.deadline(), Some(now + ms(800)));
        assert_eq!(cables.step(now + ms(800), GROUP, true, None), Some(Step::Withhold));
        assert_eq!(cables.step(now + ms(900), GROUP, true, None), None);
        assert!(cables.is_withheld(GROUP));
        assert_eq!(cables.deadline(), None);
        let back = now + ms(2000);
        assert_eq!(cables.changed(back, GROUP, true), Some(Turn::Back));
        (cables, back)
    }

    #[test]
    fn an_address_comes_back_a_keepalive_after_its_cable_if_nobody_else_is_heard() {
        let (mut cables, back) = withheld();
        assert_eq!(cables.step(back, GROUP, true, None), None);
        assert_eq!(cables.deadline(), Some(back + ms(200)));
        assert_eq!(cables.step(back + ms(199), GROUP, true, None), None);
        assert!(cables.is_cut_off(GROUP));
        assert_eq!(cables.step(back + ms(200), GROUP, true, None), Some(Step::Restore));
        assert!(!cables.is_cut_off(GROUP) && !cables.is_withheld(GROUP));
    }

    #[test]
    fn a_message_that_was_under_way_puts_it_off_and_no_more() {
        let (mut cables, now) = cables();
        assert_eq!(cables.changed(now, GROUP, false), Some(Turn::Out));
        let heard = Some(now + ms(100));
        assert_eq!(cables.step(now + ms(100), GROUP, true, heard), None);
        assert_eq!(cables.step(now + ms(800), GROUP, true, heard), None);
        assert_eq!(cables.deadline(), Some(now + ms(900)));
        assert_eq!(cables.step(now + ms(900), GROUP, true, heard), Some(Step::Withhold));
    }

    #[test]
    fn who_hears_another_and_still_has_the_group_has_its_address_at_once() {
        let (mut cables, back) = withheld();
        assert_eq!(cables.step(back + ms(3), GROUP, true, Some(back - ms(1))), None);
        assert_eq!(cables.step(back + ms(3), GROUP, true, Some(back + ms(3))), Some(Step::Restore));
    }

    #[test]
    fn an_address_that_was_withheld_is_never_put_on_by_the_one_that_lets_go() {
        let (mut cables, back) = withheld();
        assert_eq!(cables.step(back + ms(3), GROUP, false, Some(back + ms(3))), None);
        assert!(!cables.is_withheld(GROUP) && !cables.is_cut_off(GROUP));
        assert_eq!(cables.step(back + ms(300), GROUP, false, None), None);
    }

    #[test]
    fn a_cable_that_is_out_for_a_moment_or_for_one_network_of_two_changes_nothing() {
        let (mut cables, now) = cables();
        assert_eq!(cables.changed(now, GROUP, false), Some(Turn::Out));
        assert_eq!(cables.changed(now + ms(700), GROUP, true), Some(Turn::Back));
        assert_eq!(cables.step(now + ms(700), GROUP, true, None), None);
        assert!(!cables.is_withheld(GROUP));
        assert_eq!(cables.changed(now + ms(700), GROUP, true), None);
        assert_eq!(cables.changed(now + ms(1000), GROUP, false), None, "told already");
        for beat in (1200..4000).step_by(200) {
            assert_eq!(cables.step(now + ms(beat), GROUP, true, Some(now + ms(beat))), None);
            let dead = beat >= 1800;
            assert_eq!(cables.is_dead(now + ms(beat), GROUP), dead);
            let next = if dead { now + ms(beat + 800) } else { now + ms(1800) };
            assert_eq!(cables.deadline(), Some(next));
        }
    }
}
