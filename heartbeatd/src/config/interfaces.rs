//! Interfaces that the files name and this machine does not have: a warning and no error, because they may come later.

use super::Medium;
use super::model::{Config, ResourceKind};

/// What to tell of each that is not among the machine's.
#[must_use]
pub fn absent(config: &Config, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let mut tell = |line: String| {
        if !told.contains(&line) {
            told.push(line);
        }
    };
    for medium in &config.ha_cf.media {
        let Medium::Udp(udp) = medium else { continue };
        let interface = udp.interface();
        if !exists(interface) {
            tell(format!(
                "ha.cf: \"{medium}\": there is no interface {interface} on this machine: nothing is heard there before \
                 there is"
            ));
        }
    }
    for resource in config.groups.iter().flat_map(|group| &group.resources) {
        let interface = match &resource.kind {
            ResourceKind::Address(spec) => spec.interface.as_deref(),
            ResourceKind::SyncDaemon { interface, .. } => Some(interface.as_str()),
            ResourceKind::Ldirectord { .. } | ResourceKind::Script { .. } => None,
        };
        if let Some(interface) = interface.filter(|interface| !exists(interface)) {
            tell(format!(
                "haresources: \"{}\": there is no interface {interface} on this machine: it cannot be started here \
                 before there is",
                resource.written
            ));
        }
    }
    told
}
