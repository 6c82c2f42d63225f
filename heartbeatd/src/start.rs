//! From the files to a running node, in the order in which things can still be refused.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lvs::control::heartbeatd::SPEAKS;
use lvs::daemon;
use lvs::daemon::detach::Readiness;
use lvs::daemon::logging::{self, Facility, Sink};
use lvs::daemon::pidfile::PidFile;
use lvs::daemon::privilege::{CapabilitySet, group, may};
use lvs::daemon::signals::Signals;
use lvs::ipc::{Greeting, Listen, Policy, Server, VERSION};
use lvs::netlink::route;
use lvs::netlink::watch::Watch;
use lvs::settings::{Settings, StopFailure};

use crate::act::groups::{self, Groups};
use crate::act::identity::{Store, StoreError};
use crate::act::notify::Notifier;
use crate::act::watchdog::Watchdog;
use crate::config::{self, Config, HaCf, Loaded, Problem};
use crate::core::{self, Identity, Node, PlanError};
use crate::driver::{Driver, Parts, link_names};
use crate::media::Pinger;

/// Where this node's files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// ha.cf, haresources, authkeys, lvs.toml.
    pub config: PathBuf,
    /// hb_uuid and hb_generation.
    pub state: PathBuf,
    /// The pid file.
    pub pid_file: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            config: "/etc/ha.d".into(),
            state: "/var/lib/heartbeat".into(),
            pid_file: "/run/lvs/heartbeatd.pid".into(),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files are refused; each problem is shown in lines of its own.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files(Vec<Problem>),
    /// haresources is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Not enough privilege.
    #[error("heartbeatd needs CAP_NET_ADMIN and CAP_NET_RAW to move addresses: call it as root")]
    Privilege,
    /// What any daemon may meet.
    #[error(transparent)]
    Daemon(#[from] daemon::StartError),
    /// What is to reset this machine cannot be had: it would be less safe than ha.cf says.
    #[error("cannot open the watchdog device {}: another program may have it, or its module is not loaded", path.display())]
    Watchdog {
        /// The device.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The node's identity cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartError {
    /// Exit status: heartbeat 3.0.6's 6 for files and 4 for privilege, else 1 (spec 0.2).
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Files(_) | Self::Plan(_) | Self::Daemon(daemon::StartError::Settings(_)) => 6,
            Self::Privilege => 4,
            Self::Daemon(_) | Self::Watchdog { .. } | Self::Store(_) => 1,
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> daemon::StartError {
    daemon::StartError::system(what)
}

/// Whether we may do what a node does; files that only root may read are not complained of then.
///
/// # Errors
/// [`StartError::Privilege`].
pub fn privileged() -> Result<(), StartError> {
    if may(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW) { Ok(()) } else { Err(StartError::Privilege) }
}

/// Reads the files and says what is wrong with them, without starting anything.
///
/// # Errors
/// Every problem.
pub fn check(places: &Places) -> Result<Loaded<Config>, StartError> {
    let loaded = config::load(&places.config).map_err(StartError::Files)?;
    groups::plan(&loaded.value)?;
    settings(places)?;
    Ok(loaded)
}

/// What the files name and this machine does not have, for the administrator. Nothing where the kernel cannot be asked.
#[must_use]
pub fn absent(config: &Config) -> Vec<String> {
    let links = route::Client::open()
        .map_err(|e| e.to_string())
        .and_then(|mut kernel| kernel.links().map_err(|e| lvs::diag::chain(&e)));
    match links {
        Ok(links) => config::absent(config, |name| links.iter().any(|link| link.name == name)),
        Err(why) => vec![format!("cannot look which interfaces there are: {why}")],
    }
}

fn settings(places: &Places) -> Result<Settings, daemon::StartError> {
    Ok(Settings::read(&places.config.join("lvs.toml"))?)
}

/// Runs a node until it has stopped in good order.
///
/// `background`: the command that waits for it; log lines go to the system log then, else to
/// standard error. `debug`: what is for developers is logged as well, as `debug 1` in ha.cf has it.
///
/// # Errors
/// If it cannot be started.
pub fn run(places: &Places, background: Option<Readiness>, debug: bool) -> Result<(), StartError> {
    privileged()?;
    let Loaded { value: config, warnings } = check(places)?;
    let settings = settings(places)?;
    let facility = config.ha_cf.facility.as_deref().and_then(logging::facility).unwrap_or(Facility::LOG_DAEMON);
    let sink = if background.is_some() { Sink::System(facility) } else { Sink::Stderr };
    let level = if debug || config.ha_cf.debug > 0 { log::LevelFilter::Debug } else { log::LevelFilter::Info };
    // Fails only in a process that has a log already.
    let _ = logging::install("heartbeatd", sink, level);
    for warning in &warnings {
        log::warn!("{warning}");
        if background.is_some() {
            eprintln!("{warning}");
        }
    }
    for warning in absent(&config) {
        log::warn!("{warning}");
        if background.is_some() {
            eprintln!("{warning}");
        }
    }
    let _pid_file = PidFile::claim(&places.pid_file, "heartbeatd").map_err(daemon::StartError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(system("start the event loop"))?;
    let ended = runtime.block_on(async {
        let driver = assemble(places, &settings, config).await?;
        stay_in_memory();
        if let Some(readiness) = background {
            readiness.ready().map_err(system("let go of the terminal"))?;
        }
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        driver.run().await;
        Ok(())
    });
    // The last connections of a switch may still be sent; a name service that files ask keeps nobody.
    runtime.shutdown_timeout(LAST_WORDS);
    ended
}

/// How long what runs beside the loop may go on after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

async fn assemble(places: &Places, settings: &Settings, config: Config) -> Result<Driver, StartError> {
    let ha_cf = &config.ha_cf;
    let store = Store::new(&places.state);
    let maintenance = store.maintenance()?;
    let uuid = store.uuid(ha_cf.uuid, &ha_cf.local)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let generation = store.next_generation(ha_cf.generation, seconds)?;
    let me = Identity { name: ha_cf.local.clone(), uuid: uuid.value, generation: generation.value };
    let core_settings = core::Settings {
        nodes: ha_cf.nodes.clone(),
        links: link_names(&config),
        keepalive: ha_cf.keepalive,
        deadtime: ha_cf.deadtime,
        warntime: ha_cf.warntime,
        initdead: ha_cf.initdead,
        max_rexmit_delay: ha_cf.max_rexmit_delay,
        ttl: ha_cf.ttl(),
        auto_failback: ha_cf.auto_failback,
        legacy: ha_cf.legacy,
        pings: ha_cf.pings.iter().map(|ping| ping.name.clone()).collect(),
        deadping: ha_cf.deadping,
        ipfail: ha_cf.ipfail,
        fences: !ha_cf.fences.is_empty(),
        stop_failure: stop_failure(settings, ha_cf),
        plan: groups::plan(&config)?,
        files: config::digests(&config),
    };
    let seed = daemon::random_bytes().map(u64::from_ne_bytes).map_err(system("read /dev/urandom"))?;
    let token = daemon::random_bytes().map_err(system("read /dev/urandom"))?;
    // Often enough that a few lost replies are no death, and no burden for a router.
    let every = (ha_cf.deadping / 5).clamp(LEAST_PING, MOST_PING);
    let hosts =
        ha_cf.pings.iter().enumerate().flat_map(|(node, ping)| ping.hosts.iter().map(move |host| (node, *host)));
    let pinger = Pinger::new(hosts.collect(), token, every, Instant::now()).map_err(system("open sockets to ping"))?;
    let server = Server::bind(listen(&settings.sockets, &ha_cf.local)).await.map_err(daemon::StartError::from)?;
    let groups = Groups::open(&config, settings, &places.pid_file.with_extension("started"))
        .map_err(system("get hold of the interfaces"))?;
    let watch = Watch::open().map_err(system("hear about interfaces"))?;
    let kernel = route::Client::open().map_err(system("ask about interfaces"))?;
    let signals = Signals::new().map_err(system("catch signals"))?;
    let watchdog = match &ha_cf.watchdog {
        // The last thing that can fail: from here on the loop has to turn, or the machine goes down.
        Some(path) => Some(
            Watchdog::open(path, ha_cf.deadtime, Instant::now())
                .map_err(|source| StartError::Watchdog { path: path.clone(), source })?,
        ),
        None => None,
    };
    Ok(Driver::new(Parts {
        notifier: Notifier::start(settings.heartbeatd.notify.as_ref(), &ha_cf.local),
        groups,
        watch,
        kernel,
        signals,
        watchdog,
        node: Node::new(core_settings, me, Instant::now(), seed),
        pinger,
        server,
        store,
        maintenance,
        config,
    }))
}

/// Silence that nobody answers with a reset would have the group run twice.
fn stop_failure(settings: &Settings, ha_cf: &HaCf) -> StopFailure {
    match settings.heartbeatd.stop_failure {
        StopFailure::Fence if ha_cf.fences.is_empty() => {
            log::warn!(
                "lvs.toml: stop_failure = \"fence\" is of no use, because ha.cf names no fencing device: a group that \
                 cannot be stopped stays where it is"
            );
            StopFailure::Freeze
        }
        set => set,
    }
}

const LEAST_PING: Duration = Duration::from_millis(50);
const MOST_PING: Duration = Duration::from_secs(1);

fn listen(sockets: &Path, node: &str) -> Listen {
    let operators = group("haclient");
    Listen {
        path: lvs::control::socket(sockets, SPEAKS),
        // With the group, its members may look and steer; without it only root may.
        mode: if operators.is_some() { 0o660 } else { 0o600 },
        group: operators,
        greeting: Greeting {
            speaks: SPEAKS.to_owned(),
            version: VERSION,
            program: concat!("heartbeatd ", env!("CARGO_PKG_VERSION")).to_owned(),
            node: node.to_owned(),
        },
        policy: Policy { operators, programmers: Vec::new() },
    }
}

/// A page that has to come from a busy disk is a heartbeat too late.
fn stay_in_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    if let Err(e) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        log::warn!("cannot lock memory ({e}): heartbeats may be late when memory is short");
    }
}
