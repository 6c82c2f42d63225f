//! What heartbeat cannot (spec/heartbeat.md 10): keys that change while both run, a group that does not start where it is
//! wanted, an administrator who is the fence, and hosts that are pinged.

use super::{DIRECTORS, Pair, ROOMY, SOON};
use lab::{LAN, OwnerWatch, Result, VIP, wait_until};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;

/// A resource that does not start on a machine that has /run/broken.
const FRAGILE: &str = "#!/bin/sh\ncase $1 in\nstart) [ ! -e /run/broken ] && : >/run/fragile ;;\nstop) rm -f /run/fragile ;;\n\
                       status) if [ -e /run/fragile ]; then echo running; else echo stopped; fi ;;\nesac\n";

impl Pair {
    /// A group of one address, and more lines in both ha.cf.
    fn with_ha_cf(more: &str) -> Result<Self> {
        Self::prepared("heartbeatd", ROOMY, &format!("lvs1 {VIP}/24/eth0\n"), |node| {
            let ha_cf = node.read("/etc/ha.d/ha.cf")?;
            node.write("/etc/ha.d/ha.cf", &format!("{ha_cf}{more}"))
        })
    }
}

#[test]
fn keys_are_changed_one_node_after_the_other_and_nothing_moves() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", ROOMY)?;
    let (old, new) = ("1 sha1 a-secret-of-the-lab\n", "2 sha1 another-secret\n");
    // Both know both, then each signs with the new one, then the old one is forgotten.
    let steps = [
        (0, format!("auth 1\n{old}{new}")),
        (1, format!("auth 1\n{old}{new}")),
        (1, format!("auth 2\n{old}{new}")),
        (0, format!("auth 2\n{old}{new}")),
        (0, format!("auth 2\n{new}")),
        (1, format!("auth 2\n{new}")),
    ];
    for (at, keys) in steps {
        pair.cluster.node(DIRECTORS[at]).write_with_mode("/etc/ha.d/authkeys", &keys, 0o600)?;
        let taken = |pair: &Pair| pair.log(at).matches("keys taken over").count();
        let before = taken(&pair);
        pair.daemons[at].signal(Signal::HUP);
        wait_until("the keys to be taken over", SOON, || taken(&pair) > before)?;
        // Longer than a node would wait for one whose messages it does not believe.
        sleep(pair.times.deadtime + pair.times.keepalive);
    }
    let ownership = pair.owners.take().map(OwnerWatch::stop).unwrap_or_default();
    assert_eq!(ownership.moves(), 0, "{ownership:?}");
    for at in [0, 1] {
        let log = pair.log(at);
        assert!(!log.contains("is dead") && !log.contains("refused"), "{log}");
    }
    // Now the old one is nobody's.
    pair.cluster.node("lvs2").write_with_mode("/etc/ha.d/authkeys", &format!("auth 1\n{old}"), 0o600)?;
    pair.daemons[1].signal(Signal::HUP);
    wait_until("lvs1 not to believe lvs2", SOON, || pair.log(0).contains("key index 1 unknown")).map(drop)
}

#[test]
fn a_group_that_does_not_start_where_it_is_wanted_runs_on_the_other_node() -> Result<()> {
    let haresources = format!("lvs1 {VIP}/24/eth0 Fragile\n");
    let prepare = |node: &lab::Node| node.write_with_mode("/etc/ha.d/resource.d/Fragile", FRAGILE, 0o755);
    let pair = Pair::prepared("heartbeatd", ROOMY, &haresources, prepare)?;
    pair.orders(0, &["standby"])?;
    pair.await_owner(1)?;
    pair.cluster.node("lvs1").write("/run/broken", "")?;
    let (refused, why) = pair.lvsctl(0, &["takeover"])?;
    assert!(refused == 1 && why.contains("could not be started"), "{refused} {why}");
    pair.await_owner(1)?;
    let runs = |name: &str| pair.cluster.node(name).path("/run/fragile").is_ok_and(|file| file.exists());
    wait_until("it to run on lvs2", SOON, || runs("lvs2") && !runs("lvs1"))?;
    assert!(pair.status(0)?["groups"][0]["failed"].is_string(), "{}", pair.status(0)?);
    // Nor does it come back by itself while it cannot.
    sleep(Duration::from_secs(3));
    pair.await_owner(1)
}

#[test]
fn a_start_that_takes_longer_than_lvs_toml_allows_has_failed() -> Result<()> {
    let haresources = format!("lvs1 {VIP}/24/eth0 Fragile\n");
    let pair = Pair::prepared("heartbeatd", ROOMY, &haresources, |node| {
        let slow = FRAGILE.replace("start)", "start) [ ! -e /run/slow ] || sleep 30;");
        node.write_with_mode("/etc/ha.d/resource.d/Fragile", &slow, 0o755)?;
        node.write("/etc/ha.d/lvs.toml", "[heartbeatd]\nscript_timeout = 2\n")
    })?;
    pair.orders(0, &["standby"])?;
    pair.await_owner(1)?;
    pair.cluster.node("lvs1").write("/run/slow", "")?;
    let (refused, why) = pair.lvsctl(0, &["takeover"])?;
    assert!(refused == 1 && why.contains("could not be started"), "{refused} {why}");
    assert!(pair.log(0).contains("start of Fragile took longer than 2 s and was killed"), "{}", pair.log(0));
    pair.await_owner(1)
}

#[test]
fn an_administrator_who_says_that_a_silent_node_is_off_lets_the_other_take_over() -> Result<()> {
    let pair = Pair::with_ha_cf("stonith_host * meatware\n")?;
    let confirm = |said: &str| {
        let heartbeatd = lab::program("heartbeatd")?;
        let line = format!("echo {said} | (exec -a meatclient {heartbeatd} -c lvs1)");
        pair.cluster.node("lvs2").try_run(&["bash", "-c", &line])
    };
    let (status, said) = confirm("y")?;
    assert!(status == 1 && said.contains("lvs1 does not wait to be switched off by hand"), "{status} {said}");
    pair.daemons[0].signal(Signal::KILL);
    sleep(pair.times.deadtime + Duration::from_secs(2));
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), [""; 0], "it may still have it");
    let (status, said) = confirm("n")?;
    assert!(status == 1 && said.contains("Operation cancelled."), "{status} {said}");
    sleep(Duration::from_secs(1));
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), [""; 0], "nobody has confirmed it");
    let (status, said) = confirm("y")?;
    assert!(status == 0 && said.contains("reset confirmed"), "{status} {said}");
    pair.await_owner(1)
}

#[test]
fn a_group_of_hosts_answers_as_long_as_one_of_them_does() -> Result<()> {
    let pair = Pair::with_ha_cf(
        "ping_group both 192.168.60.99 192.168.60.10\nping_group none 192.168.60.98 192.168.60.99\nping6 fd00:60::10\ndeadping 1\n",
    )?;
    let shown = |name: &str| {
        let status = pair.status(0).ok()?;
        let nodes = status["nodes"].as_array()?;
        Some(nodes.iter().find(|node| node["name"] == name)?["status"].as_str()?.to_owned())
    };
    let are = |wanted: [&str; 3]| {
        wait_until(&format!("{wanted:?}"), SOON, || {
            ["both", "none", "fd00:60::10"]
                .map(shown)
                .iter()
                .zip(wanted)
                .all(|(shown, wanted)| shown.as_deref() == Some(wanted))
        })
        .inspect_err(|_| println!("{:?}", pair.status(0)))
        .map(drop)
    };
    are(["ping", "dead", "ping"])?;
    pair.cluster.cut("client", LAN)?;
    are(["dead", "dead", "dead"])?;
    pair.cluster.heal("client", LAN)?;
    are(["ping", "dead", "ping"])
}
