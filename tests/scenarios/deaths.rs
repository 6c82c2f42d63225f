//! One daemon after the other dies on the active director, under load.

use lab::{DIRECTORS, Daemon, Directors, Files, OwnerWatch, Probe, Result, VIP, probe, wait_until};
use std::thread::sleep;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(20);
const DEADTIME: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);

fn probe(pair: &Directors, patience: Duration) -> Result<Probe> {
    let spec = probe::Spec::new((VIP, 80).into()).every(EVERY).timeout(patience);
    let probe = Probe::start(pair.node("client"), &spec)?;
    probe.await_answer(SOON)?;
    Ok(probe)
}

#[test]
fn the_death_of_ldirectord_and_of_the_helper_costs_no_request() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    let probe = probe(&pair, Duration::from_secs(2))?;
    for daemon in [Daemon::Ldirectord, Daemon::Helper] {
        pair.kill("lvs1", daemon)?;
        sleep(Duration::from_secs(2));
        pair.start_daemon("lvs1", daemon)?;
        sleep(Duration::from_secs(3));
    }
    let report = probe.stop()?;
    println!("    {report}");
    assert_eq!(report.failed(), 0, "{report}");
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), ["lvs1"]);
    // The new ldirectord found its table as it should be and changed nothing.
    let log = pair.node("lvs1").read("/var/log/all.log")?;
    assert_eq!(log.matches("Added real server: 192.168.60.132:80").count(), 1, "{log}");
    Ok(())
}

#[test]
fn the_death_of_heartbeatd_is_one_takeover_and_never_two_owners() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    let probe = probe(&pair, Duration::from_millis(300))?;
    let owners = OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP);
    pair.kill("lvs1", Daemon::Heartbeatd)?;
    pair.await_owner("lvs2")?;
    wait_until("answers after the takeover", SOON, || {
        probe.records().last().is_some_and(|record| record.outcome.server().is_some())
    })?;
    let report = probe.stop()?;
    let ownership = owners.stop();
    println!("    {report}");
    println!("    {ownership:?}");
    assert_eq!(ownership.moves(), 1, "{ownership:?}");
    assert!(ownership.longest_with_several() <= ownership.blind, "{ownership:?}");
    assert!(report.longest_outage() <= DEADTIME + Duration::from_millis(100) + EVERY + report.blind, "{report}");

    // It comes back, learns what the peer holds, and gets its group home without a gap.
    pair.start_daemon("lvs1", Daemon::Heartbeatd)?;
    pair.await_owner("lvs1")
}
