//! A cut that heals: who answers for the address then, and whether a client loses anything.
//!
//! Both directors have a web server of their own, so that no IPVS is needed. One network carries everything, heartbeats too.
//! Beside the client that asks all the time there are newcomers, who have to find out where the address is. A machine plays
//! them one after the other, because a question that is under way while it forgets is lost.

use super::{BUSY, Pair, SOON, TIGHT};
use lab::{
    ClaimWatch, Claims, DIRECTORS, LAN, OwnerWatch, Ownership, Probe, Process, Result, VIP, clock, probe, wait_until,
    web,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

/// 200 requests a second.
const EVERY: Duration = Duration::from_millis(5);
/// Less than the second after which a lost SYN is sent again.
const PATIENCE: Duration = Duration::from_millis(900);
/// How often the owner, whichever director that is then, is cut off.
const TURNS: usize = 6;
/// A newcomer that hangs keeps the next ones from asking.
const PATIENCE_OF_NEWCOMERS: Duration = Duration::from_millis(500);
const BETWEEN_NEWCOMERS: Duration = Duration::from_millis(10);
const AFTERMATH: Duration = Duration::from_millis(1500);

/// Where the cut is.
#[derive(Clone, Copy)]
enum Cut {
    /// The owner's own cable: its interface loses the carrier.
    Cable,
    /// Between two switches: nobody sees that.
    Between,
}

/// A pair where nothing goes home by itself.
struct Served {
    pair: Pair,
    _servers: [Process; 2],
}

/// From the moment on at which the cut was healed.
struct Seen {
    healed: Duration,
    /// How long the director that was cut off answered for the address.
    answered: Duration,
    newcomers: Vec<Newcomer>,
    claims: Claims,
    owners: Ownership,
    report: probe::Report,
}

/// A client that does not know where the address is.
#[derive(Debug)]
struct Newcomer {
    at: Duration,
    /// What the web server said, headers and all.
    answer: std::io::Result<String>,
}

impl Newcomer {
    fn reached(&self, director: &str) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.lines().last() == Some(director))
    }
}

fn get(target: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE_OF_NEWCOMERS)?;
    stream.set_read_timeout(Some(PATIENCE_OF_NEWCOMERS))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Served {
    fn new() -> Result<Self> {
        let ha_cf = format!(
            "keepalive {}ms\nwarntime 900ms\ndeadtime {}ms\ninitdead 10\nbcast eth0\nauto_failback off\nnode lvs1 lvs2\n",
            TIGHT.keepalive.as_millis(),
            TIGHT.deadtime.as_millis()
        );
        let haresources = format!("lvs1 {VIP}/24/eth0\n");
        let pair = Pair::prepared("heartbeatd", TIGHT, &haresources, |node| node.write("/etc/ha.d/ha.cf", &ha_cf))?;
        let serve = |name: &str| web::serve(pair.cluster.node(name), name);
        let servers = [serve("lvs1")?, serve("lvs2")?];
        Ok(Self { pair, _servers: servers })
    }

    fn set(&self, at: usize, cut: Cut, whole: bool) -> Result<()> {
        let (cluster, name) = (&self.pair.cluster, DIRECTORS[at]);
        let port = format!("{name}-{LAN}");
        match (cut, whole) {
            (Cut::Cable, false) => cluster.cut(name, LAN).map(drop),
            (Cut::Cable, true) => cluster.heal(name, LAN).map(drop),
            (Cut::Between, false) => cluster.switch().run(&["ip", "link", "set", &port, "nomaster"]).map(drop),
            (Cut::Between, true) => cluster.switch().run(&["ip", "link", "set", &port, "master", LAN]).map(drop),
        }
    }

    /// One newcomer after the other, for a while.
    fn newcomers(&self) -> Result<Vec<Newcomer>> {
        let (node, from) = (self.pair.cluster.node("newcomer"), clock::now());
        let mut newcomers = Vec::new();
        while clock::now() < from + AFTERMATH {
            node.run(&["ip", "neigh", "flush", "dev", "eth0"])?;
            let at = clock::now();
            newcomers.push(Newcomer { at, answer: node.in_network(|| get((VIP, 80).into()))? });
            sleep(BETWEEN_NEWCOMERS);
        }
        Ok(newcomers)
    }

    /// The owner is cut off until the other one serves, and heard again.
    fn cut_and_heal(&self, at: usize, cut: Cut) -> Result<Seen> {
        let (cluster, client) = (&self.pair.cluster, self.pair.cluster.node("client"));
        let [cut_off, other] = [self.pair.macs[at], self.pair.macs[1 - at]];
        self.set(at, cut, false)?;
        self.pair.await_owner_alone(1 - at)?;
        let spec = probe::Spec::new((VIP, 80).into()).every(EVERY).timeout(PATIENCE);
        let probe = Probe::start(client, &spec)?;
        probe.await_answer_from(|server| server == DIRECTORS[1 - at], SOON)?;
        let claims = ClaimWatch::start(client, VIP)?;
        let owners = OwnerWatch::start(cluster, &DIRECTORS, VIP);
        sleep(Duration::from_millis(400));
        let healed = clock::now();
        self.set(at, cut, true)?;
        let newcomers = self.newcomers()?;
        let (mut owners, claims) = (owners.stop(), claims.stop().between(healed, clock::now()));
        owners.holdings.retain(|holding| holding.to > healed);
        owners.holdings.iter_mut().for_each(|holding| holding.from = holding.from.max(healed));
        let answered = claims.last(cut_off).map_or(Duration::ZERO, |last| last.saturating_sub(healed));
        let seen = Seen { healed, answered, newcomers, claims, owners, report: probe.stop()? };
        println!(
            "    {} was cut off: it answers for {answered:?} and is on for {:?} with the other; {} of {} newcomers reach it; \
             silence {:?}, late {:?}; {}",
            DIRECTORS[at],
            seen.owners.longest_with_several(),
            seen.newcomers.iter().filter(|newcomer| newcomer.reached(DIRECTORS[at])).count(),
            seen.newcomers.len(),
            seen.claims.longest_silence(),
            seen.claims.late,
            seen.report,
        );
        // One loser, and that is the one which the clients could not reach.
        wait_until("one owner", SOON, || cluster.owners(&DIRECTORS, VIP) == [DIRECTORS[1 - at]])?;
        assert!(seen.claims.last(other).is_some(), "nobody asked");
        assert_eq!(seen.owners.longest_without(), Duration::ZERO, "{:?}", seen.owners);
        assert_eq!(seen.owners.moves(), 0, "{:?}", seen.owners);
        Ok(seen)
    }
}

#[test]
fn a_cable_that_is_plugged_in_again_shows_no_client_two_owners() -> Result<()> {
    let served = Served::new()?;
    for turn in 0..TURNS {
        let at = turn % 2;
        let Seen { answered, newcomers, owners, report, .. } = served.cut_and_heal(at, Cut::Cable)?;
        assert!(newcomers.iter().all(|newcomer| newcomer.reached(DIRECTORS[1 - at])), "{newcomers:?}");
        assert_eq!((answered, owners.longest_with_several()), (Duration::ZERO, Duration::ZERO), "{owners:?}");
        assert_eq!((report.failed(), report.answers.get(DIRECTORS[at])), (0, None), "{report}");
    }
    assert!(served.pair.log(0).contains("its addresses are off until a carrier is back"), "{}", served.pair.log(0));
    Ok(())
}

#[test]
fn two_halves_of_a_network_that_meet_again_have_two_owners_until_each_has_heard_the_other() -> Result<()> {
    let served = Served::new()?;
    for turn in 0..TURNS {
        let at = turn % 2;
        let Seen { answered, newcomers, claims, healed, report, .. } = served.cut_and_heal(at, Cut::Between)?;
        assert!(answered <= TIGHT.keepalive + BUSY + claims.late, "{answered:?}");
        let astray = newcomers.iter().rfind(|newcomer| !newcomer.reached(DIRECTORS[1 - at]));
        assert!(astray.is_none_or(|last| last.at <= healed + answered + BUSY + claims.late), "{newcomers:?}");
        assert!(report.longest_outage() <= BUSY + claims.late, "{report}");
    }
    Ok(())
}

#[test]
fn a_dead_card_costs_the_deadtime_where_the_directors_hear_each_other_on_another_network() -> Result<()> {
    let mut pair = Pair::new("heartbeatd", TIGHT)?;
    let died = clock::now();
    pair.cluster.cut("lvs1", LAN)?;
    // It lives and is heard, and lets go.
    pair.await_owner(1)?;
    sleep(Duration::from_millis(200));
    let claims = pair.claims();
    let first = claims.first(pair.macs[1]).expect("the other one answers").saturating_sub(died);
    println!("    the other one answers after {first:?}; this machine was late by {:?}", claims.late);
    assert!(first <= TIGHT.deadtime + BUSY + claims.late, "{first:?}, late by {:?}", claims.late);
    assert!(pair.log(0).contains("(no interface of it has a carrier here)"), "{}", pair.log(0));
    pair.cluster.heal("lvs1", LAN)?;
    // auto_failback.
    pair.await_owner(0)
}
