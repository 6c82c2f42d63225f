//! A new file: what is known of the servers that stay is kept, everything is programmed
//! afresh, and every check is made at once (spec/ldirectord.md 7.2, 7.6).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Farm, GRACE, Held, Probing, Retired, Retry, Server};
use crate::config::Config;
use crate::config::model::{Check, Virtual};
use crate::notice::{Notice, ServiceName};
use crate::schedule::CheckId;
use crate::verdict::Turn;

/// A check that the file asks for, how often, and for whom.
type Needed = (Check, Duration, Vec<(usize, usize)>);

impl Farm {
    /// Puts another configuration in force.
    ///
    /// Servers that are in both keep their verdict: one that is up stays in the table without
    /// a gap, one that is down does not come up for a moment. Services that are only in the
    /// old one leave the table.
    #[must_use]
    pub fn reload(&mut self, now: Instant, config: Config) -> Vec<Notice> {
        let mut before: BTreeMap<_, _> =
            std::mem::take(&mut self.virtuals).into_iter().map(|held| (held.service.key, held)).collect();
        self.readd_quiescent = config.globals.readd_quiescent;
        self.virtuals = config.virtuals.into_iter().map(|v| Held::of(now, before.remove(&v.key), v)).collect();
        for held in &self.virtuals {
            self.retired.remove(&held.service.key);
        }
        let retired = before
            .into_iter()
            .map(|(key, held)| (key, Retired { name: held.name, retry: Retry::default(), refusal: None }));
        self.retired.extend(retired);
        (self.seen, self.ready) = (false, false);
        self.generation += 1;
        self.disturb();
        self.take_up_checks(now);
        let mut notices = Vec::new();
        for held in &mut self.virtuals {
            held.judge_without_check(&mut notices);
            held.assert_everything();
            held.post(&self.posted, &mut notices);
        }
        notices
    }

    /// Equal checks are one check, in whatever virtual they are (spec 5.4); one that was made
    /// before goes on where it was in its round.
    fn take_up_checks(&mut self, now: Instant) {
        let mut needed: Vec<Needed> = Vec::new();
        let mut places = Lookup::<usize>::default();
        for (v, held) in self.virtuals.iter().enumerate() {
            for (r, real) in held.service.reals.iter().enumerate() {
                let unchecked = matches!(real.check, Check::On | Check::Off | Check::Impossible(_));
                let own = (!unchecked).then(|| (real.check.clone(), held.service.check_interval));
                let agent = held.service.extensions.agent.map(|agent| (agent.check(real), agent.interval));
                for (check, pause) in own.into_iter().chain(agent) {
                    let place = places.find(&check, |&place| needed[place].0 == check).unwrap_or_else(|| {
                        let place = places.add(&check, needed.len());
                        needed.push((check, pause, Vec::new()));
                        place
                    });
                    let (_, interval, users) = &mut needed[place];
                    *interval = (*interval).min(pause);
                    users.push((v, r));
                }
            }
        }
        let mut before = std::mem::take(&mut self.probes);
        let mut known = Lookup::<CheckId>::default();
        for (&id, probing) in &before {
            known.add(&probing.check, id);
        }
        self.round.clear();
        let jitter = |users: &[(usize, usize)]| {
            users.iter().map(|&(v, _)| self.virtuals[v].service.extensions.jitter).max().unwrap_or(0)
        };
        for (check, interval, users) in needed {
            let percent = jitter(&users);
            let same = known.find(&check, |id| before.get(id).is_some_and(|probing| *probing.check == check));
            let (id, turn) = match same.and_then(|id| Some((id, before.remove(&id)?.turn))) {
                Some((id, turn)) => {
                    self.schedule.hurry(now, id, interval);
                    (id, turn)
                }
                None => {
                    let id = CheckId(self.next_id);
                    self.next_id += 1;
                    self.schedule.add(now, id, interval);
                    (id, Turn::default())
                }
            };
            self.schedule.set_jitter(id, percent);
            self.round.insert(id);
            self.probes.insert(id, Probing { check: Arc::new(check), turn, users });
        }
        for id in before.into_keys() {
            self.schedule.remove(id);
        }
    }
}

/// Finds equal checks. A check holds a compiled pattern, so it is no key of a map itself.
struct Lookup<T>(HashMap<u64, Vec<T>>);

impl<T> Default for Lookup<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Copy> Lookup<T> {
    fn add(&mut self, check: &Check, found: T) -> T {
        self.0.entry(fingerprint(check)).or_default().push(found);
        found
    }

    fn find(&self, check: &Check, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.0.get(&fingerprint(check))?.iter().copied().find(|candidate| is_it(candidate))
    }
}

fn fingerprint(check: &Check) -> u64 {
    let mut hasher = DefaultHasher::new();
    check.hash(&mut hasher);
    hasher.finish()
}

impl Held {
    fn of(now: Instant, mut before: Option<Self>, service: Virtual) -> Self {
        let grace = before.as_ref().map_or(Some(now + GRACE), |held| held.grace);
        let told = before.as_ref().filter(|held| held.service.fallback_command == service.fallback_command);
        let told = told.and_then(|held| held.told);
        let port = |service: &Virtual| service.extensions.agent.map(|agent| agent.port);
        let same_agent = before.as_ref().is_none_or(|held| port(&held.service) == port(&service));
        let (departing, look) =
            before.as_mut().map(|held| (std::mem::take(&mut held.departing), held.look)).unwrap_or_default();
        let mut known: BTreeMap<SocketAddr, Server> = before
            .map(|held| held.service.reals.iter().map(|real| real.at).zip(held.servers).collect())
            .unwrap_or_default();
        let mut servers: Vec<_> = service.reals.iter().map(|real| known.remove(&real.at).unwrap_or_default()).collect();
        if !same_agent {
            servers.iter_mut().for_each(Server::forget_agent);
        }
        let name = ServiceName::of(&service);
        let mut held = Self {
            service,
            name,
            servers,
            define: true,
            purge: true,
            fallback_serves: false,
            fallback_dirty: false,
            told,
            grace,
            departing,
            look,
            retry: Retry::default(),
            refusals: Vec::new(),
        };
        held.forget_departures();
        held.review_kept_weights();
        held.review_fallback();
        held
    }

    /// Whatever the table holds now, it is made what is wanted.
    pub(super) fn assert_everything(&mut self) {
        self.define = true;
        self.fallback_dirty = self.service.fallback.is_some();
        for server in &mut self.servers {
            server.dirty = true;
        }
    }

    /// `on` is up and an impossible check is down from the beginning.
    fn judge_without_check(&mut self, notices: &mut Vec<Notice>) {
        for r in 0..self.servers.len() {
            match self.real(r).check {
                Check::On => self.judge(r, &Ok("not checked".to_owned()), notices),
                Check::Impossible(why) => {
                    // Not a failed check but a fact: `failurecount` does not put it off.
                    self.update(r, |server| server.verdict = server.verdict.forgotten());
                    self.judge(r, &Err(why.to_owned()), notices);
                }
                _ => {}
            }
        }
    }
}
