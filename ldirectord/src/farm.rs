//! The server farm: every virtual service and real server of the file, what the checks say
//! about them, and what of it the kernel's table does not say yet.
//!
//! Pure: results, tables and the time come in; checks to make, changes to carry out and
//! notices go out. [`crate::director`] is the driver. One batch of changes is under way at a
//! time; what a batch did not achieve stays to be done and is tried again against a fresh
//! table (spec/ldirectord.md B4).

mod agent;
mod drain;
mod errand;
mod gradual;
mod leaving;
mod maintenance;
mod monitored;
mod outlook;
mod recall;
mod reload;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs::ipvs::{Destination, Refusal, ServiceKey};

use crate::check::{Advice, Report};
use crate::config::Config;
use crate::config::model::{Check, Real, Virtual};
use crate::maintenance::Posted;
use crate::notice::{Notice, ServerName, ServiceName};
use crate::schedule::{CheckId, Schedule};
use crate::verdict::{Noted, Turn, Verdict};
use crate::wanted::Target;
pub use drain::NoSuchServer;
pub use errand::{Errand, Turned};
pub use leaving::Counted;
pub use table::Occupied;

/// First pause before a refused change is tried again; it doubles up to [`LONGEST_PAUSE`].
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause before a refused change is tried again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the fallback of a new service waits for the first results: without that, each start
/// would put it into the table and take it out again.
pub const GRACE: Duration = Duration::from_secs(2);

/// The whole farm.
#[derive(Debug)]
pub struct Farm {
    readd_quiescent: bool,
    /// What is in the maintenance directory.
    posted: Posted,
    virtuals: Vec<Held>,
    retired: BTreeMap<ServiceKey, Retired>,
    probes: BTreeMap<CheckId, Probing>,
    schedule: Schedule,
    next_id: u64,
    /// Checks not heard of since start or reload.
    round: BTreeSet<CheckId>,
    /// The table was read since start or reload.
    seen: bool,
    ready: bool,
    /// See [`Farm::is_blind`].
    blind: bool,
    batch: Option<table::Batch>,
    /// Counts reloads: a batch of an earlier generation says nothing about this one.
    generation: u64,
    /// Nothing while it has to be looked for.
    outlook: Cell<Option<outlook::Outlook>>,
    /// Something has changed since the errands were asked for.
    disturbed: bool,
}

/// A virtual service and what is thought of its servers.
#[derive(Debug)]
struct Held {
    service: Virtual,
    name: ServiceName,
    servers: Vec<Server>,
    define: bool,
    purge: bool,
    fallback_serves: bool,
    fallback_dirty: bool,
    /// What the fallback command was told last.
    told: Option<Turned>,
    /// Until then the fallback waits for servers of which nothing is known.
    grace: Option<Instant>,
    /// Servers of an earlier file whose connections may end first.
    departing: BTreeMap<SocketAddr, leaving::Departing>,
    /// When the connections of servers that leave are counted next.
    look: Option<Instant>,
    retry: Retry,
    refusals: Vec<Refusal>,
}

/// A real server of one virtual.
#[derive(Debug, Clone, Default)]
struct Server {
    verdict: Verdict,
    /// The table may not say what the verdict asks for.
    dirty: bool,
    /// It was judged for the first time: if it is down, it is put into the table with weight 0.
    fresh: bool,
    last: Option<Last>,
    /// The file in the maintenance directory that takes it out.
    maintenance: Option<String>,
    /// What its last good check said about its weight.
    advice: Option<Advice>,
    /// The weight that it has until somebody says another.
    kept: Option<recall::Kept>,
    /// It came back, and its weight grows.
    ramp: Option<gradual::Ramp>,
    /// What its agent answered last, or why it did not; `None` before that.
    agent: Option<Result<String, String>>,
    /// It is to leave the table, and its connections may end first.
    leave: leaving::Leave,
}

/// The last check of a server.
#[derive(Debug, Clone)]
struct Last {
    ended: Instant,
    report: Report,
}

/// A virtual service of an earlier file that may still be in the table.
#[derive(Debug)]
struct Retired {
    name: ServiceName,
    retry: Retry,
    refusal: Option<Refusal>,
}

/// When refused changes are tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    at: Option<Instant>,
    pause: Option<Duration>,
}

impl Retry {
    fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    fn later(&mut self, now: Instant) {
        let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        *self = Self { at: Some(now + pause), pause: Some(pause) };
    }
}

/// A check that is made, and for whom.
#[derive(Debug)]
struct Probing {
    check: Arc<Check>,
    turn: Turn,
    /// Virtual and real server, by their places.
    users: Vec<(usize, usize)>,
}

/// A check to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// To be handed back with the result.
    pub id: CheckId,
    /// What to do; never [`Check::Combined`], of which this is the half that is due.
    pub step: Arc<Check>,
}

impl Farm {
    /// A farm of which nothing is known yet. Every check is due at once.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> (Self, Vec<Notice>) {
        let mut farm = Self {
            readd_quiescent: false,
            posted: Posted::default(),
            virtuals: Vec::new(),
            retired: BTreeMap::new(),
            probes: BTreeMap::new(),
            schedule: Schedule::default(),
            next_id: 0,
            round: BTreeSet::new(),
            seen: false,
            ready: false,
            blind: false,
            batch: None,
            generation: 0,
            outlook: Cell::new(None),
            disturbed: true,
        };
        let notices = farm.reload(now, config);
        (farm, notices)
    }

    /// Where the chance in `jitter` begins.
    pub fn seed(&mut self, seed: u64) {
        self.schedule.seed(seed);
    }

    /// The checks to start now. Each has to be answered with [`Farm::heard`].
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Vec<Order> {
        self.stir(now);
        let due = self.schedule.due(now).into_iter();
        due.filter_map(|id| self.probes.get(&id).map(|probing| Order { id, step: probing.step() })).collect()
    }

    /// Takes the result of a check. A result of a check that no longer exists is nothing.
    #[must_use]
    pub fn heard(&mut self, now: Instant, id: CheckId, report: &Report) -> Vec<Notice> {
        self.schedule.ended(id);
        let Some(probing) = self.probes.get_mut(&id) else { return Vec::new() };
        if let Check::Combined { connects, .. } = &*probing.check {
            probing.turn.note(report.result.is_ok(), *connects);
        }
        self.round.remove(&id);
        let agent = matches!(*probing.check, Check::Agent(_));
        let (mut notices, mut news) = (Vec::new(), false);
        for &(v, r) in &probing.users {
            let held = &mut self.virtuals[v];
            let before = held.servers[r].known();
            if agent {
                held.hear_agent(now, r, &report.result, &mut notices);
                news |= held.servers[r].known() != before;
                continue;
            }
            held.servers[r].last = Some(Last { ended: now, report: report.clone() });
            held.take_advice(now, r, report);
            let was_down = held.servers[r].verdict.is_down();
            held.judge(r, &report.result, &mut notices);
            if was_down {
                held.begin_ramp(now, r);
            }
            news |= held.servers[r].known() != before;
        }
        if news {
            self.disturb();
        }
        notices
    }

    /// Every server was checked since start or reload, and what was found was programmed; what
    /// the kernel refused counts as tried.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// No server that is checked at all answered its last check when the table was last as wanted: they are all down, or
    /// we are cut off. One that answers only now is not in the table yet, so whoever took over on its word would meet none.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// To be called after each turn: whether the farm became ready just now.
    #[must_use]
    pub fn became_ready(&mut self, now: Instant) -> Option<Notice> {
        let settled = self.batch.is_none() && !self.wants_table(now);
        if settled {
            self.blind = self.is_cut_off();
        }
        let done = self.seen && self.round.is_empty() && settled;
        if self.ready || !done {
            return None;
        }
        self.ready = true;
        Some(Notice::Ready {})
    }
}

impl Server {
    /// Everything of it that others look at: while that stays, so does what the farm waits for.
    fn known(&self) -> (Verdict, bool, Option<Advice>, [Option<bool>; 2]) {
        let answered = self.last.as_ref().map(|last| last.report.result.is_ok());
        (self.verdict, self.dirty, self.advice, [answered, self.agent.as_ref().map(Result::is_ok)])
    }
}

impl Probing {
    fn step(&self) -> Arc<Check> {
        match &*self.check {
            Check::Combined { connect, .. } if self.turn.is_connect() => {
                // Over UDP a connect succeeds without being made (spec 8.1).
                Arc::new(connect.map_or(Check::On, Check::Connect))
            }
            Check::Combined { negotiate, .. } => Arc::new(Check::Negotiate(negotiate.clone())),
            _ => self.check.clone(),
        }
    }
}

impl Held {
    /// Notes what a check found about one server.
    fn judge(&mut self, r: usize, result: &Result<String, String>, notices: &mut Vec<Notice>) {
        let limit: NonZeroU32 = self.service.failure_count;
        let rise = self.service.extensions.rise.unwrap_or(NonZeroU32::MIN);
        if !self.servers[r].verdict.may_rise(result.is_ok(), rise) {
            return;
        }
        let mut noted = Noted::Unchanged;
        self.update(r, |server| noted = server.verdict.note(result.is_ok(), limit));
        if noted == Noted::Unchanged {
            return;
        }
        let (service, real) = (self.name.clone(), ServerName::real(&self.service.reals[r]));
        let why = result.as_ref().err().cloned().unwrap_or_default();
        match noted {
            Noted::Unchanged => {}
            Noted::SoftFailure { failures } => {
                if failures == 1 {
                    notices.push(Notice::CheckFailed { service: service.clone(), real: real.clone(), why });
                }
                notices.push(Notice::SoftFailure { service, real, failures, limit: limit.get() });
            }
            Noted::Passed { came_up, reset } => {
                if reset {
                    notices.push(Notice::FailuresReset { service: service.clone(), real: real.clone() });
                }
                if came_up && self.servers[r].verdict.passes() {
                    notices.push(Notice::RealUp { service, real });
                }
            }
            Noted::WentDown { first } => {
                self.servers[r].fresh |= first;
                notices.push(Notice::CheckFailed { service: service.clone(), real: real.clone(), why: why.clone() });
                // Its agent may have said so before.
                if !self.servers[r].verdict.stance().down {
                    notices.push(Notice::RealDown { service, real, why });
                }
            }
        }
    }

    /// Changes a server, and remembers what that makes of the table.
    fn update(&mut self, r: usize, change: impl FnOnce(&mut Server)) {
        let before = self.target(r);
        change(&mut self.servers[r]);
        if self.verdicts_target(r) != Target::Gone {
            self.servers[r].leave = leaving::Leave::Stays;
        }
        if self.target(r) != before {
            self.servers[r].dirty = true;
            self.retry.at = None;
        }
        self.review_fallback();
    }

    /// The fallback serves while no server does.
    fn review_fallback(&mut self) {
        let Some(fallback) = &self.service.fallback else { return };
        let serves = !self.fallback_waits() && !self.servers.iter().any(|server| server.verdict.serves());
        if std::mem::replace(&mut self.fallback_serves, serves) == serves {
            return;
        }
        self.fallback_dirty = true;
        self.retry.at = None;
        // A fallback that is one of the servers leaves its entry to that server.
        for (real, server) in self.service.reals.iter().zip(&mut self.servers) {
            server.dirty |= real.at == fallback.at;
        }
    }

    /// It is too early to say whether the fallback is needed: no check has ended, or whoever could serve waits for the
    /// first word of its agent.
    fn fallback_waits(&self) -> bool {
        let awaited = |server: &Server| server.verdict.is_unknown() && !server.verdict.is_out();
        let mut serving = (0..self.servers.len()).filter(|&r| self.servers[r].verdict.serves()).peekable();
        let asked = serving.peek().is_some() && serving.all(|r| self.awaits_agent(r));
        asked || self.grace.is_some() && self.servers.iter().any(awaited)
    }

    fn real(&self, r: usize) -> &Real {
        &self.service.reals[r]
    }

    /// What the table should say of a server in the end.
    fn verdicts_target(&self, r: usize) -> Target {
        let server = &self.servers[r];
        server.adjusted(Target::of(&self.service, self.real(r), &server.verdict))
    }

    /// What the table should say now.
    fn target(&self, r: usize) -> Target {
        match (self.verdicts_target(r), self.servers[r].leave) {
            (Target::Serve(_), _) if self.awaits_agent(r) => Target::Leave,
            (Target::Gone, leaving::Leave::Until(_)) => {
                Target::Quiesce(Destination { weight: 0, ..self.real(r).destination })
            }
            (target, _) => target,
        }
    }

    fn is_dirty(&self) -> bool {
        let fallback = self.fallback_dirty && !self.fallback_waits();
        let departing = self.departing.values().any(|departing| departing.dirty);
        self.define || self.purge || fallback || departing || self.servers.iter().any(|server| server.dirty)
    }
}
