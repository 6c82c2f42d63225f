//! What can be told of the groups from haresources alone.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::{Config, Group, ResourceKind, VipSpec};
use crate::core::{self, GroupId};

pub(super) fn addresses(group: &Group) -> impl Iterator<Item = &VipSpec> {
    group.resources.iter().filter_map(|resource| match &resource.kind {
        ResourceKind::Address(spec) => Some(spec),
        ResourceKind::SyncDaemon { .. } | ResourceKind::Ldirectord { .. } | ResourceKind::Script { .. } => None,
    })
}

pub(super) fn named<'a>(groups: impl Iterator<Item = &'a Group> + Clone, name: &str) -> Result<GroupId, String> {
    let has = |group: &Group, ip: IpAddr| addresses(group).any(|spec| spec.address == ip);
    let by_name = groups.clone().position(|group| group.key() == name);
    // No address stands in two groups.
    let by_address = || name.parse().ok().and_then(|ip| groups.clone().position(|group| has(group, ip)));
    by_name.or_else(by_address).map(GroupId).ok_or_else(|| {
        let names: Vec<&str> = groups.map(Group::key).collect();
        format!("there is no group {name:?} in haresources: there are {}", names.join(", "))
    })
}

/// The socket of the ldirectord that serves the group's `ldirectord::FILE`.
pub(super) fn ldirectord_socket(group: &Group, sockets: &Path) -> Option<PathBuf> {
    let config = group.resources.iter().find_map(|resource| match &resource.kind {
        ResourceKind::Ldirectord { config } => Some(config),
        ResourceKind::Address(_) | ResourceKind::SyncDaemon { .. } | ResourceKind::Script { .. } => None,
    })?;
    let name = lvs::control::ldirectord::socket_name(config);
    Some(lvs::control::socket(sockets, &name))
}

/// The core's view of haresources.
///
/// # Errors
/// If a group stands twice, or there are too many.
pub fn plan(config: &Config) -> Result<core::Plan, core::PlanError> {
    let groups = config.groups.iter().map(|group| core::Group {
        key: group.key().to_owned(),
        home: group.home.clone(),
        then: group.then.clone(),
        overlaps: group.resources.iter().all(|resource| resource.kind.overlaps()),
        addressed: addresses(group).next().is_some(),
    });
    core::Plan::new(groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resource;

    #[test]
    fn a_group_is_found_by_its_name_and_by_an_address_and_the_others_are_told() {
        let address = |written: &str, ip: &str| Resource {
            written: written.to_owned(),
            kind: ResourceKind::Address(VipSpec {
                address: ip.parse().unwrap(),
                prefix: None,
                interface: None,
                label: None,
                broadcast: None,
            }),
        };
        let group = |resources| Group { home: "lvs1".into(), then: Vec::new(), resources };
        let groups = [
            group(vec![address("IPaddr2::192.0.2.1/24", "192.0.2.1"), address("2001:db8::1", "2001:db8::1")]),
            group(vec![address("192.0.2.2", "192.0.2.2")]),
        ];
        let found = |name| named(groups.iter(), name);
        assert_eq!(found("IPaddr2::192.0.2.1/24"), Ok(GroupId(0)));
        assert_eq!((found("192.0.2.1"), found("2001:DB8:0::1")), (Ok(GroupId(0)), Ok(GroupId(0))));
        assert_eq!(found("192.0.2.2"), Ok(GroupId(1)));
        let why = "there is no group \"192.0.2.3\" in haresources: there are IPaddr2::192.0.2.1/24, 192.0.2.2";
        assert_eq!(found("192.0.2.3"), Err(why.to_owned()));
    }
}
