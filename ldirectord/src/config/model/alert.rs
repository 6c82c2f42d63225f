//! Mail about changes of state (spec/ldirectord.md chapter 9).

use std::time::Duration;

/// Mail about changes of state (spec chapter 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// `emailalert` as written: addresses, comma-separated.
    pub to: String,
    /// `emailalertfrom`, verbatim.
    pub from: Option<String>,
    /// A reminder each time this has passed while a server is down; `None` for no reminders.
    pub remind_after: Option<Duration>,
    /// In which states of the daemon mail is sent.
    pub during: AlertDuring,
    /// Relay; without one the local mail system is used.
    pub smtp: Option<String>,
}

/// States of the daemon in which mail is sent (`emailalertstatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertDuring {
    /// In the first round of checks.
    pub starting: bool,
    /// Afterwards.
    pub running: bool,
    /// While it stops.
    pub stopping: bool,
    /// In the first round after a reload.
    pub reloading: bool,
}
