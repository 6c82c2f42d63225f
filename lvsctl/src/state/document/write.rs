//! What is wanted, as TOML and as JSON. Both have the same names in the same places.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::server::checksum_number;
use super::service::flag_words;
use crate::ipvs::{
    Destination, Family, Forward, Netmask, Protocol, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
    TunnelChecksum,
};
use crate::state::{Wanted, role_name};

/// Names and values in the order in which they are written.
type Pairs = Vec<(&'static str, Value)>;

/// The TOML form. Reading it gives the same again.
#[must_use]
pub fn to_toml(wanted: &Wanted) -> String {
    let mut out = String::new();
    if let Some(comment) = &wanted.comments.whole {
        line(&mut out, "comment", &json!(comment));
    }
    let timeouts = timeouts(wanted.timeouts);
    if !timeouts.is_empty() {
        heading(&mut out, "[timeouts]");
        timeouts.iter().for_each(|(name, value)| line(&mut out, name, value));
    }
    if let Some(daemons) = &wanted.daemons {
        // Without a daemon too: then none should run.
        heading(&mut out, "[sync]");
        for daemon in daemons {
            heading(&mut out, &format!("[sync.{}]", role_name(daemon.role)));
            sync(daemon).iter().for_each(|(name, value)| line(&mut out, name, value));
        }
    }
    for (key, entry) in &wanted.table {
        heading(&mut out, "[[service]]");
        let about = service(key, &entry.service, wanted.comments.service(key));
        about.iter().for_each(|(name, value)| line(&mut out, name, value));
        if entry.destinations.is_empty() {
            continue;
        }
        out.push_str("server = [\n");
        for (at, destination) in &entry.destinations {
            out.push_str("  { ");
            let about = server(*at, destination, wanted.comments.server(key, *at));
            for (n, (name, value)) in about.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                pair(&mut out, name, value);
            }
            out.push_str(" },\n");
        }
        out.push_str("]\n");
    }
    out
}

/// The same as one JSON object.
#[must_use]
pub fn to_json(wanted: &Wanted) -> Value {
    let object = |pairs: Pairs| -> Value {
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    };
    let mut out = Map::new();
    if let Some(comment) = &wanted.comments.whole {
        out.insert("comment".into(), json!(comment));
    }
    let timeouts = timeouts(wanted.timeouts);
    if !timeouts.is_empty() {
        out.insert("timeouts".into(), object(timeouts));
    }
    if let Some(daemons) = &wanted.daemons {
        let daemons = daemons.iter().map(|daemon| (role_name(daemon.role).to_owned(), object(sync(daemon))));
        out.insert("sync".into(), daemons.collect::<Map<_, _>>().into());
    }
    let services = wanted.table.iter().map(|(key, entry)| {
        let mut about = service(key, &entry.service, wanted.comments.service(key));
        let servers = entry.destinations.iter();
        let servers =
            servers.map(|(at, destination)| object(server(*at, destination, wanted.comments.server(key, *at))));
        about.push(("server", servers.collect()));
        object(about)
    });
    out.insert("service".into(), services.collect());
    out.into()
}

fn heading(out: &mut String, text: &str) {
    out.push_str(if out.is_empty() { "" } else { "\n" });
    out.push_str(text);
    out.push('\n');
}

fn line(out: &mut String, name: &str, value: &Value) {
    pair(out, name, value);
    out.push('\n');
}

fn pair(out: &mut String, name: &str, value: &Value) {
    let _ = write!(out, "{name} = ");
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).collect();
            let _ = write!(out, "[{}]", items.join(", "));
        }
        value => out.push_str(&scalar(value)),
    }
}

/// Texts, numbers and booleans are the same in TOML as in JSON, but for one character.
fn scalar(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007f")
}

fn timeouts(Timeouts { tcp, tcp_fin, udp }: Timeouts) -> Pairs {
    let said = [("tcp", tcp), ("tcp-fin", tcp_fin), ("udp", udp)].into_iter().filter(|&(_, seconds)| seconds > 0);
    said.map(|(name, seconds)| (name, json!(seconds))).collect()
}

fn sync(daemon: &SyncDaemon) -> Pairs {
    let SyncDaemon { role: SyncRole::Master | SyncRole::Backup, interface, sync_id, max_length, group, port, ttl } =
        daemon;
    let mut pairs = vec![("interface", json!(interface)), ("id", json!(sync_id))];
    pairs.extend(max_length.map(|length| ("max-length", json!(length))));
    pairs.extend(group.map(|group| ("group", json!(group))));
    pairs.extend(port.map(|port| ("port", json!(port))));
    pairs.extend(ttl.map(|ttl| ("ttl", json!(ttl))));
    pairs
}

fn service(key: &ServiceKey, about: &Service, comment: Option<&str>) -> Pairs {
    let mut pairs = match *key {
        ServiceKey::Address { protocol: Protocol::Tcp, at } => vec![("tcp", json!(at))],
        ServiceKey::Address { protocol: Protocol::Udp, at } => vec![("udp", json!(at))],
        ServiceKey::Address { protocol: Protocol::Sctp, at } => vec![("sctp", json!(at))],
        ServiceKey::Address { protocol: Protocol::Other(number), at } => {
            vec![("address", json!(at)), ("protocol", json!(number))]
        }
        ServiceKey::Mark { family: Family::Inet, mark } => vec![("mark", json!(mark))],
        ServiceKey::Mark { family: Family::Inet6, mark } => vec![("mark", json!(mark)), ("family", json!("ipv6"))],
    };
    let Service { scheduler, scheduler_flags: flags, persistence, one_packet, engine } = about;
    pairs.push(("scheduler", json!(scheduler)));
    let set = [flags.flag_1, flags.flag_2, flags.flag_3];
    let words = flag_words(scheduler.as_str()).into_iter().zip(set).filter(|&(_, set)| set);
    let words: Vec<_> = words.map(|(word, _)| word).collect();
    if !words.is_empty() {
        pairs.push(("scheduler-flags", json!(words)));
    }
    if let Some(persistence) = persistence {
        pairs.push(("persistent", json!(persistence.timeout)));
        if persistence.netmask != Netmask::host(key.family()) {
            pairs.push(match persistence.netmask {
                Netmask::Mask(mask) => ("netmask", json!(mask)),
                Netmask::Prefix(length) => ("netmask", json!(length)),
            });
        }
    }
    pairs.extend(engine.iter().map(|engine| ("engine", json!(engine))));
    pairs.extend(one_packet.then_some(("one-packet", json!(true))));
    pairs.extend(comment.map(|comment| ("comment", json!(comment))));
    pairs
}

fn server(at: SocketAddr, destination: &Destination, comment: Option<&str>) -> Pairs {
    let Destination { forward, weight, upper_threshold, lower_threshold } = destination;
    let mut pairs = vec![("address", json!(at))];
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => json!("none"),
        TunnelChecksum::Full => json!("full"),
        TunnelChecksum::Remote => json!("remote"),
        TunnelChecksum::Other(_) => json!(checksum_number(checksum)),
    };
    match *forward {
        Forward::Gate => pairs.push(("forward", json!("direct"))),
        Forward::Masq => pairs.push(("forward", json!("masquerade"))),
        Forward::Local => pairs.push(("forward", json!("local"))),
        Forward::Bypass => pairs.push(("forward", json!("bypass"))),
        Forward::Tunnel(Tunnel::Ipip) => pairs.push(("forward", json!("ipip"))),
        Forward::Tunnel(Tunnel::Gue { port, checksum: sum }) => {
            pairs.extend([("forward", json!("gue")), ("tunnel-port", json!(port)), ("tunnel-checksum", checksum(sum))]);
        }
        Forward::Tunnel(Tunnel::Gre { checksum: sum }) => {
            pairs.extend([("forward", json!("gre")), ("tunnel-checksum", checksum(sum))]);
        }
        Forward::Tunnel(Tunnel::Other { kind, port, flags }) => pairs.extend([
            ("forward", json!("tunnel")),
            ("tunnel-type", json!(kind)),
            ("tunnel-port", json!(port)),
            ("tunnel-checksum", json!(flags)),
        ]),
    }
    pairs.push(("weight", json!(weight)));
    let thresholds = [("upper-threshold", *upper_threshold), ("lower-threshold", *lower_threshold)];
    pairs.extend(thresholds.into_iter().filter(|&(_, count)| count > 0).map(|(name, count)| (name, json!(count))));
    pairs.extend(comment.map(|comment| ("comment", json!(comment))));
    pairs
}
