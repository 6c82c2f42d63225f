//! The one clock of a story.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since the kernel started, by the monotonic clock: comparable between all processes of the lab.
#[must_use]
pub fn now() -> Duration {
    read(ClockId::Monotonic)
}

/// Time of day, for comparison with what tcpdump writes.
pub(crate) fn of_day() -> Duration {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> Duration {
    let at = clock_gettime(clock);
    Duration::new(at.tv_sec.try_into().unwrap_or_default(), at.tv_nsec.try_into().unwrap_or_default())
}
