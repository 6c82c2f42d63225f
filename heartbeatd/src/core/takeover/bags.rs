//! The two bags of the old protocol, as a set (spec/heartbeat.md 6.1).

use crate::wire::Hold;

/// Local, foreign, both or neither, seen from one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bags(u8);

impl Bags {
    pub const NONE: Self = Self(0);
    pub const LOCAL: Self = Self(1);
    pub const FOREIGN: Self = Self(2);
    pub const ALL: Self = Self(3);

    pub fn has(self, bags: Self) -> bool {
        self.0 & bags.0 == bags.0
    }

    pub fn with(self, bags: Self) -> Self {
        Self(self.0 | bags.0)
    }

    pub fn without(self, bags: Self) -> Self {
        Self(self.0 & !bags.0)
    }

    /// Whether a group belongs to one of them.
    pub fn takes(self, home: bool) -> bool {
        self.has(if home { Self::LOCAL } else { Self::FOREIGN })
    }

    /// The same bags seen from the other node.
    pub fn mirrored(self) -> Self {
        Self::from(Hold::from(self).mirrored())
    }

    pub fn as_str(self) -> &'static str {
        Hold::from(self).as_str()
    }
}

impl From<Hold> for Bags {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::None => Self::NONE,
            Hold::Local => Self::LOCAL,
            Hold::Foreign => Self::FOREIGN,
            Hold::All => Self::ALL,
        }
    }
}

impl From<Bags> for Hold {
    fn from(bags: Bags) -> Self {
        match (bags.has(Bags::LOCAL), bags.has(Bags::FOREIGN)) {
            (false, false) => Self::None,
            (true, false) => Self::Local,
            (false, true) => Self::Foreign,
            (true, true) => Self::All,
        }
    }
}
