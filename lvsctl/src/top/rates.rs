//! Rates from counters: what was counted between looks, over the time between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::ipvs::{ServiceKey, ServiceListing, Stats};

/// The kernel sums its counters every two seconds. Over two such sums a steady load looks steady, however often
/// one looks.
const WINDOW: Duration = Duration::from_secs(4);

/// Per second.
///
/// ```
/// use lvs::top::Rates;
///
/// let idle = Rates::default();
/// assert_eq!(idle, Rates { connections: 0.0, ..idle });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// New connections.
    pub connections: f64,
    /// Packets from clients.
    pub packets_in: f64,
    /// Packets to clients.
    pub packets_out: f64,
    /// Bytes from clients.
    pub bytes_in: f64,
    /// Bytes to clients.
    pub bytes_out: f64,
}

/// A service, or a server of it.
pub(super) type Id = (ServiceKey, Option<SocketAddr>);

/// The five counters, in the order of [`Rates`].
type Counters = [u64; 5];

fn counters(stats: &Stats) -> Counters {
    let Stats { connections, packets_in, packets_out, bytes_in, bytes_out, .. } = *stats;
    [connections, packets_in, packets_out, bytes_in, bytes_out]
}

/// One thing's past.
#[derive(Debug)]
struct Track {
    last: Counters,
    /// What was counted in each step, and how long that was; the newest last.
    steps: VecDeque<(Duration, Counters)>,
}

/// Everybody's past.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    at: Duration,
    tracks: BTreeMap<Id, Track>,
}

impl Tracks {
    pub(super) fn update(&mut self, at: Duration, services: &[ServiceListing]) {
        let step = at.saturating_sub(self.at);
        self.at = at;
        let mut before = std::mem::take(&mut self.tracks);
        for service in services {
            let servers = service.destinations.iter().map(|server| ((service.key, Some(server.at)), &server.stats));
            for (id, stats) in std::iter::once(((service.key, None), &service.stats)).chain(servers) {
                let now = counters(stats);
                let track = match before.remove(&id) {
                    Some(track) => track.advance(step, now),
                    // What it counted before it was first seen was not counted now.
                    None => Track { last: now, steps: VecDeque::new() },
                };
                self.tracks.insert(id, track);
            }
        }
    }

    /// `None` before the second look.
    pub(super) fn rates(&self, id: &Id) -> Option<Rates> {
        let track = self.tracks.get(id)?;
        let time: Duration = track.steps.iter().map(|(time, _)| time).sum();
        if time.is_zero() {
            return None;
        }
        let per_second = |n: usize| {
            let sum: u64 = track.steps.iter().map(|(_, counted)| counted[n]).fold(0, u64::saturating_add);
            sum as f64 / time.as_secs_f64()
        };
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = [0, 1, 2, 3, 4].map(per_second);
        Some(Rates { connections, packets_in, packets_out, bytes_in, bytes_out })
    }
}

impl Track {
    fn advance(mut self, step: Duration, now: Counters) -> Self {
        if step.is_zero() {
            return self;
        }
        let mut counted = [0; 5];
        for (n, counted) in counted.iter_mut().enumerate() {
            // A counter that went back was set to zero in between: what it shows was counted since.
            *counted = now[n].checked_sub(self.last[n]).unwrap_or(now[n]);
        }
        self.last = now;
        self.steps.push_back((step, counted));
        let mut time: Duration = self.steps.iter().map(|(time, _)| time).sum();
        while let Some(&(oldest, _)) = self.steps.front()
            && time.saturating_sub(oldest) >= WINDOW
        {
            time -= oldest;
            self.steps.pop_front();
        }
        self
    }
}
