//! Every directive of spec/heartbeat.md 1.3: what becomes of it, what of it is refused, and which tests show that it does
//! what it says. A directive without a row, a row without its directive and a test that is not there fail here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lvs::diag::Severity;

use super::super::directive::{DIRECTIVES, Standing};
use super::super::source::Source;
use super::super::{check, fence, hacf};
use super::around;

/// What becomes of a line that is written as it should be.
enum Outcome {
    /// It works, and nothing is said. The tests that show it.
    Done(&'static [&'static str]),
    /// It works, with a warning that has this in it.
    Told(&'static str, &'static [&'static str]),
    /// It is taken with a warning that gives this reason.
    NoEffect(&'static str),
    /// It is not taken, for this reason.
    Refused(&'static str),
}

use Outcome::{Done, NoEffect, Refused, Told};

struct Row {
    name: &'static str,
    /// What stands behind it.
    good: &'static str,
    outcome: Outcome,
    /// What is a mistake behind it, and a part of what is said of it.
    wrong: &'static [(&'static str, &'static str)],
}

const fn row(
    name: &'static str,
    good: &'static str,
    outcome: Outcome,
    wrong: &'static [(&'static str, &'static str)],
) -> Row {
    Row { name, good, outcome, wrong }
}

const YES_OR_NO: (&str, &str) = ("perhaps", "neither yes nor no");
const CRM: Outcome = NoEffect("it belongs to Pacemaker");
const FILE: &[&str] = &["a_usual_file_is_read_without_a_word"];
const MEDIA: &[&str] = &["every_kind_of_medium_carries_a_packet"];
const HELPERS: &str = "programs_run_as_their_user_are_started_again_and_stopped_in_the_reverse_order";
const FENCING: &[&str] = &[
    "a_node_that_may_hold_something_is_fenced_before_anything_of_it_is_taken",
    "a_device_is_told_what_to_do_on_its_standard_input",
    "one_that_hangs_fails_or_lies_switches_nobody_off",
];
const FAILBACK: &[&str] =
    &["old_ways_to_fail_back_are_taken_as_on_or_off_with_a_warning", "defaults_are_those_of_heartbeat"];

const ROWS: &[Row] = &[
    row(
        "keepalive",
        "900ms",
        Done(&["times_are_read_as_heartbeat_reads_them"]),
        &[("0", "comes to zero"), ("-1", "is not a time"), ("1 s", "takes one value"), ("1m", "no unit")],
    ),
    row(
        "deadtime",
        "10000000us",
        Done(&["times_must_fit_each_other"]),
        &[("2", "not more than twice keepalive"), ("x", "is not a time")],
    ),
    row("warntime", "5s", Done(&["times_must_fit_each_other"]), &[("0", "comes to zero")]),
    row(
        "initdead",
        "40",
        Done(&["times_must_fit_each_other", "defaults_are_those_of_heartbeat"]),
        &[("20", "is less than deadtime"), ("soon", "is not a time")],
    ),
    row(
        "deadping",
        "9",
        Done(&["ping_nodes_have_names_hosts_and_a_time_of_their_own"]),
        &[("2", "not more than twice keepalive")],
    ),
    row("node", "LVS2", Done(FILE), &[("lvs2 lvs2", "a second time"), ("b c d e f g h i", "more than 8 nodes")]),
    row(
        "udpport",
        "700",
        Told("media below it", &["udpport_acts_on_the_media_below_it"]),
        &[("0", "not a number"), ("65536", "65535")],
    ),
    row(
        "baud",
        "9600",
        Done(&["baud_acts_on_the_serial_lines_below_it", "a_line_is_raw_and_as_fast_as_the_file_says"]),
        &[
            ("300", "is not the speed of a serial line"),
            ("fast", "is not the speed"),
            ("9600 19200", "takes one value"),
        ],
    ),
    row("bcast", "hb1,hb2 hb3", Done(MEDIA), &[("averyverylonginterface", "cannot be an interface")]),
    row("udp", "hb1", Told("old name", MEDIA), &[("a/b", "cannot be an interface")]),
    row(
        "mcast",
        "hb0 239.0.0.1 694 1 0",
        Done(MEDIA),
        &[
            ("hb0", "the group is missing"),
            ("hb0 239.0.0.1 694 1", "the loop is missing"),
            ("hb0 10.0.0.1 694 1 0", "no multicast address"),
            ("hb0 239.0.0.1 694 5 0", "from 0 to 4"),
            ("hb0 239.0.0.1 694 1 2", "from 0 to 1"),
            ("hb0 239.0.0.1 694 1 0 0", "too many words"),
        ],
    ),
    row("mcast6", "hb0 ff02::1:694 694 1 0", Done(MEDIA), &[("hb0 fd00::1 694 1 0", "no IPv6 multicast address")]),
    row(
        "ucast",
        "hb0 10.99.0.2",
        Done(MEDIA),
        &[("hb0", "is missing"), ("hb0 nosuch", "cannot resolve"), ("hb0 fd00::1", "no IPv4 address")],
    ),
    row("ucast6", "hb0 fe80::2", Done(MEDIA), &[("hb0 10.0.0.1", "no IPv6 address")]),
    row(
        "serial",
        "/dev/ttyS0,/dev/ttyS1",
        Done(&["a_line_is_raw_and_as_fast_as_the_file_says", "two_heartbeatd_over_a_serial_line_only"]),
        &[
            ("ttyS0", "is not a device"),
            ("/etc/passwd", "is not a serial line"),
            ("/dev/ttyS0 /dev/ttyS0", "a second time"),
        ],
    ),
    row(
        "ping",
        "10.0.0.1 10.0.0.2",
        Told("without ipfail", &["ping_nodes_have_names_hosts_and_a_time_of_their_own"]),
        &[("fd00::1", "no IPv4 address"), ("224.0.0.1", "not one host"), ("10.0.0.1,10.0.0.1", "a second time")],
    ),
    row(
        "ping6",
        "fd00::1",
        Told("without ipfail", &["ping_nodes_have_names_hosts_and_a_time_of_their_own"]),
        &[("10.0.0.1", "no IPv6 address")],
    ),
    row(
        "ping_group",
        "routers 10.0.0.1 10.0.0.2",
        Told("without ipfail", &["ping_nodes_have_names_hosts_and_a_time_of_their_own"]),
        &[("routers", "has no hosts")],
    ),
    row("hbaping", "1 2", Refused("fibre channel"), &[]),
    row("auto_failback", "off", Done(FAILBACK), &[("maybe", "not on, off or legacy")]),
    row("nice_failback", "on", Told("obsolete", FAILBACK), &[YES_OR_NO]),
    row("hopfudge", "3", Done(FILE), &[("256", "from 0 to 255")]),
    row(
        "watchdog",
        "/dev/watchdog",
        Done(&["it_goes_off_a_moment_after_the_death", "only_the_loop_keeps_it_quiet_and_an_orderly_end_says_so"]),
        &[("softdog", "is not a device"), ("/dev/watchdog /dev/watchdog1", "takes one value")],
    ),
    row(
        "respawn",
        "hacluster /usr/lib/heartbeat/ipfail",
        Told("without ping nodes", &["ping_nodes_have_names_hosts_and_a_time_of_their_own", HELPERS]),
        &[
            ("hacluster", "program is missing"),
            ("nosuch /usr/bin/true", "there is no user"),
            ("root true", "not a full path"),
            ("root /etc/passwd", "is not executable"),
        ],
    ),
    row(
        "failfast",
        "root /usr/bin/true -x",
        Done(&["one_that_ends_with_100_wants_no_more_and_the_end_of_another_can_be_the_nodes", HELPERS]),
        &[("root", "program is missing"), ("root true", "not a full path")],
    ),
    row(
        "apiauth",
        "ipfail uid=hacluster,0 gid=haclient",
        Done(&["who_may_use_a_socket_that_is_not_there_is_checked_and_told"]),
        &[
            ("foo", "who may use the name is missing"),
            ("foo user=root", "neither uid=LIST nor gid=LIST"),
            ("foo uid=nosuch", "not known to this machine"),
            ("foo gid=nosuch", "not known to this machine"),
        ],
    ),
    row(
        "stonith",
        "fence_fake /etc/ha.d/fence",
        Told("others than its owner may read", FENCING),
        &[
            ("fence_fake", "the file with its parameters is missing"),
            ("fence_fake /nosuch", "cannot read"),
            ("fence_none /etc/ha.d/fence", "is not installed"),
        ],
    ),
    row(
        "stonith_host",
        "* fence_fake ip=10.0.0.9 action=off",
        Done(FENCING),
        &[
            ("*", "the device is missing"),
            ("lvs9 fence_fake ip=10.0.0.9", "is not a node"),
            ("* fence_none ip=10.0.0.9", "is not installed"),
            ("* external/ipmi lvs2 10.0.0.9", "is a plugin of cluster-glue"),
            ("* null lvs2", "fences nobody"),
            ("* fence_fake 10.0.0.9", "is not KEY=VALUE"),
            ("* fence_fake action=dance", "neither off nor reboot"),
            ("* fence_fake agent_timeout=0", "not a number from 1"),
        ],
    ),
    row("logfile", "/var/log/ha-log", NoEffect("system log"), &[]),
    row("debugfile", "/var/log/ha-debug", NoEffect("system log"), &[]),
    row(
        "logfacility",
        "local0",
        Done(&["the_facility_of_the_system_log_is_the_files"]),
        &[("foo", "no facility of the system log")],
    ),
    row("use_logd", "yes", NoEffect("system log"), &[YES_OR_NO]),
    row("conn_logd_time", "60", NoEffect("system log"), &[("0", "comes to zero")]),
    row("syslogmsgfmt", "true", NoEffect("system log"), &[YES_OR_NO]),
    row("log_badpack", "on", NoEffect("counted"), &[YES_OR_NO]),
    row("debug", "1", Done(FILE), &[("256", "from 0 to 255")]),
    row("coredumps", "true", NoEffect("service's limits"), &[YES_OR_NO]),
    row("coreroot", "/var/lib/heartbeat/cores", NoEffect("service's limits"), &[]),
    row("realtime", "on", NoEffect("unit or init script gives it"), &[YES_OR_NO]),
    row("rtprio", "5", NoEffect("unit or init script gives it"), &[("100", "from 1 to 99")]),
    row("memreserve", "6500", NoEffect("none is set aside"), &[("much", "not a number")]),
    row("msgfmt", "netstring", Done(FILE), &[("xml", "no message format")]),
    row("compression", "bz2", NoEffect("too small"), &[("foo", "no compression method")]),
    row("compression_threshold", "2", NoEffect("too small"), &[("0", "not a number")]),
    row("traditional_compression", "off", NoEffect("too small"), &[YES_OR_NO]),
    row(
        "max_rexmit_delay",
        "250",
        Done(&["what_is_written_for_the_protocol_is_what_the_core_is_told"]),
        &[("0", "not a number"), ("ms", "not a number")],
    ),
    row(
        "hbgenmethod",
        "time",
        Done(&["what_is_written_for_the_protocol_is_what_the_core_is_told"]),
        &[("foo", "no way to number")],
    ),
    row("uuidfrom", "nodename", Done(FILE), &[("foo", "no source of a UUID")]),
    row(
        "autojoin",
        "none",
        Done(&["what_is_written_for_the_protocol_is_what_the_core_is_told"]),
        &[("any", "Pacemaker clusters"), ("other", "Pacemaker clusters"), ("foo", "not none, other or any")],
    ),
    row("cluster", "linux-ha", NoEffect("not sent"), &[]),
    row(
        "crm",
        "off",
        Done(&["what_is_written_for_the_protocol_is_what_the_core_is_told"]),
        &[("yes", "Pacemaker mode is not available"), ("respawn", "Pacemaker mode")],
    ),
    row(
        "pacemaker",
        "false",
        Done(&["what_is_written_for_the_protocol_is_what_the_core_is_told"]),
        &[("on", "Pacemaker mode is not available")],
    ),
    row("quorum_server", "qs1", CRM, &[]),
    row("crm_daemon_dir", "/usr/lib/heartbeat", CRM, &[]),
    row("crmd_spawns_pengine", "on", CRM, &[]),
    row("record_config_changes", "on", CRM, &[]),
    row("record_pengine_inputs", "on", CRM, &[]),
    row("enable_config_writes", "on", CRM, &[]),
    row("use_apphbd", "off", NoEffect("no apphbd"), &[YES_OR_NO]),
    row("env", "COLOUR=red", Done(FILE), &[("COLOUR", "not NAME=VALUE")]),
];

/// What is said of the line when a sound file has it as its fourth.
fn told(line: &str) -> (bool, Vec<lvs::diag::Diagnostic>) {
    let node = if line.starts_with("node ") { "node lvs1" } else { "node lvs1 lvs2" };
    let text = format!("{node}\nbcast hb0\nauto_failback on\n{line}\n");
    let around = around("lvs1");
    let mut source = Source::new(Path::new("ha.cf"), &text);
    let written = hacf::read(&mut source, &around);
    let taken = check::check(written, &mut source, &around).is_some();
    (taken, source.found)
}

#[test]
fn every_directive_has_its_row() {
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    let known: BTreeSet<_> = DIRECTIVES.iter().map(|directive| directive.name).collect();
    assert_eq!(rows, known);
    assert_eq!(rows.len(), ROWS.len());
}

#[test]
fn a_line_as_it_should_be_is_done_or_says_why_not() {
    for Row { name, good, outcome, .. } in ROWS {
        let (taken, found) = told(&format!("{name} {good}"));
        let said: Vec<_> = found.iter().map(|found| (found.severity, found.line, found.message.as_str())).collect();
        let standing = DIRECTIVES.iter().find(|directive| directive.name == *name).unwrap().standing;
        match (outcome, standing) {
            (Done(_), Standing::Done) => assert!(taken && said.is_empty(), "{name}: {said:?}"),
            (Told(what, _), Standing::Done) | (NoEffect(what), Standing::Ignored(_)) => {
                assert!(taken && said.len() == 1, "{name}: {said:?}");
                assert!(
                    said[0].0 == Severity::Warning && said[0].1 == 4 && said[0].2.contains(what),
                    "{name}: {said:?}"
                );
                assert_eq!(said[0].2.contains("has no effect"), matches!(outcome, NoEffect(_)), "{name}");
            }
            (Refused(why), Standing::Refused(..)) => {
                assert!(!taken && said[0].0 == Severity::Error && said[0].2.contains(why), "{name}: {said:?}");
                assert_eq!((found[0].line, found[0].columns.start), (4, 1), "{name}");
                assert!(found[0].help.is_some(), "{name}");
            }
            (Done(_) | Told(..) | NoEffect(_) | Refused(_), standing) => panic!("{name} is {standing:?}"),
        }
    }
}

#[test]
fn a_mistake_is_refused_with_line_column_and_help() {
    for Row { name, wrong, .. } in ROWS {
        for (value, why) in *wrong {
            let line = format!("{name} {value}");
            let (taken, found) = told(&line);
            let error = found.iter().find(|found| found.severity == Severity::Error && found.message.contains(why));
            let Some(error) = error else { panic!("{line}: {found:?}") };
            assert!(!taken, "{line}");
            assert_eq!((error.line, error.source.clone()), (4, fence::shown(&line)), "{line}");
            let within = 1 <= error.columns.start && error.columns.end <= line.chars().count() + 1;
            assert!(within && !error.columns.is_empty(), "{line}: {:?}", error.columns);
            assert!(error.help.is_some() || why == &"a second time", "{line}");
        }
    }
}

#[test]
fn a_directive_without_a_value_is_not_considered_and_that_is_told() {
    for Row { name, outcome, .. } in ROWS.iter().filter(|row| matches!(row.outcome, Done(_) | Told(..))) {
        let (_, found) = told(name);
        assert!(found.iter().any(|found| found.line == 4 && found.message.contains("without a value")), "{name}");
        assert!(matches!(outcome, Done(_) | Told(..)));
    }
}

/// The tests of the repository by name.
fn tests_of(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests_of(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for (before, rest) in text.match_indices("fn ").map(|(at, _)| text.split_at(at)) {
                let name: String = rest[3..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if before.trim_end().ends_with("#[test]") {
                    found.insert(name);
                }
            }
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in [package.join("src"), package.join("tests"), package.join("../tests")] {
        tests_of(&folder, &mut found);
    }
    for Row { name, outcome, .. } in ROWS {
        let (Done(tests) | Told(_, tests)) = outcome else { continue };
        assert!(!tests.is_empty(), "{name} is done, and no test shows it");
        for test in *tests {
            assert!(found.contains(*test), "{name}: there is no test {test}");
        }
    }
}
