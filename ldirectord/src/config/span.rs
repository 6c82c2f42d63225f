//! A stretch of one line that knows where it stands, so that whatever is found in it
//! can be pointed at.

use std::ops::Range;

use lvs::diag::{Diagnostic, Severity};
use std::path::{Path, PathBuf};

/// Part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    /// The line's number, from 1.
    pub line: usize,
    /// The whole line.
    raw: &'a str,
    /// Bytes of `raw`, on character boundaries.
    from: usize,
    to: usize,
}

impl<'a> Span<'a> {
    /// A whole line.
    pub fn whole(line: usize, raw: &'a str) -> Self {
        Self { line, raw, from: 0, to: raw.len() }
    }

    /// The stretch itself.
    pub fn text(&self) -> &'a str {
        &self.raw[self.from..self.to]
    }

    /// The line it is part of, as it may be shown: passwords go neither to terminals nor to logs.
    pub fn shown_line(&self) -> String {
        let Some((name, value)) = self.raw.split_once('=') else { return self.raw.to_owned() };
        if matches!(name.trim(), "passwd" | "secret") {
            format!("{name}={}", "*".repeat(value.chars().count()))
        } else {
            self.raw.to_owned()
        }
    }

    /// Columns in characters, from 1.
    pub fn columns(&self) -> Range<usize> {
        let start = self.raw[..self.from].chars().count() + 1;
        start..start + self.text().chars().count()
    }

    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// What `part`, a part of [`Self::text`], covers.
    pub fn of(&self, part: &'a str) -> Self {
        let from = part.as_ptr() as usize - self.raw.as_ptr() as usize;
        Self { from, to: from + part.len(), ..*self }
    }

    pub fn trim(&self) -> Self {
        self.of(self.text().trim())
    }

    pub fn trim_start(&self) -> Self {
        self.of(self.text().trim_start())
    }

    pub fn trim_end(&self) -> Self {
        self.of(self.text().trim_end())
    }

    /// The first `separator` parts two stretches.
    pub fn split_once(&self, separator: &str) -> Option<(Self, Self)> {
        self.text().split_once(separator).map(|(before, after)| (self.of(before), self.of(after)))
    }

    /// The leading characters that `belongs` accepts, and the rest.
    pub fn split_run(&self, belongs: impl Fn(char) -> bool) -> (Self, Self) {
        let text = self.text();
        let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
        (self.of(&text[..end]), self.of(&text[end..]))
    }

    /// The first run of characters that `belongs` accepts, wherever it begins.
    pub fn first_run(&self, belongs: impl Fn(char) -> bool) -> Option<Self> {
        let start = self.text().find(&belongs)?;
        Some(self.of(&self.text()[start..]).split_run(belongs).0)
    }
}

/// A value and the stretch that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<'a, T> {
    /// What it says.
    pub value: T,
    /// Where.
    pub span: Span<'a>,
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub struct Findings {
    path: PathBuf,
    found: Vec<Diagnostic>,
}

impl Findings {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), found: Vec::new() }
    }

    /// Refuses the file.
    pub fn error(&mut self, span: Span<'_>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, span, message.into())
    }

    /// Tells the administrator; the file is accepted all the same.
    pub fn warning(&mut self, span: Span<'_>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, span, message.into())
    }

    /// An error, with what to do about it.
    pub fn error_with_help(&mut self, span: Span<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.error(span, message).help = Some(help.into());
    }

    /// A warning, with what to do about it.
    pub fn warning_with_help(&mut self, span: Span<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.warning(span, message).help = Some(help.into());
    }

    fn add(&mut self, severity: Severity, span: Span<'_>, message: String) -> &mut Diagnostic {
        self.found.push(Diagnostic {
            severity,
            path: self.path.clone(),
            line: span.line,
            columns: span.columns(),
            source: span.shown_line(),
            message: printable(&message),
            help: None,
        });
        self.found.last_mut().expect("one was pushed")
    }

    /// Everything found, in the file's order; what holds for each server of a range is said once.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|d| (d.line, d.columns.start));
        self.found.dedup();
        self.found
    }
}

/// Messages quote the file and go to terminals and log files: one line, no escape sequence.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_not_bytes() {
        let line = Span::whole(7, "\tcomment=Büro, größer");
        let (_, value) = line.split_once("=").unwrap();
        let word = value.split_once(", ").unwrap().1;
        assert_eq!((word.text(), word.columns()), ("größer", 16..22));
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut findings = Findings::new("x.cf".as_ref());
        findings.error(Span::whole(1, "\tpasswd = top\"secret"), "wrong");
        let shown = findings.into_sorted()[0].to_string();
        assert!(shown.contains("\tpasswd =***********") && !shown.contains("top"), "{shown}");
    }

    #[test]
    fn the_first_run_may_begin_anywhere() {
        let line = Span::whole(1, "\"Wrr\" and more");
        assert_eq!(line.first_run(|c| c.is_ascii_lowercase()).unwrap().text(), "rr");
        assert_eq!(line.first_run(|c| c.is_ascii_digit()), None);
    }
}
