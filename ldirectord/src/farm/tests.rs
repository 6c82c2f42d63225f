//! Farms in virtual time: the director's part is played by [`Room`], the kernel's by a
//! [`Table`] that refuses what the kernel refuses. Rows are those of spec/ldirectord.md 16.

mod agent;
mod leaving;
mod outside;
mod property;
mod recall;
mod story;
mod table;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lvs::drain::Left;
use lvs::ipvs::{Change, Destination, Forward, Refusal, Service, ServiceKey, Table, Tunnel, VirtualService, apply_to};

use super::{Counted, Farm, Order};
use crate::check::Report;
use crate::config::Config;
use crate::config::model::{
    Check, Connect, Extensions, Fallback, Globals, Line, LogTarget, Negotiate, Probe, Real, Virtual,
};
use crate::notice::Notice;

const SECOND: Duration = Duration::from_secs(1);

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn forward(method: &str) -> Forward {
    match method {
        "masq" => Forward::Masq,
        "gate" => Forward::Gate,
        "ipip" => Forward::Tunnel(Tunnel::Ipip),
        other => panic!("no method {other}"),
    }
}

/// `192.0.2.1:80 masq 5`, checked by a connection to it.
fn real(line: &str) -> Real {
    let mut words = line.split(' ');
    let at = at(words.next().expect("an address"));
    let forward = forward(words.next().expect("a method"));
    let weight = words.next().unwrap_or("1");
    Real {
        at,
        configured_port: at.port(),
        destination: Destination::new(forward, weight.parse().expect("a weight")),
        weight_as_written: weight.to_owned(),
        check: Check::Connect(Connect { at, timeout: 5 * SECOND }),
        check_identity: String::new(),
        line: Line(1),
    }
}

fn with(check: Check, real: Real) -> Real {
    Real { check, ..real }
}

fn fallback(line: &str) -> Option<Fallback> {
    let Real { at, configured_port, destination, .. } = real(line);
    Some(Fallback { at, configured_port, destination })
}

fn key(vip: &str) -> ServiceKey {
    ServiceKey::tcp(at(vip))
}

fn service(vip: &str, reals: &[Real]) -> Virtual {
    Virtual {
        key: key(vip),
        service: Service { scheduler: "wrr".parse().expect("short"), ..Service::default() },
        check_interval: 10 * SECOND,
        failure_count: NonZeroU32::MIN,
        quiescent: false,
        clean_stop: true,
        fallback: None,
        fallback_command: None,
        alert: None,
        monitor_file: None,
        service_name: None,
        comment: None,
        extensions: Extensions::default(),
        reals: reals.to_vec(),
        line: Line(1),
    }
}

fn config(virtuals: &[Virtual]) -> Config {
    Config {
        globals: Globals {
            check_interval: 10 * SECOND,
            log: LogTarget::File(PathBuf::from("/var/log/ldirectord.log")),
            fork: false,
            supervised: false,
            readd_quiescent: false,
            auto_reload: false,
            callback: None,
            execute: Vec::new(),
            maintenance_directory: None,
        },
        virtuals: virtuals.to_vec(),
    }
}

fn readding(virtuals: &[Virtual]) -> Config {
    let mut config = config(virtuals);
    config.globals.readd_quiescent = true;
    config
}

/// A live table: for each service its servers with weights, all masqueraded.
fn table(services: &[(&str, &[(&str, u32)])]) -> Table {
    let entry = |(vip, servers): &(&str, &[(&str, u32)])| {
        let server = |(address, weight): &(&str, u32)| (at(address), Destination::new(Forward::Masq, *weight));
        let destinations = servers.iter().map(server).collect();
        (key(vip), VirtualService { service: service(vip, &[]).service, destinations })
    };
    services.iter().map(entry).collect()
}

/// A farm, its kernel, its real servers and its clock.
struct Room {
    farm: Farm,
    now: Instant,
    table: Table,
    dead: BTreeSet<IpAddr>,
    /// What agents say; the others cannot be reached.
    agents: BTreeMap<IpAddr, String>,
    /// Connections of servers; the others have none.
    connections: BTreeMap<SocketAddr, u32>,
    /// They cannot be counted.
    uncounted: bool,
    /// Changes that the kernel refuses with this errno.
    refused: Vec<(Change, i32)>,
    changes: Vec<Change>,
    lines: Vec<String>,
    notices: Vec<Notice>,
    made: Vec<Order>,
}

impl Room {
    fn start(config: Config, table: Table) -> Self {
        let now = Instant::now();
        let (farm, notices) = Farm::new(now, config);
        let mut room = Self {
            farm,
            now,
            table,
            dead: BTreeSet::new(),
            agents: BTreeMap::new(),
            connections: BTreeMap::new(),
            uncounted: false,
            refused: Vec::new(),
            changes: Vec::new(),
            lines: Vec::new(),
            notices: Vec::new(),
            made: Vec::new(),
        };
        room.tell(notices);
        room.program();
        room
    }

    /// Started over this table, with these servers dead; the first round is done.
    fn after_first_round(config: Config, table: Table, dead: &[&str]) -> Self {
        let mut room = Self::start(config, table);
        room.dead.extend(dead.iter().map(|address| address.parse::<IpAddr>().expect("an address")));
        room.turn();
        room
    }

    fn tell(&mut self, notices: Vec<Notice>) {
        let lines = notices.iter().filter(|notice| notice.level().is_some());
        self.lines.extend(lines.map(ToString::to_string));
        self.notices.extend(notices);
    }

    fn carry_out(&mut self, changes: &[Change]) -> Vec<Result<(), Refusal>> {
        let mut carry_out = |change: &Change| {
            if let Some((_, errno)) = self.refused.iter().find(|(refused, _)| refused == change) {
                return Err(Refusal::new(change.clone(), *errno));
            }
            apply_to(&mut self.table, change).map_err(|refusal| Refusal::new(change.clone(), refusal.0))?;
            self.changes.push(change.clone());
            Ok(())
        };
        changes.iter().map(&mut carry_out).collect()
    }

    /// The connections of the services that the farm wants counted.
    fn count(&self) -> Counted {
        let left = |&active: &u32| Left { active, ..Left::default() };
        let servers: BTreeMap<_, _> = self.connections.iter().map(|(&at, active)| (at, left(active))).collect();
        let keys = self.farm.to_count().into_iter().filter(|_| !self.uncounted);
        keys.map(|key| (key, servers.clone())).collect()
    }

    /// Brings the table up to date as far as the kernel lets us.
    fn program(&mut self) {
        while self.farm.wants_table(self.now) {
            let live = self.table.clone();
            let counted = self.count();
            self.farm.counted(self.now, &counted);
            let changes = self.farm.plan(self.now, &live).expect("one batch at a time");
            if !changes.is_empty() {
                let results = self.carry_out(&changes);
                let notices = self.farm.settle(self.now, results);
                self.tell(notices);
            }
        }
        let ready = self.farm.became_ready(self.now);
        self.notices.extend(ready);
    }

    fn answer(&mut self, order: &Order) {
        let address = match &*order.step {
            Check::Connect(connect) => connect.at.ip(),
            Check::Ping(ping) => ping.address,
            Check::Negotiate(Negotiate { probe: Probe::Http(http), .. }) => http.at.ip(),
            Check::Agent(agent) => agent.at.ip(),
            other => panic!("not a check of these stories: {other:?}"),
        };
        let result = match &*order.step {
            Check::Agent(_) => self.agents.get(&address).cloned().ok_or_else(|| "refused".to_owned()),
            _ if self.dead.contains(&address) => Err("dead".to_owned()),
            _ => Ok("fine".to_owned()),
        };
        let report = Report { result, took: Duration::ZERO, words: None, advice: None };
        let notices = self.farm.heard(self.now, order.id, &report);
        self.tell(notices);
    }

    /// All checks that are due, one after the other, the table after each.
    fn turn(&mut self) {
        for order in self.farm.due(self.now) {
            self.answer(&order);
            self.made.push(order);
            self.program();
        }
        self.program();
    }

    /// A round of checks, one interval later.
    fn round(&mut self) {
        self.now += 10 * SECOND;
        self.turn();
    }

    fn kill(&mut self, address: &str) {
        self.dead.insert(address.parse().expect("an address"));
    }

    fn revive(&mut self, address: &str) {
        self.dead.remove(&address.parse::<IpAddr>().expect("an address"));
    }

    fn reload(&mut self, config: Config) {
        let notices = self.farm.reload(self.now, config);
        self.tell(notices);
        self.program();
    }

    /// The lines since the last call, without those that the original does not have.
    fn said(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| !line.starts_with("Check of "));
        lines
    }

    /// The servers of a service and their weights.
    fn servers(&self, vip: &str) -> BTreeMap<String, u32> {
        let servers = self.table.get(&key(vip)).map(|entry| &entry.destinations);
        servers.into_iter().flatten().map(|(at, destination)| (at.to_string(), destination.weight)).collect()
    }
}

fn weights(servers: &[(&str, u32)]) -> BTreeMap<String, u32> {
    servers.iter().map(|(address, weight)| ((*address).to_owned(), *weight)).collect()
}
