//! What people wrote beside services and servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::ipvs::{ServiceKey, Table};

/// Comments of a file, by what they are about.
///
/// ```
/// use lvs::ipvs::ServiceKey;
/// use lvs::state::Comments;
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let mut comments = Comments::default();
/// comments.entries.insert((web, None), "the shop".to_owned());
/// assert_eq!(comments.service(&web), Some("the shop"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comments {
    /// About the whole.
    pub whole: Option<String>,
    /// About a service, or about one of its servers.
    pub entries: BTreeMap<(ServiceKey, Option<SocketAddr>), String>,
}

impl Comments {
    /// The comment about a service.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&str> {
        self.entries.get(&(*key, None)).map(String::as_str)
    }

    /// The comment about a server.
    #[must_use]
    pub fn server(&self, key: &ServiceKey, at: SocketAddr) -> Option<&str> {
        self.entries.get(&(*key, Some(at))).map(String::as_str)
    }

    /// Forgets what is about entries that are not in this table.
    #[must_use]
    pub fn about(mut self, table: &Table) -> Self {
        self.entries.retain(|(key, at), _| {
            table.get(key).is_some_and(|service| at.is_none_or(|at| service.destinations.contains_key(&at)))
        });
        self
    }
}
