//! The virtual address moves: after a death, by order, and home again.

use lab::{DIRECTORS, Directors, Files, LAN, OwnerWatch, Probe, Result, VIP, probe, program, wait_until};
use std::thread::sleep;
use std::time::Duration;

/// 50 requests a second.
const EVERY: Duration = Duration::from_millis(20);
/// 200 requests a second.
const OFTEN: Duration = Duration::from_millis(5);
const DEADTIME: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);

fn probe(pair: &Directors, every: Duration, patience: Duration) -> Result<Probe> {
    let spec = probe::Spec::new((VIP, 80).into()).every(every).timeout(patience);
    let probe = Probe::start(pair.node("client"), &spec)?;
    probe.await_answer(SOON)?;
    Ok(probe)
}

fn order(pair: &Directors, node: &str, verb: &str) -> Result<String> {
    pair.node(node).run(&[&program("lvsctl")?, verb])
}

#[test]
fn a_cut_cable_costs_the_deadtime_and_a_tenth_of_a_second() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    // Below the second after which a lost SYN is sent again: what is not answered at once has failed.
    let probe = probe(&pair, EVERY, Duration::from_millis(300))?;
    let owners = OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP);
    pair.cluster.cut("lvs1", LAN)?;
    // Alone on its side of the cut, lvs1 goes on serving nobody.
    wait_until("lvs2 to take over", SOON, || pair.cluster.owners(&["lvs2"], VIP) == ["lvs2"])?;
    wait_until("answers after the takeover", SOON, || {
        probe.records().last().is_some_and(|record| record.outcome.server().is_some())
    })?;
    let report = probe.stop()?;
    let ownership = owners.stop();
    println!("    {report}");
    println!("    {ownership:?}");
    let allowed = DEADTIME + Duration::from_millis(100) + EVERY + report.blind;
    assert!(!report.longest_outage().is_zero() && report.longest_outage() <= allowed, "{report}");
    Ok(())
}

#[test]
fn standby_and_failback_lose_no_request() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    let probe = probe(&pair, OFTEN, Duration::from_secs(2))?;
    let owners = OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP);
    for turn in 0..5 {
        order(&pair, "lvs1", "standby")?;
        pair.await_owner("lvs2")?;
        sleep(Duration::from_millis(1500 + 70 * turn));
        order(&pair, "lvs1", "takeover")?;
        pair.await_owner("lvs1")?;
        sleep(Duration::from_millis(1500 + 110 * turn));
    }
    let report = probe.stop()?;
    let ownership = owners.stop();
    println!("    {report}");
    println!("    {ownership:?}");
    assert_eq!(ownership.moves(), 10);
    assert_eq!(report.failed(), 0, "{report}");
    Ok(())
}

/// While it was cut off lvs1 saw every web server fail. It gets its group home only when it sees them again.
#[test]
fn a_director_that_was_cut_off_gets_its_group_when_it_sees_the_servers_again() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    pair.cluster.cut("lvs1", LAN)?;
    wait_until("lvs2 to take over", SOON, || pair.cluster.owners(&["lvs2"], VIP) == ["lvs2"])?;
    pair.await_real_servers("lvs1", 1)?;
    pair.node("lvs1").await_line("/var/log/all.log", "Added fallback server", SOON)?;
    pair.cluster.heal("lvs1", LAN)?;
    // Both had the address; lvs1 lets go first, and only then is it given back.
    pair.await_owner("lvs2")?;
    pair.await_owner("lvs1")?;
    let serving = pair.real_servers("lvs1")?;
    assert!(!serving.is_empty() && !serving.iter().any(|at| at.starts_with("7F")), "{serving:?}");
    Ok(())
}
