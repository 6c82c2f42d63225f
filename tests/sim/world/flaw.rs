//! Rules that are taken away, to see that it is noticed.

use heartbeatd::core::{Group, Plan, Settings};

/// A rule taken away, to see that the checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing is wrong.
    None,
    /// Every word claims to have heard everything: claims are not waited for.
    ForgedEcho,
    /// Whoever is told to let go in a conflict does not.
    KeepsConflict,
    /// Addresses stay until somebody takes them off.
    NoLease,
    /// A dead node's statuses go on.
    Ghost,
    /// Every node is told that it is ready when it starts.
    ForgedReady,
    /// The core is not told that time has passed while it was stopped.
    HiddenPause,
    /// Groups that may overlap are treated as if they must not.
    NeverOverlaps,
    /// Nodes fail back although the files say no.
    FailsBackAnyway,
    /// Nodes do not fail back although the files say yes.
    NeverFailsBack,
    /// The files of all nodes name other homes than they should.
    OtherHomes,
    /// No time passes for a node that is not active yet.
    WaitsForEver,
    /// In the last moment every word says that nobody has anything.
    ForgedHolder,
    /// No node passes on what it hears.
    KeepsToItself,
    /// Nor does it tell whom it hears.
    EachForItself,
    /// What is configured to switch nodes off is not gone by.
    TakesUnfenced,
    /// A device that nobody waits for any more goes on.
    DeviceGoesOn,
    /// No node is told that maintenance begins, or after a restart that it is in maintenance.
    DeafToMaintenance,
    ForgetsMaintenance,
    /// No node is told that maintenance is over.
    EndlessMaintenance,
    /// No node is told that its cable is out.
    UnseenCable,
    /// What could not be stopped is told to have been.
    GivesWhatSticks,
    /// What an earlier life has left running is not told.
    ForgetsLeftovers,
}

impl Flaw {
    /// The settings of a node with this flaw.
    pub(super) fn of(self, settings: Settings) -> Settings {
        let change = |settings: Settings, change: &dyn Fn(&Group) -> Group| {
            let changed = settings.plan.iter().map(|(_, group)| change(group)).collect();
            Settings { plan: Plan::new(changed).expect("it was a plan before"), ..settings }
        };
        match self {
            Self::FailsBackAnyway => Settings { auto_failback: true, ..settings },
            Self::NeverFailsBack => Settings { auto_failback: false, ..settings },
            Self::TakesUnfenced => Settings { fences: false, ..settings },
            Self::NeverOverlaps => change(settings, &|group| Group { overlaps: false, ..group.clone() }),
            Self::OtherHomes => {
                let nodes = settings.nodes.clone();
                let next = |home: &str| (nodes.iter().position(|node| node == home).unwrap_or(0) + 1) % nodes.len();
                change(settings, &|group| Group { home: nodes[next(&group.home)].clone(), ..group.clone() })
            }
            Self::None
            | Self::ForgedEcho
            | Self::KeepsConflict
            | Self::NoLease
            | Self::Ghost
            | Self::ForgedReady
            | Self::HiddenPause
            | Self::WaitsForEver
            | Self::ForgedHolder
            | Self::KeepsToItself
            | Self::EachForItself
            | Self::DeviceGoesOn
            | Self::DeafToMaintenance
            | Self::ForgetsMaintenance
            | Self::EndlessMaintenance
            | Self::UnseenCable
            | Self::GivesWhatSticks
            | Self::ForgetsLeftovers => settings,
        }
    }
}
