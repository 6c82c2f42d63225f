//! One node on a bench: the test plays the other node, the scripts and the clock.

mod cable;
mod faults;
mod fencing;
mod fencing_many;
mod maintenance;
mod many;
mod membership;
mod monitor;
mod stories;
mod stuck;
mod traces;

use std::time::{Duration, Instant};

use lvs::settings::StopFailure;

use super::{
    Action, Event, Files, Group, GroupId, Heard, Identity, Level, Node, Notice, Plan, Refusal, Settings, State, Ticket,
    Which, Word,
};
use crate::wire::{Body, Header, Hold, NodeStatus, Phase, Uuid};

pub const KEEPALIVE: Duration = Duration::from_millis(200);
pub const DEADTIME: Duration = Duration::from_secs(1);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `haresources` of spec appendix B: one group at home on each node.
pub fn settings() -> Settings {
    let group = |home: &str, key: &str| Group {
        key: key.into(),
        home: home.into(),
        overlaps: true,
        addressed: true,
        then: Vec::new(),
    };
    Settings {
        nodes: vec!["node1".into(), "node2".into()],
        links: vec!["hb0".into()],
        keepalive: KEEPALIVE,
        deadtime: DEADTIME,
        warntime: ms(500),
        initdead: ms(3000),
        max_rexmit_delay: ms(250),
        ttl: 3,
        auto_failback: true,
        legacy: false,
        pings: Vec::new(),
        deadping: DEADTIME,
        ipfail: false,
        fences: false,
        stop_failure: StopFailure::Freeze,
        plan: Plan::new(vec![group("node1", "192.168.77.50/24/lan0"), group("node2", "LogRsc::c")]).unwrap(),
        files: Files { ha_cf: 1, haresources: 2, authkeys: 3 },
    }
}

/// The other node, as far as it is played here.
pub struct Player {
    pub name: &'static str,
    pub uuid: Uuid,
    pub generation: u64,
    pub seq: u64,
    pub status: NodeStatus,
    /// What a heartbeatd would add to its statuses.
    pub word: Option<Word>,
    /// Whether its statuses go on while the bench waits.
    pub beats: bool,
}

pub struct Bench {
    pub node: Node,
    pub now: Instant,
    pub peer: Player,
    /// Whether work is reported as done at once.
    pub works: bool,
    /// Everything since it was last asked for.
    pub done: Vec<Action>,
}

/// Starts a node whose media are open.
pub fn begin(node: &mut Node, now: Instant) -> Vec<Action> {
    let mut actions = node.handle(now, Event::Listening(true));
    actions.extend(node.start(now));
    actions
}

impl Bench {
    pub fn new(me: &'static str, settings: Settings) -> Self {
        Self::in_life(me, settings, 100)
    }

    pub fn in_life(me: &'static str, settings: Settings, generation: u64) -> Self {
        let now = Instant::now();
        let identity = Identity { name: me.into(), uuid: Uuid([1; 16]), generation };
        let peer = Player {
            name: if me == "node1" { "node2" } else { "node1" },
            uuid: Uuid([2; 16]),
            generation: 500,
            seq: 0,
            status: NodeStatus::Up,
            word: None,
            beats: true,
        };
        Self { node: Node::new(settings, identity, now, 7), now, peer, works: true, done: Vec::new() }
    }

    /// Collects what was ordered, and reports work as done when all orders are given.
    fn take(&mut self, actions: Vec<Action>) {
        let works = self.works;
        let ends = actions.iter().filter_map(|action| match *action {
            Action::Acquire { group, .. } if works => Some(Event::Acquired { group, ok: true }),
            Action::Release { group, .. } if works => Some(Event::Released { group, ok: true }),
            _ => None,
        });
        let ends: Vec<Event> = ends.collect();
        self.done.extend(actions);
        for event in ends {
            let more = self.node.handle(self.now, event);
            self.take(more);
        }
    }

    pub fn start(&mut self) {
        let actions = begin(&mut self.node, self.now);
        self.take(actions);
    }

    pub fn happens(&mut self, event: Event) {
        let actions = self.node.handle(self.now, event);
        self.take(actions);
    }

    pub fn header(&self, seq: Option<u64>) -> Header {
        let Player { name, uuid, generation, .. } = self.peer;
        Header { src: name.into(), srcuuid: Some(uuid), seq, generation, ts: 1, dest: None, destuuid: None }
    }

    pub fn hears(&mut self, heard: &Heard) {
        let actions = self.node.heard(self.now, 0, heard);
        self.take(actions);
    }

    /// The peer says something.
    pub fn says(&mut self, body: Body) {
        let unsequenced = matches!(body, Body::Ack { .. } | Body::Rexmit { .. } | Body::NakRexmit { .. });
        self.peer.seq += u64::from(!unsequenced);
        let seq = (!unsequenced).then_some(self.peer.seq);
        let word = if matches!(body, Body::Status { .. }) { self.peer.word.clone() } else { None };
        let heard = Heard { header: self.header(seq), body, word, strong: true };
        self.hears(&heard);
    }

    pub fn status(&mut self, status: NodeStatus) {
        self.peer.status = status;
        self.says(Body::Status { status, deadtime: Some(DEADTIME), protocol: Some(1) });
    }

    pub fn resource(&mut self, hold: Hold, stable: bool, info: Option<&str>) {
        self.says(Body::Resource { hold, full: true, stable: Some(stable), info: info.map(str::to_owned) });
    }

    pub fn ask(&mut self, hold: Hold, phase: Phase) {
        self.says(Body::AskResources { hold, phase });
    }

    /// Time passes; the peer's statuses go on if it `beats`.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut beat = self.now + KEEPALIVE;
        for turn in 0.. {
            assert!(turn < 100_000, "the node keeps itself busy");
            let next = if self.peer.beats { self.node.deadline().min(beat) } else { self.node.deadline() };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if self.peer.beats && beat <= self.now {
                beat += KEEPALIVE;
                self.status(self.peer.status);
            }
            if self.node.deadline() <= self.now {
                let actions = self.node.tick(self.now);
                self.take(actions);
            }
        }
        self.now = end;
    }

    /// What was said since this was last asked, acknowledgements and statuses left out.
    pub fn said(&mut self) -> Vec<String> {
        let said = self.done.drain(..).filter_map(|action| match action {
            Action::Send(message) if !matches!(message.body, Body::Ack { .. } | Body::Status { .. }) => {
                Some(line(&message.body))
            }
            _ => None,
        });
        said.collect()
    }

    /// The same with our statuses.
    pub fn said_all(&mut self) -> Vec<String> {
        let said = self.done.drain(..).filter_map(|action| match action {
            Action::Send(message) if !matches!(message.body, Body::Ack { .. }) => Some(line(&message.body)),
            _ => None,
        });
        said.collect()
    }

    pub fn notices(&self) -> Vec<String> {
        let notices = self.done.iter().filter_map(|action| match action {
            Action::Notice(notice) => Some(notice.to_string()),
            _ => None,
        });
        notices.collect()
    }

    pub fn worst(&self) -> Option<(Level, &Notice)> {
        let notices = self.done.iter().filter_map(|action| match action {
            Action::Notice(notice) => Some((notice.level(), notice)),
            _ => None,
        });
        notices.max_by_key(|(level, _)| *level)
    }

    pub fn holds(&self) -> [bool; 2] {
        [0, 1].map(|group| self.node.state(GroupId(group)) == Some(State::Held))
    }
}

/// As in the tables of spec chapter 6.
pub fn line(body: &Body) -> String {
    match body {
        Body::Status { status, .. } => format!("status {}", status.as_str()),
        Body::ReqNodes { dest } => format!("reqnodes {dest}"),
        Body::RepNodes { dest, nodes, .. } => format!("repnodes {dest} [{}]", nodes.join(" ")),
        Body::Starting => "starting".into(),
        Body::Resource { hold, full, stable, info } => {
            let stable = stable.map_or("-".to_owned(), |stable| u8::from(stable).to_string());
            let info = info.as_ref().map_or(String::new(), |info| format!(" {info}"));
            format!("R({},{stable}){}{info}", hold.as_str(), if *full { "" } else { "+" })
        }
        Body::AskResources { hold, phase } => format!("ask {} {}", hold.as_str(), phase.as_str()),
        Body::HbTakeover { hold } => format!("hb_takeover {}", hold.as_str()),
        Body::Shutdone => "shutdone".into(),
        Body::IpRequest { key } => format!("ip-request {key}"),
        Body::IpRequestResp { dest, key, we_own, ok } => format!("ip-request-resp {dest} {key} {we_own} {ok}"),
        Body::Ack { .. }
        | Body::Rexmit { .. }
        | Body::NakRexmit { .. }
        | Body::Stonith { .. }
        | Body::Client { .. }
        | Body::Unknown { .. } => format!("{body:?}"),
    }
}
