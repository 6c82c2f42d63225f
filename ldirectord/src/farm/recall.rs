//! What outlives a daemon: orders, what agents have taken out, and weights that are not those of the file.
//!
//! Orders and agents' words are written down ([`crate::memory`]). Weights need not be: the kernel's table has them. Where
//! something other than the file makes the weight (an external check, an agent, `slowstart`), the weight that is found at
//! the start stays until its first word.

use std::time::Instant;

use super::gradual::Ramp;
use super::{Farm, Held};
use crate::agent::{Order, Stance};
use crate::config::model::Check;
use crate::memory::{Memory, Remembered, Withdrawn};
use crate::wanted::Target;

/// A weight that was found in the table at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) weight: u32,
    /// What the file said then.
    of: u32,
}

/// Who says which weight a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weigher {
    /// What its good checks print, or that they are good.
    Check,
    /// Its agent.
    Agent,
}

impl Farm {
    /// What the next ldirectord should know and does not find in the table.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { servers: self.virtuals.iter().flat_map(Held::memory).collect() }
    }

    /// Takes what an earlier ldirectord knew, before anything else is done; says which servers are drained by an order of
    /// that time, as service and server. What the configuration has no more is forgotten.
    pub fn recall(&mut self, memory: &Memory) -> Vec<(String, String)> {
        self.disturb();
        let mut drained = Vec::new();
        for known in &memory.servers {
            let service = self.virtuals.iter_mut().find(|held| held.name.id() == known.service);
            let Some(held) = service else { continue };
            let Some(r) = held.service.reals.iter().position(|real| real.at == known.real) else { continue };
            held.recall(r, known);
            if known.drained {
                drained.push((known.service.clone(), held.real(r).name()));
            }
        }
        drained
    }
}

impl Held {
    fn memory(&self) -> impl Iterator<Item = Remembered> {
        let port = self.service.extensions.agent.map(|agent| agent.port.get());
        self.service.reals.iter().zip(&self.servers).filter_map(move |(real, server)| {
            let Stance { down, order, .. } = server.verdict.stance();
            let agent = port.filter(|_| down || order != Order::Ready).map(|port| Withdrawn { port, down, order });
            let drained = server.verdict.is_drained();
            let service = self.name.id().to_owned();
            (drained || agent.is_some()).then_some(Remembered { service, real: real.at, drained, agent })
        })
    }

    fn recall(&mut self, r: usize, known: &Remembered) {
        let asked = self.service.extensions.agent.map(|agent| agent.port.get());
        let withdrawn = known.agent.filter(|agent| Some(agent.port) == asked);
        self.update(r, |server| {
            server.verdict.drain(known.drained);
            if let Some(Withdrawn { down, order, .. }) = withdrawn {
                server.verdict.heed(Stance { down, order, percent: None });
            }
        });
    }

    /// Who says which weight the server has; `None` if the file alone does.
    fn weighed_by(&self, r: usize) -> Option<Weigher> {
        let extensions = &self.service.extensions;
        if matches!(self.real(r).check, Check::External(_)) {
            Some(Weigher::Check)
        } else if extensions.agent.is_some() {
            Some(Weigher::Agent)
        } else {
            extensions.slow_start.map(|_| Weigher::Check)
        }
    }

    /// It was found with this weight. If nothing was heard of whoever makes it, it stays.
    pub(super) fn keep_weight(&mut self, r: usize, weight: u32) {
        let server = &self.servers[r];
        let unheard = match self.weighed_by(r) {
            None => false,
            Some(Weigher::Check) => server.verdict.is_unknown(),
            Some(Weigher::Agent) => server.agent.is_none(),
        };
        if unheard {
            let of = self.real(r).destination.weight;
            self.update(r, |server| server.kept = Some(Kept { weight, of }));
        }
    }

    /// A good check, or an agent, has spoken. If the weight is for it to say, the one that was found stays no longer; a
    /// climb that was under way goes on from there.
    pub(super) fn release_weight(&mut self, now: Instant, r: usize, speaks: Weigher) {
        let Some(kept) = self.servers[r].kept.filter(|_| self.weighed_by(r) == Some(speaks)) else { return };
        self.update(r, |server| server.kept = None);
        if let (Some(total), Target::Serve(full)) = (self.service.extensions.slow_start, self.verdicts_target(r)) {
            let ramp = Ramp::resumed(now, total, kept.weight, full.weight);
            self.update(r, |server| server.ramp = ramp);
        }
    }

    /// After a new file: one that says another weight is the first word.
    pub(super) fn review_kept_weights(&mut self) {
        for r in 0..self.servers.len() {
            let (of, weighed) = (self.real(r).destination.weight, self.weighed_by(r).is_some());
            let server = &mut self.servers[r];
            server.kept = server.kept.filter(|kept| weighed && kept.of == of);
        }
    }
}
