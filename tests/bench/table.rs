//! The figures, and their medians as a table in Markdown.

use crate::contender::Contender;
use crate::course::Step;
use crate::median::median;
use lab::probe::{Failure, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// What one step cost the client once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The longest outage.
    pub outage: Duration,
    /// Requests that failed, in all outages.
    pub failed: usize,
    /// Requests that were started.
    pub requests: usize,
    /// The longest time in which the client itself did not ask: an outage is not known more exactly than this.
    pub blind: Duration,
    /// Why requests failed, each reason once.
    pub reasons: BTreeSet<Failure>,
}

impl Sample {
    /// Of what a probe went through.
    pub fn of(report: &Report) -> Self {
        let (failed, requests) = (report.failed(), report.requests);
        let reasons = report.outages.iter().flat_map(|outage| outage.reasons.clone()).collect();
        Self { outage: report.longest_outage(), failed, requests, blind: report.blind, reasons }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outage, failed, requests, blind, reasons } = self;
        let (outage, blind) = (outage.as_millis(), blind.as_millis());
        write!(
            f,
            "longest outage {outage} ms, {failed} of {requests} lost {reasons:?} (probe blind for at most {blind} ms)"
        )
    }
}

/// All samples.
#[derive(Debug, Default)]
pub struct Table {
    samples: BTreeMap<(Step, Contender), Vec<Sample>>,
}

impl Table {
    /// Adds one.
    pub fn note(&mut self, step: Step, contender: Contender, sample: Sample) {
        self.samples.entry((step, contender)).or_default().push(sample);
    }

    /// Median outage in ms, median of the requests lost, and how many runs there were; nothing without a run.
    fn medians(&self, step: Step, contender: Contender) -> Option<(u128, usize, usize)> {
        let samples = self.samples.get(&(step, contender))?;
        let outage = median(samples.iter().map(|sample| sample.outage.as_millis()))?;
        let failed = median(samples.iter().map(|sample| sample.failed))?;
        Some((outage, failed, samples.len()))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = Contender::ALL.iter().map(Contender::to_string).collect();
        writeln!(f, "Medians: longest outage, requests lost (runs)\n")?;
        writeln!(f, "| What | {} | keepalived to {} |", names.join(" | "), Contender::Fast)?;
        writeln!(f, "|---|{}---|", "---|".repeat(names.len()))?;
        for step in self.samples.keys().map(|(step, _)| *step).collect::<BTreeSet<_>>() {
            write!(f, "| {} |", step.what())?;
            for contender in Contender::ALL {
                match self.medians(step, contender) {
                    Some((outage, failed, runs)) => write!(f, " {outage} ms, {failed} ({runs}) |")?,
                    None => write!(f, " not measured |")?,
                }
            }
            let outage = |contender| self.medians(step, contender).map(|(outage, ..)| outage);
            match (outage(Contender::Fast), outage(Contender::Keepalived)) {
                (Some(ours @ 1..), Some(theirs)) => writeln!(f, " {:.2} |", theirs as f64 / ours as f64)?,
                // Nothing to divide by.
                _ => writeln!(f, " - |")?,
            }
        }
        Ok(())
    }
}
