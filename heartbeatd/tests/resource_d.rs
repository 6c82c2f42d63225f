//! The scripts of ha.d/resource.d, as heartbeat or a person calls them: the words of a status, LSB's exit statuses, and
//! what they do to a network of their own.

mod network;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use heartbeatd::act::script::says_running;
use network::{cable, in_a_network_of_its_own, ip};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ha.d/resource.d")
}

/// A place for what scripts keep, and for programs that stand for others.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn call(&self, script: &str, words: &str) -> Output {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        Command::new(folder().join(script))
            .args(words.split_whitespace())
            .env("HEARTBEATD", env!("CARGO_BIN_EXE_heartbeatd"))
            .env("LVSCTL", self.0.path().join("lvsctl"))
            .env("HA_RSCTMP", self.0.path().join("state"))
            .env("HA_CURHOST", "lvs1")
            .env("PLACE", self.0.path())
            .env("PATH", path)
            .output()
            .unwrap()
    }

    fn does(&self, script: &str, words: &str) {
        let output = self.call(script, words);
        assert!(output.status.success(), "{script} {words}: {output:?}");
    }

    /// Whether it says that it runs; LSB's exit status must say the same.
    fn runs(&self, script: &str, words: &str) -> bool {
        let output = self.call(script, &format!("{words} status"));
        let runs = says_running(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(if runs { 0 } else { 3 }), "{script} {words}: {output:?}");
        runs
    }
}

fn shown(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_address_comes_and_goes_by_its_script() {
    in_a_network_of_its_own("an_address_comes_and_goes_by_its_script", async {
        cable("10.99.0.1/24");
        let place = Place::new();
        for (script, words, seen) in [
            ("IPaddr2", "10.99.0.50", "10.99.0.50/24 brd 10.99.0.255 scope global secondary hb0"),
            ("IPaddr", "10.99.0.51/24/hb0:0", "10.99.0.51/24 brd 10.99.0.255 scope global secondary hb0:0"),
            ("IPaddr2", "10.99.0.52/32/hb0", "10.99.0.52/32 scope global hb0"),
            ("IPaddr", "10.99.0.53/255.255.255.128/hb0/10.99.0.126", "10.99.0.53/25 brd 10.99.0.126"),
            ("IPaddr2", "10.99.0.54/24/10.99.0.250", "10.99.0.54/24 brd 10.99.0.250"),
            ("IPaddr2", "172.16.0.1/16/hb0", "172.16.0.1/16 brd 172.16.255.255"),
            ("IPaddr2", "2001:db8::50/64/hb0", "2001:db8::50/64 scope global nodad"),
        ] {
            assert!(!place.runs(script, words), "{words}");
            place.does(script, &format!("{words} stop"));
            place.does(script, &format!("{words} start"));
            let on = shown("ip addr show dev hb0");
            assert!(on.contains(seen), "{words}: {on}");
            assert!(place.runs(script, words), "{words}");
            place.does(script, &format!("{words} start"));
            place.does(script, &format!("{words} stop"));
            assert!(!place.runs(script, words), "{words}");
        }
        let refused = place.call("IPaddr2", "192.0.2.1 start");
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("write the interface"), "{refused:?}");
        assert_eq!(place.call("IPaddr2", "10.99.0.50 begin").status.code(), Some(2));
    });
}

#[test]
fn packets_leave_from_the_address_and_no_route_is_lost_with_it() {
    in_a_network_of_its_own("packets_leave_from_the_address_and_no_route_is_lost_with_it", async {
        cable("10.99.0.1/24");
        let place = Place::new();
        let source = |to: &str| {
            let route = shown(&format!("ip -4 route get {to}"));
            route.split(" src ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("none").to_owned()
        };
        for metric in ["", " metric 100"] {
            ip(&format!("route add default via 10.99.0.254 dev hb0{metric}"));
            let before = shown("ip -4 route show");
            ip("addr add 10.99.0.50/24 dev hb0");
            assert!(!place.runs("IPsrcaddr", "10.99.0.50"));
            place.does("IPsrcaddr", "10.99.0.50 start");
            assert!(place.runs("IPsrcaddr", "10.99.0.50"));
            assert_eq!((source("10.99.0.9"), source("192.0.2.1")), ("10.99.0.50".into(), "10.99.0.50".into()));
            place.does("IPsrcaddr", "10.99.0.50 start");
            // In good order, as heartbeat does it.
            place.does("IPsrcaddr", "10.99.0.50 stop");
            assert!(!place.runs("IPsrcaddr", "10.99.0.50"));
            assert_eq!(shown("ip -4 route show"), before);
            // The address goes first: by heartbeatd, its guard or the end of its lease.
            place.does("IPsrcaddr", "10.99.0.50 start");
            ip("addr del 10.99.0.50/24 dev hb0");
            assert_eq!((source("10.99.0.9"), source("192.0.2.1")), ("10.99.0.1".into(), "10.99.0.1".into()));
            place.does("IPsrcaddr", "10.99.0.50 stop");
            assert_eq!(shown("ip -4 route show"), before);
            place.does("IPsrcaddr", "10.99.0.50 stop");
            ip("route del default");
        }
        let missing = place.call("IPsrcaddr", "10.99.0.60 start");
        assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    });
}

#[test]
fn neighbours_are_told_once_before_and_not_after_the_stop() {
    in_a_network_of_its_own("neighbours_are_told_once_before_and_not_after_the_stop", async {
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        cable("10.99.0.1/24");
        let place = Place::new();
        let sent = || {
            let table = fs::read_to_string("/proc/net/dev").unwrap();
            let line = table.lines().find_map(|line| line.trim().strip_prefix("hb0:")).unwrap();
            line.split_whitespace().nth(9).unwrap().parse::<u64>().unwrap()
        };
        assert!(!place.runs("SendArp", "10.99.0.50/hb0"));
        let before = sent();
        place.does("SendArp", "10.99.0.50/hb0 start");
        // Both forms, the first time by the start itself.
        assert!(sent() >= before + 2);
        assert!(place.runs("SendArp", "10.99.0.50/hb0"));
        let start = Instant::now();
        while sent() < before + 6 {
            assert!(start.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        place.does("SendArp", "10.99.0.50/hb0 stop");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let after = sent();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sent(), after);
        assert!(!place.runs("SendArp", "10.99.0.50/hb0"));
        assert_eq!(place.call("SendArp", "10.99.0.50/lan7 start").status.code(), Some(1));
        assert_eq!(place.call("SendArp", "10.99.0.50 start").status.code(), Some(2));
    });
}

#[test]
fn mail_tells_of_coming_and_going_and_fails_nothing() {
    let place = Place::new();
    place.program("sendmail", r#"cat >>"$PLACE/mails""#);
    let words = "ops@example.com,boss@example.com Web";
    assert!(!place.runs("MailTo", words));
    place.does("MailTo", &format!("{words} start"));
    assert!(place.runs("MailTo", words));
    place.does("MailTo", &format!("{words} start"));
    place.does("MailTo", &format!("{words} stop"));
    place.does("MailTo", &format!("{words} stop"));
    assert!(!place.runs("MailTo", words));
    let mails = place.read("mails");
    assert_eq!(mails.matches("To: ops@example.com,boss@example.com\n").count(), 2, "{mails}");
    assert!(mails.contains("Subject: Web: started on lvs1\n") && mails.contains("Subject: Web: stopped on lvs1\n"));
    place.program("sendmail", "cat >/dev/null; exit 75");
    let output = place.call("MailTo", "ops@example.com start");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("could not be sent"));
    for wrong in ["start", "-oQ/tmp start", "ops@example.com begin"] {
        assert_eq!(place.call("MailTo", wrong).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn the_sync_daemon_changes_its_role_by_the_script() {
    // The real thing is in tests/ha.d; here it is what is asked for, and in which order.
    let place = Place::new();
    place.program(
        "lvsctl",
        r#"case $1 in
        -L) [ ! -e "$PLACE/role" ] || echo "$(cat "$PLACE/role") sync daemon (mcast=hb0, syncid=7)" ;;
        --start-daemon) echo "start $2 $3 $4" >>"$PLACE/log"; echo "$2" >"$PLACE/role" ;;
        --stop-daemon) echo "stop $2" >>"$PLACE/log"; rm "$PLACE/role" ;;
        esac"#,
    );
    let words = "master hb0 7";
    assert!(!place.runs("LVSSyncDaemonSwap", words));
    place.does("LVSSyncDaemonSwap", &format!("{words} stop"));
    place.does("LVSSyncDaemonSwap", &format!("{words} start"));
    assert!(place.runs("LVSSyncDaemonSwap", words));
    place.does("LVSSyncDaemonSwap", &format!("{words} start"));
    let log =
        "start backup --mcast-interface=hb0 --syncid=7\nstop backup\nstart master --mcast-interface=hb0 --syncid=7\n";
    assert_eq!(place.read("log"), log);
    assert_eq!(place.call("LVSSyncDaemonSwap", "both start").status.code(), Some(2));
}
