//! Takeovers without IPVS, natively: heartbeatd beside heartbeat 3.0.6. The active director loses its power and its
//! cables, and a third machine asks all the time who has the address.

use crate::median::median;
use crate::usage::Usage;
use lab::{
    BEAT, ClaimWatch, Cluster, DIRECTORS, Error, LAN, OwnerWatch, Plan, Process, Result, VIP, original, wait_until,
};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{available_parallelism, scope, sleep};
use std::time::{Duration, Instant};

/// heartbeat waits 10 s for nothing at its start (spec/heartbeat.md, fault 7), and longer for its scripts.
const SOON: Duration = Duration::from_secs(60);
/// From the first owner to the measurement: both have said what they hold.
const SETTLE: Duration = Duration::from_secs(5);
/// For how long a pair at rest is watched.
const REST: Duration = Duration::from_secs(20);

/// Whose programs the directors run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Ours,
    Original,
}

/// `keepalive` and `deadtime`, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Times(u64, u64);

const ROOMY: Times = Times(200, 1000);
const SHORT: Times = Times(20, 100);
const AT_REST: Times = Times(100, 1000);

/// What was measured, in the order of the runs.
#[derive(Debug, Default)]
pub struct Figures {
    /// From the power cut to the first answer of the other director, ms.
    takeovers: BTreeMap<Times, [Vec<f64>; 2]>,
    /// Per cent of a core, MiB resident and processes of one director.
    rest: [Vec<[f64; 3]>; 2],
}

/// Measures everything once.
pub fn run(figures: &mut Figures) -> Result<()> {
    for (at, whose) in [Whose::Ours, Whose::Original].into_iter().enumerate() {
        for times in [ROOMY, SHORT] {
            let took = Pair::start(whose, times)?.take_over()?.as_secs_f64() * 1e3;
            println!("    {whose}, {times}: {took:.0} ms");
            figures.takeovers.entry(times).or_default()[at].push(took);
        }
        let rest = Pair::start(whose, AT_REST)?.rest()?;
        println!("    {whose}, {AT_REST}: {:.2} % of a core, {:.1} MiB, {:.0} processes", rest[0], rest[1], rest[2]);
        figures.rest[at].push(rest);
    }
    Ok(())
}

/// A pair of heartbeatd with the shortest times, while every processor has twice as much to do as it can.
pub fn under_load(time: Duration) -> Result<()> {
    let pair = Pair::start(Whose::Ours, SHORT)?;
    let watch = OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP);
    let over = AtomicBool::new(false);
    let threads = 2 * available_parallelism().map_or(1, usize::from);
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        sleep(time);
        over.store(true, Ordering::Relaxed);
    });
    let seen = watch.stop();
    let log = pair.daemons.iter().map(Process::output).collect::<String>();
    println!(
        "    {SHORT}, {threads} busy threads for {} s: the address moved {} times, was nowhere for {:?}, at two for {:?}; \
         late heartbeats {}, deaths {}",
        time.as_secs(),
        seen.moves(),
        seen.longest_without(),
        seen.longest_with_several(),
        log.matches("Late heartbeat").count(),
        log.matches("is dead").count(),
    );
    if seen.moves() == 0 { Ok(()) } else { Err(Error::Senseless(format!("a living director was taken over\n{log}"))) }
}

/// Two directors and a client.
struct Pair {
    cluster: Cluster,
    /// heartbeatd in the foreground; the original goes to the background by itself.
    daemons: Vec<Process>,
    /// What the machine lvs1 itself costs, where everything on it is measured.
    machine: Usage,
}

impl Pair {
    /// lvs1 has the address.
    fn start(whose: Whose, times: Times) -> Result<Self> {
        let Times(keepalive, deadtime) = times;
        let plan = Plan::default()
            .plug("lvs1", LAN, &["192.168.60.130/24 brd +"])
            .plug("lvs2", LAN, &["192.168.60.131/24 brd +"])
            .plug("client", LAN, &["192.168.60.10/24"])
            .plug("lvs1", BEAT, &["10.60.0.130/24 brd +"])
            .plug("lvs2", BEAT, &["10.60.0.131/24 brd +"]);
        let cluster = Cluster::new(plan)?;
        let machine = match whose {
            Whose::Ours => Usage::default(),
            Whose::Original => Usage::of(number(cluster.node("lvs1").first()?)),
        };
        let mut daemons = Vec::new();
        for node in DIRECTORS.map(|name| cluster.node(name)) {
            let log = if whose == Whose::Original { format!("logfile {}\n", original::LOG) } else { String::new() };
            let ha_cf = format!(
                "{log}keepalive {keepalive}ms\nwarntime {}ms\ndeadtime {deadtime}ms\ninitdead 10\nbcast eth1\n\
                 auto_failback on\nnode lvs1 lvs2\n",
                deadtime - 1
            );
            if whose == Whose::Original {
                original::install(node)?;
            }
            node.write("/etc/ha.d/ha.cf", &ha_cf)?;
            node.write("/etc/ha.d/haresources", &format!("lvs1 IPaddr2::{VIP}/24/eth0\n"))?;
            node.write_with_mode("/etc/ha.d/authkeys", "auth 1\n1 sha1 a-secret-of-the-lab\n", 0o600)?;
            match whose {
                Whose::Original => original::start(node)?,
                Whose::Ours => daemons.push(node.start("heartbeatd", &[&lab::program("heartbeatd")?, "run"])?),
            }
        }
        let pair = Self { cluster, daemons, machine };
        pair.await_owner("lvs1")?;
        sleep(SETTLE);
        Ok(pair)
    }

    fn await_owner(&self, name: &str) -> Result<()> {
        let has_it = || self.cluster.owners(&[name], VIP) == [name];
        wait_until(&format!("{name} to have the address"), SOON, has_it).map(drop)
    }

    fn take_over(&self) -> Result<Duration> {
        let mac = lab::mac(self.cluster.node("lvs2"))?;
        let claims = ClaimWatch::start(self.cluster.node("client"), VIP)?;
        sleep(Duration::from_millis(300));
        let cut = self.cluster.power_off("lvs1")?;
        self.await_owner("lvs2")?;
        sleep(Duration::from_millis(300));
        let answered = claims.stop().first(mac).ok_or_else(|| Error::Senseless("nobody was answered".to_owned()))?;
        Ok(answered.saturating_sub(cut))
    }

    /// Per cent of a core, MiB resident and processes.
    fn rest(&self) -> Result<[f64; 3]> {
        // The original's processes belong to the machine's first one.
        let first = match self.daemons.first() {
            Some(daemon) => number(daemon.pid()),
            None => number(self.cluster.node("lvs1").first()?),
        };
        let (from, started) = (Usage::of(first), Instant::now());
        sleep(REST);
        let spent = Usage::of(first).since(from).processor.as_secs_f64() / started.elapsed().as_secs_f64();
        let own = Usage::of(first).since(self.machine);
        Ok([spent * 100.0, own.resident as f64 / 1024.0, own.processes as f64])
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "heartbeatd",
            Self::Original => "heartbeat 3.0.6",
        })
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms / {} ms", self.0, self.1)
    }
}

/// Medians as tables in Markdown.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| Power cut to first answer | heartbeatd | heartbeat 3.0.6 | Wanted |\n|---|---|---|---|")?;
        for (times, took) in &self.takeovers {
            let [Some(ours), Some(theirs)] = [0, 1].map(|at| median(took[at].iter().copied())) else { continue };
            let most = if *times == SHORT { 150.0 } else { times.1 as f64 + 20.0 };
            let verdict = if ours <= most { "" } else { ": missed" };
            writeln!(f, "| {times} | {ours:.0} ms | {theirs:.0} ms | at most {most:.0} ms{verdict} |")?;
        }
        writeln!(f, "\n| At rest, {AT_REST} | Of a core | Resident | Processes |\n|---|---|---|---|")?;
        for (whose, rest) in [Whose::Ours, Whose::Original].into_iter().zip(&self.rest) {
            let column = |n: usize| median(rest.iter().map(|figures| figures[n]));
            let [Some(processor), Some(resident), Some(processes)] = [0, 1, 2].map(column) else { continue };
            writeln!(f, "| {whose} | {processor:.2} % | {resident:.1} MiB | {processes:.0} |")?;
        }
        Ok(())
    }
}
