//! One resource group as this node stands to it.

use std::time::Instant;

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
    /// It could not be started here.
    Failed,
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
    /// It could not be started here, the last time it was tried.
    pub failed: bool,
    /// Not tried again before.
    pub retry_at: Option<Instant>,
    /// Nobody can reach it here, or could a moment ago: what seems to be nobody's may be another node's.
    pub cut_off: bool,
    /// Both nodes held it and we keep it: announce once more when the other has let go.
    pub contested: bool,
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
            retry_at: None,
            cut_off: false,
            contested: false,
        }
    }

    /// Whether anything of the group may be running here.
    pub fn is_here(&self) -> bool {
        match self.state {
            State::Free | State::Claiming => false,
            State::Acquiring | State::Held | State::Offering | State::Releasing => true,
        }
    }

    /// When something here runs out.
    pub fn deadlines(&self) -> impl Iterator<Item = Instant> + use<> {
        let idle = matches!(self.state, State::Free | State::Claiming);
        let offer = if self.state == State::Offering { self.offer_until } else { None };
        [self.retry_at, offer, self.quiet_until, if idle { self.want_until } else { None }].into_iter().flatten()
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
    }

    /// It is not here, and what was asked for in an earlier life is over. Tenancies, failed starts and a cable that is out
    /// are remembered.
    pub fn begin_life(&mut self) {
        let Self { seen, failed, retry_at, cut_off, .. } = *self;
        *self = Self { seen, failed, retry_at, cut_off, ..Self::new(self.home, self.overlaps) };
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
