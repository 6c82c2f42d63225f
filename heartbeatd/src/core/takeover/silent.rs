//! What a heartbeatd says of fencing, in a field of its own of every status: whether it has devices, and among three or
//! more of each node that it does not hear how far it is with it:
//!
//! ```text
//! hbdf=d 77120f3e=6b00151095:- 90b1c2a7=0:2!
//!      │ │        │          │             └ !: an attempt is under way
//!      │ │        │          └ -: it is off, or has left; a number: it has to be switched off first, and so many
//!      │ │        │            attempts of the sender have failed
//!      │ │        └ the last life known of it, 0 if none is
//!      │ └ the node, by its mark
//!      └ d: the sender has fencing devices; - if not
//! ```
//!
//! It is there wherever there are fencing devices; a heartbeatd that does not know it reads the rest of the status.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::word::Unreadable;

/// More nodes than any cluster has: what is said of further ones is skipped.
const MOST_SILENT: usize = 32;

/// The whole field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FencingWord {
    /// The sender has devices.
    pub devices: bool,
    /// Every node that it has given up.
    pub silent: Vec<Silent>,
}

/// A node that is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    /// Its mark ([`Plan::mark`](crate::core::Plan::mark)).
    pub node: u32,
    /// Its last known life; 0 if none is known.
    pub life: u64,
    /// What is still to be done; `None`: it is off, or has left.
    pub awaited: Option<Awaited>,
}

/// How far the sender is with a node that has to be off first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// Attempts that have failed.
    pub failed: u32,
    /// One is under way.
    pub busy: bool,
}

impl FencingWord {
    /// What it says of the node with this mark.
    #[must_use]
    pub fn of(&self, node: u32) -> Option<&Silent> {
        self.silent.iter().find(|silent| silent.node == node)
    }
}

impl fmt::Display for FencingWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(if self.devices { 'd' } else { '-' })?;
        self.silent.iter().try_for_each(|Silent { node, life, awaited }| {
            write!(f, " {node:08x}={life:x}:")?;
            match awaited {
                None => f.write_char('-'),
                Some(Awaited { failed, busy }) => write!(f, "{failed:x}{}", if *busy { "!" } else { "" }),
            }
        })
    }
}

fn number(text: &str) -> Result<u64, Unreadable> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits { u64::from_str_radix(text, 16).map_err(|_| Unreadable) } else { Err(Unreadable) }
}

fn short(text: &str) -> Result<u32, Unreadable> {
    u32::try_from(number(text)?).map_err(|_| Unreadable)
}

impl FromStr for Silent {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (node, rest) = text.split_once('=').ok_or(Unreadable)?;
        let (life, awaited) = rest.split_once(':').ok_or(Unreadable)?;
        let awaited = match (awaited, awaited.strip_suffix('!')) {
            ("-", _) => None,
            (_, Some(failed)) => Some(Awaited { failed: short(failed)?, busy: true }),
            (failed, None) => Some(Awaited { failed: short(failed)?, busy: false }),
        };
        Ok(Self { node: short(node)?, life: number(life)?, awaited })
    }
}

impl FromStr for FencingWord {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut words = text.split_ascii_whitespace();
        let devices = words.next().ok_or(Unreadable)?.contains('d');
        let silent: Result<Vec<Silent>, Unreadable> = words.take(MOST_SILENT).map(str::parse).collect();
        Ok(Self { devices, silent: silent? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_silent() -> impl Strategy<Value = Silent> {
        (any::<u32>(), any::<u64>(), any::<Option<(u32, bool)>>()).prop_map(|(node, life, awaited)| {
            let awaited = awaited.map(|(failed, busy)| Awaited { failed, busy });
            Silent { node, life, awaited }
        })
    }

    proptest! {
        #[test]
        fn what_is_said_comes_back_as_it_was(devices in any::<bool>(), silent in prop::collection::vec(any_silent(), 0..8)) {
            let fencing = FencingWord { devices, silent };
            prop_assert_eq!(fencing.to_string().parse(), Ok(fencing));
        }

        #[test]
        fn no_text_makes_the_reader_stumble(text in "\\PC{0,60}", tail in "[d-]( [0-9a-f+]{0,9}=[0-9a-f+]{0,17}:[0-9a-f!+-]{0,9}){0,3}") {
            let _: Result<FencingWord, _> = text.parse();
            let _: Result<FencingWord, _> = tail.parse();
        }
    }
}
