use std::net::SocketAddr;

use crate::check::scripted::{LONG, SHORT, Step, negotiate, tcp};
use crate::check::testing::{closed_port, run};
use crate::config::model::{Credentials, Probe, Secret, Sql, SqlEngine};

fn sql(at: SocketAddr) -> Probe {
    let login = Credentials { name: "probe".to_owned(), password: Secret::new("s3cret".to_owned()) };
    let (database, query) = ("shop".to_owned(), "SELECT 1".to_owned());
    Probe::Sql(Sql { engine: SqlEngine::Postgres, at, login, database, query })
}

fn say(text: &[u8]) -> Step {
    Step::Say(text.to_vec())
}

const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x0bTimeZ\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";
const ROW: &[u8] = b"T\0\0\0\x07\0\x01xD\0\0\0\x0b\0\x01\0\0\0\x011";
const SELECTED: &[u8] = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
const DENIED: &[u8] = b"E\0\0\0\x33SFATAL\0C28P01\0Mpassword authentication failed\0\0";

/// Without TLS, with a password in the clear, up to the query; then this.
fn after_login(answer: &[u8]) -> Vec<Step> {
    vec![
        Step::Hear,
        say(b"N"),
        Step::Hear,
        say(b"R\0\0\0\x08\0\0\0\x03"),
        Step::Hear,
        say(LET_IN),
        Step::Hear,
        say(answer),
    ]
}

#[test]
fn row_51_a_row_is_up() {
    run(async {
        let at = tcp(after_login(&[ROW, SELECTED].concat())).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("1 rows".to_owned()));
        let at = tcp(after_login(b"N\0\0\0\x06\0\0C\0\0\0\x0dUPDATE 3\0Z\0\0\0\x05I")).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("3 rows".to_owned()));
        let long = [b"D\x3f\xff\xff\xff".as_slice(), &[b'x'; 70_000]].concat();
        let at = tcp(after_login(&long)).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("a long row".to_owned()));
    });
}

#[test]
fn row_51_every_other_outcome_is_down_and_told() {
    run(async {
        let begin = |answer: &[u8]| vec![Step::Hear, say(b"N"), Step::Hear, say(answer)];
        let notices = b"N\0\0\0\x06\0\0".repeat(300);
        for (script, wanted) in [
            (vec![Step::Hear, say(b"H")], r#"expected an answer whether it speaks TLS, got "H""#),
            (vec![Step::Hear, say(b"S"), Step::Hear, say(b"garbage")], "expected a TLS handshake, got "),
            (begin(DENIED), r#"expected a login, got error 28P01 "password authentication failed", after"#),
            (begin(b"HTTP/1.1 400 Bad Request"), "got what is no message of PostgreSQL: \"HTTP/1.1 400"),
            (begin(b"R\0\0\0\x08\0\0\0\x07"), "a demand for the login method 7, which is not known here"),
            (begin(&notices), "got more than 256 messages"),
            (after_login(b"C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I"), "expected a row, got none"),
            (
                after_login(b"E\0\0\0\x1dSERROR\0C42P01\0Mno table\0\0Z\0\0\0\x05I"),
                r#"expected a row, got error 42P01 "no table""#,
            ),
            (after_login(b"G\0\0\0\x07\0\0\0"), r#"expected a row, got a message of kind "G""#),
            (after_login(&notices.repeat(4)), "expected a row, got more than 1000 messages"),
        ] {
            let at = tcp(script).await;
            let why = negotiate(sql(at), LONG).await.expect_err(wanted);
            assert!(why.starts_with(&format!("{at}: expected ")) && why.contains(wanted), "{why}");
            assert!(!why.contains("s3cret") && why.len() < 300, "{why}");
        }
        let why = negotiate(sql(closed_port().await), LONG).await.expect_err("refused");
        assert!(why.starts_with("Can't connect to 127.0.0.1:"), "{why}");
    });
}

#[test]
fn fault_b22_it_ends_wherever_the_server_hangs_or_closes() {
    run(async {
        let healthy = after_login(&[ROW, SELECTED].concat());
        for cut in 0..healthy.len() {
            if matches!(healthy[cut], Step::Hear) {
                continue;
            }
            let at = tcp([&healthy[..cut], &[Step::Hang]].concat()).await;
            let why = negotiate(sql(at), SHORT).await.expect_err("it hangs");
            assert!(why.starts_with(&format!("500 Timeout Alarm: {at}: expected a")), "{cut}: {why}");
            let at = tcp(healthy[..cut].to_vec()).await;
            let why = negotiate(sql(at), LONG).await.expect_err("it closes");
            // Closed with our word unread it may also be reset.
            assert!(why.contains("got the end of the connection") || why.contains("reset by peer"), "{cut}: {why}");
        }
    });
}
