//! Servers that an administrator takes out and puts back.

use super::Farm;
use crate::notice::{Notice, ServerName};

/// No server of the farm is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchServer {
    /// The service is not in the file.
    #[error("there is no virtual service {service}; there are: {known}")]
    Service {
        /// As asked.
        service: String,
        /// Those that there are.
        known: String,
    },
    /// No service has the server.
    #[error("there is no real server {real}; there are: {known}")]
    Real {
        /// As asked.
        real: String,
        /// Those that there are.
        known: String,
    },
}

impl Farm {
    /// Takes `real` (`192.168.60.132:80`, or the address alone for each of its ports) out of
    /// service or puts it back under its checks; in `service` (`tcp:192.168.60.200:80`) or, if
    /// `None`, in every one. Servers that are as asked already are no error.
    ///
    /// # Errors
    /// If that names no server.
    pub fn drain(&mut self, real: &str, service: Option<&str>, drained: bool) -> Result<Vec<Notice>, NoSuchServer> {
        let known = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        if let Some(service) = service.filter(|service| !self.virtuals.iter().any(|held| held.name.id() == *service)) {
            let names = self.virtuals.iter().map(|held| held.name.id().to_owned()).collect();
            return Err(NoSuchServer::Service { service: service.to_owned(), known: known(names) });
        }
        self.disturb();
        let (mut found, mut names, mut notices) = (false, Vec::new(), Vec::new());
        for held in self.virtuals.iter_mut().filter(|held| service.is_none_or(|service| held.name.id() == service)) {
            for r in 0..held.servers.len() {
                let server = held.real(r);
                let name = ServerName::real(server);
                let (written, at) = (server.name(), server.at);
                if ![written.clone(), at.to_string(), at.ip().to_string()].iter().any(|n| n == real) {
                    names.push(written);
                    continue;
                }
                found = true;
                let mut changed = false;
                held.update(r, |server| changed = server.verdict.drain(drained));
                if changed {
                    notices.push(Notice::Drain { service: held.name.clone(), real: name, drained });
                }
            }
        }
        names.sort();
        names.dedup();
        if found { Ok(notices) } else { Err(NoSuchServer::Real { real: real.to_owned(), known: known(names) }) }
    }
}
