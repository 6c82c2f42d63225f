//! Heartbeats over serial lines.

use std::time::Duration;

use lab::{BEAT, Result};

use crate::DEATH;
use crate::pair::{Kind, NODES, Pair, SOON, Setup, TTY, quiet};

const LINE: &str = "baud 115200\nserial /etc/ha.d/ttyS0";
const BOTH: &str = "bcast eth1\nbaud 115200\nserial /etc/ha.d/ttyS0";

fn line_only() -> Setup {
    Setup { media: LINE, serial: true, ..Setup::default() }
}

/// Whoever dies, and whoever gives or takes.
pub fn serial_lines_only(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &line_only())?;
    pair.await_held(["local", "local"])?;
    pair.await_link(TTY, "up")?;
    // Long enough for acknowledgements.
    quiet(Duration::from_secs(10));
    pair.standby(0, "local")?;
    pair.await_held(["none", "all"])?;
    pair.takeover(0, "local")?;
    pair.await_held(["local", "local"])?;
    for victim in [0, 1] {
        let other = 1 - victim;
        pair.crash(victim)?;
        pair.await_owners([Some(other), Some(other)], SOON)?;
        pair.await_everything(other)?;
        pair.repair(victim)?;
        pair.start(victim)?;
        pair.await_held(["local", "local"])?;
    }
    pair.await_link(TTY, "up")?;
    pair.stop(1)?;
    pair.await_owners([Some(0), Some(0)], SOON)?;
    pair.await_everything(0)?;
    pair.finish_without_conflict(&DEATH)
}

pub fn a_serial_line_that_loses_messages(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &line_only())?;
    let Some(cable) = &pair.serial else { panic!("there is a cable") };
    cable.lose(20);
    for _ in 0..3 {
        pair.standby(0, "local")?;
        pair.await_held(["none", "all"])?;
        pair.standby(1, "foreign")?;
        pair.await_held(["local", "local"])?;
    }
    cable.lose(0);
    quiet(Duration::from_secs(2));
    for log in [0, 1].map(|at| pair.log(at)) {
        assert!(log.contains("lost packet(s)") && log.contains("No pkts missing from"), "nothing was lost:\n{log}");
    }
    pair.await_held(["local", "local"])?;
    // As over the network: see `lost_packets_are_asked_for_again`.
    let lost = ["lost packet(s)", "message is dropped", "MSG", "No one owns", "Both machines own"];
    pair.finish_without_conflict(&[&DEATH[..], &lost].concat())
}

/// Nothing moves while one link is left, and both say which one is gone.
pub fn the_network_cut_while_the_serial_line_goes_on_and_the_other_way_round(kinds: [Kind; 2]) -> Result<()> {
    let pair = Pair::running(kinds, &Setup { media: BOTH, ..line_only() })?;
    let Some(cable) = &pair.serial else { panic!("there is a cable") };
    pair.await_link("eth1", "up")?;
    pair.await_link(TTY, "up")?;
    let deaths = || [0, 1].map(|at| pair.log(at).matches("is dead").count());
    // The first to start has given up the other.
    let before = deaths();
    let told = |link: &str, state: &str, times: usize| {
        for at in [0, 1] {
            let line = format!("Link {}:{link} {state}.", NODES[1 - at]);
            let log = pair.log(at);
            assert_eq!(log.matches(&line).count(), times, "{line:?} at {}:\n{log}", NODES[at]);
        }
    };
    pair.cluster.cut(NODES[0], BEAT)?;
    pair.await_link("eth1", "dead")?;
    pair.await_link(TTY, "up")?;
    quiet(Duration::from_secs(3));
    pair.await_held(["local", "local"])?;
    pair.cluster.heal(NODES[0], BEAT)?;
    pair.await_link("eth1", "up")?;
    told("eth1", "dead", 1);
    told(TTY, "dead", 0);

    cable.cut(true);
    pair.await_link(TTY, "dead")?;
    pair.await_link("eth1", "up")?;
    quiet(Duration::from_secs(3));
    pair.await_held(["local", "local"])?;
    cable.cut(false);
    pair.await_link(TTY, "up")?;
    told("eth1", "dead", 1);
    told(TTY, "dead", 1);
    assert_eq!(deaths(), before);
    // Its own cable, not its peer, is what it complains of; and a message that overtakes another on the other link is a
    // loss to it.
    let cable =
        ["bcast_write", "write failure on bcast", "Temporarily Suppressing", "cable unplugged", "lost packet(s)"];
    pair.finish_without_conflict(&[&DEATH[..], &cable].concat())
}

#[test]
fn two_heartbeatd_over_a_serial_line_only() -> Result<()> {
    serial_lines_only([Kind::Ours, Kind::Ours])
}

#[test]
fn two_heartbeatd_over_a_serial_line_that_loses_messages() -> Result<()> {
    let kinds = [Kind::Ours, Kind::Ours];
    a_serial_line_that_loses_messages(kinds)
}

#[test]
fn two_heartbeatd_with_one_link_of_the_network_and_one_serial_line() -> Result<()> {
    the_network_cut_while_the_serial_line_goes_on_and_the_other_way_round([Kind::Ours, Kind::Ours])
}
