//! One other node: whether it lives, what of it has arrived, and over which links.
//!
//! Knows nothing of resources and sends nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::wire::{NodeStatus, Uuid};

/// More missing numbers than this are not worth asking for: followed anew (spec 5.8).
const LARGEST_GAP: u64 = 250;

/// At most so many numbers are remembered as missing.
const MOST_MISSING: usize = 500;

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Nothing heard since we started, and not given up yet.
    Unheard,
    /// Heard within its dead time.
    Alive,
    /// Silent for longer.
    Dead,
}

/// One link to a node (spec 5.7).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Link {
    pub up: bool,
    pub heard_at: Option<Instant>,
}

/// Where a message stands in the order of its sender's messages (spec 5.5, step 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one, or the first one.
    InOrder,
    /// Later than the next: `lost` were skipped.
    Ahead { lost: u64, from: u64 },
    /// So far ahead that the order starts anew.
    FarAhead { lost: u64, from: u64 },
    /// One that was missing.
    Late,
    /// Had been here.
    Duplicate,
}

/// A life under a lower generation than the known one, watched before it is believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OlderLife {
    pub generation: u64,
    /// As its words name it.
    pub life: Option<u64>,
    pub last_seq: u64,
    pub statuses: u32,
    /// Our own number when it was first heard: to echo a later one, it must be alive now.
    pub our_seq: u64,
    pub since: Instant,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub name: String,
    pub uuid: Option<Uuid>,
    pub liveness: Liveness,
    /// Its highest generation, 0 before the first message.
    pub generation: u64,
    /// Its present life as its words name it; `None` before the first one, and of an old heartbeat.
    pub life: Option<u64>,
    pub status: NodeStatus,
    /// Number of its last status that counted.
    pub status_seq: u64,
    /// The same of its last whole account of what it holds.
    pub resource_seq: u64,
    pub status_at: Option<Instant>,
    /// Any message that only a living sender can have sent.
    pub heard_at: Option<Instant>,
    /// Its own wish, within bounds.
    pub deadtime: Duration,
    /// Whether it does flow control and answers `reqnodes`.
    pub has_protocol: bool,
    /// Whether it is another heartbeatd; `None` before its first status.
    pub native: Option<bool>,
    pub last_seq: u64,
    /// Missing numbers and when to ask for them.
    pub missing: BTreeMap<u64, Instant>,
    /// Numbers ending in this digit are acknowledged.
    pub ack_digit: u64,
    /// Highest of our numbers that it has acknowledged.
    pub acked: u64,
    pub links: Vec<Link>,
    pub older_life: Option<OlderLife>,
}

impl Peer {
    pub fn new(name: String, links: usize, deadtime: Duration, ack_digit: u64) -> Self {
        Self {
            name,
            uuid: None,
            liveness: Liveness::Unheard,
            generation: 0,
            life: None,
            status: NodeStatus::Init,
            status_seq: 0,
            resource_seq: 0,
            status_at: None,
            heard_at: None,
            deadtime,
            has_protocol: true,
            native: None,
            last_seq: 0,
            missing: BTreeMap::new(),
            ack_digit,
            acked: 0,
            links: vec![Link::default(); links],
            older_life: None,
        }
    }

    /// Follows a new life of the node from its first message on.
    pub fn begin_life(&mut self, generation: u64) {
        self.generation = generation;
        self.life = None;
        self.status = NodeStatus::Init;
        self.status_seq = 0;
        self.resource_seq = 0;
        self.status_at = None;
        self.native = None;
        self.has_protocol = true;
        self.last_seq = 0;
        self.missing.clear();
        self.acked = 0;
        self.older_life = None;
    }

    /// We begin a new life: what it has acknowledged was our old one's, and it is to be heard anew.
    pub fn forget_our_life(&mut self) {
        self.acked = 0;
        // What it has to answer is a number of our present life.
        self.older_life = None;
        self.liveness = Liveness::Unheard;
        self.heard_at = None;
        self.status_at = None;
        self.missing.clear();
    }

    /// Files a number. `first_request` is when a missing one may be asked for.
    pub fn arrived(&mut self, seq: u64, first_request: Instant) -> Arrival {
        let last = self.last_seq;
        if last == 0 || last.checked_add(1) == Some(seq) {
            self.last_seq = seq;
            return Arrival::InOrder;
        }
        if seq <= last {
            return if self.missing.remove(&seq).is_some() { Arrival::Late } else { Arrival::Duplicate };
        }
        self.last_seq = seq;
        let lost = seq - last - 1;
        if lost > LARGEST_GAP {
            self.missing.clear();
            return Arrival::FarAhead { lost, from: last };
        }
        for number in last + 1..seq {
            self.missing.insert(number, first_request);
        }
        while self.missing.len() > MOST_MISSING {
            self.missing.pop_first();
        }
        Arrival::Ahead { lost, from: last }
    }

    /// Marks the link on which something came; tells whether it was down before.
    pub fn heard_on(&mut self, link: usize, now: Instant) -> bool {
        let Some(link) = self.links.get_mut(link) else { return false };
        link.heard_at = Some(now);
        !std::mem::replace(&mut link.up, true)
    }

    /// Time that this program was not run is not the peer's silence.
    pub fn excuse(&mut self, late: Duration, now: Instant) {
        let later = |at: Instant| (at + late).min(now);
        self.heard_at = self.heard_at.map(later);
        self.status_at = self.status_at.map(later);
        for link in &mut self.links {
            link.heard_at = link.heard_at.map(later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> (Peer, Instant) {
        (Peer::new("node2".into(), 1, Duration::from_secs(1), 0), Instant::now())
    }

    #[test]
    fn swapped_neighbours_are_a_gap_that_closes_at_once() {
        let (mut peer, now) = peer();
        assert_eq!(peer.arrived(0x5a, now), Arrival::InOrder);
        assert_eq!(peer.arrived(0x5c, now), Arrival::Ahead { lost: 1, from: 0x5a });
        assert_eq!(peer.arrived(0x5b, now), Arrival::Late);
        assert!(peer.missing.is_empty());
        assert_eq!(peer.arrived(0x5b, now), Arrival::Duplicate);
        assert_eq!(peer.arrived(0x5d, now), Arrival::InOrder);
    }

    #[test]
    fn a_gap_of_250_is_asked_for_and_one_of_251_is_not() {
        let (mut peer, now) = peer();
        peer.arrived(18, now);
        assert_eq!(peer.arrived(18 + 251, now), Arrival::Ahead { lost: 250, from: 18 });
        assert_eq!(peer.missing.len(), 250);
        assert_eq!(peer.arrived(1000, now), Arrival::FarAhead { lost: 730, from: 269 });
        assert!(peer.missing.is_empty());
    }

    #[test]
    fn a_number_behind_which_there_is_none_is_one_like_any_other() {
        let (mut peer, now) = peer();
        assert_eq!(peer.arrived(u64::MAX, now), Arrival::InOrder);
        assert_eq!(peer.arrived(u64::MAX, now), Arrival::Duplicate);
        assert_eq!(peer.arrived(5, now), Arrival::Duplicate);
    }

    #[test]
    fn at_most_500_numbers_are_remembered_as_missing() {
        let (mut peer, now) = peer();
        (1..=10).for_each(|step| {
            peer.arrived(step * 200, now);
        });
        assert_eq!(peer.missing.len(), 500);
    }

    #[test]
    fn the_time_we_were_stopped_does_not_count_as_its_silence() {
        let (mut peer, now) = peer();
        peer.heard_at = Some(now);
        let later = now + Duration::from_secs(5);
        peer.excuse(Duration::from_secs(4), later);
        assert_eq!(peer.heard_at, Some(now + Duration::from_secs(4)));
        peer.excuse(Duration::from_secs(4), later);
        assert_eq!(peer.heard_at, Some(later));
    }
}
