//! The command line of heartbeatd.

use std::error::Error;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use heartbeatd::act::{guard, proclaim};
use heartbeatd::names::{Name, cl_status, heartbeat, meatclient, switch};
use heartbeatd::start::{self, Places, StartError};
use heartbeatd::{config, decode, show};
use lvs::control::heartbeatd::{Request, Status};
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
    /// Tells the neighbours for five seconds that an address is at this machine, and puts nothing on
    Announce {
        /// IPv4 or IPv6
        address: IpAddr,
        /// Where; unless said the interface whose network holds the address
        interface: Option<String>,
        /// One announcement, and no more
        #[arg(long)]
        once: bool,
    },
    /// Says what captured packets hold; exit status 0 if all are valid
    Decode(decode::Arguments),
    /// Takes addresses off when the daemon dies; started by the daemon itself
    #[command(name = guard::ARGUMENT, hide = true)]
    Guard,
}

/// LSB: it cannot be said how the daemon is.
const UNKNOWN: u8 = 4;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    match Name::of(&name) {
        Name::Heartbeatd if !heartbeat::is_meant(&arguments) => heartbeatd(),
        Name::Heartbeatd | Name::Heartbeat => as_heartbeat(&arguments),
        Name::ClStatus => as_cl_status(&arguments),
        Name::Standby => as_switch(&name.to_string_lossy(), true, &arguments),
        Name::Meatclient => as_meatclient(&arguments),
        Name::Takeover => as_switch(&name.to_string_lossy(), false, &arguments),
    }
}

/// heartbeat's options and exit statuses (spec 0.2).
fn as_heartbeat(arguments: &[String]) -> ExitCode {
    let places = Places::default();
    match heartbeat::read(arguments) {
        Ok(heartbeat::Order::Start { debug, foreground: true }) => {
            no_need(&places).unwrap_or_else(|| run(&places, None, debug))
        }
        Ok(heartbeat::Order::Start { debug, foreground: false }) => start(&places, debug),
        Ok(heartbeat::Order::Stop) => {
            if matches!(probe(&places.pid_file, "heartbeatd"), Ok(Running::No | Running::Stale { .. })) {
                eprintln!("INFO: Heartbeat already stopped.");
            }
            stop(&places)
        }
        Ok(heartbeat::Order::Reload) => reload(&places),
        Ok(heartbeat::Order::Restart) => {
            eprintln!("heartbeat: -R gives resources to the peer for the time of the restart");
            restart(&places)
        }
        Ok(heartbeat::Order::Status) => match (running(&places), start::check(&places)) {
            (Ok(Running::Yes { pid }), loaded) => {
                let node = loaded.map_or_else(|_| "this node".to_owned(), |loaded| loaded.value.ha_cf.local);
                say(&format!("heartbeat OK [pid {pid} et al] is running on {node} [{node}]..."))
            }
            (Ok(stopped), _) => {
                say("heartbeat is stopped. No process");
                ExitCode::from(if stopped == Running::No { 3 } else { 1 })
            }
            (Err(code), _) => code,
        },
        Ok(heartbeat::Order::Version) => say(heartbeat::VERSION),
        Ok(heartbeat::Order::Defaults) => say(&heartbeat::defaults()),
        Err(complaint) => {
            eprintln!("{complaint}\n{}", heartbeat::USAGE);
            ExitCode::from(2)
        }
    }
}

fn as_cl_status(arguments: &[String]) -> ExitCode {
    let places = Places::default();
    let reply = cl_status::Question::read(arguments).map_or_else(std::convert::identity, |question| {
        if let Some(name) = question.parameter() {
            return match (running(&places), config::parameter(&places.config, name)) {
                (Ok(Running::Yes { .. }), Ok(value)) => question.parameter_reply(value.as_deref()),
                _ => question.not_running(),
            };
        }
        match (running(&places), show::ask::<Status>(&places, &Request::Status {}, show::ANSWER)) {
            (Ok(Running::Yes { .. }), Ok(status)) => question.answer(&status),
            _ => question.not_running(),
        }
    });
    if reply.complaint {
        eprintln!("{}", reply.text);
    } else if !reply.text.is_empty() {
        say(reply.text.trim_end_matches('\n'));
    }
    ExitCode::from(reply.status)
}

/// Unlike the original's, ours wait for the outcome, and a switch that cannot be ends with status 1 (fault 22).
fn as_switch(program: &str, standby: bool, arguments: &[String]) -> ExitCode {
    let (announced, request) = match switch::read(program, standby, arguments) {
        switch::Order::Ask { announced, request } => (announced, request),
        switch::Order::Refuse(why) => {
            println!("{}usage:", why.map(|why| why + "\n").unwrap_or_default());
            eprintln!("{}", switch::usage(program));
            return ExitCode::FAILURE;
        }
    };
    if let Some(set) = announced {
        eprintln!("Going standby [{set}].");
    }
    match show::ask::<serde_json::Value>(&Places::default(), &request, SWITCH_PATIENCE) {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{program}: {}", lvs::diag::chain(e.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// cluster-glue's: says that a node is off which was switched off by hand. `-w` waits until somebody wants to know.
fn as_meatclient(arguments: &[String]) -> ExitCode {
    let Some(meatclient::Order { node, wait }) = meatclient::read(arguments) else {
        eprintln!("{}", meatclient::USAGE);
        return ExitCode::from(meatclient::WRONG);
    };
    let places = Places::default();
    let waits = || {
        let status = show::ask::<Status>(&places, &Request::Status {}, show::ANSWER)?;
        Ok::<_, Box<dyn Error>>(status.nodes.iter().any(|each| each.name == node && each.fencing.is_some()))
    };
    loop {
        match waits() {
            Ok(true) => break,
            Ok(false) if wait => sleep(Duration::from_secs(1)),
            Ok(false) => return complain(&format!("{node} does not wait to be switched off by hand")),
            Err(e) => return complain(&lvs::diag::chain(e.as_ref())),
        }
    }
    eprintln!("{}", meatclient::warning(&node));
    let mut line = String::new();
    if io::stdin().read_line(&mut line).is_err() || !matches!(line.trim(), "y" | "Y") {
        eprintln!("Operation cancelled.");
        return ExitCode::FAILURE;
    }
    match show::ask::<serde_json::Value>(&places, &Request::ConfirmDead { node }, show::ANSWER) {
        Ok(_) => say("Meatware_client: reset confirmed."),
        Err(e) => complain(&lvs::diag::chain(e.as_ref())),
    }
}

/// Longer than the node itself waits for a switch.
const SWITCH_PATIENCE: Duration = Duration::from_secs(150);

fn say(text: &str) -> ExitCode {
    // A reader that has gone wants no more.
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn heartbeatd() -> ExitCode {
    let Options { config, state, pid_file, verb } = Options::parse();
    let places = Places { config, state, pid_file };
    match verb {
        Verb::Start => start(&places, false),
        Verb::Stop => stop(&places),
        Verb::Restart => restart(&places),
        Verb::Reload => reload(&places),
        Verb::Status { json } => status(&places, json),
        Verb::Run => run(&places, None, false),
        Verb::Check => match start::check(&places) {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
                start::absent(&loaded.value).iter().for_each(|warning| eprintln!("{warning}"));
                ExitCode::SUCCESS
            }
            Err(e) => refused(&e),
        },
        Verb::Announce { address, interface, once } => match proclaim::proclaim(address, interface.as_deref(), once) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => complain(&lvs::diag::chain(&e)),
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

fn run(places: &Places, background: Option<detach::Readiness>, debug: bool) -> ExitCode {
    match start::run(places, background, debug) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("{}", lvs::diag::chain(&e));
            refused(&e)
        }
    }
}

fn restart(places: &Places) -> ExitCode {
    if let Err(e) = start::privileged().and_then(|()| start::check(places)) {
        return refused(&e);
    }
    match stop(places) {
        ExitCode::SUCCESS => start(places, false),
        failed => failed,
    }
}

fn start(places: &Places, debug: bool) -> ExitCode {
    match detach::half() {
        Ok(Half::Background(readiness)) => return run(places, Some(readiness), debug),
        Ok(Half::Foreground) => {}
        Err(e) => return complain(&format!("cannot go to the background: {e}")),
    }
    if let Some(code) = no_need(places) {
        return code;
    }
    match detach::launch() {
        Ok(Launched::Ready) => ExitCode::SUCCESS,
        Ok(Launched::Ended(status)) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(e) => complain(&format!("cannot start: {e}")),
    }
}

/// Why there is nothing to start. That one runs already is no failure, as long as the files are good (spec 0.2).
fn no_need(places: &Places) -> Option<ExitCode> {
    if let Err(e) = start::privileged() {
        return Some(refused(&e));
    }
    let Ok(Running::Yes { pid }) = probe(&places.pid_file, "heartbeatd") else { return None };
    if let Err(e) = start::check(places) {
        return Some(refused(&e));
    }
    eprintln!("heartbeatd: already running [pid {pid}].");
    Some(ExitCode::SUCCESS)
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

/// How often it is told that a stop still goes on, seconds.
const STOP_TOLD_EVERY: u64 = 30;

fn stop(places: &Places) -> ExitCode {
    let pid = match running(places) {
        Ok(Running::Yes { pid }) => pid,
        Ok(Running::Stale { .. } | Running::No) => return ExitCode::SUCCESS,
        Err(code) => return code,
    };
    if let Err(e) = signal(pid, rustix::process::Signal::TERM) {
        if e.kind() == io::ErrorKind::PermissionDenied {
            return refused(&StartError::Privilege);
        }
        return complain(&format!("cannot stop process {pid}: {e}"));
    }
    // As long as its scripts take: whoever goes away earlier may start it again too early.
    let (begun, mut told) = (Instant::now(), 0);
    while matches!(probe(&places.pid_file, "heartbeatd"), Ok(Running::Yes { .. })) {
        let waited = begun.elapsed().as_secs() / STOP_TOLD_EVERY;
        if waited > told {
            told = waited;
            eprintln!(
                "heartbeatd: process {pid} still gives its resources up after {} s; see the log",
                waited * STOP_TOLD_EVERY
            );
        }
        sleep(Duration::from_millis(50));
    }
    ExitCode::SUCCESS
}

fn reload(places: &Places) -> ExitCode {
    if let Err(e) = start::privileged().and_then(|()| start::check(places)) {
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
