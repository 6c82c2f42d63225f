//! Addresses in every form that haresources knows, and what becomes of them and of scripts when their owner is killed.

use super::{DIRECTORS, Pair, ROOMY, SOON};
use lab::{Node, Result, VIP, wait_until};
use rustix::process::Signal;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

/// Whether a packet comes there and an answer back: nobody listens on that port.
fn reaches(node: &Node, ip: &str) -> Result<bool> {
    let ip: IpAddr = ip.parse().expect("an address");
    let any: IpAddr = if ip.is_ipv4() { [0, 0, 0, 0].into() } else { Ipv6Addr::UNSPECIFIED.into() };
    node.in_network(|| {
        let asked = || -> std::io::Result<usize> {
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.set_read_timeout(Some(Duration::from_millis(500)))?;
            socket.connect((ip, 9))?;
            socket.send(b"?")?;
            socket.recv(&mut [0])
        };
        asked().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
}

fn hex(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Whether the client believes that the address is there.
fn is_at(pair: &Pair, ip: &str, mac: [u8; 6]) -> bool {
    let neighbours = pair.cluster.node("client").run(&["ip", "neigh", "show", ip, "dev", "eth0"]);
    neighbours.is_ok_and(|neighbours| neighbours.contains(&hex(mac)))
}

#[test]
fn addresses_of_every_form_are_reached_on_the_other_node_and_their_neighbours_told() -> Result<()> {
    let haresources = format!(
        "lvs1 {VIP}/32/eth0:web fd00:60::200/64/eth0 fd00:60::201/128/eth0 \
         IPaddr2::192.168.60.202/255.255.255.0/eth0/192.168.60.127 192.168.60.203 IPsrcaddr::192.168.60.203\n"
    );
    let settings = "[heartbeatd.announce.all]\ncount = 2\ninterval = 0.1\nrefresh = 1\n";
    let pair = Pair::prepared("heartbeatd", ROOMY, &haresources, |node| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ha.d/resource.d/IPsrcaddr");
        let script = std::fs::read_to_string(script).expect("the script");
        node.write_with_mode("/etc/ha.d/resource.d/IPsrcaddr", &script, 0o755)?;
        node.write("/etc/ha.d/lvs.toml", settings)
    })?;
    let client = pair.cluster.node("client");
    let all = ["192.168.60.200", "192.168.60.202", "192.168.60.203", "fd00:60::200", "fd00:60::201"];
    for ip in all {
        wait_until(&format!("{ip} to answer"), SOON, || reaches(client, ip).unwrap_or_default())?;
        assert!(is_at(&pair, ip, pair.macs[0]), "{ip}");
    }
    pair.daemons[0].signal(Signal::KILL);
    pair.await_owner(1)?;
    // By what it was told alone: it sends nothing.
    for ip in all {
        wait_until(&format!("the client to know of {ip}"), SOON, || is_at(&pair, ip, pair.macs[1]))
            .inspect_err(|_| pair.print_logs())?;
    }
    for ip in all {
        assert!(reaches(client, ip)?, "{ip}");
    }
    let taker = pair.cluster.node("lvs2");
    let shown = taker.run(&["ip", "address", "show", "dev", "eth0"])?;
    let line = |ip: &str| shown.lines().find(|line| line.contains(ip)).unwrap_or_default().to_owned() + "\n";
    assert!(line(" 192.168.60.200/32 ").contains("eth0:web\n"), "{shown}");
    assert!(line(" 192.168.60.202/24 ").contains(" brd 192.168.60.127 "), "{shown}");
    assert!(line(" 192.168.60.203/24 ").contains(" brd 192.168.60.255 "), "{shown}");
    for ip in [" fd00:60::200/64 ", " fd00:60::201/128 "] {
        assert!(line(ip).contains(" nodad") && !line(ip).contains("tentative"), "{shown}");
    }
    // The script runs when all addresses are on.
    wait_until("packets to leave from the address of IPsrcaddr", SOON, || {
        taker.run(&["ip", "route", "get", "192.168.60.10"]).is_ok_and(|route| route.contains(" src 192.168.60.203 "))
    })
    .inspect_err(|_| pair.print_logs())?;
    // Whoever was told something else is told again.
    sleep(Duration::from_secs(1));
    for ip in all {
        let wrong = "lladdr 02:00:00:00:00:99 nud stale";
        client.ip(&format!("neigh replace {ip} dev eth0 {wrong}\n"))?;
        assert!(!is_at(&pair, ip, pair.macs[1]), "{ip}");
    }
    for ip in all {
        wait_until(&format!("{ip} to be announced again"), SOON, || is_at(&pair, ip, pair.macs[1]))?;
    }
    Ok(())
}

#[test]
fn another_machine_with_the_address_is_told_by_its_hardware_address() -> Result<()> {
    let pair = Pair::with("heartbeatd", ROOMY, &format!("lvs1 {VIP}/24/eth0 fd00:60::200/64/eth0\n"))?;
    let client = pair.cluster.node("client");
    client.ip("address add 192.168.60.200/32 dev eth0\naddress add fd00:60::200/128 dev eth0 nodad\n")?;
    pair.daemons[0].signal(Signal::KILL);
    pair.await_owner(1)?;
    let stranger = hex(lab::mac(client)?);
    for ip in ["192.168.60.200", "fd00:60::200"] {
        let told = format!("{ip} is on here, and {stranger} answers for it too");
        wait_until(&told, SOON, || pair.log(1).contains(&told)).inspect_err(|_| pair.print_logs())?;
    }
    let found = &pair.status(1)?["groups"][0]["duplicates"];
    let expected = serde_json::json!([
        {"address": "192.168.60.200", "also_at": [stranger]},
        {"address": "fd00:60::200", "also_at": [stranger]},
    ]);
    assert_eq!(*found, expected);
    // It keeps what it has: who is right is for the administrator to say.
    assert_eq!(pair.cluster.owners(&DIRECTORS, VIP), ["lvs2"]);
    client.ip("address del 192.168.60.200/32 dev eth0\naddress del fd00:60::200/128 dev eth0\n")?;
    for ip in ["192.168.60.200", "fd00:60::200"] {
        let told = format!("nobody else answers for {ip} any more");
        wait_until(&told, SOON, || pair.log(1).contains(&told)).inspect_err(|_| pair.print_logs())?;
    }
    assert!(pair.status(1)?["groups"][0]["duplicates"].is_null());
    Ok(())
}

#[test]
fn what_scripts_have_started_is_stopped_at_the_start_after_a_kill() -> Result<()> {
    const SCRIPT: &str = "#!/bin/sh\ncase $2 in\nstatus) [ -e /run/$1 ] && echo running || echo stopped ;;\n\
                          start) echo $* >>/run/calls; : >/run/$1 ;;\nstop) echo $* >>/run/calls; rm -f /run/$1 ;;\nesac\n";
    let haresources = format!("lvs1 {VIP}/24/eth0 Noted::a Noted::b\n");
    let mut pair = Pair::prepared("heartbeatd", ROOMY, &haresources, |node| {
        node.write_with_mode("/etc/ha.d/resource.d/Noted", SCRIPT, 0o755)
    })?;
    let calls = |pair: &Pair| pair.cluster.node("lvs1").read("/run/calls").unwrap_or_default().replace('\n', ", ");
    wait_until("the scripts to have run", SOON, || calls(&pair) == "a start, b start, ")?;
    pair.daemons[0].signal(Signal::KILL);
    pair.await_owner(1)?;
    // Left running on both, until the next start.
    assert_eq!(calls(&pair), "a start, b start, ");
    pair.daemons[0] = pair.cluster.node("lvs1").start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?;
    // It goes home afterwards.
    let expected = "a start, b start, b stop, a stop, a start, b start, ";
    wait_until("the scripts to have run again", SOON, || calls(&pair) == expected)
        .inspect_err(|_| pair.print_logs())?;
    pair.await_owner(0)?;
    let log = pair.log(0);
    assert!(log.contains("Noted::b was started by an earlier life that was killed: stopping it"), "{log}");
    // An orderly stop leaves nothing to do for the next start.
    assert_eq!(pair.daemons[0].stop(SOON)?, 0);
    pair.daemons[0] = pair.cluster.node("lvs1").start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?;
    wait_until("lvs1 to take part", SOON, || pair.status(0).is_ok_and(|status| status["stable"] == true))?;
    assert!(!pair.log(0).contains("was started by an earlier life"), "{}", pair.log(0));
    Ok(())
}
