//! The state for people and for programs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use lvs::control::realserver::{AddressStatus, SettingStatus, Status};

use crate::plan::{Now, Setting, host_prefix, problems};

/// The state of `wanted`.
#[must_use]
pub fn status(wanted: &BTreeSet<IpAddr>, now: &Now) -> Status {
    let address = |&address: &IpAddr| {
        let there = now.on_lo(address);
        AddressStatus {
            address: format!("{address}/{}", host_prefix(address)),
            label: there.and_then(|p| p.label.clone()).unwrap_or_else(|| "lo".to_owned()),
            present: there.is_some(),
        }
    };
    let addresses: Vec<_> = wanted.iter().map(address).collect();
    let arp = wanted.iter().any(IpAddr::is_ipv4);
    let setting = |setting: Setting| SettingStatus {
        name: setting.name().to_owned(),
        value: now.settings.get(&setting).map(u32::to_string),
        wanted: setting.wanted().to_string(),
    };
    let settings: Vec<_> = Setting::ALL.into_iter().filter(|_| arp).map(setting).collect();
    let problems: Vec<_> = problems(wanted, now).iter().map(ToString::to_string).collect();
    let ready = !addresses.is_empty()
        && addresses.iter().all(|a| a.present)
        && settings.iter().all(is_right)
        && problems.is_empty();
    Status { ready, addresses, settings, problems }
}

/// What is not as it should be, a sentence each.
#[must_use]
pub fn wrong(status: &Status) -> Vec<String> {
    let addresses = status.addresses.iter().filter(|a| !a.present).map(|a| format!("{} is not on lo", a.address));
    let settings = status.settings.iter().filter(|s| !is_right(s)).map(|s| {
        let value = s.value.as_deref().unwrap_or("unreadable");
        format!("{} is {value}, and should be {}", s.name, s.wanted)
    });
    addresses.chain(settings).chain(status.problems.iter().cloned()).collect()
}

/// The state in lines.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut text = String::new();
    for AddressStatus { address, label, present } in &status.addresses {
        let place = if *present { format!("on {label}") } else { "missing".to_owned() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address:<24} {place}");
    }
    for setting in &status.settings {
        let value = setting.value.as_deref().unwrap_or("unreadable");
        let note = if is_right(setting) { String::new() } else { format!("  (should be {})", setting.wanted) };
        let _ = writeln!(text, "{} = {value}{note}", setting.name);
    }
    for problem in &status.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    text + if status.ready { "ready\n" } else { "not ready\n" }
}

fn is_right(setting: &SettingStatus) -> bool {
    setting.value.as_ref() == Some(&setting.wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Present;

    #[test]
    fn what_is_missing_is_said_in_sentences() {
        let wanted = ["192.168.60.200", "2001:db8::200"].map(|ip| ip.parse().expect("an address")).into();
        let mut now = Now { lo_up: true, ..Now::default() };
        now.settings.extend(Setting::ALL.into_iter().map(|s| (s, s.wanted())));
        now.settings.insert(Setting::AllArpIgnore, 0);
        now.addresses.push(Present {
            interface: "lo".into(),
            address: "192.168.60.200".parse().expect("an address"),
            prefix: 32,
            label: Some("lo:0".into()),
            answers: false,
        });
        let status = status(&wanted, &now);
        assert!(!status.ready);
        let sentences = ["2001:db8::200/128 is not on lo", "net.ipv4.conf.all.arp_ignore is 0, and should be 1"];
        assert_eq!(wrong(&status), sentences);
        let lines = "192.168.60.200/32        on lo:0\n\
                     2001:db8::200/128        missing\n\
                     net.ipv4.conf.lo.arp_ignore = 1\n\
                     net.ipv4.conf.lo.arp_announce = 2\n\
                     net.ipv4.conf.all.arp_ignore = 0  (should be 1)\n\
                     net.ipv4.conf.all.arp_announce = 2\n\
                     not ready\n";
        assert_eq!(text(&status), lines);
    }
}
