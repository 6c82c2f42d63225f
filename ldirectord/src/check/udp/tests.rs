use crate::check::scripted::{LONG, SHORT, negotiate, refused, udp};
use crate::config::model::{Probe, Udp};
use crate::config::pattern::Pattern;

use super::super::testing::run;

use std::net::SocketAddr;

fn probe(at: SocketAddr, receive: Option<&str>) -> Probe {
    let receive = receive.map(|text| Pattern::new(text).expect("a pattern"));
    Probe::Udp(Udp { at, request: b"\x01ping".to_vec(), receive })
}

#[test]
fn an_answer_that_matches_is_up_and_another_is_down() {
    run(async {
        let at = udp(|asked| vec![[asked, b"pong"].concat()]).await;
        assert_eq!(negotiate(probe(at, Some("ping(?=pong)")), LONG).await, Ok("9 bytes".to_owned()));
        let why = negotiate(probe(at, Some("^pong")), LONG).await.expect_err("another answer");
        let wanted =
            format!(r#"{at}: expected a matching answer, got "\u{{1}}pingpong", which does not match "^pong", "#);
        assert!(why.starts_with(&wanted), "{why}");
    });
}

#[test]
fn nobody_has_to_answer_unless_a_pattern_asks_for_it() {
    run(async {
        let silent = udp(|_| Vec::new()).await;
        assert_eq!(negotiate(probe(silent, None), LONG).await, Ok("not refused".to_owned()));
        let why = negotiate(probe(silent, Some("pong")), SHORT).await.expect_err("silence");
        let wanted = format!("500 Timeout Alarm: {silent}: expected a matching answer, got nothing, after ");
        assert!(why.starts_with(&wanted), "{why}");
    });
}

#[test]
fn a_port_nobody_listens_on_is_down_at_once() {
    run(async {
        let at = refused().await;
        for receive in [None, Some("pong")] {
            let why = negotiate(probe(at, receive), LONG).await.expect_err("refused");
            assert!(why.contains(&format!("{at}: expected ")) && why.contains("got Connection refused"), "{why}");
        }
    });
}

#[test]
fn a_lost_packet_is_sent_again() {
    run(async {
        let mut asked = 0;
        let at = udp(move |_| {
            asked += 1;
            if asked == 1 { Vec::new() } else { vec![b"pong".to_vec()] }
        })
        .await;
        assert_eq!(negotiate(probe(at, Some("pong")), LONG).await, Ok("4 bytes".to_owned()));
    });
}
