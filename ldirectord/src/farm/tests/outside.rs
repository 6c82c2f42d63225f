//! Maintenance, fallback commands, and what the original does not have (rows 63 and 70, B18, B23).

use super::*;
use crate::check::Advice;
use crate::maintenance::Posted;

const VIP: &str = "198.51.100.1:80";

fn one() -> Virtual {
    service(VIP, &[real("192.0.2.1:80 masq 10")])
}

fn posted(files: &[&str]) -> Posted {
    Posted { files: files.iter().map(ToString::to_string).collect(), ..Posted::default() }
}

impl Room {
    fn post(&mut self, files: &[&str]) {
        let notices = self.farm.post(posted(files));
        self.tell(notices);
        self.program();
    }

    /// What fallback commands are told.
    fn errands(&mut self) -> Vec<String> {
        self.farm.errands().into_iter().map(|errand| format!("{} {}", errand.command, errand.words.join(" "))).collect()
    }

    /// A round in which every check says this.
    fn advised(&mut self, advice: Option<Advice>) {
        self.now += 10 * SECOND;
        for order in self.farm.due(self.now) {
            let report = Report { result: Ok("fine".into()), took: Duration::ZERO, words: None, advice };
            let notices = self.farm.heard(self.now, order.id, &report);
            self.tell(notices);
        }
        self.program();
    }
}

#[test]
fn row_63_a_file_takes_a_server_out_at_once_and_its_going_brings_it_back() {
    let failure_count = NonZeroU32::new(5).expect("not zero");
    let mut room = Room::after_first_round(config(&[Virtual { failure_count, ..one() }]), Table::new(), &[]);
    room.said();
    room.post(&["192.0.2.1:80"]);
    assert_eq!(room.servers(VIP), weights(&[]));
    let file = "Server in maintenance: 192.0.2.1:80 (tcp:198.51.100.1:80), by the file 192.0.2.1:80";
    assert_eq!(room.said(), [file, "Deleted real server: 192.0.2.1:80 (198.51.100.1:80)"]);
    room.round();
    assert_eq!(room.servers(VIP), weights(&[]), "its checks do not bring it back");
    room.post(&[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
    assert_eq!(
        room.said(),
        [
            "Resetting soft failure count: 192.0.2.1:80 (tcp:198.51.100.1:80)",
            "Server no longer in maintenance: 192.0.2.1:80 (tcp:198.51.100.1:80)",
            "Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 10)",
        ]
    );
}

#[test]
fn row_63_in_quiescent_mode_it_is_weight_0_and_the_fallback_serves() {
    let quiescent = Virtual { quiescent: true, fallback: fallback("127.0.0.1:80 gate"), ..one() };
    let mut room = Room::after_first_round(config(&[quiescent]), Table::new(), &[]);
    room.post(&["192.0.2.1"]);
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1), ("192.0.2.1:80", 0)]));
    let status = &room.farm.status(room.now)[0].reals[0];
    assert_eq!(status.state, lvs::control::ldirectord::RealState::Maintenance);
    assert_eq!(status.maintenance.as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_file_that_is_there_at_start_and_one_that_outlives_a_reload_count() {
    let now = Instant::now();
    let (mut farm, _) = Farm::new(now, config(&[one()]));
    drop(farm.post(posted(&["192.0.2.1"])));
    let live = table(&[(VIP, &[("192.0.2.1:80", 10)])]);
    let changes = farm.plan(now, &live).expect("nothing is under way");
    assert!(matches!(changes[..], [Change::DeleteDestination(..)]), "{changes:?}");
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    room.post(&["192.0.2.1"]);
    room.reload(config(&[one()]));
    room.turn();
    assert_eq!(room.servers(VIP), weights(&[]));
}

#[test]
fn files_and_orders_to_drain_do_not_know_of_each_other_and_the_file_is_the_stronger() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    let drain = |room: &mut Room, drained| {
        let notices = room.farm.drain("192.0.2.1", None, drained).expect("it is there");
        room.tell(notices);
        room.program();
    };
    drain(&mut room, true);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0)]), "its connections go on");
    room.post(&["192.0.2.1"]);
    assert_eq!(room.servers(VIP), weights(&[]));
    drain(&mut room, false);
    assert_eq!(room.servers(VIP), weights(&[]), "the file is still there");
    drain(&mut room, true);
    room.post(&[]);
    assert_eq!(room.servers(VIP), weights(&[]), "the order still holds, and there are no connections to keep");
    drain(&mut room, false);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
}

#[test]
fn monitor_files_are_told_each_result_and_maintenance_instead() {
    let file = PathBuf::from("/monitor");
    let told = |check: Check, files: &[&str], result: Result<String, String>, words: Option<&str>| {
        let real = Real { check_identity: "a:b".into(), ..with(check, real("192.0.2.1:80 masq")) };
        let monitored = Virtual { monitor_file: Some(file.clone()), ..service(VIP, &[real]) };
        let now = Instant::now();
        let (mut farm, _) = Farm::new(now, config(&[monitored]));
        drop(farm.post(posted(files)));
        let order = farm.due(now).remove(0);
        let report = Report { result, took: Duration::ZERO, words: words.map(str::to_owned), advice: None };
        let lines = farm.monitored(order.id, &report).into_iter();
        lines.map(|entry| (entry.up, entry.message)).collect::<Vec<_>>()
    };
    let connect = || Check::Connect(Connect { at: at("192.0.2.1:80"), timeout: SECOND });
    let address = at("192.0.2.1:80").ip();
    let ping = || Check::Ping(crate::config::model::Ping { address, attempts: NonZeroU32::MIN, timeout: SECOND });
    let (fine, dead) = (|| Ok("fine".to_owned()), || Err("dead".to_owned()));
    let maintained = [(false, Some("Server in maintenance".to_owned()))];
    assert_eq!(told(connect(), &[], fine(), None), [(true, None)]);
    assert_eq!(told(connect(), &[], dead(), Some("words")), [(false, Some("words".to_owned()))]);
    assert_eq!(told(connect(), &["192.0.2.1"], fine(), Some("words")), maintained);
    assert_eq!(told(ping(), &[], fine(), None), [(true, None)]);
    assert_eq!(told(ping(), &[], dead(), None), []);
    assert_eq!(told(ping(), &["192.0.2.1"], dead(), None), maintained);
}

#[test]
fn row_70_a_fallback_command_is_told_once_for_each_turn() {
    let with = Virtual { fallback_command: Some("/bin/f".into()), ..one() };
    let mut room = Room::start(config(std::slice::from_ref(&with)), Table::new());
    assert_eq!(room.errands(), [""; 0], "nothing is known yet");
    room.turn();
    assert_eq!(room.errands(), ["/bin/f stop 198.51.100.1:80 tcp"]);
    room.round();
    assert_eq!(room.errands(), [""; 0]);
    room.kill("192.0.2.1");
    room.round();
    room.round();
    assert_eq!(room.errands(), ["/bin/f start 198.51.100.1:80 tcp"]);
    room.reload(config(&[with]));
    room.turn();
    assert_eq!(room.errands(), [""; 0], "a reload is no turn");
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(room.errands(), ["/bin/f stop 198.51.100.1:80 tcp"]);
}

#[test]
fn fault_b18_a_fallback_command_is_told_the_mark() {
    let mark = lvs::ipvs::Mark::new(7).expect("not zero");
    let key = ServiceKey::Mark { family: lvs::ipvs::Family::Inet, mark };
    let with = Virtual { key, fallback_command: Some("/bin/f".into()), ..one() };
    let mut room = Room::after_first_round(config(&[with]), Table::new(), &["192.0.2.1"]);
    assert_eq!(room.errands(), ["/bin/f start 7 fwm"]);
}

#[test]
fn fault_b23_a_fallback_command_is_told_stop_at_the_end_if_that_is_asked_for() {
    let end = |stop_fallback| {
        let extensions = Extensions { stop_fallback, ..Extensions::default() };
        let with = Virtual { fallback_command: Some("/bin/f".into()), extensions, ..one() };
        let mut room = Room::after_first_round(config(&[with]), Table::new(), &["192.0.2.1"]);
        room.errands();
        room.farm.last_errands().len()
    };
    assert_eq!((end(false), end(true)), (0, 1));
}

#[test]
fn fault_b11_a_server_that_is_down_in_two_services_is_quiescent_in_both() {
    let other = "198.51.100.2:80";
    let quiescent = |vip| Virtual { quiescent: true, ..service(vip, &[real("192.0.2.1:80 masq")]) };
    let ping = Check::Connect(Connect { at: at("192.0.2.1:81"), timeout: SECOND });
    let second = Virtual { reals: vec![with(ping, real("192.0.2.1:80 masq"))], ..quiescent(other) };
    let room = Room::after_first_round(config(&[quiescent(VIP), second]), Table::new(), &["192.0.2.1"]);
    for vip in [VIP, other] {
        assert_eq!(room.servers(vip), weights(&[("192.0.2.1:80", 0)]), "{vip}");
    }
}

#[test]
fn with_rise_a_server_that_went_down_has_to_pass_so_often_in_a_row() {
    let extensions = Extensions { rise: NonZeroU32::new(3), ..Extensions::default() };
    let mut room = Room::after_first_round(config(&[Virtual { extensions, ..one() }]), Table::new(), &[]);
    assert_eq!(room.servers(VIP).len(), 1, "the first check of all is enough");
    room.kill("192.0.2.1");
    room.round();
    room.revive("192.0.2.1");
    room.round();
    room.round();
    room.kill("192.0.2.1");
    room.round();
    room.revive("192.0.2.1");
    room.round();
    room.round();
    assert_eq!(room.servers(VIP), weights(&[]), "not in a row");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
}

#[test]
fn with_slowstart_a_server_that_comes_back_climbs_to_its_weight() {
    let extensions = Extensions { slow_start: Some(50 * SECOND), ..Extensions::default() };
    let mut room = Room::after_first_round(config(&[Virtual { extensions, ..one() }]), Table::new(), &[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]), "a start is no return");
    room.kill("192.0.2.1");
    room.round();
    room.revive("192.0.2.1");
    room.round();
    room.said();
    let mut seen = vec![room.servers(VIP)["192.0.2.1:80"]];
    for _ in 0..50 {
        let next = room.farm.next_check().expect("there is always a next");
        assert!(next > room.now, "no busy loop");
        room.now = next;
        room.turn();
        let now = room.servers(VIP)["192.0.2.1:80"];
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let said = room.said();
    assert_eq!(said[0], "Weight of 192.0.2.1:80 (tcp:198.51.100.1:80) set to 2");
    assert_eq!(said[8], "Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 10)");
    assert_eq!(said.len(), 9);
}

#[test]
fn a_check_may_say_what_weight_its_server_has() {
    let with = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..one() };
    let mut room = Room::after_first_round(config(&[with]), Table::new(), &[]);
    for (advice, weight) in [
        (Some(Advice::Weight(3)), 3),
        (Some(Advice::Percent(50)), 5),
        (Some(Advice::Percent(250)), 25),
        (Some(Advice::Drain), 0),
        (None, 10),
    ] {
        room.advised(advice);
        assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", weight)]), "{advice:?}, and no fallback");
    }
}
