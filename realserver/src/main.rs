//! `realserver`.

use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;
use lvs::daemon::detach::{self, Half, Launched};
use lvs::daemon::logging::{self, Facility, Sink};
use lvs::daemon::privilege::{CapabilitySet, may};
use lvs::diag::chain;
use realserver::cli::{Addresses, Cli, Once, Places, Verb};
use realserver::config::{self, Config};
use realserver::driver;
use realserver::oneshot::{self, FAILED, Failure, OK};

fn main() -> ExitCode {
    let Cli { verb, places } = Cli::parse();
    let ended = match verb {
        Verb::Run { background, debug, addresses } => run(&places, background, debug, addresses),
        Verb::Once(verb) => {
            log_to(Sink::System(Facility::LOG_DAEMON));
            runtime().and_then(|runtime| runtime.block_on(once(&places, verb)).map_err(Ended::from))
        }
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(Ended { status, message }) => {
            eprintln!("realserver: {message}");
            ExitCode::from(status)
        }
    }
}

/// An exit status and the sentence that goes with it.
struct Ended {
    status: u8,
    message: String,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self { status: failure.exit_status(), message: chain(&failure) }
    }
}

impl Ended {
    fn because(error: &dyn std::error::Error) -> Self {
        Self { status: FAILED, message: chain(error) }
    }
}

async fn once(places: &Places, verb: Once) -> Result<u8, Failure> {
    match verb {
        Once::Start(Addresses { addresses }) => oneshot::start(places, &addresses).await,
        Once::Stop(Addresses { addresses }) => oneshot::stop(places, &addresses).await,
        Once::Status(report) => oneshot::status(places, &report).await,
        Once::Check(report) => oneshot::check(places, &report).await,
    }
}

fn run(places: &Places, background: bool, debug: bool, named: Addresses) -> Result<u8, Ended> {
    let readiness = match detach::half().map_err(|e| Ended::because(&e))? {
        Half::Background(readiness) => Some(readiness),
        Half::Foreground if background => {
            return match detach::launch().map_err(|e| Ended::because(&e))? {
                Launched::Ready => Ok(OK),
                Launched::Ended(status) => Ok(u8::try_from(status).unwrap_or(FAILED)),
            };
        }
        Half::Foreground => None,
    };
    let places = &readiness.as_ref().map_or_else(|| places.clone(), |half| places.seen_from(half.started_in()));
    let fixed = !named.addresses.is_empty();
    let config = if fixed {
        Config { addresses: named.addresses.into_iter().collect(), ..Config::default() }
    } else {
        config::load(&places.config).map_err(|e| match e.is_missing() {
            true => Failure::NoAddress(places.config.clone()),
            false => e.into(),
        })?
    };
    if !may(CapabilitySet::NET_ADMIN) {
        return Err(Failure::NotPermitted.into());
    }
    log_to(if debug { Sink::Stderr } else { Sink::System(config.facility) });
    let ended = runtime()?.block_on(driver::run(places, config, fixed, readiness));
    ended.map(|()| OK).map_err(|error| {
        log::error!("{}", chain(&error));
        Ended::because(&error)
    })
}

fn log_to(sink: Sink) {
    logging::install("realserver", sink, LevelFilter::Info).expect("this is the only logger");
}

fn runtime() -> Result<tokio::runtime::Runtime, Ended> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| Ended::because(&e))
}
