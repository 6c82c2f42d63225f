//! heartbeat's own options.

use std::fmt::Write;

use crate::config::PARAMETERS;

/// The version that scripts ask for. Where heartbeat names its sources, the program that answers names itself.
pub const VERSION: &str = concat!("3.0.6 (node: heartbeatd ", env!("CARGO_PKG_VERSION"), ")");

/// Shown for options that are none.
pub const USAGE: &str = "\nUsage: heartbeat [-dDkMrRsvWlVf] [-C Current-resource-state]\n\
                         \t-C only valid with -R\n\t-r is mutually exclusive with -R";

/// What a command line of heartbeat asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// No option, or only `-d`, `-f`, `-l`, `-v`.
    Start {
        /// `-d`: what is for developers is logged as well.
        debug: bool,
        /// `-f`.
        foreground: bool,
    },
    /// `-k`.
    Stop,
    /// `-r`.
    Reload,
    /// `-R`, with or without `-C`.
    Restart,
    /// `-s`.
    Status,
    /// `-V`.
    Version,
    /// `-D`, `-W`.
    Defaults,
}

/// Whether arguments of heartbeatd are meant for heartbeat: they begin with an option of one letter that is
/// heartbeat's. `-h` and `-V` mean the same to both.
#[must_use]
pub fn is_meant(arguments: &[String]) -> bool {
    let first = arguments.first().and_then(|first| first.strip_prefix('-')).unwrap_or_default();
    first.starts_with(|c: char| "dDkMrRsvWlfC".contains(c))
}

/// Reads heartbeat's options.
///
/// # Errors
/// What is wrong with them, in a sentence; [`USAGE`] belongs below it.
pub fn read(arguments: &[String]) -> Result<Order, String> {
    let (mut debug, mut foreground, mut holds) = (false, false, false);
    let mut orders = Vec::new();
    let mut words = arguments.iter();
    // What does not begin with '-' does not count, as with heartbeat.
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { continue };
        for (at, letter) in letters.char_indices() {
            match letter {
                'd' => debug = true,
                'f' => foreground = true,
                'l' | 'v' => {}
                'k' => orders.push(Order::Stop),
                'r' => orders.push(Order::Reload),
                'R' => orders.push(Order::Restart),
                's' => orders.push(Order::Status),
                'V' => orders.push(Order::Version),
                'D' | 'W' => orders.push(Order::Defaults),
                'M' => {
                    return Err("heartbeat: -M is not available: heartbeatd without resources is heartbeat -k".into());
                }
                'C' => {
                    holds = true;
                    let rest = &letters[at + 1..];
                    let state = if rest.is_empty() { words.next().map(String::as_str) } else { Some(rest) };
                    match state {
                        Some("none" | "local" | "foreign" | "all") => break,
                        _ => return Err("heartbeat: -C takes none, local, foreign or all".into()),
                    }
                }
                other => return Err(format!("heartbeat: invalid option -- '{other}'")),
            }
        }
    }
    if holds && !orders.contains(&Order::Restart) {
        return Err("heartbeat: -C without -R".into());
    }
    match orders.as_slice() {
        [] => Ok(Order::Start { debug, foreground }),
        [first, more @ ..] if more.iter().all(|order| order == first) => Ok(*first),
        _ => Err("heartbeat: only one of -k, -r, -R, -s, -V, -D and -W at a time".into()),
    }
}

/// The table of `-D`: directives that have a value when they are absent.
#[must_use]
pub fn defaults() -> String {
    let mut out = format!("{:<24} {:<9} {}\n{}", "Directive", "Default", "Description", "-".repeat(80));
    for parameter in PARAMETERS.iter().filter(|parameter| !parameter.about.is_empty()) {
        // Writing to a string does not fail.
        let _ = write!(out, "\n{:<24} {:<9} {}", parameter.name, parameter.default, parameter.about);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str) -> Result<Order, String> {
        read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_option_is_an_order() {
        assert_eq!(order(""), Ok(Order::Start { debug: false, foreground: false }));
        assert_eq!(order("-dfl"), Ok(Order::Start { debug: true, foreground: true }));
        assert_eq!(order("-k"), Ok(Order::Stop));
        assert_eq!(order("-d -d -r"), Ok(Order::Reload));
        assert_eq!(order("-s"), Ok(Order::Status));
        assert_eq!(order("-R -C local"), Ok(Order::Restart));
        assert_eq!(order("-RClocal"), Ok(Order::Restart));
        assert_eq!(order("ignored"), Ok(Order::Start { debug: false, foreground: false }));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for line in ["-Z", "-k -s", "-r -R", "-C local", "-R -C", "-R -C much", "-M"] {
            assert!(order(line).is_err(), "{line}");
        }
    }

    #[test]
    fn verbs_and_long_options_are_not_meant_for_heartbeat() {
        let meant = |line: &str| is_meant(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert!(meant("-k") && meant("-ds"));
        assert!(!meant("stop") && !meant("--config x start") && !meant("-h") && !meant(""));
    }
}
