//! Machines and the switch they are plugged into.

use crate::clock;
use crate::error::{Attempt, Error, Result};
use crate::node::Node;
use crate::owners;
use crate::plan::{Machine, Plan};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;
use tempfile::TempDir;

/// The longest name of a network interface (IFNAMSIZ without the final zero).
const NAME_LIMIT: usize = 15;

/// A running cluster. When it goes, so does everything in it.
///
/// Every network of the plan is a bridge in a machine called `switch`; the cable of `lvs1` on the network `lan` is there
/// the port `lvs1-lan`.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    nodes: Vec<Node>,
    switch: Node,
    hosts: String,
    directory: TempDir,
}

/// Which way packets go on a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the machine sends.
    From,
    /// What the machine receives.
    To,
}

impl Cluster {
    /// Builds the machines of `plan`, switches them on and plugs them in.
    ///
    /// # Errors
    /// [`Error::NotInTheLab`] outside of it; whatever went wrong inside.
    pub fn new(plan: Plan) -> Result<Self> {
        refuse_outside(std::env::var_os("LAB_KERNEL").is_some(), rustix::process::geteuid().is_root())?;
        let too_long = |socket: &String| socket.len() > NAME_LIMIT;
        if let Some(name) = plan.machines.iter().flat_map(Machine::sockets).find(too_long) {
            return Err(Error::Senseless(format!("{name} is too long for the name of an interface")));
        }
        let directory =
            tempfile::Builder::new().prefix("cluster.").tempdir().attempt(|| "make a directory in /tmp".into())?;
        // tcpdump, rsyslogd and nginx give up their privileges before they look for their files.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .attempt(|| "open the story's directory".into())?;
        let node = |machine: &Machine| Node::new(machine.clone(), directory.path().join(&machine.name));
        let nodes = plan.machines.iter().map(node).collect::<Result<Vec<_>>>()?;
        let switch = node(&Machine { name: "switch".into(), ports: Vec::new(), forwards: false })?;
        let cluster = Self { hosts: hosts(&plan), plan, nodes, switch, directory };

        let all = || cluster.nodes.iter().chain([&cluster.switch]);
        all().try_for_each(|node| node.boot(&cluster.hosts))?;
        all().try_for_each(Node::await_boot)?;
        cluster.switch.ip(&bridges(&cluster.plan))?;
        cluster.plug_in(&cluster.nodes.iter().collect::<Vec<_>>())?;
        Ok(cluster)
    }

    /// [`Plan::direct_routing`], running.
    ///
    /// # Errors
    /// See [`Cluster::new`].
    pub fn direct_routing() -> Result<Self> {
        Self::new(Plan::direct_routing())
    }

    /// The machine of that name.
    ///
    /// # Panics
    /// If the plan has none: a mistake in the story.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name() == name).unwrap_or_else(|| panic!("the plan has no machine {name}"))
    }

    /// All machines, in the order of the plan.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The machine that holds the bridges, for captures of everything on a network (interface `lan`) or on one cable
    /// (`lvs1-lan`).
    #[must_use]
    pub fn switch(&self) -> &Node {
        &self.switch
    }

    /// A directory for the story's own files; it goes with the cluster.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Pulls the cable: both ends lose their carrier, nothing passes. Returns when that was.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn cut(&self, node: &str, network: &str) -> Result<Duration> {
        let at = clock::now();
        self.switch.ip(&format!("link set {} down\n", self.socket(node, network)?))?;
        Ok(at)
    }

    /// Plugs the cable in again. Returns when that was done.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn heal(&self, node: &str, network: &str) -> Result<Duration> {
        self.switch.ip(&format!("link set {} up\n", self.socket(node, network)?))?;
        Ok(clock::now())
    }

    /// Lets one direction of a cable lose everything while carrier and the other direction stay. [`Cluster::clear`]
    /// ends it.
    ///
    /// # Errors
    /// If `tc` fails.
    pub fn drop_one_way(&self, node: &str, network: &str, way: Way) -> Result<()> {
        let socket = self.socket(node, network)?;
        let hook = match way {
            Way::From => "ingress",
            Way::To => "egress",
        };
        self.switch
            .tc(&format!("qdisc replace dev {socket} clsact\nfilter add dev {socket} {hook} matchall action drop\n"))
    }

    /// Makes one direction of a cable bad, in the words of tc-netem: `"loss 10% delay 20ms 5ms"`. [`Cluster::clear`]
    /// ends it.
    ///
    /// # Errors
    /// If `tc` fails.
    pub fn degrade(&self, node: &str, network: &str, way: Way, how: &str) -> Result<()> {
        // netem works on what leaves an interface, so each direction has its end of the cable.
        let (at, interface) = match way {
            Way::From => (self.node(node), self.interface(node, network)?),
            Way::To => (&self.switch, self.socket(node, network)?),
        };
        at.tc(&format!("qdisc replace dev {interface} root netem {how}\n"))
    }

    /// Makes a cable good again in both directions.
    ///
    /// # Errors
    /// If the machine is switched off.
    pub fn clear(&self, node: &str, network: &str) -> Result<()> {
        let (socket, interface) = (self.socket(node, network)?, self.interface(node, network)?);
        // What is not there cannot be removed, so it is put there first.
        let root = |device: &str| format!("qdisc replace dev {device} root pfifo\nqdisc del dev {device} root\n");
        self.node(node).tc(&root(&interface))?;
        let filters = format!("qdisc replace dev {socket} clsact\nqdisc del dev {socket} clsact\n");
        self.switch.tc(&(root(&socket) + &filters))
    }

    /// Pulls all cables of a machine and the power cord. Returns when that was.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn power_off(&self, node: &str) -> Result<Duration> {
        let node = self.node(node);
        let down: String = node.machine().sockets().map(|socket| format!("link set {socket} down\n")).collect();
        let at = clock::now();
        // First the cables: the kernel lets go of a dead machine's network only after a while.
        self.switch.ip(&down)?;
        node.kill();
        Ok(at)
    }

    /// Switches a machine on again, with the files it had, and plugs it in.
    ///
    /// # Errors
    /// If it does not start.
    pub fn power_on(&self, node: &str) -> Result<()> {
        let node = self.node(node);
        node.boot(&self.hosts)?;
        node.await_boot()?;
        node.machine().sockets().try_for_each(|socket| self.unplug(&socket))?;
        self.plug_in(&[node])
    }

    /// Which machines hold `address` at this moment, besides the real servers that hold it on `lo` all the time: so
    /// ask for the directors.
    #[must_use]
    pub fn owners(&self, among: &[&str], address: IpAddr) -> Vec<String> {
        let among: Vec<_> = among.iter().map(|&name| (name, self.node(name).first_process())).collect();
        let holders = || among.iter().filter(|(_, first)| owners::holds(first, address));
        owners::confirmed(|| holders().map(|&(name, _)| name.to_owned()).collect()).into_iter().collect()
    }

    fn socket(&self, node: &str, network: &str) -> Result<String> {
        self.interface(node, network).map(|_| self.node(node).machine().socket(network))
    }

    fn interface(&self, node: &str, network: &str) -> Result<String> {
        let interface = self.node(node).machine().interface(network);
        interface.ok_or_else(|| Error::Senseless(format!("{node} is not on the network {network}")))
    }

    /// Removes a cable of a dead machine, unless the kernel, which does that sooner or later, was faster.
    fn unplug(&self, socket: &str) -> Result<()> {
        let removed = self.switch.ip(&format!("link del {socket}\n"));
        let left = removed.is_err() && self.switch.run(&["ls", "/sys/class/net"])?.lines().any(|name| name == socket);
        if left { removed } else { Ok(()) }
    }

    fn plug_in(&self, nodes: &[&Node]) -> Result<()> {
        let mut cables = String::new();
        for node in nodes {
            let (network, machine) = (node.network()?, node.machine());
            for (index, port) in machine.ports.iter().enumerate() {
                let (socket, bridge) = (machine.socket(&port.network), &port.network);
                let _ = write!(
                    cables,
                    "link add {socket} type veth peer name eth{index} netns {network}\n\
                     link set {socket} master {bridge}\nlink set {socket} up\n"
                );
            }
        }
        self.switch.ip(&cables)?;
        // Each in its own thread: starting programs is what takes the time.
        std::thread::scope(|scope| {
            let started: Vec<_> =
                nodes.iter().map(|node| scope.spawn(|| node.ip(&addresses(node.machine())))).collect();
            started.into_iter().try_for_each(|thread| thread.join().expect("a thread without panics"))
        })
    }
}

fn refuse_outside(lab: bool, root: bool) -> Result<()> {
    if lab && root { Ok(()) } else { Err(Error::NotInTheLab) }
}

fn bridges(plan: &Plan) -> String {
    let mut lines = String::new();
    for network in plan.networks() {
        // A port must forward as soon as it is plugged in, and heartbeats by multicast need no querier.
        let _ = write!(
            lines,
            "link add {network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {network} up\n"
        );
    }
    lines
}

fn addresses(machine: &Machine) -> String {
    let mut lines = String::from("link set lo up\n");
    for (index, port) in machine.ports.iter().enumerate() {
        let _ = writeln!(lines, "link set eth{index} up");
        for address in &port.addresses {
            let _ = writeln!(lines, "address add {address} dev eth{index}");
        }
    }
    lines
}

/// An /etc/hosts with every machine's first addresses.
fn hosts(plan: &Plan) -> String {
    let mut lines = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for machine in &plan.machines {
        for address in machine.ports.iter().take(1).flat_map(|port| &port.addresses) {
            let _ = writeln!(lines, "{} {}", address.split('/').next().unwrap_or_default(), machine.name);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_refused_outside_of_the_lab() {
        assert!(matches!(refuse_outside(false, true), Err(Error::NotInTheLab)));
        assert!(matches!(refuse_outside(true, false), Err(Error::NotInTheLab)));
        assert!(refuse_outside(true, true).is_ok());
    }

    #[test]
    fn every_machine_finds_every_other_by_name() {
        let hosts = hosts(&Plan::direct_routing().with_heartbeat_network());
        assert!(hosts.contains("192.168.60.131 lvs2\n") && hosts.contains("fd00:60::132 rs1\n"), "{hosts}");
        assert!(!hosts.contains("10.60"), "the second network has no names: {hosts}");
    }
}
