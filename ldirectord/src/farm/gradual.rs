//! Weights that are not those of the file: a server that came back climbs to its own in steps
//! (`slowstart`), and a check or an agent may say what it should be.

use std::time::{Duration, Instant};

use lvs::ipvs::{Destination, MAX_WEIGHT};

use super::recall::Weigher;
use super::{Held, Server};
use crate::check::{Advice, Report};
use crate::wanted::Target;

/// Steps from nothing to the full weight.
const STEPS: u32 = 10;

/// A climb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ramp {
    began: Instant,
    /// From 1 to [`STEPS`] - 1.
    step: u32,
}

impl Ramp {
    /// One that has reached `weight` on its way to `full`; `None` if it is there.
    pub(super) fn resumed(now: Instant, total: Duration, weight: u32, full: u32) -> Option<Self> {
        let step = u32::try_from((u64::from(weight) * u64::from(STEPS)).div_ceil(u64::from(full.max(1)))).ok()?;
        let began = now.checked_sub(total / STEPS * step.checked_sub(1)?)?;
        (step < STEPS).then_some(Self { began, step })
    }
}

impl Server {
    /// What a verdict asks for, with the weight that counts now.
    pub(super) fn adjusted(&self, target: Target) -> Target {
        let Target::Serve(destination) = target else { return target };
        let advised = match (self.kept, self.advice) {
            (Some(kept), _) => kept.weight,
            (None, None) => destination.weight,
            (None, Some(Advice::Weight(weight))) => weight,
            (None, Some(Advice::Percent(percent))) => share(destination.weight, percent),
            (None, Some(Advice::Drain)) => return Target::Quiesce(Destination { weight: 0, ..destination }),
        };
        let advised = self.verdict.stance().percent.map_or(advised, |percent| share(advised, percent));
        let weight = match self.ramp {
            Some(ramp) if advised > 0 => part(advised, ramp.step, STEPS).max(1),
            _ => advised,
        };
        Target::Serve(Destination { weight, ..destination })
    }
}

/// Per cent of a weight; what is not meant to be nothing is at least 1.
fn share(weight: u32, percent: u32) -> u32 {
    part(weight, percent, 100).max(u32::from(weight > 0 && percent > 0))
}

fn part(weight: u32, of: u32, all: u32) -> u32 {
    let share = u64::from(weight) * u64::from(of) / u64::from(all);
    u32::try_from(share).unwrap_or(MAX_WEIGHT).min(MAX_WEIGHT)
}

impl Held {
    /// A failed check says nothing about weights.
    pub(super) fn take_advice(&mut self, now: Instant, r: usize, report: &Report) {
        if report.result.is_err() {
            return;
        }
        if self.servers[r].advice != report.advice {
            self.update(r, |server| server.advice = report.advice);
        }
        self.release_weight(now, r, Weigher::Check);
    }

    /// A server that was down before this result climbs if it is up now.
    pub(super) fn begin_ramp(&mut self, now: Instant, r: usize) {
        if self.service.extensions.slow_start.is_some() && self.servers[r].verdict.passes() {
            self.update(r, |server| server.ramp = Some(Ramp { began: now, step: 1 }));
        }
    }

    /// Takes the steps that are due.
    pub(super) fn climb(&mut self, now: Instant) {
        let total = self.service.extensions.slow_start;
        for r in 0..self.servers.len() {
            let Some(ramp) = self.servers[r].ramp else { continue };
            let next = total.and_then(|total| {
                let passed = now.saturating_duration_since(ramp.began).as_millis() * u128::from(STEPS);
                let step = 1 + u32::try_from(passed / total.as_millis().max(1)).unwrap_or(STEPS);
                (step < STEPS && self.servers[r].verdict.passes()).then_some(Ramp { step, ..ramp })
            });
            if next != Some(ramp) {
                self.update(r, |server| server.ramp = next);
            }
        }
    }

    /// When [`Self::climb`] has something to do.
    pub(super) fn next_step(&self) -> Option<Instant> {
        let step: Duration = self.service.extensions.slow_start? / STEPS;
        let ramps = self.servers.iter().filter_map(|server| server.ramp);
        ramps.map(|ramp| ramp.began + step * ramp.step).min()
    }
}
