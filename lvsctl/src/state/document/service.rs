//! A `[[service]]`: which one it is, and how it schedules.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::Range;

use toml::Spanned;

use super::read::Reader;
use super::written;
use crate::diag::nearest;
use crate::ipvs::{
    Family, Mark, Netmask, Persistence, PersistenceEngine, Protocol, Scheduler, SchedulerFlags, Service, ServiceKey,
};

/// The kernel counts the seconds of persistence in ticks, of which there are 100 to 1000 in a second, in 32 bits. How many it
/// has nobody outside is told.
const LONGEST_PERSISTENCE: u32 = u32::MAX / 100;
/// Above this some kernels take another number.
const SAFE_PERSISTENCE: u32 = u32::MAX / 1000;
const KINDS: &str = "tcp, udp, sctp, mark, or address with protocol";

/// The schedulers of Linux 6.1; another one is no mistake, the kernel may have it.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

/// Where the file says which service it is.
pub(super) fn named_at(written: &written::Service) -> Option<Range<usize>> {
    let texts = [&written.tcp, &written.udp, &written.sctp, &written.address];
    let text = texts.into_iter().flatten().map(Spanned::span).next();
    text.or_else(|| written.mark.as_ref().map(Spanned::span))
}

/// `None` if it cannot be told which service it is; what else is wrong is told and passed over.
pub(super) fn read(
    reader: &mut Reader<'_>,
    place: Range<usize>,
    written: &written::Service,
) -> Option<(ServiceKey, Service)> {
    let key = key(reader, place, written)?;
    let place = named_at(written)?;
    let scheduler = written.scheduler.as_ref().map_or_else(Scheduler::default, |name| scheduler(reader, name));
    let service = Service {
        scheduler_flags: flags(reader, scheduler.as_str(), written.scheduler_flags.as_deref().unwrap_or_default()),
        scheduler,
        persistence: persistence(reader, &key, written),
        one_packet: written.one_packet,
        engine: written.engine.as_ref().and_then(|name| match name.get_ref().parse::<PersistenceEngine>() {
            Ok(engine) => Some(engine),
            Err(error) => {
                reader.wrong(name.span(), error.to_string());
                None
            }
        }),
    };
    if key.port() == Some(0) && service.persistence.is_none() {
        let help = "a service of every port (port 0) needs \"persistent\"";
        reader.odd(place.clone(), format!("{key} takes no connection"), help);
    }
    let datagrams = matches!(key, ServiceKey::Address { protocol: Protocol::Udp, .. } | ServiceKey::Mark { .. });
    if service.one_packet && !datagrams {
        reader.odd(place, "one-packet is only for udp", "without it connections are scheduled as a whole");
    }
    Some((key, service))
}

fn key(reader: &mut Reader<'_>, place: Range<usize>, written: &written::Service) -> Option<ServiceKey> {
    let written::Service { tcp, udp, sctp, mark, family, address, protocol, .. } = written;
    let named = [tcp.is_some(), udp.is_some(), sctp.is_some(), mark.is_some(), address.is_some()];
    match named.into_iter().filter(|&named| named).count() {
        1 => {}
        0 => {
            reader.wrong_but(place, "this service has no name", format!("give it one of {KINDS}"));
            return None;
        }
        _ => {
            let place = named_at(written).unwrap_or(place);
            reader.wrong_but(place, "this service has several names", format!("one of {KINDS} is enough"));
            return None;
        }
    }
    if let (Some(family), None) = (family, mark) {
        reader.wrong(family.span(), "family is for services with a mark; an address has its own");
    }
    if let (Some(protocol), None) = (protocol, address) {
        reader.wrong(protocol.span(), "protocol belongs to address, and is a number");
    }
    let texts = [(tcp, Protocol::Tcp), (udp, Protocol::Udp), (sctp, Protocol::Sctp)];
    if let Some((text, protocol)) = texts.into_iter().find_map(|(text, protocol)| Some((text.as_ref()?, protocol))) {
        let at = virtual_address(reader, text)?;
        return Some(ServiceKey::Address { protocol, at });
    }
    if let Some(text) = address {
        let at = virtual_address(reader, text)?;
        let Some(protocol) = protocol else {
            reader.wrong_but(text.span(), "address needs protocol, a number", "for TCP and UDP say tcp = or udp =");
            return None;
        };
        let number: u16 = reader.number(Some(protocol), 0, 65535)?;
        return Some(ServiceKey::Address { protocol: Protocol::from_number(number), at });
    }
    let mark = reader.number(mark.as_ref(), 1, u32::MAX).and_then(Mark::new)?;
    let family = match family.as_ref().map(Spanned::get_ref) {
        Some(written::Family::Ipv6) => Family::Inet6,
        Some(written::Family::Ipv4) | None => Family::Inet,
    };
    Some(ServiceKey::Mark { family, mark })
}

fn virtual_address(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<SocketAddr> {
    let written = text.get_ref();
    // The kernel's table knows no zones.
    if let Some(at) = written.parse().ok().filter(|_| !written.contains('%')) {
        return Some(at);
    }
    let help = if written.parse::<IpAddr>().is_ok() {
        "a port is missing; :0 stands for every port, with \"persistent\""
    } else {
        "such as \"192.168.60.200:80\" or \"[2001:db8::1]:80\"; names are not looked up"
    };
    reader.wrong_but(text.span(), format!("{written:?} is not an address and port"), help);
    None
}

fn scheduler(reader: &mut Reader<'_>, name: &Spanned<String>) -> Scheduler {
    let written = name.get_ref();
    let known = SCHEDULERS.contains(&written.as_str());
    let meant = if known { None } else { nearest(written, SCHEDULERS) };
    match (written.parse(), meant) {
        (Err(error), _) => {
            reader.wrong(name.span(), format!("{error}"));
            Scheduler::default()
        }
        (Ok(scheduler), Some(meant)) => {
            let help = format!("did you mean {meant:?}?");
            reader.odd(name.span(), format!("the scheduler {written:?} is not one of Linux's own"), help);
            scheduler
        }
        (Ok(scheduler), None) => scheduler,
    }
}

/// The words for the scheduler's flags; flag 3 means nothing to any scheduler so far.
pub(super) fn flag_words(scheduler: &str) -> [&'static str; 3] {
    match scheduler {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    }
}

fn flags(reader: &mut Reader<'_>, scheduler: &str, words: &[Spanned<String>]) -> SchedulerFlags {
    let known = flag_words(scheduler);
    let mut flags = [false; 3];
    for word in words {
        let text = word.get_ref().as_str();
        let found = [known, flag_words("")].iter().find_map(|words| words.iter().position(|known| *known == text));
        match found {
            Some(flag) => flags[flag] = true,
            None => {
                let help = format!("there are {}", known.join(", "));
                reader.wrong_but(word.span(), format!("{scheduler} has no flag {text:?}"), help);
            }
        }
    }
    let [flag_1, flag_2, flag_3] = flags;
    SchedulerFlags { flag_1, flag_2, flag_3 }
}

fn persistence(reader: &mut Reader<'_>, key: &ServiceKey, written: &written::Service) -> Option<Persistence> {
    let netmask = written.netmask.as_ref();
    if let (Some(netmask), None) = (netmask, &written.persistent) {
        reader.wrong_but(netmask.span(), "netmask without persistent means nothing", "add persistent = 300");
    }
    let timeout = reader.number(written.persistent.as_ref(), 0, LONGEST_PERSISTENCE)?;
    if let Some(long) = written.persistent.as_ref().filter(|_| timeout > SAFE_PERSISTENCE) {
        let help = format!("up to {SAFE_PERSISTENCE} s, 49 days, are safe");
        reader.odd(long.span(), format!("many kernels make another number of {timeout} s of persistence"), help);
    }
    let netmask = match netmask {
        None => Netmask::host(key.family()),
        Some(written) => mask(reader, key, written)?,
    };
    Some(Persistence { timeout, netmask })
}

fn mask(reader: &mut Reader<'_>, key: &ServiceKey, written: &Spanned<written::Netmask>) -> Option<Netmask> {
    match (key.family(), written.get_ref()) {
        (Family::Inet, written::Netmask::Mask(text)) => match text.parse() {
            Ok(mask) => Some(Netmask::Mask(mask)),
            Err(_) => {
                reader.wrong(written.span(), format!("{text:?} is not an IPv4 netmask such as \"255.255.255.0\""));
                None
            }
        },
        (Family::Inet6, written::Netmask::Prefix(length)) => {
            match u8::try_from(*length).ok().filter(|length| *length <= 128).and_then(NonZeroU8::new) {
                Some(length) => Some(Netmask::Prefix(length)),
                None => {
                    reader.wrong(written.span(), format!("{length} is not between 1 and 128"));
                    None
                }
            }
        }
        (Family::Inet, written::Netmask::Prefix(_)) => {
            reader.wrong(written.span(), "an IPv4 netmask is written \"255.255.255.0\"");
            None
        }
        (Family::Inet6, written::Netmask::Mask(_)) => {
            reader.wrong(written.span(), "an IPv6 netmask is a number of bits, 1 to 128");
            None
        }
    }
}
