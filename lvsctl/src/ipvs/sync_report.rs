//! Whether connection synchronisation works, as far as one machine can tell.
//!
//! The kernel counts nothing for its sync daemons. What there is: their parameters, the settings, and for each
//! connection whether it began here or was received (`/proc/net/ip_vs_conn_sync`; spec/ipvs.md B.7, B.9, B.10).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{SyncDaemon, SyncRole};

/// The settings that matter, by their names in `/proc/sys/net/ipv4/vs`.
pub const SETTINGS: [&str; 8] = [
    "sync_threshold",
    "sync_refresh_period",
    "sync_retries",
    "sync_ports",
    "sync_persist_mode",
    "sync_version",
    "sloppy_tcp",
    "backup_only",
];

/// Connections by where they began.
///
/// ```
/// use lvs::ipvs::sync_report::Origins;
///
/// let mut origins = Origins::default();
/// origins.count("TCP 0A090001 9C41 0A000001 0050 0A090002 0050 ESTABLISHED SYNC       895");
/// assert_eq!(origins, Origins { synced: 1, ..Origins::default() });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Origins {
    /// Connections of clients of this machine.
    pub local: u64,
    /// Connections that were received.
    pub synced: u64,
    /// Persistence templates of this machine.
    pub local_templates: u64,
    /// Persistence templates that were received.
    pub synced_templates: u64,
}

impl Origins {
    /// Counts a row of `/proc/net/ip_vs_conn_sync`; the heading and rows of another form are passed over.
    pub fn count(&mut self, row: &str) {
        let mut words = row.split_ascii_whitespace();
        // A template has no client port: the third word.
        let template = words.nth(2) == Some("0000");
        let counter = match (words.nth(5), template) {
            (Some("LOCAL"), false) => &mut self.local,
            (Some("LOCAL"), true) => &mut self.local_templates,
            (Some("SYNC"), false) => &mut self.synced,
            (Some("SYNC"), true) => &mut self.synced_templates,
            _ => return,
        };
        *counter += 1;
    }
}

/// What one machine knows of it.
///
/// ```
/// use lvs::ipvs::sync_report::SyncReport;
///
/// let lines = SyncReport::default().lines();
/// assert_eq!(lines[..2], ["master: does not run", "backup: does not run"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// The daemons that run.
    pub daemons: Vec<SyncDaemon>,
    /// Values of [`SETTINGS`]; older kernels lack some.
    pub settings: BTreeMap<String, String>,
    /// `None` if the kernel does not list connections.
    pub connections: Option<Origins>,
}

impl SyncReport {
    fn daemon(&self, role: SyncRole) -> Option<&SyncDaemon> {
        self.daemons.iter().find(|daemon| daemon.role == role)
    }

    fn number(&self, setting: &str) -> Option<u64> {
        self.settings.get(setting)?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The lines that people read.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.daemon(SyncRole::Master).map_or("master: does not run".into(), |d| format!("master: sends {}", at(d))),
            self.daemon(SyncRole::Backup).map_or("backup: does not run".into(), |d| format!("backup: takes {}", at(d))),
        ];
        lines.extend(
            self.settings.get("sync_threshold").map(|value| threshold(value, self.number("sync_refresh_period"))),
        );
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if !settings.is_empty() {
            lines.push(format!("settings: {}", settings.join(", ")));
        }
        if let Some(Origins { local, synced, local_templates, synced_templates }) = self.connections {
            lines.push(format!("connections: {local} began here, {synced} were received"));
            lines
                .push(format!("persistence templates: {local_templates} began here, {synced_templates} were received"));
        }
        lines.extend(self.remarks().into_iter().map(|remark| format!("note: {remark}")));
        lines
    }

    /// What is odd, and what to look at.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let (master, backup) = (self.daemon(SyncRole::Master), self.daemon(SyncRole::Backup));
        let origins = self.connections.unwrap_or_default();
        if let (Some(master), Some(backup)) = (master, backup)
            && backup.sync_id != 0
            && master.sync_id != backup.sync_id
        {
            let ids = (master.sync_id, backup.sync_id);
            remarks.push(format!("the master sends id {}, the backup takes id {}: a pair needs one id", ids.0, ids.1));
        }
        match backup {
            None if self.daemons.is_empty() => remarks.push("nothing is synchronised: no daemon runs".into()),
            None => remarks.push("without a backup daemon nothing is received".into()),
            Some(_) if origins.synced + origins.synced_templates == 0 => remarks.push(
                "nothing has been received, or all of it has timed out: does the other machine's master run, with the same \
                 id, group and port, and does no firewall drop its UDP?"
                    .into(),
            ),
            Some(_) => {}
        }
        if self.number("sync_persist_mode") == Some(1) && self.number("sloppy_tcp") == Some(0) {
            remarks.push(
                "sync_persist_mode 1 sends only the templates of persistent services; without sloppy_tcp 1 a takeover breaks \
                 their connections"
                    .into(),
            );
        }
        if self.daemons.iter().any(|daemon| daemon.role == SyncRole::Master) {
            remarks.push(
                "a backup gets what is sent while it runs; there is no full copy for one that was restarted".into(),
            );
        }
        remarks
    }
}

fn at(SyncDaemon { interface, sync_id, max_length, group, port, ttl, .. }: &SyncDaemon) -> String {
    let mut text = format!("on {interface}, id {sync_id}");
    if let (Some(group), Some(port)) = (group, port) {
        text += &format!(", group {group}, port {port}");
    }
    text += &ttl.map_or_else(String::new, |ttl| format!(", ttl {ttl}"));
    text + &max_length.map_or_else(String::new, |length| format!(", messages of at most {length} bytes"))
}

/// `3 50`: at packets 3, 53, 103, ... of a connection; a refresh period then holds back what would change little.
/// `3 0` with a refresh period: by time alone (`ip_vs_sync_conn_needed`, net/netfilter/ipvs/ip_vs_sync.c; the
/// kernel's Documentation/networking/ipvs-sysctl.rst).
fn threshold(value: &str, refresh: Option<u64>) -> String {
    let mut words = value.split_ascii_whitespace().map(str::parse::<u64>);
    let changed = refresh
        .filter(|&seconds| seconds > 0)
        .map(|seconds| format!("its timer changed by {seconds} s (or by half its timeout, if that is less)"));
    match (words.next(), words.next(), changed) {
        (Some(Ok(_)), Some(Ok(0)), Some(changed)) => {
            format!("sent: at changes of state of a connection, and when {changed} since the last time")
        }
        (Some(Ok(threshold)), Some(Ok(0)), None) => {
            format!("sent: at packet {threshold} of a connection and at each change of state")
        }
        (Some(Ok(threshold)), Some(Ok(period)), changed) => {
            let but = changed.map_or_else(String::new, |changed| {
                format!("; without a change of state not unless {changed} since the last time")
            });
            format!(
                "sent: at packet {threshold} of a connection, every {period} packets after it, and at changes of state{but}"
            )
        }
        _ => format!("sent: as sync_threshold says ({value})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
TCP 0A090001 9C41 0A000001 0050 0A000002 0050 ESTABLISHED LOCAL      890
TCP 0A090001 0000 0A000001 0050 0A000002 0050 NONE        LOCAL      890
TCP 0A090002 9C41 0A000001 0050 0A000002 0050 ESTABLISHED SYNC       890
UDP 0A090002 9C42 0A000001 0035 0A000002 0035 UDP         SYNC       890
IP  0A090001 0000 00000009 0000 0A000002 0000 NONE        SYNC       890
rubbish
";

    fn daemon(role: SyncRole, sync_id: u8) -> SyncDaemon {
        let (group, port) = (Some([224, 0, 0, 81].into()), Some(8848));
        SyncDaemon { role, interface: "eth0".into(), sync_id, max_length: Some(1472), group, port, ttl: Some(1) }
    }

    fn report(daemons: Vec<SyncDaemon>) -> SyncReport {
        let mut origins = Origins::default();
        ROWS.lines().for_each(|row| origins.count(row));
        let settings = [("sync_threshold", "3 50"), ("sync_refresh_period", "0")];
        SyncReport {
            daemons,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            connections: Some(origins),
        }
    }

    #[test]
    fn connections_are_counted_by_where_they_began() {
        let expected = Origins { local: 1, synced: 2, local_templates: 1, synced_templates: 1 };
        assert_eq!(report(vec![]).connections, Some(expected));
    }

    #[test]
    fn a_pair_that_works_is_told_in_a_few_lines() {
        let text = report(vec![daemon(SyncRole::Master, 7), daemon(SyncRole::Backup, 7)]).lines().join("\n");
        let expected = "\
master: sends on eth0, id 7, group 224.0.0.81, port 8848, ttl 1, messages of at most 1472 bytes
backup: takes on eth0, id 7, group 224.0.0.81, port 8848, ttl 1, messages of at most 1472 bytes
sent: at packet 3 of a connection, every 50 packets after it, and at changes of state
settings: sync_refresh_period 0, sync_threshold 3 50
connections: 1 began here, 2 were received
persistence templates: 1 began here, 1 were received
note: a backup gets what is sent while it runs; there is no full copy for one that was restarted";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_refresh_period_holds_back_or_stands_in_for_the_packets() {
        let timer = "its timer changed by 10 s (or by half its timeout, if that is less) since the last time";
        let packets = "sent: at packet 3 of a connection, every 50 packets after it, and at changes of state";
        assert_eq!(threshold("3 50", Some(10)), format!("{packets}; without a change of state not unless {timer}"));
        assert_eq!(threshold("3 50", None), packets);
        assert_eq!(threshold("3 0", Some(10)), format!("sent: at changes of state of a connection, and when {timer}"));
        assert_eq!(threshold("3 0", Some(0)), "sent: at packet 3 of a connection and at each change of state");
        assert_eq!(threshold("?", Some(10)), "sent: as sync_threshold says (?)");
    }

    #[test]
    fn what_is_odd_is_told() {
        let told = |report: &SyncReport, text: &str| report.remarks().iter().any(|remark| remark.contains(text));
        assert!(told(&report(vec![]), "no daemon runs"));
        assert!(told(&report(vec![daemon(SyncRole::Master, 7)]), "without a backup daemon"));
        let mut pair = report(vec![daemon(SyncRole::Master, 7), daemon(SyncRole::Backup, 8)]);
        assert!(told(&pair, "sends id 7, the backup takes id 8"));
        pair.daemons[1].sync_id = 0;
        assert!(!told(&pair, "takes id"));
        assert!(!told(&pair, "nothing has been received"));
        pair.connections = Some(Origins { local: 5, ..Origins::default() });
        assert!(told(&pair, "nothing has been received"));
        pair.settings.insert("sync_persist_mode".into(), "1".into());
        pair.settings.insert("sloppy_tcp".into(), "0".into());
        assert!(told(&pair, "of persistent services; without sloppy_tcp 1 a takeover breaks their connections"));
    }
}
