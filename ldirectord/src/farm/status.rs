//! The farm as the status tells it.

use std::time::Instant;

use lvs::control::ldirectord::{RealStatus, VirtualStatus};

use super::{Farm, Held};

impl Farm {
    /// Every virtual service in the file's order.
    #[must_use]
    pub fn status(&self, now: Instant) -> Vec<VirtualStatus> {
        self.virtuals.iter().map(|held| held.status(now)).collect()
    }
}

impl Held {
    fn status(&self, now: Instant) -> VirtualStatus {
        let real = |(r, server): (usize, &super::Server)| {
            let last = server.last.as_ref();
            RealStatus {
                real: self.real(r).name(),
                state: server.verdict.state(),
                drained: server.verdict.is_drained(),
                maintenance: server.maintenance.clone(),
                weight: self.target(r).weight(),
                failures: server.verdict.failures(),
                last_check_seconds_ago: last
                    .map(|last| thousandths(now.saturating_duration_since(last.ended).as_secs_f64())),
                took_ms: last.map(|last| thousandths(last.report.took.as_secs_f64() * 1e3)),
                why: last.map(|last| match &last.report.result {
                    Ok(answer) => answer.clone(),
                    Err(why) => why.clone(),
                }),
            }
        };
        VirtualStatus {
            id: self.name.id().to_owned(),
            scheduler: self.service.service.scheduler.to_string(),
            fallback: self.service.fallback.as_ref().map(|fallback| fallback.name()),
            fallback_active: self.service.fallback.is_some() && self.fallback_serves,
            pending: self.refusals.iter().map(ToString::to_string).collect(),
            reals: self.servers.iter().enumerate().map(real).collect(),
        }
    }
}

/// Longer numbers say nothing more and fill the line.
fn thousandths(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
