//! `[heartbeatd.notify]` in lvs.toml: a command for each change worth telling.
//!
//! One call at a time, in the order of the changes, each with the change as one JSON object on its standard input. Nothing
//! waits for it: what the command has not come to is queued, and when too much is queued the rest is not told.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lvs::settings::notify::Notify;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::probe::Finding;
use super::script::{Group, Output};
use crate::core::{Level, Notice};

/// Changes that wait for the command; further ones are not told.
const BACKLOG: usize = 64;
/// How long the last calls may take when the program ends.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// One call.
#[derive(Debug)]
struct Change {
    json: Vec<u8>,
    environment: Vec<(&'static str, String)>,
}

/// Calls the command, if there is one.
#[derive(Debug)]
pub struct Notifier {
    host: String,
    calls: Option<(mpsc::Sender<Change>, JoinHandle<()>)>,
    /// Changes that were not told since the queue was full.
    lost: u64,
    /// Nodes of which it was told that they cannot be switched off; that is tried every few seconds.
    unfenced: BTreeSet<String>,
}

impl Notifier {
    /// `host`: this node's name.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if there is a command.
    #[must_use]
    pub fn start(notify: Option<&Notify>, host: &str) -> Self {
        let calls = notify.cloned().map(|Notify { command, timeout }| {
            let (sender, mut changes) = mpsc::channel::<Change>(BACKLOG);
            let calls = async move {
                while let Some(change) = changes.recv().await {
                    match call(&command, change, timeout).await {
                        Ok(Some(ended)) if ended.success() => {}
                        Ok(Some(ended)) => log::warn!("notify {command}: {ended}"),
                        Ok(None) => log::warn!("notify {command} took longer than {timeout:?} and was killed"),
                        Err(e) => log::warn!("cannot run notify {command}: {e}"),
                    }
                }
            };
            (sender, tokio::spawn(calls))
        });
        Self { host: host.to_owned(), calls, lost: 0, unfenced: BTreeSet::new() }
    }

    /// Tells of something the core has noticed, if it is a change.
    pub fn note(&mut self, notice: &Notice) {
        let again = match notice {
            Notice::Fencing { node } => {
                self.unfenced.remove(node);
                false
            }
            Notice::FenceFailed { node } => !self.unfenced.insert(node.clone()),
            _ => false,
        };
        if is_change(notice) && !again {
            self.tell(notice, notice.level(), &notice.to_string());
        }
    }

    /// Tells that others have an address too, or do no longer.
    pub fn found(&mut self, finding: &Finding) {
        let level = match finding {
            Finding::Duplicate { .. } => Level::Crit,
            Finding::Alone { .. } => Level::Info,
        };
        self.tell(finding, level, &finding.to_string());
    }

    /// Tells of anything else that has a name.
    pub fn tell(&mut self, what: &impl Serialize, level: Level, message: &str) {
        let Some((calls, _)) = &self.calls else { return };
        let Ok(change) = change(what, level, message, &self.host) else { return };
        match calls.try_send(change) {
            Ok(()) => self.note_lost(),
            Err(_) => self.lost += 1,
        }
    }

    fn note_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            log::warn!("notify: {lost} changes were not told, because {BACKLOG} were waiting");
        }
    }

    /// Lets the last calls end, but not for long.
    pub fn finish(mut self) -> impl Future<Output = ()> {
        self.note_lost();
        let last = self.calls.map(|(_, calls)| calls);
        async move {
            if let Some(last) = last
                && tokio::time::timeout(LAST_CALLS, last).await.is_err()
            {
                log::warn!("notify: the last changes are not told any more");
            }
        }
    }
}

/// What somebody has to know who is not looking: who is there, who has what, and everything that is wrong, but for what may
/// come with any message.
fn is_change(notice: &Notice) -> bool {
    use Notice as N;
    match notice {
        N::LateHeartbeat { .. }
        | N::Lost { .. }
        | N::LostALot { .. }
        | N::Irretrievable { .. }
        | N::CannotResend { .. }
        | N::ResendOfUnsent { .. }
        | N::BadAck { .. }
        | N::Replay { .. }
        | N::WeakSignature { .. }
        | N::OldGeneration { .. }
        | N::UnknownNode { .. }
        | N::UuidClash { .. } => false,
        N::LinkUp { .. }
        | N::LinkDead { .. }
        | N::PeerStatus { .. }
        | N::PeerRestarted { .. }
        | N::PeerLeft { .. }
        | N::Fencing { .. }
        | N::Fenced { .. }
        | N::KnownOff { .. }
        | N::Restored { .. }
        | N::Maintenance { .. }
        | N::Restarting
        | N::CommunicationUp
        | N::Listening
        | N::Started { .. }
        | N::Released { .. }
        | N::Unstuck { .. }
        | N::Ready
        | N::ShuttingDown
        | N::ShutdownComplete { .. } => true,
        other => other.level() > Level::Info,
    }
}

fn change(what: &impl Serialize, level: Level, message: &str, host: &str) -> Result<Change, serde_json::Error> {
    let mut change = serde_json::to_value(what)?;
    let text = |name: &str| change.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let level = serde_json::to_value(level)?;
    let environment = vec![
        ("LVS_NOTICE", text("notice")),
        ("LVS_LEVEL", level.as_str().unwrap_or_default().to_owned()),
        ("LVS_HOST", host.to_owned()),
        ("LVS_NODE", text("node")),
        ("LVS_GROUP", text("group")),
        ("LVS_MESSAGE", message.to_owned()),
    ];
    change["level"] = level;
    change["host"] = host.into();
    change["message"] = message.into();
    change["time"] = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).into();
    Ok(Change { json: (change.to_string() + "\n").into_bytes(), environment })
}

/// How it ended; `None` if it took too long.
async fn call(command: &str, change: Change, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let (mut output, writer) = Output::new(format!("notify {command}"))?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .envs(change.environment)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    let stdin = child.stdin.take();
    let mut group = Group::of(child);
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // Whoever goes by the environment need not read it.
            _ = stdin.write_all(&change.json).await;
        }
    };
    let ended = tokio::time::timeout(limit, async {
        let fed = async { tokio::join!(feed, group.wait()).1 };
        tokio::select! {
            biased;
            ended = fed => ended,
            never = output.read_for_ever() => match never {},
        }
    });
    match ended.await {
        Ok(ended) => {
            let ended = ended?;
            output.finish().await;
            Ok(Some(ended))
        }
        Err(_) => {
            group.end().await;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    fn notifier(command: String, timeout: Duration) -> Notifier {
        Notifier::start(Some(&Notify { command, timeout }), "lvs1")
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn started(nth: usize) -> Notice {
        Notice::Started { group: format!("10.0.0.{nth}") }
    }

    #[test]
    fn each_change_is_one_call_after_the_other_in_order_with_the_change_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        // Calls that ran beside each other would be told by the lock, and out of order by their numbers.
        let lock = folder.path().join("lock");
        let command = format!("mkdir {0} && cat >> {1} && rmdir {0}", lock.display(), path.display());
        run(async {
            let mut notifier = notifier(command, Duration::from_secs(20));
            (0..10).for_each(|nth| notifier.note(&started(nth)));
            notifier.note(&Notice::LateHeartbeat { node: "lvs2".into(), interval_ms: 1, deadtime_ms: 2 });
            notifier.finish().await;
        });
        let told = lines(&path);
        let groups: Vec<String> = told.iter().map(|line| line["group"].as_str().unwrap().to_owned()).collect();
        assert_eq!(groups, (0..10).map(|nth| format!("10.0.0.{nth}")).collect::<Vec<_>>());
        let mut first = told[0].clone();
        assert!(first["time"].take().as_u64().is_some_and(|time| time > 1_700_000_000));
        let expected = serde_json::json!({"notice": "started", "group": "10.0.0.0", "level": "info", "host": "lvs1",
            "message": "resource group 10.0.0.0 runs here", "time": null});
        assert_eq!(first, expected);
    }

    #[test]
    fn that_a_node_cannot_be_switched_off_is_told_once_for_each_of_its_deaths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        let (fencing, failed) = (Notice::Fencing { node: "lvs2".into() }, Notice::FenceFailed { node: "lvs2".into() });
        run(async {
            let mut notifier = notifier(format!("cat >> {}", path.display()), Duration::from_secs(20));
            for notice in [&fencing, &failed, &failed, &failed, &fencing, &failed] {
                notifier.note(notice);
            }
            notifier.finish().await;
        });
        let told: Vec<String> = lines(&path).iter().map(|line| line["notice"].as_str().unwrap().to_owned()).collect();
        assert_eq!(told, ["fencing", "fence-failed", "fencing", "fence-failed"]);
    }

    #[test]
    fn what_it_is_about_is_in_the_environment_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        let words = "$LVS_NOTICE $LVS_LEVEL $LVS_HOST $LVS_NODE $LVS_GROUP";
        run(async {
            let mut notifier = notifier(format!("echo \"{words}\" >> {}", path.display()), Duration::from_secs(20));
            notifier.note(&Notice::PeerStuck { group: "Filesystem::/dev/sdb".into(), node: "lvs2".into() });
            notifier.finish().await;
        });
        let told = std::fs::read_to_string(&path).unwrap();
        assert_eq!(told, "peer-stuck crit lvs1 lvs2 Filesystem::/dev/sdb\n");
    }

    #[test]
    fn a_command_that_hangs_is_killed_and_the_next_change_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        let command = format!("[ $LVS_GROUP = 10.0.0.0 ] && sleep 600; echo '{{}}' >> {}", path.display());
        run(async {
            let mut notifier = notifier(command, Duration::from_millis(300));
            (0..2).for_each(|nth| notifier.note(&started(nth)));
            notifier.finish().await;
        });
        assert_eq!(lines(&path).len(), 1);
    }

    #[test]
    fn whoever_tells_does_not_wait_and_what_is_too_much_is_counted() {
        let began = Instant::now();
        let lost = run(async {
            let mut notifier = notifier("sleep 600".into(), Duration::from_secs(600));
            (0..BACKLOG + 7).for_each(|nth| notifier.note(&started(nth)));
            notifier.lost
        });
        assert_eq!(lost, 7);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
