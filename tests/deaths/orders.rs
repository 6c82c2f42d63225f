//! What an administrator orders: maintenance, which outlives the daemon, and a switch of one group of several.

use super::{DIRECTORS, Pair, ROOMY, SOON};
use lab::{Result, VIP, wait_until};
use rustix::process::Signal;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

impl Pair {
    /// What `lvsctl` ends with on that node, and prints.
    pub(super) fn lvsctl(&self, at: usize, arguments: &[&str]) -> Result<(i32, String)> {
        let lvsctl = lab::program("lvsctl")?;
        let command: Vec<&str> = [lvsctl.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        self.cluster.node(DIRECTORS[at]).try_run(&command)
    }

    pub(super) fn orders(&self, at: usize, arguments: &[&str]) -> Result<()> {
        let (status, output) = self.lvsctl(at, arguments)?;
        assert_eq!(status, 0, "{arguments:?}: {output}");
        Ok(())
    }

    pub(super) fn status(&self, at: usize) -> Result<serde_json::Value> {
        let (status, output) = self.lvsctl(at, &["status", "--cluster", "--json"])?;
        assert_eq!(status, 0, "{output}");
        Ok(serde_json::from_str::<serde_json::Value>(&output).expect("JSON")["heartbeatd"].clone())
    }
}

#[test]
fn in_maintenance_nothing_of_a_dead_owner_is_taken_even_after_a_restart() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", ROOMY)?;
    pair.orders(1, &["maintenance", "on"])?;
    let peer = |status: &serde_json::Value| status["nodes"][1]["maintenance"].clone();
    wait_until("lvs1 to know of it", SOON, || pair.status(0).is_ok_and(|status| peer(&status) == true))?;
    let (refused, why) = pair.lvsctl(0, &["standby"])?;
    assert!(refused == 1 && why.contains("the other node is in maintenance"), "{refused} {why}");
    pair.daemons[0].signal(Signal::KILL);
    sleep(pair.times.deadtime + Duration::from_secs(2));
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), [""; 0]);
    assert!(pair.log(1).contains("nothing of lvs1 is taken"), "{}", pair.log(1));

    pair.daemons[1].signal(Signal::TERM);
    wait_until("lvs2 to stop", SOON, || !pair.daemons[1].is_running())?;
    pair.daemons[1] = pair.cluster.node("lvs2").start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?;
    // It is alone, and takes part after the ten seconds of initdead.
    wait_until("lvs2 to take part", SOON, || {
        pair.status(1).is_ok_and(|status| status["nodes"][1]["status"] == "active")
    })
    .inspect_err(|_| pair.print_logs())?;
    sleep(Duration::from_secs(2));
    assert_eq!(pair.status(1)?["maintenance"], true);
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), [""; 0]);
    pair.orders(1, &["maintenance", "off"])?;
    pair.await_owner(1)
}

#[test]
fn a_switch_of_one_group_leaves_the_other_where_it_is() -> Result<()> {
    let second: IpAddr = "192.168.60.201".parse().expect("an address");
    let haresources = format!("lvs1 {VIP}/24/eth0\nlvs1 IPaddr2::{second}/24/eth0\n");
    let pair = Pair::with("heartbeatd", ROOMY, &haresources)?;
    let owners = || (pair.cluster.owners(&DIRECTORS, VIP), pair.cluster.owners(&DIRECTORS, second));
    let (refused, why) = pair.lvsctl(0, &["standby", "--group", "192.168.60.202"])?;
    assert!(refused == 1 && why.contains("there is no group \"192.168.60.202\""), "{refused} {why}");
    pair.orders(0, &["standby", "--group", "192.168.60.201"])?;
    wait_until("lvs1 to let go", SOON, || owners() == (vec!["lvs1".to_owned()], vec!["lvs2".to_owned()]))?;
    // It does not go home by itself.
    sleep(Duration::from_secs(3));
    assert_eq!(owners(), (vec!["lvs1".to_owned()], vec!["lvs2".to_owned()]));
    pair.orders(0, &["takeover", "--group", &format!("IPaddr2::{second}/24/eth0")])?;
    wait_until("lvs2 to let go", SOON, || owners() == (vec!["lvs1".to_owned()], vec!["lvs1".to_owned()])).map(drop)
}
