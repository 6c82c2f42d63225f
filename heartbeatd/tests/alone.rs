//! The daemon itself, one of two nodes of which the other never comes, in a network namespace of its own.

mod network;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs::control::heartbeatd::Status;
use lvs::netlink::route::Client;
use network::{cable, in_a_network_of_its_own, ip};
use rustix::process::{Pid, Signal, kill_process};

const SOON: Duration = Duration::from_secs(10);

/// A daemon with its folder; killed if a test leaves it.
struct Daemon {
    folder: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    fn start(medium: &str, haresources: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir(folder.path().join("resource.d")).unwrap();
        write("nodeinfo", "lvs1\n", 0o644);
        let times = "keepalive 200ms\ndeadtime 1\ninitdead 2\nauto_failback on\nenv STOPRETRYMAX=1\n";
        write("ha.cf", &format!("node lvs1 lvs2\n{medium}\n{times}"), 0o600);
        write("haresources", haresources, 0o644);
        write("authkeys", "auth 1\n1 sha1 x\n", 0o600);
        write("resource.d/Thing", &format!("#!/bin/sh\nhere={here}\n{script}\n"), 0o755);
        let notify = format!("[heartbeatd.notify]\ncommand = \"cat >> {here}/told\"\n");
        write("lvs.toml", &format!("sockets = \"{here}\"\n[heartbeatd]\nmonitor = 0.5\n{notify}"), 0o644);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Self::command(folder.path(), &["run"]).stderr(Stdio::from(log)).spawn().unwrap();
        Self { folder, child }
    }

    fn command(folder: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
        command.arg("--config").arg(folder).arg("--state").arg(folder).arg("--pid-file").arg(folder.join("pid"));
        command.args(words);
        command
    }

    fn run(&self, words: &[&str]) -> (String, String) {
        let output = Self::command(self.folder.path(), words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    fn status(&self) -> Option<Status> {
        serde_json::from_str(&self.run(&["status", "--json"]).0).ok()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The names of the changes that the command was told.
    fn told(&self) -> Vec<String> {
        let name =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["notice"].as_str().map(str::to_owned);
        self.read("told").lines().filter_map(name).collect()
    }

    fn waits_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < SOON, "{what} does not come\n{}\n{}", self.read("log"), self.read("told"));
            sleep(Duration::from_millis(50));
        }
    }

    fn is_asked_to_stop(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn is_on(address: &str) -> bool {
    let wanted: std::net::IpAddr = address.parse().unwrap();
    Client::open().unwrap().addresses().unwrap().iter().any(|state| state.address.ip == wanted)
}

#[test]
fn a_node_whose_only_medium_comes_late_takes_nothing_before_and_waits_its_time_from_then_on() {
    let name = "a_node_whose_only_medium_comes_late_takes_nothing_before_and_waits_its_time_from_then_on";
    in_a_network_of_its_own(name, async {
        cable("10.99.0.1/24");
        let daemon = Daemon::start("bcast eth9", "lvs1 10.99.0.50/24/hb0\nlvs1 10.99.0.51/24/nosuch\n", "");
        daemon.waits_for("the notice", |daemon| daemon.told().contains(&"deaf".to_owned()));
        for absent in ["ha.cf: \"bcast eth9\": there is no interface eth9", "there is no interface nosuch"] {
            assert!(daemon.read("log").contains(absent), "{}", daemon.read("log"));
            assert!(daemon.run(&["check"]).1.contains(absent));
        }
        // Twice initdead.
        sleep(Duration::from_secs(4));
        let status = daemon.status().expect("an answer");
        assert!(status.deaf && !is_on("10.99.0.50"), "{status:?}\n{}", daemon.read("log"));
        assert_eq!(status.nodes[1].status, "init");
        ip("link add eth9 type veth peer name eth9far");
        ip("link set eth9far up");
        ip("addr add 10.98.0.1/24 dev eth9");
        let opened = Instant::now();
        ip("link set eth9 up");
        daemon.waits_for("the death", |daemon| daemon.told().contains(&"peer-dead".to_owned()));
        assert!(opened.elapsed() >= Duration::from_millis(1_900), "{:?}", opened.elapsed());
        daemon.waits_for("the address", |_| is_on("10.99.0.50"));
        assert!(!daemon.status().expect("an answer").deaf);
        let told = daemon.told();
        let place = |name: &str| told.iter().position(|each| each == name);
        assert!(place("deaf") < place("listening") && place("listening") < place("peer-dead"), "{told:?}");
    });
}

#[test]
fn a_daemon_that_cannot_stop_a_script_says_so_and_does_not_leave_before_it_can() {
    let name = "a_daemon_that_cannot_stop_a_script_says_so_and_does_not_leave_before_it_can";
    in_a_network_of_its_own(name, async {
        cable("10.99.0.1/24");
        let script = "case $1 in
            start) touch $here/runs ;;
            stop) [ -e $here/may-stop ] && rm -f $here/runs ;;
            status) if [ -e $here/runs ]; then echo running; else echo stopped; fi ;;
            esac";
        let mut daemon = Daemon::start("bcast hb0", "lvs1 10.99.0.50/24/hb0 Thing\n", script);
        daemon.waits_for("the address", |_| is_on("10.99.0.50"));
        daemon.waits_for("the script", |daemon| daemon.told().contains(&"started".to_owned()));
        daemon.is_asked_to_stop();
        daemon.waits_for("the notice", |daemon| daemon.told().contains(&"stuck".to_owned()));
        let status = daemon.status().expect("it still runs");
        assert_eq!(status.groups[0].stuck.as_deref(), Some("lvs1"));
        assert!(daemon.run(&["status"]).0.contains("cannot be stopped on lvs1"), "{}", daemon.run(&["status"]).0);
        assert!(!is_on("10.99.0.50"), "its address is off all the same");
        sleep(Duration::from_secs(2));
        assert_eq!(daemon.child.try_wait().unwrap(), None, "it does not leave");
        fs::write(daemon.folder.path().join("may-stop"), "").unwrap();
        let start = Instant::now();
        while daemon.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(15), "it does not end\n{}", daemon.read("log"));
            sleep(Duration::from_millis(50));
        }
        let told = daemon.told();
        assert!(told.contains(&"unstuck".to_owned()), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("shutdown-complete"), "{told:?}");
    });
}

#[test]
fn a_script_that_does_not_run_any_more_is_started_anew_and_one_that_never_says_it_runs_is_let_be() {
    let name = "a_script_that_does_not_run_any_more_is_started_anew_and_one_that_never_says_it_runs_is_let_be";
    in_a_network_of_its_own(name, async {
        cable("10.99.0.1/24");
        let script = "case $2 in
            start) echo $1 >> $here/starts; touch $here/runs.$1 ;;
            stop) rm -f $here/runs.$1 ;;
            status) echo x >> $here/asked.$1
                if [ $1 = service ] && [ -e $here/runs.$1 ]; then echo running; else echo stopped; fi ;;
            esac";
        let haresources = "lvs1 10.99.0.50/24/hb0 Thing::service Thing::mail\n";
        let daemon = Daemon::start("bcast hb0", haresources, script);
        let asked = |daemon: &Daemon, name: &str| daemon.read(&format!("asked.{name}")).lines().count();
        daemon.waits_for("the start", |daemon| daemon.told().contains(&"started".to_owned()));
        daemon.waits_for("three questions", |daemon| asked(daemon, "service") > 4 && asked(daemon, "mail") > 4);
        assert_eq!(daemon.read("starts"), "service\nmail\n", "all is well");
        let log = daemon.read("log");
        assert_eq!(log.matches("Thing::mail was started and says that it does not run").count(), 1, "{log}");
        fs::remove_file(daemon.folder.path().join("runs.service")).unwrap();
        daemon.waits_for("the notice", |daemon| daemon.told().contains(&"failed".to_owned()));
        daemon.waits_for("the second start", |daemon| daemon.read("starts").lines().count() == 4);
        let log = daemon.read("log");
        assert!(
            is_on("10.99.0.50")
                && log.contains("Thing::service of resource group 10.99.0.50/24/hb0 does not run any more"),
            "{log}"
        );
    });
}
