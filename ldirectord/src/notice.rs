//! Everything worth telling, said once.
//!
//! A [`Notice`] is a value; the log line ([`fmt::Display`]) and the JSON on the watch socket
//! (serde) are two renderings of it. The lines about virtual, real and fallback servers are
//! the original's to the byte (spec/ldirectord.md 10.2): people's log watchers match them.

use std::fmt;
use std::net::SocketAddr;

use lvs::ipvs::Refusal;
use serde::{Serialize, Serializer};

use crate::config::model::{Fallback, Real, Virtual};

/// A virtual service as notices name it: `tcp:192.168.60.200:80`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    id: String,
    name: String,
}

impl ServiceName {
    /// The name of a virtual service.
    #[must_use]
    pub fn of(service: &Virtual) -> Self {
        Self { id: service.id(), name: service.name() }
    }

    /// With its protocol: `tcp:192.168.60.200:80`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id)
    }
}

/// Without its protocol: `192.168.60.200:80`.
impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A server: as it was written, and where it is in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    written: String,
    at: SocketAddr,
}

impl ServerName {
    /// A server of the file.
    #[must_use]
    pub fn real(real: &Real) -> Self {
        Self { written: real.name(), at: real.at }
    }

    /// A fallback server.
    #[must_use]
    pub fn fallback(fallback: &Fallback) -> Self {
        Self { written: fallback.name(), at: fallback.at }
    }

    /// A server that is only in the table.
    #[must_use]
    pub fn unknown(at: SocketAddr) -> Self {
        Self { written: at.to_string(), at }
    }

    /// As lines about deletions show it: `192.168.60.132:80 mapped from 192.168.60.132:8080`
    /// where direct routing changed the port (spec 6).
    fn in_table(&self) -> String {
        let at = self.at.to_string();
        if at == self.written { at } else { format!("{at} mapped from {}", self.written) }
    }
}

impl Serialize for ServerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

/// As written.
impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// On which occasion something was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// At start or reload.
    Start,
    /// At stop.
    Stop,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
        })
    }
}

/// Something happened that somebody may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Notice {
    /// A service was added to the table.
    VirtualAdded {
        /// Which.
        service: ServiceName,
    },
    /// A service that was in the table was given the file's definition.
    VirtualChanged {
        /// Which.
        service: ServiceName,
    },
    /// A service was removed from the table.
    VirtualPurged {
        /// Which.
        service: ServiceName,
        /// When.
        occasion: Occasion,
    },
    /// A server was added to the table with its weight.
    RealAdded {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// As written in the file.
        weight: String,
    },
    /// A server that was in the table was given its weight, method and thresholds.
    RealRestored {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// As written in the file.
        weight: String,
    },
    /// The weight of a server that serves was set to another than that of the file.
    WeightSet {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// Its weight now.
        weight: u32,
    },
    /// A server gets no new connections any more.
    RealQuiescent {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// It was not in the table and was put there with weight 0 (`readdquiescent`).
        again: bool,
    },
    /// A server of the file was removed from the table.
    RealDeleted {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// A server was removed that the file does not know, or because the program stops.
    RealPurged {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// When.
        occasion: Occasion,
    },
    /// The fallback was added to the table.
    FallbackAdded {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// The fallback was in the table otherwise and was corrected.
    FallbackRestored {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// The fallback was removed from the table.
    FallbackDeleted {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// A check failed, and `failurecount` is not reached.
    SoftFailure {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// Failed checks in a row.
        failures: u32,
        /// `failurecount`.
        limit: u32,
    },
    /// A check passed after failures.
    FailuresReset {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// Why a check failed: told when it is the first, and when the server goes down by it.
    CheckFailed {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// What went wrong, where, after how long.
        why: String,
    },
    /// A server came up: it passes its checks.
    RealUp {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
    },
    /// A server went down.
    RealDown {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// What went wrong.
        why: String,
    },
    /// An administrator took a server out, or put it back.
    Drain {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// Taken out.
        drained: bool,
    },
    /// A file in the maintenance directory took a server out, or is gone.
    Maintenance {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// The file's name; `None` if there is none any more.
        file: Option<String>,
    },
    /// The agent of a server said other words about whether it works and what is to be done with it, or answers again.
    AgentSays {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// Its line.
        said: String,
    },
    /// The agent of a server cannot be asked. What it said before holds.
    AgentSilent {
        /// Of which service.
        service: ServiceName,
        /// Which.
        real: ServerName,
        /// What went wrong.
        why: String,
    },
    /// A fallback command, or another command of the file, failed.
    CommandFailed {
        /// Which, and for what.
        what: String,
        /// How it ended.
        why: String,
    },
    /// The kernel refused a change. It is tried again.
    Refused {
        /// Of which service.
        service: ServiceName,
        /// What, and why.
        #[serde(serialize_with = "as_text")]
        refusal: Refusal,
    },
    /// The table cannot be reached. It is tried again, and the checks go on.
    TableLost {
        /// Why.
        why: String,
    },
    /// The table can be reached again.
    TableFound {},
    /// Every server was checked once since start or reload, and the table says what was found.
    Ready {},
    /// The file was read again and is in force.
    Reloaded {
        /// Virtual services in it.
        virtuals: usize,
    },
    /// The file was read again and refused; the one before stays in force.
    ReloadFailed {
        /// What is wrong with it, one mistake each.
        mistakes: Vec<String>,
    },
    /// This node was told that it has the virtual addresses, or has them no more.
    Active {
        /// It has them.
        active: bool,
    },
    /// The program stops.
    Stopping {},
}

fn as_text<S: Serializer>(refusal: &Refusal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(refusal)
}

impl Notice {
    /// The service whose `notify` command is told of it: for changes of state, not of weights.
    #[must_use]
    pub fn concerns(&self) -> Option<&ServiceName> {
        match self {
            Self::RealUp { service, .. }
            | Self::RealDown { service, .. }
            | Self::Drain { service, .. }
            | Self::Maintenance { service, .. }
            | Self::AgentSays { service, .. }
            | Self::FallbackAdded { service, .. }
            | Self::FallbackDeleted { service, .. } => Some(service),
            _ => None,
        }
    }

    /// How loud its log line is; `None` if it has none, because other lines say the same.
    #[must_use]
    pub fn level(&self) -> Option<log::Level> {
        match self {
            Self::RealUp { .. } | Self::RealDown { .. } | Self::Stopping {} => None,
            Self::Refused { .. } | Self::ReloadFailed { .. } => Some(log::Level::Error),
            Self::CheckFailed { .. }
            | Self::AgentSilent { .. }
            | Self::TableLost { .. }
            | Self::CommandFailed { .. } => Some(log::Level::Warn),
            Self::VirtualAdded { .. }
            | Self::VirtualChanged { .. }
            | Self::VirtualPurged { .. }
            | Self::RealAdded { .. }
            | Self::RealRestored { .. }
            | Self::RealQuiescent { .. }
            | Self::RealDeleted { .. }
            | Self::RealPurged { .. }
            | Self::FallbackAdded { .. }
            | Self::FallbackRestored { .. }
            | Self::FallbackDeleted { .. }
            | Self::SoftFailure { .. }
            | Self::FailuresReset { .. }
            | Self::WeightSet { .. }
            | Self::Drain { .. }
            | Self::Maintenance { .. }
            | Self::AgentSays { .. }
            | Self::TableFound {}
            | Self::Ready {}
            | Self::Reloaded { .. }
            | Self::Active { .. } => Some(log::Level::Info),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VirtualAdded { service } => write!(f, "Added virtual server: {service}"),
            Self::VirtualChanged { service } => write!(f, "Changed virtual server: {service}"),
            Self::VirtualPurged { service, occasion } => write!(f, "Purged virtual server ({occasion}): {service}"),
            Self::RealAdded { service, real, weight } => {
                write!(f, "Added real server: {real} ({service}) (Weight set to {weight})")
            }
            Self::RealRestored { service, real, weight } => {
                write!(f, "Restored real server: {real} ({service}) (Weight set to {weight})")
            }
            Self::WeightSet { service, real, weight } => {
                write!(f, "Weight of {real} ({}) set to {weight}", service.id)
            }
            Self::RealQuiescent { service, real, again } => {
                let readd = if *again { "Readd " } else { "" };
                write!(f, "{readd}Quiescent real server: {real} ({service}) (Weight set to 0)")
            }
            Self::RealDeleted { service, real } => write!(f, "Deleted real server: {} ({service})", real.in_table()),
            Self::RealPurged { service, real, occasion } => {
                write!(f, "Purged real server ({occasion}): {real} ({service})")
            }
            Self::FallbackAdded { service, real } => {
                write!(f, "Added fallback server: {real} ({service}) (Weight set to 1)")
            }
            Self::FallbackRestored { service, real } => {
                write!(f, "Restored fallback server: {real} ({service}) (Weight set to 1)")
            }
            Self::FallbackDeleted { service, real } => {
                write!(f, "Deleted fallback server: {} ({service})", real.in_table())
            }
            Self::SoftFailure { service, real, failures, limit } => {
                write!(f, "Soft failure real server: {real} ({}) failure {failures}/{limit}", service.id)
            }
            Self::FailuresReset { service, real } => {
                write!(f, "Resetting soft failure count: {real} ({})", service.id)
            }
            // No "real server:" in lines that the original does not have: watchers would count them.
            Self::CheckFailed { service, real, why } => write!(f, "Check of {real} ({}) failed: {why}", service.id),
            Self::RealUp { service, real } => write!(f, "{real} ({}) is up", service.id),
            Self::RealDown { service, real, why } => write!(f, "{real} ({}) is down: {why}", service.id),
            Self::Drain { service, real, drained: true } => write!(f, "Draining {real} ({})", service.id),
            Self::Drain { service, real, drained: false } => {
                write!(f, "No longer draining {real} ({})", service.id)
            }
            Self::Maintenance { service, real, file: Some(file) } => {
                write!(f, "Server in maintenance: {real} ({}), by the file {file}", service.id)
            }
            Self::Maintenance { service, real, file: None } => {
                write!(f, "Server no longer in maintenance: {real} ({})", service.id)
            }
            Self::AgentSays { service, real, said } => write!(f, "Agent of {real} ({}) says {said:?}", service.id),
            Self::AgentSilent { service, real, why } => {
                write!(f, "Agent of {real} ({}) cannot be asked: {why}", service.id)
            }
            Self::CommandFailed { what, why } => write!(f, "{what}: {why}"),
            Self::Refused { refusal, .. } => write!(f, "The kernel refused a change, trying again later: {refusal}"),
            Self::TableLost { why } => write!(f, "Checks go on, but the table stays as it is until it answers: {why}"),
            Self::TableFound {} => f.write_str("The IPVS table can be reached again"),
            Self::Ready {} => f.write_str("All servers have been checked and the table is up to date"),
            Self::Reloaded { virtuals } => write!(f, "Reloaded the configuration: {virtuals} virtual services"),
            Self::ReloadFailed { mistakes } => {
                let mistakes = mistakes.len();
                write!(f, "Reload failed, the old configuration stays in force; mistakes found: {mistakes}")
            }
            Self::Active { active: true } => f.write_str("This node has the virtual addresses"),
            Self::Active { active: false } => f.write_str("This node has given the virtual addresses away"),
            Self::Stopping {} => f.write_str("Stopping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs::ipvs::{Change, ServiceKey};

    fn service(id: &str) -> ServiceName {
        let name = id.split_once(':').expect("an id").1;
        ServiceName { id: id.to_owned(), name: name.to_owned() }
    }

    fn mapped() -> ServerName {
        let at = "127.0.0.1:81".parse().expect("an address");
        ServerName { written: "127.0.0.1:8080".into(), at }
    }

    #[test]
    fn the_lines_are_the_originals_to_the_byte() {
        let tcp = || service("tcp:198.51.100.100:80");
        let real = || ServerName::unknown("192.0.2.102:80".parse().expect("an address"));
        let line = |notice: Notice| notice.to_string();
        assert_eq!(
            line(Notice::RealAdded { service: tcp(), real: real(), weight: "007".into() }),
            "Added real server: 192.0.2.102:80 (198.51.100.100:80) (Weight set to 007)"
        );
        assert_eq!(
            line(Notice::RealQuiescent { service: tcp(), real: real(), again: false }),
            "Quiescent real server: 192.0.2.102:80 (198.51.100.100:80) (Weight set to 0)"
        );
        assert_eq!(
            line(Notice::RealQuiescent { service: tcp(), real: real(), again: true }),
            "Readd Quiescent real server: 192.0.2.102:80 (198.51.100.100:80) (Weight set to 0)"
        );
        assert_eq!(
            line(Notice::FallbackDeleted { service: service("tcp:198.51.100.120:81"), real: mapped() }),
            "Deleted fallback server: 127.0.0.1:81 mapped from 127.0.0.1:8080 (198.51.100.120:81)"
        );
        assert_eq!(
            line(Notice::RealRestored { service: service("fwm:42"), real: real(), weight: "3".into() }),
            "Restored real server: 192.0.2.102:80 (42) (Weight set to 3)"
        );
        assert_eq!(
            line(Notice::FailuresReset { service: service("tcp:[2001:db8:6::c]:80"), real: real() }),
            "Resetting soft failure count: 192.0.2.102:80 (tcp:[2001:db8:6::c]:80)"
        );
        assert_eq!(
            line(Notice::SoftFailure { service: tcp(), real: real(), failures: 1, limit: 2 }),
            "Soft failure real server: 192.0.2.102:80 (tcp:198.51.100.100:80) failure 1/2"
        );
        assert_eq!(
            line(Notice::VirtualPurged { service: tcp(), occasion: Occasion::Stop }),
            "Purged virtual server (stop): 198.51.100.100:80"
        );
    }

    /// Spec 10.2, from the top; those above are not repeated.
    #[test]
    fn the_other_lines_are_the_originals_too() {
        let tcp = || service("tcp:10.9.0.1:80");
        let real = || ServerName::unknown("10.9.0.2:80".parse().expect("an address"));
        let weight = || "1".to_owned();
        let (start, stop) = (Occasion::Start, Occasion::Stop);
        let lines = [
            (Notice::VirtualAdded { service: tcp() }, "Added virtual server: 10.9.0.1:80"),
            (Notice::VirtualAdded { service: service("fwm6:7") }, "Added virtual server: 7"),
            (Notice::VirtualChanged { service: tcp() }, "Changed virtual server: 10.9.0.1:80"),
            (Notice::VirtualPurged { service: tcp(), occasion: start }, "Purged virtual server (start): 10.9.0.1:80"),
            (
                Notice::RealRestored { service: tcp(), real: real(), weight: weight() },
                "Restored real server: 10.9.0.2:80 (10.9.0.1:80) (Weight set to 1)",
            ),
            (Notice::RealDeleted { service: tcp(), real: real() }, "Deleted real server: 10.9.0.2:80 (10.9.0.1:80)"),
            (
                Notice::RealPurged { service: tcp(), real: real(), occasion: start },
                "Purged real server (start): 10.9.0.2:80 (10.9.0.1:80)",
            ),
            (
                Notice::RealPurged { service: tcp(), real: real(), occasion: stop },
                "Purged real server (stop): 10.9.0.2:80 (10.9.0.1:80)",
            ),
            (
                Notice::RealDeleted { service: service("tcp:10.9.0.1:81"), real: mapped() },
                "Deleted real server: 127.0.0.1:81 mapped from 127.0.0.1:8080 (10.9.0.1:81)",
            ),
            (
                Notice::FallbackAdded { service: tcp(), real: mapped() },
                "Added fallback server: 127.0.0.1:8080 (10.9.0.1:80) (Weight set to 1)",
            ),
            (
                Notice::FallbackRestored { service: tcp(), real: real() },
                "Restored fallback server: 10.9.0.2:80 (10.9.0.1:80) (Weight set to 1)",
            ),
        ];
        for (notice, line) in lines {
            assert_eq!(notice.to_string(), line);
        }
    }

    #[test]
    fn a_watcher_gets_names_and_reasons() {
        let change = Change::DeleteService(ServiceKey::tcp("10.0.0.1:80".parse().expect("an address")));
        let refused = Notice::Refused { service: service("tcp:10.0.0.1:80"), refusal: Refusal::new(change, 1) };
        let json = serde_json::to_value(&refused).expect("plain data");
        assert_eq!(json["notice"], "refused");
        assert_eq!(json["service"], "tcp:10.0.0.1:80");
        let refusal = json["refusal"].as_str().expect("text");
        assert!(
            refusal.starts_with("cannot delete virtual service tcp 10.0.0.1:80: it needs CAP_NET_ADMIN"),
            "{refusal}"
        );
    }
}
