use std::net::SocketAddr;

use super::packet::testing::answer;
use crate::check::scripted::{LONG, SHORT, negotiate, refused, udp};
use crate::check::testing::run;
use crate::config::model::{Credentials, Probe, Radius, Secret};

fn probe(at: SocketAddr) -> Probe {
    let login = Credentials { name: "nemo".to_owned(), password: Secret::new("arctangent".to_owned()) };
    Probe::Radius(Radius { at, login, secret: Secret::new("xyzzy5461".to_owned()) })
}

async fn server(code: u8, attributes: &'static [u8], secret: &'static [u8]) -> SocketAddr {
    udp(move |request| vec![answer(request, code, attributes, secret)]).await
}

#[test]
fn row_48_accepted_is_up_and_refused_is_down() {
    run(async {
        let at = server(2, b"", b"xyzzy5461").await;
        assert_eq!(negotiate(probe(at), LONG).await, Ok("Access-Accept".to_owned()));
        let at = server(3, b"\x12\x09no\x1bhere", b"xyzzy5461").await;
        let why = negotiate(probe(at), LONG).await.expect_err("refused");
        let wanted = format!(r#"{at}: expected Access-Accept, got Access-Reject "no\u{{1b}}here", after "#);
        assert!(why.starts_with(&wanted), "{why}");
        let at = server(11, b"", b"xyzzy5461").await;
        let why = negotiate(probe(at), LONG).await.expect_err("challenged");
        assert!(why.contains("got Access-Challenge, after "), "{why}");
    });
}

#[test]
fn row_48_an_answer_that_proves_nothing_is_not_believed() {
    run(async {
        let at = server(2, b"", b"another secret").await;
        let why = negotiate(probe(at), SHORT).await.expect_err("not proven");
        assert!(why.contains("got only an answer whose authenticator is wrong (is the secret the same"), "{why}");
        assert!(!why.contains("arctangent") && !why.contains("xyzzy"), "{why}");
        // A forged refusal does not keep the genuine answer from being heard.
        let at = udp(|request| vec![answer(request, 3, b"", b"no"), answer(request, 2, b"", b"xyzzy5461")]).await;
        assert_eq!(negotiate(probe(at), LONG).await, Ok("Access-Accept".to_owned()));
    });
}

#[test]
fn row_48_silence_garbage_and_nobody_are_down() {
    run(async {
        let at = udp(|_| Vec::new()).await;
        let why = negotiate(probe(at), SHORT).await.expect_err("silence");
        assert!(why.starts_with(&format!("500 Timeout Alarm: {at}: expected Access-Accept, got nothing")), "{why}");
        let at = udp(|_| vec![b"garbage".to_vec(), Vec::new()]).await;
        let why = negotiate(probe(at), SHORT).await.expect_err("garbage");
        assert!(why.contains("got only a packet that ends too early"), "{why}");
        let why = negotiate(probe(refused().await), LONG).await.expect_err("nobody");
        assert!(why.contains("Connection refused"), "{why}");
    });
}
