//! Programs of ha.cf that run beside the daemon (`respawn`, `failfast`): started as their user, started again when they
//! end, stopped at the end in the reverse order.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use super::script::{Group, Output};
use crate::config::Helper;
use crate::core::{Next, Respawn};

/// One program has ended.
struct End {
    which: usize,
    /// `None`: it could not be started.
    status: Option<ExitStatus>,
}

struct Running {
    helper: Helper,
    respawn: Respawn,
    since: Instant,
    /// Ends the program when it is used or dropped; answered when the program is gone.
    stop: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

/// All of them.
pub struct Helpers {
    each: Vec<Running>,
    started: bool,
    ends: (mpsc::Sender<End>, mpsc::Receiver<End>),
}

/// What the driver has to do itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootWanted {
    /// The program whose end is the node's.
    pub program: String,
}

impl Helpers {
    /// None runs yet.
    #[must_use]
    pub fn new(helpers: &[Helper]) -> Self {
        let running = |helper: &Helper| Running {
            helper: helper.clone(),
            respawn: Respawn::new(helper.failfast),
            since: Instant::now(),
            stop: None,
        };
        Self { each: helpers.iter().map(running).collect(), started: false, ends: mpsc::channel(16) }
    }

    /// Communication is up: all are started, the first time this is called.
    pub fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            (0..self.each.len()).for_each(|which| self.spawn(which, Duration::ZERO));
        }
    }

    fn spawn(&mut self, which: usize, pause: Duration) {
        let Some(running) = self.each.get_mut(which) else { return };
        let helper = running.helper.clone();
        let (stop, mut stopped) = oneshot::channel();
        running.stop = Some(stop);
        running.since = Instant::now() + pause;
        let ends = self.ends.0.clone();
        tokio::spawn(async move {
            if !pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // There is nothing to be ended.
                    _ = &mut stopped => return,
                }
            }
            log::info!("Starting child client \"{}\" ({},{})", shown(&helper), helper.uid, helper.gid);
            let status = match live(&helper, stopped).await {
                Ok(Some(status)) => Some(status),
                // It was stopped, and that has been answered.
                Ok(None) => return,
                Err(e) => {
                    log::error!("cannot start {}: {e}", shown(&helper));
                    None
                }
            };
            // The loop may have ended meanwhile.
            let _ = ends.send(End { which, status }).await;
        });
    }

    /// Waits for the end of a program and starts it again if that is what is to be done. Cancel-safe.
    pub async fn next(&mut self) -> RebootWanted {
        loop {
            let Some(End { which, status }) = self.ends.1.recv().await else { std::future::pending().await };
            let Some(running) = self.each.get_mut(which) else { continue };
            let (program, user) = (shown(&running.helper), &running.helper.user);
            let next = match status {
                Some(status) => {
                    match status.signal() {
                        Some(signal) => log::warn!("Managed {program} of {user} killed by signal {signal}"),
                        None => log::warn!("Managed {program} of {user} ended: {status}"),
                    }
                    running.respawn.ended(running.since.elapsed(), status.code())
                }
                None => running.respawn.not_started(),
            };
            match next {
                Next::Again => {
                    log::info!("Respawning client \"{program}\"");
                    self.spawn(which, Duration::ZERO);
                }
                Next::Later(pause) => {
                    log::error!("{program} could not be started: it is tried again in {} s", pause.as_secs());
                    self.spawn(which, pause);
                }
                Next::TooFast if status.is_none() => {
                    log::error!("{program} could not be started, time after time: it is not tried again");
                }
                Next::Done => log::info!("{program} asked not to be started again"),
                Next::TooFast => log::error!("Client {program} \"respawning too fast\": it is not started again"),
                Next::Reboot => return RebootWanted { program },
            }
        }
    }

    /// Ends all of them, one after the other, the last one first.
    pub async fn stop(mut self) {
        for running in self.each.iter_mut().rev() {
            let Some(stop) = running.stop.take() else { continue };
            let (done, gone) = oneshot::channel();
            if stop.send(done).is_ok() {
                log::info!("killing {} process group with signal 15", shown(&running.helper));
                // Dropped unanswered by a program that had just ended.
                let _ = gone.await;
            }
        }
    }
}

fn shown(helper: &Helper) -> String {
    let args: String = helper.args.iter().map(|arg| format!(" {arg}")).collect();
    format!("{}{args}", helper.program.display())
}

/// One life. `None`: it was stopped.
async fn live(helper: &Helper, stopped: oneshot::Receiver<oneshot::Sender<()>>) -> io::Result<Option<ExitStatus>> {
    let (mut output, writer) = Output::new(shown(helper))?;
    let child = Command::new(&helper.program)
        .args(&helper.args)
        .uid(helper.uid)
        .gid(helper.gid)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    let mut group = Group::of(child);
    tokio::select! {
        ended = group.wait() => {
            output.finish().await;
            ended.map(Some)
        }
        stop = stopped => {
            group.end().await;
            if let Ok(done) = stop {
                // Whoever asked may not wait any longer.
                let _ = done.send(());
            }
            Ok(None)
        }
        never = output.read_for_ever() => match never {},
    }
}

/// Reboots the machine at once, without writing anything back: a node whose `failfast` program has died is to be gone, and
/// what it holds with it.
///
/// # Errors
/// Without the privilege.
pub fn reboot() -> io::Result<()> {
    Ok(rustix::system::reboot(rustix::system::RebootCommand::Restart)?)
}
