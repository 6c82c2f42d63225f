//! What ldirectord on this node says of itself.
//!
//! A task of its own keeps a connection to each ldirectord that haresources names and tells
//! the driver when all of them have finished a full round of checks. The driver is never kept
//! waiting: orders (`activate`, `deactivate`) are handed to the task.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lvs::control::ldirectord::{Ready, Request, SPEAKS};
use lvs::ipc::{CallError, Client};
use serde::de::IgnoredAny;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Between two questions, when it has told of nothing meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// The least between two: thousands of servers may fail at once, and heartbeats are sent on the same thread.
const LEAST: Duration = Duration::from_millis(5);
/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(5);
/// Boot order is nobody's business: an ldirectord that is not there yet is waited for that long.
/// Then this node takes part without it, and its script is asked to start it.
const PATIENCE: Duration = Duration::from_secs(30);
/// A restart of ldirectord is no reason to call the node unfit.
const ABSENCE: Duration = Duration::from_secs(10);

/// How an ldirectord stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not heard from, or its first round is not done.
    Waiting,
    /// It has finished a full round of checks.
    Ready,
    /// It does not run here; its script is to start it with the group.
    Absent,
}

/// The connection to one ldirectord; its copies share it.
#[derive(Debug, Clone)]
pub struct Ldirectord {
    standing: watch::Receiver<Standing>,
    orders: mpsc::Sender<Request>,
}

impl Ldirectord {
    /// Begins to watch the ldirectord behind this socket. Needs a tokio runtime.
    #[must_use]
    pub fn watch(socket: PathBuf) -> Self {
        Self::asked_every(PAUSE, socket)
    }

    fn asked_every(pause: Duration, socket: PathBuf) -> Self {
        let (tell, standing) = watch::channel(Standing::Waiting);
        let (orders, ordered) = mpsc::channel(8);
        tokio::spawn(follow(socket, pause, tell, ordered));
        Self { standing, orders }
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Waits until that changes. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            // The task ends only with the runtime.
            std::future::pending().await
        }
    }

    /// Tells it that this node has, or no longer has, the virtual addresses. It works the same
    /// either way; it is told for its own status.
    pub fn order(&self, active: bool) {
        let order = if active { Request::Activate {} } else { Request::Deactivate {} };
        if self.orders.try_send(order).is_err() {
            log::debug!("ldirectord is not listening to orders");
        }
    }
}

async fn follow(socket: PathBuf, pause: Duration, tell: watch::Sender<Standing>, mut ordered: mpsc::Receiver<Request>) {
    let mut judge = Judge::new(Instant::now());
    let mut client = None;
    let mut last_order: Option<Request> = None;
    // One order at a time: the latest is the one that counts.
    let mut giving = JoinSet::new();
    let stirred = Arc::new(Notify::new());
    // Ends with this task.
    let mut stirring = JoinSet::new();
    stirring.spawn(stir(socket.clone(), Arc::clone(&stirred)));
    loop {
        if client.is_none() {
            client = connect(&socket).await;
            if let (Some(_), Some(order)) = (&client, &last_order) {
                giving.shutdown().await;
                giving.spawn(give(socket.clone(), order.clone()));
            }
        }
        let asked = Instant::now();
        let answer = match &mut client {
            Some(connected) => ask(connected).await,
            None => None,
        };
        if answer.is_none() {
            client = None;
        }
        let standing = judge.hear(Instant::now(), answer);
        let changed = tell.send_if_modified(|current| std::mem::replace(current, standing) != standing);
        if changed && standing == Standing::Absent {
            log::warn!("{}", absence(&socket));
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = async { tokio::join!(stirred.notified(), sleep_until(asked + LEAST)); } => {}
            order = ordered.recv() => {
                let Some(order) = order else { return };
                if client.is_some() {
                    giving.shutdown().await;
                    giving.spawn(give(socket.clone(), order.clone()));
                }
                last_order = Some(order);
            }
        }
    }
}

/// Wakes whoever asks each time that ldirectord has news: a node that has just lost sight of its servers must not be given
/// a group on the word of an answer from before.
async fn stir(socket: PathBuf, stirred: Arc<Notify>) {
    loop {
        if let Some(mut client) = connect(&socket).await
            && client.call::<IgnoredAny>(&Request::Watch {}).await.is_ok()
        {
            while client.next_notice::<IgnoredAny>().await.is_ok() {
                stirred.notify_one();
            }
        }
        sleep(PAUSE).await;
    }
}

fn absence(socket: &Path) -> String {
    format!(
        "no ldirectord answers on {}: this node takes part without its checks; start it on both nodes, or its \
         resource script will, with the group",
        socket.display()
    )
}

async fn ask(client: &mut Client) -> Option<bool> {
    let ready = timeout(ANSWER, client.call::<Ready>(&Request::Ready {})).await.ok()?.ok()?;
    // A node that sees no server at all is not fit to be given the addresses: after a cut cable is
    // plugged in again, it first has to see them answer.
    Some(ready.ready && !ready.blind)
}

/// One that hangs takes connections up and does not greet: that is no connection.
async fn connect(socket: &Path) -> Option<Client> {
    timeout(ANSWER, Client::connect(socket, SPEAKS)).await.ok()?.ok()
}

/// On a connection of its own: `activate` is answered when the first round is done, and a question
/// behind it on the same connection would be answered no earlier.
async fn give(socket: PathBuf, order: Request) {
    let Some(mut client) = connect(&socket).await else { return };
    match client.call::<serde_json::Value>(&order).await {
        // A connection that broke is made again, and the order given again, by whoever watches.
        Ok(_) | Err(CallError::Lost { .. }) => {}
        Err(e) => log::warn!("ldirectord refuses an order: {}", lvs::diag::chain(&e)),
    }
}

/// What answers and silence come to.
struct Judge {
    /// When it last answered, or when the watch began.
    heard: Instant,
    ever: bool,
    standing: Standing,
}

impl Judge {
    fn new(now: Instant) -> Self {
        Self { heard: now, ever: false, standing: Standing::Waiting }
    }

    fn hear(&mut self, now: Instant, answer: Option<bool>) -> Standing {
        if answer.is_some() {
            self.heard = now;
            self.ever = true;
        }
        let silence = now.saturating_duration_since(self.heard);
        self.standing = match answer {
            Some(true) => Standing::Ready,
            Some(false) => Standing::Waiting,
            None if self.standing == Standing::Ready && silence < ABSENCE => Standing::Ready,
            None if silence >= if self.ever { ABSENCE } else { PATIENCE } => Standing::Absent,
            None if self.standing == Standing::Absent => Standing::Absent,
            None => Standing::Waiting,
        };
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs::ipc::{Greeting, Listen, Policy, Server, VERSION};

    #[test]
    fn an_ldirectord_that_is_started_late_is_waited_for() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        assert_eq!(judge.hear(start + Duration::from_secs(20), None), Standing::Waiting);
        assert_eq!(judge.hear(start + Duration::from_secs(21), Some(false)), Standing::Waiting);
        assert_eq!(judge.hear(start + Duration::from_secs(22), Some(true)), Standing::Ready);
    }

    #[test]
    fn a_restart_of_ldirectord_does_not_make_the_node_unfit() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        judge.hear(start, Some(true));
        assert_eq!(judge.hear(start + Duration::from_secs(9), None), Standing::Ready);
        assert_eq!(judge.hear(start + Duration::from_secs(11), None), Standing::Absent);
        assert_eq!(judge.hear(start + Duration::from_secs(12), Some(false)), Standing::Waiting);
    }

    #[test]
    fn a_node_without_ldirectord_takes_part_after_half_a_minute() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        assert_eq!(judge.hear(start + Duration::from_secs(29), None), Standing::Waiting);
        assert_eq!(judge.hear(start + Duration::from_secs(30), None), Standing::Absent);
        assert_eq!(judge.hear(start + Duration::from_secs(31), None), Standing::Absent);
    }

    #[tokio::test]
    async fn an_order_that_is_answered_late_does_not_hide_the_first_round() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ldirectord.sock");
        let mut server = server(&path).await;
        let mut ldirectord = Ldirectord::watch(path);
        ldirectord.order(true);
        // Ready from the moment on at which it has an order that it keeps.
        let serving = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let call = server.next_call().await;
                match call.request {
                    Request::Activate {} => kept.push(call),
                    _ => call.answer(Ok(Ready { ready: !kept.is_empty(), blind: false })),
                }
            }
        });
        ldirectord.changed().await;
        assert_eq!(ldirectord.standing(), Standing::Ready);
        serving.abort();
    }

    #[tokio::test]
    async fn whoever_has_news_is_asked_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ldirectord.sock");
        let mut server = server(&path).await;
        // But for its news it would be asked once.
        let mut ldirectord = Ldirectord::asked_every(Duration::from_secs(3600), path);
        let serving = tokio::spawn(async move {
            let (mut watched, mut asked, mut blind) = (false, false, false);
            loop {
                let call = server.next_call().await;
                match call.request {
                    Request::Watch {} => {
                        watched = true;
                        call.answer_watch(&());
                    }
                    _ => {
                        asked = true;
                        call.answer(Ok(Ready { ready: true, blind }));
                    }
                }
                if watched && asked && !blind {
                    blind = true;
                    server.notify(&());
                }
            }
        });
        for standing in [Standing::Ready, Standing::Waiting] {
            timeout(ANSWER, ldirectord.changed()).await.expect("news");
            assert_eq!(ldirectord.standing(), standing);
        }
        serving.abort();
    }

    async fn server(path: &Path) -> Server<Request> {
        let greeting = Greeting { speaks: SPEAKS.into(), version: VERSION, program: "test".into(), node: "a".into() };
        let listen = Listen { path: path.into(), mode: 0o600, group: None, greeting, policy: Policy::default() };
        Server::bind(listen).await.expect("a socket")
    }

    #[tokio::test]
    async fn an_ldirectord_that_takes_connections_and_says_nothing_is_given_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ldirectord.sock");
        let _silent = tokio::net::UnixListener::bind(&path).expect("a socket");
        assert!(timeout(ANSWER * 4, connect(&path)).await.expect("an end").is_none());
    }
}
