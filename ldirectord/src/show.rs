//! `ldirectord status`: what a running daemon knows of every server.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use lvs::control::ldirectord::{self, RealState, RealStatus, SPEAKS, Status, VirtualStatus};
use lvs::diag::chain;
use lvs::ipc::Client;

/// A daemon that hangs does not hang whoever asks for its status.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the daemon on this socket.
///
/// # Errors
/// Why there is no answer.
pub fn ask(socket: &Path) -> Result<Status, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| chain(&e))?;
    let asked = async {
        let mut client = Client::connect(socket, SPEAKS).await.map_err(|e| chain(&e))?;
        ldirectord::status(&mut client).await.map_err(|e| chain(&e))
    };
    // A timer is made where the runtime is.
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// One object, for programs.
#[must_use]
pub fn json(status: &Status) -> String {
    serde_json::to_string_pretty(status).map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// Lines for people.
#[must_use]
pub fn table(status: &Status) -> String {
    let mut rows = vec![["server", "state", "weight", "checked", "took", ""].map(str::to_owned)];
    for VirtualStatus { id, scheduler, fallback, fallback_active, pending, reals } in &status.virtuals {
        rows.push([
            format!("{id} {scheduler}"),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
        rows.extend(reals.iter().map(row));
        if let Some(fallback) = fallback {
            let state = if *fallback_active { "serving" } else { "in reserve" };
            let row = [&format!("  {fallback} fallback"), state, "", "", "", ""];
            rows.push(row.map(str::to_owned));
        }
        for refusal in pending {
            rows.push([&format!("  tried again: {refusal}"), "", "", "", "", ""].map(str::to_owned));
        }
    }
    let width = |column: usize| rows.iter().filter(|row| !row[1].is_empty()).map(|row| row[column].len()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (column, &width) in widths.iter().enumerate().skip(1) {
            // Words to the left, numbers to the right.
            if column == 1 {
                let _ = write!(line, "  {:<width$}", row[column]);
            } else {
                let _ = write!(line, "  {:>width$}", row[column]);
            }
        }
        let _ = writeln!(out, "{}", format!("{line}  {}", row[5]).trim_end());
    }
    out
}

fn row(real: &RealStatus) -> [String; 6] {
    let state = match real.state {
        RealState::Unknown => "not checked yet",
        RealState::Up => "up",
        RealState::Down => "down",
        RealState::Drained => "drained",
        RealState::Maintenance => "maintenance",
    };
    let also = if real.drained && real.state != RealState::Drained { ", drained" } else { "" };
    let file = real.maintenance.as_ref().map(|file| format!("file {file}; ")).unwrap_or_default();
    let agent = real.agent.as_ref().map(|said| format!("agent: {}; ", said.escape_debug())).unwrap_or_default();
    let failures = if real.failures > 0 { format!("{} failed in a row; ", real.failures) } else { String::new() };
    [
        format!("  {}", real.real),
        format!("{state}{also}"),
        real.weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string()),
        real.last_check_seconds_ago.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s ago")),
        real.took_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
        format!("{file}{agent}{failures}{}", real.why.as_deref().unwrap_or_default().escape_debug()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_not_there_is_a_reason_and_no_panic() {
        let why = ask(Path::new("/no/such/socket")).expect_err("nobody listens");
        assert!(why.contains("/no/such/socket"), "{why}");
    }

    #[test]
    fn every_server_is_a_line_with_what_is_known_of_it() {
        let status = r#"{"config": "x.cf", "ready": true, "ipvs": "helper", "virtuals": [
            {"id": "tcp:10.0.0.1:80", "scheduler": "wrr", "fallback": "127.0.0.1:80", "fallback_active": false, "reals": [
                {"real": "192.0.2.1:80", "state": "up", "weight": 10, "failures": 0, "last_check_seconds_ago": 2.04,
                 "took_ms": 0.71, "why": "200 OK"},
                {"real": "192.0.2.2:80", "state": "maintenance", "drained": true, "maintenance": "web2", "failures": 1,
                 "why": "refused\u001b[m"}]}]}"#;
        let status: Status = serde_json::from_str(status).expect("the types read it");
        let expected = "\
server                   state                 weight    checked    took
tcp:10.0.0.1:80 wrr
  192.0.2.1:80           up                        10  2.0 s ago  0.7 ms  200 OK
  192.0.2.2:80           maintenance, drained       -          -       -  file web2; 1 failed in a row; refused\\u{1b}[m
  127.0.0.1:80 fallback  in reserve
";
        assert_eq!(table(&status), expected);
    }
}
