//! What a group is being made to do, and how far that is.

use super::News;
use crate::core::GroupId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Up { planned: bool },
    Down,
}

/// An order under way.
#[derive(Debug)]
pub(super) struct Order {
    pub aim: Aim,
    /// Resources already dealt with, in the direction of the order.
    pub done: usize,
    pub ok: bool,
    /// Something that must not run twice could not be stopped.
    pub stuck: bool,
    /// A start that failed, or was overtaken by a stop, stops what it had started.
    undoing: bool,
}

impl Order {
    pub fn to(aim: Aim) -> Self {
        Self { aim, done: 0, ok: true, stuck: false, undoing: false }
    }

    pub fn is_starting(&self) -> bool {
        matches!(self.aim, Aim::Up { .. }) && !self.undoing
    }

    /// From here on a start is a stop: of everything, right to left, since a script that failed
    /// may have done half of its work.
    pub fn undo(&mut self) {
        if !self.undoing {
            (self.undoing, self.ok, self.done) = (true, false, 0);
        }
    }

    pub fn outcome(&self, group: GroupId) -> News {
        let ok = self.ok;
        match self.aim {
            Aim::Up { .. } | Aim::Down if self.stuck => News::Stuck { group },
            Aim::Up { .. } => News::Acquired { group, ok },
            Aim::Down => News::Released { group, ok },
        }
    }
}
