//! A whole director on a table in memory, with real checks over loopback and its real socket.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lvs::control::ldirectord::{Ready, RealState, Request, SPEAKS, Status};
use lvs::control::socket;
use lvs::daemon::signals::Signals;
use lvs::drain::Left;
use lvs::ipc::{CallError, Client, Greeting, Listen, Policy, Server, VERSION};
use lvs::ipvs::{Change, Destination, Forward, Refusal, Service, ServiceKey, Table};
use lvs::programmer::{Fake, Programmer, ProgrammerError};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Director, Outside, Parts, Reread};
use crate::config::Config;
use crate::config::model::{Check, Connect, Extensions, Globals, Line, LogTarget, Real, Virtual};
use crate::memory::Keeper;

/// How long a story waits for something before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A table behind somebody who may be away, or may not answer.
#[derive(Clone, Default)]
struct Moody {
    table: Fake,
    away: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
}

impl Moody {
    async fn mood(&self) -> Result<(), ProgrammerError> {
        if self.silent.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        if self.away.load(Ordering::Relaxed) {
            let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
            return Err(ProgrammerError { attempt: "read the IPVS table from the helper".into(), source });
        }
        Ok(())
    }
}

impl Programmer for Moody {
    async fn table(&mut self) -> Result<Table, ProgrammerError> {
        self.mood().await?;
        self.table.table().await
    }

    async fn change(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, ProgrammerError> {
        self.mood().await?;
        self.table.change(changes).await
    }

    async fn left(&mut self, service: &ServiceKey) -> Result<BTreeMap<SocketAddr, Left>, ProgrammerError> {
        self.mood().await?;
        self.table.left(service).await
    }
}

const VIP: &str = "198.51.100.1:80";

fn vip() -> ServiceKey {
    ServiceKey::tcp(VIP.parse().expect("an address"))
}

fn web(reals: &[SocketAddr]) -> Config {
    let real = |&at: &SocketAddr| Real {
        at,
        configured_port: at.port(),
        destination: Destination::new(Forward::Masq, 1),
        weight_as_written: "1".into(),
        check: Check::Connect(Connect { at, timeout: Duration::from_secs(5) }),
        check_identity: String::new(),
        line: Line(1),
    };
    let web = Virtual {
        key: vip(),
        service: Service::default(),
        check_interval: Duration::from_millis(20),
        failure_count: NonZeroU32::MIN,
        quiescent: false,
        clean_stop: true,
        fallback: None,
        fallback_command: None,
        alert: None,
        monitor_file: None,
        service_name: None,
        comment: None,
        extensions: Extensions::default(),
        reals: reals.iter().map(real).collect(),
        line: Line(1),
    };
    let globals = Globals {
        check_interval: Duration::from_secs(10),
        log: LogTarget::File(PathBuf::from("/var/log/ldirectord.log")),
        fork: false,
        supervised: false,
        readd_quiescent: false,
        auto_reload: false,
        callback: None,
        execute: Vec::new(),
        maintenance_directory: None,
    };
    Config { globals, virtuals: vec![web] }
}

/// A running director.
struct Story {
    directory: TempDir,
    table: Moody,
    task: JoinHandle<()>,
}

impl Story {
    async fn start(config: Config, table: Moody, reread: Reread) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), config, table, reread).await
    }

    async fn start_in(directory: TempDir, config: Config, table: Moody, reread: Reread) -> Self {
        let greeting =
            Greeting { speaks: SPEAKS.into(), version: VERSION, program: "test 0".into(), node: "here".into() };
        // Whoever runs the tests may steer.
        let policy = Policy { operators: Some(rustix::process::getgid().as_raw()), programmers: Vec::new() };
        let path = socket(directory.path(), SPEAKS);
        let listen = Listen { path, mode: 0o600, group: None, greeting, policy };
        let parts = Parts {
            programmer: table.clone(),
            access: "helper",
            server: Server::bind(listen).await.expect("listens"),
            signals: Signals::new().expect("signals"),
            path: "/etc/ha.d/ldirectord.cf".into(),
            reread,
            in_force: Box::new(|_| {}),
            readiness: None,
            outside: Outside::new(&config, "/etc/ha.d/ldirectord.cf".into()),
            keeper: Keeper::open(&directory.path().join("memory.json")),
        };
        let director = Director::new(parts, config);
        let task = tokio::task::spawn_local(director.run());
        Self { directory, table, task }
    }

    async fn client(&self) -> Client {
        Client::connect(&socket(self.directory.path(), SPEAKS), SPEAKS).await.expect("connects")
    }

    async fn ready(&self) -> Client {
        let mut client = self.client().await;
        let ready: Ready = client.call(&Request::Activate {}).await.expect("an answer");
        assert!(ready.ready);
        client
    }

    fn servers(&self) -> Vec<(SocketAddr, u32)> {
        let table = self.table.table.now();
        let servers = table.get(&vip()).map(|service| service.destinations.clone()).unwrap_or_default();
        servers.into_iter().map(|(at, destination)| (at, destination.weight)).collect()
    }
}

fn never() -> Reread {
    Arc::new(|| Err(vec!["nobody reads files in this story".into()]))
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let story = async { tokio::time::timeout(PATIENCE, story).await.expect("the story ends") };
    tokio::task::LocalSet::new().block_on(&runtime, story);
    runtime.shutdown_background();
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    (listener, at)
}

/// Waits for a notice of this name.
async fn notice(watcher: &mut Client, name: &str) -> serde_json::Value {
    loop {
        let notice: serde_json::Value = watcher.next_notice().await.expect("a notice");
        if notice["notice"] == name {
            return notice;
        }
    }
}

async fn watch(story: &Story) -> Client {
    let mut watcher = story.client().await;
    watcher.call::<serde_json::Value>(&Request::Watch {}).await.expect("a snapshot");
    watcher
}

#[test]
fn activate_is_answered_when_everything_was_checked_and_programmed() {
    run(async {
        let ((_listening, alive), (closed, dead)) = (listener().await, listener().await);
        drop(closed);
        let story = Story::start(web(&[alive, dead]), Moody::default(), never()).await;
        let mut client = story.ready().await;
        assert_eq!(story.servers(), [(alive, 1)]);
        let status: Status = client.call(&Request::Status {}).await.expect("a status");
        assert_eq!((status.ready, status.active), (true, Some(true)));
        let [up, down] = &status.virtuals[0].reals[..] else { panic!("two servers") };
        assert_eq!((up.state, up.weight), (RealState::Up, Some(1)));
        assert_eq!((down.state, down.weight), (RealState::Down, None));
        let why = down.why.as_deref().expect("a reason");
        assert!(why.starts_with(&format!("Can't connect to {dead} (Connection refused)")), "{why}");
        let ready: Ready = client.call(&Request::Deactivate {}).await.expect("an answer");
        assert!(ready.ready);
    });
}

#[test]
fn a_daemon_that_hands_over_leaves_the_table_as_its_file_says() {
    run(async {
        let ((_listening, alive), (_other, also)) = (listener().await, listener().await);
        let reread: Reread = Arc::new(move || Ok(web(&[alive])));
        let mut story = Story::start(web(&[alive, also]), Moody::default(), reread).await;
        let mut client = story.ready().await;
        assert_eq!(story.servers().len(), 2);
        client.call::<()>(&Request::HandOver {}).await.expect("an answer");
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut story.task).await;
        ended.expect("it ends").expect("without a panic");
        assert_eq!(story.servers(), [(alive, 1)]);
    });
}

/// The next one has read the file; that this one cannot is no reason to take the table away from it.
#[test]
fn a_daemon_that_cannot_read_its_file_any_more_hands_over_what_there_is() {
    run(async {
        let (_listening, at) = listener().await;
        let reread: Reread = Arc::new(|| Err(vec!["permission denied".to_owned()]));
        let mut story = Story::start(web(&[at]), Moody::default(), reread).await;
        let mut client = story.ready().await;
        client.call::<()>(&Request::HandOver {}).await.expect("an answer");
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut story.task).await;
        ended.expect("it ends").expect("without a panic");
        assert_eq!(story.servers(), [(at, 1)]);
    });
}

#[test]
fn a_server_that_dies_leaves_the_table_and_comes_back_to_it() {
    run(async {
        let (listening, at) = listener().await;
        let story = Story::start(web(&[at]), Moody::default(), never()).await;
        story.ready().await;
        let mut watcher = watch(&story).await;
        drop(listening);
        let down = notice(&mut watcher, "real-down").await;
        assert_eq!(down["real"], at.to_string());
        assert_eq!(down["service"], "tcp:198.51.100.1:80");
        notice(&mut watcher, "real-deleted").await;
        assert_eq!(story.servers(), []);
        let _again = TcpListener::bind(at).await.expect("the port again");
        notice(&mut watcher, "real-added").await;
        assert_eq!(story.servers(), [(at, 1)]);
    });
}

#[test]
fn a_drained_server_keeps_its_connections_and_gets_no_new_ones() {
    run(async {
        let (_listening, at) = listener().await;
        let story = Story::start(web(&[at]), Moody::default(), never()).await;
        let mut client = story.ready().await;
        let mut watcher = watch(&story).await;
        let real = at.to_string();
        client.call::<()>(&Request::Drain { real: real.clone(), service: None }).await.expect("drained");
        notice(&mut watcher, "real-quiescent").await;
        assert_eq!(story.servers(), [(at, 0)]);
        client.call::<()>(&Request::Undrain { real, service: None }).await.expect("undrained");
        notice(&mut watcher, "real-restored").await;
        assert_eq!(story.servers(), [(at, 1)]);
        let wrong = Request::Drain { real: "192.0.2.77".into(), service: None };
        let fault = client.call::<()>(&wrong).await.expect_err("unknown").to_string();
        assert!(fault.starts_with("there is no real server 192.0.2.77; there are: 127.0.0.1:"), "{fault}");
    });
}

#[test]
fn an_order_to_drain_outlives_a_daemon_that_is_killed_and_one_that_hands_over() {
    run(async {
        let ((_one, here), (_two, there)) = (listener().await, listener().await);
        let servers = [here, there];
        let reread: Reread = Arc::new(move || Ok(web(&servers)));
        let mut story = Story::start(web(&servers), Moody::default(), reread.clone()).await;
        let mut weights: BTreeMap<_, _> = servers.map(|at| (at, 1)).into();
        let drain = Request::Drain { real: here.to_string(), service: None };
        story.ready().await.call::<()>(&drain).await.expect("drained");
        // Killed at the moment of the answer: the table may not even say so yet.
        story.task.abort();
        drop((&mut story.task).await);
        weights.insert(here, 0);
        for handed_over in [true, false] {
            let Story { directory, table, .. } = story;
            story = Story::start_in(directory, web(&servers), table, reread.clone()).await;
            let mut client = story.ready().await;
            assert_eq!(story.servers(), weights.clone().into_iter().collect::<Vec<_>>());
            let status: Status = client.call(&Request::Status {}).await.expect("a status");
            assert!(status.virtuals[0].reals.iter().all(|real| real.drained == (real.real == here.to_string())));
            if handed_over {
                client.call::<()>(&Request::HandOver {}).await.expect("an answer");
                tokio::time::timeout(PATIENCE, &mut story.task).await.expect("it ends").expect("without a panic");
            }
        }
        let mut client = story.client().await;
        let mut watcher = watch(&story).await;
        let undrain = Request::Undrain { real: here.to_string(), service: None };
        client.call::<()>(&undrain).await.expect("undrained");
        notice(&mut watcher, "real-restored").await;
        story.task.abort();
        drop((&mut story.task).await);
        let story = Story::start_in(story.directory, web(&servers), story.table, reread).await;
        story.ready().await;
        assert!(story.servers().iter().all(|(_, weight)| *weight == 1), "{:?}", story.servers());
    });
}

#[test]
fn a_server_that_leaves_keeps_its_connections_until_they_have_ended() {
    run(async {
        let (listening, at) = listener().await;
        let mut config = web(&[at]);
        config.virtuals[0].extensions.drain_timeout = Some(PATIENCE * 2);
        let story = Story::start(config, Moody::default(), never()).await;
        story.ready().await;
        let mut watcher = watch(&story).await;
        let busy = |active| story.table.table.busy(vip(), at, Left { active, ..Left::default() });
        busy(1);
        drop(listening);
        notice(&mut watcher, "real-quiescent").await;
        assert_eq!(story.servers(), [(at, 0)]);
        busy(0);
        notice(&mut watcher, "real-deleted").await;
        assert_eq!(story.servers(), []);
    });
}

#[test]
fn while_the_table_is_away_checks_go_on_and_afterwards_it_is_made_up_for() {
    run(async {
        let ((_first, one), (second, two)) = (listener().await, listener().await);
        let table = Moody::default();
        table.away.store(true, Ordering::Relaxed);
        let story = Story::start(web(&[one, two]), table.clone(), never()).await;
        let mut watcher = watch(&story).await;
        drop(second);
        notice(&mut watcher, "real-down").await;
        let ready: Ready = story.client().await.call(&Request::Ready {}).await.expect("an answer");
        assert!(!ready.ready, "nothing was programmed");
        table.away.store(false, Ordering::Relaxed);
        notice(&mut watcher, "table-found").await;
        story.ready().await;
        assert_eq!(story.servers(), [(one, 1)]);
    });
}

#[test]
fn a_helper_that_never_answers_holds_up_nobody() {
    run(async {
        let (listening, at) = listener().await;
        let table = Moody::default();
        let story = Story::start(web(&[at]), table.clone(), never()).await;
        let mut client = story.ready().await;
        let mut watcher = watch(&story).await;
        table.silent.store(true, Ordering::Relaxed);
        drop(listening);
        notice(&mut watcher, "real-down").await;
        let status: Status = client.call(&Request::Status {}).await.expect("a status");
        assert_eq!(status.virtuals[0].reals[0].state, RealState::Down);
        let _again = TcpListener::bind(at).await.expect("the port again");
        notice(&mut watcher, "real-up").await;
    });
}

#[test]
fn a_reload_reads_in_the_background_and_a_broken_file_changes_nothing() {
    run(async {
        let ((_first, one), (_second, two)) = (listener().await, listener().await);
        let (answers, questions) = mpsc::channel::<Result<Config, Vec<String>>>();
        let questions = Mutex::new(questions);
        let reread: Reread = Arc::new(move || {
            let questions = questions.lock().expect("one reader at a time");
            questions.recv_timeout(PATIENCE).expect("an answer")
        });
        let story = Story::start(web(&[one]), Moody::default(), reread).await;
        let mut client = story.ready().await;
        let mut other = story.client().await;
        let broken = async {
            let fault = client.call::<()>(&Request::Reload {}).await.expect_err("broken");
            assert!(matches!(&fault, CallError::Refused(f) if f.message == "a.cf:1:1: nonsense"), "{fault}");
        };
        let meanwhile = async {
            // Answered although the file is still being read.
            let ready: Ready = other.call(&Request::Ready {}).await.expect("an answer");
            assert!(ready.ready);
            answers.send(Err(vec!["a.cf:1:1: nonsense".into()])).expect("somebody reads");
        };
        tokio::join!(broken, meanwhile);
        assert_eq!(story.servers(), [(one, 1)]);
        answers.send(Ok(web(&[one, two]))).expect("somebody reads");
        client.call::<()>(&Request::Reload {}).await.expect("reloaded");
        story.ready().await;
        let mut both = vec![(one, 1), (two, 1)];
        both.sort_unstable();
        assert_eq!(story.servers(), both);
    });
}
