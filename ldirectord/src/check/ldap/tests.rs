use std::net::SocketAddr;

use super::message::testing::{bound, done, entry, result};
use crate::check::scripted::{LONG, SHORT, Step, negotiate, tcp, words};
use crate::check::testing::{closed_port, run};
use crate::config::model::{Credentials, Encryption, Ldap, Probe, Secret};
use crate::config::pattern::Pattern;

fn ldap(at: SocketAddr) -> Ldap {
    let login = Credentials { name: "cn=admin".to_owned(), password: Secret::new("s3cret".to_owned()) };
    let receive = Some(Pattern::new("^uid=probe").expect("a pattern"));
    Ldap { at, encryption: None, bind: Some(login), base: "uid=probe,dc=x".to_owned(), receive }
}

/// A server that answers the bind so, and the search so.
async fn server(bind: Vec<u8>, search: &[Vec<u8>]) -> SocketAddr {
    tcp(vec![Step::Hear, Step::Say(bind), Step::Hear, Step::Say(search.concat()), Step::Hang]).await
}

#[test]
fn row_50_the_one_entry_that_matches_is_up() {
    run(async {
        let found = [entry("uid=probe,dc=x"), done(0)];
        let at = server(bound(0, ""), &found).await;
        assert_eq!(negotiate(Probe::Ldap(ldap(at)), LONG).await, Ok(r#"found "uid=probe,dc=x""#.to_owned()));
        let anything = Ldap { bind: None, receive: None, ..ldap(at) };
        assert!(negotiate(Probe::Ldap(anything), LONG).await.is_ok());
        // Piece by piece, with a reference and an intermediate answer in between.
        let pieces = [entry("uid=probe,dc=x"), result(2, 0x73, 0, ""), result(2, 0x79, 0, ""), done(0)].concat();
        let mut script = vec![Step::Hear, Step::Say(bound(0, "")), Step::Hear];
        script.extend(pieces.chunks(5).map(|piece| Step::Say(piece.to_vec())));
        let at = tcp(script).await;
        assert!(negotiate(Probe::Ldap(ldap(at)), LONG).await.is_ok());
    });
}

#[test]
fn row_50_every_other_outcome_is_down_and_told() {
    run(async {
        let one = entry("uid=other,dc=x");
        for (bind, search, wanted) in [
            (
                bound(49, "try\nagain"),
                vec![],
                r#"the answer to the bind, got invalid credentials (49) "try\nagain", after"#,
            ),
            (bound(0, ""), vec![done(32)], "exactly one entry, got no such object (32), after"),
            (bound(0, ""), vec![done(0)], "exactly one entry, got 0 entries, after"),
            (bound(0, ""), vec![one.clone(), one.clone(), done(0)], "exactly one entry, got 2 entries, after"),
            (
                bound(0, ""),
                vec![one.clone(), done(0)],
                r#"another entry, got "uid=other,dc=x", which does not match "^uid=probe", after"#,
            ),
            (bound(0, ""), vec![one; 17], "got more than 16 replies, after"),
            (done(0), vec![], "got the answer to another request, after"),
            (result(0, 0x78, 52, "bye"), vec![], r#"got a notice: unavailable (52) "bye", after"#),
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), vec![], "got what is no LDAP: \"HTTP/1.1 400"),
            (b"\x30\x84\xff\xff\xff\xff".to_vec(), vec![], "got a message of 4294967301 bytes, more than 65536"),
            (b"\x30\x03\x02\x01\x01".to_vec(), vec![], "got a message that is not well-formed"),
        ] {
            let at = server(bind, &search).await;
            let why = negotiate(Probe::Ldap(ldap(at)), LONG).await.expect_err(wanted);
            assert!(why.starts_with(&format!("{at}: expected ")) && why.contains(wanted), "{why}");
            assert!(!why.contains("s3cret") && why.len() < 300, "{why}");
        }
    });
}

#[test]
fn fault_b12_it_ends_by_the_negotiate_timeout_wherever_the_server_hangs_or_closes() {
    run(async {
        let say = Step::Say;
        let searching = "expected the answer to the search";
        for (script, wanted) in [
            (vec![Step::Hang], "500 Timeout Alarm"),
            (
                vec![Step::Hear, say(bound(0, "")[..5].to_vec()), Step::Hang],
                "expected the answer to the bind, got nothing",
            ),
            (vec![Step::Hear, say(bound(0, "")), Step::Hang], searching),
            (vec![Step::Hear, say(bound(0, "")), Step::Hear, say(entry("uid=probe")), Step::Hang], searching),
            (vec![Step::Hear], "expected the answer to the bind, got the end of the connection"),
            (vec![Step::Hear, say(bound(0, "")), Step::Hear], "answer to the search, got the end of the connection"),
            (vec![Step::Hear, say(b"\x30\x0c\x02".to_vec())], r#"got "0\u{c}\u{2}" and the end of the connection"#),
        ] {
            let at = tcp(script).await;
            let why = negotiate(Probe::Ldap(ldap(at)), SHORT).await.expect_err(wanted);
            assert!(why.contains(&at.to_string()) && why.contains(wanted), "{why}");
        }
        let why = negotiate(Probe::Ldap(ldap(closed_port().await)), LONG).await.expect_err("refused");
        assert!(why.starts_with("Can't connect to 127.0.0.1:"), "{why}");
    });
}

#[test]
fn tls_that_does_not_begin_is_told() {
    run(async {
        for (script, wanted) in [
            (
                vec![Step::Hear, Step::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())],
                "expected a TLS handshake, got ",
            ),
            (vec![Step::Hear], "expected a TLS handshake, got "),
            (vec![Step::Hang], "expected a TLS handshake, got nothing"),
        ] {
            let at = tcp(script).await;
            let encrypted = Ldap { encryption: encryption(false), ..ldap(at) };
            let why = negotiate(Probe::Ldap(encrypted), SHORT).await.expect_err(wanted);
            assert!(why.contains(wanted), "{why}");
        }
    });
}

fn encryption(starttls: bool) -> Option<Encryption> {
    Some(Encryption { starttls, name: None, verify: false })
}

#[test]
fn starttls_has_to_be_taken_up_and_nothing_may_come_before_the_handshake() {
    run(async {
        let answer = |code, text: &str| result(3, 0x78, code, text);
        for (script, wanted) in [
            (
                vec![Step::Hear, Step::Say(answer(2, "unsupported extended operation"))],
                r#"the answer to StartTLS, got protocol error (2) "unsupported extended operation""#,
            ),
            (vec![Step::Hear, Step::Say(bound(0, ""))], "the answer to StartTLS, got the answer to another request"),
            (
                vec![Step::Hear, Step::Say(result(0, 0x78, 52, "bye"))],
                r#"the answer to StartTLS, got a notice: unavailable (52) "bye""#,
            ),
            (vec![Step::Hear, Step::Hang], "expected the answer to StartTLS, got nothing"),
            (vec![Step::Hear, Step::Say(answer(0, "")), Step::Hear], "expected a TLS handshake, got "),
            (vec![Step::Hear, Step::Say([answer(0, ""), bound(0, "")].concat())], "got something before TLS has begun"),
        ] {
            let at = tcp(script).await;
            let encrypted = Ldap { encryption: encryption(true), ..ldap(at) };
            let why = negotiate(Probe::Ldap(encrypted), SHORT).await.expect_err(wanted);
            assert!(why.contains(wanted) && !why.contains("s3cret"), "{why}");
        }
    });
}

#[test]
fn the_monitor_file_is_told_in_the_originals_words() {
    run(async {
        let one = entry("uid=probe,dc=x");
        for (bind, search, told) in [
            (bound(0, ""), vec![one, done(0)], "Success"),
            (bound(0, ""), vec![entry("uid=other,dc=x"), done(0)], "Response mismatch"),
            (bound(0, ""), vec![done(32)], "No answer received"),
            (bound(0, ""), vec![], "No answer received"),
            (bound(49, ""), vec![], "Bind failed"),
        ] {
            let at = server(bind, &search).await;
            assert_eq!(words(Probe::Ldap(ldap(at)), SHORT).await.as_deref(), Some(told));
        }
        let hung = tcp(vec![Step::Hang]).await;
        assert_eq!(words(Probe::Ldap(ldap(hung)), SHORT).await.as_deref(), Some("Bind failed"));
        let encrypted = Ldap { encryption: encryption(false), ..ldap(hung) };
        assert_eq!(words(Probe::Ldap(encrypted), SHORT).await.as_deref(), Some("Connection failed"));
        let closed = ldap(closed_port().await);
        assert_eq!(words(Probe::Ldap(closed), LONG).await.as_deref(), Some("Connection failed"));
    });
}
