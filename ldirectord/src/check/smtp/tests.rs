use std::time::Duration;

use tokio::io::DuplexStream;

use super::converse;
use crate::check::dialogue::Dialogue;
use crate::check::dialogue::play::{Twist, misbehave, play};
use crate::check::stage::Stage;
use crate::check::tls::Tls;
use crate::config::model::Encryption;

const HEALTHY: &[&str] =
    &["220-mail.example.com\r\n220 ESMTP\r\n", "250-mail.example.com\r\n250 SIZE 1000\r\n", "221 bye\r\n"];

async fn plain(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    converse(Dialogue::over(stage, pipe), None, &Tls::new()).await
}

async fn starttls(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    let encryption = Encryption { starttls: true, name: None, verify: false };
    converse(Dialogue::over(stage, pipe), Some(&encryption), &Tls::new()).await
}

async fn at_once(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    let encryption = Encryption { starttls: false, name: None, verify: false };
    converse(Dialogue::over(stage, pipe), Some(&encryption), &Tls::new()).await
}

#[test]
fn row_43_a_server_that_greets_and_takes_ehlo_is_up() {
    let played = play(HEALTHY, None, plain);
    assert_eq!(played.result, Ok("220-mail.example.com".to_owned()));
    assert_eq!(played.heard, ["EHLO localhost.localdomain", "QUIT"]);
    assert_eq!(played.took, Duration::ZERO);
}

#[test]
fn an_old_server_is_asked_with_helo() {
    let played = play(&["220 old\r\n", "500 what?\r\n", "250 hello\r\n", "221 bye\r\n"], None, plain);
    assert_eq!(played.result, Ok("220 old".to_owned()));
    assert_eq!(played.heard, ["EHLO localhost.localdomain", "HELO localhost.localdomain", "QUIT"]);
}

#[test]
fn refusals_are_told() {
    for (step, says, expected) in [
        (0, "554 go away\r\n", "expected a greeting 2xx, got \"554 go away\""),
        (0, "421-busy\r\n421 come back later\r\n", "expected a greeting 2xx, got \"421-busy\""),
        (1, "450 not now\r\n", "expected 2xx to EHLO, got \"450 not now\""),
        (0, "HTTP/1.1 400 Bad Request\r\n", "expected a greeting 2xx, got \"HTTP/1.1 400 Bad Request\""),
    ] {
        let why = play(HEALTHY, Some((step, Twist::Say(says))), plain).result.expect_err("refused");
        assert_eq!(why, format!("192.0.2.1:2525: {expected}"));
    }
    let why = play(&["220 old\r\n", "502 no\r\n", "550 nor that\r\n"], None, plain).result.expect_err("refused");
    assert_eq!(why, "192.0.2.1:2525: expected 2xx to HELO, got \"550 nor that\"");
}

#[test]
fn whatever_else_a_server_does_it_is_down_in_time() {
    misbehave(HEALTHY, 2, "250-more\r\n", plain);
    misbehave(&["220 a\r\n", "250 b\r\n", "220 go\r\n", "250 c\r\n"], 3, "220-more\r\n", starttls);
}

#[test]
fn a_farewell_that_is_not_answered_costs_half_a_second_and_no_verdict() {
    for twist in [Twist::Hang, Twist::Close, Twist::Drip] {
        let played = play(HEALTHY, Some((2, twist)), plain);
        assert!(played.result.is_ok() && played.took <= Duration::from_millis(500), "{twist:?}: {played:?}");
    }
}

#[test]
fn what_is_said_before_encryption_is_not_taken_for_an_answer_under_it() {
    let answers = &["220 a\r\n", "250 b\r\n", "220 go\r\n250 injected\r\n"];
    let why = play(answers, None, starttls).result.expect_err("injected");
    assert_eq!(why, "192.0.2.1:2525: expected a TLS handshake, got \"250 injected\\r\\n\"");
}

#[test]
fn a_server_without_starttls_is_down_when_it_is_asked_for() {
    let why = play(&["220 a\r\n", "250 b\r\n", "502 no\r\n"], None, starttls).result.expect_err("no TLS");
    assert_eq!(why, "192.0.2.1:2525: expected 2xx to STARTTLS, got \"502 no\"");
}

#[test]
fn an_alert_is_told_and_so_is_a_server_without_tls() {
    let alert = "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}";
    for (says, told) in [(alert, "HandshakeFailure"), ("220 no TLS here\r\n", "corrupt message")] {
        let why = play(&[says], None, at_once).result.expect_err("no TLS");
        assert!(why.starts_with("192.0.2.1:2525: expected a TLS handshake, got ") && why.contains(told), "{why}");
    }
}
