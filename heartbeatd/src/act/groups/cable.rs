//! Addresses whose cable is out: see `core::cable`.

use std::net::IpAddr;
use std::time::Instant;

use super::plan::addresses;
use super::{Groups, put_on, take_off};
use crate::core::GroupId;
use crate::media::Interfaces;

impl Groups {
    /// Takes the group's addresses off, for the time being.
    pub fn withhold(&mut self, id: GroupId) {
        let Some(running) = self.groups.get(id.0) else { return };
        for spec in addresses(&running.group) {
            self.missing.forget(spec.address);
            take_off(&mut self.vips, spec);
        }
    }

    /// Puts them on again and announces them.
    pub fn restore(&mut self, id: GroupId, now: Instant) {
        let Some(running) = self.groups.get(id.0) else { return };
        for spec in addresses(&running.group) {
            if !put_on(&mut self.vips, now, spec, false) {
                self.missing.note(now, spec.address);
            }
        }
        self.announce(id, now);
    }

    /// Networks or interfaces have changed, unless it was only this `address`, and that is one of the groups'.
    pub fn networks_changed(&mut self, address: Option<IpAddr>) {
        let is_ours =
            |ip| self.groups.iter().flat_map(|running| addresses(&running.group)).any(|spec| spec.address == ip);
        if !address.is_some_and(is_ours) {
            self.vips.forget_places();
        }
    }

    /// The groups of which it has changed whether somebody can reach them here: one without an address, or with one on an
    /// interface that has a carrier. What cannot be seen changes nothing.
    pub fn reach(&mut self, interfaces: &Interfaces) -> Vec<(GroupId, bool)> {
        let Self { groups, vips, .. } = self;
        let mut changes = Vec::new();
        for (at, running) in groups.iter_mut().enumerate() {
            let plugged = addresses(&running.group).map(|spec| vips.is_plugged(interfaces, spec));
            let plugged: Result<Vec<Option<bool>>, _> = plugged.collect();
            match plugged.map(|plugged| somebody_reaches(&plugged)) {
                Ok(Some(reachable)) if reachable != running.reachable => {
                    running.reachable = reachable;
                    changes.push((GroupId(at), reachable));
                }
                Ok(_) => {}
                Err(e) => log::debug!("cannot see which cables are in: {}", lvs::diag::chain(&e)),
            }
        }
        changes
    }
}

/// What is known of each address, together.
fn somebody_reaches(plugged: &[Option<bool>]) -> Option<bool> {
    if plugged.is_empty() || plugged.contains(&Some(true)) {
        return Some(true);
    }
    plugged.iter().all(Option::is_some).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::somebody_reaches;

    #[test]
    fn a_group_is_cut_off_only_if_each_of_its_addresses_is() {
        assert_eq!(somebody_reaches(&[]), Some(true));
        assert_eq!(somebody_reaches(&[Some(false), Some(true), None]), Some(true));
        assert_eq!(somebody_reaches(&[Some(false), Some(false)]), Some(false));
        assert_eq!(somebody_reaches(&[Some(false), None]), None);
    }
}
