//! An address of ours that somebody else has taken off: put back, but not for ever (spec/heartbeat.md 10, fault 10).
//!
//! Pure: says when it is time to try the other node.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So often an address is put back within [`WITHIN`]; whoever takes it off once more means it, or is a program at war
/// with us.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// When each address was put back.
#[derive(Debug, Default)]
pub struct Repairs(BTreeMap<IpAddr, VecDeque<Instant>>);

impl Repairs {
    /// The address is gone once more; whether its group should go to the other node.
    pub fn note(&mut self, now: Instant, ip: IpAddr) -> bool {
        let times = self.0.entry(ip).or_default();
        times.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        times.push_back(now);
        if times.len() <= MOST {
            return false;
        }
        times.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_repairs_a_minute_are_made_and_the_fourth_loss_is_one_too_many() {
        let (mut repairs, start) = (Repairs::default(), Instant::now());
        let ips: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut lost = |second, ip| repairs.note(start + Duration::from_secs(second), ip);
        assert!((0..10).all(|minute| !lost(minute * 30, ips[1])), "now and then it is put back for ever");
        assert_eq!([300, 310, 320, 330].map(|second| lost(second, ips[0])), [false, false, false, true]);
        assert!(!lost(331, ips[0]), "counted anew");
    }
}
