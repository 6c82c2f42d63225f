//! The command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use lvs::control::{self, realserver::SPEAKS};
use lvs::settings::{self, Settings, SettingsError};

use crate::{config, memory};

/// Prepares a back end for direct routing: virtual addresses on lo, and no word of them to the neighbours.
#[derive(Debug, Parser)]
#[command(name = "realserver", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Where things are.
    #[command(flatten)]
    pub places: Places,
}

/// Files, all with their usual places.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = config::PATH)]
    pub config: PathBuf,
    /// Where the values from before are kept
    #[arg(long, global = true, value_name = "FILE", default_value = memory::PATH)]
    pub state: PathBuf,
    /// The control socket of `realserver run` [default: realserver.sock where lvs.toml says, or in /run/lvs]
    #[arg(long, global = true, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// The pid file of `realserver run`
    #[arg(long, global = true, value_name = "FILE", default_value = "/run/lvs/realserver.pid")]
    pub pidfile: PathBuf,
}

impl Places {
    /// The same files, for a process that works in another directory than the one where they were typed.
    #[must_use]
    pub fn seen_from(&self, directory: &Path) -> Self {
        Self {
            config: directory.join(&self.config),
            state: directory.join(&self.state),
            socket: self.socket.as_ref().map(|socket| directory.join(socket)),
            pidfile: directory.join(&self.pidfile),
        }
    }

    /// The control socket.
    ///
    /// # Errors
    /// If it is not said here and the settings that say it are broken.
    pub fn socket(&self) -> Result<PathBuf, SettingsError> {
        match &self.socket {
            Some(path) => Ok(path.clone()),
            None => Ok(control::socket(&Settings::read(Path::new(settings::PATH))?.sockets, SPEAKS)),
        }
    }
}

/// The verbs.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Those that do one thing and end.
    #[command(flatten)]
    Once(Once),
    /// Do what start does, stay, and mend what others change
    Run {
        /// Return as soon as everything is in place, and stay in the background
        #[arg(long)]
        background: bool,
        /// Log to standard error instead of the system log
        #[arg(long, short = 'd', conflicts_with = "background")]
        debug: bool,
        /// The virtual addresses.
        #[command(flatten)]
        addresses: Addresses,
    },
}

/// The verbs that do one thing and end.
#[derive(Debug, Clone, Subcommand)]
pub enum Once {
    /// Put the addresses on lo and quieten ARP, once
    Start(Addresses),
    /// Take the addresses off and put the ARP settings back
    Stop(Addresses),
    /// Show what is set; exit status 0: ready, 3: stopped, 1: in between
    Status(Report),
    /// Name each thing that is wrong; exit status 1 if there is one
    Check(Report),
}

/// Virtual addresses on the command line.
#[derive(Debug, Clone, Args)]
pub struct Addresses {
    /// Virtual addresses, instead of those in the configuration
    #[arg(value_name = "ADDRESS", value_parser = config::virtual_address)]
    pub addresses: Vec<IpAddr>,
}

/// How to report, and on what.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The virtual addresses.
    #[command(flatten)]
    pub addresses: Addresses,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_with_the_mask_of_a_network_is_refused() {
        let refused = Cli::try_parse_from(["realserver", "start", "192.168.60.200/24"]);
        assert!(refused.expect_err("refused").to_string().contains("the mask must be /32"));
    }
}
