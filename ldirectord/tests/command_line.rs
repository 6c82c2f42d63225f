//! The program itself, as far as it goes without a daemon (spec/ldirectord.md chapter 16, rows 1 to 4).

use std::process::{Command, Output};

fn ldirectord(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ldirectord")).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn without_arguments_the_usage_goes_to_standard_output_and_the_status_is_255() {
    for arguments in [&[][..], &["begin"], &["no.cf", "begin"]] {
        let done = ldirectord(arguments);
        assert_eq!(done.status.code(), Some(255));
        assert!(text(&done.stdout).starts_with("Usage: ldirectord [-d|--debug] [--] [CONFIG] VERB\n"));
        assert_eq!(text(&done.stderr), "");
    }
}

#[test]
fn the_version_is_known_to_scripts() {
    let done = ldirectord(&["-v"]);
    assert_eq!((done.status.code(), text(&done.stdout).lines().next()), (Some(0), Some("Linux Director v1.186-ha")));
    assert_eq!(ldirectord(&["--help"]).status.code(), Some(0));
}

#[test]
fn an_unknown_option_is_named() {
    let done = ldirectord(&["--deb", "status"]);
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(255), "Unknown option: deb\n"));
    assert!(text(&done.stdout).starts_with("Usage: "));
}

#[test]
fn a_missing_configuration_is_named_as_it_was_given() {
    for verb in ["start", "stop", "status", "reload", "check"] {
        let done = ldirectord(&["surely/not/there.cf", verb]);
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(1), ""), "{verb}");
        assert_eq!(text(&done.stderr), "Config file surely/not/there.cf not found\n", "{verb}");
    }
}

#[test]
fn check_shows_every_mistake_with_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("web.cf");
    std::fs::write(&path, "quiescent=maybe\nvirtual=198.51.100.1:80\n\treal=192.0.2.1:80 gatee\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    let done = ldirectord(&["check", path]);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(2), ""));
    let err = text(&done.stderr);
    let first = format!(
        " reading file {path} at line 1: quiescent must be 'yes' or 'no'\n    1 | quiescent=maybe\n      |           ^^^^^\n"
    );
    let second = format!(" reading file {path} at line 3: forward method must be gate, masq or ipip\n");
    assert!(err.starts_with("Error [") && err.contains(&first) && err.contains(&second), "{err}");

    std::fs::write(path, "virtual=198.51.100.1:80\n\treal=192.0.2.1->192.0.2.4:80 gate\n").expect("written");
    let done = ldirectord(&["check", path]);
    let summary = format!("{path}: 1 virtual server, 4 real servers\n");
    assert_eq!((done.status.code(), text(&done.stdout), text(&done.stderr)), (Some(0), summary.as_str(), ""));
}
