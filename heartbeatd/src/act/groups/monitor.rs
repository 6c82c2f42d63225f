//! Whether what was started still runs (fault 10): scripts of groups that are up are asked for their status.
//!
//! What has never said that it runs, such as a script that only sends a mail, is not watched. The question delays nothing:
//! an order to the group ends it, with every process of the script.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::super::script::{Call, ScriptError, Scripts};
use super::{Groups, News, Said};
use crate::config::{Group, ResourceKind};
use crate::core::GroupId;

/// When they are asked.
#[derive(Debug)]
pub(super) struct Monitor {
    every: Option<Duration>,
    due: Option<Instant>,
    /// So many questions were asked, each by its number.
    asked: u64,
}

impl Monitor {
    /// `None`: never.
    pub fn every(every: Option<Duration>) -> Self {
        Self { every, due: None, asked: 0 }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is time; the first time is one interval after the first call.
    fn is_due(&mut self, now: Instant) -> bool {
        let Some(every) = self.every else { return false };
        let due = *self.due.get_or_insert(now + every) <= now;
        if due {
            self.due = Some(now + every);
        }
        due
    }
}

/// One group since its last order.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Number of the question under way, and what ends it.
    question: Option<(u64, AbortHandle)>,
    /// Places of the resources that have said that they run.
    running: BTreeSet<usize>,
    /// Of those that have not.
    silent: BTreeSet<usize>,
    /// Of those that could not be asked, which is told once.
    mute: BTreeSet<usize>,
}

/// An answer, or the end of the question.
#[derive(Debug)]
pub(super) struct Status {
    group: usize,
    question: u64,
    /// Place of the resource in its group.
    answer: Option<(usize, Result<bool, ScriptError>)>,
}

impl Watched {
    /// The group gets something to do.
    pub fn end(&mut self) {
        self.end_question();
        *self = Self::default();
    }

    fn end_question(&mut self) {
        if let Some((_, question)) = self.question.take() {
            question.abort();
        }
    }
}

fn asked(group: &Group) -> Vec<(usize, String, Vec<String>)> {
    let script = |(at, kind): (usize, &ResourceKind)| match kind {
        ResourceKind::Script { name, args } => Some((at, name.clone(), args.clone())),
        ResourceKind::Address(_) | ResourceKind::SyncDaemon { .. } | ResourceKind::Ldirectord { .. } => None,
    };
    group.resources.iter().map(|resource| &resource.kind).enumerate().filter_map(script).collect()
}

impl Groups {
    /// Asks the groups that are `up`, if it is time, one script of each after the other. A question that takes longer than
    /// the interval is not asked a second time meanwhile.
    pub(super) fn watch(&mut self, now: Instant, up: &[GroupId]) {
        if !self.monitor.is_due(now) {
            return;
        }
        for GroupId(at) in up {
            let Some(running) = self.groups.get_mut(*at) else { continue };
            let scripts = asked(&running.group);
            if scripts.is_empty() || !running.orders.is_empty() || running.watched.question.is_some() {
                continue;
            }
            self.monitor.asked += 1;
            let number = self.monitor.asked;
            let question = ask(*at, number, scripts, self.scripts.clone(), self.said.0.clone());
            running.watched.question = Some((number, question));
        }
    }

    /// What a script has answered.
    pub(super) fn answered(&mut self, Status { group: at, question, answer }: Status) {
        let Some(running) = self.groups.get_mut(at) else { return };
        let watched = &mut running.watched;
        if watched.question.as_ref().is_none_or(|(asked, _)| *asked != question) {
            return; // Of before the last order.
        }
        let Some((place, answer)) = answer else {
            watched.question = None;
            return;
        };
        let Some(resource) = running.group.resources.get(place).map(|resource| resource.written.clone()) else {
            return;
        };
        match answer {
            Ok(true) => _ = watched.running.insert(place),
            // Whatever is done about it: it is asked again, and what the core puts off comes again.
            Ok(false) if watched.running.contains(&place) => {
                watched.end_question();
                self.news.push_back(News::Failed { group: GroupId(at), resource });
            }
            Ok(false) => {
                if watched.silent.insert(place) {
                    log::info!("{resource} was started and says that it does not run: it is not watched");
                }
            }
            Err(e) => {
                if watched.mute.insert(place) {
                    log::warn!("whether {resource} still runs is not known: {}", lvs::diag::chain(&e));
                }
            }
        }
    }
}

fn ask(
    group: usize,
    question: u64,
    asked: Vec<(usize, String, Vec<String>)>,
    scripts: Scripts,
    said: UnboundedSender<Said>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        // The loop may have ended meanwhile.
        let tell = |answer| _ = said.send(Said::Status(Status { group, question, answer }));
        for (place, name, args) in asked {
            let answer = scripts.still_runs(Call { name: &name, args: &args }).await;
            tell(Some((place, answer)));
        }
        tell(None);
    });
    task.abort_handle()
}
