use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::{Problem, load, load_keys};
use crate::wire::{Form, Key, Keys, Message};

fn folder(mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("nodeinfo", "Lvs1\n");
    write("ha.cf", "node lvs1 lvs2\nbcast hb0\nauto_failback on\nlogfile /var/log/ha-log\n");
    write("haresources", "lvs1 192.168.60.200/24/eth0 ldirectord\n");
    write("authkeys", "auth 1\n1 sha1 secret\n");
    fs::set_permissions(folder.path().join("authkeys"), fs::Permissions::from_mode(mode)).unwrap();
    folder
}

fn problems(folder: &Path) -> Vec<String> {
    load(folder).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn three_good_files_are_a_configuration() {
    let folder = folder(0o600);
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.value.ha_cf.local, "lvs1");
    assert_eq!(loaded.value.groups[0].key(), "192.168.60.200/24/eth0");
    assert_eq!(loaded.value.keys.current(), 1);
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn the_same_files_have_the_same_digests_whatever_may_differ_between_nodes() {
    let digests_with = |file: &str, text: &str| {
        let folder = folder(0o600);
        if !file.is_empty() {
            fs::write(folder.path().join(file), text).unwrap();
        }
        super::super::digests(&load(folder.path()).unwrap().value)
    };
    let ours = digests_with("", "");
    let same = [
        ("nodeinfo", "lvs2\n"),
        ("ha.cf", "node lvs2 lvs1\nucast hb1 10.0.0.9\nauto_failback on\n"),
        ("haresources", "# a comment\nlvs1   192.168.60.200/24/eth0 ldirectord\n"),
    ];
    for (file, text) in same {
        assert!(ours.differing(&digests_with(file, text)).is_empty(), "{file}: {text}");
    }
    let others = [
        ("ha.cf", "node lvs1 lvs2\nbcast hb0\nauto_failback off\n"),
        ("ha.cf", "node lvs1 lvs2\nbcast hb0\nauto_failback on\ndeadtime 20\n"),
        ("haresources", "lvs2 192.168.60.200/24/eth0 ldirectord\n"),
        ("authkeys", "auth 1\n1 sha1 another\n"),
    ];
    for (file, text) in others {
        assert_eq!(ours.differing(&digests_with(file, text)), [file], "{text}");
    }
}

#[test]
fn keys_that_others_may_read_are_refused_with_the_command_that_mends_it() {
    for mode in [0o644, 0o640, 0o620, 0o602, 0o601] {
        let folder = folder(mode);
        let path = folder.path().join("authkeys");
        let found = problems(folder.path());
        let wanted =
            format!("{p} has mode {mode:04o}: others may read the keys; run \"chmod 600 {p}\"", p = path.display());
        assert_eq!(found, [wanted]);
    }
    assert!(load(folder(0o400).path()).is_ok());
}

#[test]
fn a_password_in_a_file_that_others_may_read_is_told() {
    let lines = "node lvs1 lvs2\nbcast hb0\nauto_failback on\n";
    for (mode, parameter, warnings) in [
        (0o644, "password=TIGER", 1),
        (0o640, "snmp_auth_passwd=TIGER", 1),
        (0o600, "password=TIGER", 0),
        (0o644, "ip=10.0.0.9", 0),
        (0o644, "password_script=/etc/ha.d/password", 0),
    ] {
        let folder = folder(0o600);
        let path = folder.path().join("ha.cf");
        fs::write(&path, format!("{lines}stonith_host * /bin/sh {parameter}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = load(folder.path()).unwrap().warnings;
        let told: Vec<_> = found.iter().filter(|found| found.message.contains("others than its owner")).collect();
        assert_eq!(told.len(), warnings, "{mode:o} {parameter}");
        assert!(told.iter().all(|told| told.line == 4 && !told.to_string().contains("TIGER")), "{told:?}");
    }
}

#[test]
fn all_three_files_are_reported_in_one_run() {
    let folder = folder(0o600);
    fs::write(folder.path().join("ha.cf"), "node lvs1 lvs2\n").unwrap();
    fs::write(folder.path().join("haresources"), "lvs1 1.2.3.400\n").unwrap();
    fs::remove_file(folder.path().join("authkeys")).unwrap();
    let found = load(folder.path()).unwrap_err();
    let mistakes = found.iter().filter(|problem| matches!(problem, Problem::Mistake(_))).count();
    assert_eq!((found.len(), mistakes), (4, 3));
    assert!(problems(folder.path()).iter().any(|text| text.starts_with("cannot read") && text.contains("authkeys")));
}

#[test]
fn an_interface_that_is_not_there_is_told_once_with_who_names_it() {
    let folder = folder(0o600);
    fs::write(
        folder.path().join("haresources"),
        "lvs1 192.168.60.200/24/eth0 IPaddr2::192.168.60.201/24/nosuch LVSSyncDaemonSwap::master::eth9\n",
    )
    .unwrap();
    let config = load(folder.path()).unwrap().value;
    let told = super::super::absent(&config, |name| name == "eth0");
    let about =
        |line: &String| line.split(": it ").next().map(|line| line.split(": nothing").next().unwrap().to_owned());
    assert_eq!(
        told.iter().filter_map(about).collect::<Vec<_>>(),
        [
            "ha.cf: \"bcast hb0\": there is no interface hb0 on this machine",
            "haresources: \"IPaddr2::192.168.60.201/24/nosuch\": there is no interface nosuch on this machine",
            "haresources: \"LVSSyncDaemonSwap::master::eth9\": there is no interface eth9 on this machine",
        ]
    );
    assert!(super::super::absent(&config, |_| true).is_empty());
}

#[test]
fn a_key_is_the_bytes_of_its_word_in_whatever_encoding() {
    let folder = folder(0o600);
    for secret in [&b"gr\xfcn"[..], b"a\xc2\xa0b", "gr\u{fc}n".as_bytes(), b"\xff\xfe"] {
        let file = [&b"# gr\xfcn\nauth 1\n1 sha1 "[..], secret, b"\r\n"].concat();
        fs::write(folder.path().join("authkeys"), file).unwrap();
        let loaded = load_keys(folder.path()).unwrap();
        assert_eq!(loaded.warnings, []);
        let message = Message::new("status").with("src", "lvs1");
        let theirs = Keys::new(1, [(1, Key::sha1(secret))]).unwrap().seal(&message, Form::Usual, false);
        assert!(loaded.value.open(&theirs).is_ok(), "{secret:?}");
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_and_not_cut() {
    let folder = folder(0o600);
    let comment = format!("{}\n", "#".repeat(1023));
    for name in ["ha.cf", "haresources", "authkeys"] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, comment.repeat(1024) + &text).unwrap();
        assert!(problems(folder.path()).concat().contains("longer than"), "{name}");
        fs::write(&path, text).unwrap();
    }
}
