use tokio::io::DuplexStream;

use super::converse;
use crate::check::dialogue::Dialogue;
use crate::check::dialogue::play::{Twist, address, misbehave, play};
use crate::check::stage::Stage;
use crate::check::tls::Tls;
use crate::config::model::{Credentials, Encryption, Mailbox, Secret};

const HEALTHY: &[&str] =
    &["+OK ready\r\n", "+OK\r\nUSER\r\n.\r\n", "+OK\r\n", "+OK logged in\r\n", "+OK 0 0\r\n", "+OK bye\r\n"];

fn mailbox(name: &str) -> Mailbox {
    let login = Credentials { name: name.into(), password: Secret::new("open sesame".into()) };
    Mailbox { at: address(), encryption: None, login: Some(login).filter(|login| !login.name.is_empty()) }
}

async fn joe(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    converse(Dialogue::over(stage, pipe), &mailbox("joe"), &Tls::new()).await
}

async fn nobody(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    converse(Dialogue::over(stage, pipe), &mailbox(""), &Tls::new()).await
}

#[test]
fn a_login_that_is_accepted_is_up() {
    let played = play(HEALTHY, None, joe);
    assert_eq!(played.result, Ok("+OK ready".to_owned()));
    assert_eq!(played.heard, ["CAPA", "USER joe", "PASS open sesame", "STAT", "QUIT"]);
}

#[test]
fn fault_b6_without_a_login_the_server_still_has_to_answer() {
    let played = play(&["+OK ready\r\n", "-ERR unknown command\r\n", "+OK bye\r\n"], None, nobody);
    assert_eq!(played.result, Ok("+OK ready".to_owned()));
    assert_eq!(played.heard, ["CAPA", "QUIT"]);
    let why = play(HEALTHY, Some((0, Twist::Say("-ERR disk full\r\n"))), nobody).result.expect_err("not ready");
    assert_eq!(why, "192.0.2.1:2525: expected a greeting +OK, got \"-ERR disk full\"");
    misbehave(HEALTHY, 2, "+OK\r\n", nobody);
}

#[test]
fn a_refused_login_is_tried_once_more_and_told_without_the_password() {
    let no = "-ERR open sesame is not the password of joe\r\n";
    let again = &["+OK\r\n", "-ERR\r\n", "+OK\r\n", no, "+OK\r\n", "+OK logged in\r\n", "+OK 0 0\r\n"];
    assert!(play(again, None, joe).result.is_ok());
    let never = &["+OK\r\n", "-ERR\r\n", "+OK\r\n", no, "+OK\r\n", no];
    let played = play(never, None, joe);
    let why = played.result.expect_err("refused twice");
    assert_eq!(why, "192.0.2.1:2525: expected +OK to PASS, got \"-ERR *** is not the password of joe\"");
    assert_eq!(played.heard.iter().filter(|line| line.starts_with("PASS")).count(), 2);
    // A server that hangs up on the first refusal gave its reason before.
    for twist in [Twist::Close, Twist::Hang] {
        let why = play(never, Some((4, twist)), joe).result.expect_err("refused");
        assert!(why.contains("-ERR *** is not the password"), "{why}");
    }
}

#[test]
fn whatever_else_a_server_does_it_is_down_in_time() {
    // The answer to STAT has to come; what it says is not judged.
    misbehave(HEALTHY, 2, "+OK\r\n", joe);
    misbehave(HEALTHY, 3, "-ERR\r\n", joe);
    for twist in [Twist::Hang, Twist::Close, Twist::EndlessLine] {
        assert!(play(HEALTHY, Some((4, twist)), joe).result.is_err(), "{twist:?}");
    }
}

#[test]
fn stls_is_asked_for_before_the_login() {
    let encryption = Some(Encryption { starttls: true, name: None, verify: false });
    let check = async |stage: &Stage, pipe: DuplexStream| {
        let mailbox = Mailbox { encryption: encryption.clone(), ..mailbox("joe") };
        converse(Dialogue::over(stage, pipe), &mailbox, &Tls::new()).await
    };
    let played = play(&["+OK\r\n", "-ERR\r\n", "-ERR no\r\n"], None, check);
    assert_eq!(played.result, Err("192.0.2.1:2525: expected +OK to STLS, got \"-ERR no\"".to_owned()));
    assert_eq!(played.heard, ["CAPA", "STLS"]);
}
