//! What was said against the command: the checks behind the last option (spec/ipvs.md A.5).

use std::net::SocketAddr;

use super::bag::{Bag, Method, TunnelType, Verb, timeout};
use super::command::{Command, List, Services, Usage};
use super::options::{Given, Rule, Rules, Tracked, check, missing};
use crate::ipvs::list::Columns;
use crate::ipvs::{
    Change, Destination, Family, Forward, Netmask, Persistence, Protocol, SchedulerFlags, Service, ServiceKey,
    SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum,
};

impl Bag<'_> {
    /// The command, if it is one. `leftover` are the words that are no options.
    pub(super) fn into_command(self, leftover: &[&[u8]]) -> Result<Command, Usage> {
        // Taken apart whole, so that a new option cannot be forgotten below.
        let Self {
            verb,
            given,
            service,
            scheduler,
            persistent,
            netmask,
            engine,
            scheduler_flags,
            server,
            method,
            weight,
            upper,
            lower,
            tunnel,
            tunnel_port,
            interface,
            sync_id,
            max_length,
            group,
            port,
            ttl,
        } = self;
        let (timeouts, leftover) = if verb == Verb::Set { set(leftover)? } else { (Timeouts::default(), leftover) };
        if let Some(word) = leftover.first() {
            return Err(Usage::about("unexpected argument ", word, ""));
        }
        let scheduler_flags = flags(&scheduler, &scheduler_flags)?;
        check(given, verb.rules(), format_args!("'{}' command", verb.name()))?;
        let needed = |option| Usage::from(missing(option, format_args!("'{}' command", verb.name())));
        let key = || service.ok_or_else(|| needed(Tracked::Service));
        let at = || server.ok_or_else(|| needed(Tracked::Server));
        let scheduling = |key: ServiceKey| -> Result<Service, Usage> {
            zero_port(key, persistent)?;
            one_packet(key, given)?;
            let netmask = netmask.unwrap_or(Netmask::host(key.family()));
            Ok(Service {
                scheduler: kernel_name(&scheduler, 15).parse().unwrap_or_default(),
                scheduler_flags,
                persistence: persistent.map(|timeout| Persistence { timeout, netmask }),
                one_packet: given.has(Tracked::OnePacket),
                engine: kernel_name(&engine, 16).parse().ok(),
            })
        };
        let destination = |key: ServiceKey| -> Result<(SocketAddr, Destination), Usage> {
            let mut at = at()?;
            if let Some(port) = key.port().filter(|_| method != Method::Masq) {
                // Only masquerading can translate ports.
                at.set_port(port);
            }
            if method != Method::Ipip && Family::of(at.ip()) != key.family() {
                return Err("Different address family is allowed only for tunneling servers".into());
            }
            let forward = forward(given, method, tunnel, tunnel_port)?;
            Ok((at, Destination { forward, weight, upper_threshold: upper, lower_threshold: lower }))
        };
        Ok(Command::Change(match verb {
            Verb::Add => Change::AddService(key()?, scheduling(key()?)?),
            Verb::Edit => Change::EditService(key()?, scheduling(key()?)?),
            Verb::Delete => Change::DeleteService(key()?),
            Verb::AddServer => {
                let (at, destination) = destination(key()?)?;
                Change::AddDestination(key()?, at, destination)
            }
            Verb::EditServer => {
                let (at, destination) = destination(key()?)?;
                Change::EditDestination(key()?, at, destination)
            }
            // The port is not adjusted here: it must be the one the server has.
            Verb::DeleteServer => Change::DeleteDestination(key()?, at()?),
            Verb::Flush => Change::Flush,
            Verb::Zero => Change::Zero(service),
            Verb::Set => Change::SetTimeouts(timeouts),
            Verb::StartDaemon(role) => {
                let interface = if interface.is_empty() { "eth0".to_owned() } else { kernel_name(&interface, 15) };
                Change::StartDaemon(SyncDaemon { role, interface, sync_id, max_length, group, port, ttl })
            }
            Verb::StopDaemon(role) => Change::StopDaemon(role),
            Verb::Save => return Ok(Command::Save { numeric: given.has(Tracked::Numeric) }),
            Verb::Restore => return Ok(Command::Restore),
            Verb::List => return list(given, service).map(Command::List),
        }))
    }
}

impl Verb {
    /// Made when the program is compiled: `-R` asks once a line.
    fn rules(self) -> Rules {
        match self {
            Self::Add => const { rules(Self::Add) },
            Self::Edit => const { rules(Self::Edit) },
            Self::Delete => const { rules(Self::Delete) },
            Self::Flush => const { rules(Self::Flush) },
            Self::List => const { rules(Self::List) },
            Self::AddServer => const { rules(Self::AddServer) },
            Self::EditServer => const { rules(Self::EditServer) },
            Self::DeleteServer => const { rules(Self::DeleteServer) },
            Self::Set => const { rules(Self::Set) },
            Self::StartDaemon(_) => const { rules(Self::StartDaemon(SyncRole::Master)) },
            Self::StopDaemon(_) => const { rules(Self::StopDaemon(SyncRole::Master)) },
            Self::Restore => const { rules(Self::Restore) },
            Self::Save => const { rules(Self::Save) },
            Self::Zero => const { rules(Self::Zero) },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "add-service",
            Self::Edit => "edit-service",
            Self::Delete => "delete-service",
            Self::Flush => "flush",
            Self::List => "list",
            Self::AddServer => "add-server",
            Self::EditServer => "edit-server",
            Self::DeleteServer => "delete-server",
            Self::Set => "set",
            Self::StartDaemon(_) => "start-daemon",
            Self::StopDaemon(_) => "stop-daemon",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::Zero => "zero",
        }
    }
}

const fn rules(verb: Verb) -> Rules {
    let mut rules = Rules::NONE;
    let mut at = 0;
    while at < Tracked::ALL.len() {
        rules = rules.with(Tracked::ALL[at], rule(verb, Tracked::ALL[at]));
        at += 1;
    }
    rules
}

const fn rule(verb: Verb, option: Tracked) -> Rule {
    use Rule::{Allowed, Alternative, Illegal, Needed};
    use Tracked as T;
    match (verb, option) {
        (Verb::Add | Verb::Edit | Verb::Delete, T::Service) => Needed,
        (Verb::AddServer | Verb::EditServer | Verb::DeleteServer, T::Service | T::Server) => Needed,
        (
            Verb::Add | Verb::Edit,
            T::Scheduler | T::Persistent | T::Netmask | T::OnePacket | T::Engine | T::SchedulerFlags,
        ) => Allowed,
        (Verb::AddServer | Verb::EditServer, T::Forward | T::Weight | T::Upper | T::Lower) => Allowed,
        (Verb::AddServer | Verb::EditServer, T::TunType | T::TunPort) => Allowed,
        (Verb::AddServer | Verb::EditServer, T::TunNocsum | T::TunCsum | T::TunRemcsum) => Allowed,
        (Verb::List, T::Connection | T::Service | T::Timeout | T::Daemon) => Alternative,
        (Verb::List, T::Numeric | T::Stats | T::Rate | T::Thresholds | T::PersistentConn | T::Nosort) => Allowed,
        (Verb::List, T::SyncId | T::Exact | T::TunInfo) => Allowed,
        (Verb::StartDaemon(_), T::Interface | T::SyncId | T::Group | T::Port | T::Ttl | T::MaxLength) => Allowed,
        (Verb::StopDaemon(_), T::SyncId) | (Verb::Save, T::Numeric) | (Verb::Zero, T::Service) => Allowed,
        (
            Verb::Add
            | Verb::Edit
            | Verb::Delete
            | Verb::Flush
            | Verb::List
            | Verb::AddServer
            | Verb::EditServer
            | Verb::DeleteServer
            | Verb::Set
            | Verb::StartDaemon(_)
            | Verb::StopDaemon(_)
            | Verb::Restore
            | Verb::Save
            | Verb::Zero,
            _,
        ) => Illegal,
    }
}

fn zero_port(key: ServiceKey, persistent: Option<u32>) -> Result<(), Usage> {
    if key.port() == Some(0) && persistent.is_none() {
        return Err("Zero port specified for non-persistent service".into());
    }
    Ok(())
}

fn one_packet(key: ServiceKey, given: Given) -> Result<(), Usage> {
    let fits = match key {
        ServiceKey::Address { protocol, .. } => protocol == Protocol::Udp,
        ServiceKey::Mark { .. } => true,
    };
    if given.has(Tracked::OnePacket) && !fits {
        return Err("One-Packet Scheduling is only for UDP virtual services".into());
    }
    Ok(())
}

/// The three words of `--set`, and the words behind them.
fn set<'b, 'w>(words: &'b [&'w [u8]]) -> Result<(Timeouts, &'b [&'w [u8]]), Usage> {
    let [tcp, tcp_fin, udp, rest @ ..] = words else { return Err("--set option requires 3 timeout values".into()) };
    let timeouts = Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? };
    Ok((timeouts, rest))
}

/// The argument of `-b`. A list of nothing but commas, on which ipvsadm crashes, is empty.
fn flags(scheduler: &[u8], list: &[u8]) -> Result<SchedulerFlags, Usage> {
    let mut flags = SchedulerFlags::default();
    for flag in list.split(|&b| b == b',').filter(|flag| !flag.is_empty()) {
        let (only_with, bit) = match flag {
            b"flag-1" => (scheduler, &mut flags.flag_1),
            b"flag-2" => (scheduler, &mut flags.flag_2),
            b"flag-3" => (scheduler, &mut flags.flag_3),
            b"sh-fallback" => (b"sh".as_slice(), &mut flags.flag_1),
            b"sh-port" => (b"sh".as_slice(), &mut flags.flag_2),
            b"mh-fallback" => (b"mh".as_slice(), &mut flags.flag_1),
            b"mh-port" => (b"mh".as_slice(), &mut flags.flag_2),
            _ => return Err(Usage::about("invalid scheduler flag `", flag, "'")),
        };
        if only_with != scheduler {
            return Err(Usage::about("incompatible scheduler flag `", flag, "'"));
        }
        *bit = true;
    }
    Ok(flags)
}

/// The forwarding method with its tunnel.
fn forward(given: Given, method: Method, tunnel: TunnelType, port: u16) -> Result<Forward, Usage> {
    use Tracked::{TunCsum, TunNocsum, TunPort, TunRemcsum, TunType};
    let options = [TunPort, TunNocsum, TunCsum, TunRemcsum];
    match method {
        Method::Gate | Method::Masq if given.has(TunType) || options.into_iter().any(|option| given.has(option)) => {
            return Err("Tunnel options conflict with forward method".into());
        }
        Method::Gate => return Ok(Forward::Gate),
        Method::Masq => return Ok(Forward::Masq),
        Method::Ipip => {}
    }
    let name = match tunnel {
        TunnelType::Ipip => "ipip",
        TunnelType::Gue => "gue",
        TunnelType::Gre => "gre",
    };
    let rule = |option| match (tunnel, option) {
        (TunnelType::Gue, TunPort) => Rule::Needed,
        (TunnelType::Gue, _) | (TunnelType::Gre, TunNocsum | TunCsum) => Rule::Alternative,
        (TunnelType::Ipip | TunnelType::Gre, _) => Rule::Illegal,
    };
    let rules = options.into_iter().fold(Rules::NONE, |rules, option| rules.with(option, rule(option)));
    check(given, rules, format_args!("'{name}' tunnel type"))?;
    let checksum = match (given.has(TunCsum), given.has(TunRemcsum)) {
        (true, _) => TunnelChecksum::Full,
        (false, true) => TunnelChecksum::Remote,
        (false, false) => TunnelChecksum::None,
    };
    Ok(Forward::Tunnel(match tunnel {
        TunnelType::Ipip => Tunnel::Ipip,
        TunnelType::Gue => Tunnel::Gue { port, checksum },
        TunnelType::Gre => Tunnel::Gre { checksum },
    }))
}

fn list(given: Given, only: Option<ServiceKey>) -> Result<List, Usage> {
    use Tracked::{
        Connection, Daemon, Exact, Nosort, Numeric, PersistentConn, Rate, Stats, Thresholds, Timeout, TunInfo,
    };
    let has = |option| given.has(option);
    let about_state = has(Timeout) || has(Daemon);
    let columns_of_services = has(Stats) || has(Rate) || has(Thresholds);
    if (has(Connection) || about_state) && columns_of_services || about_state && has(PersistentConn) {
        return Err("options conflicts in the list command".into());
    }
    let numeric = has(Numeric);
    if has(Connection) {
        return Ok(List::Connections { numeric, engines: has(PersistentConn) });
    }
    if has(Timeout) {
        return Ok(List::Timeouts);
    }
    if has(Daemon) {
        return Ok(List::Daemons);
    }
    let modes = [
        (Stats, Columns::Statistics),
        (Rate, Columns::Rates),
        (Thresholds, Columns::Thresholds),
        (PersistentConn, Columns::Persistence),
        (TunInfo, Columns::Tunnels),
    ];
    let columns = modes.into_iter().find(|&(option, _)| has(option)).map_or(Columns::Plain, |(_, columns)| columns);
    Ok(List::Services(Services { only, columns, exact: has(Exact), numeric, unsorted: has(Nosort) }))
}

/// Bytes as a name for the kernel. Bytes that are no text match no name there, nor does what stands for them.
fn kernel_name(bytes: &[u8], limit: usize) -> String {
    let mut name = String::from_utf8_lossy(bytes).into_owned();
    while name.len() > limit {
        name.pop();
    }
    name
}
