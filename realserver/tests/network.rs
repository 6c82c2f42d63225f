//! The real kernel: two network namespaces, a cable, and what the neighbour sees.

#[path = "network/place.rs"]
mod place;

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use place::{BackEnd, here, in_a_network_of_its_own};

const VIP: &str = "192.168.60.200";
const VIP6: &str = "fd00:60::200";

/// Asks the kernel to find the neighbour `ip`, and waits until it has given up or has an answer.
fn is_answered(ip: &str) -> bool {
    here("ip neigh flush dev near");
    let any = if ip.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    let port_discard = 9;
    socket.send_to(b"who has it?", (ip, port_discard)).expect("sent or queued");
    let limit = Instant::now() + Duration::from_secs(20);
    while Instant::now() < limit {
        let entry = here(&format!("ip neigh show {ip} dev near"));
        if entry.contains("FAILED") {
            return false;
        }
        if entry.contains("lladdr") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the kernel neither found {ip} nor gave up");
}

#[test]
fn the_neighbours_get_an_answer_before_and_after_and_none_meanwhile() {
    in_a_network_of_its_own("the_neighbours_get_an_answer_before_and_after_and_none_meanwhile", || {
        let back_end = BackEnd::new();
        back_end.there(&format!("ip addr add {VIP}/32 dev lo"));
        assert!(is_answered(VIP), "without realserver the back end tells everybody");
        assert_eq!(back_end.done(&["start", VIP]).0, 0);
        assert!(!is_answered(VIP), "with realserver it keeps quiet");
        assert!(is_answered("192.168.60.132"), "its own address is still found");
        assert_eq!(back_end.done(&["stop", VIP]).0, 0);
        back_end.there(&format!("ip addr add {VIP}/32 dev lo"));
        assert!(is_answered(VIP), "the settings are back");
    });
}

#[test]
fn the_back_end_does_not_name_the_virtual_address_in_questions_of_its_own() {
    in_a_network_of_its_own("the_back_end_does_not_name_the_virtual_address_in_questions_of_its_own", || {
        let back_end = BackEnd::new();
        // An answer to a client has the virtual address as its source; asking for the client must not.
        let answer = format!("ip neigh flush dev eth0; ping -c 1 -W 2 -I {VIP} 192.168.60.1 >/dev/null || true");
        let route = format!("ip route replace {VIP} via 192.168.60.132");
        here(&route);
        back_end.there(&format!("ip addr add {VIP}/32 dev lo"));
        back_end.there(&answer);
        assert!(here(&format!("ip neigh show {VIP}")).contains("lladdr"), "the question named it");
        here("ip neigh flush dev near");
        assert_eq!(back_end.done(&["start", VIP]).0, 0);
        back_end.there(&answer);
        assert_eq!(here(&format!("ip neigh show {VIP}")), "", "the question did not name it");
        assert!(here("ip neigh show 192.168.60.132").contains("lladdr"), "it asked with its own address");
    });
}

#[test]
fn ipv6_is_quiet_by_itself_and_delivers() {
    in_a_network_of_its_own("ipv6_is_quiet_by_itself_and_delivers", || {
        let back_end = BackEnd::new();
        assert_eq!(back_end.done(&["start", VIP6]).0, 0);
        assert_eq!(back_end.arp_settings(), "0 0 0 0\n", "ARP is no business of IPv6");
        assert!(!is_answered(VIP6), "an address on lo is not told on eth0");
        assert!(is_answered("fd00:60::132"));
        // As the director does: to the back end's hardware, with the virtual address in the packet.
        let mac = back_end.there("ip -o link show eth0 | sed 's/.*link.ether \\([0-9a-f:]*\\) .*/\\1/'");
        here(&format!("ip neigh replace {VIP6} lladdr {} dev near", mac.trim()));
        here(&format!("ping -6 -c 1 -W 5 {VIP6}"));
    });
}

#[test]
fn starting_twice_and_stopping_twice_is_starting_and_stopping() {
    in_a_network_of_its_own("starting_twice_and_stopping_twice_is_starting_and_stopping", || {
        let back_end = BackEnd::new();
        back_end.there("echo 2 >/proc/sys/net/ipv4/conf/all/arp_ignore");
        back_end.configure(&format!("addresses = [\"{VIP}\", \"{VIP6}\"]\n"));
        let before = (back_end.there("ip -o addr show dev lo"), back_end.arp_settings());
        assert_eq!(back_end.done(&["status"]).0, 3);
        assert_eq!(back_end.done(&["check"]).0, 1);
        assert_eq!(back_end.done(&["start"]).0, 0);
        assert_eq!(back_end.done(&["start"]), (0, "everything is in place already\n".to_owned()));
        assert_eq!(back_end.done(&["status"]).0, 0);
        assert_eq!(back_end.arp_settings(), "1 2 1 2\n");
        let labels = back_end.there(&format!("ip -o addr show dev lo label lo:0 to {VIP}/32"));
        assert_eq!(labels.lines().count(), 1, "one address with the label of old: {labels}");
        back_end.there(&format!("ip addr del {VIP6}/128 dev lo"));
        let (status, said) = back_end.done(&["check"]);
        assert_eq!((status, said.as_str()), (1, "fd00:60::200/128 is not on lo\n"));
        assert_eq!(back_end.done(&["stop"]).0, 0);
        assert_eq!((back_end.there("ip -o addr show dev lo"), back_end.arp_settings()), before);
        assert!(!back_end.remembers());
        assert_eq!(back_end.done(&["stop"]), (0, String::new()));
    });
}

/// `realserver run -d`, and the lines it logs.
struct Daemon {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Daemon {
    fn start(back_end: &BackEnd) -> Self {
        let mut process = back_end.realserver(&["run", "-d"]).stderr(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        Self { process, lines }
    }

    /// Waits for a line that holds `part`; the test's own limit is the runner's.
    fn says(&mut self, part: &str) {
        let mut heard = Vec::new();
        for line in &mut self.lines {
            heard.push(line.expect("text"));
            if heard.last().is_some_and(|line| line.contains(part)) {
                return;
            }
        }
        panic!("ended without saying {part:?}: {heard:#?}");
    }

    fn signal(&self, name: &str) {
        here(&format!("kill -{name} {}", self.process.id()));
    }

    fn ends(mut self) -> Option<i32> {
        self.process.wait().expect("it was started").code()
    }
}

#[test]
fn the_daemon_mends_what_others_change_and_leaves_it_in_place_when_it_ends() {
    in_a_network_of_its_own("the_daemon_mends_what_others_change_and_leaves_it_in_place_when_it_ends", || {
        let back_end = BackEnd::new();
        back_end.configure(&format!("addresses = [\"{VIP}\"]\ninterval = 1\n"));
        let mut daemon = Daemon::start(&back_end);
        daemon.says("put 192.168.60.200/32 on lo:0");
        back_end.there(&format!("ip addr del {VIP}/32 dev lo"));
        daemon.says("repaired: put 192.168.60.200/32 on lo:0");
        back_end.there("echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore");
        daemon.says("repaired: set net.ipv4.conf.all.arp_ignore to 1 (was 0)");
        back_end.there(&format!("ip addr add {VIP}/24 dev eth0"));
        daemon.says("192.168.60.200/24 is on eth0 too");
        assert_eq!(back_end.done(&["status"]).0, 1);
        back_end.there(&format!("ip addr del {VIP}/24 dev eth0"));
        daemon.says("no longer so: 192.168.60.200/24 is on eth0 too");
        assert_eq!(back_end.done(&["status", "--json"]).0, 0);
        assert!(back_end.done(&["run", "-d"]).1.contains("already running with pid"));

        assert_eq!(back_end.done(&["start", VIP]).0, 2, "the daemon has its own addresses");
        assert_eq!(back_end.done(&["stop"]).0, 0);
        daemon.says("took 192.168.60.200/32 off lo");
        assert_eq!((back_end.done(&["status"]).0, back_end.arp_settings().as_str()), (3, "0 0 0 0\n"));
        assert_eq!(back_end.done(&["start"]).0, 0);

        back_end.configure("addresses = [\"nowhere\"]\n");
        daemon.signal("HUP");
        daemon.says("\"nowhere\" is not an IPv4 or IPv6 address");
        back_end.configure("addresses = [\"192.168.60.201\"]\n");
        daemon.signal("HUP");
        daemon.says("took 192.168.60.200/32 off lo");
        daemon.says("put 192.168.60.201/32 on lo");
        daemon.signal("TERM");
        daemon.says("the addresses stay");
        assert_eq!(daemon.ends(), Some(0));
        assert_eq!(back_end.done(&["status"]).0, 0);
        assert_eq!(back_end.done(&["stop"]).0, 0);
        assert_eq!(back_end.arp_settings(), "0 0 0 0\n");
    });
}

#[test]
fn a_daemon_that_is_told_to_release_takes_everything_back_when_it_ends() {
    in_a_network_of_its_own("a_daemon_that_is_told_to_release_takes_everything_back_when_it_ends", || {
        let back_end = BackEnd::new();
        back_end.configure(&format!("addresses = [\"{VIP}\"]\nrelease-at-exit = true\n"));
        let (status, said) = back_end.done(&["run", "--background"]);
        assert_eq!((status, said.as_str()), (0, ""), "relative names are those of the place where it was started");
        assert_eq!(back_end.done(&["status"]).0, 0, "it is ready when the command returns");
        let (status, _) = back_end.done(&["run", "--background"]);
        assert_eq!(status, 1, "a second one does not start");
        back_end.stop_by_pid_file();
        assert_eq!((back_end.done(&["status"]).0, back_end.arp_settings().as_str()), (3, "0 0 0 0\n"));
    });
}
