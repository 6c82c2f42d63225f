//! Option syntax as the library popt reads it (spec/ipvs.md A.3). What the options mean is not its business.

use std::borrow::Cow;

/// Stands in an argument for the next word of the line that does not begin with `-`.
const NEXT_WORD: &[u8] = b"!#:+";

/// Whether an option takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    Required,
    /// Attached, or the next word if that does not begin with `-`.
    Optional,
}

/// How an option is written.
#[derive(Debug)]
pub(super) struct Spelling<T> {
    pub(super) option: T,
    pub(super) long: &'static str,
    pub(super) short: Option<u8>,
    pub(super) argument: Argument,
}

/// Every spelling of a program's options.
#[derive(Debug)]
pub(super) struct Spellings<T: 'static> {
    all: &'static [Spelling<T>],
    /// Of each ASCII letter, the place behind that of its spelling; 0 of a letter that is none.
    letters: [u8; 128],
}

impl<T> Spellings<T> {
    /// The first of several spellings with one letter counts.
    pub(super) const fn new(all: &'static [Spelling<T>]) -> Self {
        assert!(all.len() < 255, "a place fits into a byte");
        let mut letters = [0; 128];
        let mut at = all.len();
        while at > 0 {
            if let Some(letter) = all[at - 1].short {
                letters[letter as usize] = at as u8;
            }
            at -= 1;
        }
        Self { all, letters }
    }

    fn letter(&self, letter: u8) -> Option<&'static Spelling<T>> {
        let place = *self.letters.get(usize::from(letter))?;
        self.all.get(usize::from(place).checked_sub(1)?)
    }

    fn long(&self, name: &[u8]) -> Option<&'static Spelling<T>> {
        self.all.iter().find(|spelling| spelling.long.as_bytes() == name)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Spelling<T>> {
        self.all.iter()
    }
}

/// Why a word could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unknown,
    MissingArgument,
    UnwantedArgument,
}

impl Fault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown option",
            Self::MissingArgument => "missing argument",
            Self::UnwantedArgument => "option does not take an argument",
        }
    }
}

/// An option and its argument.
pub(super) type Read<'a, T> = (T, Option<Cow<'a, [u8]>>);

/// The words of a command line, taken apart one option at a time.
pub(super) struct Reader<'a, T: 'static> {
    table: &'static Spellings<T>,
    words: &'a [&'a [u8]],
    next: usize,
    /// The rest of a cluster of letters.
    cluster: &'a [u8],
    /// `POSIXLY_CORRECT`: the first leftover word ends the options.
    strict: bool,
    ended: bool,
    /// The places of words that stand in an argument, and are no leftover words therefore.
    taken: Vec<usize>,
    leftover: Vec<&'a [u8]>,
}

impl<'a, T: Copy> Reader<'a, T> {
    pub(super) fn new(table: &'static Spellings<T>, words: &'a [&'a [u8]], strict: bool) -> Self {
        Self { table, words, next: 0, cluster: &[], strict, ended: false, taken: Vec::new(), leftover: Vec::new() }
    }

    /// The next option with its argument; `None` behind the last.
    pub(super) fn option(&mut self) -> Option<Result<Read<'a, T>, Fault>> {
        let (spelling, attached) = if let Some((&letter, rest)) = self.cluster.split_first() {
            self.cluster = rest;
            match self.table.letter(letter) {
                Some(spelling) => (spelling, None),
                None => return Some(Err(Fault::Unknown)),
            }
        } else {
            let word = self.option_word()?;
            let Some(long) = word.strip_prefix(b"--") else {
                self.cluster = &word[1..];
                return self.option();
            };
            let (name, attached) = match long.iter().position(|&b| b == b'=') {
                Some(at) => (&long[..at], Some(&long[at + 1..])),
                None => (long, None),
            };
            match self.table.long(name) {
                Some(spelling) => (spelling, attached),
                None => return Some(Err(Fault::Unknown)),
            }
        };
        let argument = self.argument(spelling.argument, attached);
        Some(argument.map(|argument| (spelling.option, argument.map(|argument| self.expand(argument)))))
    }

    /// The argument with the words in it that it stands for.
    fn expand(&mut self, argument: &'a [u8]) -> Cow<'a, [u8]> {
        let next_word = |text: &[u8]| text.windows(NEXT_WORD.len()).position(|bytes| bytes == NEXT_WORD);
        let Some(first) = argument.contains(&b'!').then(|| next_word(argument)).flatten() else {
            return argument.into();
        };
        let Some(place) = self.next_word() else { return argument.into() };
        self.taken.push(place);
        let (mut expanded, mut rest, mut at) = (Vec::new(), argument, Some(first));
        while let Some(length) = at {
            expanded.extend_from_slice(&rest[..length]);
            expanded.extend_from_slice(self.words[place]);
            rest = &rest[length + NEXT_WORD.len()..];
            at = next_word(rest);
        }
        expanded.extend_from_slice(rest);
        expanded.into()
    }

    /// The place of the next word that is neither taken nor looks like an option.
    fn next_word(&self) -> Option<usize> {
        let is_option = |place: &usize| self.words[*place].first() == Some(&b'-');
        (self.next..self.words.len()).find(|place| !is_option(place) && !self.taken.contains(place))
    }

    fn argument(&mut self, kind: Argument, attached: Option<&'a [u8]>) -> Result<Option<&'a [u8]>, Fault> {
        if kind == Argument::None {
            let unwanted = attached.is_some() || self.cluster.first() == Some(&b'=');
            return if unwanted { Err(Fault::UnwantedArgument) } else { Ok(None) };
        }
        if attached.is_some() {
            return Ok(attached);
        }
        if !self.cluster.is_empty() {
            let rest = std::mem::take(&mut self.cluster);
            return Ok(Some(rest.strip_prefix(b"=").unwrap_or(rest)));
        }
        match self.words.get(self.next) {
            Some(word) if kind == Argument::Optional && word.first() == Some(&b'-') => Ok(None),
            Some(word) => {
                self.next += 1;
                Ok(Some(word))
            }
            None if kind == Argument::Optional => Ok(None),
            None => Err(Fault::MissingArgument),
        }
    }

    /// The next word that is an option; leftover words on the way are kept.
    fn option_word(&mut self) -> Option<&'a [u8]> {
        while let Some(&word) = self.words.get(self.next) {
            self.next += 1;
            if self.taken.contains(&(self.next - 1)) {
                continue;
            }
            if self.ended || word.len() < 2 || word[0] != b'-' {
                self.leftover.push(word);
                self.ended |= self.strict;
            } else if word == b"--" {
                self.ended = true;
            } else {
                return Some(word);
            }
        }
        None
    }

    /// The word read last.
    pub(super) fn word(&self) -> &'a [u8] {
        self.next.checked_sub(1).and_then(|at| self.words.get(at)).copied().unwrap_or_default()
    }

    /// The words that are no options and no arguments, in order.
    pub(super) fn into_leftover(self) -> Vec<&'a [u8]> {
        self.leftover
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Spellings<char> = Spellings::new(&[
        Spelling { option: 'n', long: "numeric", short: Some(b'n'), argument: Argument::None },
        Spelling { option: 'w', long: "weight", short: Some(b'w'), argument: Argument::Required },
        Spelling { option: 'p', long: "persistent", short: Some(b'p'), argument: Argument::Optional },
    ]);

    /// Each option as `n`, `w=ARGUMENT` or `!FAULT WORD`, then the leftover words behind a bar.
    fn read(line: &str, strict: bool) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut reader = Reader::new(&TABLE, &words, strict);
        let mut seen = Vec::new();
        while let Some(option) = reader.option() {
            seen.push(match option {
                Ok((option, None)) => option.to_string(),
                Ok((option, Some(argument))) => format!("{option}={}", String::from_utf8_lossy(&argument)),
                Err(fault) => {
                    let word = String::from_utf8_lossy(reader.word());
                    seen.push(format!("!{fault:?} {word}"));
                    break;
                }
            });
        }
        let leftover = reader.into_leftover().join(&b' ');
        format!("{}|{}", seen.join(" "), String::from_utf8_lossy(&leftover))
    }

    #[test]
    fn options_and_their_arguments_are_read_as_popt_reads_them() {
        let cases = [
            ("-n --numeric", "n n|"),
            ("-nw3 -w 4 -w=5 --weight 6 --weight=7 --weight=", "n w=3 w=4 w=5 w=6 w=7 w=|"),
            ("-w -1 -w -n", "w=-1 w=-n|"),
            ("-p60 -p=61 --persistent=62 -p 63 -p -n --persistent", "p=60 p=61 p=62 p=63 p n p|"),
            ("-pn -p ", "p=n p=|"),
            ("a -n b -- -n c", "n|a b -n c"),
            ("- -n", "n|-"),
            ("-q -n", "!Unknown -q|"),
            ("-nq", "n !Unknown -nq|"),
            ("--weigh 3", "!Unknown --weigh|"),
            ("---n", "!Unknown ---n|"),
            ("-n=1", "!UnwantedArgument -n=1|"),
            ("--numeric=1", "!UnwantedArgument --numeric=1|"),
            ("-n -w", "n !MissingArgument -w|"),
            ("-w==5", "w==5|"),
            ("-w!#:+0 5 6", "w=50|6"),
            ("-w !#:+ -n 5", "w=5 n|"),
            ("--weight=<!#:+!#:+> -n 5 --weight=!#:+ 6", "w=<55> n w=6|"),
            ("-w!#:+ -n --weight 5 6", "w=5 n w=5|6"),
            ("-p!#:+ -n", "p=!#:+ n|"),
            ("-w!#:+", "w=!#:+|"),
            ("-w!#: 5 !#:+", "w=!#:|5 !#:+"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line, false), expected, "{line}");
        }
        assert_eq!(read("a -n b", true), "|a -n b");
    }
}
