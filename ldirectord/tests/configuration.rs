//! The rows of the compatibility check-list (spec/ldirectord.md chapter 16) and the repaired
//! faults (chapter 14) that concern configurations.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use ldirectord::config::model::{Check, Connect, Encryption, LogTarget, Method, Probe, Virtual};
use ldirectord::config::{self, Config, Fixed, Services};
use lvs::diag::{Diagnostic, Severity};
use lvs::ipvs::{Forward, Netmask, Persistence, ServiceKey};

fn machine() -> Fixed {
    let services = "http 80/tcp www\nhttps 443/tcp\ndomain 53/tcp\ndomain 53/udp\nsyslog 514/udp\n";
    Fixed {
        hosts: [
            ("web1".to_owned(), vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
            ("my_web".to_owned(), vec!["192.0.2.7".parse().unwrap()]),
        ]
        .into(),
        services: Services::parse(services),
        host_name: "lvs1".to_owned(),
        search_domains: Vec::new(),
        missing: vec!["/nowhere".into(), "/nowhere/log".into()],
    }
}

fn read(text: &str) -> Result<config::Loaded, Vec<Diagnostic>> {
    config::load(Path::new("t.cf"), text.as_bytes(), &machine())
}

#[track_caller]
fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => loaded.config,
        Err(found) => panic!("{}", found.iter().map(|d| format!("{d}\n")).collect::<String>()),
    }
}

/// A file with one virtual, 198.51.100.1:80, and these lines in it.
fn section(lines: &[&str]) -> String {
    lines.iter().fold("virtual=198.51.100.1:80\n".to_owned(), |text, line| format!("{text}    {line}\n"))
}

#[track_caller]
fn only(text: &str) -> Virtual {
    let mut virtuals = config(text).virtuals;
    assert_eq!(virtuals.len(), 1);
    virtuals.remove(0)
}

#[track_caller]
fn virtual_with(lines: &[&str]) -> Virtual {
    only(&section(lines))
}

/// The only error: its line and message.
#[track_caller]
fn error(text: &str) -> (usize, String) {
    let found = read(text).map(|_| ()).expect_err(text);
    let errors: Vec<_> = found.iter().filter(|d| d.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    (errors[0].line, errors[0].message.clone())
}

#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    read(text).expect(text).warnings.into_iter().map(|d| d.message).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ats(v: &Virtual) -> Vec<String> {
    v.reals.iter().map(|r| r.at.to_string()).collect()
}

#[test]
fn row_11_a_wrong_word_for_yes_or_no() {
    assert_eq!(error("fork=perhaps\n"), (1, "fork must be 'yes' or 'no'".to_owned()));
}

#[test]
fn row_12_one_masqueraded_server_with_the_default_scheduler() {
    let v = virtual_with(&["real=192.0.2.1:80 masq 5", "checktype=on"]);
    assert_eq!((v.id().as_str(), v.service.scheduler.as_str()), ("tcp:198.51.100.1:80", "wrr"));
    let real = &v.reals[0];
    assert_eq!((real.at, real.destination.forward, real.destination.weight), (at("192.0.2.1:80"), Forward::Masq, 5));
    assert_eq!(real.check, Check::On);
}

#[test]
fn row_13_direct_routing_cannot_translate_ports() {
    let v = virtual_with(&["real=192.0.2.1:8080 gate 2", "checktype=connect"]);
    let real = &v.reals[0];
    assert_eq!((real.at, real.configured_port, real.name().as_str()), (at("192.0.2.1:80"), 8080, "192.0.2.1:8080"));
    let connect = Connect { at: at("192.0.2.1:8080"), timeout: Duration::from_secs(5) };
    assert_eq!(real.check, Check::Connect(connect), "the check goes where it was written to go");
}

#[test]
fn rows_14_and_15_ranges() {
    let v = virtual_with(&["real=192.0.2.254->192.0.3.1:http gate"]);
    assert_eq!(ats(&v), ["192.0.2.254:80", "192.0.2.255:80", "192.0.3.0:80", "192.0.3.1:80"]);
    let text = section(&["real=192.0.2.9->192.0.2.8:80 masq"]);
    let message = "Invalid Range: 192.0.2.9-192.0.2.8: First value must be greater than or equal to the second value";
    assert_eq!(error(&text), (2, message.to_owned()));
    // B26: compared as numbers, not as strings of digits.
    assert_eq!(virtual_with(&["real=59.154.201.255->59.154.202.0:80 masq"]).reals.len(), 2);
    let text = section(&["real=10.0.0.1->11.0.0.1:80 masq"]);
    assert_eq!(error(&text), (2, "Invalid Range: 10.0.0.1-11.0.0.1: too many servers".to_owned()));
    let text = "virtual6=[2001:db8::1]:80\n\treal6=[2001:db8::2]->[2001:db8::3]:80 masq\n";
    assert_eq!(error(text), (2, "Address range for IPv6 is not supported yet".to_owned()));
}

#[test]
fn rows_16_and_17_marks() {
    let config = config("virtual=8\n\treal=192.0.2.1 masq\n\tchecktype=on\nvirtual6=8\n\tchecktype=on\n");
    let ids: Vec<_> = config.virtuals.iter().map(Virtual::id).collect();
    assert_eq!(ids, ["fwm:8", "fwm6:8"]);
    assert_eq!(config.virtuals[0].name(), "8");
    assert_eq!(config.virtuals[0].reals[0].at, at("192.0.2.1:0"));
}

#[test]
fn row_18_ipv6_addresses_are_shown_in_canonical_form() {
    let v = only("virtual6=[2001:DB8::01]:80\n");
    assert_eq!((v.id().as_str(), v.name().as_str()), ("tcp:[2001:db8::1]:80", "[2001:db8::1]:80"));
}

#[test]
fn row_19_families_do_not_mix() {
    let hint = |wrong: &str, right: &str| format!("cannot specify \"{wrong}\" here.  please use \"{right}\" instead");
    assert_eq!(error(&section(&["real6=[::1]:80 masq"])), (2, hint("real6", "real")));
    assert_eq!(error(&section(&["fallback6=[::1]:80"])), (2, hint("fallback6", "fallback")));
    assert_eq!(error("virtual6=[::1]:80\n\treal=192.0.2.1:80 masq\n"), (2, hint("real", "real6")));
    assert_eq!(error("virtual6=[::1]:80\n\tfallback=192.0.2.1:80\n"), (2, hint("fallback", "fallback6")));
}

#[test]
fn row_20_the_port_of_domain_is_udp_unless_told_otherwise() {
    let id = |text: &str| only(text).id();
    assert_eq!(id("virtual=198.51.100.1:domain\n"), "udp:198.51.100.1:53");
    assert_eq!(id("virtual=198.51.100.1:53\n"), "udp:198.51.100.1:53");
    assert_eq!(id("virtual=198.51.100.1:53\n\tprotocol=tcp\n"), "tcp:198.51.100.1:53");
    // The name of the port is looked up for the protocol that a later line gives.
    assert_eq!(id("virtual=198.51.100.1:syslog\n\tprotocol=udp\n"), "udp:198.51.100.1:514");
    let message = "invalid address for virtual service".to_owned();
    assert_eq!(error("virtual=198.51.100.1:syslog\n"), (1, message.clone()));
    assert_eq!(error("virtual=nowhere:80\n"), (1, message.clone()));
    assert_eq!(error("virtual=198.51.100.256:80\n"), (1, message.clone()));
    assert_eq!(error("virtual=198.51.100.1:65536\n"), (1, message));
}

#[test]
fn row_21_one_packet_scheduling_is_for_udp() {
    let udp = virtual_with(&["protocol=udp", "ops=yes"]);
    let tcp = virtual_with(&["ops=yes"]);
    assert!(udp.service.one_packet && !tcp.service.one_packet);
}

#[test]
fn row_22_a_netmask_goes_with_persistence_only() {
    let v = virtual_with(&["persistent=300", "netmask=255.255.255.0"]);
    let netmask = Netmask::Mask("255.255.255.0".parse().unwrap());
    assert_eq!(v.service.persistence, Some(Persistence { timeout: 300, netmask }));
    let alone = section(&["netmask=255.255.255.0"]);
    assert_eq!(only(&alone).service.persistence, None);
    assert_eq!(warnings(&alone), ["netmask has no effect without persistent"]);
    let quad = "invalid netmask: dotted quad notation is required".to_owned();
    assert_eq!(error(&section(&["netmask=24"])), (2, quad));
    let prefix = "invalid netmask: a prefix length between 1 and 128 is required".to_owned();
    assert_eq!(error("virtual6=[::1]:80\n\tnetmask=129\n"), (2, prefix));
}

#[test]
fn rows_23_and_24_schedulers_and_their_flags() {
    let v = virtual_with(&["scheduler=mh", "schedflags=mh-port"]);
    assert_eq!(v.service.scheduler.as_str(), "mh");
    assert!(v.service.scheduler_flags.flag_2 && !v.service.scheduler_flags.flag_1);
    let message = "invalid scheduler, should be only lowercase letters (a-z)".to_owned();
    assert_eq!(error(&section(&["scheduler=WRR"])), (2, message));
    assert_eq!(error(&section(&["scheduler=mh", "schedflags=sh-port"])).0, 3);
    // Row 67: the kernel decides which exist.
    assert_eq!(warnings(&section(&["scheduler=wcl"])), ["unknown scheduler \"wcl\""]);
}

#[test]
fn row_25_tcp_and_udp_on_one_address_are_two_services() {
    let config = config("virtual=198.51.100.1:80\nvirtual=198.51.100.1:80\n\tprotocol=udp\n");
    assert_eq!(config.virtuals.len(), 2);
}

#[test]
fn row_26_the_same_service_twice_is_refused_at_the_end_of_the_second() {
    let text = "virtual=198.51.100.1:80\n\tchecktype=on\nvirtual=198.51.100.1:http\n\tchecktype=on\nfork=no\n";
    assert_eq!(error(text), (5, "duplicate virtual server".to_owned()));
}

#[test]
fn rows_27_and_28_quiescent_is_no_unless_said_and_a_section_overrides() {
    assert!(!virtual_with(&[]).quiescent, "the original's manual says yes, and is wrong (B30)");
    let config = config("virtual=198.51.100.1:80\nvirtual=198.51.100.1:81\n\tquiescent=no\nquiescent=yes\n");
    assert_eq!(config.virtuals.iter().map(|v| v.quiescent).collect::<Vec<_>>(), [true, false]);
    assert!(!config.globals.readd_quiescent);
}

#[test]
fn rows_29_to_31_fallbacks() {
    let text = "fallback=127.0.0.1\nvirtual=198.51.100.1:80\nvirtual=198.51.100.1:81\nvirtual=9\nvirtual6=9\n";
    let places: Vec<_> = config(text).virtuals.iter().map(|v| v.fallback.map(|f| f.at.to_string())).collect();
    let expected = [Some("127.0.0.1:80"), Some("127.0.0.1:81"), Some("127.0.0.1:0"), None];
    assert_eq!(places, expected.map(|place| place.map(str::to_owned)));

    let fallback = virtual_with(&["fallback=127.0.0.1:8080"]).fallback.expect("there is one");
    assert_eq!((fallback.at, fallback.name().as_str()), (at("127.0.0.1:80"), "127.0.0.1:8080"));
    assert_eq!((fallback.destination.forward, fallback.destination.weight), (Forward::Gate, 1));
    let fallback = virtual_with(&["fallback=127.0.0.1:8080 masq"]).fallback.expect("there is one");
    assert_eq!((fallback.at, fallback.destination.forward), (at("127.0.0.1:8080"), Forward::Masq));

    let config = config("fallback=127.0.0.1\nvirtual=198.51.100.1:80\n\tfallback=192.0.2.9\n");
    assert_eq!(config.virtuals[0].fallback.map(|f| f.at), Some(at("192.0.2.9:80")));
    let message = "invalid IPv4 address or could not resolve for fallback server: ";
    assert_eq!(error("fallback=\n"), (1, message.to_owned()));
    assert_eq!(error("fallback=nowhere:80\n"), (1, format!("{message}nowhere")));
    assert_eq!(error("fallback=127.0.0.1:nothing\n"), (1, "invalid port for fallback server".to_owned()));
}

#[test]
fn row_32_a_blank_line_does_not_end_a_section_here() {
    let v = only("virtual=198.51.100.1:80\n\n\tchecktype=ping\n\t\t\n\treal=192.0.2.1:80 gate\n");
    assert!(matches!(v.reals[0].check, Check::Ping(_)));
}

#[test]
fn rows_33_and_34_quotes() {
    let v = virtual_with(&["service=pop", "login=\"probe\"", "passwd=\"a#b\" # secret", "real=192.0.2.1:110 gate"]);
    let Check::Negotiate(negotiate) = &v.reals[0].check else { panic!("negotiate is the default") };
    let Probe::Pop(mailbox) = &negotiate.probe else { panic!("service=pop") };
    assert_eq!(mailbox.login.as_ref().map(|l| l.password.reveal()), Some("a#b"));
    let (line, message) = error(&section(&["request=index.html"]));
    assert_eq!((line, message.as_str()), (2, "Unknown command \"    request=index.html\""));
}

#[test]
fn row_35_deprecated_timeouts() {
    let both = "timeout directive deprecated in favour of checktimeout and negotiatetimeout".to_owned();
    assert_eq!(error("timeout=5\n"), (1, both));
    let one = "connecttimeout directive deprecated in favour of negotiatetimeout".to_owned();
    assert_eq!(error("connecttimeout=5\n"), (1, one.clone()));
    assert_eq!(error(&section(&["connecttimeout=5"])), (2, one));
}

#[test]
fn row_36_checkcount_is_accepted_with_a_warning() {
    let text = section(&["checkcount=2", "checktype=ping", "real=192.0.2.1:80 gate"]);
    let message = "checkcount option is deprecated and slated for removal.  please see 'failurecount'";
    assert_eq!(warnings(&text), [message]);
    let Check::Ping(ping) = only(&text).reals[0].check else { panic!("checktype=ping") };
    assert_eq!(ping.attempts.get(), 2);
}

#[test]
fn rows_37_and_38_check_ports_and_services() {
    let range = "checkport must be in range 1..65536".to_owned();
    assert_eq!(error(&section(&["checkport=70000"])), (2, range.clone()));
    assert_eq!(error(&section(&["checkport=0"])), (2, range));
    assert_eq!(error(&section(&["checkport=http"])), (2, "invalid port".to_owned()));
    // "submissions" is an extension: the original refuses it with this message as well.
    assert!(error(&section(&["service=smtps"])).1.starts_with("service must be dns, ftp, http, https,"));
}

#[test]
fn encryption_is_what_the_service_is_and_what_is_asked_for() {
    let encryption =
        |lines: &[&str]| match &virtual_with(&[lines, &["real=192.0.2.1:4000 gate"]].concat()).reals[0].check {
            Check::Negotiate(negotiate) => match negotiate.probe.clone() {
                Probe::Smtp(smtp) => smtp.encryption,
                Probe::Imap(mailbox) | Probe::Pop(mailbox) => mailbox.encryption,
                Probe::Ldap(ldap) => ldap.encryption,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
    let with =
        |starttls, name: Option<&str>, verify| Some(Encryption { starttls, name: name.map(str::to_owned), verify });
    for plain in ["smtp", "submission", "imap", "pop", "ldap"] {
        let service = format!("service={plain}");
        assert_eq!(encryption(&[&service]), None);
        assert_eq!(encryption(&[&service, "starttls=no"]), None);
        assert_eq!(encryption(&[&service, "starttls=yes"]), with(true, None, false));
    }
    for encrypted in ["submissions", "imaps", "pops", "ldaps"] {
        let service = format!("service={encrypted}");
        assert_eq!(encryption(&[&service]), with(false, None, false));
        let named = [&service, "virtualhost=mail.example.com:25", "verify=yes"];
        assert_eq!(encryption(&named), with(false, Some("mail.example.com"), true));
    }
    // What cannot be done is not left undone in silence.
    for (service, line) in [("imaps", "starttls=yes"), ("http", "starttls=yes"), ("smtp", "verify=yes")] {
        let (number, message) = error(&section(&[&format!("service={service}"), line]));
        assert_eq!(number, 3, "{message}");
        assert!(message.starts_with("there is no ") && message.ends_with(&format!("service={service}")), "{message}");
    }
    // Port 465 was no service for the original.
    let v = only("virtual=198.51.100.1:465\n\treal=192.0.2.1:465 gate\n");
    assert!(matches!(&v.reals[0].check, Check::Negotiate(negotiate) if negotiate.probe == Probe::None));
}

#[test]
fn row_68_thresholds() {
    let v = virtual_with(&["real=192.0.2.1:80 masq 4 l:10 u:30"]);
    let destination = v.reals[0].destination;
    assert_eq!((destination.upper_threshold, destination.lower_threshold), (30, 10));
}

#[test]
fn row_69_a_number_is_a_negotiation_and_so_many_connects() {
    let check = |kind: &str| virtual_with(&[kind, "real=192.0.2.1:80 gate"]).reals[0].check.clone();
    let Check::Combined { negotiate, connects, connect } = check("checktype=2") else { panic!("combined") };
    assert_eq!((connects.get(), connect.unwrap().at), (2, at("192.0.2.1:80")));
    assert!(matches!(negotiate.probe, Probe::Http(_)));
    assert!(matches!(check("checktype=0"), Check::Negotiate(_)));
}

#[test]
fn rows_71_and_72_where_the_log_goes() {
    let log = |text: &str| config(text).globals.log;
    assert_eq!(log(""), LogTarget::File("/var/log/ldirectord.log".into()));
    assert_eq!(log("logfile=\"local3\"\n"), LogTarget::Facility("local3".into()));
    assert_eq!(log("logfile = \"/tmp/x.log\"\n"), LogTarget::File("/tmp/x.log".into()));
    assert_eq!(error("logfile=\"/nowhere/log\"\n"), (1, "unable to open logfile: /nowhere/log".to_owned()));
    assert_eq!(error("logfile=/tmp/x.log\n").1, "Unknown command logfile=/tmp/x.log");
    assert_eq!(warnings("supervised\n"), ["please update your config not to use a bare supervised directive"]);
    assert!(config("supervised\n").globals.supervised);
    assert_eq!(warnings("maintenancedir=/nowhere\n"), ["maintenance directory does not exist"]);
}

#[test]
fn row_74_dos_line_ends_are_accepted() {
    let v = only("virtual=198.51.100.1:80\r\n\treal=192.0.2.1:80 masq 5\r\n\tquiescent=yes\r\n");
    assert!(v.quiescent);
    assert_eq!(v.reals[0].destination.weight, 5);
}

#[test]
fn timeouts_are_inherited_in_the_originals_order() {
    let timeouts = |global: &str, own: &[&str]| {
        let v = only(&format!("{global}{}", section(&[own, &["checktype=1", "real=192.0.2.1:80 gate"]].concat())));
        let Check::Combined { negotiate, connect: Some(connect), .. } = &v.reals[0].check else { panic!("combined") };
        (connect.timeout.as_secs(), negotiate.timeout.as_secs())
    };
    assert_eq!(timeouts("", &[]), (5, 30));
    assert_eq!(timeouts("checktimeout=7\n", &[]), (7, 7));
    assert_eq!(timeouts("negotiatetimeout=8\n", &[]), (8, 8));
    assert_eq!(timeouts("checktimeout=7\nnegotiatetimeout=8\n", &[]), (7, 8));
    assert_eq!(timeouts("checktimeout=7\nnegotiatetimeout=8\n", &["checktimeout=2"]), (2, 2));
    assert_eq!(timeouts("checktimeout=7\n", &["negotiatetimeout=3"]), (3, 3));
    assert_eq!(virtual_with(&["failurecount=4"]).failure_count, NonZeroU32::new(4).unwrap());
}

#[test]
fn a_sections_own_checkinterval_counts_only_with_fork() {
    let text = section(&["checkinterval=3"]);
    assert_eq!(only(&text).check_interval, Duration::from_secs(10));
    assert_eq!(warnings(&text), ["checkinterval in virtual service tcp:198.51.100.1:80 ignored when fork=no"]);
    assert_eq!(only(&format!("fork=yes\n{text}")).check_interval, Duration::from_secs(3));
}

#[test]
fn an_http_check_says_what_the_file_says() {
    let http = |lines: &[&str]| match &virtual_with(lines).reals[0].check {
        Check::Negotiate(negotiate) => match &negotiate.probe {
            Probe::Http(http) => http.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let plain = http(&["real=192.0.2.1:8080 gate"]);
    assert_eq!((plain.at, plain.path.as_str(), plain.host.as_str()), (at("192.0.2.1:8080"), "/", "192.0.2.1"));
    assert_eq!((plain.method, plain.tls, plain.server_name, plain.receive), (Method::Get, false, None, None));

    let full = http(&[
        "service=https",
        "checkport=443",
        "httpmethod=head",
        "request=\"index.html?x=1\"",
        "receive=\"^OK\"",
        "virtualhost=www.example.net:8443",
        "real=192.0.2.1:8080 gate",
    ]);
    assert_eq!((full.at, full.path.as_str(), full.tls), (at("192.0.2.1:443"), "/index.html?x=1", true));
    assert_eq!((full.host.as_str(), full.server_name.as_deref()), ("www.example.net:8443", Some("www.example.net")));
    assert_eq!((full.method, full.receive.unwrap().as_str()), (Method::Head, "^OK"));

    // B5: with and without the slash, and with thresholds behind it.
    for request in ["/alive", "alive"] {
        let lines = [&format!("real=192.0.2.1:80 gate 1 \"{request}\", \"yes\" l:1 u:2"), "receive=\"no\""];
        let own = http(&lines.map(|s: &str| s));
        assert_eq!((own.path.as_str(), own.receive.unwrap().as_str()), ("/alive", "yes"));
    }
    let url = http(&["real=192.0.2.1:80 gate 1 \"http://web1:8000/x\", \"y\""]);
    assert_eq!((url.at, url.path.as_str(), url.host.as_str()), (at("192.0.2.1:8000"), "/x", "192.0.2.1"));
    let own = http(&["request=\"http://web1:8000/x\"", "real=192.0.2.1:80 gate"]);
    assert_eq!(own.path, "/http://web1:8000/x", "a section's own request is always a path");
}

#[test]
fn default_logins_hold_for_inferred_services_too() {
    let probe = |text: &str| match only(text).reals.remove(0).check {
        Check::Negotiate(negotiate) => negotiate.probe,
        other => panic!("{other:?}"),
    };
    let Probe::Ftp(ftp) = probe("virtual=198.51.100.1:21\n\treal=192.0.2.1:21 masq\n") else { panic!("ftp") };
    assert_eq!((ftp.login.name.as_str(), ftp.login.password.reveal()), ("anonymous", "ldirectord@lvs1"));
    let Probe::Sip(sip) = probe("virtual=198.51.100.1:5060\n\treal=192.0.2.1:5060 masq\n") else { panic!("sip") };
    assert_eq!(sip.login, "ldirectord@lvs1");
}

#[test]
fn names_are_looked_up_and_what_is_no_name_is_refused() {
    let v = virtual_with(&["real=my_web:80 masq", "real=web1:www masq"]);
    assert_eq!(ats(&v), ["192.0.2.7:80", "192.0.2.1:80"]);
    let v = only("virtual6=web1:80\n\treal6=web1:80 masq\n");
    assert_eq!(v.key, ServiceKey::tcp(at("[2001:db8::1]:80")));
    let text = section(&["real=nowhere:80 masq", "fork=no"]);
    let found = read(&text).expect_err("two mistakes");
    assert_eq!(found[0].message, "invalid address (nowhere) for real server (could not resolve host)");
    assert_eq!(found.iter().map(|d| d.line).collect::<Vec<_>>(), [2, 3], "the second is not lost");
    let (_, message) = error(&section(&["real=192.0.2.1->nowhere:80 masq"]));
    assert_eq!(message, "invalid address (nowhere) for real server (could not resolve end host)");
    assert_eq!(
        error(&section(&["real=192.0.2.1:nothing masq"])).1,
        "invalid port (nothing) for real server (could not resolve port)"
    );
    assert_eq!(
        error(&section(&["real=5060 gate"])).1,
        "invalid address (5060) for real server (could not resolve host)"
    );
}

#[test]
fn a_server_listed_twice_is_one_server_and_the_last_line_counts() {
    let text = section(&["real=192.0.2.1:80 gate 1", "real=192.0.2.2:80 gate 1", "real=192.0.2.1:8080 gate 5"]);
    let v = only(&text);
    assert_eq!(ats(&v), ["192.0.2.1:80", "192.0.2.2:80"]);
    assert_eq!(v.reals[0].destination.weight, 5);
    assert_eq!(warnings(&text), ["192.0.2.1:80 is listed again; this line counts, line 2 does not"]);
}

#[test]
fn a_check_that_cannot_succeed_is_told_when_the_file_is_read() {
    let text = "virtual=7\n\tchecktype=connect\n\treal=192.0.2.1->192.0.2.9 gate\n";
    let v = only(text);
    assert!(v.reals.iter().all(|real| matches!(real.check, Check::Impossible(_))));
    assert_eq!(warnings(text).len(), 1, "said once for the whole range");
    let known = only("virtual=7\n\tchecktype=connect\n\tcheckport=80\n\treal=192.0.2.1 gate\n");
    assert!(matches!(known.reals[0].check, Check::Connect(connect) if connect.at == at("192.0.2.1:80")));
    // Nor does a UDP service have anything to connect to: it is pinged (T19).
    let udp = virtual_with(&["protocol=udp", "checktype=connect", "real=192.0.2.1:80 gate"]);
    assert!(matches!(udp.reals[0].check, Check::Ping(_)));
}

#[test]
fn external_checks_get_the_four_arguments() {
    let arguments = |text: &str| match only(text).reals.remove(0).check {
        Check::External(external) => external.arguments.join(" "),
        other => panic!("{other:?}"),
    };
    let external = "\tchecktype=external\n\tcheckcommand=/usr/bin/probe\n";
    let text = format!("virtual=198.51.100.1:80\n{external}\treal=192.0.2.1:8080 gate\n");
    assert_eq!(arguments(&text), "198.51.100.1 80 192.0.2.1 8080");
    assert_eq!(arguments(&format!("virtual=12\n{external}\treal=192.0.2.1 gate\n")), "12 0 192.0.2.1 0");
    let text = format!("virtual6=[2001:db8::c]:80\n{external}\treal6=[2001:db8::d]:80 gate\n");
    assert_eq!(arguments(&text), "[2001:db8::c] 80 [2001:db8::d] 80");
}

#[test]
fn the_identity_of_a_check_is_the_originals() {
    let text =
        section(&["service=http", "request=\"/index.html\"", "receive=\"Test Page\"", "real=10.9.0.2:80 masq 1"]);
    let identity = &only(&text).reals[0].check_identity;
    assert_eq!(identity, r"negotiate:http:tcp:10.9.0.2:80:::1:masq:\/index\.html:Test\ Page");
}

#[test]
fn a_pattern_that_is_no_expression_is_found_when_the_file_is_read() {
    assert_eq!(error(&section(&["receive=\"(\""])), (2, "invalid receive string".to_owned()));
    assert_eq!(error(&section(&["real=192.0.2.1:80 gate 1 \"/\", \"(\""])), (2, "invalid receive string".to_owned()));
}

#[test]
fn nothing_that_the_original_does_is_refused() {
    let services = "dns ftp http https http_proxy imap imaps ldap ldaps mysql nntp none oracle pgsql pop pops radius \
                    simpletcp sip smtp submission";
    for service in services.split(' ') {
        let v = virtual_with(&[&format!("service={service}"), "real=192.0.2.1:4000 gate"]);
        assert!(matches!(v.reals[0].check, Check::Negotiate(_)), "{service}");
    }
    for kind in ["connect", "negotiate", "ping", "external", "external-perl", "on", "off", "3"] {
        virtual_with(&[&format!("checktype={kind}"), "real=192.0.2.1:80 gate"]);
    }
    let all = "callback=\"/bin/true\"\nautoreload=yes\nmaintenancedir=/tmp\nexecute=b.cf\nemailalert=a@example.net\n\
        emailalertfrom=a@example.net\nfallbackcommand=/bin/true\nfork=yes\n";
    assert!(read(&format!("{all}{}", section(&["monitorfile=/tmp/m"]))).is_ok());
}

#[test]
fn every_mistake_of_a_file_is_reported_in_its_order() {
    let text = "quiescent=yes # always\nchekcount=3\nvirtual=192.0.2.1:80\n  real=192.0.2.2:80 gate\n\
                \treal=192.0.2.3:80 gatee\n\tscheduler=RR\nreal=192.0.2.4:80 gate\n\tservice=http\n\tfork=no\n";
    let found = read(text).expect_err("seven mistakes");
    let lines: Vec<_> = found.iter().map(|d| (d.line, d.columns.start)).collect();
    assert_eq!(lines, [(1, 11), (2, 1), (4, 3), (5, 20), (6, 12), (7, 1), (9, 2)], "{found:#?}");
    assert_eq!(found[1].help.as_deref(), Some("did you mean \"checkcount\"?"));
}
