//! Reads lines into the file as written. Every directive of spec chapter 3 is known here,
//! with the original's messages; a mistake costs its line and no other.

use std::path::PathBuf;

use lvs::diag::nearest;
use lvs::ipvs::Family;

use super::address::{fallback_line, virtual_address};
use super::lines::Row;
use super::model::{AlertDuring, LogTarget};
use super::section;
use super::span::{At, Findings, Span};
use super::value::Statement;
use super::written::{Globals, Section, Shared, Written};

/// Names that may stand outside sections only.
const GLOBAL_ONLY: &[&str] = &[
    "autoreload",
    "callback",
    "emailalertfrom",
    "execute",
    "fork",
    "logfile",
    "maintenancedir",
    "readdquiescent",
    "supervised",
];

/// Names that may stand outside and within sections.
const SHARED: &[&str] = &[
    "checkcount",
    "checkinterval",
    "checktimeout",
    "cleanstop",
    "emailalert",
    "emailalertfreq",
    "emailalertstatus",
    "failurecount",
    "fallback",
    "fallback6",
    "fallbackcommand",
    "negotiatetimeout",
    "quiescent",
    "smtp",
];

/// Names that may stand within sections only.
const SECTION_ONLY: &[&str] = &[
    "agentinterval",
    "agentport",
    "checkcommand",
    "checkport",
    "checktype",
    "comment",
    "database",
    "draintimeout",
    "fall",
    "httpmethod",
    "jitter",
    "load",
    "login",
    "monitorfile",
    "netmask",
    "notify",
    "ops",
    "passwd",
    "persistent",
    "protocol",
    "real",
    "real6",
    "receive",
    "request",
    "rise",
    "schedflags",
    "scheduler",
    "secret",
    "service",
    "servicename",
    "slowstart",
    "starttls",
    "stopfallback",
    "verify",
    "virtualhost",
];

/// Whether a directive by this name exists where it stands; `Unknown` is reported by the caller,
/// who knows the line.
pub enum Known {
    /// It does, and its value was read or its mistake reported.
    Yes,
    /// It does not, or its value is written in a way that makes the line unknown.
    Unknown(Option<String>),
}

impl Known {
    /// Unknown because the value lacks quotes.
    pub fn without_quotes(name: &str) -> Self {
        Self::Unknown(Some(format!("the value must be in double quotes: {name}=\"...\"")))
    }
}

/// What indented lines are taken for where no section is open.
#[derive(Clone, Copy)]
enum Strays {
    /// The first is a mistake.
    Unexpected,
    /// One mistake was reported, and they most likely belong to it.
    Reported,
    /// A line of the section before them was not indented: they belong to that section.
    OfLastSection,
}

/// Reads a whole file.
pub fn read<'a>(rows: &[Row<'a>], findings: &mut Findings) -> Written<'a> {
    let mut written = Written::default();
    let mut open: Option<Section<'a>> = None;
    let mut strays = Strays::Unexpected;
    for &row in rows {
        match (row, &mut open) {
            (Row::Open { name, value }, _) => {
                let family = if name.text() == "virtual6" { Family::Inet6 } else { Family::Inet };
                open = Some(Section::new(value.trim_end(), family, virtual_address(value, family, findings)));
            }
            (Row::Section(line), Some(section)) => read_section_line(line, section, findings),
            (Row::Shallow(line), Some(section)) => {
                let known = is_section_line(line);
                let help = "lines of a section are indented by a tab or at least four blanks";
                unknown(line, false, known.then(|| help.to_owned()), findings);
                // Its value is read all the same: the rest of the section depends on it.
                if known {
                    read_section_line(line, section, findings);
                }
            }
            (Row::Close(line), _) => {
                if let Some(mut section) = open.take() {
                    section.closed_by = line;
                    written.sections.push(section);
                }
                strays = Strays::Unexpected;
            }
            (Row::Global(line), _) => {
                let known = read_global(line, &mut written.globals, findings);
                strays = match known {
                    Known::Yes => Strays::Unexpected,
                    Known::Unknown(_) if is_section_line(line) => Strays::OfLastSection,
                    Known::Unknown(_) => Strays::Reported,
                };
                if let Known::Unknown(help) = known {
                    unknown(line, false, help.or_else(|| misplaced_or_misspelt(line, true)), findings);
                }
            }
            (Row::Stray(line) | Row::Section(line) | Row::Shallow(line), _) => match strays {
                Strays::Unexpected => {
                    let help = "no section is open here; a global directive begins in column 1";
                    unknown(line, false, Some(help.to_owned()), findings);
                    strays = Strays::Reported;
                }
                Strays::OfLastSection => {
                    if let Some(section) = written.sections.last_mut() {
                        read_section_line(line, section, findings);
                    }
                }
                Strays::Reported => {}
            },
        }
    }
    written
}

fn read_section_line<'a>(line: Span<'a>, section: &mut Section<'a>, findings: &mut Findings) {
    let known = match Statement::parse(line) {
        Some(statement) => match read_shared(statement, Some(section.family), &mut section.shared, findings) {
            Some(known) => known,
            None => section::read(statement, section, findings),
        },
        None => Known::Unknown(None),
    };
    if let Known::Unknown(help) = known {
        unknown(line, true, help.or_else(|| misplaced_or_misspelt(line, false)), findings);
    }
}

/// The original quotes lines of sections, and only those.
fn unknown(line: Span<'_>, quoted: bool, help: Option<String>, findings: &mut Findings) {
    let quote = if quoted { "\"" } else { "" };
    let message = format!("Unknown command {quote}{}{quote}", line.shown_line());
    findings.error(line.trim(), message).help = help;
}

fn is_section_line(line: Span<'_>) -> bool {
    let name = Statement::parse(line).map(|statement| statement.name.text());
    name.is_some_and(|name| SECTION_ONLY.contains(&name) || SHARED.contains(&name))
}

/// What may be wrong with a directive that is not known where it stands.
fn misplaced_or_misspelt(line: Span<'_>, global: bool) -> Option<String> {
    let (name, rest) = line.split_run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = name.text();
    let (here, elsewhere) = if global { (GLOBAL_ONLY, SECTION_ONLY) } else { (SECTION_ONLY, GLOBAL_ONLY) };
    let mut known = here.iter().chain(SHARED).copied();
    if known.clone().any(|known| known == name) {
        return (!rest.trim_start().text().starts_with('=')).then(|| format!("write it as {name}=VALUE"));
    }
    if elsewhere.contains(&name) {
        return Some(if global {
            format!("{name} belongs into the section of a virtual server, indented by a tab or four blanks")
        } else {
            format!("{name} is a global directive: it stands in column 1, outside of sections")
        });
    }
    let virtuals = global.then_some(["virtual", "virtual6"]).into_iter().flatten();
    nearest(name, known.by_ref().chain(virtuals)).map(|near| format!("did you mean \"{near}\"?"))
}

/// Reads a line outside sections.
fn read_global<'a>(line: Span<'a>, globals: &mut Globals<'a>, findings: &mut Findings) -> Known {
    if line.text().starts_with("supervised") {
        globals.supervised = supervised(line, findings);
        return Known::Yes;
    }
    let Some(statement) = Statement::parse(line) else { return Known::Unknown(None) };
    if let Some(known) = read_shared(statement, None, &mut globals.shared, findings) {
        return known;
    }
    let Statement { name, value } = statement;
    match name.text() {
        "fallback6" => fallback(value, Family::Inet6, &mut globals.fallback6, findings),
        "autoreload" => set(&mut globals.auto_reload, statement.yes_no(findings)),
        "fork" => set(&mut globals.fork, statement.yes_no(findings)),
        "readdquiescent" => set(&mut globals.readd_quiescent, statement.yes_no(findings)),
        "callback" => match statement.quoted() {
            Some(span) => globals.callback = Some(At { value: span.text().to_owned(), span }),
            None => return Known::without_quotes("callback"),
        },
        "logfile" => match statement.quoted() {
            Some(span) if span.is_empty() => {
                findings.warning_with_help(name, "logfile names no file", "the default file is used");
            }
            Some(span) => globals.log = Some(At { value: log_target(span.text()), span }),
            None => return Known::without_quotes("logfile"),
        },
        "execute" => {
            let span = value.trim();
            if span.is_empty() {
                findings.warning(name, "execute names no configuration and does nothing");
            } else {
                globals.execute.push(At { value: span.text().trim_matches('"').to_owned(), span });
            }
        }
        "emailalertfrom" => {
            set(&mut globals.email_alert_from, text(value, "no email from address specified", findings));
        }
        "maintenancedir" => {
            let directory = text(unquoted(value.trim_end()), "maintenance directory not specified", findings);
            set(
                &mut globals.maintenance_directory,
                directory.map(|At { value, span }| At { value: value.into(), span }),
            );
        }
        "timeout" => {
            let message = "timeout directive deprecated in favour of checktimeout and negotiatetimeout";
            findings.error(name, message);
        }
        _ => return Known::Unknown(None),
    }
    Known::Yes
}

/// `supervised`, alone on its line or with a value.
fn supervised<'a>(line: Span<'a>, findings: &mut Findings) -> Option<At<'a, bool>> {
    if line.trim_end().text() == "supervised" {
        findings.warning_with_help(
            line.trim_end(),
            "please update your config not to use a bare supervised directive",
            "write supervised=yes",
        );
        return Some(At { value: true, span: line });
    }
    let statement = Statement::parse(line).filter(|s| s.name.text() == "supervised");
    if statement.is_none() {
        findings.error(line.trim_end(), "supervised must be 'yes' or 'no'");
    }
    statement?.yes_no(findings)
}

/// An absolute path, or else the name of a facility.
fn log_target(text: &str) -> LogTarget {
    if text.starts_with('/') { LogTarget::File(PathBuf::from(text)) } else { LogTarget::Facility(text.to_owned()) }
}

/// Reads a directive that may stand in both places; `None` if it is not one. `family` is that
/// of the section, or `None` outside.
fn read_shared<'a>(
    statement: Statement<'a>,
    family: Option<Family>,
    shared: &mut Shared<'a>,
    findings: &mut Findings,
) -> Option<Known> {
    // Messages about global values end in "value".
    let what = |text: &str| if family.is_none() { format!("{text} value") } else { text.to_owned() };
    let Statement { name, value } = statement;
    match name.text() {
        "checktimeout" => {
            set(&mut shared.check_timeout, statement.positive(findings, &what("invalid check timeout")));
        }
        "negotiatetimeout" => {
            set(&mut shared.negotiate_timeout, statement.positive(findings, &what("invalid negotiate timeout")));
        }
        "checkinterval" => {
            let message = if family.is_none() { "invalid check interval value" } else { "invalid checkinterval" };
            set(&mut shared.check_interval, statement.positive(findings, message));
        }
        "checkcount" => {
            let message = "checkcount option is deprecated and slated for removal.  please see 'failurecount'";
            findings.warning(name, message);
            set(&mut shared.check_count, statement.positive(findings, &what("invalid check count")));
        }
        "failurecount" => {
            set(&mut shared.failure_count, statement.positive(findings, &what("invalid failure count")));
        }
        "connecttimeout" => {
            findings.error(name, "connecttimeout directive deprecated in favour of negotiatetimeout");
        }
        "fallback" if family != Some(Family::Inet6) => {
            fallback(value, Family::Inet, &mut shared.fallback, findings);
        }
        "fallback6" if family == Some(Family::Inet6) => {
            fallback(value, Family::Inet6, &mut shared.fallback, findings);
        }
        "fallback" | "fallback6" if family.is_some() => wrong_family(name, findings),
        "fallbackcommand" => {
            // The quotes of the global form once reached the shell, which removed them (B27).
            let command = text(statement.maybe_quoted(), "invalid fallback command", findings);
            set(&mut shared.fallback_command, command);
        }
        "quiescent" => set(&mut shared.quiescent, statement.yes_no(findings)),
        "cleanstop" => set(&mut shared.clean_stop, statement.yes_no(findings)),
        "emailalert" => {
            set(&mut shared.email_alert, text(unquoted(value.trim_end()), "no email address specified", findings));
        }
        "emailalertfreq" => {
            let digits = value.split_run(|c| c.is_ascii_digit()).0;
            match digits.text().parse() {
                Ok(seconds) => shared.email_alert_frequency = Some(At { value: seconds, span: digits }),
                Err(_) => {
                    findings.error_with_help(value.trim_end(), "invalid email alert frequency", "give it in seconds")
                }
            }
        }
        "emailalertstatus" => set(&mut shared.email_alert_status, alert_status(value, findings)),
        "smtp" => {
            let host = value.split_run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-')).0;
            if host.is_empty() {
                findings.error_with_help(
                    value.trim_end(),
                    "invalid SMTP server address",
                    "a name or an IPv4 address, unquoted",
                );
            } else {
                shared.smtp = Some(At { value: host.text().to_owned(), span: host });
            }
        }
        _ => return None,
    }
    Some(Known::Yes)
}

/// A comma list of states; `all` and `none` are words of their own.
fn alert_status<'a>(value: Span<'a>, findings: &mut Findings) -> Option<At<'a, AlertDuring>> {
    let mut during = AlertDuring { starting: false, running: false, stopping: false, reloading: false };
    let (mut none, mut other) = (false, None);
    let mut words: Vec<&str> = value.text().split(',').collect();
    // Nothing behind the last comma is nothing: no state at all is none.
    while words.pop_if(|word| word.is_empty()).is_some() {}
    for (index, word) in words.iter().enumerate() {
        // Blanks are allowed around commas, and nowhere else.
        let word = if index > 0 { word.trim_start() } else { word };
        let word = if index + 1 < words.len() { word.trim_end() } else { word };
        match word {
            "none" => none = true,
            "all" => during = AlertDuring { starting: true, running: true, stopping: true, reloading: true },
            "starting" => during.starting = true,
            "running" => during.running = true,
            "stopping" => during.stopping = true,
            "reloading" => during.reloading = true,
            unknown => {
                let help = "a list of all, none, starting, running, stopping, reloading, separated by commas";
                let message = format!("invalid email alert status at: \"{unknown}\"");
                findings.error_with_help(value.of(word), message, help);
                return None;
            }
        }
        if word != "none" {
            other.get_or_insert(value.of(word));
        }
    }
    if let (true, Some(other)) = (none, other) {
        findings.error(other, format!("invalid email alert status: \"{}\" specified with \"none\"", other.text()));
        return None;
    }
    Some(At { value: during, span: value })
}

/// A value that was read replaces an earlier one; a mistake, which was reported, does not.
pub fn set<'a, T>(slot: &mut Option<At<'a, T>>, value: Option<At<'a, T>>) {
    if value.is_some() {
        *slot = value;
    }
}

/// The rest of the line, which must not be empty.
pub fn text<'a>(span: Span<'a>, message: &str, findings: &mut Findings) -> Option<At<'a, String>> {
    if span.trim().is_empty() {
        findings.error(span, message);
        return None;
    }
    Some(At { value: span.text().to_owned(), span })
}

/// Without one enclosing pair of double quotes.
fn unquoted(span: Span<'_>) -> Span<'_> {
    let inner = span.text().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map_or(span, |inner| span.of(inner))
}

fn fallback<'a>(
    value: Span<'a>,
    family: Family,
    slot: &mut Option<At<'a, super::address::FallbackLine<'a>>>,
    findings: &mut Findings,
) {
    set(slot, fallback_line(value, family, findings).map(|line| At { value: line, span: value.trim_end() }));
}

/// A directive of the other family: `fallback6` under `virtual`, `real` under `virtual6`.
pub fn wrong_family(name: Span<'_>, findings: &mut Findings) {
    let name_text = name.text();
    let right = name_text.strip_suffix('6').map_or_else(|| format!("{name_text}6"), str::to_owned);
    let message = format!("cannot specify \"{name_text}\" here.  please use \"{right}\" instead");
    findings.error(name, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_every_directive() {
        let manual = include_str!("../../../docs/man/ldirectord.8");
        let names: Vec<&str> = manual.lines().flat_map(|line| line.split_whitespace()).collect();
        for name in GLOBAL_ONLY.iter().chain(SHARED).chain(SECTION_ONLY) {
            assert!(names.contains(name), "{name}");
        }
    }
}
