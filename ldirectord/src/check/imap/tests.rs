use tokio::io::DuplexStream;

use super::{converse, log_in};
use crate::check::dialogue::Dialogue;
use crate::check::dialogue::play::{Twist, address, misbehave, play};
use crate::check::stage::Stage;
use crate::check::tls::Tls;
use crate::config::model::{Credentials, Mailbox, Secret};

const HEALTHY: &[&str] = &[
    "* OK [CAPABILITY IMAP4rev1] ready\r\n",
    "* CAPABILITY IMAP4rev1\r\n0 OK Logged in\r\n",
    "* BYE\r\n1 OK done\r\n",
];

fn login(name: &str, password: &str) -> Credentials {
    Credentials { name: name.into(), password: Secret::new(password.into()) }
}

async fn joe(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    let mailbox = Mailbox { at: address(), encryption: None, login: Some(login("joe", "open sesame")) };
    converse(Dialogue::over(stage, pipe), &mailbox, &Tls::new()).await
}

async fn nobody(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    let mailbox = Mailbox { at: address(), encryption: None, login: None };
    converse(Dialogue::over(stage, pipe), &mailbox, &Tls::new()).await
}

#[test]
fn row_44_a_greeting_is_enough_without_a_login() {
    for greeting in ["* OK ready\r\n", "* PREAUTH joe\r\n", "* ok lower case\r\n"] {
        let played = play(&[greeting, "* BYE\r\n1 OK\r\n"], None, nobody);
        assert_eq!(played.result, Ok(greeting.trim_end().to_owned()));
        assert_eq!(played.heard, ["1 LOGOUT"]);
    }
    for greeting in ["* BYE too many\r\n", "* NO\r\n", "0 OK\r\n", "+OK POP3\r\n"] {
        let why = play(&[greeting], None, nobody).result.expect_err("no greeting");
        let told = format!("192.0.2.1:2525: expected a greeting * OK or * PREAUTH, got \"{}\"", greeting.trim_end());
        assert_eq!(why, told);
    }
}

#[test]
fn a_login_that_is_accepted_is_up() {
    let played = play(HEALTHY, None, joe);
    assert_eq!(played.result, Ok("* OK [CAPABILITY IMAP4rev1] ready".to_owned()));
    assert_eq!(played.heard, ["0 LOGIN joe \"open sesame\"", "1 LOGOUT"]);
}

#[test]
fn a_refused_login_is_told_without_the_password() {
    for (says, told) in [
        ("0 NO [AUTHENTICATIONFAILED] no\r\n", "\"0 NO [AUTHENTICATIONFAILED] no\""),
        ("* OK wait\r\n0 BAD \"open sesame\"?\r\n", "\"0 BAD \\\"***\\\"?\""),
        ("* BYE\r\n", "\"* BYE\""),
        ("7 OK\r\n", "\"7 OK\""),
    ] {
        let why = play(HEALTHY, Some((1, Twist::Say(says))), joe).result.expect_err("refused");
        assert_eq!(why, format!("192.0.2.1:2525: expected OK to LOGIN, got {told}"));
    }
}

#[test]
fn whatever_else_a_server_does_it_is_down_in_time() {
    misbehave(HEALTHY, 1, "* \r\n", joe);
    misbehave(HEALTHY, 2, "* 7 EXISTS\r\n", joe);
}

#[test]
fn names_are_bare_where_they_can_be_and_passwords_quoted() {
    assert_eq!(log_in(&login("joe@example.com", r#"a\b"c"#)), "0 LOGIN joe@example.com \"a\\\\b\\\"c\"\r\n");
    assert_eq!(log_in(&login("joe user", "")), "0 LOGIN \"joe user\" \"\"\r\n");
}
