//! Virtual addresses are leased from ourselves: the kernel takes an address off when its lease
//! is not renewed, so that a hung owner is no owner when the peer takes over.
//!
//! Pure: says which addresses are to be renewed, and which we were too late for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The kernel takes an address off up to this much after the lease's end.
const KERNEL_LATE: Duration = Duration::from_millis(250);

/// How long a lease is, and how often it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Whole seconds, as the kernel counts them.
    pub seconds: NonZeroU32,
    /// A quarter of that.
    pub renew: Duration,
}

impl Lease {
    /// The longest lease that is over before the peer takes over, if we stop sending and renewing at
    /// the same moment: the peer heard us up to one `keepalive` ago and waits for `deadtime`.
    /// At least a second: with short times the two may overlap.
    #[must_use]
    pub fn within(deadtime: Duration, keepalive: Duration) -> Self {
        let room = deadtime.saturating_sub(keepalive + KERNEL_LATE).as_secs();
        let seconds = NonZeroU32::new(u32::try_from(room).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        Self { seconds, renew: Duration::from_secs(seconds.get().into()) / 4 }
    }

    /// The same as a duration.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }
}

/// What is to be done about leases now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Renew these.
    pub renew: Vec<IpAddr>,
    /// These have run out before we came to renew them: the kernel has taken them off or does so
    /// any moment, and the peer may have them. They are no longer ours, and not to be put back
    /// before it is known who owns them.
    pub lapsed: Vec<IpAddr>,
}

/// When each address was last renewed, and is to be next.
#[derive(Debug)]
pub struct Leases {
    lease: Lease,
    held: BTreeMap<IpAddr, Held>,
}

#[derive(Debug)]
struct Held {
    renewed: Instant,
    next: Instant,
}

impl Leases {
    /// None yet.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        Self { lease, held: BTreeMap::new() }
    }

    /// The lease's terms.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// The address was put on or renewed at `now`, a moment before the kernel did it.
    pub fn renewed(&mut self, now: Instant, address: IpAddr) {
        self.held.insert(address, Held { renewed: now, next: now + self.lease.renew });
    }

    /// The address was not renewed although it was due: to be asked about again soon.
    pub fn postponed(&mut self, now: Instant, address: IpAddr) {
        if let Some(held) = self.held.get_mut(&address) {
            held.next = now + self.lease.renew / 4;
        }
    }

    /// The address was taken off.
    pub fn ended(&mut self, address: IpAddr) {
        self.held.remove(&address);
    }

    /// What is to be done; lapsed leases are forgotten with it. Each address to renew must be
    /// [`Self::renewed`] or [`Self::postponed`].
    pub fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        let length = self.lease.length();
        self.held.retain(|address, held| {
            let lapsed = now.saturating_duration_since(held.renewed) >= length;
            if lapsed {
                due.lapsed.push(*address);
            } else if held.next <= now {
                due.renew.push(*address);
            }
            !lapsed
        });
        due
    }

    /// When [`Self::due`] next has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let length = self.lease.length();
        self.held.values().map(|held| held.next.min(held.renewed + length)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 60, 200));

    fn lease(deadtime: u64, keepalive: u64) -> u32 {
        Lease::within(Duration::from_millis(deadtime), Duration::from_millis(keepalive)).seconds.get()
    }

    #[test]
    fn a_lease_ends_before_the_peer_takes_over_where_whole_seconds_allow() {
        assert_eq!(lease(30_000, 2000), 27);
        assert_eq!(lease(10_000, 1000), 8);
        assert_eq!(lease(2500, 200), 2);
        assert_eq!(lease(1000, 200), 1);
        assert_eq!(lease(100, 20), 1);
    }

    #[test]
    fn a_lease_is_renewed_four_times_in_its_life() {
        let now = Instant::now();
        let mut leases = Leases::new(Lease::within(Duration::from_secs(1), Duration::from_millis(200)));
        leases.renewed(now, VIP);
        let quarter = Duration::from_millis(250);
        assert_eq!(leases.deadline(), Some(now + quarter));
        assert_eq!(leases.due(now + quarter / 2), Due::default());
        assert_eq!(leases.due(now + quarter).renew, [VIP]);
        // One that fails is tried again before its end.
        leases.postponed(now + quarter, VIP);
        assert_eq!(leases.due(now + quarter), Due::default());
        assert_eq!(leases.deadline(), Some(now + quarter + quarter / 4));
        leases.renewed(now + quarter, VIP);
        assert_eq!(leases.due(now + quarter), Due::default());
        leases.ended(VIP);
        assert_eq!(leases.deadline(), None);
    }

    #[test]
    fn who_wakes_up_too_late_has_lost_the_address_and_does_not_take_it_back() {
        let now = Instant::now();
        let mut leases = Leases::new(Lease::within(Duration::from_secs(1), Duration::from_millis(200)));
        leases.renewed(now, VIP);
        let late = leases.due(now + Duration::from_secs(1));
        assert_eq!((late.renew.len(), late.lapsed), (0, vec![VIP]));
        assert_eq!(leases.due(now + Duration::from_secs(2)), Due::default());
    }
}
