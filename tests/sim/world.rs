//! Two or three machines, a network between them and a clock that jumps from event to event.
//!
//! The machines run the real [`Node`]; what it orders is carried out here: messages are lost,
//! doubled, delayed and overtake each other, addresses stand in a kernel that takes them off
//! when their lease ends, and machines crash, stop for a while, and come back.

mod faults;
mod fencing;
mod flaw;
mod network;
mod scripts;
mod story;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use heartbeatd::core::{Action, Event, GroupId, Heard, History, Identity, Node, Notice, Plan, Ticket, Why, Word};
use heartbeatd::wire::Uuid;

use crate::chance::Chance;
use crate::check::{Check, Sight};
use crate::profile::{Crash, Disturbance, Lost, MOST_NODES, NAMES, Profile, S, Time, Ways};
use fencing::Cut;
pub use flaw::Flaw;
use story::{said, told};

/// Tickets of one node are so far apart.
const TICKETS: u64 = 4;

/// What is in the queue.
#[derive(Debug, Clone)]
enum Item {
    Deliver {
        to: usize,
        heard: Rc<Heard>,
        /// When its sender said it.
        said: Time,
        /// It comes from a node that passes it on.
        passed: bool,
    },
    Tick {
        node: usize,
        life: u32,
    },
    Done {
        node: usize,
        life: u32,
        event: Event,
    },
    Ready {
        node: usize,
        life: u32,
        ready: bool,
    },
    Start {
        node: usize,
    },
    Resume {
        node: usize,
        life: u32,
    },
    Heal {
        ways: Ways,
        nth: usize,
    },
    /// A node's cable is in again.
    Plug {
        node: usize,
        heard: bool,
    },
    /// A lease ends: look who has what.
    Look,
    Disturb(Disturbance),
    /// A device cuts the power of a machine.
    SwitchOff(Cut),
    Ghost {
        node: usize,
        life: u32,
        heard: Rc<Heard>,
    },
}

struct Queued {
    at: Time,
    order: u64,
    item: Item,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Default)]
struct Machine {
    node: Option<Node>,
    life: u32,
    generation: u64,
    uuid: u8,
    paused: bool,
    paused_since: Time,
    /// What arrived while it was not run: datagrams first, then the rest.
    waiting: VecDeque<Item>,
    sent: History<Rc<Heard>>,
    /// What it has heard in its present life: sender, generation and number.
    got: HashSet<(usize, u64, Option<u64>)>,
    /// When the lease of each group's address ends; `None` if it is not there.
    address: Vec<Option<Time>>,
    /// Whether scripts of each group run.
    scripts: Vec<bool>,
    tick_at: Time,
    ready: bool,
    ready_after: Time,
    back_after: Option<(Time, Time)>,
    /// Stored: it is in maintenance.
    maintained: bool,
    /// The devices at work for it: which node each is for, and the attempt.
    at_work: Vec<(usize, u64)>,
    /// How often its cable was pulled and not plugged in again yet.
    unplugged: usize,
    /// How far its clock is behind the world's ([`Flaw::HiddenPause`]), and ahead of it.
    behind: Time,
    ahead: Time,
}

pub struct World {
    pub now: Time,
    base: Instant,
    profile: Profile,
    flaw: Flaw,
    chance: Chance,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    machines: Vec<Machine>,
    /// How many cuts hold from each node to each other.
    cuts: [[usize; MOST_NODES]; MOST_NODES],
    /// What is being heard, for whoever passes it on.
    hearing: Option<(Rc<Heard>, Time)>,
    nth_cut: usize,
    tickets: BTreeMap<Ticket, Time>,
    next_ticket: u64,
    pub check: Check,
    pub story: Option<Vec<String>>,
    pub events: u64,
}

impl World {
    pub fn new(seed: u64, profile: Profile, flaw: Flaw) -> Self {
        let mut world = Self {
            now: 0,
            base: Instant::now(),
            check: Check::new(&profile),
            flaw,
            chance: Chance::new(seed ^ 0x00c0_ffee),
            queue: BinaryHeap::new(),
            order: 0,
            machines: profile.start.iter().map(|_| Machine::default()).collect(),
            cuts: Default::default(),
            hearing: None,
            nth_cut: 0,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            story: None,
            events: 0,
            profile,
        };
        for node in world.nodes() {
            let (at, ready_after) = world.profile.start[node];
            world.machines[node].ready_after = ready_after;
            world.machines[node].generation = 1_000;
            world.machines[node].uuid = node as u8 + 1;
            world.machines[node].address = vec![None; world.profile.groups.len()];
            world.machines[node].scripts = vec![false; world.profile.groups.len()];
            world.push(at, Item::Start { node });
        }
        for (at, what) in world.profile.disturbances.clone() {
            world.push(at, Item::Disturb(what));
        }
        world
    }

    fn push(&mut self, at: Time, item: Item) {
        self.order += 1;
        self.queue.push(Reverse(Queued { at, order: self.order, item }));
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:10.4}  {}", self.now as f64 / 1e6, text()));
        }
    }

    /// Runs to the end. The error is the first rule broken.
    pub fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse(Queued { at, item, .. })) = self.queue.pop() {
            if at > self.profile.end {
                break;
            }
            self.now = at;
            self.events += 1;
            self.process(item);
            self.observe();
            if self.events > 200_000 {
                return Err(format!("at {:.4} s: the nodes keep each other busy without end", self.now as f64 / 1e6));
            }
            if let Some(fault) = self.check.fault() {
                return Err(format!("at {:.4} s: {fault}", self.now as f64 / 1e6));
            }
        }
        if let Some((ticket, at)) = self.tickets.iter().next().filter(|(_, at)| **at + 130 * S < self.now) {
            return Err(format!("request {ticket:?} of {at} was never answered"));
        }
        Ok(())
    }

    fn nodes(&self) -> Range<usize> {
        0..self.profile.nodes()
    }

    /// The others than this node.
    fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        self.nodes().filter(move |other| *other != node)
    }

    fn runs(&self, node: usize) -> bool {
        self.machines[node].node.is_some() && !self.machines[node].paused
    }

    fn process(&mut self, item: Item) {
        match item {
            Item::Deliver { to, heard, said, passed } => self.deliver(to, heard, said, passed),
            Item::Tick { node, life } => {
                let machine = &self.machines[node];
                let waits = self.flaw == Flaw::WaitsForEver && !self.check.is_active(node);
                if machine.life == life && machine.tick_at == self.now && self.runs(node) && !waits {
                    self.turn(node, |core, now| core.tick(now));
                }
            }
            Item::Done { node, life, event } if self.machines[node].life == life => {
                if self.machines[node].paused {
                    self.machines[node].waiting.push_back(Item::Done { node, life, event });
                } else if self.machines[node].node.is_some() {
                    self.done(node, event);
                }
            }
            Item::Ready { node, life, ready } if self.machines[node].life == life => {
                if self.machines[node].paused {
                    self.machines[node].waiting.push_back(Item::Ready { node, life, ready });
                } else if self.machines[node].node.is_some() {
                    self.machines[node].ready = ready;
                    self.check.ready(node, ready);
                    self.turn(node, |core, now| core.handle(now, Event::Ready(ready)));
                }
            }
            Item::Done { .. } | Item::Ready { .. } | Item::Look => {}
            Item::Start { node } => self.start(node),
            Item::Resume { node, life } => self.resume(node, life),
            Item::Heal { ways, nth } => {
                self.tell(|| format!("-- cut {nth} healed"));
                self.check.disturbed(self.now);
                self.each_way(&ways, |cuts| *cuts -= 1);
            }
            Item::Plug { node, heard } => self.plug(node, heard),
            Item::Disturb(what) => self.disturb(what),
            Item::SwitchOff(cut) => self.switch_off(cut),
            Item::Ghost { node, life, heard } => {
                if self.machines[node].life != life || self.machines[node].node.is_some() {
                    return;
                }
                let mut next = (*heard).clone();
                next.header.seq = next.header.seq.map(|seq| seq + 1);
                let next = Rc::new(next);
                for to in self.others(node) {
                    let heard = Rc::clone(&next);
                    self.push(self.now, Item::Deliver { to, heard, said: self.now, passed: false });
                }
                self.push(self.now + self.profile.keepalive, Item::Ghost { node, life, heard: next });
            }
        }
    }

    /// Work ordered by the core has ended.
    fn done(&mut self, node: usize, event: Event) {
        if let Event::Fenced { attempt, ok } = event
            && !self.has_ended(node, attempt, ok)
        {
            return;
        }
        if let Event::Acquired { group, ok: false } | Event::Released { group, .. } = event {
            self.machines[node].scripts[group.0] = false;
        }
        let event = match event {
            Event::Stuck { group } if self.flaw == Flaw::GivesWhatSticks => Event::Released { group, ok: false },
            other => other,
        };
        if let Event::Acquired { group, ok: true } = event {
            self.machines[node].address[group.0] = Some(self.lease());
            self.observe();
        }
        self.turn(node, |core, now| core.handle(now, event));
    }

    fn lease(&self) -> Time {
        if self.flaw == Flaw::NoLease { Time::MAX } else { self.now + self.profile.lease }
    }

    /// What a node's clock shows.
    fn clock(&self, node: usize) -> Instant {
        let machine = &self.machines[node];
        self.base + Duration::from_micros(self.now + machine.ahead - machine.behind)
    }

    /// One call of the core, and everything it orders.
    fn turn(&mut self, node: usize, call: impl FnOnce(&mut Node, Instant) -> Vec<Action>) {
        let now = self.clock(node);
        let Some(core) = self.machines[node].node.as_mut() else { return };
        let actions = call(core, now);
        for action in actions {
            self.carry_out(node, action);
        }
        let lease = self.lease();
        let machine = &mut self.machines[node];
        if let Some(core) = &machine.node {
            for GroupId(group) in core.leases() {
                if machine.address[group].is_some() {
                    machine.address[group] = Some(lease);
                }
            }
            let wait = core.deadline().saturating_duration_since(self.base).as_micros() as Time + machine.behind;
            let at = wait.saturating_sub(machine.ahead).max(self.now + 1);
            if at != machine.tick_at {
                machine.tick_at = at;
                let life = machine.life;
                self.push(at, Item::Tick { node, life });
            }
        }
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        if !matches!(action, Action::Send(_) | Action::PassOn) {
            self.tell(|| format!("{}  {}", NAMES[node], told(&action)));
        }
        let life = self.machines[node].life;
        match action {
            Action::Send(message) => {
                let heard_of = |word: &Word| NAMES.map(|name| word.answers(Plan::mark(name)).map(|(life, _)| life));
                let word = message.word.as_ref().map(|word| (word.life, heard_of(word)));
                self.check.sends(node, message.generation, message.seq, word);
                let heard = Rc::new(message.heard());
                if let Some(seq) = message.seq {
                    self.machines[node].sent.push(seq, Rc::clone(&heard));
                }
                if self.story.is_some() {
                    self.tell(|| format!("{}  > {:?} {}", NAMES[node], heard.header.seq.unwrap_or(0), said(&heard)));
                }
                self.transmit(node, heard, self.now, false);
            }
            Action::SendInstead(message) => {
                let heard = Rc::new(message.heard());
                self.machines[node].sent.replace(message.seq.unwrap_or_default(), Rc::clone(&heard));
                self.transmit(node, heard, self.now, false);
            }
            Action::Resend { seq } => {
                if let Some(heard) = self.machines[node].sent.get(seq).cloned() {
                    self.transmit(node, heard, self.now, false);
                }
            }
            Action::PassOn if matches!(self.flaw, Flaw::KeepsToItself | Flaw::EachForItself) => {}
            Action::PassOn => {
                if let Some((heard, said)) = self.hearing.clone() {
                    self.transmit(node, heard, said, true);
                }
            }
            Action::Acquire { group, why } => {
                let sight = self.sight();
                self.check.acquires(node, group, why, self.now, &sight);
                let hangs = self.hangs(group);
                let after = if hangs { self.profile.hang } else { self.chance.between(self.profile.work) };
                let quiet = self.now >= self.profile.quiet_from;
                let ok = !hangs && (quiet || !self.chance.percent(self.profile.failing));
                if !ok {
                    self.check.start_fails(if hangs { self.now + after } else { self.now });
                }
                self.machines[node].scripts[group.0] = !self.profile.groups[group.0].1;
                let stuck = !ok && self.sticks(group);
                let event = if stuck { Event::Stuck { group } } else { Event::Acquired { group, ok } };
                self.push(self.now + after, Item::Done { node, life, event });
            }
            Action::Release { group, why } => {
                let sight = self.sight();
                self.check.releases(node, group, why, self.now, &sight);
                if !(self.flaw == Flaw::KeepsConflict && why == Why::Conflict) {
                    self.machines[node].address[group.0] = None;
                }
                let hangs = self.hangs(group);
                let after = if hangs { self.profile.hang } else { self.chance.between(self.profile.work) };
                if hangs {
                    self.check.start_fails(self.now + after);
                }
                let stuck = self.sticks(group);
                let event = if stuck { Event::Stuck { group } } else { Event::Released { group, ok: !hangs } };
                self.push(self.now + after, Item::Done { node, life, event });
            }
            Action::Withhold { group } => self.machines[node].address[group.0] = None,
            Action::Restore { group } => self.machines[node].address[group.0] = Some(self.lease()),
            Action::SaveGeneration(generation) => self.machines[node].generation = generation,
            Action::Notice(Notice::LocalStatus { status: "active" }) => self.check.active(node, self.now),
            Action::Reboot { .. } => {
                let (how, lost) = (Crash::Power, Lost::Nothing);
                let crash = Disturbance::Crash { node, how, back_after: 2 * S, ready_after: S, lost };
                self.push(self.now, Item::Disturb(crash));
            }
            Action::Notice(Notice::Restarting) => self.check.restarts(node, self.now),
            Action::Notice(_) | Action::Serve(_) | Action::Announce { .. } => {}
            Action::Fence { node: other, attempt } => self.fence(node, &other, attempt),
            Action::StopFencing { node: other } => self.stop_fencing(node, &other),
            Action::Answer { ticket, .. } => {
                assert!(self.tickets.remove(&ticket).is_some(), "{ticket:?} answered twice");
            }
            Action::Stopped => self.stopped(node),
        }
    }

    fn start(&mut self, node: usize) {
        if self.machines[node].node.is_some() {
            return;
        }
        self.check.disturbed(self.now);
        let seed = self.chance.next();
        let settings = self.flaw.of(self.profile.settings(node));
        let machine = &mut self.machines[node];
        machine.life += 1;
        machine.generation += 1;
        machine.paused = false;
        machine.waiting.clear();
        machine.sent = History::new();
        machine.got.clear();
        machine.ready = false;
        (machine.behind, machine.ahead) = (0, 0);
        machine.tick_at = 0;
        // What an earlier life left behind is taken off before anything else.
        machine.address.iter_mut().for_each(|address| *address = None);
        let me = Identity { name: NAMES[node].into(), uuid: Uuid([machine.uuid; 16]), generation: machine.generation };
        let now = self.base + Duration::from_micros(self.now);
        machine.at_work.clear();
        machine.node = Some(Node::new(settings, me, now, seed));
        let (life, ready_after) = (machine.life, machine.ready_after);
        self.tell(|| format!("-- {} starts", NAMES[node]));
        self.check.starts(node, self.now);
        self.tell_maintenance(node);
        self.push(self.now + ready_after, Item::Ready { node, life, ready: true });
        self.tell_reach(node);
        let groups = if self.flaw == Flaw::ForgetsLeftovers { 0 } else { self.profile.groups.len() };
        for group in 0..groups {
            self.stop_leftover(node, GroupId(group));
        }
        self.turn(node, |core, now| core.handle(now, Event::Listening(true)));
        self.turn(node, Node::start);
        if self.flaw == Flaw::ForgedReady {
            self.turn(node, |core, now| core.handle(now, Event::Ready(true)));
        }
    }

    fn stopped(&mut self, node: usize) {
        self.tell(|| format!("-- {} has stopped", NAMES[node]));
        self.down(node);
        let (back_after, ready_after) = self.machines[node].back_after.take().unwrap_or((S, S));
        self.machines[node].ready_after = ready_after;
        self.push(self.now + back_after, Item::Start { node });
    }

    fn down(&mut self, node: usize) {
        self.check.down(node, self.now);
        let machine = &mut self.machines[node];
        machine.node = None;
        machine.paused = false;
        machine.life += 1;
        machine.ready = false;
        // Whoever asked has lost the connection.
        self.tickets.retain(|ticket, _| ticket.0 % TICKETS != node as u64);
    }

    fn resume(&mut self, node: usize, life: u32) {
        if self.machines[node].life != life || !self.machines[node].paused {
            return;
        }
        self.tell(|| format!("-- {} goes on", NAMES[node]));
        self.check.disturbed(self.now);
        self.check.resumes(node, self.now, self.machines[node].node.as_ref());
        self.machines[node].paused = false;
        if self.flaw == Flaw::HiddenPause {
            let machine = &mut self.machines[node];
            machine.behind += self.now - machine.paused_since;
        }
        let waiting = std::mem::take(&mut self.machines[node].waiting);
        let (messages, rest): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|item| matches!(item, Item::Deliver { .. }));
        for item in messages.into_iter().chain(rest) {
            self.process(item);
        }
        self.tell_reach(node);
        self.turn(node, |core, now| core.tick(now));
        self.check.resumed(node);
    }

    fn sight(&self) -> Sight {
        let mut sight = Sight::default();
        for node in self.nodes() {
            sight.runs[node] = self.runs(node);
            sight.hindered[node] = self.is_hindered(node);
        }
        for (node, machine) in self.machines.iter().enumerate() {
            for (group, end) in machine.address.iter().enumerate() {
                sight.owns[node][group] = end.is_some_and(|end| self.now < end);
                sight.scripts[node][group] = machine.scripts[group];
                sight.states[node][group] = machine.node.as_ref().and_then(|core| core.state(GroupId(group)));
            }
        }
        sight
    }

    fn observe(&mut self) {
        let sight = self.sight();
        self.check.observe(self.now, &sight);
    }

    /// Whom each node that runs reports as the holder of a group.
    pub fn reported(&self, group: usize) -> impl Iterator<Item = (usize, Option<String>)> {
        let running = self.nodes().filter(|node| self.runs(*node));
        running.filter_map(move |node| {
            let report = self.machines[node].node.as_ref()?.report();
            Some((node, report.groups.get(group)?.holder.clone()))
        })
    }

    pub fn owners(&self, group: usize) -> Vec<usize> {
        let sight = self.sight();
        self.nodes().filter(|node| sight.owns[*node][group]).collect()
    }
}
