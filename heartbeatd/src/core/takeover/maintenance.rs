//! Maintenance: this node keeps what it has, and takes and gives nothing by itself.
//!
//! For a repair during which silence means nothing: the network between the nodes is taken apart, or the other node is
//! switched off and on. What an administrator asks for, on either node, is done all the same. What stays in force: a node
//! that stops hands over, and of two that hold the same group one lets go.

use std::time::Instant;

use super::{Effect, Peer, Takeover};
use crate::core::notice::Notice;

impl Takeover {
    /// Switches it on or off. Switched off, what was left undone is done at once.
    pub fn set_maintenance(&mut self, now: Instant, on: bool, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.maintenance, on) == on {
            return;
        }
        fx.push(Effect::Note(Notice::Maintenance { on }));
        if on {
            self.put_off_fencing(now, fx);
        } else {
            self.tick_fencing(now, fx);
            if self.peer == Peer::Old {
                self.classic_after_maintenance(now, fx);
            }
        }
        self.settle(now, fx);
    }

    /// Whether it is on here.
    pub fn is_maintained(&self) -> bool {
        self.maintenance
    }

    /// Whether another heartbeatd says that it is on there.
    pub fn peer_is_maintained(&self) -> bool {
        matches!(&self.peer, Peer::Ours(word) if word.maintenance)
    }
}
