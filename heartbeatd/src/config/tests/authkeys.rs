use std::path::Path;

use lvs::diag::Diagnostic;
use proptest::prelude::*;

use super::super::authkeys;
use super::super::source::Source;
use super::told;
use crate::wire::{Keys, Method};

fn parse(text: &str) -> (Option<Keys>, Vec<Diagnostic>) {
    let shown = authkeys::shown(text);
    let mut source = Source::new(Path::new("authkeys"), &shown);
    let keys = authkeys::read(&mut source, text);
    (keys, source.found)
}

#[test]
fn keys_may_stand_before_and_behind_the_line_that_selects_one() {
    let (keys, found) = parse("# old and new\n1 md5 Hello!\n auth 2\n2 sha1 secret\n");
    assert_eq!(told(&found), [""; 0]);
    let keys = keys.unwrap();
    assert_eq!((keys.current(), keys.method(1), keys.method(2)), (2, Some(Method::Md5), Some(Method::Sha1)));
}

#[test]
fn every_mistake_has_its_place() {
    let text = "\
auth 1
auth 2
1 sha1
2 crc key
3 sha512 tiger
16 crc
garbage
4
5 md5 a
5 md5 b
";
    let (keys, found) = parse(text);
    assert!(keys.is_none());
    assert_eq!(
        told(&found),
        [
            "! 2:6-7 a second auth line",
            "! 3:3-7 sha1 needs a key",
            "! 4:3-6 crc uses no key",
            "! 5:3-9 unknown method \"sha512\"",
            "! 6:1-3 key numbers are 0 to 15",
            "! 7:1-8 not a key",
            "! 8:1-2 the method is missing",
            "! 10:1-2 key 5 a second time",
            "! 1:6-7 there is no key 1",
        ]
    );
}

#[test]
fn a_file_must_select_a_key() {
    assert_eq!(told(&parse("1 crc\n").1), ["! 1:6-6 no auth line"]);
    assert_eq!(told(&parse("auth\n1 crc\n").1)[0], "! 1:1-5 auth selects no key");
    assert_eq!(told(&parse("auth x\n1 crc\n").1)[0], "! 1:6-7 not the number of a key");
}

#[test]
fn what_is_wrong_with_a_line_is_told_once_and_with_what_was_meant() {
    let (keys, found) = parse("auth 1 2\n1 sha1 x\n2 sha1 y\n");
    assert_eq!((keys.unwrap().current(), told(&found)), (1, vec!["1:6-7 words behind the number do not count".into()]));
    let (_, found) = parse("auth 1\n1 SHA1 TIGER\n");
    assert_eq!(found[0].help.as_deref(), Some("did you mean \"sha1\"?"));
    assert_eq!((found[0].source.as_str(), found[0].columns.clone()), ("1 SHA1 ...", 3..7));
    assert_eq!(told(&parse("auth 16\n1 sha1 x\n").1), ["! 1:6-8 not the number of a key"]);
    assert_eq!(told(&parse("auth 16\n16 sha1 x\n").1).len(), 2);
}

#[test]
fn crc_is_told_to_be_no_protection() {
    let (keys, found) = parse("auth 1\n1 crc\n");
    assert!(keys.is_some());
    assert_eq!(told(&found), ["2:3-6 crc protects against accidents only"]);
    let (_, found) = parse("auth 1\n1 sha1 x\n2 crc\n");
    assert_eq!(told(&found), ["3:3-6 crc is not accepted beside a key with a secret"]);
}

#[test]
fn no_secret_is_shown_wherever_it_stands() {
    for line in [
        "1 sha1 TIGER",
        "1 sha1 TIGER TIGER",
        "TIGER",
        "1 TIGER",
        "auth TIGER",
        "auth 1 TIGER",
        "1 sha1TIGER",
        "TIGER sha1 x",
        "#1 sha1 TIGER",
        "sha1 TIGER",
    ] {
        for text in [format!("{line}\n"), format!("auth 1\n{line}\n1 sha1 x\n"), format!("1 crc\nauth 1\n{line}")] {
            let (keys, found) = parse(&text);
            let shown: String = found.iter().map(ToString::to_string).collect();
            assert!(!shown.contains("TIGER"), "{shown}");
            assert!(!format!("{keys:?}").contains("TIGER"));
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(auth |[0-9]{1,3} |sha1 |crc|[ -~\u{e4}\u{2003}\n]{0,9}|\n){0,20}") {
        for found in parse(&text).1 {
            _ = found.to_string();
        }
    }
}
