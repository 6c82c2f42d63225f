//! Two directors, heartbeat 3.0.6 on one and heartbeatd on the other.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use lab::original::{self, HEARTBEAT, LOG, SCRIPTS};
use lab::{
    Attempt, BEAT, Cluster, Error, LAN, Node, OwnerWatch, Ownership, Plan, Process, Result, SerialCable, VIP, wait_for,
};

use crate::log::complaints;
use crate::lost::only_of_lost_orders;

/// The directors; each is the home of one group.
pub const NODES: [&str; 2] = ["lvs1", "lvs2"];
/// The address whose home is lvs1, and the one whose home is lvs2.
pub const VIPS: [IpAddr; 2] = [VIP, IpAddr::V4(Ipv4Addr::new(192, 168, 60, 201))];
/// What both ping.
pub const GATEWAY: &str = "192.168.60.1";

/// A serial port, the first of each machine.
pub const TTY: &str = "/etc/ha.d/ttyS0";

/// For whatever has no time of its own: two loaded processors run eight pairs.
pub const SOON: Duration = Duration::from_secs(20);

/// A planned switch between two of ours, in which both have the address: messages there and back, on loaded processors.
const OVERLAP: Duration = Duration::from_secs(1);

/// A node's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Original,
    Ours,
}

/// What a story has different.
#[derive(Debug, Clone)]
pub struct Setup {
    pub auto_failback: &'static str,
    pub authkeys: &'static str,
    pub media: &'static str,
    /// Whether a cable connects the serial ports.
    pub serial: bool,
    /// More lines of ha.cf.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        let authkeys = "auth 1\n1 sha1 a-secret-of-the-lab\n";
        Self { auto_failback: "on", authkeys, media: "bcast eth1", serial: false, more: String::new() }
    }
}

pub struct Pair {
    pub cluster: Cluster,
    kinds: [Kind; 2],
    ours: Mutex<Vec<(usize, Process)>>,
    pub serial: Option<SerialCable>,
    watches: Vec<OwnerWatch>,
}

impl Pair {
    /// Two machines with their files, and a third that answers pings; nothing runs.
    pub fn new(kinds: [Kind; 2], setup: &Setup) -> Result<Self> {
        let only_originals = std::env::var_os("LAB_ORIGINALS").is_some();
        let kinds = if only_originals { [Kind::Original; 2] } else { kinds };
        let plan = Plan::default()
            .plug("lvs1", LAN, &["192.168.60.130/24 brd +"])
            .plug("lvs2", LAN, &["192.168.60.131/24 brd +"])
            .plug("gateway", LAN, &["192.168.60.1/24"])
            // The original takes the interface's word for the broadcast address.
            .plug("lvs1", BEAT, &["10.60.0.130/24 brd +", "fd00:60::130/64 nodad"])
            .plug("lvs2", BEAT, &["10.60.0.131/24 brd +", "fd00:60::131/64 nodad"]);
        let cluster = Cluster::new(plan)?;
        let watches = VIPS.iter().map(|&vip| OwnerWatch::start(&cluster, &NODES, vip)).collect();
        let serial = setup.serial.then(SerialCable::new).transpose()?;
        let this = Self { cluster, kinds, ours: Mutex::default(), serial, watches };
        for at in [0, 1] {
            this.write(at, setup)?;
            if let Some(cable) = &this.serial {
                symlink(cable.device(at), this.node(at).path(TTY)?).attempt(|| format!("make {TTY}"))?;
            }
        }
        Ok(this)
    }

    /// The same, with both running and each having its own group; the second starts when the first has everything.
    pub fn running(kinds: [Kind; 2], setup: &Setup) -> Result<Self> {
        let pair = Self::new(kinds, setup)?;
        pair.start(1)?;
        pair.await_owners([Some(1), Some(1)], SOON)?;
        pair.start(0)?;
        let home = if setup.auto_failback == "off" { [Some(1), Some(1)] } else { [Some(0), Some(1)] };
        pair.await_owners(home, SOON)?;
        pair.await_stable()?;
        Ok(pair)
    }

    pub fn node(&self, at: usize) -> &Node {
        self.cluster.node(NODES[at])
    }

    pub fn write(&self, at: usize, setup: &Setup) -> Result<()> {
        let Setup { auto_failback, authkeys, media, more, serial: _ } = setup;
        let node = self.node(at);
        let logs = match self.kinds[at] {
            Kind::Original => {
                original::install(node)?;
                format!("logfile {LOG}\n")
            }
            Kind::Ours => String::new(),
        };
        let ha_cf = format!(
            "{logs}keepalive 200ms\nwarntime 1500ms\ndeadtime 2\ninitdead 4\nudpport 694\n{media}\n\
             auto_failback {auto_failback}\nnode lvs1 lvs2\n{more}"
        );
        node.write("/etc/ha.d/ha.cf", &ha_cf)?;
        let groups = NODES.iter().zip(VIPS).map(|(node, vip)| format!("{node} IPaddr2::{vip}/24/eth0\n"));
        node.write("/etc/ha.d/haresources", &groups.collect::<String>())?;
        node.write_with_mode("/etc/ha.d/authkeys", authkeys, 0o600)
    }

    /// Starts a node's program without waiting until it takes part.
    pub fn start(&self, at: usize) -> Result<()> {
        let node = self.node(at);
        self.plug(at, true);
        match self.kinds[at] {
            Kind::Original => original::start(node),
            Kind::Ours => {
                let process = node.start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?;
                self.processes().push((at, process));
                Ok(())
            }
        }
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, Vec<(usize, Process)>> {
        self.ours.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Orderly stop; returns when the program has ended.
    pub fn stop(&self, at: usize) -> Result<()> {
        self.node(at).run(&[&self.old_name(at, "heartbeat")?, "-k"])?;
        self.plug(at, false);
        Ok(())
    }

    /// A serial port that no program has open takes nothing in.
    fn plug(&self, at: usize, plugged: bool) {
        if let Some(cable) = &self.serial {
            cable.plug(at, plugged);
        }
    }

    /// The machine loses its power, and comes back with nothing running.
    pub fn crash(&self, at: usize) -> Result<()> {
        self.cluster.power_off(NODES[at])?;
        self.plug(at, false);
        Ok(())
    }

    pub fn repair(&self, at: usize) -> Result<()> {
        self.cluster.power_on(NODES[at])
    }

    /// `hb_standby SET`.
    pub fn standby(&self, at: usize, set: &str) -> Result<()> {
        self.switch(at, "hb_standby", set)
    }

    /// `hb_takeover SET`.
    pub fn takeover(&self, at: usize, set: &str) -> Result<()> {
        self.switch(at, "hb_takeover", set)
    }

    fn switch(&self, at: usize, name: &str, set: &str) -> Result<()> {
        let done = self.node(at).run(&[&self.old_name(at, name)?, set]).map(drop);
        done.inspect_err(|_| println!("{}", self.logs()))
    }

    /// Which of the two runs heartbeatd.
    pub fn ours(&self) -> Option<usize> {
        self.kinds.iter().position(|kind| *kind == Kind::Ours)
    }

    /// What `lvsctl` ends with on that node, and prints.
    pub fn lvsctl(&self, at: usize, arguments: &[&str]) -> Result<(i32, String)> {
        let lvsctl = lab::program("lvsctl")?;
        let command: Vec<&str> = [lvsctl.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        self.node(at).try_run(&command)
    }

    /// What a node says it holds: `cl_status rscstatus`.
    pub fn holds(&self, at: usize) -> Result<String> {
        let program = self.old_name(at, "cl_status")?;
        Ok(self.node(at).try_run(&[&program, "rscstatus"])?.1.trim().to_owned())
    }

    /// Waits until each says of its link to the other what `state` has.
    pub fn await_link(&self, link: &str, state: &str) -> Result<()> {
        for at in [0, 1] {
            let program = self.old_name(at, "cl_status")?;
            let ask = [program.as_str(), "hblinkstatus", NODES[1 - at], link];
            wait_for(&format!("{link} to be {state} at {}", NODES[at]), SOON, || {
                let (_, found) = self.node(at).try_run(&ask).map_err(|error| lvs::diag::chain(&error))?;
                if found.trim() == state { Ok(()) } else { Err(format!("{found:?}\n{}", self.logs())) }
            })?;
        }
        Ok(())
    }

    /// Where a node has a program of heartbeat's: its own, or heartbeatd under that name.
    pub fn old_name(&self, at: usize, name: &str) -> Result<String> {
        if self.kinds[at] == Kind::Original {
            return Ok(match name {
                "heartbeat" => HEARTBEAT.to_owned(),
                "cl_status" => "/usr/bin/cl_status".to_owned(),
                script => format!("{SCRIPTS}/{script}"),
            });
        }
        let path = format!("/run/names/{name}");
        let link = self.node(at).path(&path)?;
        if !link.exists() {
            std::fs::create_dir_all(link.parent().unwrap_or(&link)).attempt(|| "make /run/names".into())?;
            symlink(lab::program("heartbeatd")?, link).attempt(|| format!("link {path}"))?;
        }
        Ok(path)
    }

    /// Waits until the addresses are where they should be, and nowhere else.
    pub fn await_owners(&self, wanted: [Option<usize>; 2], limit: Duration) -> Result<()> {
        let names = wanted.map(|at| at.map(|at| vec![NODES[at].to_owned()]).unwrap_or_default());
        wait_for(&format!("owners {names:?}"), limit, || {
            let found = VIPS.map(|vip| self.cluster.owners(&NODES, vip));
            if found == names { Ok(()) } else { Err(format!("{found:?}\n{}", self.logs())) }
        })
    }

    /// Waits until each says of itself what `wanted` has, and the addresses are there.
    pub fn await_held(&self, wanted: [&str; 2]) -> Result<()> {
        let mut found = [String::new(), String::new()];
        wait_for(&format!("{wanted:?} to be held"), SOON, || {
            for (at, found) in found.iter_mut().enumerate() {
                *found = self.holds(at).map_err(|error| lvs::diag::chain(&error))?;
            }
            if found == wanted { Ok(()) } else { Err(format!("{found:?}\n{}", self.logs())) }
        })?;
        let owner = |set: [&str; 2]| (0..2).find(|&at| [set[at], "all"].contains(&wanted[at]));
        self.await_owners([owner(["local", "foreign"]), owner(["foreign", "local"])], SOON)
    }

    /// Waits until a node says that it holds everything: until then the original is still taking it.
    pub fn await_everything(&self, at: usize) -> Result<()> {
        wait_for(&format!("{} to have everything", NODES[at]), SOON, || {
            let held = self.holds(at).map_err(|error| lvs::diag::chain(&error))?;
            if held == "all" { Ok(()) } else { Err(format!("{held:?}\n{}", self.logs())) }
        })
    }

    pub fn await_stable(&self) -> Result<()> {
        for at in [0, 1] {
            wait_for(&format!("{} to be stable", NODES[at]), SOON, || {
                let held = self.holds(at).map_err(|error| lvs::diag::chain(&error))?;
                if ["none", "local", "foreign", "all"].contains(&held.as_str()) {
                    Ok(())
                } else {
                    Err(format!("{held:?}\n{}", self.logs()))
                }
            })?;
        }
        Ok(())
    }

    /// A node's log.
    pub fn log(&self, at: usize) -> String {
        match self.kinds[at] {
            Kind::Original => self.node(at).read(LOG).unwrap_or_default(),
            Kind::Ours => {
                let all = self.processes();
                all.iter().filter(|(which, _)| *which == at).map(|(_, process)| process.output()).collect()
            }
        }
    }

    fn logs(&self) -> String {
        (0..2).map(|at| format!("--- {} ({:?})\n{}", NODES[at], self.kinds[at], self.log(at))).collect()
    }

    /// The end of a story: who had the addresses when, and whether the original has complained of anything
    /// but what `allowed` has parts of.
    pub fn finish(mut self, allowed: &[&str]) -> Result<[Ownership; 2]> {
        let seen: Vec<Ownership> = std::mem::take(&mut self.watches).into_iter().map(OwnerWatch::stop).collect();
        for at in [0, 1] {
            if self.kinds[at] == Kind::Original {
                let log = self.log(at);
                let complaints = complaints(&log, allowed);
                if let Some(lost) = only_of_lost_orders(&complaints) {
                    return Err(Error::Senseless(format!("{} complains:\n{lost}", NODES[at])));
                }
                assert!(complaints.is_empty(), "{} complains:\n{}\n{}", NODES[at], complaints.join("\n"), self.logs());
            }
        }
        let logs = self.logs();
        Ok(seen.try_into().unwrap_or_else(|_| panic!("two addresses are watched\n{logs}")))
    }

    /// The same, and nobody ever had an address that the other had; but two of ours have both for the moment of a planned
    /// switch, until the one that takes it has announced it.
    pub fn finish_without_conflict(self, allowed: &[&str]) -> Result<()> {
        let most = if self.kinds == [Kind::Ours; 2] { OVERLAP } else { Duration::ZERO };
        for seen in self.finish(allowed)? {
            assert!(seen.longest_with_several() <= most, "{seen:?}");
        }
        Ok(())
    }
}

/// Lets time pass in which nothing should happen.
pub fn quiet(time: Duration) {
    thread::sleep(time);
}
