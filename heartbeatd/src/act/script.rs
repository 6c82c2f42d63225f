//! Resource scripts: found, run as children, never waited for longer than they may take
//! (spec/heartbeat.md 2.2-2.4).
//!
//! A script runs in a process group of its own, without a terminal and with its output in our
//! log. When its time is over, or nobody waits for it any longer, the whole group is killed.

mod output;
mod run;
mod status;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::config::Config;
pub(super) use output::Output;
pub use run::Run;
pub use status::says_running;

/// Who asks a script for its status waits with everything else of the group.
const LONGEST_STATUS: Duration = Duration::from_secs(60);
/// Between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(2);

/// Finds a resource script: `resource.d` of the folder, then /etc/init.d; a regular file that may
/// be executed (spec 2.2).
#[must_use]
pub fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join("resource.d").join(name), Path::new("/etc/init.d").join(name)]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// What a script is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bring the resource up.
    Start,
    /// Take it down; must succeed when it is down already.
    Stop,
    /// Say in words whether it runs.
    Status,
    /// The same, asked again and again: nobody wants to read it each time.
    Watch,
}

impl Action {
    /// The last argument of the script.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status | Self::Watch => "status",
        }
    }

    /// How long it may take where a start or a stop may take `timeout`.
    fn limit(self, timeout: Duration) -> Duration {
        if self.only_asks() { timeout.min(LONGEST_STATUS) } else { timeout }
    }

    /// Whether it changes nothing.
    fn only_asks(self) -> bool {
        matches!(self, Self::Status | Self::Watch)
    }
}

/// Why a script did not do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Neither in resource.d nor in init.d, or not executable.
    #[error("cannot locate resource script {name}: looked in {} and /etc/init.d for an executable file", folder.display())]
    NotFound {
        /// The script.
        name: String,
        /// `resource.d` of our folder.
        folder: PathBuf,
    },
    /// It could not be run at all.
    #[error("cannot run {}", path.display())]
    Spawn {
        /// The script.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with another exit status than 0.
    #[error("{action} of {resource}: {ended}")]
    Failed {
        /// `start` or `stop`.
        action: &'static str,
        /// As in haresources.
        resource: String,
        /// "exit status: 1", "signal: 9 (SIGKILL)".
        ended: ExitStatus,
    },
    /// It took too long and was killed.
    #[error("{action} of {resource} took longer than {} s and was killed", after.as_secs_f64())]
    TimedOut {
        /// `start`, `stop` or `status`.
        action: &'static str,
        /// As in haresources.
        resource: String,
        /// The limit.
        after: Duration,
    },
    /// It failed to stop time after time and says that it runs. What becomes of a node that
    /// cannot let go is for the caller to decide (fault 24).
    #[error("{resource} cannot be stopped after {tries} tries and still runs")]
    StillRunning {
        /// As in haresources.
        resource: String,
        /// How often it was tried.
        tries: u32,
    },
}

/// How a start went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It ran before.
    Already,
    /// It was started.
    Now,
}

/// How a stop went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The script said so.
    Cleanly,
    /// The script failed every time, but its status says that nothing runs: it does not keep to LSB.
    ByStatus,
}

/// A script with its arguments, as haresources names it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// File name.
    pub name: &'a str,
    /// What stands before the action.
    pub args: &'a [String],
}

impl fmt::Display for Call<'_> {
    /// "LogRsc::a"
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, "::{arg}"))
    }
}

/// Whom to tell what is under way.
#[derive(Clone)]
struct Tell(Arc<dyn Fn(Run) + Send + Sync>);

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

/// Runs resource scripts.
#[derive(Debug, Clone)]
pub struct Scripts {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    tell: Option<Tell>,
    /// How long a start or a stop may take; a status no longer than [`LONGEST_STATUS`] either.
    pub timeout: Duration,
    /// How often a failing stop is tried in all; 0 for ever (`HA_STOPRETRYMAX`).
    pub stop_tries: u32,
    /// Between two of these tries.
    pub stop_pause: Duration,
}

impl Scripts {
    /// With so long for a start or a stop, and ten tries a second apart to stop something.
    #[must_use]
    pub fn new(config: &Config, timeout: Duration) -> Self {
        let folder = config.directory.display();
        let mut environment: Vec<(String, String)> = [
            ("HA_DIR", folder.to_string()),
            ("HA_FUNCS", format!("{folder}/shellfuncs")),
            ("HA_CURHOST", config.ha_cf.local.clone()),
            ("HA_LOGD", "no".into()),
            ("HA_LOGFACILITY", config.ha_cf.facility.clone().unwrap_or_else(|| "daemon".into())),
            ("HA_DATEFMT", "%Y/%m/%d_%T ".into()),
            ("HA_debug", config.ha_cf.debug.to_string()),
            // The words of a status are looked for in English.
            ("LC_ALL", "C".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if !config.ha_cf.legacy {
            environment.push(("HA_NICEFAILBACK".into(), "yes".into()));
        }
        environment.extend(config.ha_cf.environment.iter().cloned());
        let tries = environment.iter().find(|(name, _)| name == "HA_STOPRETRYMAX").and_then(|(_, v)| v.parse().ok());
        Self {
            folder: config.directory.clone(),
            environment,
            tell: None,
            timeout,
            stop_tries: u32::try_from(tries.unwrap_or(10i64).max(0)).unwrap_or(0),
            stop_pause: Duration::from_secs(1),
        }
    }

    /// The same, with somebody who is told of each start and stop when it is under way, and does not wait.
    #[must_use]
    pub fn telling(&self, tell: impl Fn(Run) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Tell(Arc::new(tell))), ..self.clone() }
    }

    /// Whether the resource says that it runs.
    ///
    /// # Errors
    /// The script is not there, cannot be run or takes too long. Its exit status does not count.
    pub async fn is_running(&self, call: Call<'_>) -> Result<bool, ScriptError> {
        Ok(says_running(&self.run(call, Action::Status).await?.1))
    }

    /// The same, for whoever asks often: what the script says is logged at level debug.
    ///
    /// # Errors
    /// As [`Self::is_running`].
    pub async fn still_runs(&self, call: Call<'_>) -> Result<bool, ScriptError> {
        Ok(says_running(&self.run(call, Action::Watch).await?.1))
    }

    /// Starts the resource unless its status says that it runs.
    ///
    /// # Errors
    /// The script is not there, fails, or takes too long.
    pub async fn start(&self, call: Call<'_>) -> Result<Started, ScriptError> {
        if self.is_running(call).await? {
            return Ok(Started::Already);
        }
        self.succeed(call, Action::Start).await?;
        Ok(Started::Now)
    }

    /// Stops the resource without asking first, and again and again if that fails.
    ///
    /// # Errors
    /// The script is not there, or the resource still runs after the last try.
    pub async fn stop(&self, call: Call<'_>) -> Result<Stopped, ScriptError> {
        let mut tries = 0u32;
        loop {
            tries = tries.saturating_add(1);
            match self.succeed(call, Action::Stop).await {
                Ok(()) => return Ok(Stopped::Cleanly),
                Err(e @ ScriptError::NotFound { .. }) => return Err(e),
                Err(e) => log::error!("{}", lvs::diag::chain(&e)),
            }
            if tries == self.stop_tries {
                break;
            }
            tokio::time::sleep(self.stop_pause).await;
            log::info!("Retrying failed stop operation [{call}]");
        }
        // Where even that cannot be found out the resource must be taken to run.
        if self.is_running(call).await.unwrap_or(true) {
            return Err(ScriptError::StillRunning { resource: call.to_string(), tries });
        }
        log::warn!("{call} fails to stop although it is stopped: its script does not keep to LSB");
        Ok(Stopped::ByStatus)
    }

    async fn succeed(&self, call: Call<'_>, action: Action) -> Result<(), ScriptError> {
        let (ended, _) = self.run(call, action).await?;
        if ended.success() {
            return Ok(());
        }
        Err(ScriptError::Failed { action: action.word(), resource: call.to_string(), ended })
    }

    /// Runs a script to its end: how it ended, and the beginning of what it said.
    async fn run(&self, call: Call<'_>, action: Action) -> Result<(ExitStatus, String), ScriptError> {
        let path = locate(&self.folder, call.name).ok_or_else(|| ScriptError::NotFound {
            name: call.name.to_owned(),
            folder: self.folder.join("resource.d"),
        })?;
        let spawn = |source| ScriptError::Spawn { path: path.clone(), source };
        if !action.only_asks() {
            let args: String = call.args.iter().map(|arg| format!("{arg} ")).collect();
            log::info!("Running {} {args}{}", path.display(), action.word());
        }
        let (output, writer) = Output::new(format!("{call} {}", action.word())).map_err(spawn)?;
        let mut output = if action == Action::Watch { output.hushed() } else { output };
        let child = Command::new(&path)
            .args(call.args)
            .arg(action.word())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(spawn)?)
            .stderr(writer)
            .process_group(0)
            .spawn()
            .map_err(spawn)?;
        let mut group = Group::of(child);
        if !action.only_asks()
            && let (Some(Tell(tell)), Some(run)) = (&self.tell, group.leader.and_then(Run::of))
        {
            tell(run);
        }
        let limit = action.limit(self.timeout);
        let ended = tokio::time::timeout(limit, async {
            tokio::select! {
                biased;
                ended = group.wait() => ended,
                never = output.read_for_ever() => match never {},
            }
        });
        let ended = match ended.await {
            Ok(ended) => ended.map_err(spawn)?,
            Err(_) => {
                group.end().await;
                return Err(ScriptError::TimedOut { action: action.word(), resource: call.to_string(), after: limit });
            }
        };
        Ok((ended, output.finish().await))
    }
}

/// A child and what it started, killed if it is let go while it runs.
pub(super) struct Group {
    child: Child,
    /// `None` once the child has been waited for: its number may be somebody else's then.
    leader: Option<Pid>,
}

impl Group {
    pub(super) fn of(child: Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, leader }
    }

    /// Its end. The group is let be afterwards: what it left running is meant to run.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.child.wait().await;
        self.leader = None;
        ended
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It may have ended by itself just now.
            _ = kill_process_group(leader, signal);
        }
    }

    /// Asks the group to end, and kills it a little later.
    pub(super) async fn end(&mut self) {
        self.signal(Signal::TERM);
        _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        // What ignored the signal, or was started in the group and left behind. As long as one of
        // them is there the number of the group is not given to another.
        self.signal(Signal::KILL);
        _ = self.child.wait().await;
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_may_take_what_it_is_given_and_a_question_a_minute_of_it() {
        let limits = |seconds| {
            [Action::Start, Action::Stop, Action::Status, Action::Watch]
                .map(|action| action.limit(Duration::from_secs(seconds)).as_secs())
        };
        assert_eq!(limits(900), [900, 900, 60, 60]);
        assert_eq!(limits(20), [20; 4]);
    }
}
