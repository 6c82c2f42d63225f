//! From a refused port to weight 0.

use super::contender::{Contender, Farm, Running};
use super::server::listen;
use lab::{Attempt, Error, Result, keeper, wait_for};
use lvs::control::ldirectord::{RealState, Request, SPEAKS, Status};
use lvs::control::{SOCKET_DIRECTORY, socket};
use lvs::diag::chain;
use lvs::ipc::Client;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The server whose port is closed and opened.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 20, 0, 1)), 90);
/// Its section, the first one of the file: it is on the first page of the status.
pub const SECTION: &str =
    "virtual=10.201.0.1:90\n\treal=127.20.0.1:90 masq\n\tservice=none\n\tchecktype=connect\n\tprotocol=tcp\n";
/// How often the table is looked at.
const LOOK: Duration = Duration::from_micros(500);
const LIMIT: Duration = Duration::from_secs(60);

/// Closes the port so many times; each time from the end of the check that found it to weight 0 in the table.
pub fn measure(farm: Farm, times: usize) -> Result<Vec<Duration>> {
    let mut port = Some(listen(SERVER)?);
    let running = Running::start(Contender::Ours, farm, SECTION, None)?;
    let mut took = Vec::new();
    let measured = (0..times).try_for_each(|_| {
        await_weight(1)?;
        // Somewhere else in the second each time.
        sleep(Duration::from_millis(1070));
        port = None;
        let seen = await_weight(0)?;
        let (asked, ended) = last_check()?;
        // The age is of the moment at which the status was made, between question and answer.
        took.push((seen + ended).saturating_duration_since(asked));
        port = Some(listen(SERVER)?);
        Ok(())
    });
    measured.inspect_err(|_: &Error| println!("    --- {}", running.tail()))?;
    running.stop()?;
    Ok(took)
}

/// When the table held the server with this weight.
fn await_weight(weight: u32) -> Result<Instant> {
    wait_for(&format!("weight {weight}"), LIMIT, || {
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until {
            let table = keeper::table();
            let mut servers = table.values().filter_map(|service| service.destinations.get(&SERVER));
            if servers.any(|server| server.weight == weight) {
                return Ok(Instant::now());
            }
            sleep(LOOK);
        }
        Err("another one")
    })
}

/// When the status was made, and how long before the last check had ended.
fn last_check() -> Result<(Instant, Duration)> {
    let said = |why: String| Error::Senseless(format!("ldirectord does not tell of its last check: {why}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.attempt(|| "ask ldirectord".into())?.block_on(async {
        let path = socket(SOCKET_DIRECTORY.as_ref(), SPEAKS);
        let mut client = Client::connect(&path, SPEAKS).await.map_err(|error| said(chain(&error)))?;
        let status: Status = client.call(&Request::Status {}).await.map_err(|error| said(chain(&error)))?;
        let asked = Instant::now();
        let real = status.virtuals.first().and_then(|service| service.reals.first());
        match real.map(|real| (real.state, real.last_check_seconds_ago)) {
            Some((RealState::Down, Some(ago))) => Ok((asked, Duration::from_secs_f64(ago.clamp(0.0, 1e6)))),
            other => Err(said(format!("{other:?}"))),
        }
    })
}
