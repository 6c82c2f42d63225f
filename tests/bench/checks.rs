//! Health checks: this toolkit's ldirectord beside keepalived and the original, natively, in namespaces of their own
//! (tests/bench/run). All check the same servers, one after the other and for the same time.

mod cadence;
mod contender;
mod figures;
mod reaction;
mod server;

use cadence::Cadence;
use contender::{Contender, Farm, Running};
pub use figures::Figures;
use figures::{Figure, Work};
use lab::{Attempt, Error, Result, keeper, wait_until};
use server::{Manner, Servers};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// For how long each is measured.
const WINDOW: Duration = Duration::from_secs(20);
/// From the first round of checks to the measurement: tables are programmed by then.
const SETTLE: Duration = Duration::from_secs(4);
/// How long the first round may take.
const FIRST_ROUND: Duration = Duration::from_secs(60);
/// How often the port is closed.
const TIMES: usize = 10;

/// All real servers.
pub struct Bench {
    web: Servers,
    open: Servers,
}

const HTTP: Farm = Farm { servers: 200, port: 80, manner: Manner::Http };
const TCP: Farm = Farm { servers: 1000, port: 81, manner: Manner::Accept };
const MANY: Farm = Farm { servers: 10_000, port: 81, manner: Manner::Accept };

impl Bench {
    /// Starts the servers and the keeper of the table.
    pub fn new() -> Result<Self> {
        if std::env::var_os("LVS_SERVICES").is_none() {
            let outside = "checks are measured in namespaces of their own: start this with tests/bench/run";
            return Err(Error::Senseless(outside.to_owned()));
        }
        // Of these namespaces: ten thousand checks may begin at once, and no connection is to wait for another.
        let queue = "/proc/sys/net/core/somaxconn";
        fs::write(queue, "65535").attempt(|| format!("write {queue}"))?;
        // It listens from now on.
        let _ = keeper::table();
        Ok(Self { web: Servers::start(HTTP.port, Manner::Http)?, open: Servers::start(TCP.port, Manner::Accept)? })
    }

    /// Measures everything once, and tells of each.
    pub fn run(&self, figures: &mut Figures, tell: &mut impl FnMut(&str)) -> Result<()> {
        let plan = [
            (Work::Http, HTTP, &[Contender::Ours, Contender::Keepalived, Contender::Original][..]),
            (Work::Tcp, TCP, &[Contender::Ours, Contender::Keepalived]),
            (Work::Many, MANY, &[Contender::Ours]),
        ];
        for (work, farm, contenders) in plan {
            for &contender in contenders {
                let figure = self.measure(work, farm, contender)?;
                tell(&format!("{work}, {contender}: {figure}"));
                figures.note(work, contender, figure);
            }
        }
        for took in reaction::measure(TCP, TIMES)? {
            tell(&format!("weight 0 after {:.1} ms", took.as_secs_f64() * 1e3));
            figures.react(took);
        }
        Ok(())
    }

    fn measure(&self, work: Work, farm: Farm, contender: Contender) -> Result<Figure> {
        let servers = if farm.manner == Manner::Http { &self.web } else { &self.open };
        servers.forget();
        // One core, and the last one: interrupts mostly come to the first.
        let core =
            (work == Work::Many).then(|| std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1));
        let running = Running::start(contender, farm, "", core)?;
        wait_until(&format!("the first round of {contender}"), FIRST_ROUND, || servers.seen() == farm.servers)
            .inspect_err(|_| println!("    --- {}", running.tail()))?;
        sleep(SETTLE);
        let (from, before) = (Instant::now(), running.usage());
        sleep(WINDOW);
        let (to, after) = (Instant::now(), running.usage());
        let cadence = Cadence::of(&servers.asked(), farm.servers, [from, to]);
        running.stop()?;
        Ok(Figure { processor: after.processor.saturating_sub(before.processor), during: to - from, after, cadence })
    }
}
