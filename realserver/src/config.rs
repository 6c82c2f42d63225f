//! `realserver.toml`.
//!
//! ```toml
//! addresses = ["192.168.60.200", "2001:db8::200"]
//! interval = 5             # seconds between two looks of `realserver run`
//! release-at-exit = false  # `realserver run` takes the addresses off when it is stopped
//! syslog-facility = "daemon"
//! ```

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvs::daemon::logging::{Facility, facility};
use lvs::diag::Diagnostic;
use serde::Deserialize;
use toml::Spanned;

/// Where it is, unless the command line says otherwise.
pub const PATH: &str = "/etc/ha.d/realserver.toml";

/// A longer file is refused, bytes.
const MAX: u64 = 64 * 1024;

/// A configuration that cannot be wrong.
#[derive(Debug, Clone)]
pub struct Config {
    /// The virtual addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// How often `realserver run` looks.
    pub interval: Duration,
    /// Whether `realserver run` takes the addresses off when it is stopped.
    pub release_at_exit: bool,
    /// The facility in the system log.
    pub facility: Facility,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: BTreeSet::new(),
            interval: Duration::from_secs(5),
            release_at_exit: false,
            facility: Facility::LOG_DAEMON,
        }
    }
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    addresses: Vec<Spanned<String>>,
    interval: Option<Spanned<u64>>,
    release_at_exit: Option<bool>,
    syslog_facility: Option<Spanned<String>>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It says something that cannot be.
    #[error("{}", join(.0))]
    Wrong(Vec<Diagnostic>),
}

impl ConfigError {
    /// Whether there simply is no file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn join(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads the file.
///
/// # Errors
/// If it cannot be read, or with every mistake in it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 64 KiB"));
        }
        Ok(text)
    };
    let text = read().map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(path, &text).map_err(ConfigError::Wrong)
}

fn parse(path: &Path, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let file: File = toml::from_str(text).map_err(|e| vec![Diagnostic::toml(path, text, &e)])?;
    let mut config = Config::default();
    let mut wrong = Vec::new();
    for written in &file.addresses {
        let refused = match virtual_address(written.get_ref()) {
            Ok(address) if config.addresses.insert(address) => continue,
            Ok(address) => format!("{address} is named twice"),
            Err(why) => why,
        };
        wrong.push(Diagnostic::in_text(path, text, written.span(), refused));
    }
    if let Some(written) = &file.interval {
        config.interval = Duration::from_secs(*written.get_ref());
        if !(1..=3600).contains(written.get_ref()) {
            wrong.push(Diagnostic::in_text(path, text, written.span(), "interval must be 1 to 3600 seconds"));
        }
    }
    if let Some(written) = &file.syslog_facility {
        match facility(written.get_ref()) {
            Some(facility) => config.facility = facility,
            None => {
                let message = format!("unknown syslog facility {:?}", written.get_ref());
                let help = Some("one of daemon, user, local0 to local7 and the others of syslog.conf".to_owned());
                wrong.push(Diagnostic { help, ..Diagnostic::in_text(path, text, written.span(), message) });
            }
        }
    }
    config.release_at_exit = file.release_at_exit.unwrap_or(config.release_at_exit);
    if wrong.is_empty() { Ok(config) } else { Err(wrong) }
}

/// A virtual address as people write it, with or without the mask that it will have anyway.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn virtual_address(text: &str) -> Result<IpAddr, String> {
    let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
    let address: IpAddr = ip.parse().map_err(|_| format!("{text:?} is not an IPv4 or IPv6 address"))?;
    let own = if address.is_ipv4() { "32" } else { "128" };
    if prefix.is_some_and(|prefix| prefix != own) {
        return Err(format!("{text}: on lo the mask must be /{own}, or the whole network becomes local"));
    }
    let usable = match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && v6.to_ipv4_mapped().is_none(),
    };
    if !usable || address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(format!("{address} cannot be a virtual address"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        join(&parse(Path::new("realserver.toml"), text).expect_err("refused"))
    }

    #[test]
    fn addresses_are_enough() {
        let config = parse(Path::new("x"), "addresses = ['192.168.60.200/32', '2001:db8::200']").expect("accepted");
        let addresses = ["192.168.60.200", "2001:db8::200"].map(|ip| ip.parse().expect("an address")).into();
        assert_eq!(config.addresses, addresses);
        assert_eq!((config.interval.as_secs(), config.release_at_exit), (5, false));
    }

    #[test]
    fn every_mistake_is_pointed_at() {
        let text = "addresses = [\n  \"192.168.60.200\",\n  \"192.168.60.300\", \"192.168.60.200/24\",\n  \
                    \"192.168.60.200\", \"127.0.0.1\",\n]\ninterval = 0\nsyslog-facility = \"locla0\"\n";
        let expected = "\
realserver.toml:3:3: \"192.168.60.300\" is not an IPv4 or IPv6 address
    3 |   \"192.168.60.300\", \"192.168.60.200/24\",
      |   ^^^^^^^^^^^^^^^^
realserver.toml:3:21: 192.168.60.200/24: on lo the mask must be /32, or the whole network becomes local
    3 |   \"192.168.60.300\", \"192.168.60.200/24\",
      |                     ^^^^^^^^^^^^^^^^^^^
realserver.toml:4:3: 192.168.60.200 is named twice
    4 |   \"192.168.60.200\", \"127.0.0.1\",
      |   ^^^^^^^^^^^^^^^^
realserver.toml:4:21: 127.0.0.1 cannot be a virtual address
    4 |   \"192.168.60.200\", \"127.0.0.1\",
      |                     ^^^^^^^^^^^
realserver.toml:6:12: interval must be 1 to 3600 seconds
    6 | interval = 0
      |            ^
realserver.toml:7:19: unknown syslog facility \"locla0\"
    7 | syslog-facility = \"locla0\"
      |                   ^^^^^^^^
      = one of daemon, user, local0 to local7 and the others of syslog.conf";
        assert_eq!(said(text), expected);
    }

    #[test]
    fn a_misspelt_key_and_a_broken_line_are_pointed_at() {
        let text = said("addresses = []\n\tintervall = 3\n");
        assert!(text.starts_with("realserver.toml:2:2: unknown field `intervall`"), "{text}");
        let text = said("addresses = [\"192.168.60.200\"\ninterval = 5\n");
        assert!(text.starts_with("realserver.toml:2:"), "{text}");
    }
}
