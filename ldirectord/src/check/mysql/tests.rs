use std::net::SocketAddr;

use super::packet::emit;
use super::packet::testing::MARIADB;
use crate::check::scripted::{LONG, SHORT, Step, negotiate, tcp};
use crate::check::testing::{closed_port, run};
use crate::config::model::{Credentials, Probe, Secret, Sql, SqlEngine};

fn sql(at: SocketAddr) -> Probe {
    let login = Credentials { name: "probe".to_owned(), password: Secret::new("s3cret".to_owned()) };
    let (database, query) = ("shop".to_owned(), "SELECT 1".to_owned());
    Probe::Sql(Sql { engine: SqlEngine::MySql, at, login, database, query })
}

fn say(number: u8, body: &[u8]) -> Step {
    Step::Say(emit(number, body).to_vec())
}

fn greeting() -> Step {
    Step::Say(MARIADB.to_vec())
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const END: &[u8] = b"\xfe\0\0\x02\0";
const COLUMN: &[u8] = b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x03\x81\0\0\0\0";

/// A healthy conversation up to the query, and the answers to that.
fn after_login(answers: &[Step]) -> Vec<Step> {
    [&[greeting(), Step::Hear, say(2, OK), Step::Hear], answers].concat()
}

fn one_row() -> Vec<Step> {
    vec![say(1, b"\x01"), say(2, COLUMN), say(3, END), say(4, b"\x011"), say(5, END)]
}

#[test]
fn row_51_a_row_is_up() {
    run(async {
        let at = tcp(after_login(&one_row())).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("1 rows".to_owned()));
        // The same in pieces, with another login method on the way.
        let switch = b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0";
        let steps = [greeting(), Step::Hear, say(2, switch), Step::Hear, say(4, b"\x01\x03"), say(5, OK), Step::Hear];
        let mut script = steps.to_vec();
        for step in one_row() {
            let Step::Say(bytes) = step else { continue };
            script.extend(bytes.chunks(3).map(|piece| Step::Say(piece.to_vec())));
        }
        let at = tcp(script).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("1 rows".to_owned()));
    });
}

#[test]
fn a_row_of_megabytes_is_up_and_not_read() {
    run(async {
        let mut row = vec![0xff, 0xff, 0xff, 4];
        row.resize(100_000, b'x');
        let at = tcp(after_login(&[say(1, b"\x01"), say(2, COLUMN), say(3, END), Step::Say(row), Step::Hang])).await;
        assert_eq!(negotiate(sql(at), LONG).await, Ok("rows".to_owned()));
    });
}

#[test]
fn row_51_every_other_outcome_is_down_and_told() {
    run(async {
        for (script, wanted) in [
            (vec![say(0, b"\xff\x10\x04Too many connections")], r#"a MySQL greeting, got error 1040 "Too many conn"#),
            (vec![say(0, b"\x09old")], "expected a MySQL greeting, got another packet"),
            (vec![Step::Say(b"SSH-2.0-OpenSSH".to_vec())], "a MySQL greeting, got \"SSH-2.0-OpenSSH\" and the end"),
            (
                vec![greeting(), Step::Hear, say(2, b"\xff\x15\x04#28000Access denied\nfor 'probe'")],
                r#"expected a login, got error 1045 "Access denied\nfor 'probe'", after"#,
            ),
            (
                vec![greeting(), Step::Hear, say(2, b"\xfedialog\0Password:")],
                r#"a demand for the login method "dialog", which is not known here"#,
            ),
            (
                [&[greeting(), Step::Hear][..], &vec![say(2, b"\xfemysql_native_password\0abcd\0"); 9], &[Step::Hang]]
                    .concat(),
                "got more than 8 questions",
            ),
            (after_login(&[say(1, b"\x01"), say(2, COLUMN), say(3, END), say(4, END)]), "expected a row, got none"),
            (after_login(&[say(1, b"\xff\x7a\x04#42S02No table")]), r#"expected a row, got error 1146 "No table""#),
            (after_login(&[say(1, b"\xfb/etc/shadow")]), "got a demand for a file of this machine"),
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
        let healthy = after_login(&one_row());
        for cut in 0..healthy.len() - 1 {
            if matches!(healthy[cut], Step::Hear) {
                continue;
            }
            let hung = [&healthy[..cut], &[Step::Hang]].concat();
            let at = tcp(hung).await;
            let why = negotiate(sql(at), SHORT).await.expect_err("it hangs");
            assert!(why.starts_with(&format!("500 Timeout Alarm: {at}: expected a ")), "{cut}: {why}");
            let at = tcp(healthy[..cut].to_vec()).await;
            let why = negotiate(sql(at), LONG).await.expect_err("it closes");
            // Closed with our word unread it may also be reset.
            assert!(why.contains("got the end of the connection") || why.contains("reset by peer"), "{cut}: {why}");
        }
    });
}

#[test]
fn a_server_that_insists_on_tls_is_asked_for_it() {
    run(async {
        let mut speaks = MARIADB.to_vec();
        // The capability's bit: the second of the two bytes behind the first part of the scramble.
        let low = speaks.windows(2).position(|w| w == b"\xfe\xf7").expect("capabilities");
        speaks[low + 1] |= 0x08;
        let insists = say(2, b"\xff\x57\x0c#HY000Connections using insecure transport are prohibited");
        let at = tcp(vec![Step::Say(speaks), Step::Hear, insists, Step::Hang]).await;
        let why = negotiate(sql(at), SHORT).await.expect_err("the script has no TLS");
        assert!(why.contains("a TLS handshake, got "), "{why}");
    });
}

#[test]
fn without_login_or_request_it_is_down_as_ever() {
    run(async {
        let Probe::Sql(whole) = sql(closed_port().await) else { unreachable!() };
        let bare = Sql { query: String::new(), ..whole };
        let why = negotiate(Probe::Sql(bare), LONG).await.expect_err("nothing to ask");
        let wanted = "Error: Must specify a login and request string for MySQL, Oracle and PostgreSQL checks. Not adding 127.0.0.1";
        assert!(why.starts_with(wanted), "{why}");
    });
}
