//! From a configuration to a running director: socket, privileges, the way to the table.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use lvs::control::ldirectord::SPEAKS;
use lvs::control::{lvsctl, socket};
use lvs::daemon;
use lvs::daemon::detach::Readiness;
use lvs::daemon::node_name;
use lvs::daemon::privilege::{self, CapabilitySet};
use lvs::daemon::signals::Signals;
use lvs::diag::chain;
use lvs::ipc::{Greeting, Listen, Policy, Server, VERSION};
use lvs::netlink::ipvs::OpenError;
use lvs::programmer::{Kernel, Remote};
use lvs::settings::{self, IpvsAccess, NoUser, Settings};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use super::confine::Confined;
use super::{Director, InForce, Outside, Parts, Reread};
use crate::config::Config;
use crate::memory::{self, Keeper};

/// Group whose members may use the socket.
const OPERATORS: &str = "haclient";

/// Descriptors for hundreds of checks at a time.
const DESCRIPTORS: u64 = 65_536;

/// What a start needs besides the configuration.
pub struct Options {
    /// The file in use, for the status.
    pub path: PathBuf,
    /// The same from the root.
    pub absolute: PathBuf,
    /// Removed at the end by whoever claimed it.
    pub pid_file: PathBuf,
    /// Name of the socket without `.sock`: [`crate::instance::Instance::socket_name`].
    pub socket_name: String,
    /// `lvs.toml`.
    pub settings: Settings,
    /// Reads the configuration again, for a reload.
    pub reread: Reread,
    /// Told of each configuration that a reload puts in force, before it is programmed: logs follow it.
    pub in_force: InForce,
    /// The command that waits in the foreground, if this process is in the background. It is told
    /// when the table has been programmed for the first time, or could not be reached.
    pub readiness: Option<Readiness>,
}

/// Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// For a reason that all daemons may have.
    #[error(transparent)]
    Daemon(#[from] daemon::StartError),
    /// The user of `lvs.toml` does not exist.
    #[error(transparent)]
    NoUser(#[from] NoUser),
    /// Neither the helper nor the right to do without it.
    #[error(
        "cannot program the IPVS table: there is no helper at {}, and this process lacks CAP_NET_ADMIN; \
         start `lvsctl serve`, or start ldirectord as root",
        helper.display()
    )]
    NoWay {
        /// The helper's socket.
        helper: PathBuf,
    },
    /// The kernel cannot be used directly.
    #[error("cannot program the IPVS table directly")]
    Kernel(#[from] OpenError),
}

/// The way to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Helper,
    Direct,
}

impl Way {
    fn choose(access: IpvsAccess, helper: &Path, may_program: bool) -> Result<Self, StartError> {
        match access {
            IpvsAccess::Helper => Ok(Self::Helper),
            IpvsAccess::Direct => Ok(Self::Direct),
            IpvsAccess::Auto if helper.exists() => Ok(Self::Helper),
            IpvsAccess::Auto if may_program => Ok(Self::Direct),
            IpvsAccess::Auto => Err(StartError::NoWay { helper: helper.to_owned() }),
        }
    }
}

/// Runs ldirectord with this configuration until a signal stops it; 0 then, 1 if it cannot start.
/// What went wrong is logged and printed on standard error.
///
/// The caller has read the configuration, installed the log, claimed the pid file and keeps it until
/// this returns. No other thread may have been started: privileges are given up here.
#[must_use]
pub fn run(options: Options, config: Config) -> ExitCode {
    match start(options, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = chain(&error);
            eprintln!("ldirectord: {why}");
            log::error!("Exiting with exit_status 1: Initialisation Error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: Options, config: Config) -> Result<(), StartError> {
    let Options { path, absolute, pid_file, socket_name, settings, reread, in_force, readiness } = options;
    let system = daemon::StartError::system;
    let helper = socket(&settings.sockets, lvsctl::SPEAKS);
    let way = Way::choose(settings.ipvs, &helper, privilege::may(CapabilitySet::NET_ADMIN))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system("start a runtime"))?;
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(system("take signals"))?
    };
    let listen = listen(&settings, &socket_name);
    let ours: Vec<_> =
        [&pid_file, &listen.path].into_iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
    let server = runtime.block_on(Server::bind(listen)).map_err(daemon::StartError::from)?;
    let keeper = Keeper::open(&memory::path(&settings.sockets, &socket_name));
    let mut outside = Outside::new(&config, absolute);
    {
        let _inside = runtime.enter();
        outside.start_children();
    }
    raise_descriptors();
    let own = &settings.ldirectord;
    give_up_privileges(own, way)?;
    let (in_force, reread) =
        if own.stays_root() { (in_force, reread) } else { confine(&config, &ours, in_force, reread)? };
    match way {
        Way::Helper => {
            let programmer = Remote::new(&helper);
            let parts = Parts {
                programmer,
                access: "helper",
                server,
                signals,
                path,
                reread,
                in_force,
                readiness,
                outside,
                keeper,
            };
            runtime.block_on(async { Director::new(parts, config).run().await });
        }
        Way::Direct => {
            let programmer = Kernel::open()?;
            let parts = Parts {
                programmer,
                access: "direct",
                server,
                signals,
                path,
                reread,
                in_force,
                readiness,
                outside,
                keeper,
            };
            runtime.block_on(async { Director::new(parts, config).run().await });
        }
    }
    // A configuration that is being read (names are looked up) does not keep the program from ending.
    runtime.shutdown_background();
    Ok(())
}

fn listen(settings: &Settings, name: &str) -> Listen {
    let operators = privilege::group(OPERATORS);
    Listen {
        path: socket(&settings.sockets, name),
        mode: 0o660,
        // Started by another instance that has given up its privileges, it cannot give anything to the group.
        group: operators.filter(|_| privilege::may(CapabilitySet::CHOWN)),
        greeting: Greeting {
            speaks: SPEAKS.to_owned(),
            version: VERSION,
            program: concat!("ldirectord ", env!("CARGO_PKG_VERSION")).to_owned(),
            node: node_name(),
        },
        policy: Policy { operators, programmers: Vec::new() },
    }
}

/// Every check needs one; those that are not to be had would look like dead servers.
fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        log::warn!("cannot raise the limit of open files to {wanted}: {error}");
    }
}

/// What is left is echo requests, and the table where no helper does that.
fn give_up_privileges(settings: &settings::Ldirectord, way: Way) -> Result<(), StartError> {
    let keep = match way {
        Way::Helper => CapabilitySet::NET_RAW,
        Way::Direct => CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN,
    };
    if settings.stays_root() {
        // Commands of the file that need root: the administrator's choice.
        log::warn!("runs as root with all privileges, as lvs.toml says");
        return Ok(());
    }
    let user = if geteuid().is_root() { settings.becomes()? } else { None };
    privilege::reduce(user, keep).map_err(daemon::StartError::system("give up privileges"))?;
    Ok(())
}

/// What `in_force` and `reread` become where files outside of the log's directories cannot be written any more.
fn confine(
    config: &Config,
    ours: &[PathBuf],
    in_force: InForce,
    reread: Reread,
) -> Result<(InForce, Reread), StartError> {
    let ours: Vec<&Path> = ours.iter().map(PathBuf::as_path).collect();
    let confined = Confined::to(config, &ours)
        .map_err(io::Error::other)
        .map_err(daemon::StartError::system("rule out that files are written"))?;
    let Some(confined) = confined.map(Arc::new) else { return Ok((in_force, reread)) };
    let known = confined.clone();
    let in_force = move |config: &Config| {
        in_force(config);
        if let Some(missing) = known.missing(config) {
            log::warn!("{missing}");
        }
    };
    let reread = move || {
        let explained = |mistakes: Vec<String>| mistakes.into_iter().map(|it| confined.explained(it)).collect();
        reread().map_err(explained)
    };
    Ok((Box::new(in_force), Arc::new(reread)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_helper_then_the_kernel_and_else_says_what_to_do() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (there, absent) = (directory.path().to_owned(), directory.path().join("lvsctl.sock"));
        let way = |access, helper: &Path, may| Way::choose(access, helper, may).map_err(|e| e.to_string());
        assert_eq!(way(IpvsAccess::Auto, &there, true), Ok(Way::Helper));
        assert_eq!(way(IpvsAccess::Auto, &absent, true), Ok(Way::Direct));
        assert_eq!(way(IpvsAccess::Helper, &absent, true), Ok(Way::Helper), "it may come later");
        assert_eq!(way(IpvsAccess::Direct, &there, false), Ok(Way::Direct), "the kernel says no");
        let why = way(IpvsAccess::Auto, &absent, false).expect_err("no way");
        assert!(why.contains("lvsctl.sock") && why.contains("lvsctl serve"), "{why}");
    }
}
