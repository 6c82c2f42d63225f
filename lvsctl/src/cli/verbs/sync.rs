//! `lvsctl sync status`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};

use serde_json::json;

use super::{fail, print_json};
use crate::ipvs::sync_report::{Origins, SETTINGS, SyncReport};
use crate::netlink::ipvs::Client;

/// No row of the kernel's is longer, bytes.
const LONGEST_ROW: u64 = 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Sync {
    /// Show both daemons, what is sent when, and how many connections were received
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(Sync::Status { json }: &Sync) -> u8 {
    let daemons = match Client::open() {
        Ok(mut kernel) => kernel.daemons(),
        Err(error) => return fail(&error),
    };
    let daemons = match daemons {
        Ok(daemons) => daemons,
        Err(error) => return fail(&error),
    };
    let setting = |name: &&str| {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv4/vs/{name}")).ok()?;
        Some(((*name).to_owned(), value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
    };
    let report =
        SyncReport { daemons, settings: SETTINGS.iter().filter_map(setting).collect(), connections: origins().ok() };
    if *json {
        let mut object = json!(report);
        object["remarks"] = json!(report.remarks());
        return print_json(&object);
    }
    match writeln!(io::stdout(), "{}", report.lines().join("\n")) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

/// Reads row by row: a director may have millions.
fn origins() -> io::Result<Origins> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open("/proc/net/ip_vs_conn_sync")?);
    let (mut origins, mut row) = (Origins::default(), Vec::new());
    loop {
        row.clear();
        if (&mut file).take(LONGEST_ROW).read_until(b'\n', &mut row)? == 0 {
            return Ok(origins);
        }
        origins.count(&String::from_utf8_lossy(&row));
    }
}
