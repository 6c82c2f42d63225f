//! Fence agents run for real: scripted ones, that do what they should, hang, fail and lie.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heartbeatd::act::fence::{FenceError, Fencer, check, switch_off};
use heartbeatd::config::{Agent, Fence};

mod skip;
use skip::skipped;

const AGENTS: &[(&str, &str)] = &[
    // Keeps what it was told, and knows what it did.
    (
        "good",
        r#"told=$(cat); echo "$told" >>"$DIR/told"; echo -- >>"$DIR/told"
        case $told in
        *action=off*|*action=reboot*) touch "$DIR/off" ;;
        *action=status*) [ -e "$DIR/off" ] && exit 2 ;;
        esac"#,
    ),
    ("fails", "cat >/dev/null; echo 'Unable to connect/login to fencing device' >&2; exit 1"),
    // Ignores the wish to end, and so does what it started.
    ("hangs", r#"trap "" TERM; echo $$ >"$DIR/pid"; sleep 1000 & echo $! >"$DIR/child"; wait; sleep 1000"#),
    // Says that it is done, and that the machine is on.
    ("lies", "exit 0"),
    // Cannot say how the machine is.
    ("blind", r#"case $(cat) in *action=status*) exit 1 ;; esac"#),
    ("deaf", "exec <&-; sleep 0.1; exit 0"),
];

fn agent(folder: &Path, name: &str, off: bool) -> Agent {
    let body = AGENTS.iter().find(|(known, _)| *known == name).unwrap().1;
    let program = folder.join(format!("fence_{name}"));
    if !program.exists() {
        fs::write(&program, format!("#!/bin/sh\nDIR={}\n{body}\n", folder.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let options = vec![("ip".to_owned(), "10.0.0.9".to_owned()), ("password".to_owned(), "hush".to_owned())];
    let patience = Duration::from_secs(20);
    Agent { name: format!("fence_{name}"), program, off, hosts: Vec::new(), plugs: Vec::new(), options, patience }
}

/// A program that is still open for writing in a child that another test is about to start is "busy".
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits until the process with the number in that file is dead. A zombie is, too: its parent was init's, which may take
/// its time.
async fn is_killed(folder: &Path, file: &str) {
    let pid = fs::read_to_string(folder.join(file)).unwrap();
    let start = Instant::now();
    let alive = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while alive() {
        assert!(start.elapsed() < Duration::from_secs(10), "{file} {pid} lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn run<T>(body: impl AsyncFnOnce(PathBuf) -> T) -> T {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(limit, body(folder.path().to_owned())).await.expect("within a minute") })
}

#[test]
fn a_device_is_told_what_to_do_on_its_standard_input() {
    run(async |folder| {
        let good = agent(&folder, "good", true);
        check(&good, "lvs2").await.unwrap();
        switch_off(&good, "lvs2").await.unwrap();
        let told =
            |action: &str| format!("action={action}\nnodename=lvs2\nplug=lvs2\nip=10.0.0.9\npassword=hush\n--\n");
        let all = fs::read_to_string(folder.join("told")).unwrap();
        assert_eq!(all, [told("monitor"), told("off"), told("status")].concat());
        // A machine that has another name at the device keeps it, and after a reboot there is nothing to ask.
        fs::remove_file(folder.join("told")).unwrap();
        let mut other = agent(&folder, "good", false);
        other.options.push(("port".into(), "7".into()));
        switch_off(&other, "lvs2").await.unwrap();
        let all = fs::read_to_string(folder.join("told")).unwrap();
        assert_eq!(all, "action=reboot\nnodename=lvs2\nip=10.0.0.9\npassword=hush\nport=7\n--\n");
    });
}

#[test]
fn one_that_hangs_fails_or_lies_switches_nobody_off() {
    run(async |folder| {
        let fails = switch_off(&agent(&folder, "fails", true), "lvs2").await.unwrap_err();
        assert!(matches!(&fails, FenceError::Failed { action: "off", .. }), "{fails}");
        let lies = switch_off(&agent(&folder, "lies", true), "lvs2").await.unwrap_err();
        assert!(lies.to_string().contains("is not believed"), "{lies}");
        let hangs = Agent { patience: Duration::from_millis(300), ..agent(&folder, "hangs", true) };
        let late = switch_off(&hangs, "lvs2").await.unwrap_err();
        assert!(matches!(&late, FenceError::TimedOut { .. }), "{late}");
        for file in ["pid", "child"] {
            is_killed(&folder, file).await;
        }
        let missing = Agent { program: folder.join("nosuch"), ..agent(&folder, "good", true) };
        let missing = switch_off(&missing, "lvs2").await.unwrap_err();
        assert!(matches!(missing, FenceError::Spawn { .. }));
    });
}

#[test]
fn one_that_reads_nothing_or_cannot_say_how_a_machine_is_is_taken_by_its_word() {
    run(async |folder| {
        switch_off(&agent(&folder, "deaf", false), "lvs2").await.unwrap();
        switch_off(&agent(&folder, "blind", true), "lvs2").await.unwrap();
    });
}

#[test]
fn devices_are_tried_in_their_order_until_one_has_done_it() {
    run(async |folder| {
        let device = |name: &str| Fence::Agent(agent(&folder, name, true));
        let mut fencer = Fencer::new(&[device("fails"), Fence::Manual, device("good")], ["lvs2"], Instant::now());
        fencer.fence("lvs2", 1);
        // Another death: the end of the first attempt would say nothing of it.
        fencer.fence("lvs2", 2);
        assert_eq!(fencer.ended().await, (2, true));
        assert!(folder.join("off").exists());
        let mut fencer = Fencer::new(&[device("fails"), device("lies"), Fence::Manual], ["lvs2"], Instant::now());
        fencer.fence("lvs2", 7);
        assert_eq!(fencer.ended().await, (7, false));
        assert!(Fencer::new(&[Fence::Manual], ["lvs2"], Instant::now()).deadline().is_none());
    });
}

#[test]
fn an_attempt_that_is_stopped_starts_no_further_device_and_gives_no_answer() {
    run(async |folder| {
        let device = |name: &str| Fence::Agent(agent(&folder, name, true));
        let mut fencer = Fencer::new(&[device("hangs"), device("good")], ["lvs2"], Instant::now());
        for attempt in [1, 2] {
            _ = fs::remove_file(folder.join("child"));
            fencer.fence("lvs2", attempt);
            // What it writes last.
            while !fs::read_to_string(folder.join("child")).is_ok_and(|pid| pid.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            fencer.stop("lvs2");
            // Long before its patience is at an end.
            for file in ["pid", "child"] {
                is_killed(&folder, file).await;
            }
            assert!(tokio::time::timeout(Duration::from_millis(500), fencer.ended()).await.is_err());
            assert!(!folder.join("told").exists(), "the second device was started");
        }
    });
}

/// An agent of Debian's package fence-agents, which keeps the state of its only machine in a file.
#[test]
fn an_agent_of_debian_switches_off_and_its_word_is_checked() {
    let program = PathBuf::from("/usr/sbin/fence_dummy");
    if !program.exists() {
        return skipped("an_agent_of_debian_switches_off_and_its_word_is_checked", "fence-agents is not installed");
    }
    run(async |folder| {
        let state = folder.join("state");
        let dummy = |more: &[(&str, &str)]| {
            let mut options = vec![("status_file".to_owned(), state.display().to_string())];
            options.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            let (name, program, patience) = ("fence_dummy".to_owned(), program.clone(), Duration::from_secs(30));
            Agent { name, program, off: true, hosts: Vec::new(), plugs: Vec::new(), options, patience }
        };
        fs::write(&state, "on").unwrap();
        check(&dummy(&[]), "lvs2").await.unwrap();
        switch_off(&dummy(&[]), "lvs2").await.unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "off");
        // Switched off and on again.
        let reboot = Agent { off: false, ..dummy(&[]) };
        switch_off(&reboot, "lvs2").await.unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "on");
        // Its kind that never reaches the state it was asked for.
        let fails = switch_off(&dummy(&[("type", "fail"), ("power_timeout", "1")]), "lvs2").await;
        assert!(matches!(&fails, Err(FenceError::Failed { action: "off", .. })), "{fails:?}");
    });
}
