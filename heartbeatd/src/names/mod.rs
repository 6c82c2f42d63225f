//! The names under which heartbeat's administrators know things: `heartbeat -k`, `cl_status`, `hb_standby`,
//! `hb_takeover` (spec/heartbeat.md 0.2, 7.7, 7.8).

pub mod cl_status;
pub mod heartbeat;
pub mod meatclient;
pub mod switch;

use std::ffi::OsStr;
use std::path::Path;

/// Which program this is, by the name it was called under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// heartbeatd, with verbs, and with heartbeat's options.
    Heartbeatd,
    /// `heartbeat`: options only; without any it starts.
    Heartbeat,
    /// `cl_status`.
    ClStatus,
    /// `hb_standby`.
    Standby,
    /// `hb_takeover`.
    Takeover,
    /// `meatclient`.
    Meatclient,
}

impl Name {
    /// Of the file name in `argv[0]`; any name that is none of the old ones is ours.
    #[must_use]
    pub fn of(argv0: &OsStr) -> Self {
        match Path::new(argv0).file_name().and_then(OsStr::to_str) {
            Some("heartbeat") => Self::Heartbeat,
            Some("cl_status") => Self::ClStatus,
            Some("hb_standby") => Self::Standby,
            Some("hb_takeover") => Self::Takeover,
            Some("meatclient") => Self::Meatclient,
            _ => Self::Heartbeatd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_with_an_old_name_is_the_old_program() {
        assert_eq!(Name::of(OsStr::new("/usr/share/heartbeat/hb_standby")), Name::Standby);
        assert_eq!(Name::of(OsStr::new("cl_status")), Name::ClStatus);
        assert_eq!(Name::of(OsStr::new("./heartbeatd")), Name::Heartbeatd);
        assert_eq!(Name::of(OsStr::new("")), Name::Heartbeatd);
    }
}
