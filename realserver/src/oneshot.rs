//! The verbs that do one thing and end. Where `realserver run` is there, it is asked to do it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use lvs::control::realserver::{Request, SPEAKS, Status};
use lvs::daemon::privilege::{CapabilitySet, may};
use lvs::diag::chain;
use lvs::ipc::{CallError, Client, ConnectError};
use lvs::settings::SettingsError;
use serde_json::json;

use crate::cli::{Places, Report};
use crate::config::{self, ConfigError};
use crate::host::{Host, HostError};
use crate::memory::MemoryError;
use crate::plan::{self, Step, problems};
use crate::{notice, report};

/// Exit status: done, or ready.
pub const OK: u8 = 0;
/// Exit status: failed, or not as it should be.
pub const FAILED: u8 = 1;
/// Exit status: the configuration is broken.
pub const BROKEN: u8 = 2;
/// Exit status of `status`: stopped.
pub const STOPPED: u8 = 3;
/// Exit status: only root may.
pub const NOT_PERMITTED: u8 = 4;
/// Exit status: nobody has said which addresses.
pub const NOT_CONFIGURED: u8 = 6;

/// Why a verb ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings of all daemons cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no configuration and no address on the command line.
    #[error("no virtual address: name one, or write {} (addresses = [\"192.168.60.200\"])", .0.display())]
    NoAddress(std::path::PathBuf),
    /// Changes need a capability.
    #[error("only root may change addresses and ARP settings (CAP_NET_ADMIN)")]
    NotPermitted,
    /// The kernel.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The daemon could not be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The daemon refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Two masters.
    #[error("realserver run looks after the addresses of its configuration; change that and reload it")]
    DaemonKeeps,
}

impl Failure {
    /// The exit status that says so.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Settings(_) | Self::DaemonKeeps => BROKEN,
            Self::NoAddress(_) => NOT_CONFIGURED,
            Self::NotPermitted => NOT_PERMITTED,
            Self::Host(_) | Self::Memory(_) | Self::Connect(_) | Self::Call(_) => FAILED,
        }
    }
}

/// `realserver start`.
///
/// # Errors
/// If it cannot be tried.
pub async fn start(places: &Places, named: &[IpAddr]) -> Result<u8, Failure> {
    if let Some(mut daemon) = daemon(places).await? {
        return tell(&mut daemon, named, &Request::Up {}).await;
    }
    let mut host = Host::open(&places.state)?;
    let wanted = wanted(places, named, &host)?;
    permitted()?;
    let now = host.look()?;
    let steps = plan::up(&wanted, &now, &host.memory()?);
    if steps.is_empty() {
        println!("everything is in place already");
    }
    let done = say(host.carry_out(steps));
    for problem in problems(&wanted, &host.look()?) {
        eprintln!("realserver: {problem}");
        log::warn!("{problem}");
    }
    Ok(done)
}

/// `realserver stop`.
///
/// # Errors
/// If it cannot be tried.
pub async fn stop(places: &Places, named: &[IpAddr]) -> Result<u8, Failure> {
    if let Some(mut daemon) = daemon(places).await? {
        return tell(&mut daemon, named, &Request::Down {}).await;
    }
    let mut host = Host::open(&places.state)?;
    let memory = host.memory()?;
    let unwanted: BTreeSet<_> = match named {
        // What was started from the command line or from an earlier configuration goes as well.
        [] => match wanted(places, named, &host) {
            Ok(wanted) => &wanted | &memory.addresses,
            Err(Failure::NoAddress(_)) => memory.addresses.clone(),
            Err(failure) => return Err(failure),
        },
        named => named.iter().copied().collect(),
    };
    if !unwanted.is_empty() {
        permitted()?;
    }
    let now = host.look()?;
    let steps = plan::down(&unwanted, &now, &memory);
    let settings_stay = memory.settings.is_empty()
        && steps.iter().any(|step| matches!(step, Step::Remove { address } if address.is_ipv4()));
    if settings_stay {
        println!("the ARP settings stay as they are: {} does not say what they were", places.state.display());
    }
    Ok(say(host.carry_out(steps)))
}

/// `realserver status`.
///
/// # Errors
/// If the state cannot be learnt.
pub async fn status(places: &Places, options: &Report) -> Result<u8, Failure> {
    let status = look(places, &options.addresses.addresses).await?;
    if options.json {
        println!("{}", json!(status));
    } else {
        print!("{}", report::text(&status));
    }
    Ok(match status {
        Status { ready: true, .. } => OK,
        status if status.addresses.iter().any(|a| a.present) => FAILED,
        _ => STOPPED,
    })
}

/// `realserver check`.
///
/// # Errors
/// If the state cannot be learnt.
pub async fn check(places: &Places, options: &Report) -> Result<u8, Failure> {
    let status = look(places, &options.addresses.addresses).await?;
    let wrong = report::wrong(&status);
    if options.json {
        println!("{}", json!({"ready": status.ready, "wrong": wrong}));
    } else if wrong.is_empty() {
        println!("everything is as a back end needs it");
    } else {
        wrong.iter().for_each(|what| println!("{what}"));
    }
    Ok(if status.ready { OK } else { FAILED })
}

/// The addresses that are meant: those named, else the configuration's, else those started before.
fn wanted(places: &Places, named: &[IpAddr], host: &Host) -> Result<BTreeSet<IpAddr>, Failure> {
    let wanted = if named.is_empty() {
        match config::load(&places.config) {
            Ok(config) => config.addresses,
            Err(e) if e.is_missing() => host.memory()?.addresses,
            Err(e) => return Err(e.into()),
        }
    } else {
        named.iter().copied().collect()
    };
    if wanted.is_empty() { Err(Failure::NoAddress(places.config.clone())) } else { Ok(wanted) }
}

async fn look(places: &Places, named: &[IpAddr]) -> Result<Status, Failure> {
    if named.is_empty()
        && let Some(mut daemon) = daemon(places).await?
    {
        return Ok(daemon.call(&Request::Status {}).await?);
    }
    let mut host = Host::open(&places.state)?;
    let wanted = wanted(places, named, &host)?;
    Ok(report::status(&wanted, &host.look()?))
}

async fn tell(daemon: &mut Client, named: &[IpAddr], request: &Request) -> Result<u8, Failure> {
    if !named.is_empty() {
        return Err(Failure::DaemonKeeps);
    }
    let status: Status = daemon.call(request).await?;
    print!("{}", report::text(&status));
    let done = if *request == (Request::Up {}) { status.ready } else { !status.addresses.iter().any(|a| a.present) };
    Ok(if done { OK } else { FAILED })
}

/// The daemon, if it runs and this user may talk to it.
async fn daemon(places: &Places) -> Result<Option<Client>, Failure> {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match Client::connect(&places.socket()?, SPEAKS).await {
        Ok(client) => Ok(Some(client)),
        Err(ConnectError::Connect { source, .. })
            if matches!(source.kind(), NotFound | ConnectionRefused | PermissionDenied) =>
        {
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}

fn permitted() -> Result<(), Failure> {
    if may(CapabilitySet::NET_ADMIN) { Ok(()) } else { Err(Failure::NotPermitted) }
}

/// Tells what was done, on the terminal and in the system log; the exit status.
fn say(done: Vec<(Step, Result<(), HostError>)>) -> u8 {
    let mut status = OK;
    for (step, result) in done {
        match result {
            Ok(()) => {
                if let Some(notice) = notice::of(&step, false) {
                    let (level, line) = notice::line(&notice);
                    println!("{line}");
                    log::log!(level, "{line}");
                }
            }
            Err(error) => {
                let text = chain(&error);
                eprintln!("realserver: {text}");
                log::error!("{text}");
                status = FAILED;
            }
        }
    }
    status
}
