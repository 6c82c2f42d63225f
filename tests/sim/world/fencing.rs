//! Devices that switch machines off, the administrator who looks after one, and maintenance.

use heartbeatd::core::Event;

use super::{Flaw, Item, World};
use crate::fencing::Outcome;
use crate::profile::{MS, NAMES, S};

/// The power of a machine, cut by a device.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    target: usize,
    /// Who ordered it, in which of its lives, as which attempt.
    by: usize,
    life: u32,
    attempt: u64,
}

impl World {
    /// A device begins.
    pub(super) fn fence(&mut self, by: usize, name: &str, attempt: u64) {
        let Some(target) = NAMES.iter().position(|each| *each == name) else { return };
        let Some(devices) = self.profile.devices.clone() else { return };
        self.check.fences(by, target, self.now);
        let life = self.machines[by].life;
        // An earlier attempt at the same machine is stopped.
        self.machines[by].at_work.retain(|(each, _)| *each != target);
        self.machines[by].at_work.push((target, attempt));
        let outcome = if self.now < self.profile.quiet_from { devices.outcome(&mut self.chance) } else { Outcome::Off };
        let takes = if outcome == Outcome::Hangs { devices.patience } else { self.chance.between(devices.takes) };
        if outcome == Outcome::Off {
            let at = self.now + self.chance.below(takes);
            self.push(at, Item::SwitchOff(Cut { target, by, life, attempt }));
        }
        let ok = matches!(outcome, Outcome::Off | Outcome::Lies);
        self.push(self.now + takes, Item::Done { node: by, life, event: Event::Fenced { attempt, ok } });
    }

    pub(super) fn stop_fencing(&mut self, by: usize, name: &str) {
        if self.flaw != Flaw::DeviceGoesOn {
            self.machines[by].at_work.retain(|(target, _)| NAMES[*target] != name);
        }
    }

    pub(super) fn switch_off(&mut self, Cut { target, by, life, attempt }: Cut) {
        let machine = &self.machines[by];
        if machine.life != life || !machine.at_work.contains(&(target, attempt)) {
            return;
        }
        self.tell(|| format!("-- the power of {} is cut for {}", NAMES[target], NAMES[by]));
        self.check.is_cut(by, target);
        self.cut_power(target);
    }

    /// It comes back after a while.
    fn cut_power(&mut self, target: usize) {
        self.machines[target].address.iter_mut().for_each(|address| *address = None);
        self.machines[target].scripts.iter_mut().for_each(|runs| *runs = false);
        if self.machines[target].node.is_none() {
            return;
        }
        self.check.disturbed(self.now);
        self.down(target);
        self.machines[target].ready_after = self.chance.below(2 * S);
        let back_after = S + self.chance.below(7 * S);
        self.push(self.now + back_after, Item::Start { node: target });
    }

    /// A device says how it ended; `false`: it was stopped before, and there is nobody to say it to.
    pub(super) fn has_ended(&mut self, by: usize, attempt: u64, ok: bool) -> bool {
        let at_work = &mut self.machines[by].at_work;
        let Some(at) = at_work.iter().position(|(_, each)| *each == attempt) else { return false };
        let (target, _) = at_work.remove(at);
        if ok {
            self.check.said_off(by, target);
        }
        true
    }

    /// The administrator goes there, makes sure that it is off, and says so.
    pub(super) fn confirm(&mut self, node: usize) {
        if !self.runs(node) {
            return;
        }
        for target in self.others(node) {
            let report = self.machines[node].node.as_ref().map(|core| core.report());
            let waits = |report: lvs::control::heartbeatd::Status| report.nodes[target].fencing.is_some();
            if report.is_some_and(waits) {
                self.cut_power(target);
                self.check.said_off(node, target);
                self.order(node, |ticket| Event::ConfirmDead { node: NAMES[target].into(), ticket });
            }
        }
    }

    /// An order of the administrator, stored before it is gone by.
    pub(super) fn maintain(&mut self, node: usize, on: bool) {
        if self.machines[node].paused && on {
            return;
        }
        if self.machines[node].paused {
            let again = crate::profile::Disturbance::Maintenance { node, on };
            return self.push(self.now + 100 * MS, Item::Disturb(again));
        }
        // One that does not run takes no order; that it is over it is told at its start.
        if self.machines[node].node.is_none() && on {
            return;
        }
        self.machines[node].maintained = on;
        self.check.maintained(node, on, self.now);
        let deaf = if on { Flaw::DeafToMaintenance } else { Flaw::EndlessMaintenance };
        if self.flaw != deaf {
            self.turn(node, |core, now| core.handle(now, Event::Maintenance(on)));
        }
    }

    pub(super) fn tell_maintenance(&mut self, node: usize) {
        let deaf = matches!(self.flaw, Flaw::DeafToMaintenance | Flaw::ForgetsMaintenance);
        if self.machines[node].maintained && !deaf {
            self.turn(node, |core, now| core.handle(now, Event::Maintenance(true)));
        }
    }

    /// Whether a node takes nothing for now, and rightly.
    pub(super) fn is_hindered(&self, node: usize) -> bool {
        let core = self.machines[node].node.as_ref();
        core.is_some_and(|core| core.is_maintained() || self.profile.devices.is_some() && core.waits_for_fencing())
    }
}
