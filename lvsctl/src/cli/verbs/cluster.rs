//! The verbs that ask heartbeatd and ldirectord over their sockets.

mod text;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::fail;
use crate::control::{self, heartbeatd, ldirectord};
use crate::ipc::{CallError, Client, ConnectError};
use crate::settings::{self, Settings, SettingsError};

/// Most of an answer at the terminal that is read, bytes.
const LONGEST_ANSWER: u64 = 64;

/// Which groups move, seen from this node.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Set {
    /// Every group
    #[default]
    All,
    /// Groups whose home is this node
    Local,
    /// Groups whose home is another node
    Foreign,
}

impl From<Set> for heartbeatd::Set {
    fn from(set: Set) -> Self {
        match set {
            Set::All => Self::All,
            Set::Local => Self::Local,
            Set::Foreign => Self::Foreign,
        }
    }
}

/// Where the daemons are.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// The settings that all daemons share: where sockets are
    #[arg(long, value_name = "FILE", default_value = settings::PATH)]
    settings: PathBuf,
    /// The directory of the sockets, if it is not the one that the settings name
    #[arg(long, value_name = "DIRECTORY")]
    sockets: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Switch {
    /// Which groups
    #[arg(value_enum, default_value_t)]
    set: Set,
    /// One group alone, by its first resource as "status --cluster" names it, or an address that it has
    #[arg(long, conflicts_with = "set")]
    group: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Switched {
    /// Nothing is taken or given by itself
    On,
    /// What was left undone is done at once
    Off,
}

#[derive(Debug, clap::Args)]
pub(super) struct Maintenance {
    /// Whether
    #[arg(value_enum)]
    state: Switched,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Dead {
    /// The node, which must have been seen to be off: if it is not, both directors serve at the same time
    node: String,
    /// Without the question whether it is
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    at: Where,
}

/// Why a daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("cannot start")]
    Runtime(#[from] std::io::Error),
}

/// What the daemons of this node say.
#[derive(Debug, Serialize, Deserialize)]
struct Cluster {
    /// `None` if it does not run.
    heartbeatd: Option<heartbeatd::Status>,
    /// `None` if it does not run.
    ldirectord: Option<ldirectord::Status>,
}

/// `lvsctl standby`: answered when the peer has the groups.
pub(super) fn standby(Switch { set, group, at }: Switch) -> u8 {
    let request = heartbeatd::Request::Standby { set: set.into(), group };
    done(ask::<IgnoredAny>(&at, heartbeatd::SPEAKS, None, &request))
}

/// `lvsctl takeover`: answered when this node has the groups.
pub(super) fn takeover(Switch { set, group, at }: Switch) -> u8 {
    let request = heartbeatd::Request::Takeover { set: set.into(), group };
    done(ask::<IgnoredAny>(&at, heartbeatd::SPEAKS, None, &request))
}

/// `lvsctl maintenance`: answered when it is in force and stored.
pub(super) fn maintenance(Maintenance { state, at }: &Maintenance) -> u8 {
    let request = heartbeatd::Request::Maintenance { on: matches!(state, Switched::On) };
    done(ask::<IgnoredAny>(at, heartbeatd::SPEAKS, None, &request))
}

/// `lvsctl confirm-dead`: answered when it is known here.
pub(super) fn confirm_dead(Dead { node, yes, at }: &Dead) -> u8 {
    if !yes {
        // Without anybody to read it nobody will say yes either.
        let _ = write!(std::io::stderr(), "Is {node} off? If it still runs, two directors have the addresses. [y/N] ");
        let mut line = String::new();
        let read = std::io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut line);
        if read.is_err() || !matches!(line.trim(), "y" | "Y" | "yes") {
            super::complain(&"Nothing was said.");
            return super::FAILED;
        }
    }
    let request = heartbeatd::Request::ConfirmDead { node: node.clone() };
    done(ask::<IgnoredAny>(at, heartbeatd::SPEAKS, None, &request))
}

/// `lvsctl status --cluster`; fails only where a daemon is there and does not answer.
pub(super) fn status(at: &Where, json: bool) -> u8 {
    match read(at) {
        Ok(cluster) => {
            let text = if json {
                serde_json::to_string_pretty(&cluster).expect("these types have string keys") + "\n"
            } else {
                text::cluster(&cluster)
            };
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Err(error) => fail(&error),
    }
}

fn read(at: &Where) -> Result<Cluster, Error> {
    Ok(Cluster {
        heartbeatd: if_running(ask(at, heartbeatd::SPEAKS, None, &heartbeatd::Request::Status {}))?,
        ldirectord: if_running(checker(at, None))?,
    })
}

/// `None` if nobody listens.
pub(super) fn if_running<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    match answer {
        Ok(status) => Ok(Some(status)),
        Err(Error::Connect(ConnectError::Connect { source, .. }))
            if matches!(source.kind(), NotFound | ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn done<T>(answer: Result<T, Error>) -> u8 {
    match answer {
        Ok(_) => 0,
        Err(error) => fail(&error),
    }
}

/// Everything that ldirectord knows, however many pages that is.
pub(super) fn checker(at: &Where, instance: Option<&str>) -> Result<ldirectord::Status, Error> {
    let speaks = ldirectord::SPEAKS;
    let name = instance.map_or_else(|| speaks.to_owned(), |instance| format!("{speaks}.{instance}"));
    let path = control::socket(&at.directory()?, &name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut daemon = Client::connect(&path, ldirectord::SPEAKS).await?;
        Ok(ldirectord::status(&mut daemon).await?)
    })
}

impl Where {
    fn directory(&self) -> Result<PathBuf, SettingsError> {
        match &self.sockets {
            Some(directory) => Ok(directory.clone()),
            None => Ok(Settings::read(&self.settings)?.sockets),
        }
    }
}

/// Asks a daemon one thing.
pub(super) fn ask<T: DeserializeOwned>(
    at: &Where,
    speaks: &'static str,
    instance: Option<&str>,
    request: &impl Serialize,
) -> Result<T, Error> {
    let directory = at.directory()?;
    let name = instance.map_or_else(|| speaks.to_owned(), |instance| format!("{speaks}.{instance}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut daemon = Client::connect(&control::socket(&directory, &name), speaks).await?;
        Ok(daemon.call(request).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{Fault, Greeting, Listen, Policy, Server, VERSION};
    use tempfile::TempDir;

    fn at(directory: &TempDir) -> Where {
        Where { settings: "/nonexistent".into(), sockets: Some(directory.path().to_owned()) }
    }

    /// A heartbeatd that answers one request.
    async fn answer_one(mut server: Server<heartbeatd::Request>) {
        let call = server.next_call().await;
        let refused = match &call.request {
            heartbeatd::Request::Standby { set, group: None } => format!("cannot give {set:?}"),
            other => panic!("not asked for: {other:?}"),
        };
        call.answer::<()>(Err(Fault::new("refused", refused)));
        // The client reads the answer and closes; the next call never comes.
        server.next_call().await;
    }

    #[test]
    fn a_switch_is_asked_for_and_its_refusal_is_told() {
        let directory = TempDir::new().expect("a directory");
        let greeting =
            Greeting { speaks: "heartbeatd".into(), version: VERSION, program: "test".into(), node: "lvs1".into() };
        let path = control::socket(directory.path(), heartbeatd::SPEAKS);
        let (listening, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let policy = Policy::default();
                let server = Server::bind(Listen { path, mode: 0o600, group: None, greeting, policy }).await;
                listening.send(()).expect("the test waits");
                answer_one(server.expect("it listens")).await;
            });
        });
        ready.recv().expect("it listens");
        let request = heartbeatd::Request::Standby { set: Set::Local.into(), group: None };
        let answer = ask::<IgnoredAny>(&at(&directory), heartbeatd::SPEAKS, None, &request);
        assert_eq!(crate::diag::chain(&answer.expect_err("refused")), "cannot give Local");
    }

    #[test]
    fn a_daemon_that_does_not_run_is_part_of_the_picture() {
        let directory = TempDir::new().expect("a directory");
        let cluster = read(&at(&directory)).expect("nothing is wrong");
        assert_eq!(text::cluster(&cluster), "heartbeatd does not run here\nldirectord does not run here\n");
    }
}
