//! Runs in which silent nodes are switched off, and in which an administrator puts nodes into maintenance.

use crate::chance::Chance;
use crate::profile::{Disturbance, MS, Profile, S, Time};
use crate::world::Flaw;
use crate::{is_noticed_in, run};

/// Devices, as good as they are.
#[derive(Debug, Clone)]
pub struct Devices {
    /// Shortest and longest time that one takes.
    pub takes: (Time, Time),
    /// One that takes longer is killed.
    pub patience: Time,
    /// Percent of attempts that fail, or hang.
    pub failing: u64,
    pub hanging: u64,
    /// Percent of attempts after which a device says that a machine is off which it has not touched. Whoever believes that
    /// takes what the machine still has, so that there may be two owners, and nobody can be blamed for it.
    pub lying: u64,
}

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Off,
    Fails,
    Hangs,
    Lies,
}

impl Devices {
    pub fn outcome(&self, chance: &mut Chance) -> Outcome {
        let drawn = chance.below(100);
        let Self { failing, hanging, lying, .. } = *self;
        match drawn {
            _ if drawn < failing => Outcome::Fails,
            _ if drawn < failing + hanging => Outcome::Hangs,
            _ if drawn < failing + hanging + lying => Outcome::Lies,
            _ => Outcome::Off,
        }
    }

    fn any(chance: &mut Chance, lying: u64) -> Self {
        Self {
            takes: (10 * MS, *chance.pick(&[50 * MS, S, 3 * S])),
            patience: 6 * S,
            failing: *chance.pick(&[0, 0, 30]),
            hanging: *chance.pick(&[0, 0, 30]),
            lying,
        }
    }
}

impl Profile {
    /// Two nodes with everything in it, of which most have devices, and which are put into maintenance now and then.
    pub fn fenced(seed: u64) -> Self {
        Self::wild(seed).with_devices(seed, 0)
    }

    /// The same with three nodes, of which the smaller part waits before it switches the larger one off.
    pub fn fenced_three(seed: u64) -> Self {
        let mut profile = Self::wild_three(seed).with_devices(seed, 0);
        profile.end += 3 * (profile.deadtime + 10 * S);
        profile
    }

    /// Two nodes with devices that lie.
    pub fn lied_to(seed: u64) -> Self {
        Self::wild(seed).with_devices(seed, 30)
    }

    fn with_devices(mut self, seed: u64, lying: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x000f_e4ce);
        if lying > 0 || chance.percent(75) {
            self.devices = Some(Devices::any(&mut chance, lying));
        }
        let nodes = self.nodes() as u64;
        for _ in 0..chance.below(4) {
            let node = chance.below(nodes) as usize;
            let at = 3 * S + chance.below(25 * S);
            self.disturbances.push((at, Disturbance::ConfirmDead { node }));
        }
        for node in 0..self.nodes() {
            for _ in 0..*chance.pick(&[0, 0, 1, 3]) {
                let at = chance.below(28 * S);
                self.disturbances.push((at, Disturbance::Maintenance { node, on: chance.percent(60) }));
            }
            self.disturbances.push((self.quiet_from, Disturbance::Maintenance { node, on: false }));
        }
        // An attempt that hangs, the next one, a machine that starts, and what it has to wait for then.
        self.end += 50 * S;
        self
    }
}

#[test]
fn whatever_devices_say_the_other_rules_hold() {
    for seed in 0..500 {
        assert_eq!(run(seed, &Profile::lied_to(seed), Flaw::None, false).1, Ok(()), "seed {seed}");
    }
}

#[test]
fn without_fencing_first_what_a_silent_node_has_is_taken() {
    for profile in [Profile::fenced, Profile::fenced_three] {
        is_noticed_in(profile, Flaw::TakesUnfenced, "of which nobody has said that it is off");
    }
}

#[test]
fn a_device_that_goes_on_switches_off_a_node_that_is_heard() {
    for profile in [Profile::fenced, Profile::fenced_three] {
        is_noticed_in(profile, Flaw::DeviceGoesOn, "hears it");
    }
}

#[test]
fn without_maintenance_something_is_taken_given_and_fenced() {
    for what in ["is in maintenance and takes", "is in maintenance and gives", "is in maintenance and has"] {
        is_noticed_in(Profile::fenced, Flaw::DeafToMaintenance, what);
    }
}

#[test]
fn maintenance_that_is_forgotten_at_a_restart_is_noticed() {
    is_noticed_in(Profile::fenced, Flaw::ForgetsMaintenance, "is in maintenance and");
}

#[test]
fn without_an_end_of_maintenance_things_stay_undone() {
    is_noticed_in(Profile::fenced, Flaw::EndlessMaintenance, "in the end group");
}
