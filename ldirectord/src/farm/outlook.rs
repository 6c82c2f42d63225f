//! What the farm as a whole waits for.
//!
//! To find that, every server of every service is looked at. Most results say what is known already, so it is kept until
//! something changes: thousands of servers are not looked through for each result.

use std::time::Instant;

use super::{Farm, Held};
use crate::notice::ServiceName;

/// What all services together wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    /// When a grace ends or a weight takes its next step.
    stir: Option<Instant>,
    /// The same without the graces that nobody waits for the end of.
    step: Option<Instant>,
    /// Something is to be changed in the table now.
    wanting: bool,
    /// When something that the kernel refused is to be tried again, or connections are to be counted.
    attempt: Option<Instant>,
    /// As [`Farm::is_blind`].
    blind: bool,
}

impl Farm {
    /// To be called whenever a server, a service or what is wanted of the table is not what it was.
    pub(super) fn disturb(&mut self) {
        self.outlook.set(None);
        self.disturbed = true;
    }

    fn outlook(&self) -> Outlook {
        let known = self.outlook.get().unwrap_or_else(|| self.look());
        self.outlook.set(Some(known));
        known
    }

    fn look(&self) -> Outlook {
        let graces = || self.virtuals.iter().filter_map(|held| Some((held, held.grace?)));
        let steps = || self.virtuals.iter().filter_map(Held::next_step);
        let waited = graces().filter(|(held, _)| held.fallback_waits()).map(|(_, until)| until);
        let dirty = self.virtuals.iter().filter(|held| held.is_dirty()).map(|held| held.retry.at);
        let (mut wanting, mut attempt) = (false, None::<Instant>);
        for at in dirty.chain(self.retired.values().map(|retired| retired.retry.at)) {
            wanting |= at.is_none();
            attempt = attempt.into_iter().chain(at).min();
        }
        let counts = self.virtuals.iter().filter_map(|held| held.look);
        Outlook {
            stir: graces().map(|(_, until)| until).chain(steps()).min(),
            step: waited.chain(steps()).min(),
            wanting,
            attempt: counts.chain(attempt).min(),
            blind: self.sees_nobody(),
        }
    }

    /// Takes the steps that time asks for.
    pub(super) fn stir(&mut self, now: Instant) {
        let awaited = self.outlook.get().map(|known| known.stir);
        if awaited.is_some_and(|at| at.is_none_or(|at| at > now)) {
            return;
        }
        for held in &mut self.virtuals {
            if held.grace.is_some_and(|until| until <= now) {
                held.grace = None;
                held.review_fallback();
            }
            held.climb(now);
        }
        self.disturb();
    }

    /// When [`Farm::due`] is to be asked again.
    #[must_use]
    pub fn next_check(&self) -> Option<Instant> {
        self.outlook().step.into_iter().chain(self.schedule.deadline()).min()
    }

    /// When something that the kernel refused is to be tried again, or connections are to be counted.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.outlook().attempt
    }

    /// Whether the table should be read now, because something is to be changed in it.
    #[must_use]
    pub fn wants_table(&self, now: Instant) -> bool {
        if self.batch.is_some() {
            return false;
        }
        let Outlook { wanting, attempt, .. } = self.outlook();
        !self.seen || wanting || attempt.is_some_and(|at| at <= now)
    }

    /// Whether there is nothing left to be changed in the table, not even later.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let settled = self.batch.is_none() && self.seen && self.retired.is_empty();
        settled && !self.virtuals.iter().any(Held::is_dirty)
    }

    /// The services that are to leave the table because the file knows them no more.
    pub fn retired(&self) -> impl Iterator<Item = &ServiceName> {
        self.retired.values().map(|retired| &retired.name)
    }

    /// Whether no server that is checked at all answered its last check.
    pub(super) fn is_cut_off(&self) -> bool {
        self.outlook().blind
    }

    fn sees_nobody(&self) -> bool {
        let servers = self.virtuals.iter().flat_map(|held| &held.servers);
        let mut checked = servers.filter_map(|server| server.last.as_ref()).peekable();
        checked.peek().is_some() && checked.all(|last| last.report.result.is_err())
    }
}
