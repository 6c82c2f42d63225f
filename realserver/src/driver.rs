//! `realserver run`: keeps the addresses and settings as they should be.
//!
//! One loop. It looks every few seconds, and at once when the kernel tells of a change of
//! addresses or links; kernel settings change without a word, for them there is only looking.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvs::control::realserver::{Notice, Request, SPEAKS, Status};
use lvs::daemon::detach::Readiness;
use lvs::daemon::pidfile::PidFile;
use lvs::daemon::privilege;
use lvs::daemon::signals::{Signal, Signals};
use lvs::daemon::{StartError, node_name};
use lvs::diag::chain;
use lvs::ipc::{Call, Fault, Greeting, Listen, Operate, Policy, Server, VERSION};
use lvs::netlink::watch::Watch;
use tokio::time::{Instant, sleep_until};

use crate::cli::Places;
use crate::config::{self, Config};
use crate::host::{Host, HostError};
use crate::memory::MemoryError;
use crate::notice::{self, Told};
use crate::plan::{self, Now, Step};
use crate::report;

/// Changes come in groups: wait for the rest of the group.
const SETTLE: Duration = Duration::from_millis(50);

/// Two programs that undo each other's work do so no faster than this.
const REST: Duration = Duration::from_secs(1);

/// The daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What any daemon may meet.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The kernel.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Runs until it is told to stop. `fixed` says that the addresses came from the command line.
///
/// # Errors
/// If it cannot start; nothing has been changed then.
pub async fn run(places: &Places, config: Config, fixed: bool, background: Option<Readiness>) -> Result<(), RunError> {
    let system = StartError::system;
    let _pidfile = PidFile::claim(&places.pidfile, SPEAKS).map_err(StartError::from)?;
    let mut signals = Signals::new().map_err(system("take signals"))?;
    let mut server =
        Server::bind(listen(places.socket().map_err(StartError::from)?)).await.map_err(StartError::from)?;
    let mut events = Events(Some(Watch::open().map_err(system("hear of changes of addresses"))?));
    let mut keeper = Keeper::new(Host::open(&places.state)?, config);
    // A damaged memory must be seen to before it is written over.
    keeper.host.memory()?;
    log::info!("realserver {} looks after {}", env!("CARGO_PKG_VERSION"), list(&keeper.config.addresses));
    let mut next = keeper.look(&server);
    if let Some(background) = background {
        background.ready().map_err(system("go to the background"))?;
    }
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop(name) => {
                    if keeper.config.release_at_exit {
                        keeper.down(&server);
                    }
                    log::info!("stopped by {name}; the addresses {}",
                        if keeper.config.release_at_exit { "are off" } else { "stay" });
                    return Ok(());
                }
                Signal::Reload if fixed => log::info!("the addresses came from the command line: nothing to reload"),
                Signal::Reload => {
                    keeper.reload(&places.config, &server);
                    next = keeper.look(&server);
                }
                Signal::Louder => log::set_max_level(log::LevelFilter::Debug),
                Signal::Quieter => log::set_max_level(log::LevelFilter::Info),
            },
            call = server.next_call() => {
                keeper.answer(call, &server);
                next = Instant::now() + keeper.config.interval;
            }
            () = events.next() => next = next.min(Instant::now() + SETTLE).max(keeper.rested),
            () = sleep_until(next) => next = keeper.look(&server),
        }
    }
}

fn listen(path: PathBuf) -> Listen {
    let operators = privilege::group("haclient");
    Listen {
        path,
        // Whoever wants to may look.
        mode: 0o666,
        group: None,
        greeting: Greeting {
            speaks: SPEAKS.to_owned(),
            version: VERSION,
            program: concat!("realserver ", env!("CARGO_PKG_VERSION")).to_owned(),
            node: node_name(),
        },
        policy: Policy { operators, programmers: Vec::new() },
    }
}

/// The kernel's events; without them looking from time to time has to do.
struct Events(Option<Watch>);

impl Events {
    /// Returns when something has happened to addresses or links. Cancel-safe.
    async fn next(&mut self) {
        match &mut self.0 {
            Some(watch) => {
                if let Err(error) = watch.next().await {
                    log::error!("no longer told of changes of addresses: {error}; still looking every few seconds");
                    self.0 = None;
                }
            }
            None => std::future::pending().await,
        }
    }
}

struct Keeper {
    host: Host,
    config: Config,
    /// Whether the addresses are to be on.
    up: bool,
    /// Whether everything has been in place since it was last asked for: what is wrong afterwards was done
    /// by somebody else.
    settled: bool,
    told: Told,
    /// The earliest time for the next look after an event.
    rested: Instant,
}

impl Keeper {
    fn new(host: Host, config: Config) -> Self {
        Self { host, config, up: true, settled: false, told: Told::default(), rested: Instant::now() }
    }

    /// Looks, mends, tells; when to look again.
    fn look(&mut self, server: &Server<Request>) -> Instant {
        if self.up {
            match self.plan_up() {
                Ok((steps, now)) => {
                    let changes = steps.iter().any(|step| !matches!(step, Step::Remember(_)));
                    self.carry_out(steps, server);
                    if changes {
                        self.rested = Instant::now() + REST;
                    }
                    for notice in self.told.problems(&plan::problems(&self.config.addresses, &now)) {
                        tell(&notice, server);
                    }
                }
                Err(error) => self.failed(&error, server),
            }
        }
        Instant::now() + self.config.interval
    }

    fn plan_up(&mut self) -> Result<(Vec<Step>, Now), HostError> {
        let now = self.host.look()?;
        Ok((plan::up(&self.config.addresses, &now, &self.host.memory()?), now))
    }

    fn carry_out(&mut self, steps: Vec<Step>, server: &Server<Request>) {
        let done = self.host.carry_out(steps);
        for (step, result) in &done {
            if let Some(notice) = notice::of(step, self.settled).filter(|_| result.is_ok()) {
                tell(&notice, server);
            }
        }
        let failures: Vec<_> = done.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
        self.settled = self.up && failures.is_empty();
        for notice in self.told.failures(failures) {
            tell(&notice, server);
        }
    }

    fn failed(&mut self, error: &HostError, server: &Server<Request>) {
        for notice in self.told.failures([error]) {
            tell(&notice, server);
        }
    }

    fn down(&mut self, server: &Server<Request>) {
        (self.up, self.settled) = (false, false);
        let addresses = self.config.addresses.clone();
        self.remove(|memory| memory | &addresses, server);
    }

    /// Takes off what `choose` makes of the addresses that are looked after.
    fn remove(&mut self, choose: impl Fn(&BTreeSet<IpAddr>) -> BTreeSet<IpAddr>, server: &Server<Request>) {
        let mut steps = || {
            let (now, memory) = (self.host.look()?, self.host.memory()?);
            Ok(plan::down(&choose(&memory.addresses), &now, &memory))
        };
        match steps() {
            Ok(steps) => self.carry_out(steps, server),
            Err(error) => self.failed(&error, server),
        }
    }

    fn reload(&mut self, path: &Path, server: &Server<Request>) {
        match config::load(path) {
            Ok(new) => {
                let dropped = &self.config.addresses - &new.addresses;
                if new.facility as u32 != self.config.facility as u32 {
                    log::warn!("the new syslog facility is used from the next start on");
                }
                self.config = new;
                self.settled = false;
                if !dropped.is_empty() {
                    self.remove(|_| dropped.clone(), server);
                }
                log::info!("reloaded; looks after {}", list(&self.config.addresses));
            }
            Err(error) => {
                log::error!("not reloaded, the old configuration goes on:");
                chain(&error).lines().for_each(|line| log::error!("{line}"));
            }
        }
    }

    fn answer(&mut self, call: Call<Request>, server: &Server<Request>) {
        match call.request {
            Request::Status {} => {
                let status = self.status();
                call.answer(status);
            }
            Request::Watch {} => match self.status() {
                Ok(status) => call.answer_watch(&status),
                Err(fault) => call.answer(Err::<(), _>(fault)),
            },
            Request::Up {} | Request::Down {} => {
                let permit = call.permit::<Operate>();
                let result = permit.and_then(|permit| {
                    let up = call.request == Request::Up {};
                    log::info!("{} asked for by uid {}", if up { "up" } else { "down" }, permit.caller().uid);
                    if up {
                        (self.up, self.settled) = (true, false);
                        self.look(server);
                    } else {
                        self.down(server);
                    }
                    self.status()
                });
                call.answer(result);
            }
        }
    }

    fn status(&mut self) -> Result<Status, Fault> {
        let now = self.host.look().map_err(|e| Fault::new("failed", chain(&e)))?;
        Ok(report::status(&self.config.addresses, &now))
    }
}

fn tell(notice: &Notice, server: &Server<Request>) {
    let (level, line) = notice::line(notice);
    log::log!(level, "{line}");
    server.notify(notice);
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
