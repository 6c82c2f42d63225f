//! The ways a directive's value is written (spec chapter 2, "value patterns").

use std::num::NonZeroU32;

use super::pattern::Pattern;
use super::span::{At, Findings, Span};

/// One directive: its name and what stands behind the `=`.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The directive's name.
    pub name: Span<'a>,
    /// Everything behind `=` and the blanks after it, to the end of the line.
    pub value: Span<'a>,
}

impl<'a> Statement<'a> {
    /// Takes `NAME = VALUE` apart; `None` if there is no `=`.
    pub fn parse(line: Span<'a>) -> Option<Self> {
        let (name, value) = line.split_once("=")?;
        Some(Self { name: name.trim_end(), value: value.trim_start() })
    }

    fn at<T>(self, value: T) -> At<'a, T> {
        At { value, span: self.value }
    }

    /// **num**: the first run of digits found anywhere.
    pub fn number(self, findings: &mut Findings, message: &str) -> Option<At<'a, u32>> {
        let digits = self.value.first_run(|c| c.is_ascii_digit());
        match digits.map(|digits| (digits, digits.text().parse())) {
            Some((span, Ok(value))) => Some(At { value, span }),
            Some((span, Err(_))) => {
                findings.error_with_help(span, message, format!("the largest number is {}", u32::MAX));
                None
            }
            None => {
                findings.error_with_help(self.value, message, "a number is needed");
                None
            }
        }
    }

    /// **num>0**.
    pub fn positive(self, findings: &mut Findings, message: &str) -> Option<At<'a, NonZeroU32>> {
        let At { value, span } = self.number(findings, message)?;
        let value = NonZeroU32::new(value);
        if value.is_none() {
            findings.error_with_help(span, message, "whole numbers from 1 are allowed");
        }
        value.map(|value| At { value, span })
    }

    /// **yn**: exactly `yes` or `no`.
    pub fn yes_no(self, findings: &mut Findings) -> Option<At<'a, bool>> {
        match self.value.text() {
            "yes" => Some(self.at(true)),
            "no" => Some(self.at(false)),
            other => {
                let found = findings.error(self.value, format!("{} must be 'yes' or 'no'", self.name.text()));
                let first = other.split_whitespace().next();
                if matches!(first, Some("yes" | "no")) {
                    found.help = Some("nothing may follow the word on its line, not even blanks".to_owned());
                }
                None
            }
        }
    }

    /// **word**: the first run of letters, digits and underscores.
    pub fn word(self) -> Option<Span<'a>> {
        self.value.first_run(is_word)
    }

    /// **Q**: from the first `"` to the last; `None` without two of them.
    pub fn quoted(self) -> Option<Span<'a>> {
        let text = self.value.text();
        let (first, last) = (text.find('"')?, text.rfind('"')?);
        (first < last).then(|| self.value.of(&text[first + 1..last]))
    }

    /// **q?**: as [`Self::quoted`] if the value begins with `"`, else all of it but for
    /// trailing blanks: a comment that was cut leaves some.
    pub fn maybe_quoted(self) -> Span<'a> {
        let quoted = if self.value.text().starts_with('"') { self.quoted() } else { None };
        quoted.unwrap_or(self.value.trim_end())
    }
}

/// A letter, a digit or an underscore.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Compiled here, so that a mistake is found before anything depends on it (B15).
pub fn pattern<'a>(span: Span<'a>, findings: &mut Findings) -> Option<At<'a, Pattern>> {
    match Pattern::new(span.text()) {
        Ok(pattern) => Some(At { value: pattern, span }),
        Err(error) => {
            findings.error_with_help(span, "invalid receive string", error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(line: &str) -> Statement<'_> {
        Statement::parse(Span::whole(1, line)).unwrap()
    }

    fn findings() -> Findings {
        Findings::new("x.cf".as_ref())
    }

    #[test]
    fn a_number_is_the_first_run_of_digits() {
        let number = |line| statement(line).number(&mut findings(), "bad").map(|n| n.value);
        let cases = [("a=5s", 5), ("a = abc5x", 5), ("a=-5", 5), ("a=10 20", 10), ("a=\"7\"", 7), ("a=0.5", 0)];
        for (line, expected) in cases {
            assert_eq!(number(line), Some(expected), "{line}");
        }
        assert_eq!(number("a=many"), None);
        assert_eq!(number("a=4294967296"), None);
    }

    #[test]
    fn zero_is_not_positive() {
        let mut findings = findings();
        assert_eq!(statement("a=0.5").positive(&mut findings, "invalid check timeout value"), None);
        assert_eq!(findings.into_sorted()[0].message, "invalid check timeout value");
    }

    #[test]
    fn yes_and_no_stand_alone() {
        let yes_no = |line| statement(line).yes_no(&mut findings()).map(|v| v.value);
        assert_eq!(yes_no("fork=yes"), Some(true));
        assert_eq!(yes_no("fork  =  no"), Some(false));
        for line in ["fork=yes ", "fork=Yes", "fork=\"yes\"", "fork=yes # why not", "fork=perhaps", "fork="] {
            assert_eq!(yes_no(line), None, "{line}");
        }
    }

    #[test]
    fn quotes_reach_from_the_first_to_the_last() {
        assert_eq!(statement(r#"a="x "y" z" trailing"#).quoted().unwrap().text(), r#"x "y" z"#);
        assert_eq!(statement(r#"a=""#).quoted(), None);
        assert_eq!(statement("a=index.html").quoted(), None);
        assert_eq!(statement(r#"a="/bin/true""#).maybe_quoted().text(), "/bin/true");
        assert_eq!(statement("a=/bin/true -v ").maybe_quoted().text(), "/bin/true -v");
    }
}
