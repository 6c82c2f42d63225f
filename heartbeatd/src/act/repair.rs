//! An address of ours that somebody else has taken off: put back, but not for ever (spec/heartbeat.md 10, fault 10). One
//! that cannot be put back, because its interface is away: tried until it can.
//!
//! Pure: says when it is time to try the other node, and what is to be tried now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(60);

/// When each address was put back.
#[derive(Debug)]
pub struct Repairs {
    /// So often an address is put back within [`WITHIN`]; whoever takes it off once more means it, or is a program at
    /// war with us.
    most: usize,
    times: BTreeMap<IpAddr, VecDeque<Instant>>,
}

impl Repairs {
    /// So many a minute for each address.
    #[must_use]
    pub fn at_most(most: u16) -> Self {
        Self { most: most.into(), times: BTreeMap::new() }
    }

    /// The address is gone once more; whether its group should go to the other node.
    pub fn note(&mut self, now: Instant, ip: IpAddr) -> bool {
        let times = self.times.entry(ip).or_default();
        times.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        times.push_back(now);
        if times.len() <= self.most {
            return false;
        }
        times.clear();
        true
    }
}

/// Between two tries to put an address back that could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// Addresses that should be on, and could not be put on when their lease had run out.
#[derive(Debug, Default)]
pub struct Missing {
    ips: BTreeSet<IpAddr>,
    tried: Option<Instant>,
}

impl Missing {
    /// This one could not be put on.
    pub fn note(&mut self, now: Instant, ip: IpAddr) {
        self.ips.insert(ip);
        self.tried = Some(now);
    }

    /// It is on, or should not be any longer.
    pub fn forget(&mut self, ip: IpAddr) {
        self.ips.remove(&ip);
    }

    /// What is to be tried now, and then not for a while.
    pub fn due(&mut self, now: Instant) -> Vec<IpAddr> {
        if self.ips.is_empty() || self.tried.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return Vec::new();
        }
        self.tried = Some(now);
        self.ips.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_repairs_a_minute_are_made_and_the_fourth_loss_is_one_too_many() {
        let (mut repairs, start) = (Repairs::at_most(3), Instant::now());
        let ips: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut lost = |second, ip| repairs.note(start + Duration::from_secs(second), ip);
        assert!((0..10).all(|minute| !lost(minute * 30, ips[1])), "now and then it is put back for ever");
        assert_eq!([300, 310, 320, 330].map(|second| lost(second, ips[0])), [false, false, false, true]);
        assert!(!lost(331, ips[0]), "counted anew");
        let (mut never, mut always) = (Repairs::at_most(0), Repairs::at_most(u16::MAX));
        assert!(never.note(start, ips[0]), "the first loss is one too many");
        assert!((0..1000).all(|ms| !always.note(start + Duration::from_millis(ms), ips[0])));
    }

    #[test]
    fn what_is_missing_is_tried_once_a_second_until_it_is_on() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        let ips: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let after = |ms| start + Duration::from_millis(ms);
        assert!(missing.due(start).is_empty());
        ips.iter().for_each(|ip| missing.note(start, *ip));
        assert!(missing.due(after(999)).is_empty());
        assert_eq!(missing.due(after(1000)), ips);
        assert!(missing.due(after(1999)).is_empty());
        missing.forget(ips[0]);
        assert_eq!(missing.due(after(2000)), ips[1..]);
        missing.forget(ips[1]);
        assert!(missing.due(after(9000)).is_empty());
    }
}
