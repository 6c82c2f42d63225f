//! Resource scripts run for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use heartbeatd::act::script::{Call, ScriptError, Scripts, Started, Stopped};
use heartbeatd::config::{self, Config};

const HA_CF: &str = "node one two\nucast lo 127.0.0.1\nauto_failback on\nkeepalive 900ms\nenv COLOUR=red\n";

/// Each gets the folder of its state as first argument.
const SCRIPTS: &[(&str, &str)] = &[
    // As a good script is.
    (
        "Good",
        r#"case $2 in
        start) touch "$1/up" ;;
        stop) rm -f "$1/up" ;;
        status) if [ -e "$1/up" ]; then echo "is running"; else echo stopped; fi ;;
        esac"#,
    ),
    ("Fails", r#"echo "$2" >>"$1/log"; [ "$2" = status ] && echo stopped; exit 3"#),
    ("Sticks", r#"echo "$2" >>"$1/log"; echo running; exit 1"#),
    ("Late", r#"echo "$2" >>"$1/log"; [ "$(grep -c stop "$1/log")" -gt 2 ]"#),
    // Ignores the wish to end, and so does what it starts.
    ("Hangs", r#"trap "" TERM; echo $$ >"$1/pid"; sleep 1000 & echo $! >"$1/child"; wait; sleep 1000"#),
    // A daemon that keeps the script's output.
    (
        "Daemon",
        r#"case $2 in
        start) (while [ ! -e "$1/end" ]; do echo still here || echo broken >"$1/broken"; echo >>"$1/beats"; sleep 0.01; done; touch "$1/ended") & ;;
        status) echo stopped ;;
        esac"#,
    ),
    ("Talks", r#"[ "$2" = status ] && { head -c 1000000 /dev/zero | tr '\0' x; echo; echo not running; }; exit 0"#),
    ("Tells", r#"[ "$2" = start ] && env >"$1/env"; exit 0"#),
];

/// All scripts are written before the first is run: a file that is open for writing, in a child that
/// was forked meanwhile too, cannot be executed.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir(folder.path().join("resource.d")).unwrap();
        for (name, body) in SCRIPTS {
            write(&format!("resource.d/{name}"), &format!("#!/bin/sh\n{body}\n"), 0o755);
        }
        write("resource.d/Plain", "#!/bin/sh\n", 0o644);
        write("nodeinfo", "one\n", 0o644);
        write("ha.cf", HA_CF, 0o644);
        write("haresources", "", 0o644);
        write("authkeys", "auth 1\n1 sha1 x\n", 0o600);
        folder
    });
    folder.path()
}

/// A folder for the state of one resource, and its path as the script's argument.
struct State(tempfile::TempDir, [String; 1]);

impl State {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = [folder.path().to_str().unwrap().to_owned()];
        Self(folder, args)
    }

    fn call<'a>(&'a self, name: &'a str) -> Call<'a> {
        Call { name, args: &self.1 }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }
}

fn run<T>(body: impl AsyncFnOnce(Scripts) -> T) -> T {
    run_with(&config::load(folder()).unwrap().value, body)
}

fn run_with<T>(config: &Config, body: impl AsyncFnOnce(Scripts) -> T) -> T {
    let mut scripts = Scripts::new(config, Duration::from_secs(60));
    scripts.stop_pause = Duration::from_millis(5);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), body(scripts)).await.expect("done within a minute")
    })
}

/// Waits until a file is there.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_resource_is_started_once_and_stopped() {
    run(async |scripts| {
        let state = State::new();
        let good = state.call("Good");
        assert!(!scripts.is_running(good).await.unwrap());
        assert_eq!(scripts.start(good).await.unwrap(), Started::Now);
        assert!(scripts.is_running(good).await.unwrap());
        assert_eq!(scripts.start(good).await.unwrap(), Started::Already);
        assert_eq!(scripts.stop(good).await.unwrap(), Stopped::Cleanly);
        assert_eq!(scripts.stop(good).await.unwrap(), Stopped::Cleanly);
        assert!(!scripts.is_running(good).await.unwrap());
    });
}

#[test]
fn a_failing_start_names_the_resource_and_the_exit_status() {
    run(async |scripts| {
        let state = State::new();
        let error = scripts.start(state.call("Fails")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("start of Fails::{}: exit status: 3", state.1[0]));
        assert_eq!(state.read("log"), "status\nstart\n");
    });
}

#[test]
fn a_failing_stop_is_tried_again_until_it_works() {
    run(async |scripts| {
        let state = State::new();
        assert_eq!(scripts.stop(state.call("Late")).await.unwrap(), Stopped::Cleanly);
        assert_eq!(state.read("log"), "stop\nstop\nstop\n");
    });
}

#[test]
fn what_cannot_be_stopped_is_judged_by_its_status_in_the_end() {
    run(async |mut scripts| {
        scripts.stop_tries = 3;
        let state = State::new();
        assert_eq!(scripts.stop(state.call("Fails")).await.unwrap(), Stopped::ByStatus);
        assert_eq!(state.read("log"), "stop\nstop\nstop\nstatus\n");
        let state = State::new();
        let error = scripts.stop(state.call("Sticks")).await.unwrap_err();
        assert!(matches!(error, ScriptError::StillRunning { tries: 3, .. }), "{error}");
    });
}

#[test]
fn a_script_that_hangs_is_killed_with_all_it_started() {
    run(async |mut scripts| {
        scripts.timeout = Duration::from_millis(300);
        let state = State::new();
        let error = scripts.is_running(state.call("Hangs")).await.unwrap_err();
        assert!(matches!(error, ScriptError::TimedOut { .. }), "{error}");
        for file in ["pid", "child"] {
            let process = PathBuf::from(format!("/proc/{}", state.read(file).trim()));
            // An orphan is waited for by whoever inherits it; only then its entry goes.
            let dead = || fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "));
            while !dead() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
}

#[test]
fn a_script_nobody_waits_for_any_longer_is_killed() {
    run(async |scripts| {
        let state = State::new();
        let pid = state.path("child");
        tokio::select! {
            ended = scripts.is_running(state.call("Hangs")) => panic!("{ended:?}"),
            () = async {
                while state.read("child").is_empty() {
                    appears(&pid).await;
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        let process = PathBuf::from(format!("/proc/{}", state.read("child").trim()));
        while fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_daemon_that_keeps_the_output_neither_holds_us_up_nor_is_cut_off() {
    run(async |scripts| {
        let state = State::new();
        let before = Instant::now();
        assert_eq!(scripts.start(state.call("Daemon")).await.unwrap(), Started::Now);
        assert!(before.elapsed() < scripts.timeout);
        // It goes on talking after the script has ended.
        let beats = state.read("beats").len();
        while state.read("beats").len() < beats + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fs::write(state.path("end"), "").unwrap();
        appears(&state.path("ended")).await;
        assert!(!state.path("broken").exists());
    });
}

#[test]
fn endless_talk_is_read_and_only_its_beginning_counts() {
    run(async |scripts| {
        let state = State::new();
        assert!(!scripts.is_running(state.call("Talks")).await.unwrap());
    });
}

#[test]
fn scripts_find_their_surroundings_in_the_environment() {
    run(async |scripts| {
        let state = State::new();
        scripts.start(state.call("Tells")).await.unwrap();
        let environment = state.read("env");
        let has = |line: String| environment.lines().any(|known| known == line);
        assert!(has(format!("HA_DIR={}", folder().display())));
        for line in ["HA_CURHOST=one", "HA_keepalive=900ms", "HA_COLOUR=red", "HA_NICEFAILBACK=yes", "LC_ALL=C"] {
            assert!(has(line.into()), "{line} in {environment}");
        }
    });
}

#[test]
fn scripts_hear_the_log_facility_and_whether_auto_failback_is_legacy() {
    let mut config = config::load(folder()).unwrap().value;
    for (facility, legacy) in [(None, false), (Some("local3"), true)] {
        config.ha_cf.facility = facility.map(str::to_owned);
        config.ha_cf.legacy = legacy;
        run_with(&config, async |scripts| {
            let state = State::new();
            scripts.start(state.call("Tells")).await.unwrap();
            let environment = state.read("env");
            let wanted = format!("HA_LOGFACILITY={}", facility.unwrap_or("daemon"));
            assert!(environment.lines().any(|line| line == wanted), "{environment}");
            assert_eq!(environment.contains("HA_NICEFAILBACK="), !legacy, "{environment}");
        });
    }
}

#[test]
fn a_script_that_is_missing_or_not_executable_is_not_found() {
    run(async |scripts| {
        for name in ["Nosuch", "Plain"] {
            let error = scripts.stop(Call { name, args: &[] }).await.unwrap_err();
            assert!(error.to_string().starts_with(&format!("cannot locate resource script {name}: ")), "{error}");
        }
    });
}
