use std::os::unix::fs::PermissionsExt;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
enum Ask {
    Double { number: u32 },
    Watch {},
    Forget {},
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Tick {
    tick: u32,
}

struct Room {
    directory: TempDir,
}

impl Room {
    fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("run/test.sock")
    }

    fn listen(&self) -> Listen {
        let greeting =
            Greeting { speaks: "test".into(), version: VERSION, program: "test 0".into(), node: "here".into() };
        Listen { path: self.path(), mode: 0o600, group: None, greeting, policy: Policy::default() }
    }

    async fn server(&self) -> Result<Server<Ask>, ListenError> {
        Server::bind(self.listen()).await
    }
}

fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story);
}

async fn answer_one(server: &mut Server<Ask>) {
    let call = server.next_call().await;
    match call.request {
        Ask::Double { number } => {
            let answer = number.checked_mul(2).ok_or_else(|| Fault::new("refused", "too large to double"));
            call.answer(answer);
        }
        Ask::Watch {} => call.answer_watch(&Tick { tick: 0 }),
        Ask::Forget {} => drop(call),
    }
}

#[test]
fn a_request_gets_its_answer_and_a_refusal_its_reason() {
    run(async {
        let room = Room::new();
        let mut server = room.server().await.expect("listens");
        let mode = std::fs::metadata(room.path()).expect("the socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let asking = async {
            let mut client = Client::connect(&room.path(), "test").await.expect("connects");
            assert_eq!(client.greeting().node, "here");
            assert_eq!(client.call::<u32>(&Ask::Double { number: 21 }).await.expect("an answer"), 42);
            let refused = client.call::<u32>(&Ask::Double { number: u32::MAX }).await.expect_err("too large");
            assert_eq!(refused.to_string(), "too large to double");
            let dropped = client.call::<u32>(&Ask::Forget {}).await.expect_err("no answer");
            assert!(dropped.to_string().contains("gave up"), "{dropped}");
        };
        let answering = async {
            for _ in 0..3 {
                answer_one(&mut server).await;
            }
        };
        tokio::join!(asking, answering);
    });
}

#[test]
fn a_watcher_gets_the_snapshot_and_then_every_notice_with_its_number() {
    run(async {
        let room = Room::new();
        let mut server = room.server().await.expect("listens");
        server.notify(&Tick { tick: 1 });
        let mut client = Client::connect(&room.path(), "test").await.expect("connects");
        let (snapshot, ()) = tokio::join!(client.call::<serde_json::Value>(&Ask::Watch {}), answer_one(&mut server));
        assert_eq!(snapshot.expect("a snapshot"), serde_json::json!({"tick": 0, "seq": 1}));
        server.notify(&Tick { tick: 2 });
        let notice: serde_json::Value = client.next_notice().await.expect("a notice");
        assert_eq!(notice, serde_json::json!({"tick": 2, "seq": 2}));
    });
}

#[test]
fn a_watcher_that_does_not_read_is_told_that_it_lagged_and_closed() {
    run(async {
        let room = Room::new();
        let mut server = room.server().await.expect("listens");
        let mut client = Client::connect(&room.path(), "test").await.expect("connects");
        let (snapshot, ()) = tokio::join!(client.call::<serde_json::Value>(&Ask::Watch {}), answer_one(&mut server));
        snapshot.expect("a snapshot");
        // Without a turn of the runtime nothing is written: the queue overflows.
        for tick in 0..u32::try_from(BACKLOG).expect("small") + 10 {
            server.notify(&Tick { tick });
        }
        let fault = loop {
            match client.next_notice::<serde_json::Value>().await {
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, CallError::Refused(Fault { ref code, .. }) if code == "lagged"), "{fault}");
    });
}

#[test]
fn a_line_without_end_closes_the_connection_and_garbage_is_answered() {
    run(async {
        let room = Room::new();
        let _server = room.server().await.expect("listens");
        let mut stream = UnixStream::connect(room.path()).await.expect("connects");
        stream.write_all(b"{\"op\":\"double\",\"id\":7}\n").await.expect("writes");
        stream.write_all(&vec![b'x'; MAX_LINE + 1]).await.expect("writes");
        let mut heard = String::new();
        // The server closes with unread bytes in its queue: a reset is as good an end as any.
        let _ = stream.read_to_string(&mut heard).await;
        assert!(heard.contains("\"id\":7") && heard.contains("bad-request"), "{heard}");
    });
}

#[test]
fn a_socket_left_behind_is_replaced_and_a_living_one_is_not() {
    run(async {
        let room = Room::new();
        std::fs::create_dir_all(room.path().parent().expect("a directory")).expect("made");
        drop(std::os::unix::net::UnixListener::bind(room.path()).expect("a socket nobody listens on any more"));
        let server = room.server().await.expect("replaced");
        assert!(matches!(room.server().await, Err(ListenError::InUse { .. })));
        drop(server);
        assert!(!room.path().exists());
    });
}

/// Connects with a first line heard, or is turned away.
async fn knock(path: &std::path::Path) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(path).await.expect("somebody listens");
    let mut first = [0];
    matches!(stream.read(&mut first).await, Ok(1)).then_some(stream)
}

#[test]
fn silent_connections_leave_room_for_those_who_program() {
    /// Nobody's connections are this process's own: so its uid gets the rank while they are open.
    fn programmer() -> Policy {
        Policy { programmers: vec![rustix::process::geteuid().as_raw()], ..Policy::default() }
    }
    run(async {
        let room = Room::new();
        let server = room.server().await.expect("listens");
        let root = rustix::process::geteuid().is_root();
        let mut silent = Vec::new();
        let common = if root { MAX_CONNECTIONS } else { MAX_CONNECTIONS - RESERVED_CONNECTIONS };
        for _ in 0..common {
            silent.push(knock(&room.path()).await.expect("there is room"));
        }
        assert!(knock(&room.path()).await.is_none(), "more than {common} connections");
        if !root {
            server.set_policy(programmer());
            for _ in 0..RESERVED_CONNECTIONS {
                silent.push(knock(&room.path()).await.expect("a reserved place"));
            }
            assert!(knock(&room.path()).await.is_none(), "more than the reserved places");
        }
        drop(silent);
    });
}

#[test]
fn a_socket_of_the_service_manager_is_taken_over_and_left_there() {
    run(async {
        let room = Room::new();
        std::fs::create_dir_all(room.path().parent().expect("a directory")).expect("made");
        let listener = std::os::unix::net::UnixListener::bind(room.path()).expect("listens");
        // Waits in the queue of the socket before there is a server.
        let early = UnixStream::connect(room.path()).await.expect("connects");
        let server = Server::<Ask>::adopt(listener, room.listen()).expect("adopted");
        let mode = std::fs::metadata(room.path()).expect("the socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut early = tokio::io::BufReader::new(early);
        let mut greeting = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut early, &mut greeting).await.expect("greeted");
        assert!(greeting.contains("\"speaks\":\"test\""), "{greeting}");
        drop(server);
        assert!(room.path().exists());
    });
}
