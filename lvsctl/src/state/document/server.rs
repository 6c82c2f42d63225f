//! A server of a `[[service]]`.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;

use super::read::Reader;
use super::written::{Checksum, Server};
use crate::diag::nearest;
use crate::ipvs::{Destination, Family, Forward, MAX_WEIGHT, ServiceKey, Tunnel, TunnelChecksum};
use crate::state::values::could_serve;

const METHODS: [&str; 8] = ["direct", "masquerade", "ipip", "gue", "gre", "local", "bypass", "tunnel"];

/// `None` if it cannot be told where it is or how it is reached.
pub(super) fn read(reader: &mut Reader<'_>, key: &ServiceKey, written: &Server) -> Option<(SocketAddr, Destination)> {
    let at = address(reader, key, &written.address);
    let forward = forward(reader, written);
    let weight = reader.number(written.weight.as_ref(), 0, MAX_WEIGHT);
    let upper_threshold = reader.number(written.upper_threshold.as_ref(), 0, u32::MAX).unwrap_or(0);
    let lower_threshold = reader.number(written.lower_threshold.as_ref(), 0, u32::MAX).unwrap_or(0);
    if let Some(lower) = written.lower_threshold.as_ref().filter(|_| lower_threshold > upper_threshold) {
        reader.wrong(lower.span(), "lower-threshold is above upper-threshold");
    }
    let (at, forward) = (at?, forward?);
    let place = written.address.span();
    let tunnelled = matches!(forward, Forward::Tunnel(_));
    if Family::of(at.ip()) != key.family() && !tunnelled {
        let help = "only tunnelling (ipip, gue, gre) reaches a server of the other family";
        reader.wrong_but(place.clone(), "the server's family is not that of its service", help);
    }
    let keeps_port = tunnelled || forward == Forward::Gate;
    if let Some(port) = key.port().filter(|&port| keeps_port && port != at.port()) {
        let message = format!("the server gets its packets at port {port}, not at {}", at.port());
        reader.odd(place, message, "only masquerading changes ports");
    }
    // Weight 1 is ipvsadm's default; a wrong one was told.
    let weight = weight.unwrap_or(1);
    Some((at, Destination { forward, weight, upper_threshold, lower_threshold }))
}

fn address(reader: &mut Reader<'_>, key: &ServiceKey, written: &Spanned<String>) -> Option<SocketAddr> {
    let text = written.get_ref();
    let at = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        // A zone means link-local, which the kernel refuses; and its table knows none.
        (Ok(at), _) if !text.contains('%') => at,
        (Err(_), Ok(ip)) => SocketAddr::new(ip, key.port().unwrap_or(0)),
        _ => {
            let help =
                "such as \"192.168.60.132:80\", or without a port for the service's own; names are not looked up";
            reader.wrong_but(written.span(), format!("{text:?} is not an address"), help);
            return None;
        }
    };
    if !could_serve(at.ip()) {
        reader.wrong(written.span(), format!("{} cannot be a real server: the kernel takes unicast only", at.ip()));
        return None;
    }
    Some(at)
}

fn forward(reader: &mut Reader<'_>, written: &Server) -> Option<Forward> {
    let word = written.forward.as_ref().map_or("direct", |word| word.get_ref().as_str());
    let (port, kind) = (written.tunnel_port.as_ref(), written.tunnel_type.as_ref());
    let (takes_kind, takes_port, takes_checksum) = match word {
        "gue" => (false, true, true),
        "gre" => (false, false, true),
        "tunnel" => (true, true, true),
        _ => (false, false, false),
    };
    let given = [
        ("tunnel-type", kind.map(Spanned::span), takes_kind),
        ("tunnel-port", port.map(Spanned::span), takes_port),
        ("tunnel-checksum", written.tunnel_checksum.as_ref().map(Spanned::span), takes_checksum),
    ];
    for (name, span, takes) in given {
        if let Some(span) = span.filter(|_| !takes) {
            reader.wrong(span, format!("forward = {word:?} has no {name}"));
        }
    }
    let place = written.forward.as_ref().map_or_else(|| written.address.span(), Spanned::span);
    let checksum = checksum(reader, written.tunnel_checksum.as_ref());
    Some(match word {
        "direct" => Forward::Gate,
        "masquerade" => Forward::Masq,
        "local" => Forward::Local,
        "bypass" => Forward::Bypass,
        "ipip" => Forward::Tunnel(Tunnel::Ipip),
        "gue" => {
            let Some(port) = port else {
                reader.wrong_but(place, "gue needs a UDP port", "add tunnel-port = 6080");
                return None;
            };
            Forward::Tunnel(Tunnel::Gue { port: reader.number(Some(port), 1, u16::MAX)?, checksum })
        }
        "gre" => Forward::Tunnel(Tunnel::Gre { checksum }),
        "tunnel" => {
            let Some(kind) = kind else {
                let help = "ipip, gue and gre have names: forward = \"ipip\"";
                reader.wrong_but(place, "a tunnel of another type needs tunnel-type, a number", help);
                return None;
            };
            Forward::Tunnel(Tunnel::Other {
                kind: reader.number(Some(kind), 3, u8::MAX)?,
                port: reader.number(port, 0, u16::MAX).unwrap_or(0),
                flags: checksum_number(checksum),
            })
        }
        other => {
            let help = match nearest(other, METHODS) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "there are direct, masquerade, ipip, gue, gre".to_owned(),
            };
            reader.wrong_but(place, format!("there is no forwarding method {other:?}"), help);
            return None;
        }
    })
}

fn checksum(reader: &mut Reader<'_>, written: Option<&Spanned<Checksum>>) -> TunnelChecksum {
    let Some(written) = written else { return TunnelChecksum::None };
    match written.get_ref() {
        Checksum::Word(word) => match word.as_str() {
            "none" => return TunnelChecksum::None,
            "full" => return TunnelChecksum::Full,
            "remote" => return TunnelChecksum::Remote,
            other => reader.wrong(written.span(), format!("a checksum is none, full or remote, not {other:?}")),
        },
        Checksum::Number(number) => match u16::try_from(*number) {
            Ok(0) => return TunnelChecksum::None,
            Ok(1) => return TunnelChecksum::Full,
            Ok(2) => return TunnelChecksum::Remote,
            Ok(other) => return TunnelChecksum::Other(other),
            Err(_) => reader.wrong(written.span(), format!("{number} is not between 0 and 65535")),
        },
    }
    TunnelChecksum::None
}

/// The kernel's number.
pub(super) fn checksum_number(checksum: TunnelChecksum) -> u16 {
    match checksum {
        TunnelChecksum::None => 0,
        TunnelChecksum::Full => 1,
        TunnelChecksum::Remote => 2,
        TunnelChecksum::Other(number) => number,
    }
}
