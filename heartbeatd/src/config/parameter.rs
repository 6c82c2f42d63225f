//! A directive's value as it stands in ha.cf, or its default: what `cl_status hbparameter` shows (spec/heartbeat.md
//! 1.3).

use std::io;
use std::path::Path;
use std::time::Duration;

use super::directive::{self, Takes};
use super::source::Source;
use super::value;

/// A directive with a value when it is absent.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// That value, as it would be written; some are shown with a unit.
    pub default: &'static str,
    /// What it is for, or nothing where the original's table of defaults leaves it out.
    pub about: &'static str,
}

const fn row(name: &'static str, default: &'static str, about: &'static str) -> Parameter {
    Parameter { name, default, about }
}

/// The original's defaults, in its order. Those without a meaning here are what the original would show.
pub const PARAMETERS: &[Parameter] = &[
    row("cluster", "linux-ha", "name of the cluster"),
    row("hopfudge", "1", "hops on a ring besides the nodes"),
    row("keepalive", "1000ms", "between two heartbeats"),
    row("deadtime", "30000ms", "silence that means death"),
    row("baud", "19200", "speed of serial lines"),
    row("auto_failback", "legacy", "whether groups go home"),
    row("hbgenmethod", "file", "where generations come from"),
    row("realtime", "true", "real-time priority"),
    row("msgfmt", "classic", "form of messages"),
    row("conn_logd_time", "60", "between two attempts to reach the log daemon"),
    row("log_badpack", "true", "log refused packets"),
    row("syslogmsgfmt", "true", "log files look like the system log"),
    row("coredumps", "true", "core dumps"),
    row("pacemaker", "false", "Pacemaker instead of haresources"),
    row("autojoin", "none", "nodes that are not in the file"),
    row("uuidfrom", "file", "where the UUID comes from"),
    row("compression", "zlib", "compression method"),
    row("compression_threshold", "2", "KiB from which on messages are compressed"),
    row("traditional_compression", "no", "compress whole messages"),
    row("max_rexmit_delay", "250", "ms until a lost message is asked for"),
    row("record_config_changes", "on", "Pacemaker only"),
    row("record_pengine_inputs", "on", "Pacemaker only"),
    row("enable_config_writes", "on", "Pacemaker only"),
    row("memreserve", "6500", "KiB of memory set aside"),
    row("udpport", "694", ""),
    row("debug", "0", ""),
    row("crm", "false", ""),
];

/// What is in force for a directive of one value: as ha.cf in `folder` has it, or the default. `None` for what has no
/// value.
///
/// # Errors
/// If ha.cf cannot be read.
pub fn parameter(folder: &Path, name: &str) -> io::Result<Option<String>> {
    Ok(in_text(&super::load::text(&folder.join("ha.cf"))?, name))
}

fn in_text(text: &str, name: &str) -> Option<String> {
    let written = |name: &str| {
        let source = Source::new(Path::new("ha.cf"), text);
        let lines = source.lines().filter_map(|line| line.before('#').first_and_rest());
        let values = lines.filter(|(directive, rest)| directive.text == name && !rest.text.is_empty());
        values.last().map(|(_, rest)| rest.text)
    };
    if directive::find(name)?.takes != Takes::Value {
        return None;
    }
    let default = || PARAMETERS.iter().find(|parameter| parameter.name == name).map(|found| found.default.to_owned());
    written(name).or_else(default).or_else(|| {
        let deadtime = value::time(&written("deadtime").unwrap_or_else(|| "30".into())).ok()?;
        let derived = match name {
            "warntime" => deadtime / 2,
            "deadping" => deadtime,
            "initdead" => super::check::initdead(deadtime),
            _ => return None,
        };
        Some(milliseconds(derived))
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_shown_as_it_was_written_or_as_it_is_by_default() {
        let text = "deadtime 2 # short\nkeepalive 500ms\nkeepalive 200ms\nnode a b\n";
        let shown = |name| in_text(text, name);
        assert_eq!(shown("keepalive").as_deref(), Some("200ms"));
        assert_eq!(shown("deadtime").as_deref(), Some("2"));
        assert_eq!(shown("warntime").as_deref(), Some("1000ms"));
        assert_eq!(shown("deadping").as_deref(), Some("2000ms"));
        assert_eq!(shown("initdead").as_deref(), Some("12000ms"));
        assert_eq!(shown("cluster").as_deref(), Some("linux-ha"));
        for none in ["node", "watchdog", "nosuch"] {
            assert_eq!(shown(none), None, "{none}");
        }
    }
}
