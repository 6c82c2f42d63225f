//! `ipvsadm -L -c`: the rows of `/proc/net/ip_vs_conn` (spec/ipvs.md A.9, B.7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ipvs::Protocol;
use crate::ipvs::text::{Names, endpoint, pad, push};

/// One row of `/proc/net/ip_vs_conn`.
///
/// ```
/// use lvs::ipvs::list::Connection;
///
/// let row = "TCP 0A090001 9C41 0A000001 0050 0A090002 0050 ESTABLISHED     895";
/// let connection = Connection::parse(row).expect("a row");
/// assert_eq!(connection.destination, "10.9.0.2:80".parse()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// As the kernel writes it: `TCP`, `UDP`, `SCTP`, `IP` for templates of mark services.
    pub protocol: &'a str,
    /// The client; port 0 in a template.
    pub source: SocketAddr,
    /// The virtual service.
    pub virtual_address: SocketAddr,
    /// The real server.
    pub destination: SocketAddr,
    /// As the kernel writes it: `ESTABLISHED`, `NONE`.
    pub state: &'a str,
    /// Time left, seconds.
    pub expires: u32,
    /// Persistence engine and its data.
    pub engine: Option<(&'a str, &'a str)>,
}

impl<'a> Connection<'a> {
    /// Reads a row; `None` for the heading and for whatever else is not a row.
    #[must_use]
    pub fn parse(row: &'a str) -> Option<Self> {
        let mut words = row.split_ascii_whitespace();
        let protocol = words.next()?;
        let mut at = || Some(SocketAddr::new(address(words.next()?)?, u16::from_str_radix(words.next()?, 16).ok()?));
        let (source, virtual_address, destination) = (at()?, at()?, at()?);
        let state = words.next()?;
        let expires = words.next()?.parse().ok()?;
        let engine = words.next().zip(words.next());
        Some(Self { protocol, source, virtual_address, destination, state, expires, engine })
    }
}

/// Eight hex digits, or an IPv6 address in eight groups; newer kernels put it in brackets in `ip_vs`.
fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from_bits(bits).into())
    }
}

/// Adds the two heading lines; `engines` is `--persistent-conn`.
pub fn connection_heading(out: &mut String, engines: bool) {
    out.push_str("IPVS connection entries\n");
    out.push_str("pro expire state       source             virtual            destination");
    out.push_str(if engines { "        pe name          pe_data\n" } else { "\n" });
}

/// Adds the line of a connection; `engines` is `--persistent-conn`.
pub fn connection_line(out: &mut String, connection: &Connection<'_>, engines: bool, names: &mut dyn Names) {
    let Connection { protocol, source, virtual_address, destination, state, expires, engine } = *connection;
    let transport = match protocol {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    };
    let left = format!("{:02}:{:02}", expires / 60, expires % 60);
    push(out, format_args!("{protocol:<3} {left:<6} {state:<11} "));
    let mut column = |out: &mut String, at, width| {
        let start = out.len();
        endpoint(out, at, transport, names);
        pad(out, start, width);
    };
    column(out, source, 18);
    out.push(' ');
    column(out, virtual_address, 18);
    out.push(' ');
    match engine.filter(|_| engines) {
        Some((name, data)) => {
            column(out, destination, 16);
            push(out, format_args!(" {name:<18} {data}"));
        }
        None => column(out, destination, 0),
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::text::Numeric;

    fn shown(row: &str, engines: bool) -> String {
        let mut out = String::new();
        connection_line(&mut out, &Connection::parse(row).expect("a row"), engines, &mut Numeric);
        out
    }

    #[test]
    fn rows_are_shown_in_ipvsadms_columns() {
        let row = "UDP 0A090001 0000 0A000001 13C4 0A090002 13C4 NONE            595 sip call-one@10.9.0.1";
        let plain = "UDP 09:55  NONE        10.9.0.1:0         10.0.0.1:5060      10.9.0.2:5060";
        assert_eq!(shown(row, false), format!("{plain}\n"));
        assert_eq!(shown(row, true), format!("{plain}    sip                call-one@10.9.0.1\n"));
        let v6 = "TCP 2001:0db8:0001:0000:0000:0000:0000:0099 9C41 2001:0db8:0000:0000:0000:0000:0000:0001 0050 \
                  2001:0db8:0001:0000:0000:0000:0000:0001 0050 ESTABLISHED    7201";
        let expected = "TCP 120:01 ESTABLISHED [2001:db8:1::99]:40001 [2001:db8::1]:80   [2001:db8:1::1]:80\n";
        assert_eq!(shown(v6, true), expected);
    }

    #[test]
    fn the_heading_and_broken_rows_are_no_connections() {
        let heading = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData";
        for row in [heading, "", "TCP", "TCP 0A090001 0000 0A000001 13C4 0A090002 13C4 NONE x", "TCP zz 1 2 3 4 5 6"] {
            assert_eq!(Connection::parse(row), None, "{row}");
        }
    }
}
