//! How virtual services, real servers and fallbacks are written (spec chapter 4). Names
//! stay names here; `build` looks them up.

use lvs::ipvs::{Family, Forward, MAX_WEIGHT, Mark, Tunnel};

use super::pattern::Pattern;
use super::span::{At, Findings, Span};
use super::value::{is_word, pattern};

/// A virtual service as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VirtualAddress<'a> {
    /// Address or name, and port.
    Address {
        /// A quad, a name, or what stands between brackets.
        host: Span<'a>,
        /// A number or the name of a service.
        port: Span<'a>,
    },
    /// A firewall mark.
    Mark(Mark),
}

/// A `real` line as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealLine<'a> {
    /// The server, or the first of a range.
    pub host: Span<'a>,
    /// The last of a range.
    pub last: Option<Span<'a>>,
    /// A number or the name of a service.
    pub port: Option<Span<'a>>,
    /// Forwarding method.
    pub forward: Forward,
    /// Weight, at most [`MAX_WEIGHT`].
    pub weight: u32,
    /// The weight as written; `1` if it was not.
    pub weight_as_written: &'a str,
    /// This server's own request, and its own pattern unless that is empty.
    pub probe: Option<(Span<'a>, Option<Pattern>)>,
    /// `l:`; 0 if absent.
    pub lower_threshold: u32,
    /// `u:`; 0 if absent.
    pub upper_threshold: u32,
}

/// A `fallback` line as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackLine<'a> {
    /// A quad, a name, or what stands between brackets.
    pub host: Span<'a>,
    /// A number or the name of a service; the virtual's port if absent.
    pub port: Option<Span<'a>>,
    /// Forwarding method; `gate` if absent.
    pub forward: Forward,
}

/// Reads what follows `virtual=` (spec 4.1). Text after the match is ignored.
pub fn virtual_address<'a>(value: Span<'a>, family: Family, findings: &mut Findings) -> Option<VirtualAddress<'a>> {
    const INVALID: &str = "invalid address for virtual server";
    let text = value.text();
    if text.starts_with('[') {
        if family == Family::Inet {
            let message = "cannot specify an IPv6 address here. please use \"virtual6\" instead.";
            findings.error(value.trim_end(), message);
            return None;
        }
        let Some((host, Some(port))) = bracketed(value).map(|(host, rest)| (host, port_after(rest))) else {
            findings.error_with_help(value.trim_end(), INVALID, "write it as [ADDRESS]:PORT");
            return None;
        };
        if host.text().parse::<std::net::Ipv6Addr>().is_err() {
            findings.error(host, "invalid ipv6 address for virtual server");
            return None;
        }
        return Some(VirtualAddress::Address { host, port });
    }
    let (host, rest) = value.split_run(is_host);
    if !host.is_empty()
        && let Some(port) = port_after(rest)
    {
        return Some(VirtualAddress::Address { host, port });
    }
    let (digits, rest) = value.split_run(|c| c.is_ascii_digit());
    // `8x` is mark 8, but an address that was not finished is no mark.
    let alone = !rest.text().starts_with('.');
    if digits.is_empty() || !alone {
        let help = if is_quad(host.text()) {
            format!("a port is missing: {}:80", host.text())
        } else {
            "write it as ADDRESS:PORT, NAME:PORT or, for a firewall mark, as a number".to_owned()
        };
        findings.error_with_help(value.trim_end(), INVALID, help);
        return None;
    }
    let mark = digits.text().parse().ok().and_then(Mark::new);
    if mark.is_none() {
        findings.error_with_help(digits, INVALID, format!("firewall marks are 1 to {}", u32::MAX));
    }
    if mark.is_some() && !rest.is_empty() && !rest.text().starts_with(char::is_whitespace) {
        findings.warning(rest.trim_end(), format!("this is firewall mark {}; the rest is ignored", digits.text()));
    }
    mark.map(VirtualAddress::Mark)
}

/// Reads what follows `real=` (spec 4.2).
pub fn real_line<'a>(value: Span<'a>, findings: &mut Findings) -> Option<RealLine<'a>> {
    let (server, rest) = value.split_run(|c| !c.is_whitespace());
    let Some((host, last, port)) = server_address(server).filter(|_| !rest.is_empty()) else {
        let help = "write it as ADDRESS:PORT METHOD WEIGHT";
        findings.error_with_help(server, "invalid address for real server (wrong format)", help);
        return None;
    };
    let (forward, rest) = method(rest, findings)?;
    let (weight, rest) = weight(rest, findings)?;
    let (probe, rest) = probe(rest);
    let probe = match probe {
        Some((request, receive)) if receive.is_empty() => Some((request, None)),
        Some((request, receive)) => Some((request, Some(pattern(receive, findings)?.value))),
        None => None,
    };
    let mut line = RealLine {
        host,
        last,
        port,
        forward,
        weight: weight.map_or(1, |w| w.value),
        weight_as_written: weight.map_or("1", |w| w.span.text()),
        probe,
        lower_threshold: 0,
        upper_threshold: 0,
    };
    for part in rest {
        thresholds(part, &mut line, findings)?;
    }
    if line.lower_threshold > line.upper_threshold && line.upper_threshold > 0 {
        let message = "the lower connection threshold is above the upper one";
        findings.error_with_help(value.trim(), message, "the kernel would refuse the server");
        return None;
    }
    Some(line)
}

/// Reads what follows `fallback=` (spec 4.3).
pub fn fallback_line<'a>(value: Span<'a>, family: Family, findings: &mut Findings) -> Option<FallbackLine<'a>> {
    let (server, rest) = value.split_run(|c| !c.is_whitespace());
    let Some((host, None, port)) = server_address(server) else {
        findings.error_with_help(
            value.trim_end(),
            no_fallback(family, server.text()),
            "write it as ADDRESS:PORT METHOD",
        );
        return None;
    };
    let forward = if rest.trim().is_empty() { Forward::Gate } else { method(rest, findings)?.0 };
    if rest.trim().text().contains(|c| !is_word(c)) {
        // Weight and thresholds are for real servers.
        findings.error(rest.trim(), "forward method must be gate, masq or ipip");
        return None;
    }
    Some(FallbackLine { host, port, forward })
}

/// What the original says about a fallback that it cannot use.
pub fn no_fallback(family: Family, host: &str) -> String {
    let version = if family == Family::Inet { "IPv4" } else { "IPv6" };
    format!("invalid {version} address or could not resolve for fallback server: {host}")
}

/// `HOST[->HOST][:PORT]`, all of it.
fn server_address(server: Span<'_>) -> Option<(Span<'_>, Option<Span<'_>>, Option<Span<'_>>)> {
    let (first, beyond) = match server.split_once("->") {
        Some((first, beyond)) => (first, Some(beyond)),
        None => (server, None),
    };
    let (last, port) = host_and_port(beyond.unwrap_or(first))?;
    if beyond.is_none() {
        return Some((last, None, port));
    }
    match host_and_port(first)? {
        (host, None) => Some((host, Some(last), port)),
        (_, Some(_)) => None,
    }
}

/// `HOST[:PORT]`, all of it.
fn host_and_port(text: Span<'_>) -> Option<(Span<'_>, Option<Span<'_>>)> {
    let (host, rest) = if text.text().starts_with('[') { bracketed(text)? } else { text.split_run(is_host) };
    if host.is_empty() {
        return None;
    }
    if rest.is_empty() {
        return Some((host, None));
    }
    let port = port_after(rest)?;
    let whole = port.text().len() + 1 == rest.text().len();
    whole.then_some((host, Some(port)))
}

/// What stands between `[` and `]`, and what follows.
fn bracketed(text: Span<'_>) -> Option<(Span<'_>, Span<'_>)> {
    let (host, rest) = text.of(text.text().strip_prefix('[')?).split_once("]")?;
    let address = host.text().chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    (address && !host.is_empty()).then_some((host, rest))
}

/// The port behind a colon.
fn port_after(text: Span<'_>) -> Option<Span<'_>> {
    let (port, _) = text.of(text.text().strip_prefix(':')?).split_run(|c| is_word(c) || c == '-');
    (!port.is_empty()).then_some(port)
}

fn is_host(c: char) -> bool {
    is_word(c) || matches!(c, '.' | '+' | '-')
}

fn is_quad(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

/// The forwarding method, and what follows.
fn method<'a>(text: Span<'a>, findings: &mut Findings) -> Option<(Forward, Span<'a>)> {
    let word = text.first_run(is_word);
    let forward = match word.map(|word| word.text()) {
        Some("gate") => Forward::Gate,
        Some("masq") => Forward::Masq,
        Some("ipip") => Forward::Tunnel(Tunnel::Ipip),
        _ => {
            findings.error(word.unwrap_or(text.trim_end()), "forward method must be gate, masq or ipip");
            return None;
        }
    };
    let (_, rest) = text.split_once(word?.text())?;
    Some((forward, rest))
}

/// The first run of digits behind a blank and before any quote, and what follows it. Text
/// before the weight is dropped (`masq, 5`), text where there is none is not.
fn weight<'a>(text: Span<'a>, findings: &mut Findings) -> Option<(Option<At<'a, u32>>, Span<'a>)> {
    let before_quote = text.text().split('"').next().unwrap_or_default();
    let mut blank = false;
    let start = before_quote.char_indices().find_map(|(at, c)| {
        let found = blank && c.is_ascii_digit();
        blank = c.is_whitespace();
        found.then_some(at)
    });
    let Some(start) = start else { return Some((None, text)) };
    let (digits, rest) = text.of(&text.text()[start..]).split_run(|c| c.is_ascii_digit());
    let weight = digits.text().parse().ok().filter(|&weight| weight <= MAX_WEIGHT);
    if weight.is_none() {
        findings.error_with_help(digits, "invalid weight for real server", format!("weights are 0 to {MAX_WEIGHT}"));
    }
    Some((Some(At { value: weight?, span: digits }), rest))
}

/// A pair of quoted strings with a comma or a blank between them, and what stands before and after.
fn probe(text: Span<'_>) -> (Option<(Span<'_>, Span<'_>)>, [Span<'_>; 2]) {
    let (before, _) = text.split_run(|c| c != '"');
    let pair = || {
        let opening = text.text()[before.text().len()..].strip_prefix('"')?;
        let (request, rest) = text.of(opening).split_once("\"")?;
        let between = rest.split_run(|c| c == ',' || c.is_whitespace());
        let receive = between.1.text().strip_prefix('"').filter(|_| !between.0.is_empty())?;
        let end = receive.rfind('"')?;
        Some(((request, text.of(&receive[..end])), text.of(&receive[end + 1..])))
    };
    match pair() {
        Some((pair, rest)) => (Some(pair), [before, rest]),
        None => (None, [text, text.of(&text.text()[text.text().len()..])]),
    }
}

/// `l:N` and `u:N` in either order, and nothing else.
fn thresholds<'a>(text: Span<'a>, line: &mut RealLine<'a>, findings: &mut Findings) -> Option<()> {
    let mut rest = text;
    while !rest.trim().is_empty() {
        let (word, after) = rest.trim_start().split_run(|c| !c.is_whitespace());
        let number =
            word.text().get(2..).filter(|n| n.bytes().all(|b| b.is_ascii_digit())).and_then(|n| n.parse().ok());
        match (word.text().get(..2), number) {
            (Some("l:"), Some(number)) => line.lower_threshold = number,
            (Some("u:"), Some(number)) => line.upper_threshold = number,
            _ => {
                let message = format!("Invalid real server line, around \"{}\"", rest.text());
                let help = "write it as ADDRESS:PORT METHOD WEIGHT \"REQUEST\", \"RECEIVE\" l:LOWER u:UPPER";
                findings.error_with_help(rest.trim(), message, help);
                return None;
            }
        }
        rest = after;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(findings: Findings) -> Vec<String> {
        findings.into_sorted().into_iter().map(|d| d.message).collect()
    }

    fn real(text: &str) -> Result<RealLine<'_>, Vec<String>> {
        let mut findings = Findings::new("x.cf".as_ref());
        real_line(Span::whole(1, text), &mut findings).ok_or_else(|| messages(findings))
    }

    fn address(text: &str, family: Family) -> Result<String, Vec<String>> {
        let mut findings = Findings::new("x.cf".as_ref());
        match virtual_address(Span::whole(1, text), family, &mut findings) {
            Some(VirtualAddress::Mark(mark)) => Ok(format!("mark {mark}")),
            Some(VirtualAddress::Address { host, port }) => Ok(format!("{} port {}", host.text(), port.text())),
            None => Err(messages(findings)),
        }
    }

    #[test]
    fn a_virtual_is_an_address_with_port_or_a_mark() {
        use Family::{Inet, Inet6};
        let cases = [
            ("198.51.100.1:80 and more", Inet, "198.51.100.1 port 80"),
            ("www_1.example.net:http-alt", Inet, "www_1.example.net port http-alt"),
            ("www.example.net:80", Inet6, "www.example.net port 80"),
            ("[2001:DB8::01]:80", Inet6, "2001:DB8::01 port 80"),
            ("8", Inet, "mark 8"),
            ("8 # web", Inet6, "mark 8"),
            ("8x", Inet, "mark 8"),
        ];
        for (text, family, expected) in cases {
            assert_eq!(address(text, family).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_address_without_port_is_not_a_mark() {
        let cases = [
            ("10.0.0.1", Family::Inet, "invalid address for virtual server"),
            ("8.x", Family::Inet, "invalid address for virtual server"),
            ("0", Family::Inet, "invalid address for virtual server"),
            ("4294967296", Family::Inet, "invalid address for virtual server"),
            ("", Family::Inet, "invalid address for virtual server"),
            ("[2001:db8::1]", Family::Inet6, "invalid address for virtual server"),
            ("[web]:80", Family::Inet6, "invalid address for virtual server"),
            ("[::ffff:192.0.2.1]:80", Family::Inet6, "invalid address for virtual server"),
            ("[1:2]:80", Family::Inet6, "invalid ipv6 address for virtual server"),
            ("[::1]:80", Family::Inet, "cannot specify an IPv6 address here. please use \"virtual6\" instead."),
        ];
        for (text, family, message) in cases {
            assert_eq!(address(text, family), Err(vec![message.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_real_server_line_is_taken_apart() {
        let line = real(r#"192.0.2.9->192.0.2.12:http masq 007 "/a, b", "^o"k$" l:10 u:30"#).unwrap();
        assert_eq!(line.host.text(), "192.0.2.9");
        assert_eq!(line.last.unwrap().text(), "192.0.2.12");
        assert_eq!(line.port.unwrap().text(), "http");
        assert_eq!((line.forward, line.weight, line.weight_as_written), (Forward::Masq, 7, "007"));
        let (request, receive) = line.probe.unwrap();
        assert_eq!((request.text(), receive.unwrap().as_str()), ("/a, b", "^o\"k$"));
        assert_eq!((line.lower_threshold, line.upper_threshold), (10, 30));
    }

    #[test]
    fn what_real_lines_get_away_with() {
        let weight = |text| real(text).map(|line| line.weight);
        assert_eq!(weight("192.0.2.1:80 masq"), Ok(1));
        assert_eq!(weight("192.0.2.1:80\tmasq\t7   "), Ok(7));
        assert_eq!(weight("192.0.2.1:80 masq, 5"), Ok(5));
        assert_eq!(weight("192.0.2.1:80 masq around 6"), Ok(6));
        assert_eq!(weight("my_web:80 masq 0"), Ok(0));
        assert_eq!(weight(r#"192.0.2.1 masq "health 9", "OK 9""#), Ok(1));
        assert_eq!(weight(r#"192.0.2.1 masq "a" "b""#), Ok(1));
        assert_eq!(real("[2001:db8::1] masq").unwrap().host.text(), "2001:db8::1");
        let line = real(r#"192.0.2.155:80 masq 4 l:1 "a", "b" u:2"#).unwrap();
        assert_eq!((line.lower_threshold, line.upper_threshold, line.probe.is_some()), (1, 2, true));
        let line = real("192.0.2.155:80 masq 4 u:30 l:10").unwrap();
        assert_eq!((line.lower_threshold, line.upper_threshold), (10, 30));
    }

    #[test]
    fn mistakes_in_real_lines_are_told_in_the_original_words() {
        let format = "invalid address for real server (wrong format)";
        let method = "forward method must be gate, masq or ipip";
        let cases = [
            ("", format),
            ("192.0.2.1:80", format),
            ("10.0.0.2::5060 gate", format),
            ("192.0.2.1:80->192.0.2.2 gate", format),
            ("(192.0.2.1) gate", format),
            ("192.0.2.1:80 route", method),
            ("192.0.2.1:80 Masq", method),
            ("192.0.2.1:80  ", method),
            ("192.0.2.1:80 masq 5 6", "Invalid real server line, around \" 6\""),
            ("192.0.2.1:80 masq 5x", "Invalid real server line, around \"x\""),
            ("192.0.2.1:80 masq 5 \"/a\"", "Invalid real server line, around \" \"/a\"\""),
            ("192.0.2.1:80 masq foo", "Invalid real server line, around \" foo\""),
            ("192.0.2.1:80 masq 5 l:x", "Invalid real server line, around \" l:x\""),
            ("192.0.2.1:80 masq 2147483648", "invalid weight for real server"),
            ("192.0.2.1:80 masq 1 l:9 u:3", "the lower connection threshold is above the upper one"),
        ];
        for (text, message) in cases {
            assert_eq!(real(text).map(|_| ()), Err(vec![message.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_fallback_is_gate_by_default_and_never_empty() {
        let read = |text| {
            let mut findings = Findings::new("x.cf".as_ref());
            fallback_line(Span::whole(1, text), Family::Inet, &mut findings).ok_or_else(|| messages(findings))
        };
        assert_eq!(read("127.0.0.1").unwrap().forward, Forward::Gate);
        let line = read("localhost:8080 masq").unwrap();
        assert_eq!((line.port.unwrap().text(), line.forward), ("8080", Forward::Masq));
        let empty = "invalid IPv4 address or could not resolve for fallback server: ";
        assert_eq!(read(""), Err(vec![empty.to_owned()]));
        let method = "forward method must be gate, masq or ipip";
        for extra in ["web masq 5", "web masq, x", "web -masq"] {
            assert_eq!(read(extra), Err(vec![method.to_owned()]), "{extra}");
        }
        assert_eq!(read("web nat"), Err(vec!["forward method must be gate, masq or ipip".to_owned()]));
    }
}
