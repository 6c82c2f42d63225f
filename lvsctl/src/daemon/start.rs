//! What can keep any daemon from starting.

use std::io;

use super::pidfile::ClaimError;
use crate::ipc::ListenError;
use crate::settings::SettingsError;

/// A daemon cannot start, for a reason that all of them may have.
///
/// ```
/// use lvs::daemon::StartError;
///
/// let refused = std::fs::read("/nonexistent").map_err(StartError::system("read the list of interfaces"));
/// assert_eq!(refused.expect_err("no such file").to_string(), "cannot read the list of interfaces");
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It runs already.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// lvs.toml is refused.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Signals, privileges, the terminal: whatever else the system refuses.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl StartError {
    /// For `map_err`: the system refused to do `what`.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
