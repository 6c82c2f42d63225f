//! `lvsctl serve`: the privileged helper.

use std::path::PathBuf;

use log::LevelFilter;

use super::{FAILED, fail};
use crate::control;
use crate::daemon::detach::{self, Half, Launched};
use crate::daemon::logging::{self, Facility, Sink};
use crate::serve::{Serve, programmer};
use crate::settings;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Return when the helper is ready, and leave it running
    #[arg(long)]
    background: bool,
    /// Log to standard error instead of the system log
    #[arg(short, long)]
    debug: bool,
    /// The settings that all daemons share: where sockets are, and which user ldirectord has
    #[arg(long, value_name = "FILE", default_value = settings::PATH)]
    settings: PathBuf,
    /// The socket, if it should not be in the directory that the settings name
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// The pid file
    #[arg(long, value_name = "FILE", default_value = "/run/lvs/lvsctl.pid")]
    pidfile: PathBuf,
}

pub(super) fn run(arguments: Arguments) -> u8 {
    match start(arguments) {
        Ok(status) => status,
        Err(error) => fail(error.as_ref()),
    }
}

fn start(arguments: Arguments) -> Result<u8, Box<dyn std::error::Error>> {
    let Arguments { background, debug, settings: path, socket, pidfile } = arguments;
    let readiness = match detach::half()? {
        Half::Background(readiness) => Some(readiness),
        Half::Foreground if background => {
            return Ok(match detach::launch()? {
                Launched::Ready => 0,
                Launched::Ended(status) => u8::try_from(status).unwrap_or(FAILED),
            });
        }
        Half::Foreground => None,
    };
    // The background half runs in another directory than the one where the names were typed.
    let from = readiness.as_ref().map(|readiness| readiness.started_in().to_owned()).unwrap_or_default();
    let path = from.join(path);
    let (settings, programmer) = programmer(&path)?;
    let socket = socket.map_or_else(|| control::socket(&settings.sockets, control::lvsctl::SPEAKS), |s| from.join(s));
    let serve = Serve { socket, pidfile: from.join(pidfile), programmer, settings: path };
    let sink = if debug { Sink::Stderr } else { Sink::System(Facility::LOG_DAEMON) };
    logging::install("lvsctl", sink, LevelFilter::Info)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve.run(readiness));
    if let Err(error) = &ended {
        log::error!("{}", crate::diag::chain(error));
    }
    ended?;
    Ok(0)
}
