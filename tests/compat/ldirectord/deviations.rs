//! Where ours judges a file otherwise on purpose: what the DIFFERENCES of ldirectord(8) say about configurations.

use crate::{Judgement, Mistake};

/// One of them.
#[derive(Debug)]
pub struct Deviation {
    /// What it is called.
    pub name: &'static str,
    /// Why.
    pub reason: &'static str,
    is_it: fn(&Case<'_>) -> bool,
}

/// A file that was judged differently.
struct Case<'a> {
    lines: Vec<&'a str>,
    theirs: Option<&'a Mistake>,
    ours: &'a [Mistake],
}

impl<'a> Case<'a> {
    /// A line of the file, without the blanks around it.
    fn line(&self, mistake: Option<&Mistake>) -> &'a str {
        let number = mistake.and_then(|mistake| mistake.line?.checked_sub(1));
        number.and_then(|number| self.lines.get(number)).map_or("", |line| line.trim())
    }

    /// The line at which the original gave up.
    fn refused_there(&self) -> &'a str {
        self.line(self.theirs)
    }

    /// The first line that is wrong for us.
    fn refused_here(&self) -> &'a str {
        self.line(self.ours.first())
    }

    fn they_say(&self, words: &str) -> bool {
        self.theirs.is_some_and(|mistake| mistake.words.contains(words))
    }

    fn we_say(&self, words: &str) -> bool {
        self.ours.first().is_some_and(|mistake| mistake.words.contains(words))
    }
}

/// The first that explains a difference.
pub fn find(text: &[u8], original: &Judgement, ours: &Judgement) -> Option<&'static Deviation> {
    let text = String::from_utf8_lossy(text);
    let case = Case {
        lines: text.lines().collect(),
        theirs: original.refused.as_ref().and_then(|mistakes| mistakes.first()),
        ours: ours.refused.as_deref().unwrap_or_default(),
    };
    ALL.iter().find(|deviation| (deviation.is_it)(&case))
}

/// What follows the sign of equality.
fn value(line: &str) -> &str {
    line.split_once('=').map_or("", |(_, value)| value.trim())
}

/// Its reason, by its name.
pub fn reason(name: &str) -> &'static str {
    ALL.iter().find(|deviation| deviation.name == name).map_or("", |deviation| deviation.reason)
}

const ALL: &[Deviation] = &[
    Deviation {
        name: "all mistakes in the order of lines",
        reason: "the original stops at its first mistake, and looks names up after the lines of their section",
        is_it: |case| case.theirs.is_some_and(|theirs| case.ours.iter().any(|mistake| mistake.line == theirs.line)),
    },
    Deviation {
        name: "number sign within quotes",
        reason: "it is no comment there",
        is_it: |case| case.refused_there().split_once('#').is_some_and(|(before, _)| before.contains('"')),
    },
    Deviation {
        name: "blank line in a section",
        reason: "it does not end the section",
        is_it: |case| {
            let at = case.theirs.and_then(|mistake| mistake.line).unwrap_or_default();
            let before = case.lines.iter().take(at.saturating_sub(1));
            case.they_say("Unknown command")
                && before.clone().any(|line| line.split('#').next().is_some_and(|l| l.trim().is_empty()))
        },
    },
    Deviation {
        name: "empty section",
        reason: "a virtual server without lines of its own is accepted",
        is_it: |case| case.they_say("duplicate virtual server") && case.refused_there().starts_with("virtual"),
    },
    Deviation {
        name: "mark that none can be meant by",
        reason: "an address without a port, mark 0 and marks above 4294967295 are refused; the original takes the first number",
        is_it: |case| {
            let at = value(case.refused_here());
            case.we_say("invalid address for virtual server") && at.starts_with(|first: char| first.is_ascii_digit())
        },
    },
    Deviation {
        name: "garbage before the address of a real server",
        reason: "it is refused; the original takes what follows it",
        is_it: |case| case.refused_here().starts_with("real") && case.we_say("invalid address"),
    },
    Deviation {
        name: "value that ipvsadm or the kernel would refuse",
        reason: "it is refused when the file is read and not when the table is programmed",
        is_it: |case| {
            let words = ["invalid sched-flags", "threshold", "weight"];
            case.theirs.is_none() && words.iter().any(|words| case.we_say(words))
        },
    },
    Deviation {
        name: "pattern that is no regular expression",
        reason: "it is refused when the file is read and not at each check",
        is_it: |case| case.theirs.is_none() && case.we_say("invalid receive string"),
    },
    Deviation {
        name: "shortened IPv4 address",
        reason: "an address with fewer than four numbers is refused; the original takes 198.51.5 for 198.51.0.5",
        is_it: |case| {
            let written = value(case.refused_here());
            let host = written.split([':', ' ', '-']).next().unwrap_or_default();
            let numbers = !host.is_empty() && host.chars().all(|c| c.is_ascii_digit() || c == '.');
            case.theirs.is_none() && case.we_say("invalid address") && numbers && host.matches('.').count() < 3
        },
    },
];
