//! Changes for people and for programs.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::ipvs::{Change, SyncRole};
use crate::state::State;
use crate::state::lines::options;

/// Prints what would be changed as arguments of ipvsadm, coloured where a terminal shows colours and
/// `NO_COLOR` does not forbid it. Behind an edit stands what it replaces.
pub(in crate::cli::verbs) fn print_changes(before: &State, changes: &[Change]) {
    let text: String = changes.iter().map(|change| line(before, change)).collect();
    // Nobody reads on: nothing is left to do.
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// The same for programs: each change as it is, as arguments of ipvsadm, and in words.
pub(in crate::cli::verbs) fn changes_as_json(changes: &[Change]) -> Value {
    let one = |change: &Change| json!({"change": change, "options": options(change), "text": change.to_string()});
    changes.iter().map(one).collect()
}

fn line(before: &State, change: &Change) -> String {
    let colour = match change {
        Change::AddService(..) | Change::AddDestination(..) | Change::StartDaemon(_) => AnsiColor::Green,
        Change::DeleteService(_) | Change::DeleteDestination(..) | Change::StopDaemon(_) | Change::Flush => {
            AnsiColor::Red
        }
        Change::EditService(..) | Change::EditDestination(..) | Change::SetTimeouts(_) | Change::Zero(_) => {
            AnsiColor::Yellow
        }
    };
    let style = Style::new().fg_color(Some(colour.into()));
    let mut line = format!("{style}{}{style:#}", options(change));
    if let Some(old) = replaced(before, change) {
        let faint = Style::new().dimmed();
        line += &format!("  {faint}# was {}{faint:#}", behind_the_name(change, &options(&old)));
    }
    line + "\n"
}

/// The same change with what there is now.
fn replaced(before: &State, change: &Change) -> Option<Change> {
    match change {
        Change::EditService(key, _) => Some(Change::EditService(*key, before.table.get(key)?.service.clone())),
        Change::EditDestination(key, at, _) => {
            Some(Change::EditDestination(*key, *at, *before.table.get(key)?.destinations.get(at)?))
        }
        Change::SetTimeouts(_) => Some(Change::SetTimeouts(before.timeouts)),
        Change::StopDaemon(role) => daemon(before, *role),
        _ => None,
    }
}

fn daemon(before: &State, role: SyncRole) -> Option<Change> {
    before.daemons.iter().find(|daemon| daemon.role == role).cloned().map(Change::StartDaemon)
}

/// What an old change says that the new one's identity does not: `-m -w 1` of `-e -t ... -r ... -m -w 1`.
fn behind_the_name<'a>(change: &Change, old: &'a str) -> &'a str {
    let words = match change {
        Change::EditService(key, _) if key.port().is_none() && key.family() == crate::ipvs::Family::Inet6 => 4,
        Change::EditDestination(key, ..) if key.port().is_none() && key.family() == crate::ipvs::Family::Inet6 => 6,
        Change::EditDestination(..) => 5,
        Change::EditService(..) => 3,
        Change::StopDaemon(_) => 2,
        _ => 1,
    };
    old.splitn(words + 1, ' ').nth(words).unwrap_or(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, Family, Forward, Mark, Service, ServiceKey, SyncDaemon, Timeouts, VirtualService};
    use std::net::SocketAddr;

    #[test]
    fn edits_say_what_they_replace() {
        let at = SocketAddr::from(([10, 1, 0, 1], 80));
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let mark = ServiceKey::Mark { family: Family::Inet6, mark: Mark::MIN };
        let server = |weight| Destination::new(Forward::Masq, weight);
        let service = VirtualService { service: Service::default(), destinations: [(at, server(1))].into() };
        let daemon = SyncDaemon {
            role: SyncRole::Master,
            interface: "eth0".into(),
            sync_id: 7,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let before = State {
            table: [(key, service.clone()), (mark, service)].into(),
            timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 },
            daemons: vec![daemon],
        };
        let round_robin = Service { scheduler: "rr".parse().expect("a name"), ..Service::default() };
        let changes = [
            Change::StopDaemon(SyncRole::Master),
            Change::SetTimeouts(Timeouts { tcp: 60, ..Timeouts::default() }),
            Change::EditService(key, round_robin.clone()),
            Change::EditDestination(key, at, server(0)),
            Change::EditService(mark, round_robin),
            Change::EditDestination(mark, at, server(0)),
            Change::DeleteService(key),
        ];
        let text: String = changes.iter().map(|change| line(&before, change)).collect();
        let expected = "\
--stop-daemon master  # was --mcast-interface eth0 --syncid 7
--set 60 0 0  # was 900 120 300
-E -t 10.0.0.1:80 -s rr  # was -s wlc
-e -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 0  # was -m -w 1
-E -f 1 -6 -s rr  # was -s wlc
-e -f 1 -6 -r 10.1.0.1:80 -m -w 0  # was -m -w 1
-D -t 10.0.0.1:80
";
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
        assert!(text.contains("\u{1b}[31m-D"), "deletions are red: {text:?}");
    }
}
