//! What one heartbeatd tells another in every status, in a field that heartbeat 3.0.6 ignores.
//!
//! It says how things are, not what has just happened: whichever status arrives, the last
//! one counts, and one that is lost is made up for by the next. Written as words:
//!
//! ```text
//! hbd=1 ars 5c0ffee1d2 6b00151095:25 9a01bb02.77120f3e.01ab34cd.5d81f0c7 1c9a44f0h3+ 90b1c2a7f0-
//!     │ │   │          │             │                                   └ group, how we stand to it, tenancy,
//!     │ │   │          │             │                                     how much we want it
//!     │ │   │          │             └ digests of our ha.cf, haresources and authkeys, and of the names of our nodes
//!     │ │   │          └ your present life, and number of your last status that we took in
//!     │ │   └ our present life: a number drawn at its beginning
//!     │ └ a: communication is up, r: ready, s: settled, m: in maintenance
//!     └ version
//! ```
//!
//! A life is named by chance and not by its generation: one that was restored from a copy, or counts anew, may
//! have the generation of an earlier life, and what was said in that one must not be taken for an answer to this.
//!
//! Flags that we do not know are skipped, so that a later version can say more.
//!
//! Where there are more than two nodes the word is for all of them, and says more:
//!
//! ```text
//! hbd=1 arsu 5c0ffee1d2 77120f3e=6b00151095:25,90b1c2a7=77ab:3 9a01bb02.77120f3e.01ab34cd.5d81f0c7 1c9a44f0o3+1>77120f3e
//!         │             │                                                                                      ││
//!         │             └ every node that is heard, by its mark, and what was taken in of it last              ││
//!         └ u: it may not take what nobody seems to have; l: it has    its place among the homes, if not 0 ┘│
//!           let go of everything and leaves                                            the node it is offered to ┘
//! ```

use std::fmt::{self, Write};
use std::str::FromStr;

use super::silent::FencingWord;
use super::unit::{State, Will};
use crate::core::plan::MAX_GROUPS;

/// How the peer stands to one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Name of the group on the wire.
    pub tag: u32,
    /// How the peer stands to it.
    pub state: State,
    /// The peer's tenancy, or the highest it has heard of.
    pub term: u64,
    /// How much it wants it.
    pub will: Will,
    /// The peer's place among the group's homes, 0 for the first. Told where there are more than two nodes; 0 elsewhere.
    pub rank: u8,
    /// Mark of the node that it is offered to; `None` where there is only one other.
    pub to: Option<u32>,
}

/// That a node is heard, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The node's mark ([`Plan::mark`](crate::core::Plan::mark)).
    pub node: u32,
    /// Its life.
    pub life: u64,
    /// Number of its last status that was taken in.
    pub seq: u64,
}

/// The whole word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// Communication is up: it takes part in decisions.
    pub active: bool,
    /// It can serve at once: its ldirectord has finished a first round of checks.
    pub ready: bool,
    /// It has seen every group in somebody's hands since it started.
    pub settled: bool,
    /// It takes and gives nothing but by an administrator.
    pub maintenance: bool,
    /// It has let go of everything and leaves. Told where there are more than two nodes.
    pub left: bool,
    /// There may be somebody of whom it knows nothing, so it takes only what it is given. Told where there are more than
    /// two nodes.
    pub unsure: bool,
    /// Its present life.
    pub life: u64,
    /// The receiver's life and the number of its last status, as far as it took them in.
    pub heard: Option<(u64, u64)>,
    /// The same of every node that is heard, in place of `heard` where there are more than two.
    pub echoes: Vec<Echo>,
    /// What its files say.
    pub files: Files,
    /// The nodes of its ha.cf ([`Plan::cluster_mark`](crate::core::Plan::cluster_mark)); 0 if it does not say.
    pub nodes: u32,
    /// Every group of its haresources.
    pub groups: Vec<Said>,
    /// What it says of nodes that it does not hear, in a field of its own; empty in a pair.
    pub fencing: FencingWord,
}

impl Word {
    /// Whether its sender has other nodes in its ha.cf: what it says is then said to another cluster.
    #[must_use]
    pub fn is_of_others(&self, nodes: u32) -> bool {
        self.nodes != 0 && self.nodes != nodes
    }

    /// Life and number of the last status of the node with this mark that the sender took in.
    #[must_use]
    pub fn answers(&self, mark: u32) -> Option<(u64, u64)> {
        let echo = self.echoes.iter().find(|echo| echo.node == mark);
        echo.map_or(self.heard, |echo| Some((echo.life, echo.seq)))
    }
}

/// Digests of what two nodes' files should have in common; 0 where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// Of ha.cf: names, times, failback, ping nodes.
    pub ha_cf: u32,
    /// Of haresources, whatever the order of its lines.
    pub haresources: u32,
    /// Of authkeys, keyed by what it holds.
    pub authkeys: u32,
}

impl Files {
    /// Names of the files that differ; none where one side does not say.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let each = [
            ("ha.cf", self.ha_cf, other.ha_cf),
            ("haresources", self.haresources, other.haresources),
            ("authkeys", self.authkeys, other.authkeys),
        ];
        let differ = each.into_iter().filter(|(_, ours, theirs)| *ours != 0 && *theirs != 0 && ours != theirs);
        differ.map(|(name, ..)| name).collect()
    }
}

/// A word that cannot be read; its sender is taken for an old heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the word of a heartbeatd")]
pub struct Unreadable;

/// More nodes than any cluster has: what a word names beyond is skipped.
const MOST_ECHOES: usize = 32;

const STATES: [(State, char); 7] = [
    (State::Free, 'f'),
    (State::Claiming, 'c'),
    (State::Acquiring, 'a'),
    (State::Held, 'h'),
    (State::Offering, 'o'),
    (State::Releasing, 'r'),
    (State::Stuck, 'x'),
];

const WILLS: [(Will, char); 4] =
    [(Will::Unable, '-'), (Will::Reluctant, '~'), (Will::Willing, '+'), (Will::Wanting, '!')];

fn letter<T: PartialEq + Copy>(table: &[(T, char)], value: T) -> char {
    // Every value stands in its table; `every_word_comes_back_as_it_was` holds that.
    table.iter().find(|(each, _)| *each == value).map_or('?', |(_, letter)| *letter)
}

fn value<T: Copy>(table: &[(T, char)], letter: char) -> Result<T, Unreadable> {
    table.iter().find(|(_, each)| *each == letter).map(|(value, _)| *value).ok_or(Unreadable)
}

fn hex(text: &str) -> Result<u64, Unreadable> {
    if text.starts_with('+') { Err(Unreadable) } else { u64::from_str_radix(text, 16).map_err(|_| Unreadable) }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1 ")?;
        let flags = [
            (self.active, 'a'),
            (self.ready, 'r'),
            (self.settled, 's'),
            (self.maintenance, 'm'),
            (self.left, 'l'),
            (self.unsure, 'u'),
        ];
        if flags.iter().all(|(set, _)| !set) {
            f.write_char('-')?;
        }
        flags.iter().filter(|(set, _)| *set).try_for_each(|(_, letter)| f.write_char(*letter))?;
        write!(f, " {:x}", self.life)?;
        match (self.echoes.as_slice(), self.heard) {
            ([], Some((life, seq))) => write!(f, " {life:x}:{seq:x}")?,
            ([], None) => f.write_str(" -")?,
            (echoes, _) => {
                for (nth, Echo { node, life, seq }) in echoes.iter().enumerate() {
                    let before = if nth == 0 { ' ' } else { ',' };
                    write!(f, "{before}{node:08x}={life:x}:{seq:x}")?;
                }
            }
        }
        let Files { ha_cf, haresources, authkeys } = self.files;
        write!(f, " {ha_cf:x}.{haresources:x}.{authkeys:x}.{:x}", self.nodes)?;
        self.groups.iter().try_for_each(|said| {
            let (state, will) = (letter(&STATES, said.state), letter(&WILLS, said.will));
            write!(f, " {:08x}{state}{:x}{will}", said.tag, said.term)?;
            if said.rank > 0 {
                write!(f, "{:x}", said.rank)?;
            }
            said.to.map_or(Ok(()), |to| write!(f, ">{to:08x}"))
        })
    }
}

impl FromStr for Said {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (tag, rest) = text.split_at_checked(8).ok_or(Unreadable)?;
        let mut letters = rest.chars();
        let state = letters.next().ok_or(Unreadable)?;
        let rest = letters.as_str();
        let will = rest.find(|letter| WILLS.iter().any(|(_, each)| *each == letter)).ok_or(Unreadable)?;
        let (term, rest) = rest.split_at(will);
        let mut letters = rest.chars();
        let will = letters.next().ok_or(Unreadable)?;
        let (rank, to) = match letters.as_str().split_once('>') {
            Some((rank, to)) => (rank, Some(mark(to)?)),
            None => (letters.as_str(), None),
        };
        let rank = if rank.is_empty() { 0 } else { u8::try_from(hex(rank)?).map_err(|_| Unreadable)? };
        let (state, will) = (value(&STATES, state)?, value(&WILLS, will)?);
        Ok(Self { tag: mark(tag)?, state, term: hex(term)?, will, rank, to })
    }
}

fn mark(text: &str) -> Result<u32, Unreadable> {
    u32::try_from(hex(text)?).map_err(|_| Unreadable)
}

fn answer(text: &str) -> Result<Option<(u64, u64)>, Unreadable> {
    text.split_once(':').map(|(life, seq)| Ok((hex(life)?, hex(seq)?))).transpose()
}

impl FromStr for Echo {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (node, heard) = text.split_once('=').ok_or(Unreadable)?;
        let (life, seq) = answer(heard)?.ok_or(Unreadable)?;
        Ok(Self { node: mark(node)?, life, seq })
    }
}

impl FromStr for Files {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut digests = text.splitn(3, '.').map(mark);
        let mut next = || digests.next().unwrap_or(Err(Unreadable));
        Ok(Self { ha_cf: next()?, haresources: next()?, authkeys: next()? })
    }
}

impl FromStr for Word {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut words = text.split_ascii_whitespace();
        let (Some("1"), Some(flags), Some(life)) = (words.next(), words.next(), words.next()) else {
            return Err(Unreadable);
        };
        let (Some(heard), Some(files)) = (words.next(), words.next()) else { return Err(Unreadable) };
        let (heard, echoes) = if heard.contains('=') {
            (None, heard.split(',').take(MOST_ECHOES).map(str::parse).collect::<Result<Vec<Echo>, Unreadable>>()?)
        } else {
            (answer(heard)?, Vec::new())
        };
        let groups: Result<Vec<Said>, Unreadable> = words.take(MAX_GROUPS).map(str::parse).collect();
        let flag = |letter| flags.contains(letter);
        let [active, ready, settled, maintenance, left, unsure] = ['a', 'r', 's', 'm', 'l', 'u'].map(flag);
        let (files, nodes) = match files.match_indices('.').nth(2) {
            Some((at, _)) => (&files[..at], mark(&files[at + 1..])?),
            None => (files, 0),
        };
        let (life, files, groups) = (hex(life)?, files.parse()?, groups?);
        let fencing = FencingWord::default();
        Ok(Self {
            active,
            ready,
            settled,
            maintenance,
            left,
            unsure,
            life,
            heard,
            echoes,
            files,
            nodes,
            groups,
            fencing,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_said() -> impl Strategy<Value = Said> {
        let place = (any::<u8>(), any::<Option<u32>>());
        (any::<u32>(), 0..STATES.len(), any::<u64>(), 0..WILLS.len(), place).prop_map(
            |(tag, state, term, will, (rank, to))| {
                let (state, will) = (STATES[state].0, WILLS[will].0);
                Said { tag, state, term, will, rank, to }
            },
        )
    }

    fn any_echo() -> impl Strategy<Value = Echo> {
        (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(node, life, seq)| Echo { node, life, seq })
    }

    proptest! {
        #[test]
        fn every_word_comes_back_as_it_was(
            flags in any::<[bool; 6]>(),
            life in any::<u64>(),
            heard in any::<Option<(u64, u64)>>(),
            echoes in prop::collection::vec(any_echo(), 0..8),
            files in any::<[u32; 3]>(),
            nodes in any::<u32>(),
            groups in prop::collection::vec(any_said(), 0..20),
        ) {
            let [active, ready, settled, maintenance, left, unsure] = flags;
            let heard = heard.filter(|_| echoes.is_empty());
            let [ha_cf, haresources, authkeys] = files;
            let files = Files { ha_cf, haresources, authkeys };
            let fencing = FencingWord::default();
            let word =
                Word { active, ready, settled, maintenance, left, unsure, life, heard, echoes, files, nodes, groups, fencing };
            prop_assert_eq!(word.to_string().parse(), Ok(word));
        }

        #[test]
        fn no_text_makes_the_reader_stumble(text in "\\PC{0,60}", tail in "1 [arsmlu-]{1,6} [0-9a-f]{1,18} [0-9a-f]{1,18}:[0-9a-f+]{1,3} [0-9a-f.+]{0,30} \\PC{0,20}") {
            let _: Result<Word, _> = text.parse();
            let _: Result<Word, _> = tail.parse();
        }
    }

    #[test]
    fn the_word_of_another_version_is_not_taken_for_ours() {
        assert_eq!("1 ars 7 1:1 1.2.3".parse::<Word>().map(|word| word.heard), Ok(Some((1, 1))));
        assert_eq!("1 ars 7 1:1 1.2.3.4f".parse::<Word>().map(|word| word.nodes), Ok(0x4f));
        assert_eq!("2 ars 7 1:1 1.2.3".parse::<Word>(), Err(Unreadable));
        assert_eq!("1 ars 7 1:1 1.2".parse::<Word>(), Err(Unreadable));
        assert_eq!("".parse::<Word>(), Err(Unreadable));
    }

    #[test]
    fn what_a_node_has_heard_of_us_is_found_among_what_it_has_heard_of_others() {
        let word: Word = "1 a 7 a=1:2,b=3:4 1.2.3 0000000co3+1>0000000b".parse().unwrap();
        assert_eq!([word.answers(0xa), word.answers(0xb), word.answers(0xc)], [Some((1, 2)), Some((3, 4)), None]);
        assert_eq!(word.groups[0].to, Some(0xb));
        let of_a_pair: Word = "1 a 7 5:6 1.2.3".parse().unwrap();
        assert_eq!(of_a_pair.answers(0xa), Some((5, 6)));
    }

    #[test]
    fn the_files_that_differ_are_named_and_what_is_not_known_is_not() {
        let ours = Files { ha_cf: 1, haresources: 2, authkeys: 3 };
        assert_eq!(ours.differing(&Files { haresources: 9, ..ours }), ["haresources"]);
        assert_eq!(ours.differing(&Files { ha_cf: 7, haresources: 0, authkeys: 8 }), ["ha.cf", "authkeys"]);
        assert!(ours.differing(&ours).is_empty() && ours.differing(&Files::default()).is_empty());
    }
}
