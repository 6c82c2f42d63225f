//! A node is switched off, by the devices of ha.cf in their order (spec/heartbeat.md 7.4).
//!
//! A fence agent reads what to do from its standard input, a line `KEY=VALUE` each, and ends with 0 when it is done. One
//! that takes too long is killed with everything it started; one that says that a machine is off is asked whether it is.
//! The answer goes to the core, which decides what becomes of it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::{AbortHandle, JoinSet};

use super::script::{Group, Output};
use crate::config::{Agent, Fence};

/// How often a device is asked whether it would work.
const CHECK_EVERY: Duration = Duration::from_secs(3600);
/// The exit status of `action=status` for a machine that is off.
const OFF: i32 = 2;

/// Why a device did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// It could not be run, or told what to do.
    #[error("cannot run {name}")]
    Spawn {
        /// The agent.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with another exit status than 0.
    #[error("{name}, action {action}: {ended}")]
    Failed {
        /// The agent.
        name: String,
        /// `off`, `reboot`, `monitor`.
        action: &'static str,
        /// "exit status: 1".
        ended: ExitStatus,
    },
    /// It took too long and was killed.
    #[error("{name}, action {action}: took longer than {} s and was killed", after.as_secs())]
    TimedOut {
        /// The agent.
        name: String,
        /// `off`, `reboot`, `monitor`.
        action: &'static str,
        /// The limit.
        after: Duration,
    },
    /// It said that the machine is off, and when asked, that it is not.
    #[error("{name} says that it switched {node} off, and that {node} is on: it is not believed")]
    StillOn {
        /// The agent.
        name: String,
        /// The node.
        node: String,
    },
}

/// Switches a node off and makes sure of it.
///
/// # Errors
/// It is not known to be off.
pub async fn switch_off(agent: &Agent, node: &str) -> Result<(), FenceError> {
    let action = if agent.off { "off" } else { "reboot" };
    succeed(agent, action, node).await?;
    if !agent.off {
        return Ok(());
    }
    let ended = run(agent, "status", node).await?;
    match ended.code() {
        Some(OFF) => Ok(()),
        Some(0) => Err(FenceError::StillOn { name: agent.name.clone(), node: node.to_owned() }),
        _ => {
            log::warn!("{}: cannot say whether {node} is off ({ended}); its word is taken", agent.name);
            Ok(())
        }
    }
}

/// Whether the device would work.
///
/// # Errors
/// It would not.
pub async fn check(agent: &Agent, node: &str) -> Result<(), FenceError> {
    succeed(agent, "monitor", node).await
}

async fn succeed(agent: &Agent, action: &'static str, node: &str) -> Result<(), FenceError> {
    match run(agent, action, node).await? {
        ended if ended.success() => Ok(()),
        ended => Err(FenceError::Failed { name: agent.name.clone(), action, ended }),
    }
}

async fn run(agent: &Agent, action: &'static str, node: &str) -> Result<ExitStatus, FenceError> {
    let spawn = |source| FenceError::Spawn { name: agent.name.clone(), source };
    let (mut output, writer) = Output::new(format!("{} {action}", agent.name)).map_err(spawn)?;
    let mut told = format!("action={action}\nnodename={node}\n");
    if let Some(plug) = agent.plug(node) {
        told.push_str(&format!("plug={plug}\n"));
    }
    agent.options.iter().for_each(|(key, value)| told.push_str(&format!("{key}={value}\n")));
    let mut child = Command::new(&agent.program)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(writer.try_clone().map_err(spawn)?)
        .stderr(writer)
        .process_group(0)
        .spawn()
        .map_err(spawn)?;
    let stdin = child.stdin.take();
    let mut group = Group::of(child);
    let ended = tokio::time::timeout(agent.patience, async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing is judged by how it ends.
            let _ = stdin.write_all(told.as_bytes()).await;
        }
        tokio::select! {
            biased;
            ended = group.wait() => ended,
            never = output.read_for_ever() => match never {},
        }
    });
    match ended.await {
        Ok(ended) => {
            let ended = ended.map_err(spawn)?;
            output.finish().await;
            Ok(ended)
        }
        Err(_) => {
            group.end().await;
            Err(FenceError::TimedOut { name: agent.name.clone(), action, after: agent.patience })
        }
    }
}

/// The devices of this node.
pub struct Fencer {
    targets: Vec<Target>,
    /// The attempts under way, and those that were stopped and have not ended yet: dropped, each ends, and every program
    /// it has started is killed.
    running: JoinSet<bool>,
    check_at: Option<Instant>,
}

/// Another node.
struct Target {
    node: String,
    devices: Vec<Fence>,
    under_way: Option<Attempt>,
    /// An administrator was asked.
    asked: bool,
}

struct Attempt {
    number: u64,
    task: AbortHandle,
}

impl Fencer {
    /// The devices that switch these nodes off.
    #[must_use]
    pub fn new<'a>(devices: &[Fence], nodes: impl IntoIterator<Item = &'a str>, now: Instant) -> Self {
        let any = devices.iter().any(|device| matches!(device, Fence::Agent(_)));
        let target = |node: &str| Target {
            node: node.to_owned(),
            devices: devices.iter().filter(|device| device.is_for(node)).cloned().collect(),
            under_way: None,
            asked: false,
        };
        Self { targets: nodes.into_iter().map(target).collect(), running: JoinSet::new(), check_at: any.then_some(now) }
    }

    fn target(&mut self, node: &str) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.node == node)
    }

    /// Begins the attempt with this number. An earlier one at the same node is stopped: it was for another death.
    pub fn fence(&mut self, node: &str, number: u64) {
        self.stop(node);
        let Some(target) = self.targets.iter_mut().find(|target| target.node == node) else { return };
        let (devices, node) = (target.devices.clone(), target.node.clone());
        let ask = !std::mem::replace(&mut target.asked, true);
        let task = self.running.spawn(async move {
            for device in &devices {
                let Fence::Agent(agent) = device else { continue };
                log::info!("Resetting node {node} with [{}]", agent.name);
                match switch_off(agent, &node).await {
                    Ok(()) => return true,
                    Err(e) => log::error!("Host {node} not reset! {}", lvs::diag::chain(&e)),
                }
            }
            if devices.contains(&Fence::Manual) && ask {
                log::error!(
                    "OPERATOR INTERVENTION REQUIRED to reset {node}: its groups are not taken before. Make sure that it \
                     is off, and then say so: \"lvsctl confirm-dead {node}\", or \"meatclient -c {node}\""
                );
            }
            false
        });
        target.under_way = Some(Attempt { number, task });
    }

    /// Stops the attempt under way: its agent is killed with everything it started, no further device is tried, and there
    /// is no answer.
    pub fn stop(&mut self, node: &str) {
        if let Some(attempt) = self.target(node).and_then(|target| target.under_way.take()) {
            log::info!("The attempt to reset node {node} is stopped: nobody waits for it any more");
            attempt.task.abort();
        }
    }

    /// Another death than the last one: an administrator is asked again.
    pub fn begins(&mut self, node: &str) {
        if let Some(target) = self.target(node) {
            target.asked = false;
        }
    }

    /// The number of an attempt, and whether the node is off, when it has ended; never, when there is none. Cancel-safe.
    pub async fn ended(&mut self) -> (u64, bool) {
        loop {
            let (id, ok) = match self.running.join_next_with_id().await {
                Some(Ok(ended)) => ended,
                // One that did not come to its end has switched nobody off.
                Some(Err(e)) => (e.id(), false),
                None => std::future::pending().await,
            };
            let is_this = |target: &&mut Target| target.under_way.as_ref().is_some_and(|each| each.task.id() == id);
            let target = self.targets.iter_mut().find(is_this);
            if let Some(attempt) = target.and_then(|target| target.under_way.take()) {
                return (attempt.number, ok);
            }
        }
    }

    /// When [`Self::turn`] next has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.check_at
    }

    /// Asks the devices now and then whether they would work, so that it is known before they have to.
    pub fn turn(&mut self, now: Instant) {
        if self.check_at.is_none_or(|at| now < at) {
            return;
        }
        self.check_at = Some(now + CHECK_EVERY);
        for Target { node, devices, .. } in &self.targets {
            let (devices, node) = (devices.clone(), node.clone());
            tokio::spawn(async move {
                for device in &devices {
                    let Fence::Agent(agent) = device else { continue };
                    match check(agent, &node).await {
                        Ok(()) => log::info!("STONITH device {} is operational", agent.name),
                        Err(e) => log::error!(
                            "STONITH device {} not operational! {node} could not be switched off: {}",
                            agent.name,
                            lvs::diag::chain(&e)
                        ),
                    }
                }
            });
        }
    }
}
