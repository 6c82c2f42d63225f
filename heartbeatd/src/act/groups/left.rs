//! What an earlier life has left running, and who waits until it is stopped.

use std::collections::BTreeSet;

use super::super::script::{Call, Scripts};
use super::super::started::{Left, Resource};
use super::{Said, ScriptEnd};
use crate::config::{Group, ResourceKind};

#[derive(Debug)]
struct Leftover {
    resource: Resource,
    /// `None` where haresources has it no more.
    owner: Option<usize>,
    /// Two nodes must not run it at once.
    alone: bool,
}

/// What has not been stopped yet, and whose it is.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    left: Vec<Leftover>,
    /// Groups of which something that must not run twice could not be stopped.
    stuck: BTreeSet<usize>,
}

impl Leftovers {
    pub(super) fn new(left: &[Left], groups: &[&Group]) -> Self {
        let owner = |left: &Resource| {
            let has = |group: &Group| group.resources.iter().any(|resource| is(&resource.kind, left));
            groups.iter().position(|group| group.key() == left.group && has(group))
        };
        let left = left.iter().map(|Left { resource, .. }| {
            let owner = owner(resource);
            let alone = owner.is_some_and(|at| must_not_run_twice(groups[at], resource));
            Leftover { resource: resource.clone(), owner, alone }
        });
        Self { left: left.collect(), stuck: BTreeSet::new() }
    }

    /// Whether the orders of this group wait: for its own, and for what may have belonged to any.
    pub(super) fn hold(&self, at: usize) -> bool {
        self.left.iter().any(|left| left.owner.is_none_or(|owner| owner == at))
    }

    /// The groups that have something of it.
    pub(super) fn owners(&self) -> impl Iterator<Item = usize> + use<> {
        let owners: BTreeSet<usize> = self.left.iter().filter_map(|left| left.owner).collect();
        owners.into_iter()
    }

    /// It was stopped, or could not be. If it was the last of its group: which one, and whether that is stuck.
    pub(super) fn ended(&mut self, resource: &Resource, still_runs: bool) -> Option<(usize, bool)> {
        let at = self.left.iter().position(|left| left.resource == *resource)?;
        let Leftover { owner, alone, .. } = self.left.remove(at);
        let owner = owner?;
        if still_runs && alone {
            self.stuck.insert(owner);
        }
        (!self.owners().any(|other| other == owner)).then(|| (owner, self.stuck.remove(&owner)))
    }
}

/// Whether it is a script of the group that two nodes must not run at once.
pub(super) fn must_not_run_twice(group: &Group, resource: &Resource) -> bool {
    group.resources.iter().any(|each| is(&each.kind, resource) && !each.kind.overlaps())
}

fn is(kind: &ResourceKind, left: &Resource) -> bool {
    match kind {
        ResourceKind::Script { name, args } => *name == left.name && *args == left.args,
        ResourceKind::Address(_) | ResourceKind::SyncDaemon { .. } | ResourceKind::Ldirectord { .. } => false,
    }
}

/// In sequences that do not wait for each other, one a group; each as it is to be stopped.
pub(super) fn sequences(left: Vec<Left>) -> Vec<Vec<Left>> {
    let mut sequences: Vec<Vec<Left>> = Vec::new();
    for left in left {
        match sequences.iter_mut().find(|sequence| sequence[0].resource.group == left.resource.group) {
            Some(sequence) => sequence.push(left),
            None => sequences.push(vec![left]),
        }
    }
    sequences
}

/// Stops one after the other, each after its script, should that still be under way, has ended.
pub(super) async fn stop(scripts: Scripts, sequence: Vec<Left>, say: impl Fn(Said) + Clone + Send + Sync + 'static) {
    for Left { resource, run } in sequence {
        let call = Call { name: &resource.name, args: &resource.args };
        if let Some(run) = run
            && !run.end().await
        {
            log::error!("{call}: a script of an earlier life does not end: its stop runs beside it");
        }
        let (noted, tell) = (resource.clone(), say.clone());
        let scripts = scripts.telling(move |run| tell(Said::Runs(noted.clone(), run)));
        let result = scripts.stop(call).await.map(|_| ());
        say(Said::Ended(ScriptEnd { group: None, resource, up: false, result }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resource as Configured;

    fn left(group: &str, name: &str) -> Left {
        Left { resource: Resource { group: group.into(), name: name.into(), args: Vec::new() }, run: None }
    }

    fn group(names: &[&str]) -> Group {
        let script = |name: &&str| Configured {
            written: (*name).to_owned(),
            kind: ResourceKind::Script { name: (*name).to_owned(), args: Vec::new() },
        };
        Group { home: "lvs1".into(), then: Vec::new(), resources: names.iter().map(script).collect() }
    }

    #[test]
    fn everybody_waits_for_what_haresources_has_no_more_and_a_group_for_its_own() {
        let groups = [group(&["a", "shared"]), group(&["b", "shared"]), group(&["c"])];
        let all = [left("b", "shared"), left("a", "gone"), left("old", "shared")];
        let mut leftovers = Leftovers::new(&all, &groups.each_ref());
        let holds = |leftovers: &Leftovers| [0, 1, 2].map(|at| leftovers.hold(at));
        assert_eq!(holds(&leftovers), [true; 3]);
        assert_eq!(leftovers.owners().collect::<Vec<_>>(), [1]);
        leftovers.ended(&all[1].resource, false);
        assert_eq!(holds(&leftovers), [true; 3]);
        leftovers.ended(&all[2].resource, false);
        assert_eq!(holds(&leftovers), [false, true, false]);
        leftovers.ended(&all[0].resource, false);
        assert_eq!(holds(&leftovers), [false; 3]);
    }

    #[test]
    fn a_group_is_let_go_when_its_last_is_stopped_and_stuck_if_one_of_them_was_not() {
        let groups = [group(&["a", "b"]), group(&["c"])];
        let all = [left("a", "b"), left("a", "a"), left("c", "c")];
        let mut leftovers = Leftovers::new(&all, &groups.each_ref());
        assert_eq!(leftovers.owners().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(leftovers.ended(&all[0].resource, true), None);
        assert_eq!(leftovers.ended(&all[2].resource, false), Some((1, false)));
        assert_eq!(leftovers.ended(&all[1].resource, false), Some((0, true)));
        assert_eq!(leftovers.ended(&all[1].resource, false), None);
    }

    #[test]
    fn a_group_is_not_stuck_at_what_may_run_on_two_nodes() {
        let groups = [group(&["MailTo"])];
        let all = [left("MailTo", "MailTo")];
        let mut leftovers = Leftovers::new(&all, &groups.each_ref());
        assert_eq!(leftovers.ended(&all[0].resource, true), Some((0, false)));
    }

    #[test]
    fn what_may_run_on_two_nodes_is_not_what_a_group_sticks_at() {
        let group = group(&["Filesystem", "MailTo"]);
        let may_not = |name: &str| must_not_run_twice(&group, &left("Filesystem", name).resource);
        assert_eq!(["Filesystem", "MailTo", "ldirectord"].map(may_not), [true, false, false]);
    }

    #[test]
    fn what_one_group_has_left_is_stopped_in_its_order() {
        let all = vec![left("a", "3"), left("b", "2"), left("a", "1")];
        assert_eq!(sequences(all), [vec![left("a", "3"), left("a", "1")], vec![left("b", "2")]]);
    }
}
