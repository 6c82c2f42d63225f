//! The table in ipvsadm's words: addresses with and without names, and the lines of
//! `ipvsadm -S` (spec/ipvs.md A.9 "Names", A.10).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Change, Destination, Family, Forward, Netmask, Protocol, SchedulerFlags, Service, ServiceKey, Tunnel,
    TunnelChecksum,
};

/// ipvsadm builds `host:port` in a buffer of 60 bytes, the last of them NUL.
const LONGEST_ENDPOINT: usize = 59;

/// Where names of hosts and ports come from. Every answer may be `None`: then numbers are shown.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use lvs::ipvs::Protocol;
/// use lvs::ipvs::text::{Names, endpoint};
///
/// /// Knows one host.
/// struct Hosts;
/// impl Names for Hosts {
///     fn host(&mut self, address: IpAddr) -> Option<String> {
///         (address == Ipv4Addr::new(192, 0, 2, 1)).then(|| "www".to_owned())
///     }
///     fn service(&mut self, _: u16, _: Protocol) -> Option<String> {
///         None
///     }
///     fn address(&mut self, host: &str) -> Option<Ipv4Addr> {
///         (host == "www").then_some(Ipv4Addr::new(192, 0, 2, 1))
///     }
///     fn port(&mut self, _: &str, _: Protocol) -> Option<u16> {
///         None
///     }
/// }
/// let mut text = String::new();
/// endpoint(&mut text, "192.0.2.1:80".parse()?, Some(Protocol::Tcp), &mut Hosts);
/// assert_eq!(text, "www:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub trait Names {
    /// The name of an address.
    fn host(&mut self, address: IpAddr) -> Option<String>;
    /// The name of a port; never asked for protocols other than TCP, UDP and SCTP.
    fn service(&mut self, port: u16, protocol: Protocol) -> Option<String>;
    /// The first IPv4 address of a host.
    fn address(&mut self, host: &str) -> Option<Ipv4Addr>;
    /// The port of a named service.
    fn port(&mut self, service: &str, protocol: Protocol) -> Option<u16>;
}

/// Numbers only, as with `-n`.
///
/// ```
/// use lvs::ipvs::text::{Numeric, service_options};
/// use lvs::ipvs::ServiceKey;
///
/// let mut text = String::new();
/// service_options(&mut text, &ServiceKey::udp("192.0.2.1:53".parse()?), &mut Numeric);
/// assert_eq!(text, "-u 192.0.2.1:53");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Numeric;

impl Names for Numeric {
    fn host(&mut self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&mut self, _: u16, _: Protocol) -> Option<String> {
        None
    }

    fn address(&mut self, _: &str) -> Option<Ipv4Addr> {
        None
    }

    fn port(&mut self, _: &str, _: Protocol) -> Option<u16> {
        None
    }
}

/// Adds formatted text. Writing to a `String` cannot fail.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Cuts what was added since `start` to `limit` bytes, or fewer where a character would be split.
pub(super) fn cut(out: &mut String, start: usize, limit: usize) {
    let end = start.saturating_add(limit);
    if out.len() > end {
        out.truncate((start..=end).rev().find(|&at| out.is_char_boundary(at)).unwrap_or(start));
    }
}

/// Fills up what was added since `start` to `width` bytes with blanks.
pub(super) fn pad(out: &mut String, start: usize, width: usize) {
    blanks(out, (start + width).saturating_sub(out.len()));
}

fn blanks(out: &mut String, mut count: usize) {
    const BLANKS: &str = "                                ";
    while count > 0 {
        let some = count.min(BLANKS.len());
        out.push_str(&BLANKS[..some]);
        count -= some;
    }
}

/// Adds a decimal number, and blanks up to `width` bytes. Listings of large tables are mostly these, and the
/// standard library's formatting takes several times as long.
pub(super) fn left(out: &mut String, number: u32, width: usize) {
    let start = out.len();
    decimal(out, number);
    pad(out, start, width);
}

fn decimal(out: &mut String, mut number: u32) {
    if let Ok(small) = u8::try_from(number) {
        out.push_str(octet(small));
        return;
    }
    let mut digits = [0; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[first..].iter().copied().map(char::from));
}

/// How many characters it takes to write the numbers below 256.
const OCTETS_LENGTH: usize = 10 + 90 * 2 + 156 * 3;

/// The numbers below 256, one behind the other: every part of an IPv4 address, and most ports, weights and
/// counters of a table.
const OCTETS: &str = {
    const DIGITS: [u8; OCTETS_LENGTH] = {
        let mut digits = [0; OCTETS_LENGTH];
        let (mut at, mut number) = (0, 0);
        while number < 256 {
            let mut unit = if number < 10 {
                1
            } else if number < 100 {
                10
            } else {
                100
            };
            while unit > 0 {
                digits[at] = b'0' + (number / unit % 10) as u8;
                (at, unit) = (at + 1, unit / 10);
            }
            number += 1;
        }
        digits
    };
    match str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => panic!("digits are text"),
    }
};

fn octet(number: u8) -> &'static str {
    let number = usize::from(number);
    let (start, length) = match number {
        0..10 => (number, 1),
        10..100 => (10 + (number - 10) * 2, 2),
        _ => (190 + (number - 100) * 3, 3),
    };
    &OCTETS[start..start + length]
}

fn ipv4(out: &mut String, address: Ipv4Addr) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        decimal(out, octet.into());
    }
}

/// Adds `host:port`; IPv6 hosts, names too, in brackets. Cut at 59 bytes, as ipvsadm does.
/// Without a protocol (servers of a mark service) the port is a number.
pub fn endpoint(out: &mut String, at: SocketAddr, protocol: Option<Protocol>, names: &mut dyn Names) {
    let start = out.len();
    let host = names.host(at.ip());
    let port = protocol
        .filter(|p| matches!(p, Protocol::Tcp | Protocol::Udp | Protocol::Sctp))
        .and_then(|protocol| names.service(at.port(), protocol));
    match (host, at.ip()) {
        (Some(host), IpAddr::V4(_)) => out.push_str(&host),
        (Some(host), IpAddr::V6(_)) => push(out, format_args!("[{host}]")),
        (None, IpAddr::V4(address)) => ipv4(out, address),
        (None, IpAddr::V6(address)) => {
            out.push('[');
            ipv6(out, address);
            out.push(']');
        }
    }
    match port {
        Some(port) => push(out, format_args!(":{port}")),
        None => {
            out.push(':');
            decimal(out, at.port().into());
        }
    }
    cut(out, start, LONGEST_ENDPOINT);
}

/// Adds an IPv6 address as glibc's `inet_ntop` writes it: addresses that begin with six zero groups, or
/// five and `ffff`, end in dotted form.
pub fn ipv6(out: &mut String, address: Ipv6Addr) {
    let groups = address.segments();
    let (mut run, mut best) = (0..0, 0..0);
    for (at, &group) in groups.iter().enumerate() {
        run = if group != 0 { at + 1..at + 1 } else { run.start..at + 1 };
        if run.len() > best.len() {
            best = run.clone();
        }
    }
    if best.len() < 2 {
        best = 0..0;
    }
    let dotted = best.start == 0 && (best.len() == 6 || best.len() == 5 && groups[5] == 0xffff);
    let mut at = 0;
    while at < groups.len() {
        if !best.is_empty() && at == best.start {
            out.push_str("::");
            at = best.end;
        } else if at == 6 && dotted {
            let [.., a, b, c, d] = address.octets();
            push(out, format_args!("{}", Ipv4Addr::new(a, b, c, d)));
            return;
        } else {
            push(out, format_args!("{:x}", groups[at]));
            at += 1;
            if at < groups.len() && at != best.start {
                out.push(':');
            }
        }
    }
}

/// The words of the scheduler flags that are set, separated by commas: what `-b` takes. `sh` and `mh`
/// have words of their own and none for flag 3.
#[must_use]
pub fn scheduler_flags(scheduler: &str, flags: SchedulerFlags) -> String {
    let words: [&str; 3] = match scheduler {
        "sh" => ["sh-fallback", "sh-port", ""],
        "mh" => ["mh-fallback", "mh-port", ""],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let SchedulerFlags { flag_1, flag_2, flag_3 } = flags;
    let set = words.into_iter().zip([flag_1, flag_2, flag_3]).filter(|&(word, set)| set && !word.is_empty());
    set.map(|(word, _)| word).collect::<Vec<_>>().join(",")
}

/// Adds the options that name a service: `-t 192.0.2.1:80`, `-f 8 -6`. Marks above 2147483647
/// come out negative, as ipvsadm's do.
pub fn service_options(out: &mut String, key: &ServiceKey, names: &mut dyn Names) {
    match *key {
        ServiceKey::Address { protocol, at } => {
            out.push_str(match protocol {
                Protocol::Tcp => "-t ",
                Protocol::Udp => "-u ",
                Protocol::Sctp => "--sctp-service ",
                Protocol::Other(_) => "--xxx-service ",
            });
            endpoint(out, at, Some(protocol), names);
        }
        ServiceKey::Mark { family, mark } => mark_options(out, family, mark.get().cast_signed()),
    }
}

fn mark_options(out: &mut String, family: Family, mark: impl std::fmt::Display) {
    push(out, format_args!("-f {mark}"));
    if family == Family::Inet6 {
        out.push_str(" -6");
    }
}

/// Adds the line that `ipvsadm -S` prints for a service. `options` is what [`service_options`] gave.
pub fn save_service(out: &mut String, options: &str, key: &ServiceKey, service: &Service) {
    push(out, format_args!("-A {options}"));
    scheduling_options(out, key, service);
    out.push('\n');
}

fn scheduling_options(out: &mut String, key: &ServiceKey, service: &Service) {
    let Service { scheduler, scheduler_flags: flags, persistence, one_packet, engine } = service;
    push(out, format_args!(" -s {scheduler}"));
    if let Some(persistence) = persistence {
        push(out, format_args!(" -p {}", persistence.timeout));
        if persistence.netmask != Netmask::host(key.family()) {
            match persistence.netmask {
                Netmask::Mask(mask) => push(out, format_args!(" -M {mask}")),
                Netmask::Prefix(prefix) => push(out, format_args!(" -M {prefix}")),
            }
        }
    }
    if let Some(engine) = engine {
        push(out, format_args!(" --pe {engine}"));
    }
    if *one_packet {
        out.push_str(" -o");
    }
    if flags.bits() != 0 {
        push(out, format_args!(" -b {}", scheduler_flags(scheduler.as_str(), *flags)));
    }
}

/// Adds the line that `ipvsadm -S` prints for a real server. Thresholds are not part of it.
pub fn save_destination(
    out: &mut String,
    options: &str,
    key: &ServiceKey,
    at: SocketAddr,
    destination: &Destination,
    names: &mut dyn Names,
) {
    push(out, format_args!("-a {options} -r "));
    endpoint(out, at, protocol_of(key), names);
    forwarding_options(out, destination);
    out.push('\n');
}

fn forwarding_options(out: &mut String, destination: &Destination) {
    let method = match destination.forward {
        Forward::Masq => "-m",
        Forward::Tunnel(_) => "-i",
        Forward::Local | Forward::Gate => "-g",
        // What ipvsadm prints, and what -R refuses: no option says this method.
        Forward::Bypass => "(null)",
    };
    push(out, format_args!(" {method} -w {}", destination.weight.cast_signed()));
    match destination.forward {
        Forward::Tunnel(Tunnel::Ipip) => out.push_str(" --tun-type ipip"),
        Forward::Tunnel(Tunnel::Gue { port, checksum }) => {
            push(out, format_args!(" --tun-type gue --tun-port {port}"));
            out.push_str(checksum_option(checksum));
        }
        Forward::Tunnel(Tunnel::Gre { checksum }) => {
            out.push_str(" --tun-type gre");
            out.push_str(checksum_option(checksum));
        }
        Forward::Tunnel(Tunnel::Other { .. }) | Forward::Masq | Forward::Local | Forward::Gate | Forward::Bypass => {}
    }
}

/// The arguments of ipvsadm that do the same as a change, in numbers; large marks as they are meant.
/// Changes that are not about services and servers are told in words.
#[must_use]
pub fn command_line(change: &Change) -> String {
    let (verb, key) = match change {
        Change::AddService(key, _) => ("-A", key),
        Change::EditService(key, _) => ("-E", key),
        Change::DeleteService(key) => ("-D", key),
        Change::AddDestination(key, ..) => ("-a", key),
        Change::EditDestination(key, ..) => ("-e", key),
        Change::DeleteDestination(key, _) => ("-d", key),
        Change::Zero(_) | Change::Flush | Change::SetTimeouts(_) | Change::StartDaemon(_) | Change::StopDaemon(_) => {
            return change.to_string();
        }
    };
    let mut out = format!("{verb} ");
    match *key {
        ServiceKey::Address { .. } => service_options(&mut out, key, &mut Numeric),
        ServiceKey::Mark { family, mark } => mark_options(&mut out, family, mark),
    }
    if let Change::AddService(_, service) | Change::EditService(_, service) = change {
        scheduling_options(&mut out, key, service);
    }
    if let Change::AddDestination(_, at, _) | Change::EditDestination(_, at, _) | Change::DeleteDestination(_, at) =
        change
    {
        out.push_str(" -r ");
        endpoint(&mut out, *at, protocol_of(key), &mut Numeric);
    }
    if let Change::AddDestination(_, _, destination) | Change::EditDestination(_, _, destination) = change {
        forwarding_options(&mut out, destination);
        for (option, threshold) in [("-x", destination.upper_threshold), ("-y", destination.lower_threshold)] {
            if threshold > 0 {
                push(&mut out, format_args!(" {option} {threshold}"));
            }
        }
    }
    out
}

/// No option stands for other flags; without one the restored server has no checksum.
fn checksum_option(checksum: TunnelChecksum) -> &'static str {
    match checksum {
        TunnelChecksum::None => " --tun-nocsum",
        TunnelChecksum::Full => " --tun-csum",
        TunnelChecksum::Remote => " --tun-remcsum",
        TunnelChecksum::Other(_) => "",
    }
}

/// The protocol that names the ports of a service and its servers; a mark has none.
pub(super) fn protocol_of(key: &ServiceKey) -> Option<Protocol> {
    match *key {
        ServiceKey::Address { protocol, .. } => Some(protocol),
        ServiceKey::Mark { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_256_are_written_as_all_others() {
        for number in (0..=300).chain([999, 65_535, u32::MAX]) {
            let mut out = String::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string());
        }
    }

    fn shown(address: &str) -> String {
        let mut out = String::new();
        ipv6(&mut out, address.parse().expect("an address"));
        out
    }

    #[test]
    fn ipv6_addresses_are_written_as_glibc_writes_them() {
        let cases = [
            ("::", "::"),
            ("::1", "::1"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::1:2", "::0.1.0.2"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
            ("::ffff:0:102:304", "::ffff:0:102:304"),
            ("64:ff9b::102:304", "64:ff9b::102:304"),
            ("2001:DB8:0:0::2", "2001:db8::2"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
            ("0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"),
            ("fe80::", "fe80::"),
        ];
        for (address, expected) in cases {
            assert_eq!(shown(address), expected, "{address}");
        }
    }

    #[test]
    fn a_long_name_is_cut_at_59_bytes() {
        struct Long;
        impl Names for Long {
            fn host(&mut self, _: IpAddr) -> Option<String> {
                Some("ä".repeat(40))
            }
            fn service(&mut self, _: u16, _: Protocol) -> Option<String> {
                None
            }
            fn address(&mut self, _: &str) -> Option<Ipv4Addr> {
                None
            }
            fn port(&mut self, _: &str, _: Protocol) -> Option<u16> {
                None
            }
        }
        let mut out = String::new();
        endpoint(&mut out, SocketAddr::from(([10, 0, 0, 1], 80)), None, &mut Long);
        assert_eq!(out, "ä".repeat(29), "a character is never split");
    }

    #[test]
    fn a_mark_above_two_to_the_31_is_saved_as_ipvsadm_saves_it() {
        let key = ServiceKey::Mark { family: Family::Inet6, mark: super::super::Mark::MAX };
        let mut out = String::new();
        service_options(&mut out, &key, &mut Numeric);
        assert_eq!(out, "-f -1 -6");
        assert_eq!(command_line(&Change::DeleteService(key)), "-D -f 4294967295 -6");
    }

    #[test]
    fn a_change_is_told_as_the_arguments_that_make_it() {
        let (key, at) = (ServiceKey::tcp(([10, 0, 0, 1], 80).into()), SocketAddr::from(([10, 1, 0, 1], 8080)));
        let server = Destination { upper_threshold: 9, ..Destination::new(Forward::Masq, 2) };
        let lines = [
            Change::EditService(key, Service::default()),
            Change::EditDestination(key, at, server),
            Change::DeleteDestination(key, at),
            Change::DeleteService(key),
        ]
        .map(|change| command_line(&change));
        let expected = [
            "-E -t 10.0.0.1:80 -s wlc",
            "-e -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 2 -x 9",
            "-d -t 10.0.0.1:80 -r 10.1.0.1:8080",
            "-D -t 10.0.0.1:80",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn tunnel_flags_without_a_word_are_left_out() {
        let checksum = TunnelChecksum::Other(3);
        let destination = Destination::new(Forward::Tunnel(Tunnel::Gre { checksum }), 1);
        let at = SocketAddr::from(([10, 1, 0, 1], 80));
        let mut out = String::new();
        save_destination(&mut out, "-t 10.0.0.1:80", &ServiceKey::tcp(at), at, &destination, &mut Numeric);
        assert_eq!(out, "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 1 --tun-type gre\n");
    }
}
