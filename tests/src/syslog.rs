//! A real system log daemon in a machine.

use crate::error::{Attempt, Result};
use crate::node::Node;
use crate::process::Process;
use crate::wait::wait_until;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long rsyslogd may take to start in an emulated guest.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Starts rsyslogd on `node`. It reads the machine's /dev/log and writes everything to /var/log/all.log, and what the
/// rules in the repository's `ha.d/rsyslog.d` say to where they say. Returns when /dev/log is there.
///
/// # Errors
/// If it does not come up.
pub fn start(node: &Node) -> Result<Process> {
    let mut text = String::from(
        "module(load=\"imuxsock\" SysSock.RateLimit.Interval=\"0\")\n\
         $FileCreateMode 0644\n$RepeatedMsgReduction off\n\
         *.* action(type=\"omfile\" file=\"/var/log/all.log\")\n",
    );
    // After all.log, because a rule may stop what it has written.
    for rules in rules()? {
        text += &fs::read_to_string(&rules).attempt(|| format!("read {}", rules.display()))?;
    }
    node.write("/run/rsyslog.conf", &text)?;
    let daemon = node.start("rsyslogd", &["rsyslogd", "-n", "-f", "/run/rsyslog.conf", "-i", "/run/rsyslogd.pid"])?;
    let listens = || node.root().is_some_and(|root| root.join("dev/log").exists());
    wait_until(&format!("rsyslogd's socket on {}", node.name()), START_LIMIT, listens)?;
    Ok(daemon)
}

/// What the repository ships, as it ships it.
fn rules() -> Result<Vec<std::path::PathBuf>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ha.d/rsyslog.d");
    let Ok(entries) = fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    for entry in entries {
        let path = entry.attempt(|| format!("read {}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            rules.push(path);
        }
    }
    rules.sort();
    Ok(rules)
}
