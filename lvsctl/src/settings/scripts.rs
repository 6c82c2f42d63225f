//! How often heartbeatd asks resource scripts whether what they have started still runs, and how long they may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Seconds.
const INTERVALS: RangeInclusive<f64> = 0.5..=86_400.0;
const TIMEOUTS: RangeInclusive<f64> = 1.0..=86_400.0;

/// For a start or a stop: a file system may have to be checked, and a database to catch up.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    within(from, "monitor", &INTERVALS).map(Some)
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    within(from, "script_timeout", &TIMEOUTS)
}

fn within<'de, D: Deserializer<'de>>(from: D, name: &str, range: &RangeInclusive<f64>) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    if range.contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        let (least, most) = (range.start(), range.end());
        Err(D::Error::custom(format!("{name} = {seconds}: from {least} to {most} seconds, or leave the line out")))
    }
}
