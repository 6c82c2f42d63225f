//! What a director does that cannot stop a resource group.

use serde::Deserialize;

/// The group is given to no other director in any case, and the stop is tried again and again.
///
/// ```
/// use lvs::settings::{Settings, StopFailure};
///
/// let settings: Settings = toml::from_str("[heartbeatd]\nstop_failure = \"reboot\"\n")?;
/// assert_eq!(settings.heartbeatd.stop_failure, StopFailure::Reboot);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopFailure {
    /// That is all: somebody is called, and the other groups go on.
    #[default]
    Freeze,
    /// The director reboots at once, as heartbeat 3.0.6 does, while there is another that takes over.
    Reboot,
    /// It falls silent, so that the other fences it; where ha.cf names a fencing device.
    Fence,
}
