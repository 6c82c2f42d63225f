//! What was measured, and the medians as tables in Markdown.

use super::cadence::Cadence;
use super::contender::Contender;
use crate::median::median;
use crate::usage::Usage;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Pages of 200 servers.
    Http,
    /// Connections to 1,000 servers.
    Tcp,
    /// Connections to 10,000 servers, on one core.
    Many,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP, 200 servers",
            Self::Tcp => "TCP, 1,000 servers",
            Self::Many => "TCP, 10,000 servers, one core",
        })
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// User and system time of all processes.
    pub processor: Duration,
    /// How long was measured.
    pub during: Duration,
    /// At the end.
    pub after: Usage,
    /// The checks.
    pub cadence: Cadence,
}

impl Figure {
    /// Microseconds of processor time for each check.
    fn cost(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.cadence.checks.max(1) as f64
    }

    fn columns(&self) -> [f64; COLUMNS] {
        let Self { processor, during, after, cadence } = self;
        let [late, latest] = cadence.late.map(|pause| pause.as_secs_f64() * 1e3);
        [
            cadence.checks as f64 / during.as_secs_f64(),
            self.cost(),
            processor.as_secs_f64() * 100.0 / during.as_secs_f64(),
            cadence.kept * 100.0,
            late,
            latest,
            after.resident as f64 / 1024.0,
            after.processes as f64,
        ]
    }
}

const COLUMNS: usize = 8;
const HEADS: [&str; COLUMNS] = [
    "checks a second",
    "processor a check, us",
    "of a core, %",
    "within 100 ms of their time, %",
    "99 % of pauses below, ms",
    "longest, ms",
    "resident, MiB",
    "processes",
];
const DIGITS: [usize; COLUMNS] = [0, 1, 1, 2, 0, 0, 1, 0];

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((value, head), digits) in self.columns().iter().zip(HEADS).zip(DIGITS) {
            write!(f, "{head} {value:.digits$}; ")?;
        }
        Ok(())
    }
}

/// All measurements.
#[derive(Debug, Default)]
pub struct Figures {
    figures: BTreeMap<(Work, Contender), Vec<Figure>>,
    reactions: Vec<Duration>,
}

impl Figures {
    /// Adds one.
    pub fn note(&mut self, work: Work, contender: Contender, figure: Figure) {
        self.figures.entry((work, contender)).or_default().push(figure);
    }

    /// Adds a time from a failed check to weight 0.
    pub fn react(&mut self, took: Duration) {
        self.reactions.push(took);
    }

    fn medians(&self, work: Work, contender: Contender) -> Option<[f64; COLUMNS]> {
        let figures = self.figures.get(&(work, contender))?;
        let mut columns = [0.0; COLUMNS];
        for (n, column) in columns.iter_mut().enumerate() {
            *column = median(figures.iter().map(|figure| figure.columns()[n]))?;
        }
        Some(columns)
    }

    /// Each target of the checks, and whether the medians reach it.
    fn verdicts(&self) -> Vec<(String, bool)> {
        let column = |work, contender, n: usize| self.medians(work, contender).map(|columns| columns[n]);
        let ratio = |work, peer, n| Some(column(work, peer, n)? / column(work, Contender::Ours, n)?);
        let mut verdicts = Vec::new();
        let mut judge = |what: &str, value: Option<f64>, reached: &dyn Fn(f64) -> bool| {
            if let Some(value) = value {
                verdicts.push((format!("{what}: {value:.2}"), reached(value)));
            }
        };
        let (peer, original) = (Contender::Keepalived, Contender::Original);
        judge("processor of an HTTP check, keepalived's to ours (at least 1)", ratio(Work::Http, peer, 1), &|r| {
            r >= 1.0
        });
        judge("the same, the original's to ours (at least 10)", ratio(Work::Http, original, 1), &|r| r >= 10.0);
        judge("processor of a TCP check, keepalived's to ours (at least 1)", ratio(Work::Tcp, peer, 1), &|r| r >= 1.0);
        judge("resident at 1,000 servers, keepalived's to ours (at least 1)", ratio(Work::Tcp, peer, 6), &|r| r >= 1.0);
        for work in [Work::Tcp, Work::Many] {
            let kept = column(work, Contender::Ours, 3);
            judge(&format!("{work}, per cent within 100 ms of their time (at least 99)"), kept, &|kept| kept >= 99.0);
        }
        let reactions: Vec<f64> = self.reactions.iter().map(|took| took.as_secs_f64() * 1e3).collect();
        let worst = reactions.iter().copied().reduce(f64::max);
        judge("from a refused port to weight 0, ms, median (below 20)", median(reactions), &|took| took < 20.0);
        judge("the longest of them, ms (below 20)", worst, &|took| took < 20.0);
        verdicts
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| Work | Program | {} |\n|---|---|{}", HEADS.join(" | "), "---|".repeat(COLUMNS))?;
        for &(work, contender) in self.figures.keys() {
            let columns = self.medians(work, contender).unwrap_or_default();
            let cells = columns.iter().zip(DIGITS).map(|(value, digits)| format!("{value:.digits$}"));
            writeln!(f, "| {work} | {contender} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        writeln!(f)?;
        for (verdict, reached) in self.verdicts() {
            writeln!(f, "- {verdict}{}", if reached { "" } else { ", missed" })?;
        }
        Ok(())
    }
}
