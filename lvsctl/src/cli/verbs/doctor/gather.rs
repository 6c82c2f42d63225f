//! Reads what the rules look at. Whatever cannot be read is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use crate::cli::verbs::cluster::{self, Where};
use crate::cli::verbs::table::{Error, read_file};
use crate::control::ldirectord;
use crate::doctor::{Facts, Way};
use crate::netlink::ipvs::Client;
use crate::netlink::route::{self, Hop};

/// A file below /proc/sys is a few bytes.
const LARGEST_VALUE: u64 = 4096;
/// What `ldirectord.cf` may have at most to be looked through, bytes.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;
const LDIRECTORD_CF: &str = "/etc/ha.d/ldirectord.cf";
/// Documentation's own network (RFC 5737), which no machine has: where packets for it go is the default route.
const FAR_AWAY: &str = "192.0.2.1";

/// The facts, and what kind of machine they say this is.
///
/// # Errors
/// If the table file cannot be read, there is no /proc, or the kernel has IPVS and does not tell.
pub(super) fn facts(table: Option<&Path>, at: &Where) -> Result<(Facts, &'static str), Error> {
    let mut facts = Facts { kernel: kernel(), modules: modules(), loadable: loadable(), ..Facts::default() };
    let mut routes = route::Client::open().ok();
    if let Some(kernel) = &mut routes {
        facts.links = kernel.links().unwrap_or_default();
        facts.addresses = kernel.addresses().unwrap_or_default();
    }
    let listed = Path::new("/proc/net");
    fs::metadata(listed).map_err(|source| Error::Read { path: listed.to_owned(), source })?;
    // Asking a kernel that has not loaded ip_vs loads it, and a real server has no use for it.
    facts.ipvs = Path::new("/proc/net/ip_vs").exists();
    if facts.ipvs {
        let mut kernel = Client::open()?;
        facts.services = kernel.listing()?;
        facts.daemons = kernel.daemons()?;
    }
    facts.sysctls = sysctls(&facts);
    if let Some(kernel) = &mut routes {
        ways(kernel, &mut facts);
    }
    facts.schedulers = schedulers(table, at)?;
    let director = facts.ipvs;
    Ok((facts, if director { "a director" } else { "a real server (no IPVS is loaded)" }))
}

fn value(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LARGEST_VALUE).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// `6.1.0-9-amd64` is 6.1.
fn kernel() -> Option<(u32, u32)> {
    let release = value("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn lines(path: &str) -> impl Iterator<Item = String> + use<> {
    let file = File::open(path).ok().map(|file| BufReader::new(file.take(LARGEST_FILE)));
    file.into_iter().flat_map(|file| file.lines().map_while(Result::ok))
}

/// `kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz:` is ip_vs_rr.
fn module_of(path: &str) -> Option<String> {
    let name = path.split(':').next()?.rsplit('/').next()?;
    Some(name.split(".ko").next()?.replace('-', "_"))
}

fn modules() -> BTreeSet<String> {
    let loaded = lines("/proc/modules").filter_map(|line| line.split(' ').next().map(str::to_owned));
    let builtin = lines(&format!("{}/modules.builtin", directory())).filter_map(|line| module_of(&line));
    loaded.chain(builtin).collect()
}

fn loadable() -> Option<BTreeSet<String>> {
    let path = format!("{}/modules.dep", directory());
    Path::new(&path).exists().then(|| lines(&path).filter_map(|line| module_of(&line)).collect())
}

fn directory() -> String {
    format!("/lib/modules/{}", value("/proc/sys/kernel/osrelease").unwrap_or_default())
}

fn sysctls(facts: &Facts) -> BTreeMap<String, String> {
    let mut names: Vec<String> = [
        "net/ipv4/ip_forward",
        "net/ipv6/conf/all/forwarding",
        "net/netfilter/nf_conntrack_count",
        "net/netfilter/nf_conntrack_max",
    ]
    .map(str::to_owned)
    .into();
    if let Ok(entries) = fs::read_dir("/proc/sys/net/ipv4/vs") {
        names.extend(entries.flatten().map(|entry| format!("net/ipv4/vs/{}", entry.file_name().to_string_lossy())));
    }
    let interfaces = facts.links.iter().map(|link| link.name.as_str()).chain(["all"]);
    for interface in interfaces {
        for name in ["rp_filter", "arp_ignore", "arp_announce", "send_redirects"] {
            names.push(format!("net/ipv4/conf/{interface}/{name}"));
        }
    }
    names.into_iter().filter_map(|name| Some((name.clone(), value(&format!("/proc/sys/{name}"))?))).collect()
}

/// The kernel is asked, as by `ip route get`; what it does not answer is not known.
fn ways(kernel: &mut route::Client, facts: &mut Facts) {
    let servers: BTreeSet<IpAddr> = facts.servers().map(|(_, server)| server.at.ip()).collect();
    for ip in servers {
        let way = match kernel.next_hop(ip) {
            Ok(Hop::Own) => Way::Local,
            Ok(Hop::Neighbour(interface)) => Way::Neighbour(interface),
            Ok(Hop::Router(interface)) => Way::Routed(interface),
            Ok(Hop::Nowhere) => Way::Nowhere,
            Err(_) => continue,
        };
        facts.ways.insert(ip, way);
    }
    for vip in facts.virtual_addresses() {
        let interface = match kernel.next_hop(vip) {
            Ok(Hop::Neighbour(interface)) => Some(interface),
            // Where it may be on lo: which network its neighbours are in is told by the routes beside it.
            Ok(Hop::Own) => kernel.covering(vip).ok().flatten().map(|cover| cover.interface),
            _ => None,
        };
        if let Some(interface) = interface {
            facts.networks.insert(vip, interface);
        }
    }
    facts.default_interface = match FAR_AWAY.parse().map(|ip| kernel.next_hop(ip)) {
        Ok(Ok(Hop::Neighbour(interface) | Hop::Router(Some(interface)))) => Some(interface),
        _ => None,
    };
}

/// Which schedulers are wanted, by the file that is given, by ldirectord, or by the file that it would read.
fn schedulers(table: Option<&Path>, at: &Where) -> Result<BTreeMap<String, String>, Error> {
    let mut wanted = BTreeMap::new();
    if let Some(path) = table {
        for service in read_file(path)?.table.into_values() {
            wanted.insert(service.service.scheduler.to_string(), path.display().to_string());
        }
    }
    match cluster::checker(at, None) {
        Ok(ldirectord::Status { virtuals, config, .. }) => {
            wanted.extend(virtuals.into_iter().map(|service| (service.scheduler, config.clone())));
        }
        Err(_) => wanted.extend(
            lines(LDIRECTORD_CF).filter_map(|line| scheduler_in(&line).map(|name| (name, LDIRECTORD_CF.to_owned()))),
        ),
    }
    Ok(wanted)
}

/// `scheduler = wrr` of a line of ldirectord.cf.
fn scheduler_in(line: &str) -> Option<String> {
    let (name, value) = line.split('#').next()?.split_once('=')?;
    let value = value.trim().trim_matches('"');
    (name.trim() == "scheduler" && value.chars().all(|c| c.is_ascii_alphanumeric()) && !value.is_empty())
        .then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_understood() {
        assert_eq!(module_of("kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: a b").as_deref(), Some("ip_vs_rr"));
        assert_eq!(module_of("kernel/net/nf-nat.ko").as_deref(), Some("nf_nat"));
        assert_eq!(scheduler_in("\tscheduler = wrr # by weight").as_deref(), Some("wrr"));
        assert_eq!(scheduler_in("# scheduler = wrr"), None);
        assert_eq!(scheduler_in("checktype = connect"), None);
        assert!(kernel().is_some_and(|kernel| kernel > (2, 6)));
    }
}
