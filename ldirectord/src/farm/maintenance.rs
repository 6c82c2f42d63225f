//! Servers that files in the maintenance directory take out (spec/ldirectord.md 7.5).
//!
//! A file and an order to drain do not know of each other: a server serves if neither holds. A
//! file does what a failed check does, at once and whatever `failurecount` says; an order keeps
//! the server's connections. Where both hold, the file counts.

use super::{Farm, Held};
use crate::maintenance::Posted;
use crate::notice::{Notice, ServerName};

impl Farm {
    /// Takes what is in the maintenance directory now.
    #[must_use]
    pub fn post(&mut self, posted: Posted) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.posted = posted;
        self.disturb();
        for held in &mut self.virtuals {
            held.post(&self.posted, &mut notices);
        }
        notices
    }
}

impl Held {
    pub(super) fn post(&mut self, posted: &Posted, notices: &mut Vec<Notice>) {
        for r in 0..self.servers.len() {
            let real = self.real(r);
            let as_written = std::net::SocketAddr::new(real.at.ip(), real.configured_port);
            let file = posted.file_for(as_written).map(str::to_owned);
            if file == self.servers[r].maintenance {
                continue;
            }
            let (service, name) = (self.name.clone(), ServerName::real(real));
            let mut changed = false;
            self.update(r, |server| {
                server.fresh |= file.is_some() && server.verdict.is_unknown();
                changed = server.verdict.maintain(file.is_some());
                server.maintenance.clone_from(&file);
            });
            if changed && file.is_none() && self.servers[r].verdict.passes() {
                // Each look of the original at such a server counted as a failure.
                notices.push(Notice::FailuresReset { service: service.clone(), real: name.clone() });
            }
            if changed {
                notices.push(Notice::Maintenance { service, real: name, file });
            }
        }
    }
}
