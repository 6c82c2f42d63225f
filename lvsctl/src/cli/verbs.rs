//! The verbs that are not ipvsadm's.

mod apply;
mod cluster;
mod diff;
mod doctor;
mod drain;
mod paper;
mod save;
mod serve;
mod status;
mod sync;
mod table;
mod top;

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

/// The verb failed; what it says went to standard error.
const FAILED: u8 = 1;

/// Without the options: `--help` at this place is ipvsadm's.
const TEMPLATE: &str = "{about-section}\n{usage-heading} {usage}\n\nCommands:\n{subcommands}";

/// IPVS from the command line, and the cluster built on it
///
/// With a first argument that begins with "-", or under the name ipvsadm, this program is ipvsadm. So help is
/// had with "lvsctl help".
#[derive(Debug, Parser)]
#[command(name = "lvsctl", arg_required_else_help = true, help_template = TEMPLATE)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the virtual services, their real servers and what they do
    Status(status::Arguments),
    /// Print everything that IPVS holds, timeouts and sync daemons included, for "restore" and "apply"
    Save(save::Arguments),
    /// Make IPVS what a saved file says, with as few changes as it takes; what the file does not speak of
    /// (timeouts, sync daemons) becomes what a kernel starts with; exit status as for "apply"
    Restore(apply::Arguments),
    /// Show what "apply" would change; exit status 0: nothing, 1: something, 2: it cannot be told
    Diff(diff::Arguments),
    /// Make the table what a file says, with as few changes as it takes; exit status 0: nothing to
    /// change, 3: changed, 1: the kernel refused, 2: the file is wrong
    Apply(apply::Arguments),
    /// Program IPVS for ldirectord and others that have no privilege to
    Serve(serve::Arguments),
    /// Give resource groups to the other director; returns when it has them
    Standby(cluster::Switch),
    /// Take resource groups from the other director; returns when this one has them
    Takeover(cluster::Switch),
    /// Let this director keep what it has, and take and give nothing by itself, also after a restart
    Maintenance(cluster::Maintenance),
    /// Say that a director which is silent and could not be fenced is off: its groups are taken then
    ConfirmDead(cluster::Dead),
    /// Send no new connections to a real server, wait until the present ones have ended, and delete it; with
    /// ldirectord, which keeps it at weight 0 until "undrain"
    Drain(drain::Drain),
    /// Give a drained real server back what it had; with ldirectord, if its checks say so
    Undrain(drain::Undrain),
    /// Watch services and servers live: connections, and rates from the differences of counters
    Top(top::Arguments),
    /// What the connection synchronisation does
    #[command(subcommand, subcommand_help_heading = "Commands")]
    Sync(sync::Sync),
    /// Find the classic mistakes of directors and real servers; exit status as of monitoring plugins: 0: fine,
    /// 1: warnings, 2: errors, 3: it cannot be told
    Doctor(doctor::Arguments),
    /// Print what makes a shell complete these verbs
    Completions(paper::Completions),
    /// Show a manual page of this program
    Man(paper::Man),
}

/// Runs a verb; the exit status. 2 for a command line that makes no sense, but 3 for one of "doctor".
pub(super) fn run(arguments: &[OsString]) -> u8 {
    let Arguments { verb } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is an "error" too, and goes to standard output with status 0.
            let _ = error.print();
            return misused(arguments, error.exit_code());
        }
    };
    match verb {
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Save(arguments) => save::run(&arguments),
        Verb::Restore(arguments) => apply::restore(&arguments),
        Verb::Diff(arguments) => diff::run(&arguments),
        Verb::Apply(arguments) => apply::apply(&arguments),
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Standby(arguments) => cluster::standby(arguments),
        Verb::Takeover(arguments) => cluster::takeover(arguments),
        Verb::Maintenance(arguments) => cluster::maintenance(&arguments),
        Verb::ConfirmDead(arguments) => cluster::confirm_dead(&arguments),
        Verb::Drain(arguments) => drain::drain(&arguments),
        Verb::Undrain(arguments) => drain::undrain(&arguments),
        Verb::Top(arguments) => top::run(&arguments),
        Verb::Sync(what) => sync::run(&what),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Completions(arguments) => paper::completions(&arguments, Arguments::command()),
        Verb::Man(arguments) => paper::man(&arguments),
    }
}

/// The exit status of a command line that is no verb's, by what the parser says. What runs "doctor" as a monitoring
/// plugin would take 2 for errors that were found.
fn misused(arguments: &[OsString], status: i32) -> u8 {
    match u8::try_from(status) {
        Ok(0) => 0,
        _ if arguments.get(1).is_some_and(|verb| verb == "doctor") => doctor::UNKNOWN,
        status => status.unwrap_or(FAILED),
    }
}

/// Tells what went wrong.
fn fail(error: &dyn std::error::Error) -> u8 {
    complain(&format_args!("lvsctl: {}", crate::diag::chain(error)));
    FAILED
}

/// Says a line on standard error. Where nobody reads it the exit status still tells.
fn complain(line: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints an object; the exit status.
fn print_json(value: &serde_json::Value) -> u8 {
    match writeln!(std::io::stdout(), "{value:#}") {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verbs_contradict_themselves_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_monitor_does_not_take_a_wrong_command_line_for_errors() {
        let status = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let error = Arguments::try_parse_from(&words).expect_err("it makes no sense, or asks for help");
            misused(&words, error.exit_code())
        };
        assert_eq!(status(&["lvsctl", "doctor", "--nonsense"]), 3);
        assert_eq!(status(&["lvsctl", "doctor", "--help"]), 0);
        assert_eq!(status(&["lvsctl", "status", "--nonsense"]), 2);
        assert_eq!(status(&["lvsctl", "doctors"]), 2);
    }
}
