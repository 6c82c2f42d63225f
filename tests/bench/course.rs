//! What happens to each pair, and what its client sees of it.

use crate::contender::{Contender, Programs};
use crate::table::Sample;
use lab::{DIRECTORS, Directors, LAN, Probe, Result, VIP, probe};
use std::thread::sleep;
use std::time::Duration;

/// 50 requests a second.
const EVERY: Duration = Duration::from_millis(20);
/// Below the second after which a lost SYN is sent again: what is not answered at once has failed.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long anything may take to come about in an emulated guest.
const SOON: Duration = Duration::from_secs(60);
/// How long the probe goes on after an event, for what comes late.
const AFTERMATH: Duration = Duration::from_secs(4);

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The cable of the active director is cut.
    Cut,
    /// It is plugged in again; the address goes home.
    Heal,
    /// The active director is told to give up.
    GiveUp,
    /// It is told to take back.
    TakeBack,
    /// Its power fails.
    PowerOff,
    /// It is switched on again and its programs start; the address goes home.
    Return,
}

impl Step {
    /// For people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Cut => "cable of the active director cut",
            Self::Heal => "cable plugged in again, failback",
            Self::GiveUp => "planned: `lvsctl standby`; keepalived stopped",
            Self::TakeBack => "planned: `lvsctl takeover`; keepalived started",
            Self::PowerOff => "power of the active director off",
            Self::Return => "director back with its programs, failback",
        }
    }
}

/// Goes through all the steps once, with a new cluster; tells of each as soon as it is measured.
pub fn run(contender: Contender, tell: &mut impl FnMut(Step, Sample)) -> Result<()> {
    let mut pair = Directors::new(&contender.files())?;
    let mut programs = Programs::new(contender);
    all_steps(&mut pair, &mut programs, tell).inspect_err(|_| {
        pair.print_logs();
        programs.print_output();
    })
}

fn all_steps(pair: &mut Directors, programs: &mut Programs, tell: &mut impl FnMut(Step, Sample)) -> Result<()> {
    DIRECTORS.iter().try_for_each(|name| programs.start(pair, name))?;
    pair.await_owner("lvs1")?;
    DIRECTORS.iter().try_for_each(|name| pair.await_real_servers(name, 2))?;
    for step in [Step::Cut, Step::Heal, Step::GiveUp, Step::TakeBack, Step::PowerOff, Step::Return] {
        let spec = probe::Spec::new((VIP, 80).into()).every(EVERY).timeout(PATIENCE);
        let probe = Probe::start(pair.node("client"), &spec)?;
        probe.await_answer(SOON)?;
        take(step, pair, programs)?;
        sleep(AFTERMATH);
        // Answered now, or this breaks off: an outage without an end has no length.
        probe.await_answer(SOON)?;
        tell(step, Sample::of(&probe.stop()?));
    }
    Ok(())
}

/// Returns when the address is where it belongs.
fn take(step: Step, pair: &mut Directors, programs: &mut Programs) -> Result<()> {
    match step {
        Step::Cut => {
            pair.cluster.cut("lvs1", LAN)?;
            // Alone on its side of the cut, lvs1 may keep the address and serves nobody.
            lab::wait_until("lvs2 to take over", SOON, || pair.cluster.owners(&["lvs2"], VIP) == ["lvs2"]).map(drop)
        }
        Step::Heal => {
            pair.cluster.heal("lvs1", LAN)?;
            pair.await_owner("lvs1")
        }
        Step::GiveUp => {
            programs.give_up(pair)?;
            pair.await_owner("lvs2")
        }
        Step::TakeBack => {
            programs.take_back(pair)?;
            pair.await_owner("lvs1")
        }
        Step::PowerOff => {
            pair.cluster.power_off("lvs1")?;
            lab::wait_until("lvs2 to take over", SOON, || pair.cluster.owners(&["lvs2"], VIP) == ["lvs2"]).map(drop)
        }
        Step::Return => {
            pair.power_on("lvs1")?;
            programs.start(pair, "lvs1")?;
            pair.await_owner("lvs1")
        }
    }
}
