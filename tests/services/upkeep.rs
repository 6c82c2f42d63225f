//! Orders to drain, files in `maintenancedir`, restarts: on servers that work throughout.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::{Attempt, Result};
use lvs::control::ldirectord::{RealState, Request};

use crate::commands::script;
use crate::place::Place;
use crate::watch::{Check, Watch};

#[test]
fn orders_to_drain_and_maintenance_files_agree() -> Result<()> {
    let Some(place) = Place::new("upkeep", &["socat"]) else { return Ok(()) };
    let server = place.start(&["socat", &format!("TCP-LISTEN:7,bind={},fork,reuseaddr", place.address()), "PIPE"])?;
    place.await_tcp(&server, 7)?;
    let files = place.directory_of("maintenance", "root:root", 0o755)?;
    let file = files.join(place.address().to_string());
    let mut checks = place.checks();
    checks.globally(&format!("maintenancedir={}", files.display()));
    let check = checks.add(7, "checktype=connect");
    let watch = checks.start()?;
    let (real, service) = (place.at(7).to_string(), None);
    let drain = || watch.order(&Request::Drain { real: real.clone(), service: service.clone() });
    let undrain = || watch.order(&Request::Undrain { real: real.clone(), service: service.clone() });
    let post = || fs::write(&file, "").attempt(|| "put a server into maintenance".into());
    let unpost = || fs::remove_file(&file).attempt(|| "take a server out of maintenance".into());

    watch.seen(check, RealState::Up, Some(1))?;
    drain()?;
    watch.seen(check, RealState::Drained, Some(0))?;
    // The file is the stronger, as a failed check is.
    post()?;
    watch.seen(check, RealState::Maintenance, None)?;
    undrain()?;
    unpost()?;
    watch.seen(check, RealState::Up, Some(1))?;
    // Each holds until it is taken back, in whatever order.
    post()?;
    watch.seen(check, RealState::Maintenance, None)?;
    drain()?;
    unpost()?;
    watch.seen(check, RealState::Drained, None)?;
    undrain()?;
    watch.seen(check, RealState::Up, Some(1))?;
    watch.end(&[])
}

/// Every weight that these servers have while something happens.
fn weights_during(
    watch: &mut Watch<'_>,
    checks: &[Check],
    happens: impl FnOnce(&mut Watch<'_>) -> Result<()>,
) -> Result<BTreeSet<Vec<Option<u32>>>> {
    let over = AtomicBool::new(false);
    let look = watch.onlooker(checks);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                seen.insert(look());
                thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        let result = happens(watch);
        over.store(true, Ordering::Relaxed);
        let seen = looking.join().expect("looking does not panic");
        result.map(|()| seen)
    })
}

#[test]
fn orders_and_weights_outlive_a_restart_and_a_daemon_that_is_killed() -> Result<()> {
    let Some(place) = Place::new("outliving", &["socat"]) else { return Ok(()) };
    let listen = |port| TcpListener::bind(place.at(port)).attempt(|| format!("listen at port {port}"));
    let _servers = (listen(81)?, listen(82)?, listen(83)?);
    // Long enough to be seen: until its end nobody has said a weight.
    let slow = script(&place, "slow-check", "sleep 0.7\necho weight 7\n")?;
    let words = place.write("words", "500% ready\n")?;
    let listens = format!("TCP-LISTEN:9707,bind={},fork,reuseaddr", place.address());
    let agent = place.start(&["socat", "-U", &listens, &format!("OPEN:{},rdonly", words.display())])?;
    place.await_tcp(&agent, 9707)?;
    let mut checks = place.checks();
    let external = checks.add(81, &format!("service=none\nchecktype=external\ncheckcommand={}", slow.display()));
    let drained = checks.add(82, "service=none\nchecktype=connect");
    let asked = checks.add(83, "service=none\nchecktype=connect\nagentport=9707\nagentinterval=1");
    let all = [external, drained, asked];
    let mut watch = checks.start()?;
    watch.seen(external, RealState::Up, Some(7))?;
    watch.up(drained)?;
    watch.seen(asked, RealState::Up, Some(5))?;
    watch.order(&Request::Drain { real: place.at(82).to_string(), service: None })?;
    watch.seen(drained, RealState::Drained, Some(0))?;
    // The agent is silent from now on: its last word holds.
    drop(agent);
    for kill in [false, true] {
        let seen = weights_during(&mut watch, &all, |watch| {
            if kill {
                watch.kill_and_start()?
            } else {
                watch.restart()?
            }
            watch.checked(external)?;
            watch.checked(drained)?;
            watch.seen_saying(asked, RealState::Up, Some(5), "cannot be asked")
        })?;
        assert_eq!(seen, BTreeSet::from([vec![Some(7), Some(0), Some(5)]]));
        watch.seen(drained, RealState::Drained, Some(0))?;
    }
    watch.order(&Request::Undrain { real: place.at(82).to_string(), service: None })?;
    watch.up(drained)?;
    watch.end(&[])
}
