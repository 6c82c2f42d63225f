//! What a seed decides before anything runs: times, network, files, and what goes wrong when.

use std::time::Duration;

use heartbeatd::core::{Files, Group, Plan, Settings, Which};
use lvs::settings::StopFailure;

use crate::chance::Chance;
use crate::fencing::Devices;

/// Microseconds since the run began.
pub type Time = u64;

pub const MS: Time = 1_000;
pub const S: Time = 1_000_000;

/// How a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The machine loses power: nothing of it answers.
    Power,
    /// The daemon dies and its guard takes the addresses off.
    Daemon,
    /// Daemon and guard die together: only the kernel's lease is left.
    Unguarded,
}

/// What of its state directory a node has lost when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// It was restored from a copy: so many generations are missing.
    Generations(u64),
    /// Everything: it makes itself a new UUID, and its clock, by which it counts then, is wrong.
    Everything,
}

/// From which node to which: `ways[from][to]`.
pub type Ways = [[bool; MOST_NODES]; MOST_NODES];

/// The way from one node to another, and back.
fn between(one: usize, other: usize, there: bool, back: bool) -> Ways {
    let mut ways = Ways::default();
    ways[one][other] = there;
    ways[other][one] = back;
    ways
}

/// Every way to and from a node.
pub fn around(node: usize, out: bool, back: bool) -> Ways {
    std::array::from_fn(|from| std::array::from_fn(|to| from != to && (from == node && out || to == node && back)))
}

/// Something that happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// A node goes down and starts again after a while.
    Crash { node: usize, how: Crash, back_after: Time, ready_after: Time, lost: Lost },
    /// A node is not run for a while (SIGSTOP, a virtual machine moved).
    Pause { node: usize, length: Time },
    /// The clock that a node measures times with leaps ahead.
    ClockLeap { node: usize, by: Time },
    /// Nothing gets from some nodes to others.
    Cut { ways: Ways, length: Time },
    /// A node's own cable is pulled: it sees that. `heard`: only that of its addresses, and heartbeats go another way.
    Unplug { node: usize, length: Time, heard: bool },
    /// A link that goes off and on again: so many cuts of the same length, with pauses as long between them.
    Flap { ways: Ways, length: Time, times: u64 },
    /// Somebody sends a node's last messages once more, one every keepalive.
    Replay { node: usize },
    /// The operator.
    Standby { node: usize, which: Which },
    /// The operator.
    Takeover { node: usize, which: Which },
    /// Orderly stop, and a new start after a while.
    Stop { node: usize, back_after: Time, ready_after: Time },
    /// ldirectord goes away for a while.
    Unready { node: usize, length: Time },
    /// The administrator begins or ends maintenance of a node.
    Maintenance { node: usize, on: bool },
    /// The administrator looks after every node that this one waits for, switches off what runs, and says so.
    ConfirmDead { node: usize },
}

/// One run.
#[derive(Debug, Clone)]
pub struct Profile {
    pub keepalive: Time,
    pub deadtime: Time,
    pub initdead: Time,
    pub lease: Time,
    /// Percent of messages lost, and doubled.
    pub loss: u64,
    pub doubled: u64,
    /// Shortest and longest way of a message.
    pub delay: (Time, Time),
    /// Shortest and longest time a start or stop takes.
    pub work: (Time, Time),
    /// Percent of starts that fail.
    pub failing: u64,
    /// Percent of starts and stops that hang, where scripts run at all, and how long it takes until they are killed.
    pub hanging: u64,
    pub hang: Time,
    /// What switches nodes off that are silent.
    pub devices: Option<Devices>,
    /// Percent of stops after which something still runs, where scripts run at all.
    pub sticking: u64,
    pub stop_failure: StopFailure,
    pub auto_failback: Vec<bool>,
    /// Home and whether it may run on both for a moment, per group.
    pub groups: Vec<(usize, bool)>,
    /// When each node first starts, and how long after that it is ready.
    pub start: Vec<(Time, Time)>,
    pub disturbances: Vec<(Time, Disturbance)>,
    /// From here on nothing more goes wrong.
    pub quiet_from: Time,
    pub end: Time,
}

/// More nodes than this no profile has.
pub const MOST_NODES: usize = 3;

pub const NAMES: [&str; MOST_NODES] = ["node1", "node2", "node3"];

impl Profile {
    /// A run with everything in it.
    pub fn wild(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let (keepalive, deadtime, lease) = *chance.pick(&[
            (200 * MS, S, S),
            (200 * MS, 1500 * MS, S),
            (500 * MS, 2200 * MS, 2 * S),
            (S, 5 * S, 4 * S),
        ]);
        let mut profile = Self {
            keepalive,
            deadtime,
            initdead: deadtime * 2,
            lease,
            loss: *chance.pick(&[0, 0, 2, 10, 25]),
            doubled: *chance.pick(&[0, 5]),
            delay: (100, *chance.pick(&[MS, 20 * MS, 80 * MS])),
            work: (MS, *chance.pick(&[5 * MS, 60 * MS, 400 * MS])),
            failing: *chance.pick(&[0, 0, 0, 10]),
            hanging: *chance.pick(&[0, 0, 0, 15]),
            hang: 4 * S,
            devices: None,
            sticking: 0,
            stop_failure: StopFailure::Freeze,
            auto_failback: vec![chance.percent(60), chance.percent(60)],
            groups: vec![(0, true), (1, chance.percent(50))],
            start: vec![(0, 0), (0, 0)],
            disturbances: Vec::new(),
            quiet_from: 30 * S,
            end: 30 * S + 6 * deadtime + 12 * S,
        };
        if chance.percent(30) {
            profile.groups.push((0, chance.percent(50)));
        }
        for node in 0..2 {
            let late = if chance.percent(70) { 300 * MS } else { 12 * S };
            profile.start[node] = (chance.below(late), chance.below(4 * S));
        }
        // Where lives are counted anew, messages of an earlier one are taken for a later one: not both.
        let forgetful = chance.percent(40);
        for _ in 0..chance.below(7) {
            let at = 3 * S + chance.below(25 * S);
            let what = Disturbance::any(&mut chance, deadtime, forgetful);
            profile.disturbances.push((at, what));
        }
        profile
    }

    /// The same with stops that fail; what stuck in the end is tried again a last time after the quiet has begun.
    pub fn sticky(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x57c4);
        let stop_failure = *chance.pick(&[StopFailure::Freeze, StopFailure::Freeze, StopFailure::Reboot]);
        let mut profile = if chance.percent(25) { Self::wild_three(seed) } else { Self::wild(seed) };
        profile.groups.iter_mut().for_each(|(_, overlaps)| *overlaps &= chance.percent(30));
        Self { sticking: *chance.pick(&[10, 40, 80]), stop_failure, end: profile.end + 40 * S, ..profile }
    }

    /// The same with three nodes, whose links go separately.
    pub fn wild_three(seed: u64) -> Self {
        let mut profile = Self::wild(seed);
        let mut chance = Chance::new(seed ^ 0x0003_0003);
        profile.auto_failback.push(chance.percent(60));
        profile.groups.push((2, chance.percent(50)));
        let late = if chance.percent(70) { 300 * MS } else { 12 * S };
        profile.start.push((chance.below(late), chance.below(4 * S)));
        for (_, what) in &mut profile.disturbances {
            let node = chance.below(3) as usize;
            let other = (node + 1 + chance.below(2) as usize) % 3;
            what.moves_to(node, other, chance.percent(50));
        }
        profile
    }

    /// A third node of three is cut off for long enough to be given up, and then heard by the second but not by the first.
    pub fn chain(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let at = 4 * S + chance.below(S);
        let alone = Disturbance::Cut { ways: around(2, true, true), length: 2 * S + chance.below(S) };
        let ends = Disturbance::Cut { ways: between(0, 2, true, true), length: 12 * S };
        Self {
            auto_failback: vec![true, chance.percent(50), chance.percent(50)],
            groups: vec![(0, true), (2, true), (1, false)],
            start: vec![(0, 0), (50 * MS, 0), (80 * MS, 0)],
            disturbances: vec![(at, alone), (at, ends)],
            quiet_from: 20 * S,
            end: 26 * S,
            ..Self::calm()
        }
    }

    /// The cable of one of two nodes is out for long enough for the other one to have everything.
    pub fn unplugged(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let node = usize::from(chance.percent(50));
        let length = 1300 * MS + chance.below(2 * S);
        let mut unplug =
            |nth: Time| (4 * S + nth * 5 * S + chance.below(S), Disturbance::Unplug { node, length, heard: false });
        Self {
            delay: (100, 80 * MS),
            disturbances: (0..2).map(&mut unplug).collect(),
            auto_failback: vec![chance.percent(50); 2],
            ..Self::calm()
        }
    }

    /// The card of the addresses of one of two nodes is dead for long enough, and both hear each other.
    pub fn dead_card(seed: u64) -> Self {
        let unplugged = Self::unplugged(seed);
        let disturbances = unplugged.disturbances.iter().map(|(at, disturbance)| match *disturbance {
            Disturbance::Unplug { node, length, .. } => (*at, Disturbance::Unplug { node, length, heard: true }),
            other => (*at, other),
        });
        Self { disturbances: disturbances.collect(), ..unplugged }
    }

    /// The first of three owners dies while it is heard by one of the others and by the third only through that one.
    pub fn heard_through_another(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let ends = Disturbance::Cut { ways: between(0, 2, true, true), length: 8 * S };
        Self {
            auto_failback: vec![true; 3],
            groups: vec![(0, true), (1, true), (2, true)],
            start: vec![(0, 0), (50 * MS, 0), (80 * MS, 0)],
            disturbances: vec![(4 * S + chance.below(S), ends)],
            quiet_from: 14 * S,
            end: 20 * S,
            ..Self::calm()
        }
    }

    /// How many nodes.
    pub fn nodes(&self) -> usize {
        self.start.len()
    }

    /// A node's place among the homes of a group.
    pub fn rank(&self, group: usize, node: usize) -> usize {
        let home = self.groups[group].0;
        if node == home { 0 } else { node + usize::from(node < home) }
    }

    /// A run in which only what the caller adds goes wrong.
    pub fn calm() -> Self {
        Self {
            keepalive: 200 * MS,
            deadtime: S,
            initdead: 2 * S,
            lease: S,
            loss: 0,
            doubled: 0,
            delay: (100, MS),
            work: (MS, 5 * MS),
            failing: 0,
            hanging: 0,
            hang: 0,
            devices: None,
            sticking: 0,
            stop_failure: StopFailure::Freeze,
            auto_failback: vec![true, true],
            groups: vec![(0, true), (1, true)],
            start: vec![(0, 0), (50 * MS, 0)],
            disturbances: Vec::new(),
            quiet_from: 10 * S,
            end: 20 * S,
        }
    }

    /// Both nodes have reason to take a group within one message's way: its home comes back
    /// from a crash before it was missed, and is ready just then.
    pub fn close(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let back_after = 200 * MS + chance.below(400 * MS);
        let ready_after = 60 * MS + chance.below(120 * MS);
        let crash = Disturbance::Crash { node: 0, how: Crash::Power, back_after, ready_after, lost: Lost::Nothing };
        // So slow a network that several statuses are under way at any time.
        Self {
            keepalive: 30 * MS,
            delay: (70 * MS, 80 * MS),
            work: (100 * MS, 150 * MS),
            groups: vec![(0, true)],
            disturbances: vec![(4 * S + chance.below(S), crash)],
            end: 12 * S,
            ..Self::calm()
        }
    }

    /// One planned switch on a network that loses nothing: the operator's, or a failback after a crash.
    pub fn planned(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let node = usize::from(chance.percent(50));
        let which = *chance.pick(&[Which::All, Which::Local]);
        let what = match chance.below(3) {
            0 => Disturbance::Standby { node, which },
            1 => Disturbance::Takeover { node, which: Which::Foreign },
            _ => {
                let ready_after = chance.below(S);
                Disturbance::Crash { node, how: Crash::Power, back_after: 2 * S, ready_after, lost: Lost::Nothing }
            }
        };
        Self { disturbances: vec![(4 * S + chance.below(S), what)], ..Self::calm() }
    }

    pub fn settings(&self, node: usize) -> Settings {
        let group = |(at, &(home, overlaps)): (usize, &(usize, bool))| Group {
            key: format!("10.0.0.{at}"),
            home: NAMES[home].into(),
            then: Vec::new(),
            overlaps,
            addressed: true,
        };
        let time = Duration::from_micros;
        Settings {
            nodes: NAMES[..self.nodes()].iter().map(|name| (*name).to_owned()).collect(),
            links: vec!["hb0".into()],
            keepalive: time(self.keepalive),
            deadtime: time(self.deadtime),
            warntime: time(self.deadtime / 2),
            initdead: time(self.initdead),
            max_rexmit_delay: Duration::from_millis(250),
            ttl: 3,
            auto_failback: self.auto_failback[node],
            legacy: false,
            pings: Vec::new(),
            deadping: time(self.deadtime),
            ipfail: false,
            fences: self.devices.is_some(),
            stop_failure: self.stop_failure,
            files: Files::default(),
            plan: Plan::new(self.groups.iter().enumerate().map(group).collect()).expect("every key is another"),
        }
    }
}

impl Disturbance {
    /// What was drawn for a pair happens to this node of three; a cut on its way to another one, or on all its ways.
    pub fn moves_to(&mut self, to: usize, other: usize, everywhere: bool) {
        match self {
            Self::Crash { node, .. }
            | Self::Pause { node, .. }
            | Self::ClockLeap { node, .. }
            | Self::Unplug { node, .. }
            | Self::Replay { node }
            | Self::Standby { node, .. }
            | Self::Takeover { node, .. }
            | Self::Stop { node, .. }
            | Self::Unready { node, .. }
            | Self::Maintenance { node, .. }
            | Self::ConfirmDead { node } => *node = to,
            Self::Cut { ways, .. } | Self::Flap { ways, .. } => {
                let (there, back) = (ways[0][1], ways[1][0]);
                *ways = if everywhere { around(to, there, back) } else { between(to, other, there, back) };
            }
        }
    }

    pub fn any(chance: &mut Chance, deadtime: Time, forgetful: bool) -> Self {
        let node = usize::from(chance.percent(50));
        let which = *chance.pick(&[Which::All, Which::Local, Which::Foreign]);
        let back_after = 50 * MS + if chance.percent(50) { chance.below(deadtime) } else { chance.below(10 * S) };
        let ready_after = if chance.percent(40) { chance.below(150 * MS) } else { chance.below(5 * S) };
        match chance.below(12) {
            0 | 1 => {
                let how = *chance.pick(&[Crash::Power, Crash::Daemon, Crash::Unguarded]);
                let older = Lost::Generations(1 + chance.below(3));
                let lost =
                    if forgetful { *chance.pick(&[Lost::Nothing, older, Lost::Everything]) } else { Lost::Nothing };
                Self::Crash { node, how, back_after, ready_after, lost }
            }
            9 => Self::ClockLeap { node, by: chance.below(3 * deadtime) },
            10 => {
                let both = chance.percent(60);
                let length = 20 * MS + chance.below(deadtime / 3);
                let ways = between(0, 1, both || node == 0, both || node == 1);
                Self::Flap { ways, length, times: 2 + chance.below(4) }
            }
            11 if !forgetful => Self::Replay { node },
            2 => Self::Pause { node, length: chance.below(deadtime) },
            3 => Self::Pause { node, length: deadtime + chance.below(3 * deadtime) },
            4 if chance.percent(60) => {
                Self::Unplug { node, length: chance.below(4 * deadtime), heard: chance.percent(40) }
            }
            4 => Self::Cut { ways: between(0, 1, true, true), length: chance.below(4 * deadtime) },
            5 => {
                let one = chance.percent(50);
                Self::Cut { ways: between(0, 1, one, !one), length: chance.below(4 * deadtime) }
            }
            6 => Self::Standby { node, which },
            7 => Self::Takeover { node, which },
            _ if chance.percent(60) => Self::Stop { node, back_after: back_after + 2 * S, ready_after },
            _ => Self::Unready { node, length: chance.below(5 * S) },
        }
    }
}
