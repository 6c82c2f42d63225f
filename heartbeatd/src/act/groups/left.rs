//! What an earlier life has left running, and who waits until it is stopped.

use super::super::script::{Call, Scripts};
use super::super::started::{Left, Resource};
use super::{Said, ScriptEnd};
use crate::config::{Group, ResourceKind};

/// What has not been stopped yet, and whose it is; `None` where haresources has it no more.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Vec<(Resource, Option<usize>)>);

impl Leftovers {
    pub(super) fn new(left: &[Left], groups: &[&Group]) -> Self {
        let owner = |left: &Resource| {
            let has = |group: &Group| group.resources.iter().any(|resource| is(&resource.kind, left));
            groups.iter().position(|group| group.key() == left.group && has(group))
        };
        Self(left.iter().map(|left| (left.resource.clone(), owner(&left.resource))).collect())
    }

    /// Whether the orders of this group wait: for its own, and for what may have belonged to any.
    pub(super) fn hold(&self, at: usize) -> bool {
        self.0.iter().any(|(_, owner)| owner.is_none_or(|owner| owner == at))
    }

    /// It was stopped, or could not be.
    pub(super) fn ended(&mut self, resource: &Resource) {
        self.0.retain(|(each, _)| each != resource);
    }
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
        leftovers.ended(&all[1].resource);
        assert_eq!(holds(&leftovers), [true; 3]);
        leftovers.ended(&all[2].resource);
        assert_eq!(holds(&leftovers), [false, true, false]);
        leftovers.ended(&all[0].resource);
        assert_eq!(holds(&leftovers), [false; 3]);
    }

    #[test]
    fn what_one_group_has_left_is_stopped_in_its_order() {
        let all = vec![left("a", "3"), left("b", "2"), left("a", "1")];
        assert_eq!(sequences(all), [vec![left("a", "3"), left("a", "1")], vec![left("b", "2")]]);
    }
}
