//! What must hold at every moment of every run.
//!
//! 1. **Never two owners while the nodes hear each other.** A node that hears the other and
//!    is heard by it takes a group only from a holder that offers it; and once each has
//!    heard a status that the other sent after both had the address, one has let go.
//! 2. **Never two owners because one was stopped.** Whoever takes a group from a node that
//!    is down or not run finds its address gone: its lease has ended (where deadtime leaves
//!    room for a lease of a whole second).
//! 3. **Never none** for longer than deadtime and a keepalive (and what network and start
//!    scripts take, a keepalive for each lost message, and one for a node that was not run) while
//!    a node is in service. Recordings of what a node said may delay that until the node that has
//!    just started can tell them.
//! 4. **Failback exactly when configured**: nothing goes home by itself where the holder has
//!    `auto_failback off`, nor before its home is ready; in the end everything is at home where
//!    nobody sent it away and both have it on.
//! 5. **A planned switch leaves no gap**: a group that may overlap is let go when the other
//!    has its address, not before.
//! 6. **A node that was stopped for longer than deadtime lets go before it speaks.**

use heartbeatd::core::{GroupId, Node, State, Why};

use crate::profile::{MS, Profile, S, Time};

/// More groups than any profile has.
pub const MOST_GROUPS: usize = 4;

/// Who has what at one moment, seen by nobody but the world.
#[derive(Default)]
pub struct Sight {
    pub owns: [[bool; MOST_GROUPS]; 2],
    pub states: [[Option<State>; MOST_GROUPS]; 2],
    pub runs: [bool; 2],
}

#[derive(Debug, Clone, Default)]
struct Group {
    none_since: Option<Time>,
    lost_before: u64,
    both_since: Option<Time>,
    /// Both began because the giver had offered.
    planned: bool,
    /// What each node had sent last when both began.
    mark: [(u64, u64); 2],
    /// Each node has heard a status sent after both had it.
    aware: [bool; 2],
    /// When each node last offered it.
    offered: [Option<Time>; 2],
}

#[derive(Debug, Clone, Default)]
struct Side {
    started: Option<Time>,
    active: Option<Time>,
    ready: bool,
    /// Not run since.
    asleep: Option<Time>,
    /// Highest number and generation delivered from the other node, and when.
    newest: (u64, u64),
    heard: Option<Time>,
    /// Generation and number of the last numbered message it sent.
    sent: (u64, u64),
    stopping: Option<Time>,
    /// Was not run for a while in this life, or its clock leapt: it waits for the other a keepalive longer then.
    excuses: bool,
    /// Its clock leapt ahead, the last time.
    leapt: Option<Time>,
    /// Its present life, and that of the other node which its last status said it had heard.
    life: Option<u64>,
    echoed: Option<u64>,
    /// Has lost its count of lives, so that the other node may refuse what it says for a while.
    forgetful: bool,
    /// Was stopped too long: must not speak before it has let go.
    muzzled: bool,
}

pub struct Check {
    profile: Profile,
    groups: Vec<Group>,
    sides: [Side; 2],
    lost: u64,
    /// Until then recordings are sent, or the lives of a node are counted anew; `None` where neither ever was.
    doubtful_until: Option<Time>,
    disturbed: Time,
    operator: Option<Time>,
    any_operator: bool,
    failed_at: Option<Time>,
    failed_start: bool,
    fault: Option<String>,
    pub planned: u64,
    pub longest_overlap: Time,
    pub longest_gap: Time,
}

impl Check {
    pub fn new(profile: &Profile) -> Self {
        Self {
            groups: vec![Group { none_since: Some(0), ..Group::default() }; profile.groups.len()],
            profile: profile.clone(),
            sides: [Side::default(), Side::default()],
            lost: 0,
            doubtful_until: None,
            disturbed: 0,
            operator: None,
            any_operator: false,
            failed_at: None,
            failed_start: false,
            fault: None,
            planned: 0,
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

    pub fn operator(&mut self, now: Time) {
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
        self.sides[1 - node].heard = None;
    }

    /// Recordings are sent until then.
    pub fn replays(&mut self, until: Time) {
        self.doubtful_until = self.doubtful_until.max(Some(until));
    }

    /// By its own clock the node has heard the other that much earlier; what it excuses of that is its own affair.
    pub fn leaps(&mut self, node: usize, by: Time, now: Time) {
        let side = &mut self.sides[node];
        side.heard = side.heard.map(|at| at.saturating_sub(by));
        side.leapt = Some(now);
        side.excuses = true;
    }

    /// From its next start on the numbers of a node's messages may be lower than they were.
    pub fn forgets(&mut self, node: usize) {
        self.doubtful_until = self.doubtful_until.max(Some(0));
        self.sides[node].forgetful = true;
        self.sides[1 - node].newest = (0, 0);
    }

    pub fn active(&mut self, node: usize, now: Time) {
        self.sides[node].active = Some(now);
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
        let slept = side.asleep.take().map_or(0, |since| now - since);
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

    pub fn sends(&mut self, node: usize, generation: u64, seq: Option<u64>, word: Option<(u64, Option<(u64, u64)>)>) {
        if let Some((life, echo)) = word {
            self.sides[node].life = Some(life);
            self.sides[node].echoed = echo.map(|(heard, _)| heard);
        }
        if let Some(seq) = seq {
            self.sides[node].sent = (generation, seq);
        }
        if self.sides[node].muzzled {
            self.fails(format!("node{} was stopped for longer than deadtime and spoke before it let go", node + 1));
        }
    }

    pub fn heard(&mut self, to: usize, now: Time, number: (u64, Option<u64>), is_status: bool, echo: Option<u64>) {
        let (generation, Some(seq)) = number else { return };
        // Where there are recordings, whoever says that it hears an earlier life may be refused.
        if self.doubtful_until.is_some() && echo.is_some_and(|life| self.sides[to].life != Some(life)) {
            return;
        }
        // What was said in an earlier life tells nothing of this one.
        if generation != self.sides[1 - to].sent.0 || (generation, seq) <= self.sides[to].newest {
            return;
        }
        self.sides[to].newest = (generation, seq);
        self.sides[to].heard = Some(now);
        let believed = self.believes(to);
        for group in &mut self.groups {
            if believed && is_status && group.both_since.is_some() && (generation, seq) > group.mark[1 - to] {
                group.aware[to] = true;
            }
        }
    }

    fn hear_each_other(&self, now: Time, sight: &Sight) -> bool {
        (0..2).all(|node| {
            let side = &self.sides[node];
            let heard = side.heard.is_some_and(|at| now - at < self.profile.deadtime);
            sight.runs[node] && heard && self.believes(node) && side.active.is_some()
        })
    }

    /// Whether a node takes the other's present life for what it is. One that counts its lives anew
    /// is refused until its known life is certainly over.
    fn believes(&self, node: usize) -> bool {
        let other = &self.sides[1 - node];
        !other.forgetful || (other.life.is_some() && self.sides[node].echoed == other.life)
    }

    /// Rules 1, 2 and 4, at the moment of decision.
    pub fn acquires(&mut self, node: usize, group: GroupId, why: Why, now: Time, sight: &Sight) {
        let other = 1 - node;
        let theirs = sight.states[other][group.0];
        let has = sight.owns[other][group.0] || theirs == Some(State::Acquiring);
        let recently = |at: Option<Time>| at.is_some_and(|at| now - at <= self.profile.deadtime * 2);
        let offered = theirs == Some(State::Offering) || recently(self.groups[group.0].offered[other]);
        if has && !offered && self.hear_each_other(now, sight) {
            self.fails(format!(
                "node{} takes group {} ({why:?}) although node{} has it, hears it and is heard",
                node + 1,
                group.0,
                other + 1
            ));
        }
        // One whose last words got lost may still have it, as in any partition.
        let asleep = self.sides[other].asleep.is_some() && self.sides[node].newest == self.sides[other].sent;
        // Leases are whole seconds: with deadtime 1 s there is no room.
        let room = self.profile.lease + self.profile.keepalive <= self.profile.deadtime;
        // A leap of less than a keepalive goes unnoticed, and makes deadtime shorter by as much.
        let leapt = self.sides[node].leapt.is_some_and(|at| now - at <= 2 * self.profile.deadtime);
        if room && sight.owns[other][group.0] && asleep && !offered && !leapt {
            self.fails(format!("node{} takes group {} whose address a sleeping node still has", node + 1, group.0));
        }
        let asked = |at: Option<Time>| at.is_some_and(|at| now - at <= 15 * S);
        let agreed = theirs == Some(State::Offering) && !matches!(why, Why::PeerDead | Why::PeerLeft);
        let by_itself = agreed && !asked(self.operator) && self.sides[other].stopping.is_none();
        if by_itself && !self.profile.auto_failback[other] {
            self.fails(format!("group {} goes home although node{} has auto_failback off", group.0, other + 1));
        }
        if by_itself && self.profile.groups[group.0].0 != node {
            self.fails(format!("group {} fails back away from its home", group.0));
        }
        if by_itself && !self.sides[node].ready {
            self.fails(format!("group {} goes home to node{}, which is not ready", group.0, node + 1));
        }
        self.planned += u64::from(offered && has);
    }

    /// Rule 5.
    pub fn releases(&mut self, node: usize, group: GroupId, why: Why, _now: Time, sight: &Sight) {
        self.sides[node].muzzled = false;
        let overlaps = self.profile.groups[group.0].1;
        let planned = matches!(why, Why::Failback | Why::Standby | Why::Takeover);
        // The taker may have fallen asleep, died or begun a new life the moment after it said that it had it.
        let takes_part = sight.runs[1 - node] && self.sides[1 - node].active.is_some();
        if overlaps && planned && takes_part && !sight.owns[1 - node][group.0] {
            self.fails(format!("node{} lets go of group {} ({why:?}) before the other has it", node + 1, group.0));
        }
    }

    /// After every event: rules 1, 2 and 3 over time.
    pub fn observe(&mut self, now: Time, sight: &Sight) {
        for at in 0..self.groups.len() {
            let owners = [sight.owns[0][at], sight.owns[1][at]];
            for node in 0..2 {
                if sight.states[node][at] == Some(State::Offering) {
                    self.groups[at].offered[node] = Some(now);
                }
            }
            self.observe_both(now, at, owners, sight);
            self.observe_none(now, at, owners, sight);
        }
        for node in 0..2 {
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

    fn observe_both(&mut self, now: Time, at: usize, owners: [bool; 2], sight: &Sight) {
        let group = &mut self.groups[at];
        if owners != [true, true] {
            if let Some(since) = group.both_since.take()
                && group.planned
                && since > self.disturbed
            {
                self.longest_overlap = self.longest_overlap.max(now - since);
            }
            return;
        }
        if group.both_since.is_none() {
            group.both_since = Some(now);
            group.aware = [false, false];
            group.mark = [self.sides[0].sent, self.sides[1].sent];
            group.planned = (0..2).any(|node| sight.states[node][at] == Some(State::Offering));
        } else if group.aware == [true, true] && sight.runs == [true, true] {
            self.fails(format!("both nodes have group {at}, each has heard it from the other, and none lets go"));
        }
    }

    fn observe_none(&mut self, now: Time, at: usize, owners: [bool; 2], sight: &Sight) {
        let group = &mut self.groups[at];
        if owners != [false, false] {
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
        for node in 0..2 {
            let side = &self.sides[node];
            let in_service = sight.runs[node] && side.stopping.is_none();
            let Some(active) = side.active.filter(|_| in_service) else { continue };
            let limit = limit + if side.excuses { keepalive } else { 0 };
            // What hangs fails later than now.
            let waited = now.saturating_sub(since.max(active).max(self.disturbed).max(failed.unwrap_or(0)));
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
