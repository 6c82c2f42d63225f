//! The directives that stand within sections only (spec 3.2).

use std::num::NonZeroU16;
use std::path::PathBuf;

use lvs::diag::nearest;
use lvs::ipvs::Family;

use super::address::{VirtualAddress, real_line};
use super::model::{Method, Secret};
use super::read::{Known, set, text, wrong_family};
use super::span::{At, Findings, Span};
use super::value::{Statement, is_word, pattern};
use super::written::{CheckType, Once, ProtocolName, Section, ServiceName, netmask};

/// Reads one line of a section that is not a directive shared with the global level.
pub fn read<'a>(statement: Statement<'a>, section: &mut Section<'a>, findings: &mut Findings) -> Known {
    let Statement { name, value } = statement;
    match name.text() {
        "real" | "real6" => {
            if (name.text() == "real6") == (section.family == Family::Inet6) {
                let line = real_line(value, findings);
                section.reals.extend(line.map(|line| At { value: line, span: value.trim_end() }));
            } else {
                wrong_family(name, findings);
            }
        }
        "checktype" => set(&mut section.check_type, check_type(value, findings)),
        "service" => set(&mut section.service, service(statement, findings)),
        "checkcommand" => {
            set(&mut section.check_command, text(statement.maybe_quoted(), "invalid check command", findings));
        }
        "checkport" => {
            set(&mut section.check_port, port(statement, "checkport must be in range 1..65536", findings));
        }
        "request" => return quoted(statement, "no request string specified", &mut section.request, findings),
        "receive" => {
            let Some(span) = statement.quoted() else { return Known::without_quotes("receive") };
            if span.is_empty() {
                findings.error_with_help(
                    value.trim_end(),
                    "invalid receive string",
                    "leave the line out to take any answer",
                );
                return Known::Yes;
            }
            set(&mut section.receive, pattern(span, findings));
        }
        "httpmethod" => set(&mut section.method, method(statement, findings)),
        "starttls" => set(&mut section.starttls, statement.yes_no(findings)),
        "verify" => set(&mut section.verify, statement.yes_no(findings)),
        "virtualhost" => section.virtual_host = virtual_host(value, findings),
        "login" => return quoted(statement, "invalid login string", &mut section.login, findings),
        "passwd" => return secret(statement, "invalid password", &mut section.password, findings),
        "database" => return quoted(statement, "invalid database", &mut section.database, findings),
        "secret" => return secret(statement, "invalid secret", &mut section.secret, findings),
        "load" => match statement.quoted() {
            Some(span) if span.first_run(is_word).is_none() => {
                findings.error(span, "invalid string for load testing");
            }
            Some(_) => {}
            None => return Known::without_quotes("load"),
        },
        "scheduler" => set(&mut section.scheduler, scheduler(value, findings)),
        "schedflags" => {
            let flags = value.split_run(|c| !c.is_whitespace()).0;
            set(&mut section.scheduler_flags, text(flags, "invalid sched-flags", findings));
        }
        "persistent" => set(&mut section.persistent, statement.number(findings, "invalid persistent timeout")),
        "netmask" => set(&mut section.netmask, read_netmask(value, section.family, findings)),
        "protocol" => set(&mut section.protocol, protocol(statement, section.address.as_ref(), findings)),
        "ops" => set(&mut section.one_packet, statement.yes_no(findings)),
        "monitorfile" => {
            let file = text(statement.maybe_quoted(), "invalid monitorfile", findings);
            set(&mut section.monitor_file, file.map(|At { value, span }| At { value: PathBuf::from(value), span }));
        }
        "rise" => set(&mut section.rise, statement.positive(findings, "invalid rise")),
        "fall" => set(&mut section.fall, statement.positive(findings, "invalid fall")),
        "jitter" => set(&mut section.jitter, percent(statement, findings)),
        "slowstart" => set(&mut section.slow_start, statement.number(findings, "invalid slowstart")),
        "notify" => set(&mut section.notify, text(statement.maybe_quoted(), "invalid notify", findings)),
        "stopfallback" => set(&mut section.stop_fallback, statement.yes_no(findings)),
        "agentport" => set(&mut section.agent_port, port(statement, "agentport must be in range 1..65535", findings)),
        "agentinterval" => set(&mut section.agent_interval, statement.positive(findings, "invalid agentinterval")),
        "draintimeout" => set(&mut section.drain_timeout, statement.number(findings, "invalid draintimeout")),
        "servicename" => section.service_name = Some(verbatim(value)),
        "comment" => section.comment = Some(verbatim(value)),
        _ => return Known::Unknown(None),
    }
    Known::Yes
}

/// A part of a whole; a `%` may follow.
fn percent<'a>(statement: Statement<'a>, findings: &mut Findings) -> Option<At<'a, u32>> {
    let found = statement.number(findings, "invalid jitter")?;
    if found.value > 50 {
        findings.error_with_help(found.span, "invalid jitter", "from 0 to 50 per cent of checkinterval");
        return None;
    }
    Some(found)
}

/// The rest of the line, quotes included.
fn verbatim(value: Span<'_>) -> At<'_, String> {
    let span = value.trim_end();
    At { value: span.text().to_owned(), span }
}

/// **Q**, not empty.
fn quoted<'a>(statement: Statement<'a>, message: &str, slot: &mut Once<'a, String>, findings: &mut Findings) -> Known {
    let Some(span) = statement.quoted() else { return Known::without_quotes(statement.name.text()) };
    if span.is_empty() {
        findings.error(span, message);
    } else {
        *slot = Some(At { value: span.text().to_owned(), span });
    }
    Known::Yes
}

fn secret<'a>(statement: Statement<'a>, message: &str, slot: &mut Once<'a, Secret>, findings: &mut Findings) -> Known {
    let Some(span) = statement.quoted() else { return Known::without_quotes(statement.name.text()) };
    if span.is_empty() {
        findings.error_with_help(statement.name, message, "leave the line out if there is none");
        return Known::Yes;
    }
    *slot = Some(At { value: Secret::new(span.text().to_owned()), span });
    Known::Yes
}

fn check_type<'a>(value: Span<'a>, findings: &mut Findings) -> Option<At<'a, CheckType>> {
    const MESSAGE: &str = "checktype must be \"connect\", \"negotiate\", \"on\", \"off\", \"ping\", \"external\", \
                           \"external-perl\" or a positive number";
    if let Some(digits) = value.first_run(|c| c.is_ascii_digit()) {
        let number = digits.text().parse();
        if number.is_err() {
            findings.error(digits, MESSAGE);
        }
        return number.ok().map(|n| At { value: CheckType::Combined(n), span: digits });
    }
    let word = value.first_run(|c| is_word(c) || c == '-').unwrap_or(value.trim_end());
    let kind = CheckType::from_name(word.text());
    if kind.is_none() {
        findings.error(word, MESSAGE).help = did_you_mean(word, CheckType::names());
    }
    kind.map(|kind| At { value: kind, span: word })
}

fn service<'a>(statement: Statement<'a>, findings: &mut Findings) -> Option<At<'a, ServiceName>> {
    const MESSAGE: &str = "service must be dns, ftp, http, https, http_proxy, imap, imaps, ldap, ldaps, mysql, nntp, \
                           none, oracle, pop, pops, radius, pgsql, simpletcp, sip, smtp or submission";
    let word = statement.word().unwrap_or(statement.value.trim_end());
    let service = ServiceName::from_name(word.text());
    if service.is_none() {
        findings.error(word, MESSAGE).help = did_you_mean(word, ServiceName::names());
    }
    service.map(|service| At { value: service, span: word })
}

fn did_you_mean(word: Span<'_>, names: impl Iterator<Item = &'static str>) -> Option<String> {
    nearest(word.text(), names).map(|near| format!("did you mean \"{near}\"?"))
}

fn port<'a>(statement: Statement<'a>, out_of_range: &str, findings: &mut Findings) -> Option<At<'a, NonZeroU16>> {
    let Some(digits) = statement.value.first_run(|c| c.is_ascii_digit()) else {
        findings.error_with_help(statement.value.trim_end(), "invalid port", "give the number of the port");
        return None;
    };
    let port = digits.text().parse().ok();
    if port.is_none() {
        findings.error_with_help(digits, out_of_range, "ports are 1 to 65535");
    }
    port.map(|port| At { value: port, span: digits })
}

fn method<'a>(statement: Statement<'a>, findings: &mut Findings) -> Option<At<'a, Method>> {
    let word = statement.word().unwrap_or(statement.value.trim_end());
    let method = match word.text().to_ascii_uppercase().as_str() {
        "GET" => Some(Method::Get),
        "HEAD" => Some(Method::Head),
        _ => None,
    };
    if method.is_none() {
        findings.error(word, "httpmethod must be GET or HEAD");
    }
    method.map(|method| At { value: method, span: word })
}

/// Up to the next `"`; quotes are optional. It goes into a header, so nothing may break that.
fn virtual_host<'a>(value: Span<'a>, findings: &mut Findings) -> Once<'a, String> {
    let text = value.text();
    let inner = text.strip_prefix('"').unwrap_or(text);
    let host = value.of(inner.split('"').next().unwrap_or_default()).trim();
    if host.is_empty() {
        return None;
    }
    if !host.text().bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        findings.error_with_help(host, "invalid virtualhost", "a Host header has visible ASCII characters only");
        return None;
    }
    Some(At { value: host.text().to_owned(), span: host })
}

fn scheduler<'a>(value: Span<'a>, findings: &mut Findings) -> Once<'a, lvs::ipvs::Scheduler> {
    /// What kernels have had (`ip_vs_NAME`).
    const KNOWN: [&str; 13] = ["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh"];
    let Some(word) = value.first_run(|c| c.is_ascii_lowercase()) else {
        findings.error(value.trim_end(), "invalid scheduler, should be only lowercase letters (a-z)");
        return None;
    };
    match word.text().parse() {
        Ok(scheduler) => {
            if !KNOWN.contains(&word.text()) {
                let found = findings.warning(word, format!("unknown scheduler \"{}\"", word.text()));
                let near = nearest(word.text(), KNOWN).map(|near| format!("did you mean \"{near}\"?"));
                found.help =
                    near.or_else(|| Some(format!("the kernel will be asked for a module ip_vs_{}", word.text())));
            }
            Some(At { value: scheduler, span: word })
        }
        Err(error) => {
            findings.error_with_help(word, "invalid scheduler", error.to_string());
            None
        }
    }
}

fn read_netmask<'a>(value: Span<'a>, family: Family, findings: &mut Findings) -> Once<'a, lvs::ipvs::Netmask> {
    let value = value.trim_end();
    let mask = netmask(value.text(), family);
    if mask.is_none() {
        let message = match family {
            Family::Inet => "invalid netmask: dotted quad notation is required",
            Family::Inet6 => "invalid netmask: a prefix length between 1 and 128 is required",
        };
        findings.error(value, message);
    }
    mask.map(|mask| At { value: mask, span: value })
}

fn protocol<'a>(
    statement: Statement<'a>,
    address: Option<&VirtualAddress<'a>>,
    findings: &mut Findings,
) -> Once<'a, ProtocolName> {
    let Some(word) = statement.word() else {
        findings.error(statement.value.trim_end(), "invalid protocol");
        return None;
    };
    let named = match word.text() {
        "tcp" => Some(ProtocolName::Tcp),
        "udp" => Some(ProtocolName::Udp),
        "fwm" => Some(ProtocolName::Fwm),
        _ => None,
    };
    let message = match (address?, named) {
        (VirtualAddress::Mark(_), Some(ProtocolName::Fwm))
        | (VirtualAddress::Address { .. }, Some(ProtocolName::Tcp | ProtocolName::Udp)) => {
            return named.map(|named| At { value: named, span: word });
        }
        (VirtualAddress::Mark(_), _) => "protocol must be fwm if the virtual service is a fwmark (a number)",
        (VirtualAddress::Address { .. }, _) => {
            "protocol must be tcp or udp if the virtual service is an address and port"
        }
    };
    findings.error(word, message);
    None
}
