//! Commands of the file, run by the program itself: `callback`, `execute`, `notify`, external checks that hang.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Attempt, Result, keeper, wait_for};
use lvs::ipvs::ServiceKey;
use serde_json::Value;

use crate::place::Place;

const SOON: Duration = Duration::from_secs(30);

/// A program of this text.
pub fn script(place: &Place, name: &str, text: &str) -> Result<PathBuf> {
    let path = place.write(name, &format!("#!/bin/sh\n{text}"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755)).attempt(|| format!("let {name} be run"))?;
    Ok(path)
}

/// The lines of a file that is being written.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn await_line(path: &Path, is_it: impl Fn(&str) -> bool) -> Result<String> {
    wait_for(&format!("a line in {}", path.display()), SOON, || {
        let lines = lines(path);
        lines.iter().find(|line| is_it(line)).cloned().ok_or(format!("{lines:?}"))
    })
}

#[test]
fn callback_execute_and_notify() -> Result<()> {
    let Some(place) = Place::new("commands", &["sh"]) else { return Ok(()) };
    let out = place.directory_of("out", "root", 0o777)?;
    let file = |name: &str| out.join(name);
    let callback = script(&place, "callback", &format!("echo \"$@\" >>{}\n", file("called").display()))?;
    let notify = script(&place, "notify", &format!("cat >>{}\n", file("told").display()))?;
    let at = place.at(81);
    let child_service = format!("{}:4500", place.virtual_address());
    let child = place.write(
        "commands-child.cf",
        &format!("checkinterval=1\nlogfile=\"{}\"\nvirtual={child_service}\n\treal={at} masq\n\tchecktype=on\n\tprotocol=tcp\n",
            place.directory().join("child.log").display()),
    )?;
    let mut server = Some(TcpListener::bind(at).attempt(|| format!("listen at {at}"))?);
    let mut checks = place.checks();
    checks.globally(&format!("callback=\"{}\"", callback.display()));
    checks.globally(&format!("execute={}", child.display()));
    let check = checks.add(81, &format!("service=none\nchecktype=connect\nnotify={}", notify.display()));
    let watch = checks.start()?;
    watch.up(check)?;

    // The other instance has its service in the table.
    let has_child = || {
        let is_it = |key: &ServiceKey| matches!(key, ServiceKey::Address { at, .. } if at.to_string() == child_service);
        keeper::table().keys().any(is_it)
    };
    wait_for("the other instance", SOON, || if has_child() { Ok(()) } else { Err(format!("{:?}", keeper::table())) })?;

    // One JSON object a change.
    drop(server.take());
    watch.down(check, "(Connection refused)")?;
    let down = await_line(&file("told"), |line| line.contains("\"real-down\""))?;
    let down: Value = serde_json::from_str(&down).unwrap_or_else(|error| panic!("{error}: {down}"));
    assert_eq!(down["real"].as_str(), Some(at.to_string().as_str()), "{down}");
    assert!(down["why"].as_str().is_some_and(|why| why.contains("Connection refused")), "{down}");
    assert!(down["service"].is_string() && down["node"].is_string() && down["time"].is_u64(), "{down}");
    let _server = TcpListener::bind(at).attempt(|| format!("listen at {at}"))?;
    watch.up(check)?;
    await_line(&file("told"), |line| line.contains("\"real-up\""))?;
    for line in lines(&file("told")) {
        assert!(serde_json::from_str::<Value>(&line).is_ok_and(|change| change["notice"].is_string()), "{line}");
    }

    // The file changes on disk: its path is what the callback is told, without the program's environment.
    assert_eq!(lines(&file("called")), [""; 0]);
    let path = place.directory().join("commands.cf");
    let mut config = OpenOptions::new().append(true).open(&path).attempt(|| "open the file".into())?;
    config.write_all(b"\n# changed\n").attempt(|| "change the file".into())?;
    await_line(&file("called"), |line| line == path.to_string_lossy())?;

    watch.end(&[])?;
    wait_for("the other instance to stop, too", SOON, || if has_child() { Err("it is in the table") } else { Ok(()) })
}

#[test]
fn an_external_check_that_hangs_is_killed_with_all_it_started() -> Result<()> {
    let Some(place) = Place::new("hanging", &["sh"]) else { return Ok(()) };
    let out = place.directory_of("out", "root", 0o777)?;
    let pids = out.join("pids");
    // Neither it nor its child minds being asked to end.
    let text = format!("trap '' TERM\nsleep 1000 &\necho $$ $! >>{}\nwait\nwait\n", pids.display());
    let hanging = script(&place, "hanging-check", &text)?;
    let mut checks = place.checks();
    let check = checks.add(81, &format!("service=none\nchecktype=external\ncheckcommand={}", hanging.display()));
    let watch = checks.start()?;
    watch.down(check, "did not end in time")?;
    let runs = wait_for("three runs", SOON, || {
        let runs = lines(&pids);
        if runs.len() >= 3 { Ok(runs) } else { Err(format!("{runs:?}")) }
    })?;
    let alive = |runs: &[String]| -> Vec<String> {
        let all = runs.iter().flat_map(|run| run.split(' ')).map(str::to_owned);
        all.filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Dead and not yet collected is dead.
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        })
        .collect()
    };
    let gone = |runs: &[String]| {
        wait_for("all processes of checks to be gone", SOON, || {
            let alive = alive(runs);
            if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
        })
    };
    gone(&runs[..2])?;
    watch.end(&[])?;
    // Nor does one outlive the program.
    gone(&lines(&pids))
}
