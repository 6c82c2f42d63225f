//! The options of one command line, read in the order given (spec/ipvs.md A.4).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

use super::address::{endpoint, ipv4};
use super::command::{Command, Usage};
use super::number::{atoi, within};
use super::options::{Given, Opt, SPELLINGS, Tracked, tracked};
use super::popt::Reader;
use crate::ipvs::text::Names;
use crate::ipvs::{Family, MAX_WEIGHT, Mark, Netmask, Protocol, ServiceKey, SyncRole};

/// 31 days, seconds.
const LONGEST_TIMEOUT: i64 = 2_678_400;
const DEFAULT_PERSISTENCE: u32 = 360;

/// The command a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Edit,
    Delete,
    Flush,
    List,
    AddServer,
    EditServer,
    DeleteServer,
    Set,
    StartDaemon(SyncRole),
    StopDaemon(SyncRole),
    Restore,
    Save,
    Zero,
}

/// `-g`, `-i`, `-m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Method {
    #[default]
    Gate,
    Ipip,
    Masq,
}

/// `--tun-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TunnelType {
    #[default]
    Ipip,
    Gue,
    Gre,
}

/// Everything that was said, not yet checked against the command.
#[derive(Debug)]
pub(super) struct Bag<'a> {
    pub(super) verb: Verb,
    pub(super) given: Given,
    pub(super) service: Option<ServiceKey>,
    pub(super) scheduler: Cow<'a, [u8]>,
    pub(super) persistent: Option<u32>,
    /// `None` stands for each client by itself.
    pub(super) netmask: Option<Netmask>,
    pub(super) engine: Cow<'a, [u8]>,
    pub(super) scheduler_flags: Cow<'a, [u8]>,
    pub(super) server: Option<SocketAddr>,
    pub(super) method: Method,
    pub(super) weight: u32,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) tunnel: TunnelType,
    pub(super) tunnel_port: u16,
    pub(super) interface: Cow<'a, [u8]>,
    pub(super) sync_id: u8,
    pub(super) max_length: Option<u16>,
    pub(super) group: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) ttl: Option<u8>,
}

/// Reads one command line, the words behind `argv[0]`. `strict` is `POSIXLY_CORRECT`.
///
/// # Errors
/// The first mistake, as ipvsadm reports it.
pub fn parse(words: &[&[u8]], strict: bool, names: &mut dyn Names) -> Result<Command, Usage> {
    let mut reader = Reader::new(&SPELLINGS, words, strict);
    let Some(Ok((option, argument))) = reader.option() else { return Err(Usage::TryHelp) };
    let verb = match option {
        Opt::Help => return Ok(Command::Help),
        Opt::Version => return Ok(Command::Version),
        _ => verb(option, argument.as_deref().unwrap_or_default())?,
    };
    let mut bag = Bag::new(verb);
    while let Some(option) = reader.option() {
        let (option, argument) = option.map_err(|fault| Usage::fault(reader.word(), fault))?;
        if tracked(option).is_some_and(|option| !bag.given.insert(option)) {
            let name = tracked(option).map_or("", Tracked::name);
            return Err(format!("multiple '{name}' options specified").into());
        }
        bag.read(option, argument, reader.word(), names)?;
    }
    bag.into_command(&reader.into_leftover())
}

fn verb(option: Opt, argument: &[u8]) -> Result<Verb, Usage> {
    let role = match argument {
        b"master" => Some(SyncRole::Master),
        b"backup" => Some(SyncRole::Backup),
        _ => None,
    };
    Ok(match option {
        Opt::Add => Verb::Add,
        Opt::Edit => Verb::Edit,
        Opt::Delete => Verb::Delete,
        Opt::Clear => Verb::Flush,
        Opt::Restore => Verb::Restore,
        Opt::Save => Verb::Save,
        Opt::AddServer => Verb::AddServer,
        Opt::EditServer => Verb::EditServer,
        Opt::DeleteServer => Verb::DeleteServer,
        Opt::List => Verb::List,
        Opt::Zero => Verb::Zero,
        Opt::Set => Verb::Set,
        Opt::StartDaemon => Verb::StartDaemon(role.ok_or("illegal start-daemon parameter specified")?),
        Opt::StopDaemon => Verb::StopDaemon(role.ok_or("illegal start_daemon specified")?),
        _ => return Err(Usage::TryHelp),
    })
}

impl<'a> Bag<'a> {
    fn new(verb: Verb) -> Self {
        Self {
            verb,
            given: Given::default(),
            service: None,
            scheduler: Cow::default(),
            persistent: None,
            netmask: None,
            engine: Cow::default(),
            scheduler_flags: Cow::default(),
            server: None,
            method: Method::default(),
            weight: 1,
            upper: 0,
            lower: 0,
            tunnel: TunnelType::default(),
            tunnel_port: 0,
            interface: Cow::default(),
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// One option after the command. `word` is the command-line word read last.
    fn read(
        &mut self,
        option: Opt,
        argument: Option<Cow<'a, [u8]>>,
        word: &[u8],
        names: &mut dyn Names,
    ) -> Result<(), Usage> {
        let value = argument.as_deref().unwrap_or_default();
        match option {
            Opt::Tcp => self.address_service(Protocol::Tcp, value, names)?,
            Opt::Udp => self.address_service(Protocol::Udp, value, names)?,
            Opt::Sctp => self.address_service(Protocol::Sctp, value, names)?,
            Opt::Fwmark => {
                let number = within(value, 1, u32::MAX.into()).and_then(|n| u32::try_from(n).ok());
                let mark = number.and_then(Mark::new);
                let mark = mark.ok_or_else(|| Usage::about("invalid fwmark value `", value, "' specified"))?;
                self.service = Some(ServiceKey::Mark { family: Family::Inet, mark });
            }
            Opt::Ipv6 => match &mut self.service {
                Some(ServiceKey::Mark { family, .. }) => {
                    *family = Family::Inet6;
                    self.netmask = None;
                }
                Some(ServiceKey::Address { .. }) | None => return Err("-6 used before -f\n".into()),
            },
            Opt::Scheduler => self.scheduler = first(argument, 15),
            Opt::Persistent => {
                self.persistent = Some(if argument.is_some() { timeout(value, 1)? } else { DEFAULT_PERSISTENCE });
            }
            Opt::Netmask => self.netmask = Some(self.mask(value, names)?),
            Opt::Engine => self.engine = first(argument, 16),
            Opt::SchedulerFlags => self.scheduler_flags = first(argument, 127),
            Opt::RealServer => {
                let server = endpoint(value, self.protocol(), names);
                let server = server.ok_or("illegal real server address[:port] specified")?;
                let port = server.port.or(self.service.and_then(|s| s.port())).unwrap_or(0);
                self.server = Some(SocketAddr::new(server.address, port));
            }
            Opt::Gate => self.method = Method::Gate,
            Opt::Ipip => self.method = Method::Ipip,
            Opt::Masq => self.method = Method::Masq,
            Opt::Weight => self.weight = number(value, 0, MAX_WEIGHT, "weight")?,
            Opt::Upper => self.upper = number(value, 0, MAX_WEIGHT, "u_threshold")?,
            Opt::Lower => self.lower = number(value, 0, MAX_WEIGHT, "l_threshold")?,
            Opt::TunType => {
                self.tunnel = match value {
                    b"ipip" => TunnelType::Ipip,
                    b"gue" => TunnelType::Gue,
                    b"gre" => TunnelType::Gre,
                    _ => return Err("illegal tunnel type specified".into()),
                };
            }
            Opt::TunPort => self.tunnel_port = number(value, 1, u16::MAX, "tunnel port")?,
            Opt::Interface => self.interface = first(argument, 15),
            Opt::SyncId => self.sync_id = number(value, 0, u8::MAX, "syncid")?,
            Opt::MaxLength => self.max_length = Some(number(value, 1, 65_507, "sync-maxlen")?),
            Opt::Group => self.group = Some(group(value)?),
            Opt::Port => self.port = Some(number(value, 1, u16::MAX, "mcast-port")?),
            Opt::Ttl => self.ttl = Some(number(value, 1, u8::MAX, "mcast-ttl")?),
            // That they were given is all there is to know.
            Opt::OnePacket
            | Opt::TunNocsum
            | Opt::TunCsum
            | Opt::TunRemcsum
            | Opt::Connection
            | Opt::Numeric
            | Opt::Timeout
            | Opt::Daemon
            | Opt::Stats
            | Opt::Rate
            | Opt::Thresholds
            | Opt::PersistentConn
            | Opt::TunInfo
            | Opt::Nosort
            | Opt::Sort
            | Opt::Exact => {}
            Opt::Add
            | Opt::Edit
            | Opt::Delete
            | Opt::Clear
            | Opt::Restore
            | Opt::Save
            | Opt::AddServer
            | Opt::EditServer
            | Opt::DeleteServer
            | Opt::List
            | Opt::Zero
            | Opt::Set
            | Opt::StartDaemon
            | Opt::StopDaemon
            | Opt::Help
            | Opt::Version => return Err(Usage::about("invalid option `", word, "'")),
        }
        Ok(())
    }

    fn address_service(&mut self, protocol: Protocol, value: &[u8], names: &mut dyn Names) -> Result<(), Usage> {
        let endpoint = endpoint(value, Some(protocol), names);
        let endpoint = endpoint.ok_or("illegal virtual server address[:port] specified")?;
        if endpoint.address.is_ipv6() {
            // A mask that was given before is read as one for IPv4, and lost.
            self.netmask = None;
        }
        let at = SocketAddr::new(endpoint.address, endpoint.port.unwrap_or(0));
        self.service = Some(ServiceKey::Address { protocol, at });
        Ok(())
    }

    /// Whose names a server's port may have: a mark counts as TCP.
    fn protocol(&self) -> Option<Protocol> {
        self.service.map(|service| match service {
            ServiceKey::Address { protocol, .. } => protocol,
            ServiceKey::Mark { .. } => Protocol::Tcp,
        })
    }

    fn mask(&self, value: &[u8], names: &mut dyn Names) -> Result<Netmask, Usage> {
        if self.service.is_some_and(|service| service.family() == Family::Inet6) {
            let prefix = u8::try_from(atoi(value)).ok().filter(|&prefix| prefix <= 128).and_then(NonZeroU8::new);
            Ok(Netmask::Prefix(prefix.ok_or("illegal ipv6 netmask specified")?))
        } else {
            Ok(Netmask::Mask(ipv4(value, names).ok_or("illegal virtual server persistent mask specified")?))
        }
    }
}

/// A timeout in seconds, at most 31 days.
pub(super) fn timeout(value: &[u8], least: i64) -> Result<u32, Usage> {
    let seconds = within(value, least, LONGEST_TIMEOUT).and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| Usage::about("invalid timeout value `", value, "' specified"))
}

fn number<T: TryFrom<i64> + Into<i64>>(value: &[u8], least: i64, most: T, what: &str) -> Result<T, Usage> {
    let number = within(value, least, most.into()).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("illegal {what} specified").into())
}

fn group(value: &[u8]) -> Result<IpAddr, Usage> {
    let text = str::from_utf8(value).unwrap_or_default();
    if value.contains(&b':') {
        let group = text.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast);
        group.map(IpAddr::V6).ok_or_else(|| Usage::about("invalid IPv6 mcast-group `", value, "'"))
    } else {
        let group = text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
        group.map(IpAddr::V4).ok_or_else(|| Usage::about("invalid IPv4 mcast-group `", value, "'"))
    }
}

/// What fits into the field of the original; the rest is silently dropped.
fn first(value: Option<Cow<'_, [u8]>>, limit: usize) -> Cow<'_, [u8]> {
    match value.unwrap_or_default() {
        Cow::Borrowed(value) => value[..value.len().min(limit)].into(),
        Cow::Owned(mut value) => {
            value.truncate(limit);
            value.into()
        }
    }
}
