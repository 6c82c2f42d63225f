//! Odd behaviour that existing files rely on (spec/ldirectord.md chapter 15), and faults of the
//! original (chapter 14), as far as they are about reading a file and no other test has them.

use std::path::Path;

use ldirectord::config::Config;
use ldirectord::config::model::{Check, Negotiate, Probe, Transport, Virtual};
use ldirectord::config::{self, Fixed};

fn load(text: &str) -> Result<Config, Vec<String>> {
    let machine = Fixed { host_name: "lvs1".into(), ..Fixed::default() };
    let loaded = config::load(Path::new("t.cf"), text.as_bytes(), &machine);
    loaded.map(|loaded| loaded.config).map_err(|found| found.into_iter().map(|d| d.message).collect())
}

/// The only virtual of a file: 198.51.100.1:80 with these lines.
#[track_caller]
fn section(lines: &[&str]) -> Virtual {
    let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
    load(&format!("virtual=198.51.100.1:80\n{lines}")).expect("a good file").virtuals.remove(0)
}

#[track_caller]
fn probe(lines: &[&str]) -> Probe {
    match section(lines).reals.remove(0).check {
        Check::Negotiate(Negotiate { probe, .. }) => probe,
        other => panic!("no negotiation: {other:?}"),
    }
}

const REAL: &str = "real=192.0.2.1:8080 masq";

#[test]
fn trap_t5_some_values_need_quotes_and_some_take_both() {
    for name in ["request", "receive", "login", "passwd", "database", "secret", "load"] {
        assert!(load(&format!("virtual=198.51.100.1:80\n\t{name}=x\n")).is_err(), "{name}");
        assert!(load(&format!("virtual=198.51.100.1:80\n\t{name}=\"x\"\n")).is_ok(), "{name}");
        assert!(load(&format!("virtual=198.51.100.1:80\n\t{name}=\"\"\n")).is_err(), "{name}");
    }
    for name in ["logfile", "callback"] {
        assert!(load(&format!("{name}=/x\n")).is_err(), "{name}");
        assert!(load(&format!("{name}=\"/x\"\n")).is_ok(), "{name}");
    }
    for value in ["/bin/x -y", "\"/bin/x -y\""] {
        let v = section(&[
            &format!("checkcommand={value}"),
            &format!("fallbackcommand={value}"),
            &format!("monitorfile={value}"),
            &format!("emailalert={value}"),
            "checktype=external",
            REAL,
        ]);
        assert_eq!(v.fallback_command.as_deref(), Some("/bin/x -y"), "{value}");
        assert_eq!(v.monitor_file.as_deref(), Some(Path::new("/bin/x -y")), "{value}");
        assert_eq!(v.alert.expect("an alert").to, "/bin/x -y", "{value}");
        let Check::External(external) = &v.reals[0].check else { panic!("{value}") };
        assert_eq!(external.command, "/bin/x -y");
    }
}

#[test]
fn trap_t6_a_request_gets_a_slash_that_some_services_take_away_again() {
    let simple = |request: &str| match probe(&["service=simpletcp", &format!("request=\"{request}\""), REAL]) {
        Probe::SimpleTcp(simple) => simple.request,
        other => panic!("{other:?}"),
    };
    assert_eq!(simple("PING"), "PING");
    assert_eq!(simple("/PING"), "PING");
    assert_eq!(simple("//PING"), "/PING");
    let Probe::Http(http) = probe(&["request=\"index.html\"", REAL]) else { panic!("http") };
    assert_eq!(http.path, "/index.html");
    let Probe::Sql(sql) = probe(&["service=mysql", "request=\"SELECT 1\"", REAL]) else { panic!("sql") };
    assert_eq!(sql.query, "SELECT 1");
    let Probe::Ldap(ldap) = probe(&["service=ldap", "request=\"dc=x\"", REAL]) else { panic!("ldap") };
    assert_eq!(ldap.base, "dc=x");
    let Probe::Dns(dns) = probe(&["service=dns", "request=\"x.net\"", REAL]) else { panic!("dns") };
    assert_eq!((dns.question.as_str(), dns.transport), ("x.net", Transport::Tcp));
}

#[test]
fn trap_t10_a_mark_has_port_0_and_no_service() {
    let mark = load("virtual=8\n\treal=192.0.2.1 masq\n").expect("a good file").virtuals.remove(0);
    assert_eq!(mark.key.port(), None);
    assert_eq!(mark.reals[0].at.port(), 0);
    assert!(matches!(&mark.reals[0].check, Check::Negotiate(Negotiate { probe: Probe::None, .. })));
}

#[test]
fn trap_t11_a_server_without_port_has_the_virtuals_unless_it_is_masqueraded() {
    for (method, port) in [("gate", 80), ("ipip", 80), ("masq", 0)] {
        assert_eq!(section(&[&format!("real=192.0.2.1 {method}")]).reals[0].at.port(), port, "{method}");
    }
}

#[test]
fn trap_t19_connect_with_udp_pings() {
    let v = section(&["protocol=udp", "checktype=connect", REAL]);
    assert!(matches!(v.reals[0].check, Check::Ping(_)));
}

#[test]
fn trap_t20_of_several_lines_the_last_counts() {
    let v = section(&["scheduler=rr", "quiescent=yes", "scheduler=wlc", "quiescent=no"]);
    assert_eq!((v.service.scheduler.as_str(), v.quiescent), ("wlc", false));
}

#[test]
fn trap_t24_the_quotes_of_execute_are_removed() {
    let config = load("execute=\"a.cf\"\nexecute=b.cf\n").expect("a good file");
    assert_eq!(config.globals.execute, ["a.cf", "b.cf"]);
}

#[test]
fn fault_b5_a_servers_own_request_counts_with_and_without_its_slash() {
    for request in ["/own", "own"] {
        let real = format!("real=192.0.2.1:8080 masq 1 \"{request}\", \"mine\" l:1 u:9");
        let lines = ["request=\"/all\"", "receive=\"all\"", &real];
        let Probe::Http(http) = probe(&lines) else { panic!("http") };
        assert_eq!((http.path.as_str(), http.receive.expect("a pattern").as_str()), ("/own", "mine"));
        let destination = section(&lines).reals[0].destination;
        assert_eq!((destination.lower_threshold, destination.upper_threshold), (1, 9));
    }
}

#[test]
fn fault_b8_imap_is_checked_on_its_checkport() {
    for service in ["imap", "imaps"] {
        let Probe::Imap(mailbox) = probe(&[&format!("service={service}"), "checkport=1143", REAL]) else {
            panic!("imap")
        };
        assert_eq!(mailbox.at.port(), 1143, "{service}");
    }
}

#[test]
fn fault_b27_quotes_are_no_part_of_a_directory_or_a_command() {
    let config = load("maintenancedir=\"/tmp\"\nfallbackcommand=\"/bin/f\"\nvirtual=198.51.100.1:80\n").expect("good");
    assert_eq!(config.globals.maintenance_directory.as_deref(), Some(Path::new("/tmp")));
    assert_eq!(config.virtuals[0].fallback_command.as_deref(), Some("/bin/f"));
    let v = section(&["passwd=\"a#b\"", "service=pop", "login=\"me\"", REAL]);
    let Check::Negotiate(Negotiate { probe: Probe::Pop(mailbox), .. }) = &v.reals[0].check else { panic!("pop") };
    assert_eq!(mailbox.login.as_ref().expect("a login").password.reveal(), "a#b");
}

#[test]
fn fault_b24_the_unit_needs_no_lock_directory() {
    let unit = include_str!("../../ha.d/systemd/ldirectord.service");
    assert!(!unit.contains("/var/lock") && !unit.contains("KillMode=none"), "{unit}");
}

#[test]
fn fault_b30_the_manual_says_what_quiescent_is_by_default() {
    let manual = include_str!("../../docs/man/ldirectord.8");
    let entry = manual.split(".It Ic quiescent ").nth(1).expect("an entry").split(".It ").next().expect("its text");
    assert!(entry.contains("Default no."), "{entry}");
    assert!(!section(&[]).quiescent);
}

#[test]
fn extensions_are_off_unless_asked_for() {
    use ldirectord::config::model::Extensions;
    assert_eq!(section(&[]).extensions, Extensions::default());
    let v = section(&[
        "rise=2",
        "fall=4",
        "failurecount=9",
        "jitter=20%",
        "slowstart=30",
        "notify=/bin/n",
        "stopfallback=yes",
        "agentport=9707",
        "agentinterval=3",
        "draintimeout=60s",
    ]);
    let Extensions { rise, jitter, slow_start, notify, stop_fallback, agent, drain_timeout } = v.extensions;
    assert_eq!((rise.map(|n| n.get()), v.failure_count.get(), jitter), (Some(2), 4, 20));
    assert_eq!((slow_start.map(|d| d.as_secs()), notify.as_deref(), stop_fallback), (Some(30), Some("/bin/n"), true));
    let agent = agent.map(|agent| (agent.port.get(), agent.interval.as_secs(), agent.timeout.as_secs()));
    assert_eq!((agent, drain_timeout.map(|d| d.as_secs())), (Some((9707, 3, 3)), Some(60)));
    let agent =
        section(&["agentport=1"]).extensions.agent.map(|agent| (agent.interval.as_secs(), agent.timeout.as_secs()));
    assert_eq!(agent, Some((2, 2)), "HAProxy's interval");
    assert_eq!(section(&["draintimeout=0"]).extensions.drain_timeout, None);
    for bad in ["jitter=80", "agentport=0", "agentport=65536", "agentport=web", "agentinterval=0", "draintimeout=soon"]
    {
        assert!(load(&format!("virtual=198.51.100.1:80\n\t{bad}\n")).is_err(), "{bad}");
    }
}
