//! A file as lines and words with their places, and the mistakes found in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use lvs::diag::{Diagnostic, Severity};

/// Where something stands: line from 1, columns in characters from 1, end exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) columns: Range<usize>,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Word {
    /// The whole line as one word.
    pub(super) fn of_line(line: usize, text: &str) -> Self {
        Self { text: text.to_owned(), place: Place { line, columns: 1..text.chars().count() + 1 } }
    }

    /// The part from byte `start` to byte `end`, which must lie between characters.
    fn part(&self, range: Range<usize>) -> Self {
        let first = self.place.columns.start + self.text[..range.start].chars().count();
        let text = self.text[range].to_owned();
        let columns = first..first + text.chars().count();
        Self { text, place: Place { line: self.place.line, columns } }
    }

    /// What stands before the first `mark`, or everything.
    pub(super) fn before(&self, mark: char) -> Self {
        self.part(0..self.text.find(mark).unwrap_or(self.text.len()))
    }

    /// Without white space at both ends.
    pub(super) fn trimmed(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start..start + self.text.trim().len())
    }

    /// The first word and the rest, both without white space around them.
    pub(super) fn first_and_rest(&self) -> Option<(Self, Self)> {
        let line = self.trimmed();
        let end = line.text.find(char::is_whitespace).unwrap_or(line.text.len());
        (end > 0).then(|| (line.part(0..end), line.part(end..line.text.len()).trimmed()))
    }

    /// The parts between separators, without the empty ones.
    pub(super) fn split(&self, separator: impl Fn(char) -> bool) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = 0;
        for (at, c) in self.text.char_indices().chain([(self.text.len(), '\n')]) {
            if at == self.text.len() || separator(c) {
                if start < at {
                    parts.push(self.part(start..at));
                }
                start = at + c.len_utf8();
            }
        }
        parts
    }

    /// The parts between `mark`s, empty ones too.
    pub(super) fn split_at_each(&self, mark: &str) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = 0;
        for (at, _) in self.text.match_indices(mark) {
            parts.push(self.part(start..at));
            start = at + mark.len();
        }
        parts.push(self.part(start..self.text.len()));
        parts
    }
}

/// A file and what was found wrong with it.
#[derive(Debug)]
pub(super) struct Source<'a> {
    path: PathBuf,
    lines: Vec<&'a str>,
    /// Others than its owner may read the file.
    pub(super) readable: bool,
    pub(super) found: Vec<Diagnostic>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &Path, text: &'a str) -> Self {
        Self { path: path.to_owned(), lines: text.lines().collect(), readable: false, found: Vec::new() }
    }

    /// Every line with its number.
    pub(super) fn lines(&self) -> impl Iterator<Item = Word> + use<'a> {
        let lines = self.lines.clone();
        lines.into_iter().enumerate().map(|(at, line)| Word::of_line(at + 1, line))
    }

    /// The place for what is missing from the file: its end.
    pub(super) fn end(&self) -> Place {
        let line = self.lines.len().max(1);
        let columns = self.lines.last().map_or(1, |line| line.chars().count() + 1);
        Place { line, columns: columns..columns }
    }

    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, help: impl Into<Help>) {
        self.note(Severity::Error, place, message.into(), help.into());
    }

    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>, help: impl Into<Help>) {
        self.note(Severity::Warning, place, message.into(), help.into());
    }

    fn note(&mut self, severity: Severity, place: &Place, message: String, Help(help): Help) {
        let source = super::fence::shown(self.lines.get(place.line - 1).copied().unwrap_or_default());
        let (path, columns) = (self.path.clone(), place.columns.clone());
        self.found.push(Diagnostic { severity, path, line: place.line, columns, source, message, help });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|found| found.severity == Severity::Error)
    }
}

/// What to do about a mistake, if that can be said.
pub(super) struct Help(Option<String>);

impl From<&str> for Help {
    fn from(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl From<String> for Help {
    fn from(text: String) -> Self {
        Self(Some(text))
    }
}

impl From<Option<String>> for Help {
    fn from(text: Option<String>) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_columns_counted_in_characters() {
        let line = Word::of_line(3, "\tnode  äb,c  ");
        let (name, rest) = line.first_and_rest().unwrap();
        assert_eq!((name.text.as_str(), name.place.columns), ("node", 2..6));
        let words = rest.split(|c| c == ',' || c.is_whitespace());
        let shown: Vec<_> = words.iter().map(|w| (w.text.as_str(), w.place.columns.clone())).collect();
        assert_eq!(shown, [("äb", 8..10), ("c", 11..12)]);
    }

    #[test]
    fn an_empty_line_has_no_words() {
        assert_eq!(Word::of_line(1, " \t ").first_and_rest(), None);
        assert!(Word::of_line(1, " , ").split(|c| c == ',' || c == ' ').is_empty());
    }

    #[test]
    fn parts_between_marks_may_be_empty() {
        let parts = Word::of_line(1, "a::::b").split_at_each("::");
        assert_eq!(parts.iter().map(|p| p.text.as_str()).collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(parts[2].place.columns, 6..7);
    }
}
