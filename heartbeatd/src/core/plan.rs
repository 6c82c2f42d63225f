//! Which groups there are and where each is at home: haresources as the core needs it
//! (spec/heartbeat.md 2).

use serde::Serialize;

/// A group's place in the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct GroupId(pub usize);

/// One logical line of haresources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The first resource as written: the key by which tools name the group (spec 2.1).
    pub key: String,
    /// The node the line begins with, lower case.
    pub home: String,
    /// The homes that follow it, in order; after them come the other nodes, in the order of ha.cf.
    pub then: Vec<String>,
    /// Two nodes may hold it for the moment of a planned switch: it consists of addresses
    /// and of what stands beside them warm. A group with a file system must be let go
    /// before it is taken.
    pub overlaps: bool,
    /// It has an address, so that whether anybody can reach it depends on a cable.
    pub addressed: bool,
}

/// The groups of the cluster, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    groups: Vec<Group>,
    tags: Vec<u32>,
}

/// More groups than this do not fit into one status message.
pub const MAX_GROUPS: usize = 256;

/// What makes a list of groups no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A key that stands twice: one group would be started twice.
    #[error("group {0} of node {1} stands twice in haresources")]
    Twice(String, String),
    /// See [`MAX_GROUPS`].
    #[error("{0} groups in haresources, at most {MAX_GROUPS} are supported")]
    TooMany(usize),
}

impl Plan {
    /// A plan of these groups, in this order.
    ///
    /// # Errors
    /// A group that stands twice, or too many of them.
    pub fn new(groups: Vec<Group>) -> Result<Self, PlanError> {
        if groups.len() > MAX_GROUPS {
            return Err(PlanError::TooMany(groups.len()));
        }
        let mut tags: Vec<u32> = Vec::with_capacity(groups.len());
        for group in &groups {
            let tag = tag(group);
            if tags.contains(&tag) {
                return Err(PlanError::Twice(group.key.clone(), group.home.clone()));
            }
            tags.push(tag);
        }
        Ok(Self { groups, tags })
    }

    /// Whether there are groups with an address, and that holds for each of them.
    pub(crate) fn each_addressed(&self, holds: impl Fn(GroupId) -> bool) -> bool {
        let mut ids = self.iter().filter(|(_, group)| group.addressed).map(|(id, _)| id).peekable();
        ids.peek().is_some() && ids.all(holds)
    }

    /// Every group with its place.
    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().enumerate().map(|(at, group)| (GroupId(at), group))
    }

    /// The group at this place.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0)
    }

    /// The group with this key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<GroupId> {
        self.iter().find(|(_, group)| group.key == key).map(|(id, _)| id)
    }

    /// The place of a node among a group's homes, 0 for the first; `nodes` in the order of ha.cf.
    #[must_use]
    pub fn rank(group: &Group, nodes: &[String], node: &str) -> u8 {
        let named = std::iter::once(&group.home).chain(&group.then);
        let rest = nodes.iter().filter(|name| **name != group.home && !group.then.contains(name));
        let place = named.chain(rest).position(|name| name == node);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// By what heartbeatd name a node to each other where there are more than two.
    #[must_use]
    pub fn mark(node: &str) -> u32 {
        fnv(node.bytes())
    }

    /// By what heartbeatd tell each other which nodes their ha.cf has. Of three or more the order counts, which is that
    /// of the homes.
    #[must_use]
    pub fn cluster_mark(nodes: &[String]) -> u32 {
        let mut names: Vec<&str> = nodes.iter().map(String::as_str).collect();
        if names.len() <= 2 {
            names.sort_unstable();
        }
        fnv(names.join(" ").bytes()).max(1)
    }

    /// By what two heartbeatd name a group to each other: the same on both nodes wherever
    /// the line stands, different when home or key differ.
    pub(crate) fn tags(&self) -> &[u32] {
        &self.tags
    }

    /// How many groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether the file was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// Over home and key.
fn tag(group: &Group) -> u32 {
    fnv(group.home.bytes().chain([b' ']).chain(group.key.bytes()))
}

/// FNV-1a.
fn fnv(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(home: &str, key: &str) -> Group {
        Group { key: key.into(), home: home.into(), overlaps: true, addressed: true, then: Vec::new() }
    }

    #[test]
    fn a_group_that_stands_twice_is_refused_by_name() {
        let twice = Plan::new(vec![group("node1", "10.0.0.1"), group("node1", "10.0.0.1")]);
        assert_eq!(twice, Err(PlanError::Twice("10.0.0.1".into(), "node1".into())));
    }

    #[test]
    fn homes_that_are_named_come_before_the_other_nodes_and_those_follow_in_the_order_of_ha_cf() {
        let nodes = ["a", "b", "c", "d"].map(str::to_owned);
        let group = Group { then: vec!["d".into()], ..group("b", "10.0.0.1") };
        assert_eq!(nodes.each_ref().map(|node| Plan::rank(&group, &nodes, node)), [2, 0, 3, 1]);
    }

    #[test]
    fn the_name_of_a_group_on_the_wire_does_not_depend_on_its_line() {
        let here = Plan::new(vec![group("node1", "10.0.0.1"), group("node2", "10.0.0.2")]).unwrap();
        let there = Plan::new(vec![group("node2", "10.0.0.2"), group("node1", "10.0.0.1")]).unwrap();
        assert_eq!(here.tags()[0], there.tags()[1]);
        assert_ne!(here.tags()[0], here.tags()[1]);
    }
}
