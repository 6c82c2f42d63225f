//! ha.cf: from lines to what they say, before it is asked whether that makes sense.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Surroundings;
use super::directive::{self, Directive, Standing, Takes};
use super::fence::{self, Device};
use super::helper::{self, Helper};
use super::medium::{self, Above, BAUD, Kind, Line, Medium, Mistake, Udp};
use super::model::{GenerationMethod, PingNode, UuidFrom};
use super::ping;
use super::source::{Place, Source, Word};
use super::value::{self, Wrong};
use crate::wire::Form;

/// heartbeat reads no more of a line (spec 1.1).
const LONGEST_LINE: usize = 5119;
const LONGEST_NODE_NAME: usize = 99;
const MOST_HELPERS: usize = 64;
/// Every node passes on what it hears of every other, so messages grow with the square of their number.
const MOST_NODES: usize = 8;
/// As many nodes as heartbeat has room for, less the two.
const MOST_PINGS: usize = 98;

/// Directives that take a time.
const TIMES: [&str; 6] = ["keepalive", "deadtime", "warntime", "initdead", "deadping", "conn_logd_time"];
/// Directives that heartbeat takes once.
const ONCE: [&str; 2] = ["watchdog", "baud"];

/// What `auto_failback` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failback {
    On,
    Off,
    Legacy,
}

/// The file as written: each value with its place.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) keepalive: Option<(Duration, Place)>,
    pub(super) deadtime: Option<(Duration, Place)>,
    pub(super) warntime: Option<(Duration, Place)>,
    pub(super) initdead: Option<(Duration, Place)>,
    pub(super) nodes: Vec<Word>,
    pub(super) media: Vec<(Medium, Place)>,
    pub(super) pings: Vec<(PingNode, Place)>,
    pub(super) deadping: Option<(Duration, Place)>,
    /// Where a fencing device is named first.
    /// Where ipfail is asked for.
    pub(super) ipfail: Option<Place>,
    /// Programs to run, in the order of the file.
    pub(super) helpers: Vec<Helper>,
    /// Fencing devices, and for whom.
    pub(super) devices: Vec<Device>,
    pub(super) failback: Option<(Failback, Place)>,
    pub(super) hopfudge: u8,
    pub(super) max_rexmit_delay: Duration,
    pub(super) generation: GenerationMethod,
    pub(super) uuid: UuidFrom,
    pub(super) form: Form,
    pub(super) debug: u8,
    pub(super) watchdog: Option<PathBuf>,
    /// Of the system log.
    pub(super) facility: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Media that were written down with a mistake in them.
    pub(super) broken_media: usize,
    above: Above,
    baud_is_set: bool,
    /// Of heartbeat's client socket, as `apiauth` names them.
    clients: Vec<String>,
}

/// Reads the whole file; mistakes are noted in the source.
pub(super) fn read(source: &mut Source, around: &Surroundings) -> Written {
    let mut written = Written {
        keepalive: None,
        deadtime: None,
        warntime: None,
        initdead: None,
        nodes: Vec::new(),
        media: Vec::new(),
        pings: Vec::new(),
        deadping: None,
        ipfail: None,
        helpers: Vec::new(),
        devices: Vec::new(),
        failback: None,
        hopfudge: 1,
        max_rexmit_delay: Duration::from_millis(250),
        generation: GenerationMethod::File,
        uuid: UuidFrom::File,
        form: Form::Usual,
        debug: 0,
        watchdog: None,
        facility: None,
        environment: Vec::new(),
        broken_media: 0,
        above: Above { port: around.port, baud: BAUD },
        baud_is_set: false,
        clients: Vec::new(),
    };
    for line in source.lines() {
        if line.text.len() > LONGEST_LINE {
            source.error(&line.place, "the line is too long", format!("{LONGEST_LINE} bytes are read"));
            continue;
        }
        let Some((name, rest)) = line.before('#').first_and_rest() else { continue };
        match directive::find(&name.text) {
            None => {
                let (message, help) = directive::unknown(&name.text);
                source.error(&name.place, message, help);
            }
            Some(directive) => written.line(directive, &name, &rest, source, around),
        }
    }
    written
}

impl Written {
    fn line(&mut self, directive: &Directive, name: &Word, rest: &Word, source: &mut Source, around: &Surroundings) {
        match directive.standing {
            Standing::Refused(reason, help) => return source.error(&name.place, reason, help),
            Standing::Ignored(reason) => {
                source.warn(&name.place, format!("{} has no effect: {reason}", name.text), None);
            }
            Standing::Done => {}
        }
        let commas = directive.takes != Takes::Line;
        let words = rest.split(|c| c.is_ascii_whitespace() || c == '\u{c}' || commas && c == ',');
        if words.is_empty() {
            return source.warn(&name.place, format!("{} without a value is not considered", name.text), None);
        }
        if let Some(kind) = Kind::of(directive.name) {
            return self.media(kind, name, &words, source, around);
        }
        if let Some(kind) = ping::Kind::of(directive.name) {
            return self.ping_nodes(kind.read(&words, around), name, source);
        }
        if matches!(directive.name, "stonith" | "stonith_host") {
            match fence::read(directive.name == "stonith_host", &words, source, around) {
                Ok(device) => self.devices.push(device),
                Err((word, Wrong { message, help })) => source.error(&word.place, message, help),
            }
            return;
        }
        match directive.name {
            "respawn" | "failfast" => return self.helper(name, &words, source, around),
            "apiauth" => return self.apiauth(name, &words, source, around),
            _ => {}
        }
        if directive.takes == Takes::Line {
            return;
        }
        if directive.takes == Takes::Value {
            self.record(directive, rest);
            if let [value, next, ..] = words.as_slice() {
                let is_time = TIMES.contains(&directive.name) && next.text.starts_with(|c: char| c.is_alphabetic());
                let message = format!("{} takes one value", name.text);
                if is_time {
                    return source.error(&next.place, message, value::joined(&value.text, &next.text));
                }
                if ONCE.contains(&directive.name) {
                    return source.error(&next.place, message, format!("write \"{} {}\"", name.text, value.text));
                }
                let last = words.last().unwrap_or(next);
                let help = format!("write \"{} {}\"", name.text, last.text);
                source.warn(&next.place, format!("{message}, and the last one counts"), help);
            }
        }
        for word in &words {
            if let Err(Wrong { message, help }) = self.value(directive.name, word, source, around) {
                source.error(&word.place, message, help);
            }
        }
    }

    /// Scripts find what was written in `HA_<directive>` (spec 2.3).
    fn record(&mut self, directive: &Directive, rest: &Word) {
        if directive.takes == Takes::Value
            && !matches!(directive.name, "nice_failback" | "use_apphbd" | "crm" | "pacemaker")
        {
            self.export(directive.name, &rest.text);
        }
    }

    fn export(&mut self, name: &str, value: &str) {
        let name = format!("HA_{name}");
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_owned()));
    }

    fn media(&mut self, kind: Kind, name: &Word, words: &[Word], source: &mut Source, around: &Surroundings) {
        if name.text == "udp" {
            source.warn(&name.place, "udp is an old name", "write bcast");
        }
        for (medium, word) in kind.read(words, self.above, around).into_iter().zip(words) {
            match medium {
                Ok(Medium::Serial(line)) => self.line_of_its_own(line, word, source, around),
                Ok(medium) => self.media.push((medium, name.place.clone())),
                Err((word, Wrong { message, help })) => {
                    self.broken_media += 1;
                    source.error(&word.place, message, help);
                }
            }
        }
    }

    fn line_of_its_own(&mut self, line: Line, word: &Word, source: &mut Source, around: &Surroundings) {
        if self.media.iter().any(|(medium, _)| medium.link() == line.device) {
            self.broken_media += 1;
            return source.error(&word.place, format!("serial line {:?} a second time", line.device), "one cable each");
        }
        if let Err(e) = (around.is_device)(Path::new(&line.device)) {
            let help = "it is tried again and again, and is a link that is down until then";
            source.warn(&word.place, format!("serial line {:?} cannot be used now: {e}", line.device), help);
        }
        self.media.push((Medium::Serial(line), word.place.clone()));
    }

    fn ping_nodes(&mut self, nodes: Vec<Result<PingNode, Mistake>>, name: &Word, source: &mut Source) {
        for node in nodes {
            match node {
                Ok(node) if self.pings.iter().any(|(known, _)| known.name == node.name) => {
                    source.error(&name.place, format!("ping node {:?} a second time", node.name), None);
                }
                Ok(_) if self.pings.len() == MOST_PINGS => {
                    source.error(&name.place, format!("more than {MOST_PINGS} ping nodes"), None);
                }
                Ok(node) => self.pings.push((node, name.place.clone())),
                Err((word, Wrong { message, help })) => source.error(&word.place, message, help),
            }
        }
    }

    /// ipfail is part of this program; others are started beside it.
    fn helper(&mut self, name: &Word, words: &[Word], source: &mut Source, around: &Surroundings) {
        if words.get(1).is_some_and(|program| program.text.rsplit('/').next() == Some("ipfail")) {
            self.ipfail = Some(name.place.clone());
            return;
        }
        match helper::read(name.text == "failfast", words, around) {
            Ok(helper) if helper.is_client() => {
                let message = format!("{} is not started: {}", helper.program.display(), directive::API);
                source.warn(&words[1].place, message, "it would end at once, again and again: leave the line out");
            }
            Ok(_) if self.helpers.len() == MOST_HELPERS => {
                source.error(&name.place, format!("more than {MOST_HELPERS} programs"), "start some from elsewhere");
            }
            Ok(helper) => self.helpers.push(helper),
            Err((word, Wrong { message, help })) => source.error(&word.place, message, help),
        }
    }

    fn value(&mut self, name: &str, word: &Word, source: &mut Source, around: &Surroundings) -> Result<(), Wrong> {
        let text = word.text.as_str();
        let here = || word.place.clone();
        let no = |message: String, help: &str| Err(Wrong { message, help: Some(help.to_owned()) });
        match name {
            "keepalive" => self.keepalive = Some((positive(text)?, here())),
            "deadtime" => self.deadtime = Some((positive(text)?, here())),
            "warntime" => self.warntime = Some((positive(text)?, here())),
            "initdead" => self.initdead = Some((positive(text)?, here())),
            "deadping" => self.deadping = Some((positive(text)?, here())),
            "node" => self.node(word, source)?,
            "udpport" => {
                // Within the bounds of a port.
                self.above.port = integer(word, 1, 65535, source)? as u16;
                if let Some(service) = (around.service)(self.above.port) {
                    let message = format!("UDP port {text} is reserved for the service {service:?}");
                    source.warn(&word.place, message, "694 is heartbeat's own");
                }
                let has_port = |medium: &Medium| match medium {
                    Medium::Udp(Udp::Bcast { .. } | Udp::Ucast { .. } | Udp::Ucast6 { .. }) => true,
                    Medium::Udp(Udp::Mcast { .. } | Udp::Mcast6 { .. }) | Medium::Serial(_) => false,
                };
                if self.media.iter().any(|(medium, _)| has_port(medium)) {
                    source.warn(&word.place, "udpport acts on the media below it only", "move it above them");
                }
            }
            "baud" if self.baud_is_set => return no("a second baud".into(), "all serial lines have the same"),
            "baud" => {
                self.baud_is_set = true;
                self.above.baud = medium::baud(text)?;
                if self.media.iter().any(|(medium, _)| matches!(medium, Medium::Serial(_))) {
                    source.warn(&word.place, "baud acts on the serial lines below it only", "move it above them");
                }
            }
            "auto_failback" => {
                let value = match value::boolean(text) {
                    Ok(true) => Failback::On,
                    Ok(false) => Failback::Off,
                    Err(_) if text.eq_ignore_ascii_case("legacy") => Failback::Legacy,
                    Err(_) => return no(format!("{text:?} is not on, off or legacy"), "write on or off"),
                };
                self.failback = Some((value, here()));
            }
            "nice_failback" => {
                let nice = value::boolean(text)?;
                let instead = if nice { "auto_failback off" } else { "auto_failback on" };
                source.warn(&word.place, "nice_failback is obsolete", format!("write \"{instead}\""));
                self.failback = Some((if nice { Failback::Off } else { Failback::Legacy }, here()));
            }
            // Both fit in a byte by their bounds.
            "hopfudge" => self.hopfudge = integer(word, 0, 255, source)? as u8,
            "debug" => self.debug = integer(word, 0, 255, source)? as u8,
            "max_rexmit_delay" => {
                self.max_rexmit_delay = Duration::from_millis(integer(word, 1, 60_000, source)?.into());
            }
            "hbgenmethod" => {
                self.generation = match text {
                    "file" => GenerationMethod::File,
                    "time" => GenerationMethod::Time,
                    _ => return no(format!("{text:?} is no way to number generations"), "write file or time"),
                }
            }
            "uuidfrom" => {
                self.uuid = match text {
                    "file" => UuidFrom::File,
                    "nodename" => UuidFrom::NodeName,
                    _ => return no(format!("{text:?} is no source of a UUID"), "write file or nodename"),
                }
            }
            "msgfmt" => {
                self.form = match text {
                    "classic" => Form::Usual,
                    "netstring" => Form::Bare,
                    _ => return no(format!("{text:?} is no message format"), "write classic or netstring"),
                }
            }
            "autojoin" if text == "none" => {}
            "autojoin" if matches!(text, "other" | "any") => {
                return no("autojoin is for Pacemaker clusters".into(), "with haresources it must be none, or absent");
            }
            "autojoin" => return no(format!("{text:?} is not none, other or any"), "write none, or leave it out"),
            "crm" | "pacemaker" if value::boolean(text) == Ok(false) => {}
            "crm" | "pacemaker" => {
                return no(
                    format!("{name} {text}: Pacemaker mode is not available"),
                    "resources come from haresources",
                );
            }
            "watchdog" if self.watchdog.is_some() => {
                return no("a second watchdog device".into(), "one resets the machine as well as two");
            }
            "watchdog" if !text.starts_with('/') => {
                return no(format!("{text:?} is not a device"), "usually /dev/watchdog");
            }
            "watchdog" => {
                let why = match (around.is_device)(Path::new(text)) {
                    Ok(true) => None,
                    Ok(false) => Some("it is no device".to_owned()),
                    Err(e) => Some(e.to_string()),
                };
                if let Some(why) = why {
                    let help =
                        "heartbeatd does not start without it; its module may have to be loaded, such as softdog";
                    source.warn(&word.place, format!("watchdog {text:?} cannot be used now: {why}"), help);
                }
                self.watchdog = Some(text.into());
            }
            "logfacility" => match lvs::daemon::logging::facility(text) {
                Some(_) => self.facility = Some(text.to_ascii_lowercase()),
                None if text == "none" => {
                    source.warn(&word.place, "none: the system log is the only one there is", "its facility is daemon");
                }
                None => return no(format!("{text:?} is no facility of the system log"), "such as daemon or local0"),
            },
            "env" => match text.split_once('=') {
                Some((variable, value)) if !variable.is_empty() => self.export(variable, value),
                _ => return no(format!("{text:?} is not NAME=VALUE"), "scripts will see it as HA_NAME"),
            },
            _ => ignored(name, word, source)?,
        }
        Ok(())
    }

    /// What ipfail is allowed is built in; nobody else has a socket to use it on.
    fn apiauth(&mut self, name: &Word, words: &[Word], source: &mut Source, around: &Surroundings) {
        match helper::client(words, around) {
            Ok(client) if self.clients.iter().any(|known| known == client) => {
                source.error(&words[0].place, format!("apiauth {client} a second time"), "one line for each client");
            }
            Ok(client) => {
                if client != "ipfail" {
                    source.warn(&name.place, format!("apiauth {client} has no effect: {}", directive::API), None);
                }
                self.clients.push(client.to_owned());
            }
            Err((word, Wrong { message, help })) => source.error(&word.place, message, help),
        }
    }

    fn node(&mut self, word: &Word, source: &mut Source) -> Result<(), Wrong> {
        let name = word.text.to_ascii_lowercase();
        let no = |message: String, help: String| Err(Wrong { message, help: Some(help) });
        if name.len() > LONGEST_NODE_NAME || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return no("not a node name".into(), format!("at most {LONGEST_NODE_NAME} plain characters"));
        }
        if let Some(first) = self.nodes.iter().find(|node| node.text == name) {
            let help = format!("it stands in line {} already", first.place.line);
            return no(format!("node {name:?} a second time"), help);
        }
        if self.nodes.len() == MOST_NODES {
            let help = "every node passes on what it hears of every other: make two clusters of them";
            source.error(&word.place, format!("more than {MOST_NODES} nodes"), help);
            return Ok(());
        }
        self.nodes.push(Word { text: name, place: word.place.clone() });
        Ok(())
    }
}

/// A whole number as heartbeat takes it. That something behind it does not count is told.
fn integer(word: &Word, least: u32, most: u32, source: &mut Source) -> Result<u32, Wrong> {
    let (number, counts) = value::leading_number(&word.text, least, most)?;
    if let Some(counts) = counts {
        source.warn(&word.place, format!("{:?} counts as {counts}", word.text), "write the number alone");
    }
    Ok(number)
}

/// The values of what has no effect, as strict as heartbeat is with them: a file that it refuses is not taken here either.
fn ignored(name: &str, word: &Word, source: &mut Source) -> Result<(), Wrong> {
    let text = word.text.as_str();
    let no = |message: String, help: &str| Err(Wrong { message, help: Some(help.to_owned()) });
    match name {
        "use_logd"
        | "use_apphbd"
        | "syslogmsgfmt"
        | "log_badpack"
        | "coredumps"
        | "realtime"
        | "traditional_compression" => value::boolean(text).map(|_| ()),
        "conn_logd_time" => positive(text).map(|_| ()),
        "rtprio" => integer(word, 1, 99, source).map(|_| ()),
        "compression_threshold" => integer(word, 1, u32::MAX, source).map(|_| ()),
        "memreserve" => integer(word, 0, u32::MAX, source).map(|_| ()),
        "compression" if !matches!(text, "zlib" | "bz2") => {
            no(format!("{text:?} is no compression method"), "zlib or bz2; or leave it out")
        }
        "compression"
        | "logfile"
        | "debugfile"
        | "coreroot"
        | "cluster"
        | "quorum_server"
        | "crm_daemon_dir"
        | "crmd_spawns_pengine"
        | "record_config_changes"
        | "record_pengine_inputs"
        | "enable_config_writes" => Ok(()),
        // The table of directives and these two matches name the same ones; a test holds that.
        _ => no(format!("{name} is not understood"), "please report this"),
    }
}

/// A time that is not zero.
fn positive(text: &str) -> Result<Duration, Wrong> {
    let time = value::time(text)?;
    if time.is_zero() {
        return Err(Wrong {
            message: format!("{text:?} comes to zero"),
            help: Some("the least is a millisecond: 1ms".into()),
        });
    }
    Ok(time)
}
