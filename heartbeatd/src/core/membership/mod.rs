//! Who is there (spec/heartbeat.md 5): statuses in and out, generations, lost messages,
//! acknowledgements, death, and when communication is up.
//!
//! Decides nothing about resources. What happened to a node is handed to the caller as
//! [`Happening`]s; what is to be sent or told is pushed as [`Action`]s.

mod retransmission;

use std::time::{Duration, Instant};

use crate::wire::{Body, ClientWord, Header, NodeStatus, Uuid};

use crate::core::history::History;
use crate::core::message::{Heard, Outgoing};
use crate::core::notice::Notice;
use crate::core::peer::{Arrival, Liveness, OlderLife, Peer};
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

/// How much longer than it must be an answer to an earlier life of ours may be under way.
const RECORDING_MARGIN: Duration = Duration::from_secs(1);

/// Statuses of a life under a lower generation before an old heartbeat is believed to live it.
const OLDER_LIFE_STATUSES: u32 = 3;

/// What happened to a node.
#[derive(Debug)]
pub(crate) enum Happening {
    /// It lives a new life, known by its generation; the first one counts too.
    Began,
    /// A status that counts: the latest.
    Status { status: NodeStatus, word: Option<Word> },
    /// It was dead and goes on under the same generation.
    Returned,
    /// It has been silent for its dead time.
    Died,
    /// Anything else it said to us.
    Said(Body),
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

pub(crate) struct Membership {
    settings: Settings,
    me: Identity,
    /// Our present life, as words name it.
    life: u64,
    /// When it began.
    began_at: Instant,
    status: NodeStatus,
    communication: Communication,
    /// Until then nodes that were never heard are waited for.
    give_up_at: Instant,
    next_status: Instant,
    last_status: Option<Instant>,
    sent: History<Option<Instant>>,
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
            settings,
            me,
            life: 0,
            began_at: now,
            status: NodeStatus::Init,
            communication: Communication::Waiting,
            next_status: now,
            last_status: None,
            sent: History::new(),
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

    /// Life and number of the peer's last status that counted: what our word echoes.
    pub fn echo(&self, peer: usize) -> Option<(u64, u64)> {
        let peer = self.peers.get(peer)?;
        let counts = peer.status_seq > 0 && peer.liveness == Liveness::Alive;
        peer.life.filter(|_| counts).map(|life| (life, peer.status_seq))
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
        self.next_status = now;
        self.last_status = None;
        self.sent = History::new();
        self.peers.iter_mut().for_each(Peer::forget_our_life);
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
        }
        out.push(Action::Send(Outgoing {
            seq,
            generation: self.me.generation,
            src: self.me.name.clone(),
            srcuuid: self.me.uuid,
            destuuid: to,
            ttl: self.settings.ttl,
            body,
            word,
        }));
    }

    /// Takes in a message that came on the link with this index.
    pub fn heard(&mut self, now: Instant, link: usize, heard: &Heard, out: &mut Vec<Action>) -> Vec<Happening> {
        let mut happened = Vec::new();
        if let Some(at) = self.sender(now, &heard.header, out) {
            self.heard_from(now, at, link, heard, &mut happened, out);
            self.check_communication(now, &mut happened, out);
        }
        happened
    }

    /// Which peer the message is from, if it is from one (spec 5.1, faults 19 and 20).
    fn sender(&mut self, now: Instant, header: &Header, out: &mut Vec<Action>) -> Option<usize> {
        let node = || header.src.clone();
        let (matter, notice) = if header.src == self.me.name {
            let ours = header.srcuuid.is_none_or(|uuid| uuid == self.me.uuid)
                && header.generation <= self.me.generation
                && (header.generation < self.me.generation || header.seq <= Some(self.sent.highest()));
            if ours {
                return None; // A broadcast comes back to its sender.
            }
            (Matter::SameName, Notice::SameName { node: node() })
        } else if header.srcuuid == Some(self.me.uuid) {
            (Matter::SameUuid, Notice::SameUuid { node: node() })
        } else {
            match self.peers.iter().position(|peer| peer.name == header.src) {
                Some(at) if self.uuid_fits(at, header, out) => return Some(at),
                Some(_) => (Matter::UuidClash, Notice::UuidClash { node: node() }),
                None => (Matter::UnknownNode, Notice::UnknownNode { node: node() }),
            }
        };
        self.tell_seldom(now, matter, notice, out);
        None
    }

    fn uuid_fits(&mut self, at: usize, header: &Header, out: &mut Vec<Action>) -> bool {
        let Some(uuid) = header.srcuuid else { return true };
        if self.peers.iter().enumerate().any(|(other, peer)| other != at && peer.uuid == Some(uuid)) {
            return false;
        }
        let Some(peer) = self.peers.get_mut(at) else { return false };
        match peer.uuid {
            Some(known) if known == uuid => true,
            // Two machines under one name, or one that was installed anew: not while the other one lives.
            Some(_) if peer.liveness == Liveness::Alive => false,
            Some(_) => {
                out.push(Action::Notice(Notice::UuidChanged { node: peer.name.clone() }));
                peer.uuid = Some(uuid);
                peer.begin_life(0);
                true
            }
            None => {
                // NS_ messages can be replayed at any time, so nothing is learned from them.
                if header.seq.is_some() {
                    peer.uuid = Some(uuid);
                }
                true
            }
        }
    }

    /// Steps 3 to 9 of spec 5.5.
    fn heard_from(
        &mut self,
        now: Instant,
        at: usize,
        link: usize,
        heard: &Heard,
        happened: &mut Vec<Happening>,
        out: &mut Vec<Action>,
    ) {
        let Heard { header, body, word, strong } = heard;
        if !strong && self.signs_strongly(at, header, word.as_ref()) {
            let node = header.src.clone();
            return self.tell_seldom(now, Matter::WeakSignature, Notice::WeakSignature { node }, out);
        }
        let for_us = match (header.destuuid, &header.dest) {
            (Some(uuid), _) => uuid == self.me.uuid,
            (None, Some(name)) => *name == self.me.name,
            (None, None) => true,
        };
        let Some(seq) = header.seq else {
            if for_us {
                self.heard_unsequenced(now, at, body, out);
            }
            return;
        };
        let first_request = now + self.rexmit_delay();
        if word.as_ref().is_some_and(|word| self.is_recorded(now, word)) {
            return self.tell_seldom(now, Matter::Replay, Notice::Replay { node: header.src.clone() }, out);
        }
        let ours = (self.life, self.sent.highest());
        let Some(peer) = self.peers.get_mut(at) else { return };
        let node = peer.name.clone();
        if peer.heard_on(link, now) {
            let link = self.settings.links.get(link).cloned().unwrap_or_default();
            out.push(Action::Notice(Notice::LinkUp { node: node.clone(), link }));
        }
        let theirs = word.as_ref().map(|word| word.life);
        // Restored from a copy, or with its count of lives lost, it may come to the same generation again.
        let again = header.generation == peer.generation
            && theirs.is_some_and(|life| peer.life.is_some_and(|known| known != life));
        if header.generation < peer.generation || again {
            if !believe_older_life(now, peer, header, heard, ours) {
                let (generation, known) = (header.generation, peer.generation);
                self.tell_seldom(now, Matter::OldGeneration, Notice::OldGeneration { node, generation, known }, out);
                return;
            }
            let (from, to) = (peer.generation, header.generation);
            out.push(Action::Notice(Notice::GenerationWentBack { node: node.clone(), from, to }));
            peer.begin_life(to);
            happened.push(Happening::Began);
        } else if header.generation > peer.generation {
            if peer.generation > 0 {
                out.push(Action::Notice(Notice::PeerRestarted { node: node.clone() }));
            }
            peer.begin_life(header.generation);
            happened.push(Happening::Began);
        } else if peer.liveness == Liveness::Dead {
            // Only a status brings it back, and only one that was not sent before it died.
            if !matches!(body, Body::Status { .. }) || seq <= peer.status_seq.max(peer.last_seq) {
                return;
            }
            out.push(Action::Notice(Notice::PeerReturned { node: node.clone() }));
            peer.last_seq = 0;
            happened.push(Happening::Returned);
        }
        let arrival = peer.arrived(seq, first_request);
        match arrival {
            Arrival::InOrder => peer.heard_at = Some(now),
            Arrival::Ahead { lost, from } | Arrival::FarAhead { lost, from } => {
                peer.heard_at = Some(now);
                let to = seq;
                out.push(Action::Notice(Notice::Lost { node: node.clone(), count: lost, from, to }));
                if matches!(arrival, Arrival::FarAhead { .. }) {
                    out.push(Action::Notice(Notice::LostALot { node: node.clone() }));
                }
            }
            Arrival::Late if peer.missing.is_empty() => {
                out.push(Action::Notice(Notice::NoneMissing { node: node.clone() }))
            }
            Arrival::Late => {}
            Arrival::Duplicate => return,
        }
        peer.liveness = Liveness::Alive;
        let acknowledge = arrival == Arrival::InOrder && seq % 10 == peer.ack_digit && peer.missing.is_empty();
        let uuid = peer.uuid;
        if acknowledge {
            self.send(Body::Ack { dest: node.clone(), seq }, uuid, None, out);
        }
        if !for_us {
            return;
        }
        match body {
            Body::Status { status, deadtime, protocol } => {
                self.heard_status(now, at, seq, (*status, *deadtime, *protocol), word.as_ref(), happened, out);
            }
            // Answered always and at once: without it an old peer never becomes active.
            Body::ReqNodes { .. } => {
                let nodes = self.settings.nodes.clone();
                self.send(Body::RepNodes { dest: node, nodes, deleted: Vec::new() }, uuid, None, out);
            }
            Body::RepNodes { nodes, .. } => self.heard_nodes(now, node, nodes, happened, out),
            Body::Ack { .. } | Body::Rexmit { .. } | Body::NakRexmit { .. } => {}
            Body::Starting
            | Body::Resource { .. }
            | Body::AskResources { .. }
            | Body::HbTakeover { .. }
            | Body::IpRequest { .. }
            | Body::IpRequestResp { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => happened.push(Happening::Said(body.clone())),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message and the two places results go")]
    fn heard_status(
        &mut self,
        now: Instant,
        at: usize,
        seq: u64,
        (status, deadtime, protocol): (NodeStatus, Option<Duration>, Option<u64>),
        word: Option<&Word>,
        happened: &mut Vec<Happening>,
        out: &mut Vec<Action>,
    ) {
        let (least, most) = self.bounds();
        let Some(peer) = self.peers.get_mut(at) else { return };
        if seq <= peer.status_seq {
            return; // Overtaken by a later one.
        }
        peer.status_seq = seq;
        let node = &peer.name;
        if let Some(interval) = peer.status_at.map(|before| now.saturating_duration_since(before))
            && interval > self.settings.warntime
        {
            let (interval_ms, deadtime_ms) = (millis(interval), millis(peer.deadtime));
            out.push(Action::Notice(Notice::LateHeartbeat { node: node.clone(), interval_ms, deadtime_ms }));
        }
        peer.status_at = Some(now);
        peer.deadtime = deadtime.unwrap_or(self.settings.deadtime).clamp(least, most);
        peer.has_protocol = protocol.is_some();
        peer.life = word.map(|word| word.life);
        if peer.native != Some(word.is_some()) {
            peer.native = Some(word.is_some());
            out.push(Action::Notice(Notice::Protocol { node: node.clone(), heartbeatd: word.is_some() }));
        }
        if peer.status != status {
            peer.status = status;
            out.push(Action::Notice(Notice::PeerStatus { node: node.clone(), status: status.as_str() }));
        }
        happened.push(Happening::Status { status, word: word.cloned() });
    }

    fn heard_nodes(
        &mut self,
        now: Instant,
        node: String,
        theirs: &[String],
        happened: &mut Vec<Happening>,
        out: &mut Vec<Action>,
    ) {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        if sorted(theirs) != sorted(&self.settings.nodes) {
            // The original adopts the answer, so that a peer can remove nodes here (fault 25).
            let ours = self.settings.nodes.clone();
            let notice = Notice::NodesDiffer { node, theirs: theirs.to_vec(), ours };
            self.tell_seldom(now, Matter::NodesDiffer, notice, out);
        }
        if matches!(self.communication, Communication::Asking { .. }) {
            self.communication_up(happened, out);
        }
    }

    /// What time brings: deaths, requests for lost messages, `reqnodes`, our status.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) -> Vec<Happening> {
        let mut happened = Vec::new();
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
                happened.push(Happening::Died);
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

    /// Whether a message of this peer should be signed as one heartbeatd signs for another. In a new life it
    /// may have been put back to an old heartbeat.
    fn signs_strongly(&self, at: usize, header: &Header, word: Option<&Word>) -> bool {
        let known = |peer: &Peer| peer.native == Some(true) && header.generation == peer.generation;
        word.is_some() || self.peers.get(at).is_some_and(known)
    }

    /// Whether a word answers an earlier life of ours when nobody living can do so any more: by now the peer
    /// has heard of this life, or has given up the earlier one (fault 18: after its start a receiver knows
    /// nothing by which to tell a recording).
    fn is_recorded(&self, now: Instant, word: &Word) -> bool {
        let Settings { keepalive, deadtime, initdead, .. } = self.settings;
        let patience = deadtime.max(initdead) + keepalive * 2 + RECORDING_MARGIN;
        word.heard.is_some_and(|(life, seq)| {
            if life == self.life { seq > self.sent.highest() } else { now > self.began_at + patience }
        })
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
            Liveness::Unheard => Some(self.give_up_at),
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

/// Whether a message of a lower generation comes from a node that lives now (fault 6: the
/// original refuses it for ever). Never while the known life goes on. Another heartbeatd
/// proves it by echoing a status we sent after we first heard it; an old heartbeat cannot,
/// and is believed after a few statuses in order.
fn believe_older_life(now: Instant, peer: &mut Peer, header: &Header, heard: &Heard, ours: (u64, u64)) -> bool {
    let (our_life, our_seq) = ours;
    let named = heard.word.as_ref().map(|word| word.life);
    let seq = header.seq.unwrap_or(0);
    let is_status = matches!(heard.body, Body::Status { .. });
    if peer.liveness == Liveness::Alive || !is_status {
        return false;
    }
    let generation = header.generation;
    let fresh = OlderLife { generation, life: named, last_seq: seq, statuses: 1, our_seq, since: now };
    let Some(life) = &mut peer.older_life else {
        peer.older_life = Some(fresh);
        return false;
    };
    if (life.generation, life.life) != (generation, named) {
        *life = fresh;
        return false;
    }
    if seq <= life.last_seq {
        return false;
    }
    life.last_seq = seq;
    life.statuses += 1;
    match &heard.word {
        Some(word) => word.heard.is_some_and(|(heard, seq)| heard == our_life && seq > life.our_seq),
        None => life.statuses >= OLDER_LIFE_STATUSES && now > life.since,
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
