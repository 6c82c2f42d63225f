//! Programs beside the daemon, run for real.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heartbeatd::act::helper::Helpers;
use heartbeatd::config::Helper;

/// Everybody may write there, as the programs do.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn helper(folder: &Path, name: &str, body: &str) -> Helper {
    let program = folder.join(name);
    fs::write(&program, format!("#!/bin/sh\ncd {}\n{body}\n", folder.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let us = fs::metadata(folder).unwrap();
    // Only root can be another.
    let (uid, gid) = if us.uid() == 0 { (65534, 65534) } else { (us.uid(), us.gid()) };
    Helper { user: "test".into(), uid, gid, program, args: vec!["-a".into(), "b c".into()], failfast: false }
}

/// A program that is still open for writing in a child that another test is about to start is "busy".
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(body: impl AsyncFnOnce()) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, body()).await.expect("done within a minute") });
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Waits for so many lines while the programs live on.
async fn wait(helpers: &mut Helpers, path: &Path, count: usize) {
    let start = Instant::now();
    while lines(path).len() < count {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", lines(path));
        tokio::select! {
            reboot = helpers.next() => panic!("{reboot:?}"),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

#[test]
fn programs_run_as_their_user_are_started_again_and_stopped_in_the_reverse_order() {
    run(async || {
        let folder = folder();
        let log = folder.path().join("log");
        let stays = |name: &str| {
            format!("trap 'echo {name} stopped >>log; exit 0' TERM; echo {name} >>log; while :; do sleep 0.02; done")
        };
        let one = helper(folder.path(), "one", &stays("one"));
        let two = helper(folder.path(), "two", &stays("two"));
        let dies = helper(folder.path(), "dies", r#"echo "$(id -u) $(id -g) $(id -G) $1 $2" >>lives; exit 1"#);
        let enough = helper(folder.path(), "enough", "echo life >>enoughs; exit 100");
        let (uid, gid) = (dies.uid, dies.gid);
        let mut helpers = Helpers::new(&[one, dies, enough, two]);
        assert!(!log.exists());
        helpers.start();
        helpers.start();
        wait(&mut helpers, &log, 2).await;
        // Eleven short lives, and no more.
        let lives = folder.path().join("lives");
        wait(&mut helpers, &lives, 11).await;
        assert!(tokio::time::timeout(Duration::from_millis(300), helpers.next()).await.is_err());
        assert_eq!(lines(&lives), vec![format!("{uid} {gid} {gid} -a b c"); 11]);
        assert_eq!(lines(&folder.path().join("enoughs")), ["life"]);
        helpers.stop().await;
        assert_eq!(lines(&log)[2..], ["two stopped", "one stopped"]);
    });
}

#[test]
fn what_ignores_the_wish_to_end_is_killed_and_a_failfast_program_asks_for_the_reboot() {
    run(async || {
        let folder = folder();
        let deaf = helper(folder.path(), "deaf", r#"trap "" TERM; echo $$ >pid; while :; do sleep 0.02; done"#);
        let fast = Helper { failfast: true, ..helper(folder.path(), "fast", "while [ ! -e go ]; do sleep 0.02; done") };
        let mut helpers = Helpers::new(&[deaf, fast]);
        helpers.start();
        wait(&mut helpers, &folder.path().join("pid"), 1).await;
        fs::write(folder.path().join("go"), "").unwrap();
        assert!(helpers.next().await.program.contains("fast -a b c"));
        helpers.stop().await;
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
        // What cannot be started at all is tried again after a while, and is not the node's end.
        let missing = Helper { program: "/nosuch".into(), failfast: true, ..helper(folder.path(), "x", "") };
        let mut helpers = Helpers::new(&[missing]);
        helpers.start();
        assert!(tokio::time::timeout(Duration::from_millis(500), helpers.next()).await.is_err());
    });
}
