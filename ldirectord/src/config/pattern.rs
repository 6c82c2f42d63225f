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
    source: String,
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
        let compiled = RegexBuilder::new(source)
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
            .map_err(|error| InvalidPattern(Box::new(error)))?;
        Ok(Self { source: source.to_owned(), compiled: Arc::new(compiled) })
    }

    /// Whether it occurs anywhere in `text`.
    ///
    /// # Errors
    /// If the backtracking limit is reached first.
    pub fn matches(&self, text: &str) -> Result<bool, Exhausted> {
        let result = self.compiled.is_match(text);
        result.map_err(|error| Exhausted { pattern: self.source.clone(), source: Box::new(error) })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
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
