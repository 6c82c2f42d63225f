//! Orders to drain and files in `maintenancedir`, on a server that works throughout.

use std::fs;

use lab::{Attempt, Result};
use lvs::control::ldirectord::{RealState, Request};

use crate::place::Place;

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
