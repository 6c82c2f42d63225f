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
    /// The original did not come to an end.
    endless: bool,
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
        endless: original.endless,
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
            let blank = |line: &&str| line.split('#').next().is_some_and(|text| text.trim().is_empty());
            let before = case.lines.iter().take(at.saturating_sub(1)).any(blank);
            // Where a section ends is where a second one of the same server is told.
            let twice = case.they_say("duplicate virtual server") && case.we_say("duplicate virtual server");
            case.they_say("Unknown command") && before || twice && blank(&case.refused_there())
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
        name: "IPv4 address that is not four decimal numbers",
        reason: "it is refused; the original takes 198.51.5 for 198.51.0.5, and 010 for 8",
        is_it: |case| {
            let written = value(case.refused_here());
            let host = written.split([':', ' ', '-']).next().unwrap_or_default();
            let numbers = !host.is_empty() && host.chars().all(|c| c.is_ascii_digit() || c == '.');
            let padded = host.split('.').any(|number| number.len() > 1 && number.starts_with('0'));
            let odd = host.matches('.').count() < 3 || padded;
            case.theirs.is_none() && case.we_say("invalid address") && numbers && odd
        },
    },
    Deviation {
        name: "empty fallback",
        reason: "it is refused; the original takes it for 127.0.0.1",
        is_it: |case| {
            let line = case.refused_here();
            case.theirs.is_none() && line.starts_with("fallback") && line.contains('=') && value(line).is_empty()
        },
    },
    Deviation {
        name: "more than an address and a method for a fallback",
        reason: "it is refused; the original takes the last two words",
        is_it: |case| {
            let line = case.refused_here();
            let words = value(line).split_whitespace().count();
            case.theirs.is_none() && line.starts_with("fallback") && words > 2 && case.we_say("forward method")
        },
    },
    Deviation {
        name: "number beyond 32 bits",
        reason: "it is refused; the original goes on with what Perl makes of it",
        is_it: |case| {
            let written = value(case.refused_here());
            let digits: String =
                written.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
            let beyond = !digits.is_empty() && digits.parse::<u32>().is_err();
            case.theirs.is_none() && case.we_say("invalid") && beyond
        },
    },
    Deviation {
        name: "range that is too long",
        reason: "more than 65536 servers are refused; the original goes through all of them, for days",
        is_it: |case| case.endless && case.ours.iter().any(|mistake| mistake.words.contains("too many servers")),
    },
];
