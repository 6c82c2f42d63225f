//! Addresses whose cable is out: see `core::cable`.

use std::time::Instant;

use super::plan::addresses;
use super::{Groups, Running, put_on, take_off};
use crate::config::VipSpec;
use crate::core::GroupId;

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

    /// Of each group, whether somebody can reach it here: it has no address, or one on an interface with a carrier. What
    /// the kernel does not say is left out.
    pub fn reach(&mut self) -> Vec<(GroupId, bool)> {
        let Self { groups, vips, .. } = self;
        let all: Vec<&VipSpec> = groups.iter().flat_map(|running| addresses(&running.group)).collect();
        let plugged = match vips.plugged(&all) {
            Ok(plugged) => plugged,
            Err(e) => {
                log::debug!("cannot see which cables are in: {}", lvs::diag::chain(&e));
                return Vec::new();
            }
        };
        let reach = |(at, running): (usize, &Running)| {
            let mut ips = addresses(&running.group).map(|spec| spec.address).peekable();
            (GroupId(at), ips.peek().is_none() || ips.any(|ip| plugged.contains(&ip)))
        };
        groups.iter().enumerate().map(reach).collect()
    }
}
