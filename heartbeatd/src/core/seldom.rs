//! What the network can provoke is told once a minute, not once a packet.

use std::time::{Duration, Instant};

/// What about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matter {
    SameName,
    SameUuid,
    UuidClash,
    UnknownNode,
    OldGeneration,
    Replay,
    WeakSignature,
    NodesDiffer,
    BadAck,
    ResendOfUnsent,
    CannotResend,
    PlanDiffers,
    LegacyPeer,
}

const EVERY: Duration = Duration::from_secs(60);

/// When each matter was last told.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Vec<(Matter, Instant)>);

impl Seldom {
    /// Whether it may be told now; if so it counts as told.
    pub fn allows(&mut self, matter: Matter, now: Instant) -> bool {
        match self.0.iter_mut().find(|(each, _)| *each == matter) {
            Some((_, last)) if now < *last + EVERY => false,
            Some((_, last)) => {
                *last = now;
                true
            }
            None => {
                self.0.push((matter, now));
                true
            }
        }
    }
}
