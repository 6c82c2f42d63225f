//! An owner of a virtual address dies, is stopped, or hangs, and the other node lives: `tests/deaths/run`.
//!
//! A third machine asks all the time who has the address. Two may answer at once for no longer than what is left of the
//! lease when the other node takes over.

mod faults;
mod forms;
mod heal;
mod orders;
mod three;

use lab::{
    BEAT, ClaimWatch, Claims, Cluster, DIRECTORS, LAN, Node, OwnerWatch, Plan, Process, Result, VIP, clock, wait_until,
};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// The kernel takes an address off up to so much after its lease.
const KERNEL_LATE: Duration = Duration::from_millis(250);
/// Two processors that run several pairs at once.
const BUSY: Duration = Duration::from_millis(150);

/// Times of a pair.
#[derive(Clone, Copy)]
struct Times {
    keepalive: Duration,
    deadtime: Duration,
    lease: Duration,
}

/// A lease ends before the other node takes over.
const ROOMY: Times = Times {
    keepalive: Duration::from_millis(200),
    deadtime: Duration::from_millis(2600),
    lease: Duration::from_secs(2),
};
/// Leases are whole seconds, so this one ends a little later.
const TIGHT: Times =
    Times { keepalive: Duration::from_millis(200), deadtime: Duration::from_secs(1), lease: Duration::from_secs(1) };

/// As short as heartbeat can bear on the same machine (spec/heartbeat.md 11).
const QUICK: Times =
    Times { keepalive: Duration::from_millis(20), deadtime: Duration::from_millis(100), lease: Duration::from_secs(1) };

impl Times {
    /// How long both may answer when the owner is stopped: it renewed its lease just before, the other node heard it last
    /// a keepalive earlier.
    fn overlap(self) -> Duration {
        (self.lease + KERNEL_LATE + self.keepalive).saturating_sub(self.deadtime)
    }
}

struct Pair {
    cluster: Cluster,
    daemons: Vec<Process>,
    claims: Option<ClaimWatch>,
    owners: Option<OwnerWatch>,
    macs: [[u8; 6]; 2],
    times: Times,
}

impl Pair {
    /// lvs1 runs `program` and has the address, which is at home there; lvs2 runs heartbeatd.
    fn new(program: &str, times: Times) -> Result<Self> {
        Self::with(program, times, &format!("lvs1 {VIP}/24/eth0\n"))
    }

    /// The same with more in haresources.
    fn with(program: &str, times: Times, haresources: &str) -> Result<Self> {
        Self::prepared(program, times, haresources, |_| Ok(()))
    }

    /// The same with more files on both nodes.
    fn prepared(program: &str, times: Times, haresources: &str, prepare: impl Fn(&Node) -> Result<()>) -> Result<Self> {
        let plan = Plan::default()
            .plug("lvs1", LAN, &["192.168.60.130/24 brd +", "fd00:60::130/64"])
            .plug("lvs2", LAN, &["192.168.60.131/24 brd +", "fd00:60::131/64"])
            .plug("client", LAN, &["192.168.60.10/24", "fd00:60::10/64"])
            .plug("newcomer", LAN, &["192.168.60.11/24"])
            .plug("lvs1", BEAT, &["10.60.0.130/24 brd +"])
            .plug("lvs2", BEAT, &["10.60.0.131/24 brd +"]);
        let cluster = Cluster::new(plan)?;
        let mut daemons = Vec::new();
        for (name, program) in DIRECTORS.iter().zip([program, "heartbeatd"]) {
            let node = cluster.node(name);
            let (keepalive, deadtime) = (times.keepalive.as_millis(), times.deadtime.as_millis());
            let ha_cf = format!(
                "keepalive {keepalive}ms\nwarntime {}ms\ndeadtime {deadtime}ms\ninitdead 10\nbcast eth1\n\
                 auto_failback on\nnode lvs1 lvs2\n",
                deadtime - 1
            );
            node.write("/etc/ha.d/ha.cf", &ha_cf)?;
            node.write("/etc/ha.d/haresources", haresources)?;
            prepare(node)?;
            node.write_with_mode("/etc/ha.d/authkeys", "auth 1\n1 sha1 a-secret-of-the-lab\n", 0o600)?;
            daemons.push(node.start("heartbeatd", &[&lab::program(program)?, "run"])?);
        }
        let macs = [lab::mac(cluster.node("lvs1"))?, lab::mac(cluster.node("lvs2"))?];
        let pair = Self { cluster, daemons, claims: None, owners: None, macs, times };
        pair.await_owner(0)?;
        // The lease was last renewed at any time within its quarter.
        sleep(Duration::from_millis(700));
        let watched = Self {
            claims: Some(ClaimWatch::start(pair.cluster.node("client"), VIP)?),
            owners: Some(OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP)),
            ..pair
        };
        // The third machine has asked, and been answered.
        sleep(Duration::from_millis(200));
        Ok(watched)
    }

    fn await_owner(&self, at: usize) -> Result<()> {
        wait_until(&format!("{} to have the address", DIRECTORS[at]), SOON, || {
            self.cluster.owners(&DIRECTORS, VIP) == [DIRECTORS[at]]
        })
        .inspect_err(|_| self.print_logs())
        .map(drop)
    }

    /// The same where the other one's cable is cut: what that one has, nobody sees.
    fn await_owner_alone(&self, at: usize) -> Result<()> {
        let name = DIRECTORS[at];
        wait_until(&format!("{name} to have the address"), SOON, || self.cluster.owners(&[name], VIP) == [name])
            .inspect_err(|_| self.print_logs())
            .map(drop)
    }

    fn print_logs(&self) {
        for (name, daemon) in DIRECTORS.iter().zip(&self.daemons) {
            println!("--- {name}\n{}", daemon.output());
        }
    }

    fn log(&self, at: usize) -> String {
        self.daemons[at].output()
    }

    /// What the third machine has heard so far; it asks no more.
    fn claims(&mut self) -> Claims {
        self.claims.take().map(ClaimWatch::stop).unwrap_or_default()
    }
}

#[test]
fn a_killed_owner_answers_for_no_more_than_50_ms() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", ROOMY)?;
    let killed = clock::now();
    pair.daemons[0].signal(Signal::KILL);
    pair.await_owner(1)?;
    sleep(Duration::from_millis(300));
    let claims = pair.claims();
    let [old, new] = pair.macs;
    let last = claims.last(old).expect("the owner has answered").saturating_sub(killed);
    let first = claims.first(new).expect("the other node answers").saturating_sub(killed);
    println!("    the killed owner answered for {last:?}, the other node after {first:?}");
    assert!(last <= Duration::from_millis(50), "{last:?}");
    assert_eq!(claims.both(old, new), Duration::ZERO);
    assert!(first <= pair.times.deadtime + BUSY, "{first:?}");
    Ok(())
}

/// SIGSTOP of the owner, and SIGCONT well after the other node has taken over.
fn stopped_and_woken(times: Times) -> Result<()> {
    let mut pair = Pair::new("heartbeatd", times)?;
    let [old, new] = pair.macs;
    let stopped = clock::now();
    pair.daemons[0].signal(Signal::STOP);
    pair.await_owner(1)?;
    sleep(Duration::from_millis(500));
    let woken = clock::now();
    pair.daemons[0].signal(Signal::CONT);
    // It goes home in a planned switch then.
    pair.await_owner(0)?;
    let claims = pair.claims();
    let asleep = claims.between(stopped, woken);
    let (both, allowed) = (asleep.both(old, new), times.overlap());
    println!("    both answered for {both:?}, {allowed:?} allowed");
    assert!(both <= allowed + BUSY, "{both:?}");
    let (ours, theirs) = (pair.log(0), pair.log(1));
    assert!(ours.contains("letting go of everything and coming back as after a restart"), "{ours}");
    // The first thing the other node hears of it is a new life without resources, and no partition.
    assert!(theirs.contains("Heartbeat restart on node lvs1"), "{theirs}");
    assert!(!theirs.contains("returning after partition") && !theirs.contains("Both machines own"), "{theirs}");
    Ok(())
}

#[test]
fn a_stopped_owner_has_lost_the_address_before_it_is_taken_and_wakes_without_it() -> Result<()> {
    stopped_and_woken(ROOMY)
}

#[test]
fn with_short_times_a_stopped_owner_answers_for_the_rest_of_its_lease() -> Result<()> {
    stopped_and_woken(TIGHT)
}

#[test]
fn an_owner_whose_main_loop_spins_loses_the_address_to_the_kernel() -> Result<()> {
    let mut pair = Pair::new("spinning-heartbeatd", ROOMY)?;
    let [old, new] = pair.macs;
    let spins = clock::now();
    pair.cluster.node("lvs1").write("/run/spin", "")?;
    // Something to log, in the main loop.
    pair.daemons[0].signal(Signal::HUP);
    pair.await_owner(1)?;
    sleep(Duration::from_millis(300));
    let claims = pair.claims();
    let spun = claims.between(spins, clock::now());
    let both = spun.both(old, new);
    println!("    both answered for {both:?}");
    assert!(both <= pair.times.overlap() + BUSY, "{both:?}");
    assert!(pair.daemons[0].is_running());
    Ok(())
}

#[test]
fn an_address_that_somebody_takes_off_is_put_back_and_given_away_in_the_end() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", ROOMY)?;
    let address = format!("{VIP}/24");
    for _ in 0..3 {
        pair.cluster.node("lvs1").run(&["ip", "address", "del", &address, "dev", "eth0"])?;
        sleep(Duration::from_millis(400));
    }
    let claims = pair.claims();
    assert_eq!(claims.first(pair.macs[1]), None);
    // Long before the next renewal of its lease, which is half a second away.
    println!("    longest silence {:?}", claims.longest_silence());
    assert!(claims.longest_silence() <= Duration::from_millis(300), "{:?}", claims.longest_silence());
    pair.cluster.node("lvs1").run(&["ip", "address", "del", &address, "dev", "eth0"])?;
    pair.await_owner(1)?;
    let log = pair.log(0);
    assert_eq!(log.matches("was taken off by somebody else: putting it back").count(), 4, "{log}");
    // It was sent away, and does not come back by itself.
    sleep(Duration::from_secs(2));
    pair.await_owner(1)
}

/// Killed, and its cable cut at the same moment: what is left is detection.
fn taken_over_within(times: Times, limit: Duration) -> Result<()> {
    let mut pair = Pair::new("heartbeatd", times)?;
    let killed = clock::now();
    pair.daemons[0].signal(Signal::KILL);
    pair.cluster.cut("lvs1", LAN)?;
    pair.await_owner_alone(1)?;
    sleep(Duration::from_millis(200));
    let claims = pair.claims();
    claims.first(pair.macs[0]).expect("the owner has answered");
    let first = claims.first(pair.macs[1]).expect("the other node answers").saturating_sub(killed);
    println!(
        "    {} ms / {} ms: the other node answers after {first:?}; this machine was late by {:?}",
        times.keepalive.as_millis(),
        times.deadtime.as_millis(),
        claims.late
    );
    assert!(first <= limit + claims.late, "{first:?}, late by {:?}", claims.late);
    Ok(())
}

#[test]
fn a_takeover_takes_deadtime_and_no_more() -> Result<()> {
    taken_over_within(TIGHT, TIGHT.deadtime + BUSY)
}

#[test]
fn a_takeover_with_a_deadtime_of_100_ms_is_over_in_an_instant() -> Result<()> {
    taken_over_within(QUICK, QUICK.deadtime + BUSY)
}

#[test]
fn a_starved_but_living_owner_keeps_the_address() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", ROOMY)?;
    // Four fifths of the time it is not run, in stretches as long as it may miss.
    for _ in 0..20 {
        pair.daemons[0].signal(Signal::STOP);
        sleep(Duration::from_millis(400));
        pair.daemons[0].signal(Signal::CONT);
        sleep(Duration::from_millis(100));
    }
    let claims = pair.claims();
    let ownership = pair.owners.take().map(OwnerWatch::stop).unwrap_or_default();
    println!("    longest silence {:?}", claims.longest_silence());
    assert_eq!(ownership.longest_without(), Duration::ZERO, "{ownership:?}");
    assert_eq!(ownership.moves(), 0, "{ownership:?}");
    assert_eq!(claims.first(pair.macs[1]), None);
    assert!(claims.longest_silence() <= Duration::from_millis(500), "{:?}", claims.longest_silence());
    Ok(())
}
