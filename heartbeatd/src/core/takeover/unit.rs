//! One resource group as this node stands to it.

use std::time::{Duration, Instant};

use super::RETRY_AFTER;

/// What could not be stopped is tried again after that long, then after twice as long, and so on.
const STOP_AGAIN: Duration = Duration::from_secs(10);
const STOP_AGAIN_LATEST: Duration = Duration::from_secs(300);

/// How a node stands to a group. Told to another heartbeatd in every status; heartbeat
/// 3.0.6 is told the sum over the groups of a home only (spec/heartbeat.md 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing of it is here, and the other node may have it.
    Free,
    /// Nothing of it is here, and this node means to take it as soon as the other has said
    /// that it knows.
    Claiming,
    /// It is being started here.
    Acquiring,
    /// It runs here.
    Held,
    /// It runs here until the other node has taken it.
    Offering,
    /// It is being stopped here.
    Releasing,
    /// It could not be stopped here: something of it still runs, and nobody else may start it.
    Stuck,
}

/// How much a node wants a group that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Will {
    /// It is leaving or in maintenance, has just failed to start the group, or nobody can reach it there.
    Unable,
    /// Its operator sent the group away, or it failed to start it once: only if the other cannot.
    Reluctant,
    /// As a matter of course.
    Willing,
    /// Its operator asked for the group: the holder is to hand it over.
    Wanting,
}

/// Why a group changes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody has it.
    Vacant,
    /// The other node is dead.
    PeerDead,
    /// The other node said that it was leaving.
    PeerLeft,
    /// Its home is back and ready.
    Failback,
    /// The operator of the giving node.
    Standby,
    /// The operator of the taking node.
    Takeover,
    /// This node stops.
    Stop,
    /// Both nodes had it, and the other one keeps it.
    Conflict,
    /// This node comes back as if newly started.
    Restart,
    /// Nobody can reach it here.
    Unreachable,
    /// Something of it does not run any more.
    Failed,
    /// It could not be stopped before, and is tried again.
    Stuck,
}

/// One group.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// Whether this node is its home.
    pub home: bool,
    /// See [`Group::overlaps`](crate::core::plan::Group::overlaps).
    pub overlaps: bool,
    /// How this node stands to it.
    pub state: State,
    /// Which tenancy this is. Whoever takes the group counts one further than the highest
    /// number it has heard, so of two holders the one who announced last has the higher.
    pub term: u64,
    /// The highest number heard of.
    pub seen: u64,
    /// Number of the status that first told the peer of our claim.
    pub claim_told: Option<u64>,
    /// Why it is to be handed over, if it is.
    pub give: Option<Why>,
    /// When an offer that nobody takes up ends, and whether it has.
    pub offer_until: Option<Instant>,
    pub offer_expired: bool,
    /// No further offer before.
    pub quiet_until: Option<Instant>,
    /// The operator sent it away from its home.
    pub away: bool,
    /// The operator of this node wants it until then.
    pub want_until: Option<Instant>,
    /// It could not be started here the last time it was tried, or did not run on.
    pub failed: bool,
    /// It was told that something of it does not run any more.
    pub broken: bool,
    /// Not tried again before.
    pub retry_at: Option<Instant>,
    /// Nobody can reach it here, or could a moment ago: what seems to be nobody's may be another node's.
    pub cut_off: bool,
    /// Nobody could reach it here for so long that it is better elsewhere.
    pub dead: bool,
    /// Both nodes held it and we keep it: announce once more when the other has let go.
    pub contested: bool,
    /// Stops that have failed in a row.
    pub stops: u32,
    /// When it is tried to stop it again; `None` while that is under way.
    pub stop_at: Option<Instant>,
}

impl Unit {
    pub fn new(home: bool, overlaps: bool) -> Self {
        Self {
            home,
            overlaps,
            state: State::Free,
            term: 0,
            seen: 0,
            claim_told: None,
            give: None,
            offer_until: None,
            offer_expired: false,
            quiet_until: None,
            away: false,
            want_until: None,
            failed: false,
            broken: false,
            retry_at: None,
            cut_off: false,
            dead: false,
            contested: false,
            stops: 0,
            stop_at: None,
        }
    }

    /// Whether anything of the group may be running here.
    pub fn is_here(&self) -> bool {
        match self.state {
            State::Free | State::Claiming => false,
            State::Acquiring | State::Held | State::Offering | State::Releasing | State::Stuck => true,
        }
    }

    /// When something here runs out.
    pub fn deadlines(&self) -> impl Iterator<Item = Instant> + use<> {
        let idle = matches!(self.state, State::Free | State::Claiming);
        let offer = if self.state == State::Offering { self.offer_until } else { None };
        let wish = if idle { self.want_until } else { None };
        [self.retry_at, offer, self.quiet_until, wish, self.stop_at].into_iter().flatten()
    }

    /// Forgets what has run out.
    pub fn expire(&mut self, now: Instant) {
        let over = |until: Option<Instant>| until.filter(|until| now < *until);
        if self.offer_until.is_some_and(|until| until <= now) {
            (self.offer_until, self.offer_expired) = (None, true);
        }
        self.quiet_until = over(self.quiet_until);
        self.retry_at = over(self.retry_at);
        if matches!(self.state, State::Free | State::Claiming) {
            self.want_until = over(self.want_until);
        }
    }

    /// The next tenancy begins here.
    pub fn begins(&mut self) {
        self.state = State::Acquiring;
        self.seen = self.seen.saturating_add(1);
        self.term = self.seen;
        self.give = None;
        self.claim_told = None;
        self.contested = false;
        self.broken = false;
    }

    /// What was asked for in an earlier life is over. It is not here, unless it could not be stopped; tenancies, failed
    /// starts and a cable that is out are remembered.
    pub fn begin_life(&mut self) {
        let Self { seen, failed, retry_at, cut_off, dead, stops, stop_at, term, .. } = *self;
        let state = match self.state {
            State::Releasing | State::Stuck => self.state,
            State::Free | State::Claiming | State::Acquiring | State::Held | State::Offering => State::Free,
        };
        *self = Self {
            seen,
            failed,
            retry_at,
            cut_off,
            dead,
            state,
            stops,
            stop_at,
            term,
            ..Self::new(self.home, self.overlaps)
        };
    }

    /// Something of it does not run any more, and it is stopped. Where somebody `else_could` run it, it counts as failed here,
    /// and is not tried before that one has had its time.
    pub fn fails(&mut self, now: Instant, else_could: bool) {
        self.failed = else_could;
        self.retry_at = else_could.then(|| now + RETRY_AFTER);
    }

    /// Its stop has ended, and nothing of it runs any more. Tells whether it was stuck before; `None` if no stop was under
    /// way.
    pub fn stopped(&mut self) -> Option<bool> {
        let was_stuck = match self.state {
            State::Releasing => false,
            State::Stuck => true,
            State::Free | State::Claiming | State::Acquiring | State::Held | State::Offering => return None,
        };
        self.state = State::Free;
        self.give = None;
        (self.stops, self.stop_at) = (0, None);
        Some(was_stuck)
    }

    /// Its stop has ended, or the undoing of its start, and something of it still runs. Tells after how long it is tried
    /// again; `None` if nothing was under way.
    pub fn sticks(&mut self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Free | State::Claiming | State::Held | State::Offering => return None,
            State::Acquiring => {
                self.failed = true;
                self.want_until = None;
                self.retry_at = Some(now + RETRY_AFTER);
            }
            State::Releasing | State::Stuck => {}
        }
        let pause = (STOP_AGAIN * 2u32.saturating_pow(self.stops)).min(STOP_AGAIN_LATEST);
        self.state = State::Stuck;
        self.give = None;
        self.stops = self.stops.saturating_add(1);
        self.stop_at = Some(now + pause);
        Some(pause)
    }

    /// Whether it could not be stopped, and that is not being tried again just now.
    pub fn is_stuck_for_now(&self) -> bool {
        self.state == State::Stuck && self.stop_at.is_some()
    }

    /// Notes whether its cable is out, and whether for too long. Tells whether the first has changed, and whether either has.
    pub fn set_cut_off(&mut self, cut_off: bool, dead: bool) -> (bool, bool) {
        let turned = std::mem::replace(&mut self.cut_off, cut_off) != cut_off;
        let died = std::mem::replace(&mut self.dead, dead) != dead;
        (turned, turned || died)
    }

    /// How much we want it now. In maintenance only what the operator asks for is taken.
    pub fn will(&self, leaving: bool, maintenance: bool) -> Will {
        if leaving || self.retry_at.is_some() {
            Will::Unable
        } else if self.want_until.is_some() {
            Will::Wanting
        } else if maintenance || self.cut_off {
            Will::Unable
        } else if self.away || self.failed {
            Will::Reluctant
        } else {
            Will::Willing
        }
    }
}
