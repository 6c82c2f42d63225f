//! The options of ipvsadm (spec/ipvs.md A.2), and which command takes which (A.5).

use super::popt::{Argument, Spelling, Spellings};
use Argument::{None as Bare, Optional, Required};
use Opt::*;

/// One option as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opt {
    Add,
    Edit,
    Delete,
    Clear,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
    Tcp,
    Udp,
    Sctp,
    Fwmark,
    Ipv6,
    Scheduler,
    Persistent,
    Netmask,
    Engine,
    OnePacket,
    SchedulerFlags,
    RealServer,
    Gate,
    Ipip,
    Masq,
    Weight,
    Upper,
    Lower,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
    Connection,
    Numeric,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    TunInfo,
    Nosort,
    Sort,
    Exact,
    Interface,
    SyncId,
    MaxLength,
    Group,
    Port,
    Ttl,
}

const fn spelling(option: Opt, long: &'static str, short: u8, argument: Argument) -> Spelling<Opt> {
    Spelling { option, long, short: if short == 0 { None } else { Some(short) }, argument }
}

/// Every spelling. The order matters only where a name is found twice, as `-l` is for `-L`.
pub(super) static SPELLINGS: Spellings<Opt> = Spellings::new(&[
    spelling(Add, "add-service", b'A', Bare),
    spelling(Edit, "edit-service", b'E', Bare),
    spelling(Delete, "delete-service", b'D', Bare),
    spelling(Clear, "clear", b'C', Bare),
    spelling(List, "list", b'L', Bare),
    spelling(List, "list", b'l', Bare),
    spelling(Zero, "zero", b'Z', Bare),
    spelling(AddServer, "add-server", b'a', Bare),
    spelling(EditServer, "edit-server", b'e', Bare),
    spelling(DeleteServer, "delete-server", b'd', Bare),
    spelling(Set, "set", 0, Bare),
    spelling(StartDaemon, "start-daemon", 0, Required),
    spelling(StopDaemon, "stop-daemon", 0, Required),
    spelling(Restore, "restore", b'R', Bare),
    spelling(Save, "save", b'S', Bare),
    spelling(Help, "help", b'h', Bare),
    spelling(Version, "version", b'v', Bare),
    spelling(Tcp, "tcp-service", b't', Required),
    spelling(Udp, "udp-service", b'u', Required),
    spelling(Sctp, "sctp-service", 0, Required),
    spelling(Fwmark, "fwmark-service", b'f', Required),
    spelling(Ipv6, "ipv6", b'6', Bare),
    spelling(Scheduler, "scheduler", b's', Required),
    spelling(Persistent, "persistent", b'p', Optional),
    spelling(Netmask, "netmask", b'M', Required),
    spelling(Engine, "pe", 0, Required),
    spelling(OnePacket, "ops", b'o', Bare),
    spelling(SchedulerFlags, "sched-flags", b'b', Required),
    spelling(RealServer, "real-server", b'r', Required),
    spelling(Gate, "gatewaying", b'g', Bare),
    spelling(Ipip, "ipip", b'i', Bare),
    spelling(Masq, "masquerading", b'm', Bare),
    spelling(Weight, "weight", b'w', Required),
    spelling(Upper, "u-threshold", b'x', Required),
    spelling(Lower, "l-threshold", b'y', Required),
    spelling(TunType, "tun-type", 0, Required),
    spelling(TunPort, "tun-port", 0, Required),
    spelling(TunNocsum, "tun-nocsum", 0, Bare),
    spelling(TunCsum, "tun-csum", 0, Bare),
    spelling(TunRemcsum, "tun-remcsum", 0, Bare),
    spelling(Connection, "connection", b'c', Bare),
    spelling(Numeric, "numeric", b'n', Bare),
    spelling(Timeout, "timeout", 0, Bare),
    spelling(Daemon, "daemon", 0, Bare),
    spelling(Stats, "stats", 0, Bare),
    spelling(Rate, "rate", 0, Bare),
    spelling(Thresholds, "thresholds", 0, Bare),
    spelling(PersistentConn, "persistent-conn", 0, Bare),
    spelling(TunInfo, "tun-info", 0, Bare),
    spelling(Nosort, "nosort", 0, Bare),
    spelling(Sort, "sort", 0, Bare),
    spelling(Exact, "exact", b'X', Bare),
    spelling(Interface, "mcast-interface", 0, Required),
    spelling(SyncId, "syncid", 0, Required),
    spelling(MaxLength, "sync-maxlen", 0, Required),
    spelling(Group, "mcast-group", 0, Required),
    spelling(Port, "mcast-port", 0, Required),
    spelling(Ttl, "mcast-ttl", 0, Required),
]);

/// What an option counts as when it is checked: once on a line, and not with every command. In the order
/// in which mistakes are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracked {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    Upper,
    Lower,
    Interface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    Nosort,
    SyncId,
    Exact,
    OnePacket,
    Engine,
    SchedulerFlags,
    Group,
    Port,
    Ttl,
    MaxLength,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

impl Tracked {
    pub(super) const ALL: [Self; 34] = [
        Self::Numeric,
        Self::Connection,
        Self::Service,
        Self::Scheduler,
        Self::Persistent,
        Self::Netmask,
        Self::Server,
        Self::Forward,
        Self::Weight,
        Self::Upper,
        Self::Lower,
        Self::Interface,
        Self::Timeout,
        Self::Daemon,
        Self::Stats,
        Self::Rate,
        Self::Thresholds,
        Self::PersistentConn,
        Self::Nosort,
        Self::SyncId,
        Self::Exact,
        Self::OnePacket,
        Self::Engine,
        Self::SchedulerFlags,
        Self::Group,
        Self::Port,
        Self::Ttl,
        Self::MaxLength,
        Self::TunInfo,
        Self::TunType,
        Self::TunPort,
        Self::TunNocsum,
        Self::TunCsum,
        Self::TunRemcsum,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Connection => "connection",
            Self::Service => "service-address",
            Self::Scheduler => "scheduler",
            Self::Persistent => "persistent",
            Self::Netmask => "netmask",
            Self::Server => "real-server",
            Self::Forward => "forwarding-method",
            Self::Weight => "weight",
            Self::Upper => "u-threshold",
            Self::Lower => "l-threshold",
            Self::Interface => "mcast-interface",
            Self::Timeout => "timeout",
            Self::Daemon => "daemon",
            Self::Stats => "stats",
            Self::Rate => "rate",
            Self::Thresholds => "thresholds",
            Self::PersistentConn => "persistent-conn",
            Self::Nosort => "nosort",
            Self::SyncId => "syncid",
            Self::Exact => "exact",
            Self::OnePacket => "ops",
            Self::Engine => "pe",
            Self::SchedulerFlags => "sched-flags",
            Self::Group => "mcast-group",
            Self::Port => "mcast-port",
            Self::Ttl => "mcast-ttl",
            Self::MaxLength => "sync-maxlen",
            Self::TunInfo => "tun-info",
            Self::TunType => "tun-type",
            Self::TunPort => "tun-port",
            Self::TunNocsum => "tun-nocsum",
            Self::TunCsum => "tun-csum",
            Self::TunRemcsum => "tun-remcsum",
        }
    }
}

/// What an option counts as; `None` for commands, `-6` and `--sort`.
pub(super) fn tracked(option: Opt) -> Option<Tracked> {
    Some(match option {
        Tcp | Udp | Sctp | Fwmark => Tracked::Service,
        Scheduler => Tracked::Scheduler,
        Persistent => Tracked::Persistent,
        Netmask => Tracked::Netmask,
        Engine => Tracked::Engine,
        OnePacket => Tracked::OnePacket,
        SchedulerFlags => Tracked::SchedulerFlags,
        RealServer => Tracked::Server,
        Gate | Ipip | Masq => Tracked::Forward,
        Weight => Tracked::Weight,
        Upper => Tracked::Upper,
        Lower => Tracked::Lower,
        TunType => Tracked::TunType,
        TunPort => Tracked::TunPort,
        TunNocsum => Tracked::TunNocsum,
        TunCsum => Tracked::TunCsum,
        TunRemcsum => Tracked::TunRemcsum,
        Connection => Tracked::Connection,
        Numeric => Tracked::Numeric,
        Timeout => Tracked::Timeout,
        Daemon => Tracked::Daemon,
        Stats => Tracked::Stats,
        Rate => Tracked::Rate,
        Thresholds => Tracked::Thresholds,
        PersistentConn => Tracked::PersistentConn,
        TunInfo => Tracked::TunInfo,
        Nosort => Tracked::Nosort,
        Exact => Tracked::Exact,
        Interface => Tracked::Interface,
        SyncId => Tracked::SyncId,
        MaxLength => Tracked::MaxLength,
        Group => Tracked::Group,
        Port => Tracked::Port,
        Ttl => Tracked::Ttl,
        Add | Edit | Delete | Clear | Restore | Save | AddServer | EditServer | DeleteServer | List | Zero | Set
        | StartDaemon | StopDaemon | Help | Version | Ipv6 | Sort => return None,
    })
}

/// The options that were given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given(u64);

impl Given {
    const fn with(self, option: Tracked) -> Self {
        Self(self.0 | 1 << option as u32)
    }

    /// `false` if it was given before.
    pub(super) fn insert(&mut self, option: Tracked) -> bool {
        let bit = 1 << option as u32;
        let fresh = self.0 & bit == 0;
        self.0 |= bit;
        fresh
    }

    pub(super) fn has(self, option: Tracked) -> bool {
        self.0 & 1 << option as u32 != 0
    }
}

/// How a command, or a tunnel type, stands to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Needed,
    Allowed,
    /// At most one of these.
    Alternative,
    Illegal,
}

/// Options by how something stands to them; to all others it does not stand at all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    needed: Given,
    allowed: Given,
    alternative: Given,
    illegal: Given,
}

impl Rules {
    pub(super) const fn with(mut self, option: Tracked, rule: Rule) -> Self {
        match rule {
            Rule::Needed => self.needed = self.needed.with(option),
            Rule::Allowed => self.allowed = self.allowed.with(option),
            Rule::Alternative => self.alternative = self.alternative.with(option),
            Rule::Illegal => self.illegal = self.illegal.with(option),
        }
        self
    }

    pub(super) const NONE: Self =
        Self { needed: Given(0), allowed: Given(0), alternative: Given(0), illegal: Given(0) };

    fn of(self, option: Tracked) -> Option<Rule> {
        let sets = [
            (self.needed, Rule::Needed),
            (self.allowed, Rule::Allowed),
            (self.alternative, Rule::Alternative),
            (self.illegal, Rule::Illegal),
        ];
        sets.into_iter().find(|(set, _)| set.has(option)).map(|(_, rule)| rule)
    }
}

/// What is said of an option that has to be there.
pub(super) fn missing(option: Tracked, of: std::fmt::Arguments<'_>) -> String {
    format!("You need to supply the '{}' option for the {of}", option.name())
}

/// What a set of options is missing or has too much, in ipvsadm's words.
pub(super) fn check(given: Given, rules: Rules, of: std::fmt::Arguments<'_>) -> Result<(), String> {
    let complete = rules.needed.0 & !given.0 == 0;
    let alternatives = (rules.alternative.0 & given.0).count_ones();
    if complete && rules.illegal.0 & given.0 == 0 && alternatives < 2 {
        return Ok(());
    }
    let mut chosen: Option<Tracked> = None;
    for (option, rule) in Tracked::ALL.into_iter().filter_map(|option| rules.of(option).map(|rule| (option, rule))) {
        let name = option.name();
        match (rule, given.has(option)) {
            (Rule::Needed, false) => return Err(missing(option, of)),
            (Rule::Illegal, true) => return Err(format!("Illegal '{name}' option with the {of}")),
            (Rule::Alternative, true) => {
                if let Some(earlier) = chosen.replace(option) {
                    let earlier = earlier.name();
                    return Err(format!("The option '{name}' conflicts with the '{earlier}' option in the {of}"));
                }
            }
            (Rule::Needed | Rule::Allowed, _) | (Rule::Alternative | Rule::Illegal, false) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_counts_is_checked() {
        let mut given = Given::default();
        for (at, option) in Tracked::ALL.into_iter().enumerate() {
            assert_eq!(option as usize, at, "{option:?} is out of order");
            assert!(given.insert(option), "{option:?} is listed twice");
        }
        for spelling in SPELLINGS.iter() {
            if let Some(option) = tracked(spelling.option) {
                assert!(given.has(option), "{option:?} is not in the list");
            }
        }
    }
}
