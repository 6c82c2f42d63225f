//! What was found.

use std::fmt;

use serde::Serialize;

/// How bad it is.
///
/// ```
/// use lvs::doctor::Severity;
///
/// assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It will hurt on a bad day.
    Warning,
    /// Clients are hurt now, or will be by the next failure.
    Error,
}

/// A value and where it was read.
///
/// ```
/// use lvs::doctor::Evidence;
///
/// let evidence = Evidence { source: "net.ipv4.ip_forward".to_owned(), value: "0".to_owned() };
/// assert_eq!(serde_json::to_value(&evidence)?["value"], "0");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// A file, or what was asked of whom.
    pub source: String,
    /// What it said.
    pub value: String,
}

/// One mistake.
///
/// ```
/// use lvs::doctor::{Evidence, Finding, Severity};
///
/// let finding = Finding {
///     id: "ip-forward",
///     severity: Severity::Error,
///     text: "packets are not forwarded".to_owned(),
///     evidence: vec![Evidence { source: "net.ipv4.ip_forward".to_owned(), value: "0".to_owned() }],
///     meaning: String::new(),
///     fix: vec!["sysctl -w net.ipv4.ip_forward=1".to_owned()],
/// };
/// let text = "error: packets are not forwarded [ip-forward]
///   seen:  net.ipv4.ip_forward: 0
///   do:    sysctl -w net.ipv4.ip_forward=1";
/// assert_eq!(finding.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, for programs: `ip-forward`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub text: String,
    /// How that is known.
    pub evidence: Vec<Evidence>,
    /// What it does to clients.
    pub meaning: String,
    /// Commands that end it; none where only people can.
    pub fix: Vec<String>,
}

impl Finding {
    pub(super) fn new(id: &'static str, severity: Severity, text: impl Into<String>) -> Self {
        let (evidence, meaning, fix) = Default::default();
        Self { id, severity, text: text.into(), evidence, meaning, fix }
    }

    pub(super) fn read(mut self, source: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push(Evidence { source: source.into(), value: value.into() });
        self
    }

    pub(super) fn means(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    pub(super) fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix.push(command.into());
        self
    }
}

/// `warning: ...`, and below it the evidence, the meaning and the commands, indented.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, severity, text, evidence, meaning, fix } = self;
        let severity = match severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {text} [{id}]")?;
        for Evidence { source, value } in evidence {
            write!(f, "\n  seen:  {source}: {value}")?;
        }
        if !meaning.is_empty() {
            write!(f, "\n  means: {meaning}")?;
        }
        fix.iter().try_for_each(|command| write!(f, "\n  do:    {command}"))
    }
}
