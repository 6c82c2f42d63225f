//! Results as monitor files tell them (spec/ldirectord.md chapter 11).

use super::Farm;
use crate::check::Report;
use crate::config::model::Check;
use crate::monitor::Entry;
use crate::schedule::CheckId;

impl Farm {
    /// The lines about a result: one for each virtual service with a monitor file. External Perl checks and failed
    /// pings have none but while the server is in maintenance, and what agents say has none at all.
    #[must_use]
    pub fn monitored(&self, id: CheckId, report: &Report) -> Vec<Entry> {
        let Some(probing) = self.probes.get(&id) else { return Vec::new() };
        let up = report.result.is_ok();
        let untold = match *probing.check {
            Check::Agent(_) => return Vec::new(),
            Check::ExternalPerl(_) => true,
            Check::Ping(_) => !up,
            _ => false,
        };
        let entry = |&(v, r): &(usize, usize)| {
            let held = &self.virtuals[v];
            let maintained = held.servers[r].verdict.is_maintained();
            if untold && !maintained {
                return None;
            }
            Some(Entry {
                file: held.service.monitor_file.clone()?,
                identity: held.real(r).check_identity.clone(),
                up: up && !maintained,
                message: if maintained { Some("Server in maintenance".to_owned()) } else { report.words.clone() },
            })
        };
        probing.users.iter().filter_map(entry).collect()
    }
}
