//! What a new daemon finds: the table, and what the one before wrote down.

use super::*;
use crate::check::Advice;
use crate::config::model::{Agent, External};
use crate::memory::Memory;
use std::num::NonZeroU16;

const VIP: &str = "198.51.100.1:80";
const REAL: &str = "192.0.2.1:80";

fn external() -> Check {
    Check::External(External { command: "/bin/true".into(), arguments: [const { String::new() }; 4], timeout: SECOND })
}

fn slowly() -> Extensions {
    Extensions { slow_start: Some(50 * SECOND), ..Extensions::default() }
}

fn asking() -> Extensions {
    let port = NonZeroU16::new(9707).expect("not zero");
    Extensions { agent: Some(Agent { port, interval: 10 * SECOND, timeout: SECOND }), ..Extensions::default() }
}

fn one(check: Option<Check>, extensions: Extensions) -> Virtual {
    let real = real("192.0.2.1:80 masq 10");
    let real = Real { check: check.unwrap_or_else(|| real.check.clone()), ..real };
    Virtual { extensions, ..service(VIP, &[real]) }
}

impl Room {
    /// Another daemon, over the table of this one; nothing was checked yet.
    pub(super) fn next(self, virtuals: &[Virtual], memory: &Memory) -> (Self, Vec<(String, String)>) {
        let Self { dead, agents, connections, refused, .. } = self;
        let mut room = Self { dead, agents, connections, refused, ..Self::start(config(&[]), Table::new()) };
        (room.farm, _) = Farm::new(room.now, config(virtuals));
        let drained = room.farm.recall(memory);
        room.table = self.table;
        room.changes.clear();
        room.program();
        (room, drained)
    }

    fn over(virtuals: &[Virtual], weight: u32) -> Self {
        let room = Self::start(config(&[]), table(&[(VIP, &[(REAL, weight)])]));
        room.next(virtuals, &Memory::default()).0
    }

    fn weight(&self) -> Option<u32> {
        self.servers(VIP).get(REAL).copied()
    }

    /// The results of checks that are due, all the same.
    fn hear(&mut self, result: Result<&str, &str>, advice: Option<Advice>) {
        for order in self.farm.due(self.now) {
            let result = result.map(str::to_owned).map_err(str::to_owned);
            let report = Report { result, took: Duration::ZERO, words: None, advice };
            let notices = self.farm.heard(self.now, order.id, &report);
            self.tell(notices);
        }
        self.program();
    }
}

fn edits(room: &Room) -> usize {
    room.changes.iter().filter(|change| matches!(change, Change::EditDestination(..))).count()
}

#[test]
fn the_weight_that_is_found_stays_until_the_external_check_has_spoken() {
    let mut with = one(Some(external()), Extensions::default());
    with.failure_count = NonZeroU32::new(2).expect("not zero");
    let mut room = Room::over(&[with.clone()], 3);
    assert_eq!((room.weight(), edits(&room)), (Some(3), 0), "not that of the file");
    room.hear(Err("no answer"), None);
    assert_eq!((room.weight(), edits(&room)), (Some(3), 0), "a failed check says nothing about weights");
    room.now += 10 * SECOND;
    room.hear(Ok("fine"), Some(Advice::Weight(3)));
    assert_eq!((room.weight(), edits(&room)), (Some(3), 0));
    room.now += 10 * SECOND;
    room.hear(Ok("fine"), None);
    assert_eq!(room.weight(), Some(10));
    let mut room = Room::over(&[with], 3);
    room.hear(Ok("fine"), None);
    assert_eq!(room.weight(), Some(10), "its word may be that the file's counts");
}

#[test]
fn a_weight_that_only_the_file_makes_is_made_that_of_the_file_at_once() {
    assert_eq!(Room::over(&[one(None, Extensions::default())], 3).weight(), Some(10));
}

#[test]
fn an_agent_that_is_silent_after_a_restart_changes_no_weight() {
    let mut room = Room::over(&[one(None, asking())], 5);
    room.turn();
    room.round();
    assert_eq!((room.weight(), edits(&room)), (Some(5), 0));
    room.reload(config(&[one(None, asking())]));
    room.turn();
    assert_eq!((room.weight(), edits(&room)), (Some(5), 0), "the file says what it said");
    let mut heavier = one(None, asking());
    heavier.reals[0].destination.weight = 30;
    room.reload(config(&[heavier]));
    assert_eq!(room.weight(), Some(30), "and now another weight");
    room.agents.insert(at(REAL).ip(), "50%".into());
    room.round();
    assert_eq!(room.weight(), Some(15));
}

#[test]
fn a_climb_goes_on_where_it_was() {
    let mut room = Room::over(&[one(None, slowly())], 3);
    assert_eq!((room.weight(), edits(&room)), (Some(3), 0));
    room.turn();
    assert_eq!((room.weight(), edits(&room)), (Some(3), 0));
    let mut seen = Vec::new();
    for _ in 0..8 {
        room.now += 5 * SECOND;
        room.turn();
        seen.extend(room.weight());
    }
    assert_eq!(seen, [4, 5, 6, 7, 8, 9, 10, 10]);
    for (found, then) in [(10, 10), (15, 10), (1, 1)] {
        let mut room = Room::over(&[one(None, slowly())], found);
        room.turn();
        assert_eq!(room.weight(), Some(then), "found with {found}");
    }
}

#[test]
fn orders_and_what_agents_took_out_hold_for_the_next_daemon() {
    let (other, with) = (service("198.51.100.2:80", &[real("192.0.2.2:80 masq 1")]), one(None, asking()));
    let both = [with, other];
    for said in ["drain", "maint", "down"] {
        let mut room = Room::after_first_round(config(&both), Table::new(), &[]);
        assert_eq!(room.farm.memory(), Memory::default());
        drop(room.farm.drain("192.0.2.2", None, true).expect("it is there"));
        room.agents.insert(at(REAL).ip(), said.into());
        room.round();
        let (found, memory) = (room.weight(), room.farm.memory());
        assert_eq!(memory.servers.len(), 2, "{said}");
        // From now on the agent is silent.
        room.agents.clear();
        let (mut room, drained) = room.next(&both, &memory);
        assert_eq!(drained, [("tcp:198.51.100.2:80".to_owned(), "192.0.2.2:80".to_owned())]);
        room.turn();
        room.round();
        assert_eq!((room.weight(), room.changes.as_slice()), (found, &[][..]), "{said}");
        assert_eq!(room.servers("198.51.100.2:80"), weights(&[("192.0.2.2:80", 0)]));
        assert_eq!(room.farm.memory(), memory);
        room.agents.insert(at(REAL).ip(), "ready up".into());
        room.round();
        assert_eq!(room.weight(), Some(10));
    }
}

#[test]
fn what_the_new_file_has_no_more_is_forgotten() {
    let mut room = Room::after_first_round(config(&[one(None, asking())]), Table::new(), &[]);
    room.agents.insert(at(REAL).ip(), "maint".into());
    room.round();
    let mut memory = room.farm.memory();
    let (room, _) = room.next(&[one(None, Extensions::default())], &memory);
    assert_eq!(room.farm.memory(), Memory::default(), "nobody asks the agent any more");
    memory.servers[0].real = at("192.0.2.9:80");
    let (room, drained) = room.next(&[one(None, asking())], &memory);
    assert_eq!((room.farm.memory(), drained), (Memory::default(), Vec::new()));
}
