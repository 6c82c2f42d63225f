//! What is worth telling: once, as a value. The log line and the watchers' JSON are made of it.

use std::collections::BTreeSet;

use log::Level;
use lvs::control::realserver::Notice;
use lvs::diag::chain;

use crate::host::HostError;
use crate::plan::{Problem, Step, host_prefix};

/// What to tell about a step that was done. Keeping book is nobody's business.
#[must_use]
pub fn of(step: &Step, repair: bool) -> Option<Notice> {
    match step {
        Step::Remember(_) | Step::Forget => None,
        Step::Set { setting, was, value } => Some(Notice::Setting {
            name: setting.name().to_owned(),
            was: was.to_string(),
            value: value.to_string(),
            repair,
        }),
        Step::Add { address, label } => Some(Notice::AddressOn {
            address: format!("{address}/{}", host_prefix(*address)),
            label: label.clone().unwrap_or_else(|| "lo".to_owned()),
            repair,
        }),
        Step::Remove { address } => {
            Some(Notice::AddressOff { address: format!("{address}/{}", host_prefix(*address)) })
        }
    }
}

/// The notice as a line of the log.
#[must_use]
pub fn line(notice: &Notice) -> (Level, String) {
    let level = |repair: bool| if repair { Level::Warn } else { Level::Info };
    let repaired = |repair: bool| if repair { "repaired: " } else { "" };
    match notice {
        Notice::AddressOn { address, label, repair } => {
            (level(*repair), format!("{}put {address} on {label}", repaired(*repair)))
        }
        Notice::AddressOff { address } => (Level::Info, format!("took {address} off lo")),
        Notice::Setting { name, was, value, repair } => {
            (level(*repair), format!("{}set {name} to {value} (was {was})", repaired(*repair)))
        }
        Notice::Problem { what } => (Level::Warn, what.clone()),
        Notice::Solved { what } => (Level::Info, format!("no longer so: {what}")),
        Notice::Failed { what } => (Level::Error, what.clone()),
    }
}

/// What was told already, so that what goes on is told once.
#[derive(Debug, Default)]
pub struct Told {
    problems: BTreeSet<String>,
    failures: BTreeSet<String>,
}

impl Told {
    /// The news in the problems of this look.
    pub fn problems(&mut self, problems: &[Problem]) -> Vec<Notice> {
        let now: BTreeSet<String> = problems.iter().map(Problem::to_string).collect();
        let new = now.difference(&self.problems).map(|what| Notice::Problem { what: what.clone() });
        let gone = self.problems.difference(&now).map(|what| Notice::Solved { what: what.clone() });
        let news = new.chain(gone).collect();
        self.problems = now;
        news
    }

    /// The news in what failed this time.
    pub fn failures<'a>(&mut self, failures: impl IntoIterator<Item = &'a HostError>) -> Vec<Notice> {
        let now: BTreeSet<String> = failures.into_iter().map(|e| chain(e)).collect();
        let news = now.difference(&self.failures).map(|what| Notice::Failed { what: what.clone() }).collect();
        self.failures = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_and_its_end_as_well() {
        let mut told = Told::default();
        let what = Problem::LoDown.to_string();
        assert_eq!(told.problems(&[Problem::LoDown]), [Notice::Problem { what: what.clone() }]);
        assert_eq!(told.problems(&[Problem::LoDown]), []);
        assert_eq!(told.problems(&[]), [Notice::Solved { what }]);
        assert_eq!(told.failures([&HostError::NoLo]).len(), 1);
        assert_eq!(told.failures([&HostError::NoLo]), []);
        assert_eq!(told.failures([]), []);
        assert_eq!(told.failures([&HostError::NoLo]).len(), 1);
    }

    #[test]
    fn a_repair_warns_and_the_first_time_does_not() {
        let address = "192.168.60.200".parse().expect("an address");
        let step = Step::Add { address, label: Some("lo:0".into()) };
        let first = line(&of(&step, false).expect("worth telling"));
        assert_eq!(first, (Level::Info, "put 192.168.60.200/32 on lo:0".to_owned()));
        let again = line(&of(&step, true).expect("worth telling"));
        assert_eq!(again, (Level::Warn, "repaired: put 192.168.60.200/32 on lo:0".to_owned()));
        assert_eq!(of(&Step::Forget, false), None);
    }
}
