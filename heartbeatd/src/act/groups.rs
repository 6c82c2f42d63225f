//! The resource groups of haresources: started left to right, stopped right to left.
//!
//! Addresses and the orders to ldirectord and to the sync daemon are carried out at once;
//! scripts run beside the loop, one at a time for each group. So a group without scripts is
//! up when [`Groups::acquire`] returns, without a fork (DESIGN decision 4).

mod cable;
mod left;
mod monitor;
mod order;
mod plan;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Instant;

use lvs::control::heartbeatd::Duplicate;
use lvs::netlink::address::Address;
use lvs::settings::Settings;
use lvs::settings::announce::Of;
use tokio::sync::mpsc;

use super::address::{Notice, Vips};
use super::announce::Schedule;
use super::guard::Guard;
use super::ldirectord::{Ldirectord, Standing};
use super::lease::Lease;
use super::probe::{Finding, Probe};
use super::repair::{Missing, Repairs};
use super::script::{Call, Run, ScriptError, Scripts};
use super::started::{Resource as Noted, Started};
use super::sync::Sync;
use crate::config::{Config, Group, HaCf, Resource, ResourceKind, VipSpec};
use crate::core::{GroupId, Node, State, Why};
use left::Leftovers;
use monitor::{Monitor, Status, Watched};
use order::{Aim, Order};
pub use plan::plan;
use plan::{addresses, ldirectord_socket, named};

/// What the core is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A start has ended.
    Acquired {
        /// Which group.
        group: GroupId,
        /// Everything runs.
        ok: bool,
    },
    /// A stop has ended.
    Released {
        /// Which group.
        group: GroupId,
        /// Everything stopped in good order.
        ok: bool,
    },
    /// A start or stop has ended, and a script that must not run twice still runs here.
    Stuck {
        /// Which group.
        group: GroupId,
    },
    /// Something of a group that is up does not run any more.
    Failed {
        /// Which group.
        group: GroupId,
        /// What, as haresources has it.
        resource: String,
    },
    /// An ldirectord has changed its standing: what [`Groups::is_ready`] is now.
    Ready(bool),
    /// Other machines answer for addresses that are here, or do no longer: for the log and for watchers.
    Found(Vec<Finding>),
}

struct Running {
    group: Group,
    orders: VecDeque<Order>,
    script_runs: bool,
    ldirectord: Option<Ldirectord>,
    /// Whether somebody can reach it here, as last told.
    reachable: bool,
    watched: Watched,
}

/// A script has ended.
struct ScriptEnd {
    /// `None`: an earlier life had started it.
    group: Option<usize>,
    resource: Noted,
    up: bool,
    result: Result<(), ScriptError>,
}

/// What is heard of a script.
enum Said {
    Runs(Noted, Run),
    Ended(ScriptEnd),
    Status(Status),
}

/// All groups.
pub struct Groups {
    ha_cf: HaCf,
    groups: Vec<Running>,
    vips: Vips,
    repairs: Repairs,
    missing: Missing,
    probe: Probe,
    scripts: Scripts,
    started: Started,
    leftovers: Leftovers,
    monitor: Monitor,
    sync: Sync,
    news: VecDeque<News>,
    /// Each script says a few words, and none waits until they are heard.
    said: (mpsc::UnboundedSender<Said>, mpsc::UnboundedReceiver<Said>),
}

impl Groups {
    /// The groups of the configuration, none of them up. Needs a tokio runtime. `note`: the file with what an earlier
    /// life has started by scripts, which is stopped.
    ///
    /// # Errors
    /// Without the privileges, or if the guard process cannot be started.
    pub fn open(config: &Config, settings: &Settings, note: &Path) -> std::io::Result<Self> {
        let lease = Lease::within(config.ha_cf.deadtime, config.ha_cf.keepalive);
        // One connection to each, however many groups name it.
        let mut ldirectords: HashMap<PathBuf, Ldirectord> = HashMap::new();
        let mut watch =
            |socket: PathBuf| ldirectords.entry(socket.clone()).or_insert_with(|| Ldirectord::watch(socket)).clone();
        let groups: Vec<Running> = config
            .groups
            .iter()
            .map(|group| Running {
                group: group.clone(),
                orders: VecDeque::new(),
                script_runs: false,
                ldirectord: ldirectord_socket(group, &settings.sockets).map(&mut watch),
                reachable: true,
                watched: Watched::default(),
            })
            .collect();
        let addresses: Vec<_> = config.groups.iter().flat_map(addresses).map(|spec| spec.address).collect();
        let entries = &settings.heartbeatd.announce;
        let mut vips = Vips::open(lease, entries.get(&Of::All).map_or_else(Schedule::default, Schedule::configured))?;
        for (of, entry) in entries {
            match of {
                Of::Address(ip) if addresses.contains(ip) => vips.announce_by(*ip, Schedule::configured(entry)),
                Of::Address(ip) => {
                    log::warn!("lvs.toml: [heartbeatd.announce.\"{ip}\"] is of no use: it is no address of haresources")
                }
                Of::All => {}
            }
        }
        let mut this = Self {
            ha_cf: config.ha_cf.clone(),
            vips,
            repairs: Repairs::at_most(settings.heartbeatd.repairs),
            missing: Missing::default(),
            probe: Probe::default(),
            scripts: Scripts::new(config, settings.heartbeatd.script_timeout),
            sync: Sync::open(config.groups.iter().flat_map(|group| &group.resources), addresses),
            started: Started::open(note),
            leftovers: Leftovers::default(),
            monitor: Monitor::every(settings.heartbeatd.monitor),
            groups,
            news: VecDeque::new(),
            said: mpsc::unbounded_channel(),
        };
        this.vips.guarded_by(Guard::start()?);
        this.clean();
        this.stop_what_was_left();
        Ok(this)
    }

    /// Whether another configuration says the same about everything that cannot be changed while running.
    #[must_use]
    pub fn is_configured_by(&self, other: &Config) -> bool {
        self.ha_cf == other.ha_cf && self.groups.iter().map(|running| &running.group).eq(&other.groups)
    }

    /// The group of that name, which is its first resource as written, or the one with that address.
    ///
    /// # Errors
    /// What to tell whoever named it.
    pub fn find(&self, name: &str) -> Result<GroupId, String> {
        named(self.groups.iter().map(|running| &running.group), name)
    }

    /// Whether this node could serve: every ldirectord has done its first round, or does not run here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.groups.iter().filter_map(|g| g.ldirectord.as_ref()).all(|l| l.standing() != Standing::Waiting)
    }

    /// Starts a group.
    pub fn acquire(&mut self, id: GroupId, why: Why) {
        let planned = matches!(why, Why::Failback | Why::Standby | Why::Takeover);
        self.order(id, Aim::Up { planned: planned && self.sync.is_direct() });
    }

    /// Stops a group; its addresses are off when this returns, whatever else is under way.
    pub fn release(&mut self, id: GroupId, _why: Why) {
        if let Some(running) = self.groups.get_mut(id.0) {
            for order in running.orders.iter_mut().filter(|order| matches!(order.aim, Aim::Up { .. })) {
                order.undo();
            }
            for spec in addresses(&running.group) {
                self.missing.forget(spec.address);
                take_off(&mut self.vips, spec);
            }
        }
        self.order(id, Aim::Down);
    }

    /// The groups of which an earlier life has left something running: their stop is under way.
    #[must_use]
    pub fn left(&self) -> Vec<GroupId> {
        self.leftovers.owners().map(GroupId).collect()
    }

    /// Announces the group's addresses.
    pub fn announce(&mut self, id: GroupId, now: Instant) {
        let Some(running) = self.groups.get(id.0) else { return };
        for spec in addresses(&running.group) {
            report(self.vips.announce(now, spec));
            self.probe.begin(now, spec.address);
        }
    }

    /// The group's addresses that other machines have as well.
    #[must_use]
    pub fn duplicates(&self, id: GroupId) -> Vec<Duplicate> {
        let addresses = self.groups.get(id.0).into_iter().flat_map(|running| addresses(&running.group));
        let found = addresses.map(|spec| Duplicate { address: spec.address, also_at: self.probe.others(spec.address) });
        found.filter(|found| !found.also_at.is_empty()).collect()
    }

    /// This node serves connections, or another does: tells the sync daemon and ldirectord.
    pub fn serve(&mut self, serving: bool) {
        self.sync.serve(serving);
        for ldirectord in self.groups.iter().filter_map(|g| g.ldirectord.as_ref()) {
            ldirectord.order(serving);
        }
    }

    /// While a group is on its way to the peer its connections are handed over.
    pub fn handover(&mut self, node: &Node) {
        let leaving = |at: usize| node.state(GroupId(at)) == Some(State::Offering);
        let ips = self.groups.iter().enumerate().filter(|(at, _)| leaving(*at)).flat_map(|(_, g)| addresses(&g.group));
        self.sync.hand_over(ips.map(|spec| spec.address).collect());
    }

    /// What has happened beside the loop. Cancel-safe.
    pub async fn next_news(&mut self) -> News {
        loop {
            if let Some(news) = self.news.pop_front() {
                return news;
            }
            let changes = self.groups.iter_mut().filter_map(|g| g.ldirectord.as_mut());
            let mut changes: Vec<_> = changes.map(|ldirectord| Box::pin(ldirectord.changed())).collect();
            let any_change = poll_fn(|context| {
                let any = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
                if any { Poll::Ready(()) } else { Poll::Pending }
            });
            let end = tokio::select! {
                said = self.said.1.recv() => Beside::Script(said),
                () = any_change => Beside::Ldirectord,
                findings = self.probe.answers() => Beside::Probe(findings),
            };
            drop(changes);
            match end {
                Beside::Script(None) => {}
                Beside::Script(Some(Said::Runs(resource, run))) => self.started.runs(&resource, Some(run)),
                Beside::Script(Some(Said::Ended(end))) => self.script_ended(end),
                Beside::Script(Some(Said::Status(status))) => self.answered(status),
                Beside::Probe(findings) => return News::Found(findings),
                Beside::Ldirectord => {
                    // The table has been filled, so it is known how it forwards before a switch needs it.
                    self.sync.look();
                    return News::Ready(self.is_ready());
                }
            }
        }
    }

    /// When [`Self::turn`] next has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.vips.deadline(), self.sync.deadline(), self.probe.deadline(), self.monitor.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Renews the leases of these groups' addresses, announces and hands over what is due.
    pub fn turn(&mut self, now: Instant, leases: &[GroupId]) {
        let kept = |at: usize| leases.contains(&GroupId(at));
        let ours: Vec<&VipSpec> =
            self.groups.iter().enumerate().filter(|(at, _)| kept(*at)).flat_map(|(_, g)| addresses(&g.group)).collect();
        let notices = self.vips.tick(now, |ip| ours.iter().any(|spec| spec.address == ip));
        for notice in &notices {
            // The peer was heard before this turn, and the core still says that the address is ours.
            if let Notice::Lapsed(ip) = notice
                && let Some(spec) = ours.iter().find(|spec| spec.address == *ip)
            {
                if put_on(&mut self.vips, now, spec, false) {
                    report(self.vips.announce(now, spec));
                } else {
                    self.missing.note(now, *ip);
                }
            }
        }
        // Its interface was away for longer than the lease, and why it is not on has been told.
        for ip in self.missing.due(now) {
            if let Some(spec) = ours.iter().find(|spec| spec.address == ip)
                && self.vips.put_on(now, spec).is_ok()
            {
                log::info!("{ip} is on again");
                self.missing.forget(ip);
                report(self.vips.announce(now, spec));
            }
        }
        if notices.iter().any(|notice| matches!(notice, Notice::Unguarded(_))) {
            match Guard::start() {
                Ok(guard) => self.vips.guarded_by(guard),
                Err(e) => log::error!("cannot start another guard: {e}"),
            }
        }
        report(notices);
        self.look_for_others(now);
        self.watch(now, leases);
        self.sync.turn(now);
    }

    /// Asks who else has the addresses that are on here, without waiting for an answer.
    fn look_for_others(&mut self, now: Instant) {
        let vips = &self.vips;
        self.probe.keep(|ip| vips.interface_of(ip).is_some());
        let due = self.probe.due(now);
        if !due.is_empty() {
            let around = self.vips.neighbourhood(&due);
            self.probe.ask(due, around);
        }
    }

    /// The kernel says that an address is gone. One of ours, of the groups whose leases are kept, is put back and
    /// announced; the group is returned if the other node should rather have it.
    pub fn address_gone(&mut self, now: Instant, gone: &Address, leases: &[GroupId]) -> Option<GroupId> {
        let ours = |id: &GroupId| {
            let running = self.groups.get(id.0)?;
            addresses(&running.group).find(|spec| spec.address == gone.ip).map(|spec| (*id, spec.clone()))
        };
        let (id, spec) = leases.iter().find_map(ours)?;
        let is_where_we_put_it = self.vips.interface_of(gone.ip) == Some(gone.interface);
        // Changed, or put back by the renewal of its lease.
        if !is_where_we_put_it || self.vips.is_on(&spec).unwrap_or(true) {
            return None;
        }
        let give = self.repairs.note(now, gone.ip);
        log::warn!("{} was taken off by somebody else: putting it back", gone.ip);
        if put_on(&mut self.vips, now, &spec, false) {
            report(self.vips.announce(now, &spec));
        }
        if give {
            log::error!("{} is taken off again and again: the other node should rather have its group", gone.ip);
        }
        give.then_some(id)
    }

    /// About once a second.
    pub fn keep_house(&mut self) {
        self.sync.keep_house();
    }

    /// The last thing before the program ends: no address stays.
    pub fn release_everything(&mut self) {
        for spec in self.groups.iter().flat_map(|g| addresses(&g.group)) {
            take_off(&mut self.vips, spec);
        }
    }

    /// Takes off what an earlier life left on: this node holds nothing yet, and the peer may have it.
    fn clean(&mut self) {
        for spec in self.groups.iter().flat_map(|g| addresses(&g.group)) {
            if take_off(&mut self.vips, spec) == Some(true) {
                log::warn!("{} was on at start: taken off before anything is decided", spec.address);
            }
        }
    }

    /// Calls the scripts with `stop` that an earlier life had started when it was killed. No group is started or stopped
    /// before what it had there, and what haresources has no more, has ended.
    fn stop_what_was_left(&mut self) {
        let left = self.started.left();
        for Noted { name, args, .. } in left.iter().map(|left| &left.resource) {
            let call = Call { name, args };
            log::warn!("{call} was started by an earlier life that was killed: stopping it before anything is decided");
        }
        let groups: Vec<&Group> = self.groups.iter().map(|running| &running.group).collect();
        self.leftovers = Leftovers::new(&left, &groups);
        for sequence in left::sequences(left) {
            let said = self.said.0.clone();
            // The loop may have ended meanwhile.
            tokio::spawn(left::stop(self.scripts.clone(), sequence, move |word| _ = said.send(word)));
        }
    }

    fn order(&mut self, id: GroupId, aim: Aim) {
        let Some(running) = self.groups.get_mut(id.0) else { return };
        running.watched.end();
        running.orders.push_back(Order::to(aim));
        if running.orders.len() == 1 {
            self.go_on(id.0);
        }
    }

    /// Carries out what can be carried out at once, up to the next script or the end.
    fn go_on(&mut self, at: usize) {
        while let Some(running) = self.groups.get_mut(at) {
            if running.script_runs || self.leftovers.hold(at) {
                return;
            }
            let Some(order) = running.orders.front_mut() else { return };
            let count = running.group.resources.len();
            if order.done == count {
                self.news.push_back(order.outcome(GroupId(at)));
                running.orders.pop_front();
                continue;
            }
            let up = order.is_starting();
            let index = if up { order.done } else { count - 1 - order.done };
            order.done += 1;
            let aim = if up { order.aim } else { Aim::Down };
            match self.step(at, index, aim) {
                Step::Ended(true) => {}
                Step::Ended(false) => self.failed(at),
                Step::Script => return,
            }
        }
    }

    /// One resource.
    fn step(&mut self, at: usize, index: usize, aim: Aim) -> Step {
        let running = &mut self.groups[at];
        let (up, planned) = (matches!(aim, Aim::Up { .. }), aim == Aim::Up { planned: true });
        let Resource { kind, .. } = &running.group.resources[index];
        match kind {
            ResourceKind::Address(spec) => {
                self.missing.forget(spec.address);
                let ended = if up {
                    put_on(&mut self.vips, Instant::now(), spec, planned)
                } else {
                    take_off(&mut self.vips, spec).is_some()
                };
                Step::Ended(ended)
            }
            // Follows the node, not the group: see `serve`.
            ResourceKind::SyncDaemon { .. } => Step::Ended(true),
            // It stands by as well.
            ResourceKind::Ldirectord { config } => {
                if running.ldirectord.as_ref().is_none_or(|l| l.standing() == Standing::Absent) {
                    let args = vec![config.clone()];
                    self.run_script(at, "ldirectord".to_owned(), args, up)
                } else {
                    Step::Ended(true)
                }
            }
            ResourceKind::Script { name, args } => {
                let (name, args) = (name.clone(), args.clone());
                if up {
                    let group = running.group.key().to_owned();
                    self.started.begin(&Noted { group, name: name.clone(), args: args.clone() });
                }
                self.run_script(at, name, args, up)
            }
        }
    }

    fn run_script(&mut self, at: usize, name: String, args: Vec<String>, up: bool) -> Step {
        let running = &mut self.groups[at];
        running.script_runs = true;
        let resource = Noted { group: running.group.key().to_owned(), name, args };
        let (noted, tell, said) = (resource.clone(), self.said.0.clone(), self.said.0.clone());
        // The loop may have ended meanwhile, here and below.
        let scripts = self.scripts.telling(move |run| _ = tell.send(Said::Runs(noted.clone(), run)));
        tokio::spawn(async move {
            let call = Call { name: &resource.name, args: &resource.args };
            let result = if up { scripts.start(call).await.map(|_| ()) } else { scripts.stop(call).await.map(|_| ()) };
            _ = said.send(Said::Ended(ScriptEnd { group: Some(at), resource, up, result }));
        });
        Step::Script
    }

    fn script_ended(&mut self, ScriptEnd { group, resource, up, result }: ScriptEnd) {
        // One that is not there any more cannot be stopped another time either.
        if !up && matches!(result, Ok(()) | Err(ScriptError::NotFound { .. })) {
            self.started.end(&resource);
        } else {
            self.started.runs(&resource, None);
        }
        if let Err(e) = &result {
            log::error!("{}", lvs::diag::chain(e));
        }
        let still_runs = !up && matches!(result, Err(ScriptError::StillRunning { .. }));
        let Some(at) = group else {
            if let Some((at, stuck)) = self.leftovers.ended(&resource, still_runs) {
                let (group, ok) = (GroupId(at), result.is_ok());
                self.news.push_back(if stuck { News::Stuck { group } } else { News::Released { group, ok } });
            }
            (0..self.groups.len()).for_each(|at| self.go_on(at));
            return;
        };
        if let Some(running) = self.groups.get_mut(at) {
            running.script_runs = false;
            let stuck = still_runs && left::must_not_run_twice(&running.group, &resource);
            if let Some(order) = running.orders.front_mut() {
                order.stuck |= stuck;
            }
        }
        if result.is_err() {
            self.failed(at);
        }
        self.go_on(at);
    }

    fn failed(&mut self, at: usize) {
        let Some(order) = self.groups.get_mut(at).and_then(|running| running.orders.front_mut()) else { return };
        order.ok = false;
        if order.is_starting() {
            order.undo();
        }
    }
}

enum Step {
    Ended(bool),
    Script,
}

/// What has happened beside the loop.
enum Beside {
    /// `None` never comes: the sender is here as well.
    Script(Option<Said>),
    Ldirectord,
    Probe(Vec<Finding>),
}

/// Whether it is on. `planned`: the peer still serves it and hands its connections over.
fn put_on(vips: &mut Vips, now: Instant, spec: &VipSpec, planned: bool) -> bool {
    let ip = spec.address;
    if planned && let Err(e) = vips.be_silent(now, ip) {
        log::warn!("{}: connections under way may be reset", lvs::diag::chain(&e));
    }
    match vips.put_on(now, spec) {
        Ok(()) => log::info!("{ip} is on"),
        Err(e) => {
            log::error!("cannot put {ip} on: {}", lvs::diag::chain(&e));
            return false;
        }
    }
    true
}

/// Whether it was on; `None` if the kernel refuses to take it off.
fn take_off(vips: &mut Vips, spec: &VipSpec) -> Option<bool> {
    let ip = spec.address;
    match vips.take_off(spec) {
        Ok(was_on) => {
            if was_on {
                log::info!("{ip} is off");
            }
            Some(was_on)
        }
        Err(e) => {
            log::error!("cannot take {ip} off: {}; its lease ends it", lvs::diag::chain(&e));
            None
        }
    }
}

fn report(notices: Vec<Notice>) {
    for notice in notices {
        log::warn!("{notice}");
    }
}
