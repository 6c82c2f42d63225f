//! How often heartbeatd asks what it has started whether it still runs.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Seconds.
const INTERVALS: RangeInclusive<f64> = 0.5..=86_400.0;

pub(super) fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(from)?;
    if INTERVALS.contains(&seconds) {
        Ok(Some(Duration::from_secs_f64(seconds)))
    } else {
        let (least, most) = (INTERVALS.start(), INTERVALS.end());
        Err(D::Error::custom(format!("monitor = {seconds}: from {least} to {most} seconds, or leave the line out")))
    }
}
