//! What agents on the servers say (`agentport`): beside the checks, never instead of them.

use std::time::Instant;

use super::recall::Weigher;
use super::{Held, Server};
use crate::agent::{Said, Stance};
use crate::notice::{Notice, ServerName};

impl Server {
    /// What its agent said last, or why it cannot be asked.
    pub(super) fn agent_line(&self) -> Option<String> {
        match self.agent.as_ref()? {
            Ok(line) => Some(line.clone()),
            Err(why) => Some(format!("cannot be asked: {why}")),
        }
    }

    /// As if it had never had an agent.
    pub(super) fn forget_agent(&mut self) {
        self.agent = None;
        self.verdict.heed(Stance::default());
    }
}

impl Held {
    /// Its agent was not asked yet: it may have something to say before the server gets its weight.
    pub(super) fn awaits_agent(&self, r: usize) -> bool {
        self.service.extensions.agent.is_some() && self.servers[r].agent.is_none()
    }

    /// Takes an answer. An agent that does not answer has nothing new to say: whether the server works is what its check
    /// is for.
    pub(super) fn hear_agent(
        &mut self,
        now: Instant,
        r: usize,
        answer: &Result<String, String>,
        notices: &mut Vec<Notice>,
    ) {
        let (before, had) = (self.servers[r].verdict, self.servers[r].agent.clone());
        let said = answer.as_ref().map_err(Clone::clone).and_then(|line| Said::parse(line));
        let stance = said.as_ref().map_or(before.stance(), |&said| before.stance().after(said));
        self.update(r, |server| {
            server.verdict.heed(stance);
            server.agent = Some(said.and(answer.clone()));
            // As for a first check: one that is found out of service is in the table with weight 0.
            server.fresh |= had.is_none() && !server.verdict.serves();
        });
        if matches!(self.servers[r].agent, Some(Ok(_))) {
            self.release_weight(now, r, Weigher::Agent);
        }
        let after = self.servers[r].verdict;
        let (service, real) = (self.name.clone(), ServerName::real(self.real(r)));
        let failed = matches!(had, Some(Err(_)));
        let changed = (before.stance().down, before.stance().order) != (stance.down, stance.order);
        match &self.servers[r].agent {
            Some(Err(why)) if !failed => {
                notices.push(Notice::AgentSilent { service: service.clone(), real: real.clone(), why: why.clone() });
            }
            Some(Ok(said)) if failed || changed => {
                notices.push(Notice::AgentSays { service: service.clone(), real: real.clone(), said: said.clone() });
            }
            _ => {}
        }
        if before.passes() && !after.passes() {
            let why = format!("its agent says {:?}", self.servers[r].agent_line().unwrap_or_default());
            notices.push(Notice::RealDown { service, real, why });
        } else if !before.passes() && after.passes() {
            notices.push(Notice::RealUp { service, real });
            self.begin_ramp(now, r);
        }
    }
}
