//! A kernel that refuses, and a table that cannot be reached (row 67, B4).

use super::*;

const VIP: &str = "198.51.100.1:80";
const OTHER: &str = "198.51.100.2:80";

fn pair() -> [Virtual; 2] {
    [service(VIP, &[real("192.0.2.1:80 masq")]), service(OTHER, &[real("192.0.2.2:80 masq")])]
}

#[test]
fn row_67_a_service_that_the_kernel_refuses_does_not_hinder_the_others() {
    let mut room = Room::start(config(&[]), Table::new());
    let [bad, good] = pair();
    room.refused.push((Change::AddService(bad.key, bad.service.clone()), libc_enoent()));
    room.reload(config(&[bad, good]));
    room.turn();
    assert_eq!(room.servers(OTHER), weights(&[("192.0.2.2:80", 1)]));
    assert!(!room.table.contains_key(&key(VIP)));
    let said = room.said();
    assert_eq!(
        said,
        [
            "Added virtual server: 198.51.100.2:80",
            "The kernel refused a change, trying again later: cannot add virtual service tcp 198.51.100.1:80: \
             the kernel has no module ip_vs_wrr",
            "Added real server: 192.0.2.2:80 (198.51.100.2:80) (Weight set to 1)",
        ],
        "told once, and its servers not at all"
    );
    assert!(room.farm.is_ready(), "what was refused was tried");
    let pending = &room.farm.status(room.now)[0].pending;
    assert_eq!(pending.len(), 1);
    room.refused.clear();
    room.now += super::super::LONGEST_PAUSE;
    room.program();
    assert_eq!(
        room.said(),
        [
            "Added virtual server: 198.51.100.1:80",
            "Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 1)",
        ]
    );
    assert!(room.farm.status(room.now)[0].pending.is_empty());
}

fn libc_enoent() -> i32 {
    rustix::io::Errno::NOENT.raw_os_error()
}

fn refuse_to_add(room: &mut Room) {
    let server = real("192.0.2.1:80 masq");
    let errno = rustix::io::Errno::RANGE.raw_os_error();
    room.refused.push((Change::AddDestination(key(VIP), server.at, server.destination), errno));
}

#[test]
fn a_refused_server_is_tried_again_with_growing_pauses_and_told_when_it_is_there() {
    let mut room = Room::start(config(&pair()), Table::new());
    refuse_to_add(&mut room);
    room.turn();
    let refused = room.said().iter().filter(|line| line.contains("refused")).count();
    assert_eq!(refused, 1);
    let begin = room.now;
    let mut attempts = Vec::new();
    while let Some(next) = room.farm.next_attempt().filter(|&next| next < begin + 9 * SECOND) {
        room.now = next;
        if room.farm.wants_table(room.now) {
            attempts.push((room.now - begin).as_secs());
        }
        room.program();
    }
    assert_eq!(attempts, [1, 3, 7]);
    assert_eq!(room.said(), Vec::<String>::new(), "not told again");
    assert_eq!(room.servers(VIP), weights(&[]));
    room.refused.clear();
    room.now = begin + 9 * SECOND;
    room.kill("192.0.2.2");
    room.now = begin + 10 * SECOND;
    room.turn();
    assert_eq!(room.servers(VIP), weights(&[]), "its pause is not over");
    room.now = begin + 15 * SECOND;
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
    assert!(room.said().contains(&"Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 1)".to_owned()));
}

#[test]
fn a_server_that_goes_down_while_it_is_refused_is_not_added_later() {
    let mut room = Room::start(config(&pair()), Table::new());
    refuse_to_add(&mut room);
    room.turn();
    room.kill("192.0.2.1");
    room.round();
    room.refused.clear();
    room.now += super::super::LONGEST_PAUSE;
    room.program();
    assert_eq!(room.servers(VIP), weights(&[]));
}

#[test]
fn what_changes_while_a_batch_is_under_way_is_programmed_afterwards() {
    let one = service(VIP, &[real("192.0.2.1:80 masq")]);
    let mut room = Room::start(config(&[one]), Table::new());
    let order = room.farm.due(room.now).remove(0);
    room.answer(&order);
    let live = room.table.clone();
    let changes = room.farm.plan(room.now, &live).expect("no batch");
    assert!(room.farm.plan(room.now, &live).is_err(), "one batch at a time");
    assert!(!room.farm.wants_table(room.now));
    // The server dies while the kernel is told to add it.
    room.kill("192.0.2.1");
    room.now += 10 * SECOND;
    let order = room.farm.due(room.now).remove(0);
    room.answer(&order);
    let results = room.carry_out(&changes);
    let notices = room.farm.settle(room.now, results);
    room.tell(notices);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
    room.program();
    assert_eq!(room.servers(VIP), weights(&[]));
}

#[test]
fn a_reload_while_a_batch_is_under_way_is_programmed_afterwards() {
    let first = service(VIP, &[real("192.0.2.1:80 masq")]);
    let mut room = Room::start(config(&[first]), Table::new());
    let order = room.farm.due(room.now).remove(0);
    room.answer(&order);
    let live = room.table.clone();
    let changes = room.farm.plan(room.now, &live).expect("no batch");
    let notices = room.farm.reload(room.now, config(&[service(OTHER, &[real("192.0.2.2:80 masq")])]));
    room.tell(notices);
    let results = room.carry_out(&changes);
    let notices = room.farm.settle(room.now, results);
    room.tell(notices);
    room.turn();
    assert_eq!(room.servers(OTHER), weights(&[("192.0.2.2:80", 1)]));
    assert!(!room.table.contains_key(&key(VIP)), "the service of the old file is gone");
}

#[test]
fn a_table_that_cannot_be_reached_is_made_up_for_later() {
    let now = Instant::now();
    let (mut farm, _) = Farm::new(now, config(&[service(VIP, &[real("192.0.2.1:80 masq")])]));
    assert!(farm.wants_table(now));
    let order = farm.due(now).remove(0);
    let report = Report { result: Ok("fine".into()), took: Duration::ZERO, words: None, advice: None };
    let _ = farm.heard(now, order.id, &report);
    assert!(farm.became_ready(now).is_none(), "nothing was programmed");
    let changes = farm.plan(now, &Table::new()).expect("no batch");
    assert_eq!(changes.len(), 2);
    farm.lost();
    assert_eq!(farm.plan(now, &Table::new()).expect("no batch"), changes, "all of it again");
}

#[test]
fn a_service_that_somebody_removed_is_made_whole_when_one_of_its_servers_changes() {
    let web = service(VIP, &[real("192.0.2.1:80 masq"), real("192.0.2.2:80 masq")]);
    let mut room = Room::after_first_round(config(&[web]), Table::new(), &[]);
    room.table.clear();
    room.round();
    assert_eq!(room.table, Table::new(), "what is done by hand stays");
    room.kill("192.0.2.2");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
}
