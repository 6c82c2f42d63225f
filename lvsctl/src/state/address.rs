//! Names of virtual services, as people type them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::ipvs::{Family, Mark, Protocol, ServiceKey};

/// Which services are meant: `tcp:192.168.60.200:80`, `udp:[2001:db8::1]:53`, `fwm:7`, `fwm6:7` as ldirectord
/// calls them, or an address and port for whatever protocol is there.
///
/// ```
/// use lvs::ipvs::ServiceKey;
/// use lvs::state::ServiceName;
///
/// let dns = ServiceKey::udp("192.0.2.1:53".parse()?);
/// assert_eq!("udp:192.0.2.1:53".parse(), Ok(ServiceName::Key(dns)));
/// assert!("192.0.2.1:53".parse::<ServiceName>()?.means(&dns));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceName {
    /// Exactly this one.
    Key(ServiceKey),
    /// The one at this address, whatever its protocol.
    At(SocketAddr),
}

/// This names no service.
///
/// ```
/// use lvs::state::ServiceName;
///
/// let error = "the shop".parse::<ServiceName>().expect_err("no name of a service");
/// assert!(error.to_string().contains("say tcp:192.168.60.200:80"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no virtual service; say tcp:192.168.60.200:80, udp:[2001:db8::1]:53, fwm:7 or fwm6:7")]
pub struct ServiceNameError(String);

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        let error = || ServiceNameError(text.to_owned());
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let (kind, rest) = text.split_once([':', ' ']).ok_or_else(error)?;
        let address = |protocol| rest.parse().ok().map(|at| ServiceKey::Address { protocol, at });
        let mark = |family| rest.parse::<Mark>().ok().map(|mark| ServiceKey::Mark { family, mark });
        let key = match kind {
            "tcp" => address(Protocol::Tcp),
            "udp" => address(Protocol::Udp),
            "sctp" => address(Protocol::Sctp),
            "fwm" | "mark" => mark(Family::Inet),
            "fwm6" => mark(Family::Inet6),
            _ => None,
        };
        key.map(Self::Key).ok_or_else(error)
    }
}

impl ServiceName {
    /// Whether this service is meant.
    #[must_use]
    pub fn means(&self, key: &ServiceKey) -> bool {
        match (self, key) {
            (Self::Key(named), key) => named == key,
            (Self::At(named), ServiceKey::Address { at, .. }) => named == at,
            (Self::At(_), ServiceKey::Mark { .. }) => false,
        }
    }
}

/// As it is typed.
impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "{at}"),
            Self::Key(ServiceKey::Address { protocol, at }) => write!(f, "{protocol}:{at}"),
            Self::Key(ServiceKey::Mark { family: Family::Inet, mark }) => write!(f, "fwm:{mark}"),
            Self::Key(ServiceKey::Mark { family: Family::Inet6, mark }) => write!(f, "fwm6:{mark}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_as_ldirectord_names_them() {
        for text in ["tcp:192.168.60.200:80", "udp:[2001:db8::1]:53", "sctp:10.0.0.1:9", "fwm:7", "fwm6:4000000000"] {
            let name: ServiceName = text.parse().expect("a name");
            assert_eq!(name.to_string(), text);
        }
        let by_address: ServiceName = "192.168.60.200:80".parse().expect("a name");
        assert!(by_address.means(&ServiceKey::udp(([192, 168, 60, 200], 80).into())));
        assert!(!by_address.means(&ServiceKey::udp(([192, 168, 60, 200], 81).into())));
        let shown: ServiceName = "tcp 192.168.60.200:80".parse().expect("as messages show it");
        assert!(shown.means(&ServiceKey::tcp(([192, 168, 60, 200], 80).into())));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "tcp", "tcp:", "tcp:web:80", "tcp:10.0.0.1", "fwm:0", "fwm:-1", "icmp:10.0.0.1:80", "10.0.0.1"]
        {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
    }
}
