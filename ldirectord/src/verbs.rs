//! What the verbs do (spec/ldirectord.md chapter 1): to a daemon that runs, or to become one.

use std::ffi::OsString;
use std::io::Write;

use lvs::daemon::pidfile::{self, Running};
use lvs::diag::Diagnostic;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::cli::Verb;
use crate::config::{self, Config, Loaded, Surroundings, System};
use crate::instance::Instance;
use crate::journal::Journal;

/// The name in process lists and on `ps` that makes a pid ours.
pub const PROGRAM: &str = "ldirectord";

/// Exit statuses (spec chapter 1).
pub mod status {
    /// Done.
    pub const DONE: u8 = 0;
    /// No such configuration, nothing to reload, a stale pid file, no pid file to be had.
    pub const FAILED: u8 = 1;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 2;
    /// `status`: it does not run.
    pub const STOPPED: u8 = 3;
    /// The command line is wrong.
    pub const USAGE: u8 = 255;
}

/// What a verb needs of the world.
pub struct Context<'a> {
    /// Names, services and files.
    pub surroundings: &'a dyn Surroundings,
    /// Goes on where the configuration says, as soon as that is known.
    pub journal: Option<&'a Journal>,
    /// The arguments behind the options, for the log.
    pub arguments: &'a [OsString],
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

/// What is left to do.
#[derive(Debug)]
pub enum Next {
    /// Nothing but to exit with this status.
    Exit(u8),
    /// To start the daemon in the background: this program again with the same arguments.
    Launch,
    /// To be the daemon.
    Serve(Box<Order>),
    /// To have the daemon that runs hand over its table, or else to stop it, and then to begin: [`Order::begin`].
    Replace {
        /// Its pid.
        pid: u32,
        /// What to serve afterwards.
        order: Box<Order>,
    },
    /// To show what the daemon of this socket knows; it runs.
    Show {
        /// [`Instance::socket_name`].
        socket_name: String,
    },
}

/// What to serve.
#[derive(Debug)]
pub struct Order {
    /// Whose daemon it is.
    pub instance: Instance,
    /// What its file says.
    pub config: Config,
    /// With `-d`.
    pub debug: bool,
}

/// Which half of a start this process is (see [`lvs::daemon::detach`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The command that was typed.
    Command,
    /// The process that it started in the background.
    Daemon,
}

/// Carries out a verb, up to what is left to do.
pub fn carry_out(verb: Verb, instance: Instance, debug: bool, half: Half, context: &mut Context<'_>) -> Next {
    let loaded = load(&instance, context.surroundings);
    if let (Ok(Loaded { config, .. }), Some(journal)) = (&loaded, context.journal) {
        let starts = matches!(verb, Verb::Start | Verb::Restart | Verb::TryRestart);
        journal.follow(&config.globals.log, config.globals.supervised && starts);
    }
    if half == Half::Command {
        log::info!("Invoking ldirectord invoked as: {}", invocation(context.arguments));
    }
    let next = match loaded {
        Ok(Loaded { config, warnings }) => {
            let order = Order { instance, config, debug };
            match half {
                Half::Daemon => {
                    warn(&warnings, context);
                    Next::Serve(Box::new(order))
                }
                Half::Command => command(verb, order, &warnings, context),
            }
        }
        Err(found) => {
            found.iter().for_each(|text| say(context.err, text));
            // Whoever wants it stopped is not helped by a daemon that goes on.
            if let (Verb::Stop, Ok(Running::Yes { pid })) = (verb, pidfile::probe(&instance.pid_file, PROGRAM)) {
                tell(pid, Signal::TERM, context);
            }
            log::info!("Exiting with exit_status {}: config_error: Configuration Error", status::CONFIG);
            return Next::Exit(status::CONFIG);
        }
    };
    if let Next::Exit(code @ 1..) = next {
        log::info!("Exiting with exit_status {code}: Exiting from ldirectord {}", verb.name());
    }
    next
}

/// Checks a configuration and does nothing else.
pub fn check(instance: &Instance, context: &mut Context<'_>) -> u8 {
    match load(instance, context.surroundings) {
        Ok(Loaded { config, warnings }) => {
            warn(&warnings, context);
            let reals: usize = config.virtuals.iter().map(|v| v.reals.len()).sum();
            let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            let virtuals = count(config.virtuals.len(), "virtual server");
            let text = format!("{}: {virtuals}, {}", instance.config.display(), count(reals, "real server"));
            say(context.out, &text);
            status::DONE
        }
        Err(found) => {
            found.iter().for_each(|text| say(context.err, text));
            status::CONFIG
        }
    }
}

/// The arguments as the original logs them, each with a blank behind it.
fn invocation(arguments: &[OsString]) -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| PROGRAM.into());
    let words = [&program].into_iter().chain(arguments);
    words.map(|word| format!("{} ", word.to_string_lossy())).collect()
}

/// Reads the instance's configuration again, for a daemon that runs; its warnings are logged.
///
/// # Errors
/// The texts to log if it cannot be used.
pub fn reread(instance: &Instance) -> Result<Config, Vec<String>> {
    // A daemon that has become another user could not open its log file again, and need not.
    let surroundings = if geteuid().is_root() { System::new() } else { System::without_files() };
    let Loaded { config, warnings } = load(instance, &surroundings)?;
    let pid = std::process::id();
    warnings.iter().for_each(|d| log::warn!("{}", config::rendered(d, pid)));
    Ok(config)
}

/// Reads the instance's configuration; if it cannot be used, the texts to print.
fn load(instance: &Instance, surroundings: &dyn Surroundings) -> Result<Loaded, Vec<String>> {
    let pid = std::process::id();
    let text = config::read_file(&instance.absolute)
        .map_err(|error| vec![format!("Error [{pid}]: can not open file {}: {error}", instance.config.display())])?;
    let loaded = config::load(&instance.config, &text, surroundings);
    loaded.map_err(|found| found.iter().map(|d| config::rendered(d, pid)).collect())
}

impl Order {
    /// How it is begun: in the foreground if debugging or supervised.
    #[must_use]
    pub fn begin(self) -> Next {
        if self.foreground() { Next::Serve(Box::new(self)) } else { Next::Launch }
    }

    /// Whether the daemon stays in the foreground.
    #[must_use]
    pub fn foreground(&self) -> bool {
        self.debug || self.config.globals.supervised
    }
}

/// A verb with a configuration that can be used.
fn command(verb: Verb, order: Order, warnings: &[Diagnostic], context: &mut Context<'_>) -> Next {
    let running = match pidfile::probe(&order.instance.pid_file, PROGRAM) {
        Ok(running) => running,
        Err(error) => {
            say(context.err, &format!("Can not open {}: {error}", order.instance.pid_file.display()));
            return Next::Exit(status::FAILED);
        }
    };
    let foreground = order.foreground();
    let next = match running {
        Running::Yes { pid } => with_running(verb, pid, order, context),
        Running::No | Running::Stale { .. } => without_running(verb, running, order, context),
    };
    // The process in the background reads the file again, and its standard error is the same.
    if foreground || !matches!(next, Next::Launch | Next::Replace { .. }) {
        warn(warnings, context);
    }
    next
}

fn with_running(verb: Verb, pid: u32, order: Order, context: &mut Context<'_>) -> Next {
    match verb {
        Verb::Start => Next::Exit(status::DONE),
        Verb::Status => {
            let text = format!("ldirectord for {} is running with pid: {pid}", order.instance.config.display());
            say(context.err, &text);
            log::info!("{text}");
            order.config.globals.execute.iter().for_each(|config| status_of(config, context));
            log::info!("Exiting from ldirectord status");
            Next::Show { socket_name: order.instance.socket_name() }
        }
        Verb::Stop => Next::Exit(tell(pid, Signal::TERM, context)),
        Verb::Reload => Next::Exit(tell(pid, Signal::HUP, context)),
        Verb::Restart | Verb::TryRestart => Next::Replace { pid, order: Box::new(order) },
    }
}

/// Has another instance of the file (`execute`) say whether it runs.
fn status_of(config: &str, context: &mut Context<'_>) {
    let program = std::env::current_exe();
    let status = program.and_then(|program| std::process::Command::new(program).args([config, "status"]).status());
    if let Err(error) = status {
        say(context.err, &format!("cannot ask for the status of {config}: {error}"));
    }
}

fn without_running(verb: Verb, running: Running, order: Order, context: &mut Context<'_>) -> Next {
    let stopped = format!("ldirectord is stopped for {}", order.instance.config.display());
    match verb {
        Verb::Start | Verb::Restart => order.begin(),
        Verb::Stop | Verb::TryRestart => Next::Exit(status::DONE),
        Verb::Reload => {
            log::info!("{stopped}");
            Next::Exit(status::FAILED)
        }
        Verb::Status => {
            say(context.out, &stopped);
            if running == Running::No {
                return Next::Exit(status::STOPPED);
            }
            let (pid_file, config) = (order.instance.pid_file.display(), order.instance.config.display());
            say(context.err, &format!("ldirectord stale pid file {pid_file} for {config}"));
            Next::Exit(status::FAILED)
        }
    }
}

fn warn(warnings: &[Diagnostic], context: &mut Context<'_>) {
    let pid = std::process::id();
    warnings.iter().for_each(|d| say(context.err, &config::rendered(d, pid)));
}

/// Sends a signal to a daemon that was seen running.
fn tell(pid: u32, signal: Signal, context: &mut Context<'_>) -> u8 {
    let sent = process(pid).and_then(|process| kill_process(process, signal));
    match sent {
        // Gone in between: it is as it should be.
        Ok(()) | Err(Errno::SRCH) => status::DONE,
        Err(error) => {
            say(context.err, &format!("cannot signal pid {pid}: {error}"));
            status::FAILED
        }
    }
}

fn process(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// Whoever reads may have gone away; that is their business.
fn say(to: &mut dyn Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
