//! `receive` patterns: Perl regular expressions, compiled when the file is read.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};

/// Steps of backtracking after which a match is given up. A body from a broken server
/// must not hold up the checks of the others.
const BACKTRACK_LIMIT: usize = 100_000;

/// A pattern, unanchored and case sensitive (spec 8.2). Equal if written equally.
#[derive(Clone)]
pub struct Pattern {
    source: Arc<str>,
    compiled: Arc<Regex>,
}

/// The text is not a regular expression; the message says where.
#[derive(Debug, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct InvalidPattern(Box<fancy_regex::Error>);

/// The pattern was given up on this text.
#[derive(Debug, thiserror::Error)]
#[error("the pattern {pattern:?} takes too long on what was received: {source}")]
pub struct Exhausted {
    pattern: String,
    source: Box<fancy_regex::Error>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If it is not a regular expression.
    pub fn new(source: &str) -> Result<Self, InvalidPattern> {
        let compiled = RegexBuilder::new(&translated(source))
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
            .map_err(|error| InvalidPattern(Box::new(error)))?;
        Ok(Self { source: source.into(), compiled: Arc::new(compiled) })
    }

    /// Whether it occurs anywhere in `text`.
    ///
    /// # Errors
    /// If the backtracking limit is reached first.
    pub fn matches(&self, text: &str) -> Result<bool, Exhausted> {
        let result = self.compiled.is_match(text);
        result.map_err(|error| Exhausted { pattern: self.source.to_string(), source: Box::new(error) })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

/// Perl's spelling to that of the regex crate, where they differ in more than what they lack:
/// `$` also stands before a newline at the very end, `\<` is a mere `<`, `\Q...\E` takes
/// everything literally, and a class holds characters and ranges, not sets.
fn translated(perl: &str) -> String {
    let multi_line = flags_have_m(perl);
    let mut out = String::with_capacity(perl.len() + 16);
    let mut rest = perl;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => match rest.chars().next() {
                Some('Q') => {
                    let (literal, after) = rest[1..].split_once("\\E").unwrap_or((&rest[1..], ""));
                    out.push_str(&fancy_regex::escape(literal));
                    rest = after;
                }
                Some(literal @ ('<' | '>')) => {
                    out.push(literal);
                    rest = &rest[1..];
                }
                Some(escaped) => {
                    out.extend(['\\', escaped]);
                    rest = &rest[escaped.len_utf8()..];
                }
                None => out.push('\\'),
            },
            '$' if !multi_line => out.push_str(r"(?=\n?\z)"),
            '[' => {
                let (class, after) = class(rest);
                out.push_str(&class);
                rest = after;
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether an inline `(?m)` or `(?m:` gives `$` another meaning.
fn flags_have_m(perl: &str) -> bool {
    perl.match_indices("(?").any(|(at, _)| {
        let flags = perl[at + 2..].chars().take_while(|c| c.is_ascii_lowercase());
        flags.into_iter().any(|c| c == 'm')
    })
}

/// A bracketed class, from behind its `[`: translated, and what follows it.
fn class(text: &str) -> (String, &str) {
    let mut out = String::from("[");
    let mut rest = text;
    // A `]` that comes first is a member.
    for first in ["^", "]"] {
        if let Some(after) = rest.strip_prefix(first) {
            out.push_str(if first == "]" { "\\]" } else { first });
            rest = after;
        }
    }
    let mut previous_is_set = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let mut is_set = false;
        match c {
            ']' => {
                out.push(']');
                return (out, rest);
            }
            '\\' => {
                let escaped = rest.chars().next();
                out.push('\\');
                out.extend(escaped);
                rest = &rest[escaped.map_or(0, char::len_utf8)..];
                is_set = matches!(escaped, Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'h' | 'H'));
            }
            '[' if rest.starts_with(':') && rest.contains(":]") => {
                let end = rest.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                is_set = true;
            }
            '-' if previous_is_set || starts_set(rest) => out.push_str("\\-"),
            '[' | '&' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
        previous_is_set = is_set;
    }
    (out, rest)
}

/// Whether what follows a `-` is no end of a range.
fn starts_set(rest: &str) -> bool {
    rest.starts_with('-')
        || rest.strip_prefix('\\').is_some_and(|r| r.starts_with(['d', 'D', 'w', 'W', 's', 'S', 'h', 'H']))
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text).unwrap()
    }

    #[test]
    fn patterns_are_unanchored_and_case_sensitive() {
        assert!(matches("Test Page", "<h1>Test Page</h1>"));
        assert!(!matches("test page", "<h1>Test Page</h1>"));
        assert!(matches("(?i)test page", "<h1>Test Page</h1>"));
        assert!(matches("x(?!y)", "xyxz"));
    }

    #[test]
    fn circumflex_and_dollar_bind_to_the_whole_text_and_the_dot_stops_at_a_newline() {
        assert!(!matches("^b", "a\nb"));
        assert!(matches("(?m)^b$", "a\nb\nc"));
        assert!(!matches("a.b", "a\nb"));
    }

    #[test]
    fn the_dollar_also_stands_before_a_last_newline() {
        assert!(matches("OK$", "OK"));
        assert!(matches("OK$", "all OK\n"));
        assert!(!matches("OK$", "OK\n\n"));
        assert!(!matches("OK$", "OK, but"));
        assert!(matches(r"costs 5\$", "costs 5$ or more"));
        assert!(matches("[$]5", "$5"));
    }

    #[test]
    fn what_perl_takes_is_taken() {
        assert!(matches(r#"{"status": "ok"}"#, r#"x {"status": "ok"} y"#));
        assert!(matches(r"\<html\>", "<html>"));
        assert!(!matches(r"\<html\>", "html"));
        assert!(matches(r"\Qa.b(\E", "a.b("));
        assert!(!matches(r"\Qa.b\E", "axb"));
        assert!(matches("[[]x", "[x"));
        assert!(matches("[]a]", "]"));
        assert!(matches("[a&&b]", "&"));
        assert!(matches(r"^[\w-.]+$", "a-b.c"));
        assert!(matches(r"^[a-\d]$", "-"));
        assert!(matches("^[[:alpha:]-9]+$", "ab-9"));
        assert!(matches(r"\/path\@", "/path@"));
        assert!(matches(r"(a)\1", "aa"));
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for pattern in ["(", "a)", "*a", "[a", "\\", "(?<n>"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_body_exhausts_the_limit_and_not_the_processor() {
        let pattern = Pattern::new(r"^(?:(a|aa)+)\1b").unwrap();
        assert!(pattern.matches(&format!("{}!b", "a".repeat(64))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics_the_translation(perl in r"[\[\]\\^$QE:(?m)a&~<>d-]{0,24}") {
            let _ = Pattern::new(&perl);
        }
    }
}
