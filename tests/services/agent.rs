//! socat with a file of words behind it, as many agents for HAProxy are: `agentport`.

use std::fs;

use lab::{Attempt, Result};
use lvs::control::ldirectord::RealState;

use crate::place::Place;

#[test]
fn an_agent_beside_the_check() -> Result<()> {
    let Some(place) = Place::new("agent", &["socat"]) else { return Ok(()) };
    let address = place.address();
    let words = place.write("words", "up ready 300%\n")?;
    let file = format!("OPEN:{},rdonly", words.display());
    // Of two addresses the second is read and the first written to.
    let agent = place.start(&["socat", "-U", &format!("TCP-LISTEN:9707,bind={address},fork,reuseaddr"), &file])?;
    let server = place.start(&["socat", &format!("TCP-LISTEN:7,bind={address},fork,reuseaddr"), "PIPE"])?;
    place.await_tcp(&agent, 9707)?;
    place.await_tcp(&server, 7)?;
    let says = |line: &str| {
        // In one step: who asks in between gets the words from before.
        let new = place.write("new", line)?;
        fs::rename(&new, &words).attempt(|| "put the agent's words in place".into())
    };
    let mut checks = place.checks();
    let lines = "checktype=connect\nagentport=9707\nagentinterval=1";
    let check = checks.add(7, lines);
    let without = checks.add(7, "checktype=connect\nagentport=9\nagentinterval=1");
    let watch = checks.start()?;
    watch.seen(check, RealState::Up, Some(3))?;
    // Nobody answers there, which is no failure.
    watch.seen(without, RealState::Up, Some(1))?;
    for (line, state, weight) in [
        ("100%\n", RealState::Up, Some(1)),
        ("drain\r\n", RealState::Drained, Some(0)),
        ("ready down # the disk is full", RealState::Down, None),
        ("up\n", RealState::Up, Some(1)),
        ("maint\nup ready\n", RealState::Maintenance, None),
    ] {
        says(line)?;
        watch.seen(check, state, weight)?;
    }
    // Its last words hold while it hangs, and its server's check goes on.
    agent.hang()?;
    watch.seen_saying(check, RealState::Maintenance, None, "cannot be asked: 500 Timeout Alarm")?;
    agent.go_on();
    says("ready 200%\n")?;
    watch.seen_saying(check, RealState::Up, Some(2), "ready 200%")?;
    drop(server);
    watch.seen(check, RealState::Down, None)?;
    watch.end(&[])
}
