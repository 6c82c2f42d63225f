//! Who decides on the groups: the rules of a pair, which may have an old heartbeat in it, or those of more nodes.

use std::time::Instant;

use crate::wire::Body;

use super::Settings;
use super::cluster::Cluster;
use super::plan::GroupId;
use super::takeover::{Effect, Files, Refusal, State, Takeover, Ticket, Which, Word};

/// See [`Takeover`] and [`Cluster`], which the methods are described at; `peer` is the place among the other nodes.
pub(crate) enum Decider {
    /// At most one other node.
    Pair(Box<Takeover>),
    /// Two or more.
    Many(Box<Cluster>),
}

use Decider::{Many, Pair};

impl Decider {
    pub fn new(settings: &Settings, me: &str) -> Self {
        if settings.nodes.len() > 2 {
            Many(Box::new(Cluster::new(settings, me)))
        } else {
            Pair(Box::new(Takeover::new(settings, me)))
        }
    }

    pub fn word(&self) -> Word {
        match self {
            Pair(pair) => pair.word(),
            Many(many) => many.word(),
        }
    }

    pub fn told(&mut self, word: Word, seq: u64) -> bool {
        match self {
            Pair(pair) => pair.told(word, seq),
            Many(many) => many.told(&word, seq),
        }
    }

    /// Whether nobody waits to hear the status with this number.
    pub fn is_known(&self, seq: u64) -> bool {
        match self {
            Pair(pair) => pair.peer_knows(seq),
            Many(many) => many.is_known(seq),
        }
    }

    /// Whether what is heard of a node is to be told to the others.
    pub fn counts(&self, peer: usize) -> bool {
        match self {
            Pair(_) => false,
            Many(many) => many.counts(peer),
        }
    }

    /// Whether anything of a group may be running here.
    pub fn is_here(&self) -> bool {
        match self {
            Pair(pair) => pair.is_here(),
            Many(many) => many.is_here(),
        }
    }

    /// Whether something is here, or is spoken of as if it were, that a node which was not run must give up.
    pub fn is_engaged(&self) -> bool {
        match self {
            Pair(pair) => pair.is_here() || pair.peer_is_old(),
            Many(many) => many.is_engaged(),
        }
    }

    /// Whether a node that comes back as a new life has still to let go of something before.
    pub fn is_letting_go(&self) -> bool {
        match self {
            Pair(pair) => pair.is_letting_go(),
            Many(many) => many.is_letting_go(),
        }
    }

    pub fn leases(&self) -> Vec<GroupId> {
        match self {
            Pair(pair) => pair.leases().collect(),
            Many(many) => many.leases().collect(),
        }
    }

    pub fn state(&self, group: GroupId) -> Option<State> {
        match self {
            Pair(pair) => pair.state(group),
            Many(many) => many.state(group),
        }
    }

    pub fn failed(&self, group: GroupId) -> bool {
        match self {
            Pair(pair) => pair.failed(group),
            Many(many) => many.failed(group),
        }
    }

    /// The node where a group cannot be stopped.
    pub fn stuck_at(&self, group: GroupId) -> Option<&str> {
        match self {
            Pair(pair) => pair.stuck_at(group),
            Many(many) => many.stuck_at(group),
        }
    }

    /// Whether an old heartbeat is the other node of a pair.
    pub fn peer_is_old(&self) -> bool {
        match self {
            Pair(pair) => pair.peer_is_old(),
            Many(_) => false,
        }
    }

    /// Which other node has the group, as far as known.
    pub fn holder(&self, group: GroupId) -> Option<&str> {
        match self {
            Pair(pair) => pair.peer_holds(group).then(|| pair.other()),
            Many(many) => many.holder(group),
        }
    }

    pub fn is_stable(&self) -> bool {
        match self {
            Pair(pair) => pair.is_stable(),
            Many(many) => many.is_stable(),
        }
    }

    /// Attempts to switch a silent node off that is not yet known to be off.
    pub fn unfenced(&self, peer: usize) -> Option<u32> {
        match self {
            Pair(pair) => pair.unfenced(),
            Many(many) => many.unfenced(peer),
        }
    }

    pub fn differing_files(&self, peer: usize) -> Vec<&'static str> {
        match self {
            Pair(pair) => pair.differing_files(),
            Many(many) => many.differing_files(peer),
        }
    }

    pub fn communication_up(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.communication_up(now, fx),
            Many(many) => many.communication_up(now, fx),
        }
    }

    /// `established`: the node is active already.
    pub fn peer_status(
        &mut self,
        now: Instant,
        peer: usize,
        word: Option<Word>,
        established: bool,
        fx: &mut Vec<Effect>,
    ) {
        match self {
            Pair(pair) => pair.peer_status(now, word, established, fx),
            Many(many) => many.member_status(now, peer, word, fx),
        }
    }

    pub fn peer_began(&mut self, peer: usize, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.peer_began(fx),
            Many(many) => many.member_began(peer, fx),
        }
    }

    pub fn peer_returned(&mut self, peer: usize, old: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.peer_returned(old, fx),
            Many(many) => many.member_returned(peer, fx),
        }
    }

    pub fn peer_died(&mut self, now: Instant, peer: usize, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.peer_died(now, fx),
            Many(many) => many.member_died(now, peer, fx),
        }
    }

    pub fn peer_said(&mut self, now: Instant, peer: usize, body: &Body, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.peer_said(now, body, fx),
            Many(many) => many.member_said(now, peer, body, fx),
        }
    }

    pub fn acquired(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.acquired(now, group, ok, fx),
            Many(many) => many.acquired(now, group, ok, fx),
        }
    }

    pub fn released(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.released(now, group, ok, fx),
            Many(many) => many.released(now, group, ok, fx),
        }
    }

    pub fn fails(&mut self, now: Instant, group: GroupId, resource: String, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.fails(now, group, resource, fx),
            Many(many) => many.fails(now, group, resource, fx),
        }
    }

    pub fn stuck(&mut self, now: Instant, group: GroupId, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.stuck(now, group, fx),
            Many(many) => many.stuck(now, group, fx),
        }
    }

    pub fn stopping(&mut self, group: GroupId) {
        match self {
            Pair(pair) => pair.stopping(group),
            Many(many) => many.stopping(group),
        }
    }

    pub fn tick_stuck(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.tick_stuck(now, fx),
            Many(many) => many.tick_stuck(now, fx),
        }
    }

    pub fn set_ready(&mut self, now: Instant, ready: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.set_ready(now, ready, fx),
            Many(many) => many.set_ready(now, ready, fx),
        }
    }

    pub fn set_maintenance(&mut self, now: Instant, on: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.set_maintenance(now, on, fx),
            Many(many) => many.set_maintenance(now, on, fx),
        }
    }

    pub fn set_cut_off(&mut self, now: Instant, group: GroupId, cut_off: bool, dead: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.set_cut_off(now, group, cut_off, dead, fx),
            Many(many) => many.set_cut_off(now, group, cut_off, dead, fx),
        }
    }

    /// Whether there may be somebody of whom nothing is known although others are heard.
    pub fn is_unsure(&self) -> bool {
        match self {
            Pair(_) => false,
            Many(many) => many.is_unsure(),
        }
    }

    pub fn is_maintained(&self) -> bool {
        match self {
            Pair(pair) => pair.is_maintained(),
            Many(many) => many.is_maintained(),
        }
    }

    pub fn is_peer_maintained(&self, peer: usize) -> bool {
        match self {
            Pair(pair) => pair.peer_is_maintained(),
            Many(many) => many.is_member_maintained(peer),
        }
    }

    pub fn set_files(&mut self, now: Instant, files: Files, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.set_files(now, files, fx),
            Many(many) => many.set_files(now, files, fx),
        }
    }

    pub fn standby(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.standby(now, which, ticket, fx),
            Many(many) => many.standby(now, which, ticket, fx),
        }
    }

    pub fn takeover(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.takeover(now, which, ticket, fx),
            Many(many) => many.takeover(now, which, ticket, fx),
        }
    }

    /// What ipfail wants, which is for pairs.
    ///
    /// # Errors
    /// Why not.
    pub fn give(&mut self, now: Instant, which: Which, fx: &mut Vec<Effect>) -> Result<(), Refusal> {
        match self {
            Pair(pair) => pair.give(now, which, None, fx),
            Many(_) => Err(Refusal::NothingHeld),
        }
    }

    pub fn fenced(&mut self, now: Instant, attempt: u64, ok: bool, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.fenced(now, attempt, ok, fx),
            Many(many) => many.fenced(now, attempt, ok, fx),
        }
    }

    pub fn confirm_dead(&mut self, now: Instant, node: &str, ticket: Ticket, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.confirm_dead(now, node, ticket, fx),
            Many(many) => many.confirm_dead(now, node, ticket, fx),
        }
    }

    pub fn leave(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.leave(now, fx),
            Many(many) => many.leave(now, fx),
        }
    }

    pub fn let_go(&mut self, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.let_go(fx),
            Many(many) => many.let_go(fx),
        }
    }

    pub fn begin_life(&mut self, life: u64) {
        match self {
            Pair(pair) => pair.begin_life(life),
            Many(many) => many.begin_life(life),
        }
    }

    pub fn tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        match self {
            Pair(pair) => pair.tick(now, fx),
            Many(many) => many.tick(now, fx),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Pair(pair) => pair.deadline(),
            Many(many) => many.deadline(),
        }
    }
}
