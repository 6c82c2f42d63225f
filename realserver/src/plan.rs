//! What has to be done, from what is and what should be. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A kernel setting that direct routing needs. The kernel uses the larger of the value of
/// `all` and that of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// Answer only for addresses of the interface the question comes in on, everywhere.
    #[serde(rename = "net.ipv4.conf.all.arp_ignore")]
    AllArpIgnore,
    /// The same on `lo`.
    #[serde(rename = "net.ipv4.conf.lo.arp_ignore")]
    LoArpIgnore,
    /// Ask with an address of the interface the question goes out on, everywhere.
    #[serde(rename = "net.ipv4.conf.all.arp_announce")]
    AllArpAnnounce,
    /// The same on `lo`.
    #[serde(rename = "net.ipv4.conf.lo.arp_announce")]
    LoArpAnnounce,
}

impl Setting {
    /// All of them, in the order in which they are set.
    pub const ALL: [Self; 4] = [Self::LoArpIgnore, Self::LoArpAnnounce, Self::AllArpIgnore, Self::AllArpAnnounce];

    /// As sysctl names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllArpIgnore => "net.ipv4.conf.all.arp_ignore",
            Self::LoArpIgnore => "net.ipv4.conf.lo.arp_ignore",
            Self::AllArpAnnounce => "net.ipv4.conf.all.arp_announce",
            Self::LoArpAnnounce => "net.ipv4.conf.lo.arp_announce",
        }
    }

    /// The value direct routing needs.
    #[must_use]
    pub fn wanted(self) -> u32 {
        match self {
            Self::AllArpIgnore | Self::LoArpIgnore => 1,
            Self::AllArpAnnounce | Self::LoArpAnnounce => 2,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A virtual address, somewhere on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Interface name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
    /// Label, where it has one.
    pub label: Option<String>,
    /// Whether the interface answers neighbours that ask for its addresses.
    pub answers: bool,
}

/// What the machine looks like now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// Whether `lo` is up.
    pub lo_up: bool,
    /// Every address of every interface.
    pub addresses: Vec<Present>,
    /// The values of the settings.
    pub settings: BTreeMap<Setting, u32>,
    /// `arp_ignore` of the interfaces besides `lo`.
    pub arp_ignore: BTreeMap<String, u32>,
}

/// What was before the first change, and what is looked after. Kept in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The addresses that are to be there.
    pub addresses: BTreeSet<IpAddr>,
    /// The values from before the first change.
    pub settings: BTreeMap<Setting, u32>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the memory. When this fails nothing after it may be done.
    Remember(Memory),
    /// Change a setting.
    Set {
        /// Which.
        setting: Setting,
        /// The value now.
        was: u32,
        /// The new value.
        value: u32,
    },
    /// Put an address on `lo`.
    Add {
        /// The address, for this host only.
        address: IpAddr,
        /// Its label; IPv6 has none.
        label: Option<String>,
    },
    /// Take an address off `lo`.
    Remove {
        /// The address.
        address: IpAddr,
    },
    /// Remove the memory.
    Forget,
}

/// What stands in the way and is left to the administrator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// Nothing can be delivered through `lo`.
    LoDown,
    /// The address is on `lo` with a mask that makes a whole network local.
    Mask {
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// The address is on an interface that answers for it.
    Elsewhere {
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// The interface.
        interface: String,
    },
    /// An interface has a value of its own that the kernel prefers and that answers for `lo`.
    ArpIgnore {
        /// The interface.
        interface: String,
        /// Its value.
        value: u32,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoDown => write!(f, "lo is down (ip link set lo up)"),
            Self::Mask { address, prefix } => write!(
                f,
                "{address}/{prefix} on lo makes its whole network local; it must be /{} \
                 (ip address del {address}/{prefix} dev lo)",
                host_prefix(*address)
            ),
            Self::Elsewhere { address, prefix, interface } => write!(
                f,
                "{address}/{prefix} is on {interface} too, which tells the neighbours that it is here \
                 (ip address del {address}/{prefix} dev {interface})"
            ),
            Self::ArpIgnore { interface, value } => write!(
                f,
                "net.ipv4.conf.{interface}.arp_ignore is {value}, and with it {interface} answers for addresses on lo \
                 (sysctl net.ipv4.conf.{interface}.arp_ignore=0)"
            ),
        }
    }
}

/// Prefix length of a single address.
#[must_use]
pub fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Now {
    /// The address where it belongs: on `lo`, and only this one address.
    #[must_use]
    pub fn on_lo(&self, address: IpAddr) -> Option<&Present> {
        self.addresses.iter().find(|p| p.address == address && p.interface == "lo" && p.prefix == host_prefix(address))
    }

    /// The settings that have another value than direct routing needs.
    fn wrong_settings(&self) -> impl Iterator<Item = (Setting, u32)> {
        Setting::ALL.into_iter().filter_map(|s| {
            let value = *self.settings.get(&s)?;
            (value != s.wanted()).then_some((s, value))
        })
    }
}

/// The steps that make this machine a back end for `wanted`. What is there already is left as it is
/// and looked after from now on. ARP is quiet before the first address is there.
#[must_use]
pub fn up(wanted: &BTreeSet<IpAddr>, now: &Now, memory: &Memory) -> Vec<Step> {
    let arp = wanted.iter().any(IpAddr::is_ipv4);
    let mut after = memory.clone();
    after.addresses.extend(wanted);
    if arp {
        for (&setting, &value) in &now.settings {
            after.settings.entry(setting).or_insert(value);
        }
    }
    let mut steps = Vec::new();
    if after != *memory {
        steps.push(Step::Remember(after));
    }
    if arp {
        steps.extend(now.wrong_settings().map(|(setting, was)| Step::Set { setting, was, value: setting.wanted() }));
    }
    let mut labels = free_labels(now);
    let missing = wanted.iter().filter(|&&address| now.on_lo(address).is_none());
    steps.extend(missing.map(|&address| {
        let label = if address.is_ipv4() { labels.next() } else { None };
        Step::Add { address, label }
    }));
    steps
}

/// The steps that take `unwanted` off. The settings go back when no IPv4 address is left to look
/// after; where nothing is remembered of them, they stay.
#[must_use]
pub fn down(unwanted: &BTreeSet<IpAddr>, now: &Now, memory: &Memory) -> Vec<Step> {
    let there = unwanted.iter().filter(|&&address| now.on_lo(address).is_some());
    let mut steps: Vec<_> = there.map(|&address| Step::Remove { address }).collect();
    let mut after = memory.clone();
    after.addresses.retain(|address| !unwanted.contains(address));
    if !after.addresses.iter().any(IpAddr::is_ipv4) {
        let before = std::mem::take(&mut after.settings);
        steps.extend(before.into_iter().filter_map(|(setting, value)| {
            let was = *now.settings.get(&setting)?;
            (was != value).then_some(Step::Set { setting, was, value })
        }));
    }
    if after == Memory::default() {
        steps.push(Step::Forget);
    } else if after != *memory {
        steps.push(Step::Remember(after));
    }
    steps
}

/// What keeps this machine from being a back end for `wanted` and is not ours to change.
#[must_use]
pub fn problems(wanted: &BTreeSet<IpAddr>, now: &Now) -> Vec<Problem> {
    let mut problems = Vec::new();
    if wanted.is_empty() {
        return problems;
    }
    if !now.lo_up {
        problems.push(Problem::LoDown);
    }
    for Present { interface, address, prefix, answers, .. } in
        now.addresses.iter().filter(|p| wanted.contains(&p.address))
    {
        let (address, prefix) = (*address, *prefix);
        if *answers {
            problems.push(Problem::Elsewhere { address, prefix, interface: interface.clone() });
        } else if interface == "lo" && prefix != host_prefix(address) {
            problems.push(Problem::Mask { address, prefix });
        }
    }
    if wanted.iter().any(IpAddr::is_ipv4) {
        // 3 looks at the address's scope instead of its interface, 4 to 7 are reserved and do nothing.
        let loud = now.arp_ignore.iter().filter(|(_, value)| (3..8).contains(*value));
        problems.extend(loud.map(|(interface, &value)| Problem::ArpIgnore { interface: interface.clone(), value }));
    }
    problems
}

/// `lo:0`, `lo:1` and so on, as far as no address has them.
fn free_labels(now: &Now) -> impl Iterator<Item = String> {
    let taken: BTreeSet<String> = now.addresses.iter().filter_map(|p| p.label.clone()).collect();
    (0_u32..).map(|n| format!("lo:{n}")).filter(move |label| !taken.contains(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> BTreeSet<IpAddr> {
        list.iter().map(|ip| ip.parse().expect("an address")).collect()
    }

    fn on(interface: &str, address: &str, prefix: u8, label: Option<&str>) -> Present {
        let label = label.map(str::to_owned);
        let address = address.parse().expect("an address");
        Present { interface: interface.to_owned(), address, prefix, label, answers: interface.starts_with("eth") }
    }

    fn fresh() -> Now {
        let settings = Setting::ALL.into_iter().map(|s| (s, 0)).collect();
        Now { lo_up: true, settings, ..Now::default() }
    }

    /// What the kernel would look like afterwards.
    fn carried_out(mut now: Now, mut memory: Memory, steps: &[Step]) -> (Now, Memory) {
        for step in steps {
            match step.clone() {
                Step::Remember(new) => memory = new,
                Step::Forget => memory = Memory::default(),
                Step::Set { setting, value, .. } => {
                    now.settings.insert(setting, value);
                }
                Step::Add { address, label } => {
                    assert!(now.on_lo(address).is_none(), "{address} is there already");
                    let prefix = host_prefix(address);
                    now.addresses.push(Present { interface: "lo".into(), address, prefix, label, answers: false });
                }
                Step::Remove { address } => {
                    assert!(now.on_lo(address).is_some(), "{address} is not there");
                    now.addresses.retain(|p| p.interface != "lo" || p.address != address);
                }
            }
        }
        (now, memory)
    }

    #[test]
    fn the_memory_is_written_first_and_arp_is_quiet_before_the_address_is_there() {
        let steps = up(&ips(&["192.168.60.200"]), &fresh(), &Memory::default());
        assert!(matches!(&steps[0], Step::Remember(m) if m.settings.len() == 4));
        assert!(steps[1..5].iter().all(|step| matches!(step, Step::Set { was: 0, .. })));
        let address = "192.168.60.200".parse().expect("an address");
        assert_eq!(steps[5..], [Step::Add { address, label: Some("lo:0".into()) }]);
    }

    #[test]
    fn once_up_there_is_nothing_to_do() {
        let wanted = ips(&["192.168.60.200", "192.168.60.201", "2001:db8::200"]);
        let steps = up(&wanted, &fresh(), &Memory::default());
        let (now, memory) = carried_out(fresh(), Memory::default(), &steps);
        assert_eq!(up(&wanted, &now, &memory), []);
        let labels: Vec<_> = now.addresses.iter().map(|p| p.label.as_deref()).collect();
        assert_eq!(labels, [Some("lo:0"), Some("lo:1"), None]);
    }

    #[test]
    fn down_puts_back_what_was_and_not_zeros() {
        let mut before = fresh();
        before.settings.insert(Setting::AllArpIgnore, 2);
        before.settings.insert(Setting::AllArpAnnounce, 2);
        let wanted = ips(&["192.168.60.200"]);
        let (now, memory) = carried_out(before.clone(), Memory::default(), &up(&wanted, &before, &Memory::default()));
        assert_eq!(now.settings[&Setting::AllArpIgnore], 1);
        let (after, memory) = carried_out(now.clone(), memory.clone(), &down(&wanted, &now, &memory));
        assert_eq!((after, memory), (before, Memory::default()));
    }

    #[test]
    fn what_was_before_the_first_start_survives_a_second_one() {
        let wanted = ips(&["192.168.60.200"]);
        let (now, memory) = carried_out(fresh(), Memory::default(), &up(&wanted, &fresh(), &Memory::default()));
        let both = ips(&["192.168.60.200", "192.168.60.201"]);
        let (_, memory) = carried_out(now.clone(), memory.clone(), &up(&both, &now, &memory));
        assert!(memory.settings.values().all(|&value| value == 0));
        assert_eq!(memory.addresses, both);
    }

    #[test]
    fn an_address_that_is_there_is_adopted_with_its_label_and_goes_at_stop() {
        let mut now = fresh();
        now.addresses.push(on("lo", "192.168.60.200", 32, Some("lo:0")));
        let wanted = ips(&["192.168.60.199", "192.168.60.200"]);
        let steps = up(&wanted, &now, &Memory::default());
        let (now, memory) = carried_out(now, Memory::default(), &steps);
        assert_eq!(now.addresses[0].label.as_deref(), Some("lo:0"));
        assert_eq!(now.addresses[1].label.as_deref(), Some("lo:1"));
        let (after, _) = carried_out(now.clone(), memory.clone(), &down(&wanted, &now, &memory));
        assert_eq!(after, fresh());
    }

    #[test]
    fn the_settings_stay_while_another_address_needs_them() {
        let both = ips(&["192.168.60.200", "192.168.60.201"]);
        let (now, memory) = carried_out(fresh(), Memory::default(), &up(&both, &fresh(), &Memory::default()));
        let (now, memory) = carried_out(now.clone(), memory.clone(), &down(&ips(&["192.168.60.200"]), &now, &memory));
        assert_eq!(now.settings[&Setting::AllArpIgnore], 1);
        assert_eq!(memory.addresses, ips(&["192.168.60.201"]));
        let (now, memory) = carried_out(now.clone(), memory.clone(), &down(&ips(&["192.168.60.201"]), &now, &memory));
        assert_eq!((now, memory), (fresh(), Memory::default()));
    }

    #[test]
    fn without_a_memory_down_takes_the_address_off_and_leaves_the_settings() {
        let wanted = ips(&["192.168.60.200"]);
        let (now, _) = carried_out(fresh(), Memory::default(), &up(&wanted, &fresh(), &Memory::default()));
        let address = "192.168.60.200".parse().expect("an address");
        assert_eq!(down(&wanted, &now, &Memory::default()), [Step::Remove { address }, Step::Forget]);
    }

    #[test]
    fn down_twice_does_nothing_the_second_time_but_forget() {
        assert_eq!(down(&ips(&["192.168.60.200"]), &fresh(), &Memory::default()), [Step::Forget]);
    }

    #[test]
    fn ipv6_alone_touches_no_arp_setting() {
        let wanted = ips(&["2001:db8::200"]);
        let (now, memory) = carried_out(fresh(), Memory::default(), &up(&wanted, &fresh(), &Memory::default()));
        assert_eq!(now.settings, fresh().settings);
        assert!(memory.settings.is_empty());
    }

    #[test]
    fn what_only_the_administrator_can_mend_is_told() {
        let mut now = fresh();
        now.lo_up = false;
        now.addresses.push(on("lo", "192.168.60.200", 24, None));
        now.addresses.push(on("eth0", "192.168.60.200", 24, None));
        now.addresses.push(on("eth0", "192.168.60.132", 24, None));
        now.addresses.push(on("tunl0", "192.168.60.200", 32, None));
        now.arp_ignore.extend([("eth0".to_owned(), 3), ("eth1".to_owned(), 8), ("eth2".to_owned(), 2)]);
        let address = "192.168.60.200".parse().expect("an address");
        let expected = [
            Problem::LoDown,
            Problem::Mask { address, prefix: 24 },
            Problem::Elsewhere { address, prefix: 24, interface: "eth0".into() },
            Problem::ArpIgnore { interface: "eth0".into(), value: 3 },
        ];
        assert_eq!(problems(&ips(&["192.168.60.200"]), &now), expected);
        assert_eq!(problems(&BTreeSet::new(), &now), []);
    }
}
