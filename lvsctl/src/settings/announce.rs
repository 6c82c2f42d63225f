//! How the virtual addresses of heartbeatd are announced: `[heartbeatd.announce.all]` and
//! `[heartbeatd.announce."ADDRESS"]`. Here and not in ha.cf or haresources, because a heartbeat on the other node reads
//! those too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Whose announcements an entry is about.
///
/// ```
/// use lvs::settings::announce::Of;
///
/// assert_eq!(Of::try_from("all".to_owned()), Ok(Of::All));
/// assert_eq!(Of::try_from("192.0.2.1".to_owned()), Ok(Of::Address([192, 0, 2, 1].into())));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Of {
    /// Of every address without an entry of its own.
    All,
    /// Of this one.
    Address(IpAddr),
}

/// Neither "all" nor an address.
///
/// ```
/// use lvs::settings::announce::Of;
///
/// let error = Of::try_from("web".to_owned()).expect_err("no address");
/// assert!(error.to_string().starts_with("\"web\" is not a virtual address"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a virtual address: write [heartbeatd.announce.\"192.0.2.1\"], or [heartbeatd.announce.all]")]
pub struct NotAnAddress(String);

impl TryFrom<String> for Of {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        match text.as_str() {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Address).map_err(|_| NotAnAddress(text)),
        }
    }
}

/// How an address is announced; what is not said is as without an entry.
///
/// ```
/// use std::time::Duration;
/// use lvs::settings::announce::Announce;
///
/// let announce: Announce = toml::from_str("count = 3\ninterval = 0.25\n")?;
/// assert_eq!(announce.interval, Some(Duration::from_millis(250)));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Announce {
    /// How often after it has come on, the first time at once; 1 to 100.
    #[serde(deserialize_with = "count")]
    pub count: Option<u32>,
    /// Between two of these; 10 ms to a minute.
    #[serde(deserialize_with = "interval")]
    pub interval: Option<Duration>,
    /// From the last of these on, again and again; a second to a day. `None`: not.
    #[serde(deserialize_with = "refresh")]
    pub refresh: Option<Duration>,
}

/// Every entry.
///
/// ```
/// use lvs::settings::announce::{Announcements, Of};
///
/// let entries: Announcements = toml::from_str("[all]\nrefresh = 60\n[\"192.0.2.1\"]\ncount = 3\n")?;
/// assert_eq!(entries[&Of::Address([192, 0, 2, 1].into())].count, Some(3));
/// # Ok::<(), toml::de::Error>(())
/// ```
pub type Announcements = BTreeMap<Of, Announce>;

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let count = i64::deserialize(from)?;
    let fits = u32::try_from(count).ok().filter(|count| (1..=100).contains(count));
    fits.map(Some).ok_or_else(|| D::Error::custom(format!("count = {count}: from 1 to 100 announcements")))
}

fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from, 0.01..=60.0)
}

fn refresh<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from, 1.0..=86_400.0)
}

fn seconds<'de, D: Deserializer<'de>>(from: D, within: RangeInclusive<f64>) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(from)?;
    if within.contains(&seconds) {
        return Ok(Some(Duration::from_secs_f64(seconds)));
    }
    Err(D::Error::custom(format!("{seconds} is not a number of seconds from {} to {}", within.start(), within.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        announce: Announcements,
    }

    fn read(text: &str) -> Result<Announcements, toml::de::Error> {
        toml::from_str::<File>(text).map(|file| file.announce)
    }

    #[test]
    fn an_address_has_what_its_entry_says() {
        let text = "[announce.all]\nrefresh = 60\n[announce.\"2001:db8::1\"]\ncount = 3\ninterval = 0.25\n";
        let all = Announce { refresh: Some(Duration::from_secs(60)), ..Announce::default() };
        let one = Announce { count: Some(3), interval: Some(Duration::from_millis(250)), refresh: None };
        let address = Of::Address("2001:db8::1".parse().expect("an address"));
        assert_eq!(read(text).expect("good"), BTreeMap::from([(Of::All, all), (address, one)]));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        for (text, why) in [
            ("[announce.all]\ncount = 0\n", "from 1 to 100"),
            ("[announce.all]\ncount = 101\n", "from 1 to 100"),
            ("[announce.all]\ninterval = 0\n", "from 0.01 to 60"),
            ("[announce.all]\ninterval = nan\n", "from 0.01 to 60"),
            ("[announce.all]\nrefresh = 0.5\n", "from 1 to 86400"),
            ("[announce.all]\nrefesh = 5\n", "unknown field"),
            ("[announce.web]\ncount = 5\n", "is not a virtual address"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(error.span().is_some(), "{text}");
        }
    }
}
