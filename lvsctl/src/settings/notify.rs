//! Who is told of what happens to a cluster: `[heartbeatd.notify]`.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A command that is called for each change worth telling, one after the other.
///
/// ```
/// use lvs::settings::notify::Notify;
/// use std::time::Duration;
///
/// let notify: Notify = toml::from_str("command = \"/usr/local/sbin/page-me\"\ntimeout = 20\n")?;
/// assert_eq!(notify.timeout, Duration::from_secs(20));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notify {
    /// For the shell. It reads the change as JSON.
    #[serde(deserialize_with = "command")]
    pub command: String,
    /// What takes longer is killed; a tenth of a second to ten minutes.
    #[serde(default = "timeout_unless_set", deserialize_with = "timeout")]
    pub timeout: Duration,
}

fn timeout_unless_set() -> Duration {
    TIMEOUT
}

fn command<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let command = String::deserialize(from)?;
    if command.trim().is_empty() { Err(D::Error::custom("command = \"\": name a program")) } else { Ok(command) }
}

fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    let fits = (0.1..=600.0).contains(&seconds);
    if fits {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(D::Error::custom(format!("timeout = {seconds}: from 0.1 to 600 seconds")))
    }
}
