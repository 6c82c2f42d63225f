//! The lab itself: what other stories rely on.

use lab::capture::Capture;
use lab::{Cluster, LAN, OwnerWatch, Plan, Probe, Result, VIP, Way, clock, probe, syslog, wait_until, web};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(20);

fn rs1() -> SocketAddr {
    SocketAddr::from(([192, 168, 60, 132], 80))
}

/// What realserver does, by hand: these stories try the lab and nothing else.
fn hold_vip_quietly(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name);
    for (key, value) in [("arp_ignore", 1), ("arp_announce", 2)] {
        node.run(&["sysctl", "-q", "-w", &format!("net.ipv4.conf.all.{key}={value}")])?;
    }
    node.ip(&format!("address add {VIP}/32 dev lo\n"))
}

#[test]
fn two_web_servers_behind_ipvs_answer_in_turn() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let _first = web::serve(cluster.node("rs1"), "rs1")?;
    let _second = web::serve(cluster.node("rs2"), "rs2")?;
    hold_vip_quietly(&cluster, "rs1")?;
    hold_vip_quietly(&cluster, "rs2")?;
    let director = cluster.node("lvs1");
    director.ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    let service = format!("{VIP}:80");
    director.run(&["ipvsadm", "-A", "-t", &service, "-s", "rr"])?;
    for real in ["192.168.60.132", "192.168.60.144"] {
        director.run(&["ipvsadm", "-a", "-t", &service, "-r", real, "-g"])?;
    }

    let probe = Probe::start(cluster.node("client"), &probe::Spec::new((VIP, 80).into()))?;
    wait_until("a hundred requests", SOON, || probe.records().len() >= 100)?;
    let report = probe.stop()?;
    println!("    {report}");
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.answers["rs1"].abs_diff(report.answers["rs2"]) <= 1, "{report}");
    assert_eq!(cluster.owners(&["lvs1", "lvs2"], VIP), ["lvs1"]);
    Ok(())
}

#[test]
fn an_outage_lasts_as_long_as_the_cable_was_cut() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let _server = web::serve(cluster.node("rs1"), "rs1")?;
    let probe = Probe::start(cluster.node("client"), &probe::Spec::new(rs1()).every(EVERY))?;
    probe.await_answer(SOON)?;

    let cut = cluster.cut("rs1", LAN)?;
    let cut_done = clock::now();
    sleep(Duration::from_millis(800));
    let healing = clock::now();
    let healed = cluster.heal("rs1", LAN)?;
    probe.await_answer(SOON)?;
    let report = probe.stop()?;
    println!(
        "    {report}; the cable was cut for {} to {} ms",
        (healing - cut_done).as_millis(),
        (healed - cut).as_millis()
    );

    assert_eq!(report.outages.len(), 1, "{report}");
    let outage = report.longest_outage();
    // A request that was under way when the cable was cut counts from its start, and the next after healing may
    // be as late as the probe was at its worst.
    assert!(outage + report.blind >= healing - cut_done, "too short: {report}");
    assert!(outage <= healed - cut + report.blind + report.slowest, "too long: {report}");
    Ok(())
}

#[test]
fn a_bad_cable_delays_and_a_dead_direction_loses() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let _server = web::serve(cluster.node("rs1"), "rs1")?;
    let probe = Probe::start(cluster.node("client"), &probe::Spec::new(rs1()).timeout(Duration::from_secs(2)))?;
    probe.await_answer(SOON)?;
    for way in [Way::From, Way::To] {
        cluster.degrade("rs1", LAN, way, "delay 150ms")?;
    }
    let bad = clock::now();
    probe.await_answer(SOON)?;
    let delayed = probe.records().into_iter().rfind(|record| record.at >= bad).map(|record| record.took);
    // Three way handshake, question, answer: two round trips at least, each twice 150 ms.
    assert!(delayed >= Some(Duration::from_millis(600)), "{delayed:?}");
    cluster.clear("rs1", LAN)?;

    for way in [Way::From, Way::To] {
        cluster.drop_one_way("rs1", LAN, way)?;
        let dropped = clock::now();
        let lost = |record: &probe::Record| {
            record.at > dropped && record.outcome == probe::Outcome::Failure(probe::Failure::Timeout)
        };
        wait_until("a lost request", SOON, || probe.records().iter().any(lost))?;
        cluster.clear("rs1", LAN)?;
        probe.await_answer(SOON)?;
    }
    Ok(())
}

#[test]
fn each_machine_has_its_own_system_log() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let (lvs1, lvs2) = (cluster.node("lvs1"), cluster.node("lvs2"));
    let _logs = [syslog::start(lvs1)?, syslog::start(lvs2)?];
    lvs1.run(&["logger", "-t", "heartbeatd", "the first machine speaks"])?;
    lvs2.run(&["logger", "-t", "heartbeatd", "the second machine speaks"])?;
    let line = lvs1.await_line("/var/log/all.log", "the first machine speaks", SOON)?;
    assert!(line.contains(" lvs1 heartbeatd: "), "{line}");
    // By the rules that the repository ships.
    lvs1.await_line("/var/log/lvs/heartbeatd.log", "the first machine speaks", SOON)?;
    lvs2.await_line("/var/log/all.log", "the second machine speaks", SOON)?;
    assert!(!lvs1.read("/var/log/all.log")?.contains("second"));
    Ok(())
}

#[test]
fn what_was_on_the_wire_can_be_counted() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let _server = web::serve(cluster.node("rs1"), "rs1")?;
    let capture = Capture::start(cluster.switch(), "rs1-lan", "tcp port 80 or arp")?;
    let from = clock::now();
    let probe = Probe::start(cluster.node("client"), &probe::Spec::new(rs1()))?;
    wait_until("twenty requests", SOON, || probe.records().len() >= 20)?;
    let report = probe.stop()?;
    let captured = capture.stop()?;
    let opened = captured.packets("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn")?;
    assert_eq!(opened.len(), report.requests, "{report}");
    assert!(captured.count("arp")? >= 1, "the client had to ask for rs1's hardware address");
    // tcpdump's clock is the time of day, which the kernel may be slewing.
    let slack = Duration::from_millis(50);
    assert!(opened.iter().all(|packet| packet.at + slack >= from && packet.at <= clock::now() + slack), "{opened:?}");
    Ok(())
}

#[test]
fn a_machine_without_power_is_gone_and_comes_back_with_its_disk() -> Result<()> {
    let cluster = Cluster::new(Plan::direct_routing().with_heartbeat_network())?;
    let lvs1 = cluster.node("lvs1");
    assert_eq!(lvs1.run(&["uname", "-n"])?, "lvs1\n");
    lvs1.write_with_mode("/etc/ha.d/authkeys", "auth 1\n", 0o600)?;
    lvs1.write("/run/old.pid", "1\n")?;
    lvs1.ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    let sleeper = lvs1.start("sleep", &["sleep", "1000"])?;
    let watch = OwnerWatch::start(&cluster, &["lvs1", "lvs2"], VIP);
    wait_until("the address to be held", SOON, || cluster.owners(&["lvs1", "lvs2"], VIP) == ["lvs1"])?;

    cluster.power_off("lvs1")?;
    assert_eq!(sleeper.wait(SOON)?, 128 + 9);
    assert!(lvs1.run(&["true"]).is_err());
    wait_until("nobody to hold it", SOON, || watch.seen().holdings.last().is_some_and(|last| last.owners.is_empty()))?;
    cluster.node("lvs2").ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    cluster.power_on("lvs1")?;
    assert_eq!(lvs1.read("/etc/ha.d/authkeys")?, "auth 1\n");
    assert_eq!(lvs1.read("/run/old.pid")?, "");
    let seen = watch.stop();
    println!("    {seen:?}");
    assert_eq!((seen.moves(), seen.longest_with_several()), (1, Duration::ZERO));
    assert!(seen.longest_without() > Duration::ZERO);

    let _server = web::serve(lvs1, "lvs1")?;
    for address in ["192.168.60.130:80", "[fd00:60::130]:80"] {
        let target = address.parse().expect("an address");
        let probe = Probe::start(cluster.node("client"), &probe::Spec::new(target))?;
        assert_eq!(probe.await_answer(SOON)?, "lvs1");
    }
    let beat = Probe::start(cluster.node("lvs2"), &probe::Spec::new("10.60.0.130:80".parse().expect("an address")))?;
    assert_eq!(beat.await_answer(SOON)?, "lvs1");
    Ok(())
}

#[test]
fn two_owners_at_once_are_noticed() -> Result<()> {
    let cluster = Cluster::direct_routing()?;
    let directors = ["lvs1", "lvs2"];
    cluster.node("lvs1").ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    let watch = OwnerWatch::start(&cluster, &directors, VIP);
    cluster.node("lvs2").ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    let (from, overlap) = (clock::now(), Duration::from_millis(200));
    sleep(overlap);
    let to = clock::now();
    cluster.node("lvs1").ip(&format!("address del {VIP}/32 dev eth0\n"))?;
    let seen = watch.stop();
    assert!(seen.longest_with_several() + seen.blind * 2 >= to - from, "{seen:?}");
    assert_eq!((seen.moves(), seen.longest_without()), (1, Duration::ZERO), "{seen:?}");
    Ok(())
}

/// Everything of ours that a story could leave behind.
fn traces() -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>, String) {
    let names = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(directory).expect("a directory that can be read");
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    };
    let processes = names("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect();
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    (processes, names("/sys/class/net"), names("/tmp"), mounts)
}

#[test]
fn nothing_is_left_of_a_story_that_fails() -> Result<()> {
    let before = traces();
    let mut orphan = None;
    let story = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        let cluster = Cluster::direct_routing()?;
        let _server = web::serve(cluster.node("rs1"), "rs1")?;
        let _probe = Probe::start(cluster.node("client"), &probe::Spec::new(rs1()))?;
        // As a daemon does it: the parent ends, the child is nobody's.
        cluster.node("lvs1").run(&["sh", "-c", "setsid sleep 1000 & exit 0"])?;
        wait_until("the orphan", SOON, || {
            cluster.node("lvs1").processes("sleep").is_ok_and(|found| !found.is_empty())
        })?;
        orphan = cluster.node("lvs1").processes("sleep")?.pop();
        panic!("this is how a story fails");
    }));
    let text = story.expect_err("the story panics").downcast::<&str>().map(|text| *text).unwrap_or_default();
    assert_eq!(text, "this is how a story fails");
    let orphan = orphan.expect("the orphan was found").as_raw_nonzero();
    assert!(!Path::new(&format!("/proc/{orphan}")).exists());
    // The kernel takes network interfaces away after the processes that used them.
    wait_until("everything to be gone", SOON, || traces() == before)?;
    Ok(())
}
