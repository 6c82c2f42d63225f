use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use lvs::diag::Diagnostic;
use proptest::prelude::*;

use super::super::directive::DIRECTIVES;
use super::super::source::Source;
use super::super::{Fence, GenerationMethod, HaCf, Line, Medium, Udp, UuidFrom, check, hacf};
use super::{around, told};
use crate::wire::Form;

fn parse_as(name: &str, text: &str) -> (Option<HaCf>, Vec<Diagnostic>) {
    let around = around(name);
    let mut source = Source::new(Path::new("ha.cf"), text);
    let written = hacf::read(&mut source, &around);
    let model = check::check(written, &mut source, &around);
    (model, source.found)
}

fn parse(text: &str) -> (Option<HaCf>, Vec<Diagnostic>) {
    parse_as("lvs1", text)
}

/// A file that has nothing wrong but what `lines` add.
fn with(lines: &str) -> (Option<HaCf>, Vec<String>) {
    let (model, found) = parse(&format!("node lvs1 lvs2\nbcast hb0\nauto_failback on\n{lines}"));
    (model, told(&found))
}

#[test]
fn a_usual_file_is_read_without_a_word() {
    let text = "\
# two directors
keepalive 200ms
deadtime 1          # seconds
warntime 0.5
initdead 12
udpport 695
ucast hb0 10.99.0.2
\tbcast hb0,hb1
mcast hb0 239.0.0.1 694 1 0
ucast6 hb0 fe80::2
auto_failback off
node LVS1
node lvs2
msgfmt netstring
uuidfrom nodename
hopfudge 3
debug 1
env COLOUR=red
";
    let (model, found) = parse(text);
    assert_eq!(told(&found), [""; 0]);
    let model = model.unwrap();
    assert_eq!((model.local.as_str(), model.peer()), ("lvs1", Some("lvs2")));
    let milliseconds = |time: Duration| time.as_millis();
    assert_eq!(
        [model.keepalive, model.deadtime, model.warntime, model.initdead].map(milliseconds),
        [200, 1000, 500, 12_000]
    );
    let interface = || "hb0".to_owned();
    assert_eq!(
        model.media,
        [
            Udp::Ucast { interface: interface(), peer: Ipv4Addr::new(10, 99, 0, 2), port: 695 },
            Udp::Bcast { interface: interface(), port: 695 },
            Udp::Bcast { interface: "hb1".into(), port: 695 },
            Udp::Mcast {
                interface: interface(),
                group: Ipv4Addr::new(239, 0, 0, 1),
                port: 694,
                ttl: 1,
                loopback: false
            },
            Udp::Ucast6 { interface: interface(), peer: "fe80::2".parse().unwrap(), port: 695 },
        ]
        .map(Medium::Udp)
    );
    assert!(!model.auto_failback);
    assert_eq!((model.form, model.uuid, model.debug, model.ttl()), (Form::Bare, UuidFrom::NodeName, 1, 5));
    let variable = |name: &str| model.environment.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
    assert_eq!(variable("HA_keepalive"), Some("200ms"));
    assert_eq!(variable("HA_COLOUR"), Some("red"));
    assert_eq!(variable("HA_node"), None);
}

#[test]
fn defaults_are_those_of_heartbeat() {
    let (model, _) = with("");
    let model = model.unwrap();
    assert_eq!(model.keepalive, Duration::from_secs(1));
    assert_eq!(model.deadtime, Duration::from_secs(30));
    assert_eq!(model.warntime, Duration::from_secs(15));
    assert_eq!(model.initdead, Duration::from_secs(30));
    assert_eq!(model.ttl(), 3);
    for (deadtime, initdead) in [("5", 12), ("6", 12), ("10", 20), ("11", 11)] {
        let (model, _) = with(&format!("deadtime {deadtime}"));
        assert_eq!(model.unwrap().initdead.as_secs(), initdead, "deadtime {deadtime}");
    }
}

#[test]
fn the_whole_file_is_read_and_every_mistake_has_its_place_and_help() {
    let text = "\
node lvs1 lvs2
keepalive 1sec
deadtime 500 ms
udpport 0
bcast averyverylonginterface
mcast hb0 10.0.0.1 694 1 0
ucast hb0
ucast hb0 nosuch
kepalive 2
auto_failback maybe
node lvs2
crm yes
";
    let (model, found) = parse(text);
    assert!(model.is_none());
    assert_eq!(
        told(&found),
        [
            "! 2:11-15 \"1sec\" is not a time: there is no unit \"sec\"",
            "! 3:14-16 deadtime takes one value",
            "! 4:9-10 \"0\" is not a number from 1 to 65535",
            "! 5:7-29 \"averyverylonginterface\" cannot be an interface",
            "! 6:11-19 \"10.0.0.1\" is no multicast address",
            "! 7:7-10 the address to send to is missing",
            "! 8:11-17 cannot resolve \"nosuch\": name not known",
            "! 9:1-9 unknown directive \"kepalive\"",
            "! 10:15-20 \"maybe\" is not on, off or legacy",
            "! 11:6-10 node \"lvs2\" a second time",
            "! 12:5-8 crm yes: Pacemaker mode is not available",
            "12:8-8 no auto_failback: legacy, so groups go home when their node returns",
        ]
    );
    let help: Vec<_> = found.iter().filter_map(|found| found.help.as_deref()).collect();
    assert!(help.contains(&"write 1, 1s or 1000ms"));
    assert!(help.contains(&"write the unit directly behind the number: 500ms"));
    assert!(help.contains(&"did you mean \"keepalive\"?"));
    assert!(found.iter().all(|found| found.severity == lvs::diag::Severity::Warning || found.help.is_some()));
}

#[test]
fn what_is_missing_altogether_is_told_at_the_end_of_the_file() {
    let (model, found) = parse("auto_failback on\n");
    assert!(model.is_none());
    assert_eq!(told(&found), ["! 1:17-17 no medium for heartbeats", "! 1:17-17 no nodes"]);
    let (model, found) = parse("");
    assert!(model.is_none());
    assert_eq!(found.len(), 3);
}

#[test]
fn times_must_fit_each_other() {
    let error = |lines: &str| with(lines).1;
    assert_eq!(error("deadtime 2"), ["! 4:10-11 deadtime 2 s is not more than twice keepalive 1 s"]);
    assert_eq!(error("deadtime 2001ms"), [""; 0]);
    assert_eq!(error("keepalive 15"), ["! 4:11-13 deadtime 30 s is not more than twice keepalive 15 s"]);
    assert_eq!(error("deadtime 5\ninitdead 3"), ["! 5:10-11 initdead 3 s is less than deadtime 5 s"]);
    assert_eq!(error("deadtime 5\ninitdead 7"), ["5:10-11 initdead 7 s may be too short"]);
    assert_eq!(error("warntime 30"), ["4:10-12 the warning would come after the death"]);
    assert_eq!(error("warntime 0"), ["! 4:10-11 \"0\" comes to zero"]);
    assert_eq!(error("keepalive 10ms\ndeadtime 50ms"), ["5:10-14 a living node may be declared dead under load"]);
}

#[test]
fn udpport_acts_on_the_media_below_it() {
    let (model, found) = with("udpport 700\nbcast hb1");
    assert_eq!(found, ["4:9-12 udpport acts on the media below it only"]);
    let ports: Vec<_> =
        model.unwrap().media.into_iter().map(|m| matches!(m, Medium::Udp(Udp::Bcast { port: 700, .. }))).collect();
    assert_eq!(ports, [false, true]);
}

#[test]
fn what_is_written_for_the_protocol_is_what_the_core_is_told() {
    let (model, found) = with("max_rexmit_delay 400\nhbgenmethod time\nautojoin none\ncrm off\npacemaker false");
    assert_eq!(found, [""; 0]);
    let model = model.unwrap();
    assert_eq!(model.max_rexmit_delay, Duration::from_millis(400));
    assert_eq!(model.generation, GenerationMethod::Time);
}

#[test]
fn what_heartbeat_takes_in_another_way_than_it_looks_is_taken_so_and_told() {
    let table = [
        ("keepalive 2 1", "4:13-14 keepalive takes one value, and the last one counts"),
        ("debug 3,1", "4:9-10 debug takes one value, and the last one counts"),
        ("debug 1x", "4:7-9 \"1x\" counts as 1"),
        ("hopfudge 1/2", "4:10-13 \"1/2\" counts as 1"),
        ("max_rexmit_delay 250ms", "4:18-23 \"250ms\" counts as 250"),
        ("watchdog /nosuch", "4:10-17 watchdog \"/nosuch\" cannot be used now: entity not found"),
        ("watchdog /etc/passwd", "4:10-21 watchdog \"/etc/passwd\" cannot be used now: it is no device"),
    ];
    for (line, warning) in table {
        let (model, found) = with(line);
        let model = model.unwrap_or_else(|| panic!("{line}: {found:?}"));
        assert_eq!(found, [warning]);
        assert_eq!((model.keepalive.as_secs(), model.max_rexmit_delay.as_millis(), model.ttl()), (1, 250, 3), "{line}");
        assert_eq!(model.debug, u8::from(line.starts_with("debug")), "{line}");
    }
    // Every one of several values is heartbeat's to judge.
    assert_eq!(with("keepalive 0 1").1.len(), 2);
    assert!(with("keepalive 0 1").0.is_none());
}

#[test]
fn a_port_that_belongs_to_another_service_is_told() {
    let (model, found) = parse("node lvs1 lvs2\nauto_failback on\nudpport 53\nbcast hb0\n");
    assert_eq!(told(&found), ["3:9-11 UDP port 53 is reserved for the service \"domain\""]);
    assert_eq!(model.unwrap().media, [Medium::Udp(Udp::Bcast { interface: "hb0".into(), port: 53 })]);
    let (model, found) = parse("node lvs1 lvs2\nauto_failback on\nudpport 700x\nbcast hb0\n");
    assert_eq!(told(&found), ["3:9-13 \"700x\" counts as 700"]);
    assert_eq!(model.unwrap().media, [Medium::Udp(Udp::Bcast { interface: "hb0".into(), port: 700 })]);
}

#[test]
fn a_directive_that_is_none_is_told_with_what_was_meant() {
    let told = |line: &str| {
        let (model, found) = parse(&format!("{line}\nnode lvs1 lvs2\nbcast hb0\nauto_failback on\n"));
        assert!(model.is_none(), "{line}");
        let found = &found[0];
        (found.message.clone(), found.help.clone().unwrap(), found.source.clone())
    };
    let unknown =
        |name: &str, help: &str, line: &str| (format!("unknown directive {name:?}"), help.to_owned(), line.to_owned());
    assert_eq!(told("keepalive=2"), unknown("keepalive=", "write a blank instead of =", "keepalive=2"));
    let lower = "did you mean \"keepalive\"? Names are in lower case";
    assert_eq!(told("KEEPALIVE 1"), unknown("KEEPALIVE", lower, "KEEPALIVE 1"));
    assert_eq!(told("Keepalves 1").1, "did you mean \"keepalive\"?");
    let media = told("tipc eth0").1;
    assert!(media.starts_with("the media are bcast, mcast") && media.contains("ucast6"), "{media}");
    assert_eq!(told("setweight a 1").1, "heartbeatd(8) has all of them");
    // It may go on with a device's line.
    assert_eq!(told("debug=1 password=TIGER").2, "******* **************");
    assert_eq!(told("deadtime 30 s").1, "times are in seconds: write 30");
}

#[test]
fn programs_that_need_heartbeats_socket_are_not_started_and_that_is_told() {
    let (model, found) = with("respawn root /usr/libexec/heartbeat/dopd\nfailfast root /usr/libexec/heartbeat/dopd");
    let api = super::super::directive::API;
    let warning = |line| format!("{line}-41 /usr/libexec/heartbeat/dopd is not started: {api}");
    assert_eq!(found, [warning("4:14"), warning("5:15").replace("-41", "-42")]);
    assert!(model.unwrap().helpers.is_empty());
    let (model, found) = with("respawn root /usr/local/bin/dopd");
    assert_eq!((model.unwrap().helpers.len(), found.len()), (1, 0));
}

#[test]
fn the_facility_of_the_system_log_is_the_files() {
    let facility = |lines: &str| {
        let (model, found) = with(lines);
        (model.unwrap().facility, found.len())
    };
    assert_eq!(facility("logfacility LOCAL0"), (Some("local0".into()), 0));
    assert_eq!(facility("logfacility none"), (None, 1));
    assert_eq!(facility(""), (None, 0));
    for name in ["kern", "user", "daemon", "auth", "syslog", "cron", "authpriv", "local0", "local7"] {
        let found = facility(&format!("logfacility {name}")).0;
        assert!(found.and_then(|name| lvs::daemon::logging::facility(&name)).is_some(), "{name}");
    }
}

#[test]
fn baud_acts_on_the_serial_lines_below_it() {
    let (model, found) = with("serial /dev/ttyS0\nbaud 115200\nserial /dev/ttyS1");
    assert_eq!(found, ["5:6-12 baud acts on the serial lines below it only"]);
    let line = |device: &str, baud| Medium::Serial(Line { device: device.into(), baud });
    assert_eq!(model.unwrap().media[1..], [line("/dev/ttyS0", 19200), line("/dev/ttyS1", 115_200)]);
    assert_eq!(with("baud 9600\nbaud 9600").1, ["! 5:6-10 a second baud"]);
}

#[test]
fn every_speed_of_heartbeats_is_taken_and_no_other() {
    for baud in ["9600", "19200", "38400", "57600", "115200", "230400", "460800"] {
        assert_eq!(with(&format!("baud {baud}")).1, [""; 0], "{baud}");
    }
    for baud in ["300", "4800", "921600", "0", "-1", "9600baud", "00"] {
        let (model, found) = with(&format!("baud {baud}"));
        assert!(model.is_none() && found[0].contains("is not the speed"), "{found:?}");
    }
}

#[test]
fn a_device_that_is_missing_is_a_link_that_is_down() {
    let (model, found) = with("serial /dev/ttyUSB0 /dev/ttyS0");
    assert_eq!(found, ["4:8-20 serial line \"/dev/ttyUSB0\" cannot be used now: entity not found"]);
    assert_eq!(model.unwrap().media.len(), 3);
    // Nothing is taken before one is there.
    let (model, found) = parse("node lvs1 lvs2\nauto_failback on\nserial /dev/ttyUSB0");
    assert!(model.is_some(), "{found:?}");
}

#[test]
fn a_line_too_slow_for_its_heartbeats_is_told() {
    assert_eq!(with("serial /dev/ttyS0").1, [""; 0]);
    let slow = |time| format!("4:8-18 a line of 19200 baud does not carry heartbeats every {time}");
    assert_eq!(with("serial /dev/ttyS0\nkeepalive 200ms").1, [slow("200 ms")]);
    assert_eq!(with("baud 115200\nserial /dev/ttyS0\nkeepalive 200ms").1, [""; 0]);
    // Each passes on what it hears of the others.
    assert_eq!(with("serial /dev/ttyS0\nkeepalive 500ms").1, [""; 0]);
    assert_eq!(with("serial /dev/ttyS0\nkeepalive 500ms\nnode lvs3 lvs4").1, [slow("500 ms")]);
}

#[test]
fn what_is_not_available_is_refused_by_name() {
    let (model, found) = with("hbaping 1 2");
    assert!(model.is_none() && found[0].contains("not available"), "{found:?}");
}

#[test]
fn there_is_one_watchdog() {
    assert_eq!(with("watchdog /dev/watchdog").0.unwrap().watchdog, Some("/dev/watchdog".into()));
    assert_eq!(with("watchdog /dev/watchdog\nwatchdog /dev/watchdog1").1, ["! 5:10-24 a second watchdog device"]);
}

#[test]
fn programs_are_those_of_the_file_and_ipfail_is_none_of_them() {
    let lines = "respawn hacluster /usr/bin/true -a b\nfailfast root /usr/bin/true\n\
                 respawn hacluster /usr/lib/heartbeat/ipfail\nping 10.0.0.1";
    let (model, found) = with(lines);
    assert_eq!(found, [""; 0]);
    let model = model.unwrap();
    let shown: Vec<_> = model.helpers.iter().map(|h| (h.uid, h.gid, h.args.join(" "), h.failfast)).collect();
    assert_eq!(shown, [(90, 91, "-a b".to_owned(), false), (0, 0, String::new(), true)]);
    assert!(model.ipfail);
}

#[test]
fn who_may_use_a_socket_that_is_not_there_is_checked_and_told() {
    assert_eq!(with("apiauth ipfail uid=hacluster").1, [""; 0]);
    let (model, found) = with("apiauth evms uid=hacluster,root gid=haclient");
    assert!(model.is_some() && found.len() == 1 && found[0].contains("apiauth evms has no effect"), "{found:?}");
    let (model, found) = with("apiauth ipfail uid=hacluster\napiauth ipfail uid=root");
    assert!(model.is_none());
    assert_eq!(found, ["! 5:9-15 apiauth ipfail a second time"]);
}

#[test]
fn fencing_devices_are_those_of_this_node_and_their_secrets_are_not_shown() {
    let lines = "stonith_host lvs2 fence_fake ip=10.0.0.8\nstonith_host * fence_fake ip=10.0.0.9 passwd=hush action=off\n\
                 stonith_host LVS1 meatware lvs2\nstonith fence_fake /etc/ha.d/fence";
    let (model, _) = with(lines);
    let fences = model.unwrap().fences;
    let [Fence::Agent(first), Fence::Manual, Fence::Agent(last)] = &fences[..] else { panic!("{fences:?}") };
    assert_eq!((first.off, last.off), (true, false));
    assert_eq!(first.options, [("ip".to_owned(), "10.0.0.9".to_owned()), ("passwd".to_owned(), "hush".to_owned())]);
    assert_eq!(last.options.len(), 2);
    assert!(!format!("{fences:?}").contains("hush"));
}

#[test]
fn nothing_behind_a_device_is_shown_whatever_is_wrong_with_the_line() {
    let lines = [
        ("stonith_host * fence_fake passwd=TIGER oops", "stonith_host * fence_fake ************ ****"),
        (
            "stonith_host * external/ipmi lvs2 10.0.0.9 admin TIGER lan",
            "stonith_host * external/ipmi **** ******** ***** ***** ***",
        ),
        ("stonth_host * fence_fake ip=10.0.0.9 password=TIGER", "stonth_host * fence_fake *********** **************"),
        ("Stonith_Host lvs2 fence_fake TIGER", "Stonith_Host lvs2 fence_fake *****"),
        ("stonith_host fence_fake password=TIGER", "stonith_host fence_fake **************"),
        ("stonith_host external/ipmi TIGER", "stonith_host external/ipmi *****"),
        ("stonith_host password=TIGER fence_fake", "stonith_host ************** **********"),
        ("stonith_host * password=TIGER TIGER", "stonith_host * ************** *****"),
        ("stonith_host * fence_fake,password=TIGER", "stonith_host * *************************"),
        ("stonith fence_fake password=TIGER", "stonith fence_fake **************"),
        ("stonith fence_fake TIGER", "stonith fence_fake *****"),
        ("stonith fence_fake ip=10.0.0.9 password=TIGER", "stonith fence_fake *********** **************"),
        ("stonith password=TIGER /etc/ha.d/fence", "stonith ************** ***************"),
        ("\tstonith_host  * fence_fake password=\"my TIGER\"", "\tstonith_host  * fence_fake ************ ******"),
        ("password=TIGER port=1", "************** ******"),
    ];
    for (line, shown) in lines {
        let (_, found) = parse(&format!("{line}\n"));
        let first = &found[0];
        assert_eq!((first.line, first.source.as_str()), (1, shown));
        assert!(first.columns.end <= line.chars().count() + 1, "{line}: {:?}", first.columns);
        let all: String = found.iter().map(|found| format!("{found}\n")).collect();
        assert!(!all.contains("TIGER"), "{all}");
    }
    let (_, found) = parse("keepalive oops\nenv A=b c\n");
    assert_eq!(found[0].source, "keepalive oops");
}

#[test]
fn ping_nodes_have_names_hosts_and_a_time_of_their_own() {
    let lines = "ping 10.0.0.1,10.0.0.2\nping6 fd00::1\nping_group routers 10.0.1.1 10.0.1.2\ndeadping 9\n\
                 respawn hacluster /usr/lib/heartbeat/ipfail\n";
    let (model, found) = with(lines);
    assert!(found.is_empty(), "{found:?}");
    let model = model.unwrap();
    let shown: Vec<_> = model.pings.iter().map(|ping| (ping.name.as_str(), ping.hosts.len())).collect();
    assert_eq!(shown, [("10.0.0.1", 1), ("10.0.0.2", 1), ("fd00::1", 1), ("routers", 2)]);
    assert_eq!((model.deadping, model.ipfail, model.ttl()), (Duration::from_secs(9), true, 7));
}

#[test]
fn what_cannot_be_pinged_or_would_do_nothing_is_told() {
    let refused = [
        ("ping fd00::1", "has no IPv4 address"),
        ("ping6 10.0.0.1", "has no IPv6 address"),
        ("ping 224.0.0.1", "is not one host"),
        ("ping_group routers", "has no hosts"),
        ("ping 10.0.0.1 10.0.0.1", "a second time"),
        ("deadping 2", "not more than twice keepalive"),
    ];
    for (line, why) in refused {
        let (model, found) = with(line);
        assert!(model.is_none() && found.iter().any(|line| line.contains(why)), "{line}: {found:?}");
    }
    for line in ["ping 10.0.0.1", "respawn hacluster /usr/lib/heartbeat/ipfail"] {
        let (model, found) = with(line);
        assert!(model.is_some() && found.len() == 1, "{line}: {found:?}");
    }
}

#[test]
fn old_ways_to_fail_back_are_taken_as_on_or_off_with_a_warning() {
    let failback = |lines: &str| {
        let (model, found) = parse(&format!("node lvs1 lvs2\nbcast hb0\n{lines}"));
        let model = model.unwrap();
        (model.auto_failback, model.legacy, found.len())
    };
    assert_eq!(failback("auto_failback Yes"), (true, false, 0));
    assert_eq!(failback("auto_failback legacy"), (true, true, 1));
    assert_eq!(failback(""), (true, true, 1));
    assert_eq!(failback("nice_failback on"), (false, false, 1));
    assert_eq!(failback("nice_failback off"), (true, true, 2));
}

#[test]
fn this_node_is_found_whatever_the_case_and_by_the_short_form_of_its_name() {
    let local = |name: &str, nodes: &str| {
        let (model, found) = parse_as(name, &format!("bcast hb0\nauto_failback on\nnode {nodes}\n"));
        (model.map(|model| model.local), told(&found))
    };
    assert_eq!(local("LVS1", "lvs1 lvs2"), (Some("lvs1".into()), vec![]));
    let (node, found) = local("lvs1.example.com", "lvs1 lvs2");
    assert_eq!(node.as_deref(), Some("lvs1"));
    assert_eq!(found, ["3:6-10 this node is called \"lvs1.example.com\" (uname -n) and is taken to be \"lvs1\""]);
    assert_eq!(local("lvs1", "lvs1.example.com lvs2.example.com").0.as_deref(), Some("lvs1.example.com"));
    // Two domains are two nodes, and of two that could be meant neither is.
    for (name, nodes) in [("lvs1.b", "lvs1.a lvs2.a"), ("lvs1", "lvs1.a lvs1.b"), ("other", "lvs1 lvs2")] {
        let (node, found) = local(name, nodes);
        assert_eq!(node, None);
        assert!(found[0].contains("is not among the nodes"), "{found:?}");
    }
}

#[test]
fn a_cluster_has_one_to_eight_nodes() {
    assert!(parse("node lvs1\nbcast hb0\nauto_failback on").0.unwrap().peer().is_none());
    let (model, found) = with("node lvs3");
    assert_eq!((model.unwrap().nodes, found), (["lvs1", "lvs2", "lvs3"].map(str::to_owned).into(), vec![]));
    let (model, found) = with("node c d e f g h i");
    assert!(model.is_none());
    assert_eq!(found, ["! 4:18-19 more than 8 nodes"]);
}

#[test]
fn what_is_for_two_nodes_is_refused_where_there_are_more() {
    let (model, found) = with("node lvs3\nrespawn hacluster /usr/lib/heartbeat/ipfail\nping 10.0.0.254");
    assert!(model.is_none());
    assert!(found.iter().any(|found| found.contains("ipfail compares two nodes, and there are more")), "{found:?}");
}

#[test]
fn of_more_than_two_nodes_a_device_says_which_it_switches_off_and_each_other_node_has_one() {
    for (lines, complaint) in [
        ("stonith_host * fence_fake ip=10.0.0.9", "which of more than two nodes this device switches off is not said"),
        ("stonith_host * fence_fake ip=10.0.0.9 pcmk_host_list=lvs2,lvs9", "\"lvs9\" is not a node"),
        ("stonith_host * fence_fake ip=10.0.0.9 pcmk_host_list=lvs2", "no device of this node switches \"lvs3\" off"),
        ("stonith_host * fence_fake ip=10.0.0.9 pcmk_host_map=lvs2", "not NODE:PLUG"),
    ] {
        let (model, found) = with(&format!("node lvs3\n{lines}"));
        assert!(model.is_none() && found.iter().any(|found| found.contains(complaint)), "{lines}: {found:?}");
    }
    let (model, found) = with(
        "node lvs3\nstonith_host * fence_fake ip=10.0.0.9 pcmk_host_list=lvs1,LVS2\n\
         stonith_host lvs1 fence_fake ip=10.0.0.8 pcmk_host_map=lvs2:2;lvs3:3\nstonith_host lvs3 fence_fake pcmk_host_list=lvs1",
    );
    let fences = model.unwrap_or_else(|| panic!("{found:?}")).fences;
    let [Fence::Agent(first), Fence::Agent(second)] = &fences[..] else { panic!("{fences:?}") };
    assert_eq!((first.is_for("lvs2"), first.is_for("lvs3"), first.plug("lvs2")), (true, false, Some("lvs2")));
    assert_eq!((second.plug("lvs2"), second.plug("lvs3")), (Some("2"), Some("3")));
    let (model, found) = with("node lvs3\nstonith_host * meatware");
    assert!(model.is_some(), "{found:?}");
    // What stands behind a colon is the plug, commas too.
    let (model, _) = with("stonith_host * fence_fake ip=10.0.0.9 pcmk_host_map=lvs2:3,4");
    let fences = model.expect("taken").fences;
    assert!(matches!(&fences[..], [Fence::Agent(agent)] if agent.plug("lvs2") == Some("3,4")), "{fences:?}");
}

#[test]
fn a_node_without_a_device_beside_others_that_have_one_is_told_and_refused_among_more_than_two() {
    let only_the_other = "stonith_host lvs2 fence_fake ip=10.0.0.9 pcmk_host_list=lvs1";
    let complaint = "no device is for \"lvs1\"";
    let (model, found) = with(only_the_other);
    assert!(model.is_some() && found.iter().any(|found| found.contains(complaint)), "{found:?}");
    let (model, found) = with(&format!("{only_the_other},lvs3\nnode lvs3"));
    assert!(model.is_none() && found.iter().any(|found| found.contains(complaint)), "{found:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        lines in prop::collection::vec(
            (prop::sample::select(DIRECTIVES).prop_map(|d| d.name), "[ -~\u{e4}\t]{0,40}"), 0..12)
    ) {
        let text: String = lines.iter().map(|(name, rest)| format!("{name} {rest}\n")).collect();
        let (model, found) = parse(&text);
        prop_assert!(model.is_some() || !found.is_empty());
        for found in found {
            _ = found.to_string();
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in ".{0,300}") {
        _ = parse(&text);
    }
}
