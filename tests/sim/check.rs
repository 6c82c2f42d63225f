//! What must hold at every moment of every run.
//!
//! 1. **Never two owners while the nodes hear each other**, themselves or through a third. A node that hears another and
//!    is heard by it takes a group only from a holder that offers it; and once each has
//!    heard a status that the other sent after both had the address, one has let go. Two that hear
//!    each other only through a third do not keep it both either.
//! 2. **Never two owners because one was stopped.** Whoever takes a group from a node that
//!    is down or not run finds its address gone: its lease has ended (where deadtime leaves
//!    room for a lease of a whole second).
//! 3. **Never none** for longer than deadtime and a keepalive (and what network and start
//!    scripts take, a keepalive for each lost message, and one for a node that was not run) while
//!    a node is in service. Recordings of what a node said may delay that until the node that has
//!    just started can tell them.
//! 4. **Failback exactly when configured**: nothing goes home by itself where the holder has
//!    `auto_failback off` and can be reached, nor before its home is ready, nor to a later home; in the end everything is at home where
//!    nobody sent it away and both have it on.
//! 5. **A planned switch leaves no gap**: a group that may overlap is let go when the other
//!    has its address, not before.
//! 6. **A node that was stopped for longer than deadtime lets go before it speaks.**
//! 7. **No client finds two owners when a cable is in again.** Where it was out for longer than deadtime, its node has
//!    nothing that the other one had at that moment and keeps, unless a message was lost since or an operator wanted it.
//! 8. **Nothing is started that still runs on a node which is heard**, because it could not be stopped there or because
//!    an earlier life of the daemon has left it.
//!
//! In the end, when nothing has happened for a while, each group is on one node, and all nodes report that one as its holder.
//!
//! And what concerns fencing and maintenance: rules 9 to 11 ([`fencing`]).

mod cable;
mod fencing;

use std::ops::Range;

use heartbeatd::core::{GroupId, Node, State, Why};

use crate::profile::{MOST_NODES, MS, Profile, S, Time};
use cable::Cable;
use fencing::Fencing;

/// More groups than any profile has.
pub const MOST_GROUPS: usize = 4;

/// Who has what at one moment, seen by nobody but the world.
#[derive(Default)]
pub struct Sight {
    pub owns: [[bool; MOST_GROUPS]; MOST_NODES],
    pub states: [[Option<State>; MOST_GROUPS]; MOST_NODES],
    /// Whether scripts that must not run twice run.
    pub scripts: [[bool; MOST_GROUPS]; MOST_NODES],
    pub runs: [bool; MOST_NODES],
    /// Takes nothing before somebody is known to be off, or before the end of maintenance.
    pub hindered: [bool; MOST_NODES],
}

#[derive(Debug, Clone, Default)]
struct Group {
    none_since: Option<Time>,
    lost_before: u64,
    /// Of two nodes that both have it; the first is the lower one.
    both: [[Both; MOST_NODES]; MOST_NODES],
    /// When each node last offered it.
    offered: [Option<Time>; MOST_NODES],
    /// Which nodes are offering it, and whether each began to because nobody could reach it there.
    offering: [bool; MOST_NODES],
    unreachable: [bool; MOST_NODES],
    /// Who took it last when it was offered.
    taker: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Both {
    since: Option<Time>,
    /// The giver had offered.
    planned: bool,
    /// What each had sent last when it began.
    mark: [(u64, u64); 2],
    /// Each has heard a status sent after both had it.
    aware: [bool; 2],
    /// They hear each other in one way or another since.
    linked_since: Option<Time>,
}

#[derive(Debug, Clone, Default)]
struct Side {
    started: Option<Time>,
    active: Option<Time>,
    ready: bool,
    /// Not run since.
    asleep: Option<Time>,
    /// Highest number and generation delivered from each other node, and when.
    newest: [(u64, u64); MOST_NODES],
    heard: [Option<Time>; MOST_NODES],
    /// When the newest status that it has of each was sent.
    said: [Option<Time>; MOST_NODES],
    /// It and each other node hear each other since.
    mutual: [Option<Time>; MOST_NODES],
    /// Generation and number of the last numbered message it sent.
    sent: (u64, u64),
    stopping: Option<Time>,
    /// Was not run for a while in this life, or its clock leapt: it waits for the other a keepalive longer then.
    excuses: bool,
    /// Its clock leapt ahead, the last time.
    leapt: Option<Time>,
    /// Its present life, and that of each other node which its last status said it had heard.
    life: Option<u64>,
    echoed: [Option<u64>; MOST_NODES],
    /// Has lost its count of lives, so that the other node may refuse what it says for a while.
    forgetful: bool,
    /// Was stopped too long: must not speak before it has let go.
    muzzled: bool,
}

pub struct Check {
    profile: Profile,
    groups: Vec<Group>,
    sides: Vec<Side>,
    cables: [Cable; MOST_NODES],
    lost: u64,
    /// Until then recordings are sent, or the lives of a node are counted anew; `None` where neither ever was.
    doubtful_until: Option<Time>,
    disturbed: Time,
    operator: Option<Time>,
    any_operator: bool,
    failed_at: Option<Time>,
    failed_start: bool,
    fault: Option<String>,
    fencing: Fencing,
    pub planned: u64,
    /// Cables that were plugged in again while another node had a group.
    pub healed: u64,
    /// Groups that were given away because nobody could reach them.
    pub given: u64,
    pub longest_overlap: Time,
    pub longest_gap: Time,
}

impl Check {
    pub fn new(profile: &Profile) -> Self {
        Self {
            groups: vec![Group { none_since: Some(0), ..Group::default() }; profile.groups.len()],
            profile: profile.clone(),
            sides: vec![Side::default(); profile.nodes()],
            cables: Default::default(),
            lost: 0,
            doubtful_until: None,
            disturbed: 0,
            operator: None,
            any_operator: false,
            failed_at: None,
            failed_start: false,
            fault: None,
            fencing: Fencing::new(profile),
            planned: 0,
            healed: 0,
            given: 0,
            longest_overlap: 0,
            longest_gap: 0,
        }
    }

    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn fails(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    pub fn disturbed(&mut self, now: Time) {
        self.disturbed = now;
    }

    pub fn operator(&mut self, node: usize, now: Time) {
        self.fencing.asked(node, now);
        self.operator = Some(now);
        self.any_operator = true;
    }

    pub fn lost(&mut self) {
        self.lost += 1;
    }

    pub fn start_fails(&mut self, when: Time) {
        self.failed_at = self.failed_at.max(Some(when));
        self.failed_start = true;
    }

    pub fn starts(&mut self, node: usize, now: Time) {
        let forgetful = self.sides[node].forgetful;
        self.sides[node] = Side { started: Some(now), forgetful, ..Side::default() };
        self.sides.iter_mut().for_each(|side| side.heard[node] = None);
        self.fencing.starts(node);
    }

    fn nodes(&self) -> Range<usize> {
        0..self.sides.len()
    }

    fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        self.nodes().filter(move |other| *other != node)
    }

    /// Recordings are sent until then.
    pub fn replays(&mut self, until: Time) {
        self.doubtful_until = self.doubtful_until.max(Some(until));
    }

    /// By its own clock the node has heard the other that much earlier; what it excuses of that is its own affair.
    pub fn leaps(&mut self, node: usize, by: Time, now: Time) {
        let side = &mut self.sides[node];
        side.heard = side.heard.map(|heard| heard.map(|at| at.saturating_sub(by)));
        side.leapt = Some(now);
        side.excuses = true;
    }

    /// From its next start on the numbers of a node's messages may be lower than they were.
    pub fn forgets(&mut self, node: usize) {
        self.doubtful_until = self.doubtful_until.max(Some(0));
        self.sides[node].forgetful = true;
        self.sides.iter_mut().for_each(|side| side.newest[node] = (0, 0));
    }

    pub fn active(&mut self, node: usize, now: Time) {
        self.sides[node].active = Some(now);
    }

    pub fn is_active(&self, node: usize) -> bool {
        self.sides[node].active.is_some()
    }

    pub fn restarts(&mut self, node: usize, now: Time) {
        self.sides[node].active = None;
        self.sides[node].started = Some(now);
    }

    pub fn ready(&mut self, node: usize, ready: bool) {
        self.sides[node].ready = ready;
    }

    pub fn stopping(&mut self, node: usize, now: Time) {
        self.sides[node].stopping = Some(now);
    }

    pub fn down(&mut self, node: usize, now: Time) {
        let Side { sent, forgetful, .. } = self.sides[node];
        self.sides[node] = Side { asleep: Some(now), sent, forgetful, ..Side::default() };
    }

    pub fn pauses(&mut self, node: usize, now: Time) {
        self.sides[node].asleep = Some(now);
    }

    /// Rule 6 begins.
    pub fn resumes(&mut self, node: usize, now: Time, core: Option<&Node>) {
        let side = &mut self.sides[node];
        side.excuses = true;
        let since = side.asleep.take().unwrap_or(now);
        let slept = now - since;
        self.fencing.slept(node, since, now);
        let held = |core: &Node, group| matches!(core.state(GroupId(group)), Some(State::Held | State::Offering));
        let holds = core.is_some_and(|core| (0..self.groups.len()).any(|group| held(core, group)));
        side.muzzled = holds && slept > self.profile.deadtime;
        if let Some(active) = &mut side.active {
            *active = now;
        }
    }

    /// Rule 6: everything that was here is on its way out.
    pub fn resumed(&mut self, node: usize) {
        if self.sides[node].muzzled {
            self.fails(format!("node{} was stopped for longer than deadtime and kept what it had", node + 1));
        }
    }

    pub fn sends(
        &mut self,
        node: usize,
        generation: u64,
        seq: Option<u64>,
        word: Option<(u64, [Option<u64>; MOST_NODES])>,
    ) {
        if let Some((life, echoed)) = word {
            self.sides[node].life = Some(life);
            self.sides[node].echoed = echoed;
        }
        if let Some(seq) = seq {
            self.sides[node].sent = (generation, seq);
        }
        if self.sides[node].muzzled {
            self.fails(format!("node{} was stopped for longer than deadtime and spoke before it let go", node + 1));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "from whom to whom, and what of the message matters here")]
    pub fn heard(
        &mut self,
        to: usize,
        from: usize,
        now: Time,
        said: Time,
        number: (u64, Option<u64>),
        is_status: bool,
        echo: Option<u64>,
    ) {
        let (generation, Some(seq)) = number else { return };
        // Where there are recordings, whoever says that it hears an earlier life may be refused.
        if self.doubtful_until.is_some() && echo.is_some_and(|life| self.sides[to].life != Some(life)) {
            return;
        }
        // What was said in an earlier life tells nothing of this one.
        if generation != self.sides[from].sent.0 || (generation, seq) <= self.sides[to].newest[from] {
            return;
        }
        let believed = self.believes(to, from);
        let side = &mut self.sides[to];
        side.newest[from] = (generation, seq);
        side.heard[from] = Some(now);
        if believed {
            self.fencing.heard(to, from, now);
        }
        let side = &mut self.sides[to];
        if is_status && believed {
            side.said[from] = Some(said);
        }
        let (lower, higher, which) = if to < from { (to, from, 0) } else { (from, to, 1) };
        for group in &mut self.groups {
            let both = &mut group.both[lower][higher];
            if believed && is_status && both.since.is_some() && (generation, seq) > both.mark[1 - which] {
                both.aware[which] = true;
            }
        }
    }

    fn hear_each_other(&self, one: usize, other: usize, now: Time, sight: &Sight) -> bool {
        [(one, other), (other, one)].into_iter().all(|(node, other)| {
            let side = &self.sides[node];
            let heard = side.heard[other].is_some_and(|at| now - at < self.profile.deadtime);
            sight.runs[node] && heard && self.believes(node, other) && side.active.is_some()
        })
    }

    /// Whether two nodes hear each other, or a third that hears both and has told the first since it does.
    fn linked(&self, node: usize, other: usize, now: Time, sight: &Sight) -> bool {
        let through = |third: usize| {
            third != other
                && self.sides[third].stopping.is_none()
                && self.hear_each_other(node, third, now, sight)
                && self.hear_each_other(third, other, now, sight)
                && self.sides[third].mutual[other].is_some_and(|since| self.sides[node].said[third] > Some(since))
        };
        self.hear_each_other(node, other, now, sight) || self.others(node).any(through)
    }

    /// Whether a node takes another's present life for what it is. One that counts its lives anew
    /// is refused until its known life is certainly over.
    fn believes(&self, node: usize, other: usize) -> bool {
        let them = &self.sides[other];
        !them.forgetful || (them.life.is_some() && self.sides[node].echoed[other] == them.life)
    }

    /// Rules 1, 2, 4 and 8, at the moment of decision.
    pub fn acquires(&mut self, node: usize, group: GroupId, why: Why, now: Time, sight: &Sight) {
        for other in self.others(node) {
            self.acquires_from(node, other, group, why, now, sight);
        }
        self.check_acquire(node, group, why, now, sight);
        if self.others(node).any(|other| sight.states[other][group.0] == Some(State::Offering)) {
            self.groups[group.0].taker = Some(node);
        }
    }

    fn acquires_from(&mut self, node: usize, other: usize, group: GroupId, why: Why, now: Time, sight: &Sight) {
        let theirs = sight.states[other][group.0];
        let has = sight.owns[other][group.0] || theirs == Some(State::Acquiring);
        let recently = |at: Option<Time>| at.is_some_and(|at| now - at <= self.profile.deadtime * 2);
        let offered = theirs == Some(State::Offering) || recently(self.groups[group.0].offered[other]);
        if has && !offered && self.linked(node, other, now, sight) {
            self.fails(format!(
                "node{} takes group {} ({why:?}) although node{} has it, hears it and is heard",
                node + 1,
                group.0,
                other + 1
            ));
        }
        // What was given away in a partition may run on both until it is stopped.
        let ours = sight.scripts[node][group.0];
        if sight.scripts[other][group.0] && !ours && self.linked(node, other, now, sight) {
            self.fails(format!(
                "node{} starts group {} although it still runs on node{}",
                node + 1,
                group.0,
                other + 1
            ));
        }
        // One whose last words got lost may still have it, as in any partition.
        let asleep = self.sides[other].asleep.is_some() && self.sides[node].newest[other] == self.sides[other].sent;
        // Leases are whole seconds: with deadtime 1 s there is no room.
        let room = self.profile.lease + self.profile.keepalive <= self.profile.deadtime;
        // A leap of less than a keepalive goes unnoticed, and makes deadtime shorter by as much.
        let leapt = self.sides[node].leapt.is_some_and(|at| now - at <= 2 * self.profile.deadtime);
        if room && sight.owns[other][group.0] && asleep && !offered && !leapt {
            self.fails(format!("node{} takes group {} whose address a sleeping node still has", node + 1, group.0));
        }
        let asked = |at: Option<Time>| at.is_some_and(|at| now - at <= 15 * S);
        let agreed = theirs == Some(State::Offering) && !matches!(why, Why::PeerDead | Why::PeerLeft);
        let unreachable = self.groups[group.0].unreachable[other];
        let by_itself = agreed && !asked(self.operator) && self.sides[other].stopping.is_none() && !unreachable;
        if by_itself && !self.profile.auto_failback[other] {
            self.fails(format!("group {} goes home although node{} has auto_failback off", group.0, other + 1));
        }
        if by_itself && self.profile.rank(group.0, node) > self.profile.rank(group.0, other) {
            self.fails(format!("group {} fails back away from its home", group.0));
        }
        if by_itself && !self.sides[node].ready {
            self.fails(format!("group {} goes home to node{}, which is not ready", group.0, node + 1));
        }
        self.planned += u64::from(offered && has);
    }

    /// Rule 5.
    pub fn releases(&mut self, node: usize, group: GroupId, why: Why, now: Time, sight: &Sight) {
        self.sides[node].muzzled = false;
        self.given += u64::from(why == Why::Unreachable);
        self.check_release(node, group, why, now);
        let overlaps = self.profile.groups[group.0].1;
        let planned = matches!(why, Why::Failback | Why::Standby | Why::Takeover);
        // The taker may have fallen asleep, died or begun a new life the moment after it said that it had it, or says it when its
        // own cable is in again, having had it withheld.
        let taker = if self.profile.nodes() == 2 { Some(1 - node) } else { self.groups[group.0].taker };
        let listens = self.profile.keepalive + 2 * self.profile.delay.1;
        let withheld = |taker: usize| {
            let held = sight.states[taker][group.0] == Some(State::Held) && !sight.owns[taker][group.0];
            held && self.cables[taker].is_back_since(now, listens)
        };
        let fit = |taker: usize| sight.runs[taker] && self.sides[taker].active.is_some() && !withheld(taker);
        let takes_part = taker.is_none_or(fit);
        if overlaps && planned && takes_part && !self.others(node).any(|other| sight.owns[other][group.0]) {
            self.fails(format!("node{} lets go of group {} ({why:?}) before the other has it", node + 1, group.0));
        }
    }

    /// After every event: rules 1, 2 and 3 over time.
    pub fn observe(&mut self, now: Time, sight: &Sight) {
        for node in self.nodes() {
            for other in node + 1..self.sides.len() {
                let since = self.sides[node].mutual[other].unwrap_or(now);
                let since = self.hear_each_other(node, other, now, sight).then_some(since);
                (self.sides[node].mutual[other], self.sides[other].mutual[node]) = (since, since);
            }
        }
        self.fencing.observe(now, sight);
        self.observe_cables(now, sight);
        for at in 0..self.groups.len() {
            for node in self.nodes() {
                let offers = sight.states[node][at] == Some(State::Offering);
                let before = std::mem::replace(&mut self.groups[at].offering[node], offers);
                if offers && !before {
                    let patience = self.profile.deadtime.saturating_sub(self.profile.keepalive);
                    let (leapt, slept) = (self.sides[node].leapt, self.fencing.slept[node]);
                    self.groups[at].unreachable[node] = self.cables[node].is_dead_card(patience, leapt, slept, now);
                }
                if offers {
                    self.groups[at].offered[node] = Some(now);
                }
            }
            for node in self.nodes() {
                for other in node + 1..self.sides.len() {
                    self.observe_both(now, at, [node, other], sight);
                }
            }
            self.observe_none(now, at, sight);
        }
        for node in self.nodes() {
            let hang = if self.profile.hanging > 0 { self.profile.hang } else { 0 };
            let patience = self.profile.initdead + S + hang;
            let side = &self.sides[node];
            let since = side.started.map(|started| started.max(self.disturbed));
            if sight.runs[node]
                && side.active.is_none()
                && side.stopping.is_none()
                && since.is_some_and(|since| now > since + patience + self.profile.work.1)
            {
                self.fails(format!("node{} does not become active", node + 1));
            }
        }
    }

    fn observe_both(&mut self, now: Time, at: usize, [node, other]: [usize; 2], sight: &Sight) {
        let both = &mut self.groups[at].both[node][other];
        if !(sight.owns[node][at] && sight.owns[other][at]) {
            let before = std::mem::take(both);
            if let Some(since) = before.since
                && before.planned
                && since > self.disturbed
            {
                self.longest_overlap = self.longest_overlap.max(now - since);
            }
            return;
        }
        let linked =
            self.sides.len() > 2 && self.linked(node, other, now, sight) && self.linked(other, node, now, sight);
        let both = &mut self.groups[at].both[node][other];
        both.linked_since = linked.then(|| both.linked_since.unwrap_or(now));
        let limit = 3 * self.profile.deadtime + 2 * self.profile.keepalive;
        let kept = both.linked_since.is_some_and(|since| now > since.max(self.disturbed) + limit);
        if both.since.is_none() {
            let mark = [self.sides[node].sent, self.sides[other].sent];
            let planned = [node, other].into_iter().any(|node| sight.states[node][at] == Some(State::Offering));
            *both = Both { since: Some(now), mark, planned, ..*both };
        } else if both.aware == [true, true] && sight.runs[node] && sight.runs[other] {
            self.fails(format!("both nodes have group {at}, each has heard it from the other, and none lets go"));
        } else if kept {
            self.fails(format!("two nodes have group {at}, hear each other through a third, and none lets go"));
        }
    }

    fn observe_none(&mut self, now: Time, at: usize, sight: &Sight) {
        let owned = self.nodes().any(|node| sight.owns[node][at]);
        // Whoever is in maintenance gives nothing away by itself, not even what nobody can reach there.
        let kept = self.nodes().any(|node| {
            let held = sight.runs[node] && sight.states[node][at] == Some(State::Held);
            held && self.cables[node].out.is_some() && self.fencing.maintained[node].is_some()
        });
        let group = &mut self.groups[at];
        if owned || kept {
            group.none_since = None;
            return;
        }
        let since = *group.none_since.get_or_insert_with(|| {
            group.lost_before = self.lost;
            now
        });
        let lost = self.lost - group.lost_before;
        let Profile { deadtime, keepalive, delay, work, .. } = self.profile;
        // After a failed start the node waits before it tries again.
        let failed = self.failed_at.filter(|failed| *failed >= since || now - *failed < 12 * S);
        let retry = if failed.is_some() { 10 * S } else { 0 };
        // A node that has just started cannot tell a recording before the answer in it is too old.
        let doubt = match self.doubtful_until {
            Some(until) if since <= until + deadtime => self.profile.initdead + 2 * keepalive + 2 * S,
            Some(_) | None => 0,
        };
        // One whose new life is not believed yet may miss the other's last words before that leaves.
        let doubt = doubt + if self.sides.iter().any(|side| side.forgetful) { S } else { 0 };
        let limit = deadtime + keepalive + 4 * delay.1 + 2 * work.1 + MS + lost * keepalive + retry + doubt;
        // A claim goes to everybody and back, and one may have to hear first that another gave a node up too.
        let limit = limit + if self.profile.nodes() > 2 { keepalive + 6 * delay.1 } else { 0 };
        for node in self.nodes() {
            let side = &self.sides[node];
            let in_service = sight.runs[node] && side.stopping.is_none() && self.cables[node].out.is_none();
            let Some(active) = side.active.filter(|_| in_service) else { continue };
            let limit = limit + if side.excuses { keepalive } else { 0 };
            // What hangs fails later than now.
            let hindered = self.fencing.hindered[node];
            let waited =
                now.saturating_sub(since.max(active).max(self.disturbed).max(failed.unwrap_or(0)).max(hindered));
            if failed.is_none() {
                self.longest_gap = self.longest_gap.max(waited);
            }
            if waited > limit {
                self.fault.get_or_insert(format!(
                    "nobody has group {at} for {} ms although node{} is in service (at most {} ms)",
                    waited / MS,
                    node + 1,
                    limit / MS
                ));
            }
        }
    }

    pub fn was_operated(&self) -> bool {
        self.any_operator
    }

    pub fn had_failed_start(&self) -> bool {
        self.failed_start
    }
}
