//! The command line of heartbeatd.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use heartbeatd::act::guard;
use heartbeatd::start::{self, Places, STOP_PATIENCE, StartError};
use heartbeatd::{decode, show};
use lvs::daemon::detach::{self, Half, Launched};
use lvs::daemon::pidfile::{Running, probe};

/// Owns the virtual addresses of a pair of directors: heartbeats, takeover, failback.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// Directory of ha.cf, haresources, authkeys and lvs.toml
    #[arg(long, default_value = "/etc/ha.d", global = true)]
    config: PathBuf,
    /// Directory of hb_uuid and hb_generation
    #[arg(long, default_value = "/var/lib/heartbeat", global = true)]
    state: PathBuf,
    /// Pid file
    #[arg(long, default_value = "/run/lvs/heartbeatd.pid", global = true)]
    pid_file: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Starts in the background; returns when the node takes part
    Start,
    /// Gives everything to the peer and ends
    Stop,
    /// Stops, then starts
    Restart,
    /// Reads authkeys again, and checks ha.cf and haresources
    Reload,
    /// Who is alive, who holds what; exit status 0 running, 1 died, 3 stopped, 4 runs and does not answer
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Stays in the foreground and logs to standard error
    Run,
    /// Says what is wrong with the files, and starts nothing; exit status 6 if they are refused
    Check,
    /// Says what captured packets hold; exit status 0 if all are valid
    Decode(decode::Arguments),
    /// Takes addresses off when the daemon dies; started by the daemon itself
    #[command(name = guard::ARGUMENT, hide = true)]
    Guard,
}

/// LSB: it cannot be said how the daemon is.
const UNKNOWN: u8 = 4;

fn main() -> ExitCode {
    let Options { config, state, pid_file, verb } = Options::parse();
    let places = Places { config, state, pid_file };
    match verb {
        Verb::Start => start(&places),
        Verb::Stop => stop(&places),
        Verb::Restart => {
            if let Err(e) = start::check(&places) {
                return refused(&e);
            }
            match stop(&places) {
                ExitCode::SUCCESS => start(&places),
                failed => failed,
            }
        }
        Verb::Reload => reload(&places),
        Verb::Status { json } => status(&places, json),
        Verb::Run => run(&places, None),
        Verb::Check => match start::check(&places) {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
                ExitCode::SUCCESS
            }
            Err(e) => refused(&e),
        },
        Verb::Decode(arguments) => {
            match decode::command(&arguments, &mut io::stdout().lock(), &mut io::stderr().lock()) {
                Ok(outcome) => ExitCode::from(outcome as u8),
                Err(e) => complain(&format!("cannot write the report: {e}")),
            }
        }
        Verb::Guard => match guard::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => complain(&format!("the guard cannot work: {e}")),
        },
    }
}

fn complain(message: &str) -> ExitCode {
    eprintln!("heartbeatd: {message}");
    ExitCode::FAILURE
}

fn refused(error: &StartError) -> ExitCode {
    eprintln!("{}", lvs::diag::chain(error));
    ExitCode::from(error.exit_status())
}

fn run(places: &Places, background: Option<detach::Readiness>) -> ExitCode {
    match start::run(places, background) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("{}", lvs::diag::chain(&e));
            refused(&e)
        }
    }
}

fn start(places: &Places) -> ExitCode {
    match detach::half() {
        Ok(Half::Background(readiness)) => return run(places, Some(readiness)),
        Ok(Half::Foreground) => {}
        Err(e) => return complain(&format!("cannot go to the background: {e}")),
    }
    if let Ok(Running::Yes { pid }) = probe(&places.pid_file, "heartbeatd") {
        eprintln!("heartbeatd: already running [pid {pid}].");
        return ExitCode::SUCCESS;
    }
    match detach::launch() {
        Ok(Launched::Ready) => ExitCode::SUCCESS,
        Ok(Launched::Ended(status)) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(e) => complain(&format!("cannot start: {e}")),
    }
}

fn running(places: &Places) -> Result<Running, ExitCode> {
    probe(&places.pid_file, "heartbeatd")
        .map_err(|e| complain(&format!("cannot read {}: {e}", places.pid_file.display())))
}

fn signal(pid: u32, signal: rustix::process::Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

fn stop(places: &Places) -> ExitCode {
    let pid = match running(places) {
        Ok(Running::Yes { pid }) => pid,
        Ok(Running::Stale { .. } | Running::No) => return ExitCode::SUCCESS,
        Err(code) => return code,
    };
    if let Err(e) = signal(pid, rustix::process::Signal::TERM) {
        return complain(&format!("cannot stop process {pid}: {e}"));
    }
    let end = Instant::now() + STOP_PATIENCE;
    while matches!(probe(&places.pid_file, "heartbeatd"), Ok(Running::Yes { .. })) {
        if Instant::now() > end {
            return complain(&format!(
                "process {pid} still gives its resources up after {} s; see the log",
                STOP_PATIENCE.as_secs()
            ));
        }
        sleep(Duration::from_millis(50));
    }
    ExitCode::SUCCESS
}

fn reload(places: &Places) -> ExitCode {
    if let Err(e) = start::check(places) {
        return refused(&e);
    }
    match running(places) {
        Ok(Running::Yes { pid }) => match signal(pid, rustix::process::Signal::HUP) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => complain(&format!("cannot signal process {pid}: {e}")),
        },
        Ok(Running::Stale { .. } | Running::No) => {
            eprintln!("heartbeatd is stopped");
            ExitCode::from(7)
        }
        Err(code) => code,
    }
}

fn status(places: &Places, json: bool) -> ExitCode {
    match running(places) {
        Ok(Running::Yes { .. }) => match show::status(places, json) {
            Ok(text) => {
                // A reader that has gone wants no more.
                let _ = writeln!(io::stdout(), "{text}");
                ExitCode::SUCCESS
            }
            Err(e) => {
                complain(&format!("runs, and does not answer: {}", lvs::diag::chain(e.as_ref())));
                ExitCode::from(UNKNOWN)
            }
        },
        Ok(Running::Stale { .. }) => {
            println!("heartbeatd has died: {} is stale", places.pid_file.display());
            ExitCode::from(1)
        }
        Ok(Running::No) => {
            println!("heartbeatd is stopped");
            ExitCode::from(3)
        }
        Err(code) => code,
    }
}
