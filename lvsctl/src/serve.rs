//! `lvsctl serve`: programs IPVS for those who have no privilege to.
//!
//! It holds `CAP_NET_ADMIN` and nothing else, writes no files, and has no state that matters: the table is the
//! kernel's, a helper that was killed is started again and goes on. Requests are done one
//! after the other, each in one go, so what a request reads does not change under it except
//! by other programs that talk to the kernel themselves.

mod work;

use std::path::{Path, PathBuf};

use crate::control::lvsctl::{Applied, MAX_CHANGES, Notice, Page, Position, Request, SPEAKS, Status};
use crate::daemon::activation;
use crate::daemon::detach::Readiness;
use crate::daemon::pidfile::PidFile;
use crate::daemon::privilege::{self, CapabilitySet, User};
use crate::daemon::signals::{Signal, Signals};
use crate::daemon::{StartError, node_name};
use crate::diag::chain;
use crate::ipc::{Call, Fault, Greeting, Listen, Permit, Policy, Program, Server, VERSION};
use crate::ipvs::Table;
use crate::netlink::RequestError;
use crate::netlink::ipvs::{Client, OpenError, Worker};
use crate::settings::{NoUser, Settings, SettingsError};

/// Where the helper lives and whom it serves.
///
/// ```no_run
/// use lvs::serve::Serve;
///
/// # async fn example() -> Result<(), lvs::serve::ServeError> {
/// let helper = Serve {
///     socket: "/run/lvs/lvsctl.sock".into(),
///     pidfile: "/run/lvs/lvsctl.pid".into(),
///     programmer: None,
///     settings: "/etc/ha.d/lvs.toml".into(),
/// };
/// helper.run(None).await // until it is told to stop
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Serve {
    /// The socket.
    pub socket: PathBuf,
    /// The pid file.
    pub pidfile: PathBuf,
    /// The user, besides root, that may program the table: ldirectord's. Without one only root may.
    pub programmer: Option<User>,
    /// Where that user is named, to be read again when the helper is told to.
    pub settings: PathBuf,
}

/// The helper cannot start.
///
/// ```no_run
/// use lvs::serve::{Serve, ServeError};
///
/// # async fn example(helper: Serve) {
/// match helper.run(None).await {
///     Err(ServeError::Ipvs(reason)) => println!("there is nothing to serve: {reason}"),
///     other => println!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What any daemon may meet.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No IPVS, or no right to it.
    #[error(transparent)]
    Ipvs(#[from] OpenError),
    /// What is not to be written cannot be ruled out.
    #[error("cannot rule out that files are written")]
    Landlock(#[from] landlock::RulesetError),
}

/// The settings name nobody who could program the table.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::serve::{ProgrammerError, programmer};
///
/// match programmer(Path::new("/etc/ha.d/lvs.toml")) {
///     Ok((_, user)) => println!("besides root: {user:?}"),
///     Err(ProgrammerError::NoUser { source, .. }) => println!("{source}"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ProgrammerError {
    /// They are refused.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// They name nobody.
    #[error("{}", settings.display())]
    NoUser {
        /// The file.
        settings: PathBuf,
        /// Who it names.
        source: NoUser,
    },
}

/// The settings, and the user in them that may program the table.
///
/// # Errors
/// If they cannot be used.
pub fn programmer(path: &Path) -> Result<(Settings, Option<User>), ProgrammerError> {
    let settings = Settings::read(path)?;
    let unknown = |source| ProgrammerError::NoUser { settings: path.to_owned(), source };
    let programmer = settings.ldirectord.becomes().map_err(unknown)?;
    Ok((settings, programmer))
}

impl Serve {
    /// Serves until it is told to stop. The table is not touched by starting or stopping.
    ///
    /// # Errors
    /// If it cannot start.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run(self, background: Option<Readiness>) -> Result<(), ServeError> {
        let system = StartError::system;
        let _pidfile = PidFile::claim(&self.pidfile, SPEAKS).map_err(StartError::from)?;
        let client = Client::open()?;
        let mut signals = Signals::new().map_err(system("take signals"))?;
        let given = activation::inherited().map_err(system("take the service manager's socket"))?;
        let mut server = match given {
            Some(socket) => Server::adopt(socket, self.listen()),
            None => Server::bind(self.listen()).await,
        }
        .map_err(StartError::from)?;
        // The socket has its owner and the module is loaded; from now on the table is all there is to do.
        privilege::reduce(None, CapabilitySet::NET_ADMIN).map_err(system("give up privileges"))?;
        let ours: Vec<&Path> = [&self.pidfile, &self.socket].into_iter().filter_map(|file| file.parent()).collect();
        if !privilege::write_nothing(&ours)? {
            log::debug!("this kernel has no Landlock to keep files from being written");
        }
        let worker = Worker::start(client).map_err(system("start a thread"))?;
        let mut helper = Helper { worker, snapshot: None, changes_done: 0, changes_refused: 0 };
        log::info!("lvsctl {} serves on {}", env!("CARGO_PKG_VERSION"), self.socket.display());
        if let Some(background) = background {
            background.ready().map_err(system("go to the background"))?;
        }
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) => {
                        log::info!("stopped by {name}; the table stays as it is");
                        return Ok(());
                    }
                    Signal::Reload => self.reload(&server),
                    Signal::Louder => log::set_max_level(log::LevelFilter::Debug),
                    Signal::Quieter => log::set_max_level(log::LevelFilter::Info),
                },
                call = server.next_call() => helper.answer(call, &server).await,
            }
        }
    }

    /// Reads again who may program the table. A mistake leaves everything as it is.
    fn reload(&self, server: &Server<Request>) {
        match programmer(&self.settings) {
            Ok((_, programmer)) => {
                server.set_policy(policy(programmer));
                match programmer {
                    Some(user) => log::info!("settings read again: uid {} and root may program the table", user.uid),
                    None => log::info!("settings read again: only root may program the table"),
                }
                if programmer.map(|user| user.gid) != self.programmer.map(|user| user.gid) {
                    // Giving the file to another group takes a capability that is gone.
                    log::warn!(
                        "the socket keeps its group until lvsctl serve is started again, which costs no connection"
                    );
                }
            }
            Err(error) => log::error!("settings not read again, the old ones count: {}", chain(&error)),
        }
    }

    fn listen(&self) -> Listen {
        let policy = policy(self.programmer);
        Listen {
            path: self.socket.clone(),
            // Connections are few and the helper is needed: nobody else may take them up.
            mode: 0o660,
            group: self.programmer.map(|user| user.gid).or(policy.operators),
            greeting: Greeting {
                speaks: SPEAKS.to_owned(),
                version: VERSION,
                program: concat!("lvsctl ", env!("CARGO_PKG_VERSION")).to_owned(),
                node: node_name(),
            },
            policy,
        }
    }
}

fn policy(programmer: Option<User>) -> Policy {
    Policy { operators: privilege::group("haclient"), programmers: programmer.iter().map(|user| user.uid).collect() }
}

struct Helper {
    worker: Worker,
    /// The table as the latest reader of a first page got it: further pages come from it, so they
    /// fit together and none costs another dump.
    snapshot: Option<Table>,
    changes_done: u64,
    changes_refused: u64,
}

impl Helper {
    async fn answer(&mut self, call: Call<Request>, server: &Server<Request>) {
        match &call.request {
            Request::Status {} => {
                let status = self.status().await;
                call.answer(status);
            }
            Request::Watch {} => match self.status().await {
                Ok(status) => call.answer_watch(&status),
                Err(fault) => call.answer(Err::<(), _>(fault)),
            },
            Request::Table { after } => {
                let page = self.page(after.as_ref()).await;
                call.answer(page);
            }
            Request::Stats { service, after } => {
                let (key, after) = (*service, *after);
                let found = self.kernel(move |client| work::counters(client, &key, after)).await;
                call.answer(
                    found.and_then(|page| page.ok_or_else(|| Fault::new("refused", format!("there is no {key}")))),
                );
            }
            Request::Apply { services } => {
                let services = services.clone();
                let applied = self.program(&call, server, move |client| work::apply(client, services)).await;
                call.answer(applied);
            }
            Request::Change { changes } => {
                let changes = changes.clone();
                let applied = self.program(&call, server, move |client| work::change(client, changes)).await;
                call.answer(applied.map(|applied| applied.outcomes));
            }
            Request::Remove { services } => {
                let services = services.clone();
                let applied = self.program(&call, server, move |client| work::remove(client, &services)).await;
                call.answer(applied.map(|applied| applied.outcomes));
            }
            Request::SyncDaemon { role, run } => {
                let (role, run) = (*role, run.clone());
                let applied = self.program(&call, server, move |client| work::sync_daemon(client, role, run)).await;
                call.answer(applied.map(|applied| applied.outcomes));
            }
        }
    }

    async fn page(&mut self, after: Option<&Position>) -> Result<Page, Fault> {
        let table = match self.snapshot.take() {
            Some(table) if after.is_some() => table,
            _ => self.kernel(Client::table).await?,
        };
        let page = Page::of(&table, after);
        self.snapshot = page.more.is_some().then_some(table);
        Ok(page)
    }

    /// Changes the table for a caller who may, and tells the watchers.
    async fn program(
        &mut self,
        call: &Call<Request>,
        server: &Server<Request>,
        work: impl FnOnce(&mut Client) -> Result<Applied, RequestError> + Send + 'static,
    ) -> Result<Applied, Fault> {
        let permit: Permit<Program> = call.permit()?;
        let asked = match &call.request {
            Request::Change { changes } => changes.len(),
            Request::Remove { services } => services.len(),
            _ => 0,
        };
        if asked > MAX_CHANGES {
            return Err(Fault::new("bad-request", format!("{asked} changes in one request; at most {MAX_CHANGES}")));
        }
        let uid = permit.caller().uid;
        let applied = self.kernel(work).await?;
        for outcome in &applied.outcomes {
            match outcome.clone().into_result() {
                Ok(()) => {
                    self.changes_done += 1;
                    log::debug!("done for uid {uid}: {}", outcome.change);
                    server.notify(&Notice::Changed { change: outcome.change.clone(), uid });
                }
                Err(refusal) => {
                    self.changes_refused += 1;
                    log::warn!("{refusal} (asked for by uid {uid})");
                    server.notify(&Notice::Refused { refusal, uid });
                }
            }
        }
        Ok(applied)
    }

    async fn status(&self) -> Result<Status, Fault> {
        let (info, sync_daemons, table) =
            self.kernel(|client| Ok((client.info()?, client.daemons()?, client.table()?))).await?;
        let [_, major, minor, patch] = info.version.to_be_bytes();
        Ok(Status {
            ipvs_version: format!("{major}.{minor}.{patch}"),
            services: table.len(),
            real_servers: table.values().map(|service| service.destinations.len()).sum(),
            sync_daemons,
            changes_done: self.changes_done,
            changes_refused: self.changes_refused,
        })
    }

    async fn kernel<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, Fault> {
        let failed = |error: &dyn std::error::Error| Fault::new("failed", chain(error));
        self.worker.run(work).await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}
