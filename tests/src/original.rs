//! Debian's heartbeat 3.0.6 on a machine of a cluster.

use crate::error::{Attempt, Error, Result};
use crate::node::Node;
use std::process::Command;

/// The daemon.
pub const HEARTBEAT: &str = "/usr/libexec/heartbeat/heartbeat";
/// Where `hb_standby` and its like are.
pub const SCRIPTS: &str = "/usr/share/heartbeat";
/// Its log, where `logfile` names it.
pub const LOG: &str = "/var/log/ha-log";

/// Puts the package's own scripts into the machine's /etc/ha.d, which covers them.
///
/// # Errors
/// They cannot be copied: heartbeat is not installed.
pub fn install(node: &Node) -> Result<()> {
    let files = ["harc", "shellfuncs", "rc.d", "resource.d"].map(|file| format!("/etc/ha.d/{file}"));
    let copied = Command::new("cp").arg("-a").args(files).arg(node.path("/etc/ha.d")?).status();
    if copied.attempt(|| "copy heartbeat's scripts".into())?.success() {
        return Ok(());
    }
    Err(Error::Senseless("heartbeat's scripts cannot be copied; install the package heartbeat".to_owned()))
}

/// Starts it in the background, without waiting until it takes part.
///
/// # Errors
/// It does not start.
pub fn start(node: &Node) -> Result<()> {
    // What the package's tmpfiles.d entry makes at boot.
    node.run(&["install", "-d", "-o", "hacluster", "-g", "haclient", "/run/heartbeat"])?;
    node.run(&["mkdir", "-p", "/var/lib/heartbeat/cores/root", "/var/lib/heartbeat/cores/nobody"])?;
    node.run(&[HEARTBEAT]).map(drop)
}
