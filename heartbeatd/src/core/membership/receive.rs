//! What arrives: from whom, whether it is to be believed, and what follows for the sender (spec/heartbeat.md 5.5).

use std::time::{Duration, Instant};

use crate::wire::{Body, Header, NodeStatus};

use super::{Communication, Happening, Membership, millis};
use crate::core::message::Heard;
use crate::core::notice::Notice;
use crate::core::peer::{Arrival, Liveness, OlderLife, Peer};
use crate::core::seldom::Matter;
use crate::core::takeover::Word;
use crate::core::{Action, Settings};

/// How much longer than it must be an answer to an earlier life of ours may be under way.
const RECORDING_MARGIN: Duration = Duration::from_secs(1);

/// Statuses of a life under a lower generation before an old heartbeat is believed to live it.
const OLDER_LIFE_STATUSES: u32 = 3;

impl Membership {
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
        let answer = word.as_ref().and_then(|word| self.answer(word));
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
            if !believe_older_life(now, peer, heard, answer, ours) {
                let (generation, known) = (header.generation, peer.generation);
                self.tell_seldom(now, Matter::OldGeneration, Notice::OldGeneration { node, generation, known }, out);
                return;
            }
            let (from, to) = (peer.generation, header.generation);
            out.push(Action::Notice(Notice::GenerationWentBack { node: node.clone(), from, to }));
            peer.begin_life(to);
            happened.push(Happening::Began { peer: at });
        } else if header.generation > peer.generation {
            if peer.generation > 0 {
                out.push(Action::Notice(Notice::PeerRestarted { node: node.clone() }));
            }
            peer.begin_life(header.generation);
            happened.push(Happening::Began { peer: at });
        } else if peer.liveness == Liveness::Dead {
            // Only a status brings it back, and only one that was not sent before it died.
            if !matches!(body, Body::Status { .. }) || seq <= peer.status_seq.max(peer.last_seq) {
                return;
            }
            out.push(Action::Notice(Notice::PeerReturned { node: node.clone() }));
            peer.last_seq = 0;
            happened.push(Happening::Returned { peer: at });
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
        if self.settings.nodes.len() > 2 {
            out.push(Action::PassOn);
        }
        let outdated = seq <= peer.resource_seq;
        if matches!(body, Body::Resource { full: true, .. }) && !outdated {
            peer.resource_seq = seq;
        }
        let acknowledge = arrival == Arrival::InOrder && seq % 10 == peer.ack_digit && peer.missing.is_empty();
        let uuid = peer.uuid;
        if acknowledge {
            self.send(Body::Ack { dest: node.clone(), seq }, uuid, None, out);
        }
        // What an old heartbeat tells itself to take is known in no other way (spec 6.8).
        if !for_us && !matches!(body, Body::IpRequestResp { .. }) {
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
            // An account from before the last one, sent again because it was lost, would undo what the later one said.
            Body::Resource { .. } if outdated => {}
            Body::Resource { .. } => happened.push(Happening::Said { peer: at, body: body.clone() }),
            Body::Starting
            | Body::AskResources { .. }
            | Body::HbTakeover { .. }
            | Body::IpRequest { .. }
            | Body::IpRequestResp { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => happened.push(Happening::Said { peer: at, body: body.clone() }),
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
        if self.is_many() && status == NodeStatus::Active {
            // Where others are heard that far the network works: it is not what silent nodes wait for.
            self.give_up_at = self.give_up_at.min(now + self.settings.deadtime);
        }
        let word = word.map(|word| Word { heard: self.answer(word), ..word.clone() });
        happened.push(Happening::Status { peer: at, status, word });
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

    /// Whether a message of this peer should be signed as one heartbeatd signs for another. In a new life it
    /// may have been put back to an old heartbeat.
    fn signs_strongly(&self, at: usize, header: &Header, word: Option<&Word>) -> bool {
        let known = |peer: &Peer| peer.native == Some(true) && header.generation == peer.generation;
        word.is_some() || self.peers.get(at).is_some_and(known)
    }

    /// What a word says of us. Of one whose ha.cf has but two nodes nobody knows whom it means, unless it names our life.
    fn answer(&self, word: &Word) -> Option<(u64, u64)> {
        let named = |(life, _): &(u64, u64)| !self.is_many() || !word.echoes.is_empty() || *life == self.life;
        word.answers(self.mark).filter(named)
    }

    /// Whether a word answers an earlier life of ours when nobody living can do so any more: by now the peer
    /// has heard of this life, or has given up the earlier one (fault 18: after its start a receiver knows
    /// nothing by which to tell a recording).
    fn is_recorded(&self, now: Instant, word: &Word) -> bool {
        let Settings { keepalive, deadtime, initdead, .. } = self.settings;
        let patience = deadtime.max(initdead) + keepalive * 2 + RECORDING_MARGIN;
        self.answer(word).is_some_and(|(life, seq)| {
            if life == self.life { seq > self.sent.highest() } else { now > self.began_at + patience }
        })
    }
}

/// Whether a message of a lower generation comes from a node that lives now (fault 6: the
/// original refuses it for ever). Never while the known life goes on. Another heartbeatd
/// proves it by echoing a status we sent after we first heard it; an old heartbeat cannot,
/// and is believed after a few statuses in order.
fn believe_older_life(
    now: Instant,
    peer: &mut Peer,
    heard: &Heard,
    answer: Option<(u64, u64)>,
    (our_life, our_seq): (u64, u64),
) -> bool {
    let header = &heard.header;
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
        Some(_) => answer.is_some_and(|(heard, seq)| heard == our_life && seq > life.our_seq),
        None => life.statuses >= OLDER_LIFE_STATUSES && now > life.since,
    }
}
