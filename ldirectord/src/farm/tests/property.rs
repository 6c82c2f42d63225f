//! Whatever happens in whatever order: once the kernel takes what it is told, the table says
//! what the checks found, and nobody's traffic was cut on the way.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const VIP: &str = "198.51.100.1:80";
const SERVERS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

#[derive(Debug, Clone)]
enum Event {
    Kill(usize),
    Revive(usize),
    Round,
    /// The kernel refuses changes of this server, or takes them again.
    Refuse(usize),
    Take,
    Drain(usize, bool),
    Reload,
    /// Killed and started again over the table that it left.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let server = 0..SERVERS.len();
    prop_oneof![
        3 => server.clone().prop_map(Event::Kill),
        3 => server.clone().prop_map(Event::Revive),
        4 => Just(Event::Round),
        1 => server.clone().prop_map(Event::Refuse),
        1 => Just(Event::Take),
        1 => (server, any::<bool>()).prop_map(|(n, drained)| Event::Drain(n, drained)),
        1 => Just(Event::Reload),
        1 => Just(Event::Restart),
    ]
}

fn web(quiescent: bool, failures: u32, drain: Option<u64>, slowly: Option<u64>) -> Virtual {
    let [drain_timeout, slow_start] = [drain, slowly].map(|seconds| seconds.map(Duration::from_secs));
    let extensions = Extensions { drain_timeout, slow_start, ..Extensions::default() };
    let reals: Vec<_> = SERVERS.iter().map(|address| real(&format!("{address}:80 masq 2"))).collect();
    let failure_count = NonZeroU32::new(failures).expect("not zero");
    Virtual { quiescent, failure_count, extensions, fallback: fallback("127.0.0.1:80 masq"), ..service(VIP, &reals) }
}

fn refuse(room: &mut Room, n: usize) {
    let server = at(&format!("{}:80", SERVERS[n]));
    let errno = rustix::io::Errno::NOMEM.raw_os_error();
    for weight in [0, 2] {
        let destination = Destination::new(Forward::Masq, weight);
        room.refused.push((Change::AddDestination(key(VIP), server, destination), errno));
        room.refused.push((Change::EditDestination(key(VIP), server, destination), errno));
    }
    room.refused.push((Change::DeleteDestination(key(VIP), server), errno));
}

fn happen(room: &mut Room, event: &Event, config: &Config) {
    match *event {
        Event::Kill(n) => room.kill(SERVERS[n]),
        Event::Revive(n) => room.revive(SERVERS[n]),
        Event::Round => room.round(),
        Event::Refuse(n) => refuse(room, n),
        Event::Take => room.refused.clear(),
        Event::Drain(n, drained) => {
            room.farm.drain(SERVERS[n], None, drained).expect("known");
            room.program();
        }
        Event::Reload => {
            room.reload(config.clone());
            room.turn();
        }
        Event::Restart => {
            let settled = room.refused.is_empty() && room.farm.status(room.now)[0].pending.is_empty();
            let (found, memory) = (room.servers(VIP), room.farm.memory());
            let before = std::mem::replace(room, Room::start(super::config(&[]), Table::new()));
            (*room, _) = before.next(&config.virtuals, &memory);
            assert!(
                !settled || room.servers(VIP) == found,
                "{found:?} became {:?} before any check",
                room.servers(VIP)
            );
            room.turn();
        }
    }
}

proptest! {
    #[test]
    fn in_the_end_the_table_says_what_the_checks_found(
        events in vec(event(), 0..40),
        quiescent in any::<bool>(),
        failures in 1u32..3,
        drain in proptest::option::of(1u64..60),
        slowly in proptest::option::of(1u64..60),
        busy in 0u32..2,
    ) {
        let config = config(&[web(quiescent, failures, drain, slowly)]);
        let mut room = Room::after_first_round(config.clone(), Table::new(), &[]);
        room.connections.insert(at(&format!("{}:80", SERVERS[0])), busy);
        for event in &events {
            happen(&mut room, event, &config);
            let serving = room.servers(VIP).values().filter(|&&weight| weight > 0).count();
            // What was refused may still wait for its next attempt.
            let refused = !room.refused.is_empty() || !room.farm.status(room.now)[0].pending.is_empty();
            prop_assert!(serving > 0 || refused, "nobody serves after {event:?}");
        }
        room.refused.clear();
        for _ in 0..3 {
            room.now += super::super::LONGEST_PAUSE;
            room.turn();
        }
        let status = room.farm.status(room.now).remove(0);
        let mut expected: BTreeMap<String, u32> = BTreeMap::new();
        for (address, server) in SERVERS.iter().zip(&status.reals) {
            let alive = !room.dead.contains(&address.parse::<IpAddr>().expect("an address"));
            prop_assert_eq!(alive, server.state != lvs::control::ldirectord::RealState::Down);
            expected.extend(server.weight.map(|weight| (server.real.clone(), weight)));
        }
        if !expected.values().any(|&weight| weight > 0) {
            expected.insert("127.0.0.1:80".into(), 1);
        }
        let found = room.servers(VIP);
        // A quiescent server that nobody put into the table (it failed while it was refused) may be absent.
        let zero = |(address, weight): (String, u32)| (weight > 0).then_some((address, weight));
        let serving = |table: BTreeMap<String, u32>| table.into_iter().filter_map(zero).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(serving(found.clone()), serving(expected.clone()));
        prop_assert!(found.keys().all(|address| expected.contains_key(address)), "{:?} {:?}", found, expected);
        prop_assert!(status.pending.is_empty());
        room.changes.clear();
        room.reload(config);
        room.turn();
        prop_assert!(room.changes.is_empty(), "the same file again changes {:?}", room.changes);
    }
}
