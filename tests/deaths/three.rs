//! Three directors, one after the other of which dies.

use super::SOON;
use lab::{BEAT, Cluster, LAN, OwnerWatch, Plan, Process, Result, VIP, wait_until};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;

const NODES: [&str; 3] = ["lvs1", "lvs2", "lvs3"];

/// A device that takes until the story says that the node is off.
const AGENT: &str = "#!/bin/sh\ntold=$(cat)\ncase $told in\n*action=monitor*) exit 0 ;;\n*action=status*) [ -e /run/off ] && exit 2 ;;\n\
                     *) echo \"$told\" >>/run/ordered; until [ -e /run/off ]; do sleep 0.05; done ;;\nesac\nexit 0\n";

struct Three {
    cluster: Cluster,
    daemons: [Option<Process>; 3],
}

impl Three {
    /// The address is at home on lvs1, then on lvs3, then on lvs2, which ha.cf alone says.
    fn new() -> Result<Self> {
        Self::with("")
    }

    /// The same with more in ha.cf.
    fn with(more: &str) -> Result<Self> {
        let mut plan = Plan::default().plug("client", LAN, &["192.168.60.10/24"]);
        for (at, node) in NODES.iter().enumerate() {
            plan = plan.plug(node, LAN, &[&format!("192.168.60.13{at}/24 brd +")]);
            plan = plan.plug(node, BEAT, &[&format!("10.60.0.13{at}/24 brd +")]);
        }
        let mut three = Self { cluster: Cluster::new(plan)?, daemons: [None, None, None] };
        for (at, name) in NODES.iter().enumerate() {
            let node = three.cluster.node(name);
            let ha_cf = "keepalive 200ms\nwarntime 900ms\ndeadtime 1500ms\ninitdead 10\nbcast eth1\nauto_failback on\n\
                         node lvs1 lvs2 lvs3\n";
            node.write("/etc/ha.d/ha.cf", &format!("{ha_cf}{more}"))?;
            node.write_with_mode("/etc/ha.d/fence_story", AGENT, 0o755)?;
            node.write("/etc/ha.d/haresources", &format!("lvs1,lvs3 {VIP}/24/eth0\n"))?;
            node.write_with_mode("/etc/ha.d/authkeys", "auth 1\n1 sha1 a-secret-of-the-lab\n", 0o600)?;
            three.start(at)?;
        }
        three.await_owner(0)?;
        Ok(three)
    }

    fn start(&mut self, at: usize) -> Result<()> {
        let node = self.cluster.node(NODES[at]);
        self.daemons[at] = Some(node.start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?);
        Ok(())
    }

    fn kill(&mut self, at: usize) {
        if let Some(daemon) = self.daemons[at].take() {
            daemon.signal(Signal::KILL);
        }
    }

    fn await_owner(&self, at: usize) -> Result<()> {
        wait_until(&format!("{} to have the address", NODES[at]), SOON, || {
            self.cluster.owners(&NODES, VIP) == [NODES[at]]
        })
        .inspect_err(|_| {
            for (name, daemon) in NODES.iter().zip(&self.daemons) {
                println!("--- {name}\n{}", daemon.as_ref().map_or(String::new(), Process::output));
            }
        })
        .map(drop)
    }

    fn watch(&self) -> OwnerWatch {
        OwnerWatch::start(&self.cluster, &NODES, VIP)
    }
}

#[test]
fn of_three_the_next_home_serves_and_the_last_one_alone() -> Result<()> {
    let mut three = Three::new()?;
    let watch = three.watch();
    three.kill(0);
    three.await_owner(2)?;
    // For the watch to see it too.
    sleep(Duration::from_millis(200));
    three.kill(2);
    three.await_owner(1)?;
    let status = three.cluster.node("lvs2").run(&[&lab::program("heartbeatd")?, "status"])?;
    assert!(status.contains(" at lvs2, home lvs1"), "{status}");
    three.start(2)?;
    three.await_owner(2)?;
    three.start(0)?;
    three.await_owner(0)?;
    let ownership = watch.stop();
    let (without, several) = (ownership.longest_without(), ownership.longest_with_several());
    println!("    longest without an owner {without:?}, longest with two {several:?}");
    assert_eq!(ownership.moves(), 4, "{ownership:?}");
    // Dead time, and a claim there and back.
    assert!(without <= Duration::from_millis(2500), "{ownership:?}");
    Ok(())
}

#[test]
fn an_orderly_stop_of_one_of_three_and_a_standby_leave_no_gap() -> Result<()> {
    let mut three = Three::new()?;
    // Every node has seen the address in somebody's hands.
    sleep(Duration::from_secs(1));
    let watch = three.watch();
    if let Some(daemon) = three.daemons[0].take() {
        daemon.stop(SOON)?;
    }
    three.await_owner(2)?;
    three.cluster.node("lvs3").run(&[&lab::program("lvsctl")?, "standby", "all"])?;
    three.await_owner(1)?;
    sleep(Duration::from_secs(2));
    three.await_owner(1)?;
    let ownership = watch.stop();
    println!("    longest with two owners {:?}", ownership.longest_with_several());
    assert_eq!((ownership.moves(), ownership.longest_without()), (2, Duration::ZERO), "{ownership:?}");
    Ok(())
}

#[test]
fn of_three_one_fences_and_nothing_is_taken_before_the_silent_one_is_off() -> Result<()> {
    let mut three = Three::with("stonith_host * /etc/ha.d/fence_story ip=10.60.0.9 pcmk_host_list=lvs1,lvs2,lvs3\n")?;
    // Each has heard the others.
    sleep(Duration::from_secs(1));
    three.kill(0);
    let ordered = |three: &Three, name: &str| three.cluster.node(name).read("/run/ordered");
    wait_until("the order", SOON, || ordered(&three, "lvs2").is_ok_and(|told| told.contains("nodename=lvs1")))?;
    sleep(Duration::from_secs(2));
    assert_eq!(ordered(&three, "lvs3")?, "", "one does it");
    assert_eq!(three.cluster.owners(&NODES, VIP), [""; 0], "it may still have it");
    three.cluster.node("lvs2").write("/run/off", "")?;
    three.await_owner(2)?;
    assert_eq!(ordered(&three, "lvs2")?.matches("nodename").count(), 1);
    three.start(0)?;
    three.await_owner(0)
}
