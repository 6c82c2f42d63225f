//! Whether each server was asked when it should have been.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The interval that all files ask for.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// A check this far from its time is late, or early.
const TOLERANCE: Duration = Duration::from_millis(100);

/// The checks of a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cadence {
    /// Checks that were made.
    pub checks: usize,
    /// Of the checks that should have been made, those that came one interval after the one before, 100 ms more or less.
    pub kept: f64,
    /// The pause that one of a hundred exceeded, and the longest.
    pub late: [Duration; 2],
}

impl Cadence {
    /// Of `servers` between two moments.
    pub fn of(asked: &BTreeMap<Ipv4Addr, Vec<Instant>>, servers: usize, [from, to]: [Instant; 2]) -> Self {
        let (mut checks, mut pauses) = (0, Vec::new());
        for times in asked.values() {
            let times: Vec<Instant> = times.iter().copied().filter(|at| (from..to).contains(at)).collect();
            checks += times.len();
            pauses.extend(times.windows(2).map(|pair| pair[1] - pair[0]));
        }
        let in_time = pauses.iter().filter(|pause| pause.abs_diff(INTERVAL) <= TOLERANCE).count();
        pauses.sort_unstable();
        let late = [pauses.len() * 99 / 100, pauses.len().saturating_sub(1)];
        // Of n moments in time there are n - 1 pauses between.
        let expected = ((to - from).as_secs_f64() / INTERVAL.as_secs_f64() - 1.0) * servers as f64;
        Self {
            checks,
            kept: (in_time as f64 / expected).min(1.0),
            late: late.map(|n| pauses.get(n).copied().unwrap_or_default()),
        }
    }
}
