//! When the neighbours are told where a virtual address now lives (spec/heartbeat.md 8).
//!
//! Pure: says what is due, and when to ask again. Each announcement is the ARP request and the
//! reply, or an unsolicited neighbour advertisement: see `lvs::netlink::announce`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs::settings::announce::Announce;

/// How often one address is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// After the address came on: when each announcement goes out, ascending. Empty: never.
    pub after: Vec<Duration>,
    /// From the last of these on, again and again; `None`: no more.
    pub refresh: Option<Duration>,
}

impl Default for Schedule {
    /// At once, and nine times more within five seconds: as long as heartbeat repeats it, and
    /// closer together in the beginning, where a lost one costs the most.
    fn default() -> Self {
        let after = [0, 50, 150, 300, 600, 1000, 1500, 2500, 3500, 4750].map(Duration::from_millis).to_vec();
        Self { after, refresh: None }
    }
}

/// What an entry of `lvs.toml` leaves open of the other one's.
const COUNT: u32 = 10;
const INTERVAL: Duration = Duration::from_millis(500);

impl Schedule {
    /// As an entry of `lvs.toml` has it.
    #[must_use]
    pub fn configured(entry: &Announce) -> Self {
        let after = match (entry.count, entry.interval) {
            (None, None) => Self::default().after,
            (count, interval) => {
                let interval = interval.unwrap_or(INTERVAL);
                (0..count.unwrap_or(COUNT)).map(|at| interval * at).collect()
            }
        };
        Self { after, refresh: entry.refresh }
    }
}

/// The addresses being announced.
#[derive(Debug, Default)]
pub struct Announcements {
    schedule: Schedule,
    /// Of addresses that have one of their own.
    own: BTreeMap<IpAddr, Schedule>,
    running: BTreeMap<IpAddr, Running>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    /// How many went out.
    sent: usize,
    next: Instant,
}

impl Announcements {
    /// None yet; all will follow the schedule but those that are given another.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, own: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// This address will follow another one, from its next start on.
    pub fn by(&mut self, address: IpAddr, schedule: Schedule) {
        self.own.insert(address, schedule);
    }

    /// The address has come on: the first announcement is due at once. An address that is being
    /// announced starts over.
    pub fn start(&mut self, now: Instant, address: IpAddr) {
        let schedule = self.own.get(&address).unwrap_or(&self.schedule);
        if let Some(first) = schedule.after.first() {
            self.running.insert(address, Running { since: now, sent: 0, next: now + *first });
        }
    }

    /// The address is being taken off: not one more.
    pub fn stop(&mut self, address: IpAddr) {
        self.running.remove(&address);
    }

    /// The addresses to announce now, each once however late it is.
    pub fn due(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut due = Vec::new();
        let Self { schedule, own, running } = self;
        running.retain(|address, running| {
            if running.next > now {
                return true;
            }
            let Schedule { after, refresh } = own.get(address).unwrap_or(schedule);
            due.push(*address);
            // What should have gone out in the meantime is not made up for.
            while running.sent < after.len() && running.since + after[running.sent] <= now {
                running.sent += 1;
            }
            match (after.get(running.sent), refresh) {
                (Some(after), _) => running.next = running.since + *after,
                (None, Some(refresh)) => running.next = now + *refresh,
                (None, None) => return false,
            }
            true
        });
        due
    }

    /// When [`Self::due`] next has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running.values().map(|running| running.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 60, 200));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 60, 201));

    /// When the address is announced within the first minute, in ms, asked at each deadline.
    fn times(schedule: Schedule) -> Vec<u128> {
        let start = Instant::now();
        let mut announcements = Announcements::new(schedule);
        announcements.start(start, VIP);
        let mut times = Vec::new();
        while let Some(next) = announcements.deadline().filter(|next| *next <= start + Duration::from_secs(60)) {
            assert_eq!(announcements.due(next), [VIP]);
            times.push((next - start).as_millis());
        }
        times
    }

    #[test]
    fn an_address_is_announced_at_once_and_for_five_seconds() {
        let times = times(Schedule::default());
        assert_eq!((times[0], times.len(), times[9]), (0, 10, 4750));
    }

    #[test]
    fn a_refresh_goes_on_for_ever() {
        let schedule = Schedule { after: vec![Duration::ZERO], refresh: Some(Duration::from_secs(20)) };
        assert_eq!(times(schedule), [0, 20_000, 40_000, 60_000]);
        assert_eq!(times(Schedule { after: vec![], refresh: None }), [0; 0]);
    }

    #[test]
    fn an_entry_of_the_settings_says_how_often_how_far_apart_and_how_long() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let entry = |count, interval, refresh| Schedule::configured(&Announce { count, interval, refresh });
        assert_eq!(times(entry(Some(3), Some(ms(200)), None)), [0, 200, 400]);
        assert_eq!(times(entry(Some(3), None, Some(s(20)))), [0, 500, 1000, 21_000, 41_000]);
        assert_eq!(times(entry(None, Some(ms(10)), None)).len(), 10);
        assert_eq!(entry(None, None, None), Schedule::default());
    }

    #[test]
    fn each_address_follows_its_own() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        announcements.by(OTHER, Schedule { after: vec![Duration::ZERO], refresh: Some(Duration::from_secs(1)) });
        announcements.start(now, VIP);
        announcements.start(now, OTHER);
        assert_eq!(announcements.due(now), [VIP, OTHER]);
        assert_eq!(announcements.due(now + Duration::from_millis(60)), [VIP]);
        assert_eq!(announcements.due(now + Duration::from_secs(10)), [VIP, OTHER]);
        assert_eq!(announcements.due(now + Duration::from_secs(11)), [OTHER]);
    }

    #[test]
    fn not_one_more_goes_out_after_the_release() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        announcements.start(now, VIP);
        announcements.start(now, OTHER);
        assert_eq!(announcements.due(now), [VIP, OTHER]);
        announcements.stop(VIP);
        assert_eq!(announcements.due(now + Duration::from_millis(50)), [OTHER]);
    }

    #[test]
    fn what_was_missed_is_announced_once() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        announcements.start(now, VIP);
        assert_eq!(announcements.due(now + Duration::from_secs(2)), [VIP]);
        assert_eq!(announcements.deadline(), Some(now + Duration::from_millis(2500)));
        assert_eq!(announcements.due(now + Duration::from_secs(10)), [VIP]);
        assert_eq!(announcements.deadline(), None);
    }
}
