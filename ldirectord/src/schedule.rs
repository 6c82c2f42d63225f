//! When each check is due.
//!
//! Pure: the clock is passed in. All checks run at the same time, none overlaps with
//! itself, and the interval counts from the start of a check, so that a slow server
//! delays nobody and is itself checked as often as it can be (spec B17).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// More checks than these are not made at once for ever. So many together cost less than each by itself: the processor is
/// woken up once for all.
const CROWD: u32 = 50;

/// One check that has to be made: the same one for every virtual that asks for it (spec 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u64);

/// The checks and their times.
#[derive(Debug, Default)]
pub struct Schedule {
    checks: BTreeMap<CheckId, Entry>,
    /// Those that do not run, the next one first: thousands of checks are not looked through for each result.
    waiting: BTreeSet<(Instant, CheckId)>,
    seed: u64,
}

#[derive(Debug)]
struct Entry {
    /// It has not been started since it was added or hurried.
    fresh: bool,
    interval: Duration,
    next: Instant,
    running: bool,
    /// Per cent of the interval.
    jitter: u32,
    rounds: u64,
}

impl Entry {
    /// The pause to the next start: the interval, and up to `jitter` per cent more or less.
    fn pause(&mut self, id: CheckId, seed: u64) -> Duration {
        self.rounds += 1;
        if self.jitter == 0 {
            return self.interval;
        }
        // Parts in ten thousand of the interval, from -jitter to +jitter.
        let span = u64::from(self.jitter) * 200;
        let drawn = mixed(seed ^ id.0.rotate_left(32) ^ self.rounds) % (span + 1);
        self.interval.mul_f64((10_000 - span / 2 + drawn) as f64 / 10_000.0)
    }
}

/// Steele, Lea and Flood's mixing function (SplitMix64): neighbours in, strangers out.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Schedule {
    /// Adds a check that is due at once, and then each `interval`.
    pub fn add(&mut self, now: Instant, id: CheckId, interval: Duration) {
        self.remove(id);
        self.checks.insert(id, Entry { fresh: true, interval, next: now, running: false, jitter: 0, rounds: 0 });
        self.waiting.insert((now, id));
    }

    /// Makes a check due at once and changes its interval; while it runs, as soon as it has ended.
    pub fn hurry(&mut self, now: Instant, id: CheckId, interval: Duration) {
        let Some(entry) = self.checks.get_mut(&id) else { return };
        if self.waiting.remove(&(entry.next, id)) {
            self.waiting.insert((now, id));
        }
        (entry.fresh, entry.interval, entry.next) = (true, interval, now);
    }

    /// Where chance begins; without it every run has the same jitter.
    pub fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Moves the starts of a check at random by up to so many per cent of its interval.
    pub fn set_jitter(&mut self, id: CheckId, percent: u32) {
        if let Some(entry) = self.checks.get_mut(&id) {
            entry.jitter = percent;
        }
    }

    /// Forgets a check. A result that still comes belongs to nobody.
    pub fn remove(&mut self, id: CheckId) {
        if let Some(entry) = self.checks.remove(&id) {
            self.waiting.remove(&(entry.next, id));
        }
    }

    /// The checks to start now; each counts as running until [`Schedule::ended`].
    ///
    /// The next start is counted from the moment at which this one was due, so that being late once, because the
    /// machine was busy, does not make the next ones late. One that is a whole interval late begins anew.
    ///
    /// After a start or a reload all are due at once. Where those are many, their second starts come earlier than an
    /// interval later, spread over it in groups, so that machine and network have an even load from then on.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Vec<CheckId> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.waiting.pop_first();
            let Some(entry) = self.checks.get_mut(&id) else { continue };
            let pause = entry.pause(id, self.seed);
            entry.running = true;
            entry.next = if at + pause > now { at + pause } else { now + pause };
            due.push(id);
        }
        self.spread(now, &due);
        due
    }

    fn spread(&mut self, now: Instant, due: &[CheckId]) {
        let is_fresh = |id: &&CheckId| self.checks.get(id).is_some_and(|entry| entry.fresh);
        let fresh: Vec<CheckId> = due.iter().filter(is_fresh).copied().collect();
        let groups = u32::try_from(fresh.len()).unwrap_or(u32::MAX).div_ceil(CROWD);
        for (place, id) in (0..).zip(&fresh) {
            let Some(entry) = self.checks.get_mut(id) else { continue };
            entry.fresh = false;
            if groups > 1 {
                entry.next = now + (entry.next - now) / groups * (place / CROWD + 1);
            }
        }
    }

    /// A check has ended. If it took longer than its interval it is due again at once.
    pub fn ended(&mut self, id: CheckId) {
        if let Some(entry) = self.checks.get_mut(&id)
            && std::mem::take(&mut entry.running)
        {
            self.waiting.insert((entry.next, id));
        }
    }

    /// When [`Schedule::due`] next has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs checks that take `takes` each in virtual time; the starts of each, in milliseconds.
    fn starts(checks: &[(Duration, Duration)], until: Duration) -> Vec<Vec<u128>> {
        let begin = Instant::now();
        let mut schedule = Schedule::default();
        for (n, (interval, _)) in (0u64..).zip(checks) {
            schedule.add(begin, CheckId(n), *interval);
        }
        let mut running: Vec<(Instant, CheckId)> = Vec::new();
        let mut starts = vec![Vec::new(); checks.len()];
        let mut now = begin;
        while now <= begin + until {
            running.retain(|&(end, id)| {
                if end <= now {
                    schedule.ended(id);
                }
                end > now
            });
            for id in schedule.due(now) {
                let n = usize::try_from(id.0).expect("few checks");
                assert!(running.iter().all(|&(_, other)| other != id), "a check overlaps with itself");
                starts[n].push((now - begin).as_millis());
                running.push((now + checks[n].1, id));
            }
            let ends = running.iter().map(|&(end, _)| end);
            now = ends.chain(schedule.deadline()).min().expect("something is always to come");
        }
        starts
    }

    #[test]
    fn a_check_is_made_each_interval_counted_from_its_start() {
        let starts = starts(&[(10 * SECOND, 3 * SECOND)], 40 * SECOND);
        assert_eq!(starts, [[0, 10_000, 20_000, 30_000, 40_000]]);
    }

    #[test]
    fn a_hung_server_delays_nobody_else() {
        let starts = starts(&[(SECOND, 30 * SECOND), (SECOND, SECOND / 100)], 5 * SECOND);
        assert_eq!(starts[0], [0]);
        assert_eq!(starts[1], [0, 1000, 2000, 3000, 4000, 5000]);
    }

    #[test]
    fn a_check_longer_than_its_interval_is_made_back_to_back() {
        let starts = starts(&[(SECOND, 4 * SECOND)], 9 * SECOND);
        assert_eq!(starts, [[0, 4000, 8000]]);
    }

    #[test]
    fn being_late_once_does_not_make_the_next_ones_late() {
        let (begin, id, mut schedule) = (Instant::now(), CheckId(0), Schedule::default());
        schedule.add(begin, id, SECOND);
        for (late, next) in [(0, 1000), (1050, 2000), (2999, 3000), (4100, 5100)] {
            let now = begin + Duration::from_millis(late);
            assert_eq!(schedule.due(now), [id]);
            schedule.ended(id);
            let next = begin + Duration::from_millis(next);
            assert_eq!(schedule.deadline(), Some(next), "after a start at {late} ms");
        }
    }

    #[test]
    fn many_checks_are_made_at_once_only_in_the_first_round() {
        let checks = vec![(10 * SECOND, SECOND / 10); 200];
        let starts = starts(&checks, 35 * SECOND);
        let second: Vec<u128> = starts.iter().map(|times| times[1]).collect();
        let groups: Vec<u128> = (0..200).map(|place| (place / 50 + 1) * 2500).collect();
        assert_eq!(second, groups);
        assert!(starts.iter().all(|times| times[0] == 0 && times[2] - times[1] == 10_000));
    }

    #[test]
    fn jitter_moves_each_start_and_keeps_the_mean() {
        let (mut now, id, mut schedule) = (Instant::now(), CheckId(3), Schedule::default());
        schedule.seed(7);
        schedule.add(now, id, 10 * SECOND);
        schedule.set_jitter(id, 20);
        let mut pauses = Vec::new();
        for _ in 0..1000 {
            assert_eq!(schedule.due(now), [id]);
            schedule.ended(id);
            let next = schedule.deadline().expect("it is made again");
            pauses.push(next - now);
            now = next;
        }
        let mean = pauses.iter().sum::<Duration>() / 1000;
        assert!(pauses.iter().all(|pause| (8 * SECOND..=12 * SECOND).contains(pause)));
        assert!(mean.abs_diff(10 * SECOND) < SECOND / 5, "{mean:?}");
        assert!(pauses.windows(2).filter(|pair| pair[0] != pair[1]).count() > 900);
    }

    #[test]
    fn a_hurried_check_is_due_at_once_but_not_twice() {
        let now = Instant::now();
        let id = CheckId(7);
        let mut schedule = Schedule::default();
        schedule.add(now, id, 10 * SECOND);
        assert_eq!(schedule.due(now), [id]);
        schedule.hurry(now + SECOND, id, 5 * SECOND);
        assert_eq!(schedule.due(now + SECOND), [], "it runs");
        assert_eq!(schedule.deadline(), None);
        schedule.ended(id);
        assert_eq!(schedule.due(now + 2 * SECOND), [id]);
        schedule.ended(id);
        assert_eq!(schedule.deadline(), Some(now + 6 * SECOND), "counted from when it was due");
        schedule.remove(id);
        assert_eq!(schedule.deadline(), None);
    }
}
