//! Three directors: with a heartbeat 3.0.6 among them, and in a ring of serial lines.

use std::os::unix::fs::symlink;
use std::time::Duration;

use lab::original::{self, LOG};
use lab::{Attempt, BEAT, Cluster, LAN, OwnerWatch, Plan, Process, Result, SerialCable, wait_for, wait_until};

use crate::pair::{SOON, VIPS, quiet};

const NODES: [&str; 3] = ["lvs1", "lvs2", "lvs3"];
const LVS1: usize = 0;
const LVS2: usize = 1;
const LVS3: usize = 2;

struct Three {
    cluster: Cluster,
    ours: [Option<Process>; 3],
    /// The one at a place leads from that machine's first port to the second port of the next machine.
    ring: Vec<SerialCable>,
    old: Option<usize>,
}

impl Three {
    /// lvs1 and lvs2 are each the home of one address; nothing runs. On `old` the original will.
    fn new(media: &str, ring: bool, old: Option<usize>) -> Result<Self> {
        let mut plan = Plan::default();
        for (at, node) in NODES.iter().enumerate() {
            plan = plan.plug(node, LAN, &[&format!("192.168.60.13{at}/24 brd +")]);
            plan = plan.plug(node, BEAT, &[&format!("10.60.0.13{at}/24 brd +")]);
        }
        let ring = if ring { (0..3).map(|_| SerialCable::new()).collect::<Result<_>>()? } else { Vec::new() };
        let three = Self { cluster: Cluster::new(plan)?, ours: [const { None }; 3], ring, old };
        for (at, name) in NODES.iter().enumerate() {
            let node = three.cluster.node(name);
            let mut log = String::new();
            if old == Some(at) {
                original::install(node)?;
                log = format!("logfile {LOG}\n");
            }
            let ha_cf = format!(
                "{log}keepalive 200ms\nwarntime 1500ms\ndeadtime 4\ninitdead 6\n{media}\nauto_failback on\n\
                 node lvs1 lvs2 lvs3\n"
            );
            node.write("/etc/ha.d/ha.cf", &ha_cf)?;
            let groups = NODES.iter().zip(VIPS).map(|(node, vip)| format!("{node} IPaddr2::{vip}/24/eth0\n"));
            node.write("/etc/ha.d/haresources", &groups.collect::<String>())?;
            node.write_with_mode("/etc/ha.d/authkeys", "auth 1\n1 sha1 a-secret-of-the-lab\n", 0o600)?;
            for (port, (cable, end)) in three.ports(at).enumerate() {
                let name = node.path(&format!("/etc/ha.d/ttyS{port}"))?;
                symlink(cable.device(end), name).attempt(|| format!("make ttyS{port}"))?;
            }
        }
        Ok(three)
    }

    /// A machine's serial ports: which cable is plugged in, and with which end.
    fn ports(&self, at: usize) -> impl Iterator<Item = (&SerialCable, usize)> {
        [(at, 0), ((at + 2) % 3, 1)].into_iter().filter_map(|(cable, end)| Some((self.ring.get(cable)?, end)))
    }

    fn start(&mut self, at: usize) -> Result<()> {
        self.ports(at).for_each(|(cable, end)| cable.plug(end, true));
        let node = self.cluster.node(NODES[at]);
        if self.old == Some(at) {
            return original::start(node);
        }
        self.ours[at] = Some(node.start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?);
        Ok(())
    }

    fn power_off(&self, at: usize) -> Result<()> {
        self.cluster.power_off(NODES[at])?;
        self.ports(at).for_each(|(cable, end)| cable.plug(end, false));
        Ok(())
    }

    fn log(&self, at: usize) -> String {
        match &self.ours[at] {
            Some(process) => process.output(),
            None => self.cluster.node(NODES[at]).read(LOG).unwrap_or_default(),
        }
    }

    fn logs(&self) -> String {
        NODES.iter().enumerate().map(|(at, name)| format!("--- {name}\n{}", self.log(at))).collect()
    }

    fn status(&self, at: usize) -> Result<String> {
        self.cluster.node(NODES[at]).run(&[&lab::program("heartbeatd")?, "status"])
    }

    fn await_owners(&self, wanted: [usize; 2]) -> Result<()> {
        let names = wanted.map(|at| [NODES[at].to_owned()]);
        wait_for(&format!("owners {names:?}"), SOON, || {
            let found = VIPS.map(|vip| self.cluster.owners(&NODES, vip));
            if found == names { Ok(()) } else { Err(format!("{found:?}\n{}", self.logs())) }
        })
    }
}

/// Ours say what is wrong, keep what they have, and take nothing while it is heard.
#[test]
fn a_heartbeat_among_three_directors_is_told_and_nothing_is_taken_while_it_is_heard() -> Result<()> {
    let mut three = Three::new("bcast eth1", false, Some(LVS3))?;
    let watches = VIPS.map(|vip| OwnerWatch::start(&three.cluster, &NODES, vip));
    three.start(LVS1)?;
    three.start(LVS2)?;
    three.await_owners([LVS1, LVS2])?;

    three.start(LVS3)?;
    let told = "lvs3 runs heartbeat 3.0.6, which cannot be one of more than two nodes: while it is heard nothing is taken over";
    for at in [LVS1, LVS2] {
        wait_until(&format!("{} to tell it", NODES[at]), SOON, || three.log(at).contains(told))?;
    }
    // Longer than the original waits for the answers it will not get.
    quiet(Duration::from_secs(20));
    three.await_owners([LVS1, LVS2])?;
    for at in [LVS1, LVS2] {
        assert_eq!(three.log(at).matches(told).count(), 1, "{}", three.logs());
        let status = three.status(at)?;
        assert!(status.contains("heartbeat 3.0.6, which cannot be one of more than two"), "{status}");
    }

    // What an owner that dies leaves is the original's, if it takes it: ours does not compete for it.
    three.power_off(LVS1)?;
    quiet(Duration::from_secs(10));
    assert_eq!(three.cluster.owners(&[NODES[LVS2]], VIPS[0]), [""; 0], "{}", three.logs());
    assert_eq!(three.cluster.owners(&NODES, VIPS[1]), ["lvs2"], "{}", three.logs());
    // And what nobody has is taken as soon as it is silent.
    three.power_off(LVS3)?;
    three.await_owners([LVS2, LVS2])?;
    for seen in watches.map(OwnerWatch::stop) {
        assert_eq!(seen.longest_with_several(), Duration::ZERO, "{seen:?}\n{}", three.logs());
    }
    Ok(())
}

/// Each passes on what it hears, so one cable may be cut and nobody is missed.
#[test]
fn three_heartbeatd_in_a_ring_of_serial_lines() -> Result<()> {
    let lines = "baud 115200\nserial /etc/ha.d/ttyS0 /etc/ha.d/ttyS1";
    let mut three = Three::new(lines, true, None)?;
    let watches = VIPS.map(|vip| OwnerWatch::start(&three.cluster, &NODES, vip));
    for at in [LVS1, LVS2, LVS3] {
        three.start(at)?;
    }
    three.await_owners([LVS1, LVS2])?;

    three.ring[LVS3].cut(true);
    quiet(Duration::from_secs(8));
    three.await_owners([LVS1, LVS2])?;
    for at in [LVS1, LVS2, LVS3] {
        assert!(!three.log(at).contains("is dead"), "{}", three.logs());
    }
    // Of lvs1 and lvs3 each hears the other through lvs2 only.
    three.power_off(LVS1)?;
    three.await_owners([LVS2, LVS2])?;
    for seen in watches.map(OwnerWatch::stop) {
        assert_eq!(seen.longest_with_several(), Duration::ZERO, "{seen:?}\n{}", three.logs());
    }
    Ok(())
}
