//! heartbeatd beside Debian's heartbeat 3.0.6, each story both ways round: `tests/interop/run`.
//!
//! At the end of each the original's log must hold no complaint that another original would not have caused.

mod log;
mod lost;
mod names;
mod pair;
mod serial;
mod three;

use std::time::Duration;

use lab::{BEAT, LAN, Result, wait_for};
use pair::{Kind, NODES, Pair, SOON, Setup, VIPS, quiet};
use serial::{
    a_serial_line_that_loses_messages, serial_lines_only,
    the_network_cut_while_the_serial_line_goes_on_and_the_other_way_round,
};

/// Each story twice: the original as lvs1, and as lvs2.
macro_rules! both_ways_round {
    ($($story:ident),* $(,)?) => {
        mod original_is_lvs1 {
            use super::{Kind, lost::until_no_order_is_lost};
            const KINDS: [Kind; 2] = [Kind::Original, Kind::Ours];
            $(#[test] fn $story() -> lab::Result<()> { until_no_order_is_lost(KINDS, super::$story) })*
        }
        mod original_is_lvs2 {
            use super::{Kind, lost::until_no_order_is_lost};
            const KINDS: [Kind; 2] = [Kind::Ours, Kind::Original];
            $(#[test] fn $story() -> lab::Result<()> { until_no_order_is_lost(KINDS, super::$story) })*
        }
    };
}

both_ways_round! {
    started_together,
    started_apart_in_steady_state,
    standby_on_either_side,
    takeover_on_either_side,
    a_crash_of_lvs1_and_its_return,
    a_crash_of_lvs2_and_its_return,
    a_link_cut_and_healed,
    orderly_stops,
    auto_failback_off,
    auto_failback_legacy,
    checksums_only,
    md5,
    one_link_of_two,
    each_by_the_address_of_the_other,
    over_ipv6,
    lost_packets_are_asked_for_again,
    a_message_that_says_nothing_usable_is_not_asked_for_again,
    maintenance_of_ours,
    serial_lines_only,
    a_serial_line_that_loses_messages,
    the_network_cut_while_the_serial_line_goes_on_and_the_other_way_round,
    a_lost_ping_node_moves_everything_and_its_return_moves_it_back,
}

/// What a death is worth to the original, whoever dies.
const DEATH: [&str; 4] =
    ["is dead", "No STONITH device configured", "Shared disks are not protected", "Late heartbeat"];

fn started_together(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::new(kinds, &Setup::default())?;
    pair.start(0)?;
    pair.start(1)?;
    // The original waits 10 s for nothing (fault 7).
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&[])
}

fn started_apart_in_steady_state(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    pair.await_held(["local", "local"])?;
    // Long enough for acknowledgements, and for a history of 250 messages without them.
    quiet(Duration::from_secs(55));
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&DEATH)
}

fn standby_on_either_side(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    pair.standby(0, "all")?;
    pair.await_held(["none", "all"])?;
    pair.standby(1, "foreign")?;
    pair.await_held(["local", "local"])?;
    pair.standby(1, "all")?;
    pair.await_held(["all", "none"])?;
    pair.standby(0, "failback")?;
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&DEATH)
}

fn takeover_on_either_side(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    pair.takeover(0, "all")?;
    pair.await_held(["all", "none"])?;
    pair.takeover(1, "local")?;
    pair.await_held(["local", "local"])?;
    pair.takeover(1, "foreign")?;
    pair.await_held(["none", "all"])?;
    pair.takeover(0, "local")?;
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&DEATH)
}

fn a_crash_of_lvs1_and_its_return(kinds: [Kind; 2]) -> Result<()> {
    a_crash_and_return(kinds, 0)
}

fn a_crash_of_lvs2_and_its_return(kinds: [Kind; 2]) -> Result<()> {
    a_crash_and_return(kinds, 1)
}

fn a_crash_and_return(kinds: [Kind; 2], victim: usize) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    let other = 1 - victim;
    pair.crash(victim)?;
    pair.await_owners([Some(other), Some(other)], SOON)?;
    pair.repair(victim)?;
    pair.start(victim)?;
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&DEATH)
}

/// Nobody can know better while the link is cut. Healed, ours lets go and comes back as a new life before the original
/// can see the old one again, which therefore keeps what it has and gives the rest back.
fn a_link_cut_and_healed(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    pair.cluster.cut(NODES[0], BEAT)?;
    for at in [0, 1] {
        pair.await_everything(at)?;
    }
    pair.cluster.heal(NODES[0], BEAT)?;
    pair.await_held(["local", "local"])?;
    // An original that has seen our old life lets go of everything, when it is done with what it was taking.
    let heal = ["returning after partition", "Deadtime value may be too small", "Shutdown delayed until current"];
    let allowed = [&DEATH[..], &heal].concat();
    pair.finish(&allowed).map(drop)
}

fn orderly_stops(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    for at in [0, 1] {
        let other = 1 - at;
        pair.stop(at)?;
        pair.await_owners([Some(other), Some(other)], SOON)?;
        // The original forgets to give back what it is still taking when its peer returns.
        pair.await_everything(other)?;
        pair.start(at)?;
        pair.await_held(["local", "local"])?;
    }
    pair.finish_without_conflict(&DEATH)
}

/// The original cannot be told of it, nor be given a single group: ours takes nothing of it when it dies, and gives it
/// nothing back when it returns.
fn maintenance_of_ours(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    let Some(ours) = pair.ours() else {
        println!("    two originals know no maintenance");
        return Ok(());
    };
    let other = 1 - ours;
    let (status, why) = pair.lvsctl(ours, &["standby", "--group", &VIPS[ours].to_string()])?;
    assert!(status == 1 && why.contains("heartbeat 3.0.6, which knows only all, local and foreign"), "{status} {why}");
    assert_eq!(pair.lvsctl(ours, &["maintenance", "on"])?, (0, String::new()));
    pair.crash(other)?;
    quiet(Duration::from_secs(5));
    pair.await_owners([0, 1].map(|at| (at == ours).then_some(at)), SOON)?;
    pair.repair(other)?;
    pair.start(other)?;
    pair.await_held(["local", "local"])?;
    pair.await_stable()?;
    // What is asked for by hand is done.
    pair.takeover(ours, "all")?;
    let all = [0, 1].map(|at| if at == ours { "all" } else { "none" });
    pair.await_held(all)?;
    pair.crash(other)?;
    quiet(Duration::from_secs(5));
    pair.repair(other)?;
    pair.start(other)?;
    pair.await_held(all)?;
    quiet(Duration::from_secs(5));
    pair.await_held(all)?;
    assert_eq!(pair.lvsctl(ours, &["maintenance", "off"])?, (0, String::new()));
    pair.await_held(["local", "local"])?;
    pair.finish_without_conflict(&DEATH)
}

fn auto_failback_off(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup { auto_failback: "off", ..Setup::default() })?;
    pair.await_held(["none", "all"])?;
    pair.standby(1, "foreign")?;
    pair.await_held(["local", "local"])?;
    pair.crash(1)?;
    pair.await_owners([Some(0), Some(0)], SOON)?;
    pair.repair(1)?;
    pair.start(1)?;
    pair.await_held(["all", "none"])?;
    quiet(Duration::from_secs(3));
    pair.await_held(["all", "none"])?;
    pair.finish_without_conflict(&DEATH)
}

/// Its oldest protocol: whoever comes up asks for its own, and there is no standby.
fn auto_failback_legacy(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::new(kinds, &Setup { auto_failback: "legacy", ..Setup::default() })?;
    let home = [Some(0), Some(1)];
    pair.start(1)?;
    pair.await_owners([Some(1), Some(1)], SOON)?;
    pair.start(0)?;
    pair.await_owners(home, SOON)?;
    // The original goes on asking its scripts for a while.
    quiet(Duration::from_secs(2));
    for at in [0, 1] {
        let other = 1 - at;
        pair.crash(at)?;
        pair.await_owners([Some(other), Some(other)], SOON)?;
        pair.repair(at)?;
        pair.start(at)?;
        pair.await_owners(home, SOON)?;
        quiet(Duration::from_secs(2));
        pair.stop(at)?;
        pair.await_owners([Some(other), Some(other)], SOON)?;
        quiet(Duration::from_secs(2));
        pair.start(at)?;
        pair.await_owners(home, SOON)?;
        quiet(Duration::from_secs(2));
    }
    let deprecated = ["Deprecated 'legacy' auto_failback", "Please convert to", "See documentation for conversion"];
    pair.finish_without_conflict(&[&DEATH[..], &deprecated].concat())
}

fn checksums_only(kinds: [Kind; 2]) -> Result<()> {
    one_switch(kinds, Setup { authkeys: "auth 2\n2 crc\n", ..Setup::default() })
}

fn md5(kinds: [Kind; 2]) -> Result<()> {
    one_switch(kinds, Setup { authkeys: "auth 1\n1 md5 a-secret-of-the-lab\n", ..Setup::default() })
}

/// Each has its own, and then one has everything.
fn one_switch(kinds: [Kind; 2], setup: Setup) -> Result<()> {
    let pair = Pair::running(kinds, &setup)?;
    pair.await_held(["local", "local"])?;
    pair.standby(0, "local")?;
    pair.await_held(["none", "all"])?;
    pair.finish_without_conflict(&DEATH)
}

fn one_link_of_two(kinds: [Kind; 2]) -> Result<()> {
    let setup = Setup { media: "bcast eth1\nmcast eth0 225.0.0.1 694 1 0", ..Setup::default() };
    let pair = Pair::running(kinds, &setup)?;
    pair.cluster.cut(NODES[0], BEAT)?;
    quiet(Duration::from_secs(5));
    pair.await_held(["local", "local"])?;
    pair.cluster.heal(NODES[0], BEAT)?;
    quiet(Duration::from_secs(1));
    pair.await_held(["local", "local"])?;
    // Its own cable, not its peer, is what it complains of.
    let cable = ["bcast_write", "write failure on bcast", "Temporarily Suppressing", "cable unplugged"];
    pair.finish_without_conflict(&[&DEATH[..], &cable].concat())
}

fn each_by_the_address_of_the_other(kinds: [Kind; 2]) -> Result<()> {
    one_switch(kinds, Setup { media: "ucast eth1 10.60.0.130\nucast eth1 10.60.0.131", ..Setup::default() })
}

fn over_ipv6(kinds: [Kind; 2]) -> Result<()> {
    let media = "ucast6 eth1 fd00:60::130\nucast6 eth1 fd00:60::131\nmcast6 eth1 ff05::694 694 1 0";
    one_switch(kinds, Setup { media, ..Setup::default() })
}

fn lost_packets_are_asked_for_again(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    let lose = "add table inet loss\nadd chain inet loss in { type filter hook input priority 0; }\n\
                add rule inet loss in udp dport 694 numgen random mod 100 < 25 drop\n";
    for at in [0, 1] {
        pair.node(at).write("/run/lose", lose)?;
        pair.node(at).run(&["nft", "-f", "/run/lose"])?;
    }
    for _ in 0..3 {
        pair.standby(0, "local")?;
        pair.await_held(["none", "all"])?;
        pair.standby(1, "foreign")?;
        pair.await_held(["local", "local"])?;
    }
    for at in [0, 1] {
        pair.node(at).run(&["nft", "delete", "table", "inet", "loss"])?;
    }
    quiet(Duration::from_secs(2));
    for log in [0, 1].map(|at| pair.log(at)) {
        assert!(log.contains("lost packet(s)") && log.contains("No pkts missing from"), "nothing was lost:\n{log}");
    }
    pair.await_held(["local", "local"])?;
    // What is asked for twice comes twice; the second is dropped with a dump of its fields.
    // And whoever has heard of a switch only in part believes for a moment that nobody, or both, have a group: of two
    // originals one said "both" of foreign resources in 2 of 10 runs, and of "our resources" in 1 of another 10
    // (LAB_ORIGINALS=1). Who really has an address is watched.
    let lost = ["lost packet(s)", "message is dropped", "MSG", "No one owns", "Both machines own"];
    pair.finish_without_conflict(&[&DEATH[..], &lost].concat())
}

/// How fencing went, without saying how: a script of the original's may write it so.
fn a_message_that_says_nothing_usable_is_not_asked_for_again(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup::default())?;
    let Some(ours) = pair.ours() else { return pair.finish_without_conflict(&[]) };
    let write = "printf '>>>\\nt=stonith\\nnode=nobody\\n<<<\\n' >/var/lib/heartbeat/fifo";
    let before = pair.log(ours).len();
    pair.node(1 - ours).run(&["sh", "-c", write])?;
    wait_for("the message to be counted", SOON, || match pair.lvsctl(ours, &["status", "--cluster", "--json"]) {
        Ok((_, status)) if status.contains("field result is missing") => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    quiet(Duration::from_secs(2));
    let log = pair.log(ours).split_off(before);
    assert!(!log.contains("lost packet(s)"), "{log}");
    pair.finish_without_conflict(&DEATH)
}

fn a_lost_ping_node_moves_everything_and_its_return_moves_it_back(kinds: [Kind; 2]) -> Result<()> {
    let gateway = pair::GATEWAY;
    let ipfail = "/usr/libexec/heartbeat/ipfail";
    let more = format!("deadping 2\nping {gateway}\nrespawn hacluster {ipfail}\napiauth ipfail uid=hacluster\n");
    let pair = Pair::running(kinds, &Setup { more, ..Setup::default() })?;
    pair.await_held(["local", "local"])?;
    for at in [0, 1] {
        let program = pair.old_name(at, "cl_status")?;
        let state = || pair.node(at).try_run(&[&program, "nodestatus", gateway]);
        lab::wait_until("the gateway to answer", SOON, || state().is_ok_and(|(_, text)| text.trim() == "ping"))?;
    }
    // The original's clients have found each other by now.
    quiet(Duration::from_secs(3));
    for at in [0, 1] {
        pair.cluster.cut(NODES[at], LAN)?;
        pair.await_held(if at == 0 { ["none", "all"] } else { ["all", "none"] })?;
        pair.cluster.heal(NODES[at], LAN)?;
        pair.await_held(["local", "local"])?;
    }
    pair.finish_without_conflict(&[&DEATH[..], &["ipfail"]].concat())
}

#[test]
fn the_machines_reach_the_gateway() -> Result<()> {
    let pair = Pair::new([Kind::Original, Kind::Ours], &Setup::default())?;
    let port = pair.node(0).machine().interface(LAN);
    assert_eq!(port.as_deref(), Some("eth0"));
    pair.node(0).run(&["ping", "-c", "1", "-W", "5", pair::GATEWAY]).map(drop)
}
