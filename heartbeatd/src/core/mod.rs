//! Membership and takeover, decided without a socket and without a clock.
//!
//! [`Node`] is told what was heard, what was asked, what the work it ordered came to, and
//! what time it is. It answers with [`Action`]s. The driver's whole duty:
//!
//! ```text
//! out = node.start(now)
//! loop {
//!     carry out `out`, in order
//!     wait until node.deadline(), a datagram, an event
//!     out = node.heard(now, link, message) | node.handle(now, event) | node.tick(now)
//! }
//! ```
//!
//! - Call [`Node::tick`] whenever [`Node::deadline`] has passed, also when busy.
//! - After the program was not run for a while (the deadline has long passed), hand in what
//!   waits in the sockets before the tick: the first call finds out that we were stopped and
//!   says what to let go, and the next ones what the peer has done meanwhile.
//! - [`Action::Acquire`] and [`Action::Release`] are answered by [`Event::Acquired`] and
//!   [`Event::Released`], or by [`Event::Stuck`], sooner or later, once each; a script that hangs is ended by the
//!   driver's time-out.
//! - Addresses are leased: after each turn those of [`Node::leases`] are renewed, others never.
//!   With a lease shorter than deadtime by a keepalive, the address of a node that is stopped
//!   is gone by the time the peer takes it.

mod cable;
mod cluster;
mod decider;
mod event;
mod history;
mod ipfail;
mod membership;
mod message;
mod notice;
mod peer;
mod plan;
mod random;
mod report;
mod respawn;
mod seldom;
mod settings;
mod takeover;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::wire::{Body, NodeStatus};

use cable::{Cables, HAIL_EVERY};
use decider::Decider;
pub use event::{Action, Event};
pub use history::{DEPTH, History};
use ipfail::{Pings, Step};
use membership::{Happening, Membership};
pub use message::{Heard, Outgoing, WORD_FIELD};
pub use notice::{Level, Notice};
pub use plan::{Group, GroupId, MAX_GROUPS, Plan, PlanError};
pub use respawn::{Next, Respawn};
pub use settings::{Identity, Settings};
use takeover::Effect;
pub use takeover::{
    Awaited, Echo, FencingWord, Files, Refusal, Said, Silent, State, Ticket, Unreadable, Which, Why, Will, Word,
};

/// After `shutdone` statuses go on for that long, so that it is asked for again if it got lost (spec 6.6).
const LINGER: Duration = Duration::from_secs(1);

/// heartbeat 3.0.6 goes on that long itself, and starts its scripts on `shutdone`: one that counts us as dead before they
/// have ended forgets what it was doing, and says so.
const LINGER_FOR_OLD: Duration = Duration::from_secs(3);

/// A word that has changed is repeated after that long, and so often, until the peer has
/// echoed it: what waits for it is not to wait for a keepalive because one message got lost.
const REPEAT_AFTER: Duration = Duration::from_millis(100);
const REPEATS: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Silent until everything is let go, then a new life.
    ComingBack,
    /// `shutdone` said.
    Leaving {
        until: Instant,
    },
    Stopped,
}

/// One node of the cluster.
pub struct Node {
    membership: Membership,
    takeover: Decider,
    pings: Pings,
    cables: Cables,
    phase: Phase,
    stopping: bool,
    /// Number of the status that first carried our present word, and repetitions left.
    word_since: u64,
    repeats: u32,
    /// Statuses still to come in quick succession.
    hails: u32,
    /// When we had asked to be called.
    planned: Instant,
    last_run: Instant,
    longest_gap: Duration,
}

impl Node {
    /// A node before its first message. `seed` is for delays that are to differ between nodes.
    #[must_use]
    pub fn new(settings: Settings, me: Identity, now: Instant, seed: u64) -> Self {
        let takeover = Decider::new(&settings, &me.name);
        let Settings { pings, ipfail, auto_failback, deadping, keepalive, .. } = &settings;
        let pings = Pings::new(pings, *ipfail, *auto_failback, *deadping, *keepalive, now);
        let cables = Cables::new(settings.plan.iter().count(), settings.keepalive, settings.deadtime);
        Self {
            cables,
            membership: Membership::new(settings, me, now, seed),
            takeover,
            pings,
            phase: Phase::Running,
            stopping: false,
            word_since: 0,
            repeats: 0,
            hails: 0,
            planned: now,
            last_run: now,
            longest_gap: Duration::ZERO,
        }
    }

    /// The first messages of its life (spec 5.3).
    pub fn start(&mut self, now: Instant) -> Vec<Action> {
        let mut out = Vec::new();
        let generation = self.membership.me().generation;
        let patience = self.membership.settings().initdead;
        self.begin_life(now, generation, patience, &mut out);
        self.finish(now, out)
    }

    /// A message came on the link with this index of [`Settings::links`].
    pub fn heard(&mut self, now: Instant, link: usize, heard: &Heard) -> Vec<Action> {
        let mut out = Vec::new();
        self.check_pause(now, &mut out);
        if matches!(self.phase, Phase::Running | Phase::Leaving { .. }) {
            let happened = self.membership.heard(now, link, heard, &mut out);
            self.happen(now, happened, &mut out);
        }
        self.finish(now, out)
    }

    /// Something else happened.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.check_pause(now, &mut out);
        let mut fx = Vec::new();
        match event {
            Event::Acquired { group, ok } => self.takeover.acquired(now, group, ok, &mut fx),
            Event::Released { group, ok } => self.takeover.released(now, group, ok, &mut fx),
            Event::Failed { group, resource } => self.takeover.fails(now, group, resource, &mut fx),
            Event::Stuck { group } => self.takeover.stuck(now, group, &mut fx),
            Event::Listening(listening) => self.membership.set_listening(now, listening, &mut out),
            Event::Stopping { group } => self.takeover.stopping(group),
            Event::PingAnswered(index) => {
                let mut steps = Vec::new();
                self.pings.answered(now, index, &mut steps);
                self.step(now, steps, &mut out);
            }
            Event::Reach { group, reachable } => self.reach(now, group, reachable, &mut out),
            Event::CableBack => self.hail(now, &mut out),
            Event::Ready(ready) => self.takeover.set_ready(now, ready, &mut fx),
            Event::Standby { which, ticket } => self.takeover.standby(now, which, ticket, &mut fx),
            Event::Takeover { which, ticket } => self.takeover.takeover(now, which, ticket, &mut fx),
            Event::Fenced { attempt, ok } => self.takeover.fenced(now, attempt, ok, &mut fx),
            Event::ConfirmDead { node, ticket } => self.takeover.confirm_dead(now, &node, ticket, &mut fx),
            Event::Maintenance(on) => self.takeover.set_maintenance(now, on, &mut fx),
            Event::FilesRead(files) => self.takeover.set_files(now, files, &mut fx),
            Event::Stop => {
                self.stopping = true;
                if self.phase == Phase::Running {
                    self.takeover.leave(now, &mut fx);
                }
            }
        }
        self.carry_out(now, fx, &mut out);
        self.finish(now, out)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut out = Vec::new();
        self.check_pause(now, &mut out);
        match self.phase {
            Phase::Running | Phase::Leaving { .. } => {
                let happened = self.membership.tick(now, &mut out);
                self.happen(now, happened, &mut out);
                let mut fx = Vec::new();
                self.takeover.tick(now, &mut fx);
                self.carry_out(now, fx, &mut out);
                let mut steps = Vec::new();
                self.pings.tick(now, &mut steps);
                self.step(now, steps, &mut out);
            }
            Phase::ComingBack => {
                let mut fx = Vec::new();
                self.takeover.tick_stuck(now, &mut fx);
                self.carry_out(now, fx, &mut out);
            }
            Phase::Stopped => {}
        }
        if let Phase::Leaving { until } = self.phase
            && until <= now
        {
            self.stopped(&mut out);
        }
        self.finish(now, out)
    }

    /// When [`tick`](Self::tick) is to be called at the latest; never more than a keepalive ahead.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.planned
    }

    /// The groups whose addresses are to be kept alive.
    pub fn leases(&self) -> impl Iterator<Item = GroupId> {
        self.takeover.leases().into_iter().filter(|group| !self.is_withheld(*group))
    }

    /// How this node stands to a group.
    #[must_use]
    pub fn state(&self, group: GroupId) -> Option<State> {
        self.takeover.state(group)
    }

    /// Whether nothing is being moved, as far as this node knows.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.phase == Phase::Running && self.takeover.is_stable()
    }

    /// The present life as words name it: a number drawn at its beginning.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.membership.life()
    }

    /// Number of the last numbered message of the present life.
    #[must_use]
    pub fn highest_sent(&self) -> u64 {
        self.membership.highest_sent()
    }

    /// Whether messages carry what an old heartbeat has no use for: not while it is the other node.
    #[must_use]
    pub fn speaks_to_its_like(&self) -> bool {
        !self.takeover.peer_is_old()
    }

    /// Whether nothing is taken or given but by an administrator.
    #[must_use]
    pub fn is_maintained(&self) -> bool {
        self.takeover.is_maintained()
    }

    /// Whether a silent node is not yet known to be off, so that nothing of it is taken.
    #[must_use]
    pub fn waits_for_fencing(&self) -> bool {
        (0..self.membership.peers().len()).any(|at| self.takeover.unfenced(at).is_some())
    }

    /// The generation of the present life.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.membership.me().generation
    }

    /// Were we run when we should have been? Longer than deadtime after our last status the
    /// peer has taken over, so whatever we hold is let go before anything else happens (spec 12, item 10).
    fn check_pause(&mut self, now: Instant, out: &mut Vec<Action>) {
        let gap = now.saturating_duration_since(self.last_run);
        self.longest_gap = self.longest_gap.max(gap);
        self.last_run = now;
        let late = now.saturating_duration_since(self.planned);
        let settings = self.membership.settings();
        let keepalive = settings.keepalive;
        if late > keepalive {
            self.pings.excuse(late, now);
        }
        let silence = self.membership.last_status().map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if self.phase == Phase::Running && silence > settings.deadtime && self.takeover.is_engaged() {
            out.push(Action::Notice(Notice::Paused { ms: membership::millis(silence) }));
            self.come_back(now, out);
        } else if late > keepalive {
            // All of it: how much of it our clock has only leapt over, nobody knows.
            self.membership.excuse(gap, now);
        }
    }

    /// What ipfail wants done, as long as both nodes take part.
    fn step(&mut self, now: Instant, steps: Vec<Step>, out: &mut Vec<Action>) {
        for step in steps {
            match step {
                Step::Note(notice) => out.push(Action::Notice(notice)),
                Step::Say(word) if self.phase == Phase::Running => self.membership.say_to_client(word, out),
                Step::Give(which) if self.phase == Phase::Running => {
                    let mut fx = Vec::new();
                    let given = self.takeover.give(now, which, &mut fx);
                    let again = given.as_ref().is_err_and(Refusal::passes);
                    self.pings.given(now, which, again);
                    match given {
                        Err(why) if !again && why != Refusal::NothingHeld => {
                            out.push(Action::Notice(Notice::PingGivesNothing { why: why.to_string() }));
                        }
                        Ok(()) | Err(_) => {}
                    }
                    self.carry_out(now, fx, out);
                }
                Step::Say(_) | Step::Give(_) => {}
            }
        }
    }

    fn come_back(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.phase = Phase::ComingBack;
        out.push(Action::Notice(Notice::Restarting));
        let mut fx = Vec::new();
        self.takeover.let_go(&mut fx);
        self.carry_out(now, fx, out);
    }

    fn begin_life(&mut self, now: Instant, generation: u64, patience: Duration, out: &mut Vec<Action>) {
        self.phase = Phase::Running;
        self.membership.begin_life(now, generation, patience);
        self.takeover.begin_life(self.membership.life());
        out.push(Action::Notice(Notice::Generation { generation }));
        self.send_status(now, out);
        self.membership.set_status(NodeStatus::Up, out);
        self.send_status(now, out);
        let happened = self.membership.tick(now, out);
        self.happen(now, happened, out);
    }

    fn send_status(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut word = self.takeover.word();
        if self.membership.is_many() {
            let echo = |(at, peer): (usize, &peer::Peer)| {
                let (life, seq) = self.membership.echo(at).filter(|_| self.takeover.counts(at))?;
                Some(Echo { node: Plan::mark(&peer.name), life, seq })
            };
            word.echoes = self.membership.peers().iter().enumerate().filter_map(echo).collect();
        } else {
            word.heard = self.membership.echo(0);
        }
        self.membership.send_status(now, word.clone(), out);
        let seq = self.membership.highest_sent();
        if self.takeover.told(word, seq) {
            self.word_since = seq;
            self.repeats = REPEATS;
        }
        if self.repeats > 0 && !self.takeover.is_known(self.word_since) {
            self.repeats -= 1;
            self.membership.status_by(now + REPEAT_AFTER);
        }
        self.hails = self.hails.saturating_sub(1);
        if self.hails > 0 {
            self.membership.status_by(now + HAIL_EVERY);
        }
    }

    fn happen(&mut self, now: Instant, happened: Vec<Happening>, out: &mut Vec<Action>) {
        let met_again = happened.iter().any(|happening| matches!(happening, Happening::Returned { .. }));
        for happening in happened {
            let mut fx = Vec::new();
            let mut steps = Vec::new();
            match &happening {
                Happening::Status { status, .. } => self.pings.peer(now, *status == NodeStatus::Active, &mut steps),
                Happening::Began { .. } | Happening::Died { .. } | Happening::Said { body: Body::Shutdone, .. } => {
                    self.pings.peer(now, false, &mut steps);
                }
                Happening::Said { body: Body::Client { word, .. }, .. } => self.pings.said(now, word, &mut steps),
                Happening::Returned { .. }
                | Happening::Said { .. }
                | Happening::CommunicationUp
                | Happening::StatusDue => {}
            }
            match happening {
                Happening::Began { peer } => self.takeover.peer_began(peer, &mut fx),
                Happening::Returned { peer } => {
                    let old = self.membership.peers().iter().any(|peer| peer.native == Some(false));
                    self.takeover.peer_returned(peer, old, &mut fx);
                }
                Happening::Status { peer, status, word } => {
                    self.takeover.peer_status(now, peer, word, status == NodeStatus::Active, &mut fx);
                }
                Happening::Died { peer } => self.takeover.peer_died(now, peer, &mut fx),
                Happening::Said { peer, body } => self.takeover.peer_said(now, peer, &body, &mut fx),
                Happening::CommunicationUp => {
                    self.membership.set_status(NodeStatus::Active, out);
                    self.takeover.communication_up(now, &mut fx);
                    self.send_status(now, out);
                    fx.retain(|effect| !matches!(effect, Effect::Tell));
                }
                Happening::StatusDue => self.send_status(now, out),
            }
            self.carry_out(now, fx, out);
            self.step(now, steps, out);
            if self.phase == Phase::ComingBack {
                return;
            }
        }
        if met_again {
            self.tell_where_it_is(out);
        }
    }

    fn carry_out(&mut self, now: Instant, fx: Vec<Effect>, out: &mut Vec<Action>) {
        for effect in fx {
            let speaks = matches!(self.phase, Phase::Running | Phase::Leaving { .. });
            match effect {
                Effect::Say(body) if speaks => self.membership.say(body, out),
                Effect::Tell if speaks => self.send_status(now, out),
                Effect::Say(_) | Effect::Tell => {}
                Effect::Acquire(group, why) => out.push(Action::Acquire { group, why }),
                Effect::Release(group, why) => out.push(Action::Release { group, why }),
                Effect::Announce(group) => out.push(Action::Announce { group }),
                Effect::Fence { node, attempt } => out.push(Action::Fence { node, attempt }),
                Effect::StopFencing { node } => out.push(Action::StopFencing { node }),
                Effect::Serving(serving) => out.push(Action::Serve(serving)),
                Effect::Note(notice) => out.push(Action::Notice(notice)),
                Effect::Answer(ticket, result) => out.push(Action::Answer { ticket, result }),
                Effect::Left => {
                    if self.membership.status() == NodeStatus::Active {
                        self.membership.say(Body::Shutdone, out);
                        let linger = if self.takeover.peer_is_old() { LINGER_FOR_OLD } else { LINGER };
                        self.phase = Phase::Leaving { until: now + linger };
                    } else {
                        self.stopped(out);
                    }
                }
                Effect::ComeBack => self.come_back(now, out),
                Effect::Reboot(group) => out.push(Action::Reboot { group }),
            }
        }
        if self.phase == Phase::ComingBack && !self.takeover.is_letting_go() {
            // What is stuck here keeps a node that stops from going, so that the others know of it.
            if self.stopping && !self.takeover.is_here() {
                return self.stopped(out);
            }
            let generation = self.membership.me().generation + 1;
            let patience = self.membership.settings().deadtime;
            out.push(Action::SaveGeneration(generation));
            self.begin_life(now, generation, patience, out);
            if self.stopping {
                let mut fx = Vec::new();
                self.takeover.leave(now, &mut fx);
                self.carry_out(now, fx, out);
            }
        }
    }

    fn stopped(&mut self, out: &mut Vec<Action>) {
        self.phase = Phase::Stopped;
        let node = self.membership.me().name.clone();
        out.push(Action::Notice(Notice::ShutdownComplete { node }));
        out.push(Action::Stopped);
    }

    fn finish(&mut self, now: Instant, mut out: Vec<Action>) -> Vec<Action> {
        self.check_cables(now, &mut out);
        let latest = now + self.membership.settings().keepalive;
        self.planned = match self.phase {
            Phase::Running => self.next(),
            Phase::Leaving { until } => self.next().min(until),
            Phase::ComingBack | Phase::Stopped => latest,
        }
        .min(latest);
        out
    }

    fn next(&self) -> Instant {
        let deadline = self.membership.deadline();
        let deadline = self.cables.deadline().map_or(deadline, |cable| deadline.min(cable));
        let deadline = self.pings.deadline().map_or(deadline, |pings| deadline.min(pings));
        self.takeover.deadline().map_or(deadline, |other| deadline.min(other))
    }
}
