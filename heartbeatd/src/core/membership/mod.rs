//! Who is there (spec/heartbeat.md 5): statuses in and out, generations, lost messages,
//! acknowledgements, death, and when communication is up.
//!
//! Decides nothing about resources. What happened to a node is handed to the caller as
//! [`Happening`]s; what is to be sent or told is pushed as [`Action`]s.

mod receive;
mod retransmission;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::wire::{Body, ClientWord, NodeStatus, Uuid};

use crate::core::history::History;
use crate::core::message::Outgoing;
use crate::core::notice::Notice;
use crate::core::peer::{Liveness, Peer};
use crate::core::plan::Plan;
use crate::core::random::Random;
use crate::core::seldom::{Matter, Seldom};
use crate::core::takeover::Word;
use crate::core::{Action, Identity, Settings};

/// How often `reqnodes` is repeated (spec 5.3).
const REQNODES_EVERY: Duration = Duration::from_secs(1);

/// After how long without an answer we go on without (fault 6: the original asks for ever).
const REQNODES_PATIENCE: Duration = Duration::from_secs(5);

/// What the original adds to `dt` before it restarts; the bound on a peer's `dt` leaves room for it (spec 5.6).
const RESTART_ALLOWANCE: Duration = Duration::from_secs(32);

/// What happened to a node; `peer` is its place among [`Membership::peers`].
#[derive(Debug)]
pub(crate) enum Happening {
    /// It lives a new life, known by its generation; the first one counts too.
    Began { peer: usize },
    /// A status that counts: the latest.
    Status { peer: usize, status: NodeStatus, word: Option<Word> },
    /// It was dead and goes on under the same generation.
    Returned { peer: usize },
    /// It has been silent for its dead time.
    Died { peer: usize },
    /// Anything else it said to us.
    Said { peer: usize, body: Body },
    /// Communication is up, ours: every node is heard or given up.
    CommunicationUp,
    /// Our own status is due.
    StatusDue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Communication {
    /// Nodes are missing.
    Waiting,
    /// `reqnodes` sent.
    Asking {
        since: Instant,
        again: Instant,
    },
    Up,
}

/// Without any medium that is told at most so often.
const DEAF_AGAIN: Duration = Duration::from_secs(60);

/// So many accounts are known by their numbers: those of two switches, and more than are lost in one go.
const ACCOUNTS: usize = 16;

pub(crate) struct Membership {
    settings: Settings,
    me: Identity,
    /// By which words name us.
    mark: u32,
    /// Our present life, as words name it.
    life: u64,
    /// When it began.
    began_at: Instant,
    status: NodeStatus,
    communication: Communication,
    /// Until then nodes that were never heard are waited for, as long as that is in all.
    give_up_at: Instant,
    patience: Duration,
    /// A medium has been open since the program started: silence means something.
    listening: bool,
    /// It was told that none is.
    told_deaf: bool,
    next_status: Instant,
    last_status: Option<Instant>,
    sent: History<Option<Instant>>,
    /// Numbers of the last whole accounts of what we hold, as an old heartbeat is told it, and the last of them.
    accounts: VecDeque<u64>,
    account: Option<Body>,
    peers: Vec<Peer>,
    random: Random,
    seldom: Seldom,
}

impl Membership {
    pub fn new(settings: Settings, me: Identity, now: Instant, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let others = settings.nodes.iter().filter(|name| **name != me.name);
        let peers = others
            .map(|name| Peer::new(name.clone(), settings.links.len(), settings.deadtime, random.below(10)))
            .collect();
        Self {
            give_up_at: now + settings.initdead,
            patience: settings.initdead,
            listening: false,
            told_deaf: false,
            settings,
            mark: Plan::mark(&me.name),
            me,
            life: 0,
            began_at: now,
            status: NodeStatus::Init,
            communication: Communication::Waiting,
            next_status: now,
            last_status: None,
            sent: History::new(),
            accounts: VecDeque::new(),
            account: None,
            peers,
            random,
            seldom: Seldom::default(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn me(&self) -> &Identity {
        &self.me
    }

    pub fn status(&self) -> NodeStatus {
        self.status
    }

    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Our present life, as words name it.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// When our last status left.
    pub fn last_status(&self) -> Option<Instant> {
        self.last_status
    }

    /// Number of the last numbered message.
    pub fn highest_sent(&self) -> u64 {
        self.sent.highest()
    }

    /// When a node that lives last told how it stands to the groups.
    pub fn last_account(&self) -> Option<Instant> {
        self.peers.iter().filter(|peer| peer.liveness == Liveness::Alive).filter_map(|peer| peer.status_at).max()
    }

    /// Life and number of the peer's last status that counted: what our word echoes.
    pub fn echo(&self, peer: usize) -> Option<(u64, u64)> {
        let peer = self.peers.get(peer)?;
        let counts = peer.status_seq > 0 && peer.liveness == Liveness::Alive;
        peer.life.filter(|_| counts).map(|life| (life, peer.status_seq))
    }

    /// Whether this is no pair: messages are passed on, and none is asked for again.
    pub fn is_many(&self) -> bool {
        self.peers.len() > 1
    }

    /// Begins a life: the first after the program started, or a further one under the next
    /// generation. Nodes not heard within `patience` are given up.
    pub fn begin_life(&mut self, now: Instant, generation: u64, patience: Duration) {
        self.me.generation = generation;
        self.life = self.random.below(u64::MAX);
        self.began_at = now;
        self.status = NodeStatus::Init;
        self.communication = Communication::Waiting;
        self.give_up_at = now + patience;
        self.patience = patience;
        self.next_status = now;
        self.last_status = None;
        self.sent = History::new();
        self.accounts.clear();
        self.account = None;
        self.peers.iter_mut().for_each(Peer::forget_our_life);
    }

    /// A medium is open for the first time since the program started: from now on nodes that are not heard are waited for.
    /// Or none is, and none is about to be.
    pub fn set_listening(&mut self, now: Instant, listening: bool, out: &mut Vec<Action>) {
        if self.listening {
            return;
        }
        self.listening = listening;
        if !listening {
            self.told_deaf = true;
            out.push(Action::Notice(Notice::Deaf));
            return;
        }
        self.give_up_at = now + self.patience;
        if self.told_deaf {
            out.push(Action::Notice(Notice::Listening));
        }
    }

    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// Told again as often as it would have been over.
    fn note_deafness(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.listening && self.give_up_at <= now {
            self.give_up_at = now + self.patience.max(DEAF_AGAIN);
            self.told_deaf = true;
            out.push(Action::Notice(Notice::Deaf));
        }
    }

    pub fn set_status(&mut self, status: NodeStatus, out: &mut Vec<Action>) {
        self.status = status;
        out.push(Action::Notice(Notice::LocalStatus { status: status.as_str() }));
    }

    /// Sends our status, which is then due again a keepalive later.
    pub fn send_status(&mut self, now: Instant, word: Word, out: &mut Vec<Action>) {
        let deadtime = Some(self.settings.deadtime);
        let body = Body::Status { status: self.status, deadtime, protocol: Some(1) };
        self.send(body, None, Some(word), out);
        self.last_status = Some(now);
        self.next_status = now + self.settings.keepalive;
    }

    /// Our next status is not to be later than that.
    pub fn status_by(&mut self, when: Instant) {
        self.next_status = self.next_status.min(when);
    }

    /// Sends to everybody.
    pub fn say(&mut self, body: Body, out: &mut Vec<Action>) {
        self.send(body, None, None, out);
    }

    /// From ipfail to the one of the other node.
    pub fn say_to_client(&mut self, word: ClientWord, out: &mut Vec<Action>) {
        if let Some((dest, uuid)) = self.peers.first().map(|peer| (peer.name.clone(), peer.uuid)) {
            self.send(Body::Client { dest, word }, uuid, None, out);
        }
    }

    fn send(&mut self, body: Body, to: Option<Uuid>, word: Option<Word>, out: &mut Vec<Action>) {
        let sequenced = !matches!(body, Body::Ack { .. } | Body::Rexmit { .. } | Body::NakRexmit { .. });
        let seq = sequenced.then(|| self.sent.highest() + 1);
        if let Some(seq) = seq {
            self.sent.push(seq, None);
            if matches!(body, Body::Resource { full: true, .. }) {
                self.accounts.truncate(ACCOUNTS - 1);
                self.accounts.push_front(seq);
                self.account = Some(body.clone());
            }
        }
        out.push(Action::Send(self.outgoing(seq, body, to, word)));
    }

    fn outgoing(&self, seq: Option<u64>, body: Body, to: Option<Uuid>, word: Option<Word>) -> Outgoing {
        let Identity { name, uuid, generation } = self.me.clone();
        let ttl = self.settings.ttl;
        Outgoing { seq, generation, src: name, srcuuid: uuid, destuuid: to, ttl, body, word }
    }

    /// What time brings: deaths, requests for lost messages, `reqnodes`, our status.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) -> Vec<Happening> {
        let mut happened = Vec::new();
        self.note_deafness(now, out);
        for at in 0..self.peers.len() {
            self.check_links(now, at, out);
            self.ask_for_missing(now, at, out);
            if self.dies_at(at).is_some_and(|when| when <= now)
                && let Some(peer) = self.peers.get_mut(at)
            {
                peer.liveness = Liveness::Dead;
                peer.status = NodeStatus::Dead;
                peer.status_at = None;
                peer.missing.clear();
                out.push(Action::Notice(Notice::PeerDead { node: peer.name.clone() }));
                happened.push(Happening::Died { peer: at });
            }
        }
        self.check_communication(now, &mut happened, out);
        if self.next_status <= now {
            happened.push(Happening::StatusDue);
        }
        happened
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub fn deadline(&self) -> Instant {
        let asking = match self.communication {
            Communication::Asking { since, again } => Some(again.min(since + REQNODES_PATIENCE)),
            Communication::Waiting | Communication::Up => None,
        };
        let peers = self.peers.iter().enumerate().flat_map(|(at, peer)| {
            let request = if self.may_ask(peer) { peer.missing.values().min().copied() } else { None };
            [self.dies_at(at), self.next_link_death(at), request]
        });
        peers.flatten().chain(asking).fold(self.next_status, Instant::min)
    }

    /// This program was not run for longer than asked: nobody else is to blame.
    pub fn excuse(&mut self, late: Duration, now: Instant) {
        // What was not listened for cannot be given up.
        self.give_up_at += late;
        self.began_at = (self.began_at + late).min(now);
        if let Communication::Asking { since, .. } = &mut self.communication {
            *since = (*since + late).min(now);
        }
        self.peers.iter_mut().for_each(|peer| peer.excuse(late, now));
    }

    fn bounds(&self) -> (Duration, Duration) {
        let Settings { keepalive, deadtime, .. } = self.settings;
        (keepalive * 2, (deadtime * 10).max(deadtime + RESTART_ALLOWANCE))
    }

    fn is_up(&self) -> bool {
        self.communication == Communication::Up
    }

    fn patience_with(&self, peer: &Peer) -> Duration {
        if self.is_up() { peer.deadtime } else { self.settings.initdead.max(peer.deadtime) }
    }

    fn dies_at(&self, at: usize) -> Option<Instant> {
        let peer = self.peers.get(at)?;
        match peer.liveness {
            Liveness::Unheard => self.listening.then_some(self.give_up_at),
            Liveness::Alive => peer.heard_at.map(|heard| heard + self.patience_with(peer)),
            Liveness::Dead => None,
        }
    }

    fn next_link_death(&self, at: usize) -> Option<Instant> {
        let peer = self.peers.get(at)?;
        let up = peer.links.iter().filter(|link| link.up).filter_map(|link| link.heard_at);
        up.min().map(|heard| heard + self.patience_with(peer))
    }

    fn check_links(&mut self, now: Instant, at: usize, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get(at) else { return };
        let patience = self.patience_with(peer);
        let Some(peer) = self.peers.get_mut(at) else { return };
        for (link, name) in peer.links.iter_mut().zip(&self.settings.links) {
            if link.up && link.heard_at.is_some_and(|heard| heard + patience <= now) {
                link.up = false;
                out.push(Action::Notice(Notice::LinkDead { node: peer.name.clone(), link: name.clone() }));
            }
        }
    }

    /// Spec 5.3. Another heartbeatd needs no `reqnodes`: that it is heard is enough.
    fn check_communication(&mut self, now: Instant, happened: &mut Vec<Happening>, out: &mut Vec<Action>) {
        if self.is_up() || self.peers.iter().any(|peer| peer.liveness == Liveness::Unheard) {
            return;
        }
        let alive = || self.peers.iter().filter(|peer| peer.liveness == Liveness::Alive);
        let asked =
            if alive().any(|peer| peer.native == Some(true)) { None } else { alive().find(|peer| peer.has_protocol) };
        let Some(asked) = asked else {
            self.communication_up(happened, out);
            return;
        };
        let (dest, uuid, known) = (asked.name.clone(), asked.uuid, asked.native.is_some());
        let since = match self.communication {
            // What it is, its first status will say.
            Communication::Waiting if !known => return,
            Communication::Waiting => now,
            Communication::Asking { since, .. } if since + REQNODES_PATIENCE <= now => {
                let seconds = REQNODES_PATIENCE.as_secs();
                out.push(Action::Notice(Notice::NoAnswerToReqnodes { node: dest, seconds }));
                self.communication_up(happened, out);
                return;
            }
            Communication::Asking { again, .. } if now < again => return,
            Communication::Asking { since, .. } => since,
            Communication::Up => return,
        };
        self.communication = Communication::Asking { since, again: now + REQNODES_EVERY };
        self.send(Body::ReqNodes { dest }, uuid, None, out);
    }

    fn communication_up(&mut self, happened: &mut Vec<Happening>, out: &mut Vec<Action>) {
        self.communication = Communication::Up;
        out.push(Action::Notice(Notice::CommunicationUp));
        happened.push(Happening::CommunicationUp);
    }

    fn tell_seldom(&mut self, now: Instant, matter: Matter, notice: Notice, out: &mut Vec<Action>) {
        if self.seldom.allows(matter, now) {
            out.push(Action::Notice(notice));
        }
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
