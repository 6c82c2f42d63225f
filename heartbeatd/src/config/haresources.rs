//! haresources: which node is home to what (spec/heartbeat.md 2.1).
//!
//! A line begins with the node that is the group's home. Where there are more than two nodes it may be a list with commas,
//! `node1,node3 10.0.0.1`: the homes in order. Nodes that are not in it follow, in the order of ha.cf.
//!
//! Where heartbeat looks for a group with a regular expression in the whole file, words are
//! compared literally here, and a key that stands twice is a mistake (fault 23).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Surroundings;
use super::medium::Mistake;
use super::model::{Group, Resource, ResourceKind, SyncRole, VipSpec};
use super::source::{Source, Word};
use super::value::{self, Wrong};

/// Reads the whole file; mistakes are noted in the source. `nodes` are those of ha.cf, or empty
/// where ha.cf could not be read and node names are not to be judged.
pub(super) fn read(source: &mut Source, nodes: &[String], around: &Surroundings) -> Vec<Group> {
    let mut groups = Vec::new();
    // Where each resource was seen first.
    let mut seen: HashMap<Same, usize> = HashMap::new();
    let mut keys: HashMap<String, usize> = HashMap::new();
    let mut sync = None;
    for line in logical_lines(source) {
        let Some((home, resources)) = line.split_first() else { continue };
        let mut homes: Vec<String> = Vec::new();
        for home in home.split_at_each(",") {
            let name = node(&home, nodes, source);
            if homes.contains(&name) {
                source.error(&home.place, format!("{name:?} twice among the homes of a group"), None);
            }
            homes.push(name);
        }
        if homes.len() > 1 && nodes.len() == 2 {
            let help = "of two nodes the other one follows by itself: write the first home alone";
            source.error(&home.place, "a list of homes for two nodes", help);
        }
        let name = homes.remove(0);
        if resources.is_empty() {
            source.error(&home.place, "a node without resources", "write them behind the node's name");
        }
        let mut group = Group { home: name, then: homes, resources: Vec::new() };
        for word in resources {
            match resource(word, around) {
                Err((word, Wrong { message, help })) => source.error(&word.place, message, help),
                Ok(kind) => {
                    judge(word, &kind, &mut seen, source, around);
                    judge_sync(word, &kind, &mut sync, source);
                    group.resources.push(Resource { written: word.text.clone(), kind });
                }
            }
        }
        if let (Some(word), false) = (resources.first(), group.resources.is_empty()) {
            // What begins with an address that stands twice is told already.
            let address = matches!(group.resources[0].kind, ResourceKind::Address(_));
            if let Some(line) = keys.insert(word.text.clone(), word.place.line).filter(|_| !address) {
                let help = format!("the group in line {line} begins with it too: put another resource first");
                source.error(&word.place, format!("a second group {:?}", word.text), help);
            }
            groups.push(group);
        }
    }
    groups
}

/// The node of ha.cf that a word means: by its name, or by the short form of either (fault 27).
fn node(word: &Word, nodes: &[String], source: &mut Source) -> String {
    let name = word.text.to_ascii_lowercase();
    if nodes.is_empty() || nodes.contains(&name) {
        return name;
    }
    let mut matches = nodes.iter().filter(|node| value::is_short_form(node, &name));
    if let (Some(node), None) = (matches.next(), matches.next()) {
        let message = format!("{:?} is taken to be {node:?} of ha.cf", word.text);
        source.warn(&word.place, message, "a heartbeat on the other node takes it for nobody: write the same name");
        return node.clone();
    }
    let help = match lvs::diag::nearest(&name, nodes.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the nodes of ha.cf are {}", nodes.join(" and ")),
    };
    source.error(&word.place, format!("{:?} is not a node of ha.cf", word.text), help);
    name
}

/// The words of each line, continued over lines that end in a backslash.
fn logical_lines(source: &Source) -> Vec<Vec<Word>> {
    let mut lines = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    for line in source.lines() {
        words.extend(line.before('#').split(char::is_whitespace));
        match words.last_mut() {
            Some(last) if last.text.ends_with('\\') => {
                last.text.pop();
                last.place.columns.end -= 1;
                if last.text.is_empty() {
                    words.pop();
                }
            }
            _ => lines.push(std::mem::take(&mut words)),
        }
    }
    lines.push(words);
    lines
}

/// What makes two resources the same thing.
#[derive(PartialEq, Eq, Hash)]
enum Same {
    Address(IpAddr),
    Written(String),
}

/// What only the rest of the file and the machine can tell of a resource.
fn judge(
    word: &Word,
    kind: &ResourceKind,
    seen: &mut HashMap<Same, usize>,
    source: &mut Source,
    around: &Surroundings,
) {
    let same = match kind {
        ResourceKind::Address(vip) => Same::Address(vip.address),
        ResourceKind::SyncDaemon { .. } | ResourceKind::Ldirectord { .. } | ResourceKind::Script { .. } => {
            Same::Written(word.text.clone())
        }
    };
    if let Some(line) = seen.get(&same) {
        let message = format!("{:?} a second time", word.text);
        let help = format!("it stands in line {line} already");
        match same {
            Same::Address(_) => source.error(&word.place, message, help),
            Same::Written(_) => source.warn(&word.place, message, format!("{help}; stopping one stops the other")),
        }
    }
    seen.entry(same).or_insert(word.place.line);
    if let ResourceKind::Script { name, .. } = kind
        && !(around.has_script)(name)
    {
        let message = format!("there is no resource script {name:?}");
        source.warn(&word.place, message, "looked for in resource.d and in /etc/init.d, as an executable file");
    }
}

/// A director has one sync daemon for all groups, the `first` of the file: over that interface, with that id, in that line.
fn judge_sync(word: &Word, kind: &ResourceKind, first: &mut Option<(String, u8, usize)>, source: &mut Source) {
    let ResourceKind::SyncDaemon { interface, id, .. } = kind else { return };
    let (over, with, line) = first.get_or_insert_with(|| (interface.clone(), *id, word.place.line));
    if (&*over, *with) != (interface, *id) {
        let message = "a sync daemon over another interface or with another id is not used";
        source.warn(&word.place, message, format!("a director has one for all groups, that of line {line}"));
    }
}

fn mistake<T>(word: &Word, message: impl Into<String>, help: impl Into<String>) -> Result<T, Mistake> {
    Err((word.clone(), Wrong { message: message.into(), help: Some(help.into()) }))
}

fn resource(word: &Word, around: &Surroundings) -> Result<ResourceKind, Mistake> {
    // An IPv6 address has "::" of its own. A script may read like the beginning of one, as db2 does.
    let is_script = word.text.split_once("::").is_some_and(|(name, _)| (around.has_script)(name));
    if is_ipv6(&word.text) && !is_script || !word.text.contains("::") && ip_like(&word.text) {
        return vip(word).map(ResourceKind::Address);
    }
    // What IPv6addr is given is not to be taken apart either.
    if let Some(("IPv6addr", _)) = word.text.split_once("::") {
        let mut parts = word.split_at_each("IPv6addr::");
        let argument = parts.remove(1);
        return match vip(&argument)? {
            VipSpec { address: IpAddr::V4(_), .. } => {
                mistake(&argument, "not an IPv6 address", "for IPv4 it is IPaddr2")
            }
            vip => Ok(ResourceKind::Address(vip)),
        };
    }
    let mut parts = word.split_at_each("::").into_iter();
    let Some(script) = parts.next().filter(|script| !script.text.is_empty()) else {
        return mistake(word, "a resource without a name", "it is SCRIPT or SCRIPT::ARGUMENT");
    };
    let args: Vec<Word> = parts.filter(|arg| !arg.text.is_empty()).collect();
    match script.text.as_str() {
        "IPaddr" | "IPaddr2" => match args.as_slice() {
            [arg] => vip(arg).map(ResourceKind::Address),
            _ if word.text.split_once("::").is_some_and(|(_, argument)| is_ipv6(argument)) => {
                let message = format!("{} is for IPv4", script.text);
                mistake(&script, message, "write IPv6addr, or the address alone")
            }
            _ => mistake(&script, format!("{} takes one argument", script.text), "ADDRESS/BITS/INTERFACE/BROADCAST"),
        },
        "LVSSyncDaemonSwap" => sync_daemon(&script, &args),
        "ldirectord" => match args.as_slice() {
            [] => Ok(ResourceKind::Ldirectord { config: "ldirectord.cf".into() }),
            [config] => Ok(ResourceKind::Ldirectord { config: config.text.clone() }),
            [_, more, ..] => mistake(more, "ldirectord takes one argument", "its configuration file"),
        },
        name if name.contains('/') || matches!(name, "." | "..") => mistake(
            &script,
            format!("{name:?} is not the name of a script"),
            "the file in resource.d or init.d, without its folder",
        ),
        name => {
            Ok(ResourceKind::Script { name: name.to_owned(), args: args.into_iter().map(|arg| arg.text).collect() })
        }
    }
}

fn is_ipv6(text: &str) -> bool {
    text.split('/').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// The shell pattern `[0-9]*.[0-9]*.[0-9]*.[0-9]*`.
fn ip_like(text: &str) -> bool {
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    digit(text) && text.match_indices('.').filter(|(at, _)| digit(&text[at + 1..])).count() >= 3
}

fn sync_daemon(script: &Word, args: &[Word]) -> Result<ResourceKind, Mistake> {
    let help = "LVSSyncDaemonSwap::master::INTERFACE::ID";
    let Some(role_word) = args.first() else { return mistake(script, "the role is missing", help) };
    let role = match role_word.text.as_str() {
        "master" => SyncRole::Master,
        "backup" => SyncRole::Backup,
        other => return mistake(role_word, format!("{other:?} is not a role"), "master or backup"),
    };
    let interface = args.get(1).map_or("eth0".into(), |word| word.text.clone());
    let id = match args.get(2) {
        None => 0,
        // 255 fits.
        Some(word) => value::number(&word.text, 0, 255).map_err(|wrong| (word.clone(), wrong))? as u8,
    };
    match args.get(3) {
        Some(more) => mistake(more, "LVSSyncDaemonSwap takes three arguments", help),
        None => Ok(ResourceKind::SyncDaemon { role, interface, id }),
    }
}

/// `ADDRESS[/MASK[/INTERFACE[:LABEL]][/BROADCAST]]`, or `ADDRESS[/BITS[/INTERFACE]]` for IPv6.
fn vip(word: &Word) -> Result<VipSpec, Mistake> {
    let mut parts = word.split_at_each("/").into_iter();
    let first = parts.next().unwrap_or_else(|| word.clone());
    let Ok(address) = first.text.parse::<IpAddr>() else {
        return mistake(&first, format!("{:?} is not an address", first.text), "ADDRESS/BITS/INTERFACE/BROADCAST");
    };
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return mistake(&first, format!("{address} cannot be a virtual address"), "it must belong to one host");
    }
    let mut vip = VipSpec { address, prefix: None, interface: None, label: None, broadcast: None };
    let mask = parts.next().filter(|mask| !mask.text.is_empty());
    vip.prefix = mask.map(|mask| prefix(&mask, address)).transpose()?;
    let mut rest: Vec<Word> = parts.filter(|part| !part.text.is_empty()).collect();
    if let Some(last) = rest.last() {
        let dotted = last.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if dotted {
            match last.text.parse() {
                Ok(broadcast) if address.is_ipv4() => vip.broadcast = Some(broadcast),
                _ => {
                    return mistake(
                        last,
                        format!("{:?} is not a broadcast address", last.text),
                        "four numbers, IPv4 only",
                    );
                }
            }
            rest.pop();
        }
    }
    match rest.as_slice() {
        [] => {}
        [nic] => {
            let name = nic.before(':').text;
            if name.is_empty() || nic.text.len() > 15 {
                return mistake(
                    nic,
                    format!("{:?} cannot be an interface", nic.text),
                    "with its label it has at most 15 characters",
                );
            }
            if nic.text.len() > name.len() {
                if address.is_ipv6() {
                    return mistake(nic, "an IPv6 address has no label", "write the interface alone");
                }
                vip.label = Some(nic.text.clone());
            }
            vip.interface = Some(name);
        }
        [_, more, ..] => return mistake(more, "too many parts", "ADDRESS/BITS/INTERFACE/BROADCAST"),
    }
    Ok(vip)
}

/// Mask bits, or a dotted mask as bits.
fn prefix(word: &Word, address: IpAddr) -> Result<u8, Mistake> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if address.is_ipv4()
        && let Ok(mask) = word.text.parse::<Ipv4Addr>()
    {
        let bits = u32::from(mask);
        return match bits.leading_ones() {
            // At most 32.
            ones if bits.count_ones() == ones => Ok(ones as u8),
            _ => mistake(word, format!("{mask} is not a netmask"), "ones in front, zeros behind: 255.255.255.0"),
        };
    }
    // At most 128.
    value::number(&word.text, 0, most).map(|bits| bits as u8).map_err(|wrong| (word.clone(), wrong))
}
