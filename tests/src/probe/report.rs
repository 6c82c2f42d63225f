//! From single requests to outages.

use super::{Failure, Outcome, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A stretch of failed requests with none answered in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The start of the first request that failed.
    pub from: Duration,
    /// The start of the first request after it that was answered; nothing if none was.
    pub to: Option<Duration>,
    /// How many requests failed.
    pub lost: usize,
    /// Why, each reason once.
    pub reasons: BTreeSet<Failure>,
}

impl Outage {
    /// How long nobody was answered; nothing if that had no end.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        self.to.map(|to| to.saturating_sub(self.from))
    }
}

/// What a probe went through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many requests were started.
    pub requests: usize,
    /// How many each real server answered, by the first line of its page.
    pub answers: BTreeMap<String, usize>,
    /// In the order of time.
    pub outages: Vec<Outage>,
    /// The longest time an answered request took.
    pub slowest: Duration,
    /// The longest time between the starts of two requests: an outage shorter than this may have been missed.
    pub blind: Duration,
}

impl Report {
    /// Counts and measures these records, whatever their order.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut records: Vec<_> = records.iter().collect();
        records.sort_by_key(|record| record.at);
        let mut report = Self { requests: records.len(), ..Self::default() };
        let mut open: Option<Outage> = None;
        for record in &records {
            match &record.outcome {
                Outcome::Answer(server) => {
                    *report.answers.entry(server.clone()).or_default() += 1;
                    report.slowest = report.slowest.max(record.took);
                    report.outages.extend(open.take().map(|outage| Outage { to: Some(record.at), ..outage }));
                }
                Outcome::Failure(why) => {
                    let outage = open.get_or_insert_with(|| Outage {
                        from: record.at,
                        to: None,
                        lost: 0,
                        reasons: BTreeSet::new(),
                    });
                    outage.lost += 1;
                    outage.reasons.insert(why.clone());
                }
            }
        }
        report.outages.extend(open);
        report.blind = records.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default();
        report
    }

    /// How many requests failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outages.iter().map(|outage| outage.lost).sum()
    }

    /// How many requests were answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.requests - self.failed()
    }

    /// The longest outage that ended; zero if there was none.
    #[must_use]
    pub fn longest_outage(&self) -> Duration {
        self.outages.iter().filter_map(Outage::length).max().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} failed; answers:", self.requests, self.failed())?;
        self.answers.iter().try_for_each(|(server, count)| write!(f, " {server} {count}"))?;
        for outage in &self.outages {
            match outage.length() {
                Some(length) => write!(f, "; outage of {} ms", length.as_millis())?,
                None => write!(f, "; outage without an end")?,
            }
            write!(f, " ({} requests: {:?})", outage.lost, outage.reasons)?;
        }
        write!(f, "; slowest {} ms, blind {} ms", self.slowest.as_millis(), self.blind.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64, outcome: Outcome) -> Record {
        Record { at: Duration::from_millis(at), took: Duration::from_millis(3), outcome }
    }

    fn answer(at: u64, server: &str) -> Record {
        record(at, Outcome::Answer(server.into()))
    }

    fn failure(at: u64, why: Failure) -> Record {
        record(at, Outcome::Failure(why))
    }

    #[test]
    fn an_outage_goes_from_the_first_lost_request_to_the_first_answered_one() {
        let records = [
            answer(0, "rs1"),
            answer(20, "rs2"),
            // In the order in which they ended: those that timed out come last.
            answer(80, "rs1"),
            failure(40, Failure::Timeout),
            failure(60, Failure::Reset),
        ];
        let report = Report::of(&records);
        assert_eq!((report.requests, report.failed(), report.answered()), (5, 2, 3));
        assert_eq!(report.longest_outage(), Duration::from_millis(40));
        assert_eq!(report.outages[0].reasons, BTreeSet::from([Failure::Timeout, Failure::Reset]));
        assert_eq!(report.answers, BTreeMap::from([("rs1".into(), 2), ("rs2".into(), 1)]));
        assert_eq!(report.blind, Duration::from_millis(20));
    }

    #[test]
    fn an_outage_without_an_end_has_no_length() {
        let report = Report::of(&[answer(0, "rs1"), failure(20, Failure::Refused)]);
        assert_eq!(report.outages[0].length(), None);
        assert_eq!(report.longest_outage(), Duration::ZERO);
        assert!(report.to_string().contains("without an end"), "{report}");
    }
}
