//! SIGHUP and SIGTERM, in a process of their own.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ldirectord::config::{self, Config, Fixed, Services};
use ldirectord::director::{Director, Outside, Parts};
use ldirectord::memory::Keeper;
use log::{LevelFilter, Log, Metadata, Record};
use lvs::control::ldirectord::{Ready, Request, SPEAKS};
use lvs::control::socket;
use lvs::daemon::signals::Signals;
use lvs::ipc::{Client, Greeting, Listen, Policy, Server, VERSION};
use lvs::ipvs::Table;
use lvs::programmer::Fake;
use rustix::process::{Signal, getpid, kill_process};

/// The lines of this process.
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ldirectord")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().expect("not poisoned").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

fn said() -> Vec<String> {
    std::mem::take(&mut LINES.0.lock().expect("not poisoned"))
}

fn configuration(weight: u32) -> Config {
    let text = format!(
        "virtual=198.51.100.1:80\n    checktype=on\n    real=192.0.2.1:80 masq {weight}\n    real=192.0.2.2:80 masq\n"
    );
    let services = Services::parse("");
    let machine =
        Fixed { hosts: [].into(), services, host_name: "lvs1".into(), search_domains: Vec::new(), missing: Vec::new() };
    config::load(Path::new("t.cf"), text.as_bytes(), &machine).expect("a good file").config
}

#[test]
fn hup_reads_the_file_again_and_term_leaves_an_empty_table() {
    log::set_logger(&LINES).expect("no other logger");
    log::set_max_level(LevelFilter::Info);
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = socket(directory.path(), SPEAKS);
    let greeting = Greeting { speaks: SPEAKS.into(), version: VERSION, program: "test 0".into(), node: "here".into() };
    let listen = Listen { path: path.clone(), mode: 0o600, group: None, greeting, policy: Policy::default() };
    let table = Fake::default();
    let programmer = table.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let story = async {
        let parts = Parts {
            programmer,
            access: "helper",
            server: Server::bind(listen).await.expect("listens"),
            signals: Signals::new().expect("signals"),
            path: "t.cf".into(),
            reread: Arc::new(|| Ok(configuration(7))),
            in_force: Box::new(|_| {}),
            readiness: None,
            outside: Outside::new(&configuration(1), "/etc/ha.d/ldirectord.cf".into()),
            keeper: Keeper::default(),
        };
        let director = Director::new(parts, configuration(1)).run();
        let administrator = async {
            let mut client = Client::connect(&path, SPEAKS).await.expect("connects");
            let mut watcher = Client::connect(&path, SPEAKS).await.expect("connects");
            watcher.call::<serde_json::Value>(&Request::Watch {}).await.expect("a snapshot");
            // With the ready table, or before: either way there is one more notice after HUP.
            while !client.call::<Ready>(&Request::Ready {}).await.expect("an answer").ready {
                watcher.next_notice::<serde_json::Value>().await.expect("a notice");
            }
            assert_eq!(
                said(),
                [
                    "Added virtual server: 198.51.100.1:80",
                    "Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 1)",
                    "Added real server: 192.0.2.2:80 (198.51.100.1:80) (Weight set to 1)",
                    "All servers have been checked and the table is up to date",
                ]
            );
            kill_process(getpid(), Signal::HUP).expect("sent");
            loop {
                let notice: serde_json::Value = watcher.next_notice().await.expect("a notice");
                if notice["notice"] == "real-restored" {
                    break;
                }
            }
            assert_eq!(
                said()[..3],
                [
                    "Reloading Linux Director Daemon config on signal",
                    "Reloaded the configuration: 1 virtual services",
                    "Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 7)",
                ]
            );
            kill_process(getpid(), Signal::TERM).expect("sent");
        };
        tokio::join!(director, administrator);
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), story).await.expect("it stops") });
    let mut lines = said();
    lines.retain(|line| !line.starts_with("All servers"));
    assert_eq!(
        lines,
        [
            "Purged real server (stop): 192.0.2.1:80 (198.51.100.1:80)",
            "Purged real server (stop): 192.0.2.2:80 (198.51.100.1:80)",
            "Purged virtual server (stop): 198.51.100.1:80",
            "Linux Director Daemon terminated on signal: TERM",
        ]
    );
    assert_eq!(table.now(), Table::new());
    assert!(!path.exists(), "its socket is gone");
}
