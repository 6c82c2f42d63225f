//! ldirectord: from the command line to a verb, and from there to a running daemon.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ldirectord::cli::{self, Command, USAGE, UsageError, Verb};
use ldirectord::config::System;
use ldirectord::director::{self, Options};
use ldirectord::instance::{Instance, Places};
use ldirectord::journal::Journal;
use ldirectord::replace::replace;
use ldirectord::show;
use ldirectord::verbs::{self, Context, Half, Next, Order, status};
use lvs::daemon::detach::{self, Launched, Readiness};
use lvs::daemon::pidfile::{ClaimError, PidFile};
use lvs::diag::chain;
use lvs::settings::Settings;

fn main() -> ExitCode {
    let code = match cli::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print(&format!("{USAGE}{}", cli::HELP));
            status::DONE
        }
        Ok(Command::Version) => {
            print(cli::VERSION);
            status::DONE
        }
        Ok(Command::Check { config }) => check(config.as_deref()),
        Ok(Command::Verb { verb, config, debug, json, arguments }) => {
            return carry_out(verb, config.as_deref(), debug, json, &arguments);
        }
        Err(UsageError { complaint }) => {
            if let Some(complaint) = complaint {
                complain(&complaint);
            }
            print(USAGE);
            status::USAGE
        }
    };
    ExitCode::from(code)
}

fn check(config: Option<&OsStr>) -> u8 {
    let found = here().and_then(|here| {
        Instance::find(config, &Places::usual(), &here).map_err(|error| (status::FAILED, error.to_string()))
    });
    match found {
        Ok(instance) => {
            let (mut out, mut err) = (io::stdout(), io::stderr());
            let surroundings = &System::without_files();
            let mut context = Context { surroundings, journal: None, arguments: &[], out: &mut out, err: &mut err };
            verbs::check(&instance, &mut context)
        }
        Err((code, complaint)) => {
            complain(&complaint);
            code
        }
    }
}

fn carry_out(verb: Verb, config: Option<&OsStr>, debug: bool, json: bool, arguments: &[OsString]) -> ExitCode {
    match begin(verb, config, debug, json, arguments) {
        Ok(code) => code,
        Err((code, complaint)) => {
            complain(&complaint);
            ExitCode::from(code)
        }
    }
}

/// An exit status, and what to say on standard error.
type Failure = (u8, String);

fn here() -> Result<std::path::PathBuf, Failure> {
    env::current_dir().map_err(|error| (status::FAILED, format!("there is no working directory: {error}")))
}

fn begin(
    verb: Verb,
    config: Option<&OsStr>,
    debug: bool,
    json: bool,
    arguments: &[OsString],
) -> Result<ExitCode, Failure> {
    let failed =
        |attempt: &str, error: &dyn std::error::Error| (status::FAILED, format!("{attempt}: {}", chain(error)));
    let (half, readiness) = match detach::half().map_err(|error| failed("cannot go to the background", &error))? {
        detach::Half::Foreground => (Half::Command, None),
        detach::Half::Background(readiness) => (Half::Daemon, Some(readiness)),
    };
    let started_in = match &readiness {
        Some(readiness) => readiness.started_in().to_owned(),
        None => here()?,
    };
    let places = Places::usual();
    let instance = Instance::find(config, &places, &started_in).map_err(|error| (status::FAILED, error.to_string()))?;
    let journal = Journal::install(&instance.name, &places.log, debug).map_err(|error| failed("no log", &error))?;
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut context =
        Context { surroundings: &System::new(), journal: Some(journal), arguments, out: &mut out, err: &mut err };
    let mut next = verbs::carry_out(verb, instance, debug, half, &mut context);
    let mut inherits = false;
    if let Next::Replace { pid, order } = next {
        let settings = Settings::read(&places.settings).map_err(|error| (status::CONFIG, chain(&error)))?;
        let socket = lvs::control::socket(&settings.sockets, &order.instance.socket_name());
        inherits =
            replace(pid, &socket).map_err(|error| (status::FAILED, format!("cannot stop pid {pid}: {error}")))?;
        next = order.begin();
    }
    let orphaned = |failed: bool| {
        if inherits && failed {
            complain(
                "the ldirectord that ran has handed over: its table stays as it was, and nobody checks its servers",
            );
        }
    };
    match next {
        // It has just been replaced by what it stands for.
        Next::Replace { .. } => Ok(ExitCode::from(status::FAILED)),
        Next::Exit(code) => Ok(ExitCode::from(code)),
        Next::Launch => match detach::launch().map_err(|error| failed("cannot start in the background", &error))? {
            Launched::Ready => Ok(ExitCode::SUCCESS),
            Launched::Ended(code) => {
                orphaned(code != 0);
                Ok(ExitCode::from(u8::try_from(code).unwrap_or(status::FAILED)))
            }
        },
        Next::Show { socket_name } => {
            let settings = Settings::read(&places.settings).map_err(|error| (status::CONFIG, chain(&error)))?;
            let socket = lvs::control::socket(&settings.sockets, &socket_name);
            match show::ask(&socket) {
                Ok(known) => print(&if json { show::json(&known) } else { show::table(&known) }),
                // It runs, and that is what the exit status is about.
                Err(error) => complain(&format!("what it knows cannot be shown: {error}")),
            }
            Ok(ExitCode::SUCCESS)
        }
        Next::Serve(order) => serve(*order, &places.settings, journal, readiness).inspect_err(|_| orphaned(true)),
    }
}

/// Is the daemon, until a signal ends it.
fn serve(
    order: Order,
    settings: &Path,
    journal: &'static Journal,
    readiness: Option<Readiness>,
) -> Result<ExitCode, Failure> {
    let settings = Settings::read(settings).map_err(|error| (status::CONFIG, chain(&error)))?;
    let how = if readiness.is_some() { "as daemon".to_owned() } else { format!("with pid: {}", std::process::id()) };
    let Order { instance, config, debug } = order;
    // Kept until the end: it goes with the daemon.
    let _pid_file = if debug {
        None
    } else {
        match PidFile::claim(&instance.pid_file, verbs::PROGRAM) {
            Ok(pid_file) => Some(pid_file),
            // Another start was faster: it runs, and that is what was asked for.
            Err(ClaimError::Running { .. }) => return Ok(ExitCode::SUCCESS),
            Err(error @ ClaimError::Write { .. }) => {
                let text = format!("Can not open {}: {}", instance.pid_file.display(), chain(&error));
                return Err((status::FAILED, text));
            }
        }
    };
    log::info!("Starting Linux Director v1.186-ha {how}");
    let options = Options {
        path: instance.config.clone(),
        absolute: instance.absolute.clone(),
        pid_file: instance.pid_file.clone(),
        socket_name: instance.socket_name(),
        settings,
        readiness,
        in_force: Box::new(move |config| journal.follow(&config.globals.log, config.globals.supervised)),
        reread: Arc::new(move || verbs::reread(&instance)),
    };
    Ok(director::run(options, config))
}

/// Whoever reads may have gone away; that is their business.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
