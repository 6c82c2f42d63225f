use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::check::scripted::{LONG, SHORT, Step, negotiate, serve, tcp, udp};
use crate::check::testing::{closed_port, run};
use crate::config::Pattern;
use crate::config::model::{Probe, SimpleTcp, Transport};

fn probe(at: SocketAddr, transport: Transport, receive: &str) -> Probe {
    let receive = Some(Pattern::new(receive).expect("a pattern")).filter(|pattern| !pattern.as_str().is_empty());
    Probe::SimpleTcp(SimpleTcp { at, transport, request: "PING\n".into(), receive })
}

#[test]
fn row_46_some_line_has_to_match_and_the_client_has_said_all() {
    run(async {
        let at = serve(|mut stream| async move {
            let mut said = String::new();
            // Ends only because the client has closed its half.
            stream.read_to_string(&mut said).await.expect("text");
            let _ = stream.write_all(format!("hello\nPONG to {said}").as_bytes()).await;
        })
        .await;
        assert_eq!(negotiate(probe(at, Transport::Tcp, "^PONG to PING$"), LONG).await, Ok("PONG to PING".into()));
        assert_eq!(negotiate(probe(at, Transport::Tcp, ""), LONG).await, Ok("hello".into()));
        let why = negotiate(probe(at, Transport::Tcp, "hello\nPONG"), LONG).await.expect_err("no single line");
        let told = format!("{at}: expected a line that matches, got \"PONG to PING\\n\" as the last line, after ");
        assert!(why.starts_with(&told), "{why}");
    });
}

#[test]
fn a_server_that_says_nothing_is_down() {
    run(async {
        let silent = tcp(vec![Step::Hang]).await;
        let why = negotiate(probe(silent, Transport::Tcp, ""), SHORT).await.expect_err("silent");
        assert!(why.starts_with(&format!("500 Timeout Alarm: {silent}: expected an answer, got nothing")), "{why}");
        let half = tcp(vec![Step::Say(b"PIN".to_vec()), Step::Hang]).await;
        let why = negotiate(probe(half, Transport::Tcp, "PONG"), SHORT).await.expect_err("half a line");
        assert!(why.starts_with("500 Timeout Alarm: "), "{why}");
        let closes = tcp(vec![Step::Hear]).await;
        let why = negotiate(probe(closes, Transport::Tcp, ""), LONG).await.expect_err("nothing said");
        assert!(why.starts_with(&format!("{closes}: expected an answer, got the end of the connection")), "{why}");
        let nobody = closed_port().await;
        let why = negotiate(probe(nobody, Transport::Tcp, ""), LONG).await.expect_err("nobody");
        assert!(why.starts_with(&format!("Can't connect to {nobody} (Connection refused)")), "{why}");
    });
}

#[test]
fn a_last_line_without_end_counts_and_an_endless_one_to_its_first_megabyte() {
    run(async {
        let at = tcp(vec![Step::Hear, Step::Say(b"\x1b\xffPONG".to_vec())]).await;
        assert_eq!(negotiate(probe(at, Transport::Tcp, "PONG$"), LONG).await, Ok("\\u{1b}\u{fffd}PONG".into()));
        let at = serve(|mut stream| async move {
            let _ = stream.write_all(b"begin").await;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        })
        .await;
        assert!(negotiate(probe(at, Transport::Tcp, "^beginx"), LONG).await.is_ok());
        let why = negotiate(probe(at, Transport::Tcp, "the end"), LONG).await.expect_err("never comes");
        assert!(why.starts_with(&format!("{at}: expected a line that matches, got \"beginxxx")), "{why}");
    });
}

#[test]
fn over_udp_a_line_of_a_datagram_has_to_match_with_or_without_its_end() {
    run(async {
        let at = udp(|asked| {
            assert_eq!(asked, b"PING\n");
            vec![b"hello\nPONG".to_vec()]
        })
        .await;
        assert_eq!(negotiate(probe(at, Transport::Udp, "^PONG"), LONG).await, Ok("PONG".into()));
        assert_eq!(negotiate(probe(at, Transport::Udp, ""), LONG).await, Ok("hello".into()));
        let why = negotiate(probe(at, Transport::Udp, "^other"), SHORT).await.expect_err("something else");
        let told = format!("500 Timeout Alarm: {at}: expected a line that matches, got only \"hello\\nPONG\"");
        assert!(why.starts_with(&told), "{why}");
    });
}
