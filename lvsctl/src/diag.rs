//! Mistakes in files, told with their place.
//!
//! Every parser of the toolkit collects [`Diagnostic`]s and goes on to the end of
//! the file, so that one run reports every mistake. The form is the compilers':
//!
//! ```text
//! /etc/ha.d/ldirectord.cf:14:19: unknown scheduler "wcl"
//!    14 |         scheduler=wcl
//!       |                   ^^^
//!       = did you mean "wlc"?
//! ```

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// So many of something: "1 error", "2 errors".
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Whether the file can be used all the same.
///
/// ```
/// use lvs::diag::Severity;
///
/// assert!(Severity::Error > Severity::Warning);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is accepted; the administrator is told.
    Warning,
    /// The file is refused.
    Error,
}

/// One mistake: where, what, and what to do about it.
///
/// ```
/// use std::path::Path;
/// use lvs::diag::{Diagnostic, Severity};
///
/// let mistake = Diagnostic::in_text(Path::new("lvs.toml"), "ipvs = 1\n", 7..8, "this is no word");
/// assert_eq!(mistake.severity, Severity::Error);
/// assert!(mistake.to_string().starts_with("lvs.toml:1:8: this is no word\n"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file is refused because of it.
    pub severity: Severity,
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Columns in characters, from 1; the end is exclusive and may equal the start.
    pub columns: Range<usize>,
    /// The line as it stands in the file.
    pub source: String,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do, if that can be said.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, path, line, columns, source, message, help } = self;
        let kind = if *severity == Severity::Warning { "warning: " } else { "" };
        writeln!(f, "{}:{line}:{}: {kind}{message}", path.display(), columns.start)?;
        // What a file holds is printed on a terminal: no escape sequence gets through.
        let shown: String = source.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        writeln!(f, "{line:5} | {shown}")?;
        // Repeat the tabs of the line above, or the caret lands elsewhere.
        let pad: String = source
            .chars()
            .chain(std::iter::repeat(' '))
            .take(columns.start.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "      | {pad}{}", "^".repeat(columns.len().max(1)))?;
        help.iter().try_for_each(|help| write!(f, "\n      = {help}"))
    }
}

impl Diagnostic {
    /// An error at these bytes of a file's text, as parsers that count bytes report it. What lies
    /// behind the end of the first line is not pointed at.
    #[must_use]
    pub fn in_text(path: &Path, text: &str, bytes: Range<usize>, message: impl Into<String>) -> Self {
        let boundary = |at: usize| (0..=at.min(text.len())).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let start = boundary(bytes.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let source = text[line_start..].lines().next().unwrap_or_default();
        let column = text[line_start..start].chars().count() + 1;
        let end = boundary(bytes.end).clamp(start, start.max(line_start + source.len()));
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            columns: column..column + text[start..end].chars().count(),
            source: source.to_owned(),
            message: message.into(),
            help: None,
        }
    }

    /// What the TOML parser says of a file's text.
    #[must_use]
    pub fn toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        Self::in_text(path, text, error.span().unwrap_or_default(), error.message().replace('\n', "; "))
    }
}

/// The error and its causes in one line.
///
/// "cannot listen for heartbeats on 192.0.2.1:694: Address already in use"
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The candidate nearest to `word`, if it is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if word.chars().count() <= 4 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; two letters changing places count as one (Damerau, restricted).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_mistake_behind_a_tab() {
        let d = Diagnostic {
            severity: Severity::Error,
            path: "/etc/ha.d/ldirectord.cf".into(),
            line: 14,
            columns: 12..15,
            source: "\tscheduler=wcl".into(),
            message: "unknown scheduler \"wcl\"".into(),
            help: Some("did you mean \"wlc\"?".into()),
        };
        let text = "/etc/ha.d/ldirectord.cf:14:12: unknown scheduler \"wcl\"\n   \
                    14 | \tscheduler=wcl\n      | \t          ^^^\n      = did you mean \"wlc\"?";
        assert_eq!(d.to_string(), text);
    }

    #[test]
    fn a_toml_parser_s_bytes_become_a_line_and_columns() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {}
        let text = "# für alle\n\tvirtual_adresses = []\n";
        let error = toml::from_str::<File>(text).expect_err("misspelt");
        let d = Diagnostic::toml(Path::new("x.toml"), text, &error);
        assert_eq!((d.line, d.columns.clone(), d.source.as_str()), (2, 2..18, "\tvirtual_adresses = []"));
        assert!(d.message.starts_with("unknown field `virtual_adresses`"), "{}", d.message);
    }

    #[test]
    fn a_range_outside_of_the_text_is_still_a_place() {
        let d = Diagnostic::in_text(Path::new("x"), "a\nü", 2..900, "what");
        assert_eq!((d.line, d.columns, d.source.as_str()), (2, 1..2, "ü"));
        let d = Diagnostic::in_text(Path::new("x"), "", 7..9, "what");
        assert_eq!((d.line, d.columns, d.source.as_str()), (1, 1..1, ""));
        let d = Diagnostic::in_text(Path::new("x"), "ab\ncd\n", 1..5, "only the first line is pointed at");
        assert_eq!((d.line, d.columns), (1, 2..3));
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("wcl", ["rr", "wlc", "lc"]), Some("wlc"));
        assert_eq!(nearest("quiesent", ["quiescent", "fork"]), Some("quiescent"));
        assert_eq!(nearest("banana", ["quiescent", "fork"]), None);
    }
}
