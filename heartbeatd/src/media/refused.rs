//! Counts what was not believed, and says so at most once a minute whoever sends how much.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::wire::{Malformed, Refusal};

const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Why a datagram came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// It is not signed by the peer, or not a message.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// It is the peer's, and says nothing we can use.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The counts since the start, and since they were told last.
#[derive(Debug, Default)]
pub struct Refused {
    total: BTreeMap<Reason, u64>,
    untold: BTreeMap<Reason, u64>,
    last_link: String,
    told: Option<Instant>,
}

impl Refused {
    /// Counts one datagram that came in on the link.
    pub fn note(&mut self, link: &str, reason: impl Into<Reason>) {
        let reason = reason.into();
        *self.total.entry(reason).or_default() += 1;
        *self.untold.entry(reason).or_default() += 1;
        if self.last_link != link {
            link.clone_into(&mut self.last_link);
        }
    }

    /// The line for the log, if there is something to tell and the last one was a minute ago.
    /// To be asked about once a second.
    pub fn line(&mut self, now: Instant) -> Option<String> {
        let early = self.told.is_some_and(|told| now.saturating_duration_since(told) < AT_MOST_EVERY);
        if early || self.untold.is_empty() {
            return None;
        }
        self.told = Some(now);
        let untold = std::mem::take(&mut self.untold);
        let count: u64 = untold.values().sum();
        let reasons: Vec<String> = untold.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
        let packets = if count == 1 { "packet" } else { "packets" };
        Some(format!("refused {count} {packets}, the last one on {}: {}", self.last_link, reasons.join(", ")))
    }

    /// Counts since the start by reason, for `status`.
    #[must_use]
    pub fn by_reason(&self) -> BTreeMap<String, u64> {
        self.total.iter().map(|(reason, count)| (reason.to_string(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute() {
        let start = Instant::now();
        let mut refused = Refused::default();
        let mut lines = Vec::new();
        for second in 0..180 {
            for _ in 0..10_000 {
                refused.note("hb0", Refusal::NoSignature);
            }
            refused.note("hb1", Refusal::UnknownKey(3));
            lines.extend(refused.line(start + Duration::from_secs(second)));
        }
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0],
            "refused 10001 packets, the last one on hb1: no outer signature (10000), key index 3 unknown (1)"
        );
        assert!(lines[1].starts_with("refused 600060 packets"), "{}", lines[1]);
        assert_eq!(refused.by_reason()["no outer signature"], 1_800_000);
    }

    #[test]
    fn what_came_within_the_minute_is_told_when_it_is_over() {
        let start = Instant::now();
        let mut refused = Refused::default();
        assert_eq!(refused.line(start), None);
        refused.note("hb0", Refusal::DigestMismatch);
        assert_eq!(refused.line(start).unwrap(), "refused 1 packet, the last one on hb0: digest mismatch (1)");
        refused.note("hb0", Malformed::Missing("ts"));
        assert_eq!(refused.line(start + Duration::from_secs(59)), None);
        let line = refused.line(start + Duration::from_secs(60)).unwrap();
        assert_eq!(line, "refused 1 packet, the last one on hb0: field ts is missing (1)");
    }
}
