use std::net::SocketAddr;

use super::options;
use crate::check::scripted::{LONG, SHORT, Step, negotiate, refused, tcp, udp};
use crate::check::testing::{closed_port, full_queue, run};
use crate::config::model::{Probe, Sip, Transport};

fn probe(at: SocketAddr, transport: Transport) -> Probe {
    Probe::Sip(Sip { at, transport, login: "ldirectord@lvs1".to_owned() })
}

#[test]
fn the_request_is_that_of_the_original() {
    let from = "[2001:db8::1]:5070".parse().expect("an address");
    let wanted = "OPTIONS sip:me@here SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bKhjhs8ass877\r\n\
                  Max-Forwards: 70\r\nTo: <sip:me@here>\r\nFrom: <sip:me@here>;tag=1928301774\r\n\
                  Call-ID: 0000000000c0ffee\r\nCSeq: 63104 OPTIONS\r\nContact: <sip:me@here>\r\n\
                  Accept: application/sdp\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(options("me@here", from, 0xc0_ffee), wanted);
}

#[test]
fn row_47_over_udp_200_is_up_and_anything_else_is_down() {
    run(async {
        for (answers, wanted) in [
            (vec!["SIP/2.0 200 OK\r\nTo: x\r\n\r\n"], Ok("SIP/2.0 200 OK")),
            (vec!["SIP/2.0 100 Trying\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"], Ok("SIP/2.0 200 OK")),
            (vec!["SIP/2.0 200 OK\x1b[2J\r\n\r\n"], Ok("SIP/2.0 200 OK\\u{1b}[2J")),
            (vec!["SIP/2.0 404 Not Found\r\n\r\n"], Err(r#"got "SIP/2.0 404 Not Found","#)),
            (vec!["\x00\x01\u{7f}"], Err(r#"got "\0\u{1}\u{7f}","#)),
            (vec![""], Err(r#"got "","#)),
        ] {
            let at = udp(move |asked| {
                assert!(asked.starts_with(b"OPTIONS sip:ldirectord@lvs1 SIP/2.0\r\n"));
                answers.iter().map(|answer| answer.as_bytes().to_vec()).collect()
            })
            .await;
            match (negotiate(probe(at, Transport::Udp), LONG).await, wanted) {
                (Ok(line), Ok(wanted)) => assert_eq!(line, wanted),
                (Err(why), Err(wanted)) => {
                    assert!(why.starts_with(&format!("{at}: expected SIP/2.0 200 OK, got ")), "{why}");
                    assert!(why.contains(wanted), "{why}");
                }
                (got, _) => panic!("{got:?}"),
            }
        }
    });
}

#[test]
fn row_47_over_udp_silence_and_refusal_are_down() {
    run(async {
        let silent = udp(|_| vec![b"SIP/2.0 100 Trying\r\n\r\n".to_vec()]).await;
        let why = negotiate(probe(silent, Transport::Udp), SHORT).await.expect_err("no final answer");
        assert!(why.contains(r#"expected SIP/2.0 200 OK, got only "SIP/2.0 100 Trying", after "#), "{why}");
        let why = negotiate(probe(refused().await, Transport::Udp), LONG).await.expect_err("refused");
        assert!(why.contains("Connection refused"), "{why}");
    });
}

#[test]
fn over_tcp_the_head_may_come_in_pieces_or_end_with_the_connection() {
    run(async {
        let say = |text: &str| Step::Say(text.as_bytes().to_vec());
        for script in [
            vec![Step::Hear, say("SIP/2.0 200 OK\r\nTo: x\r\n\r\nbody"), Step::Hang],
            vec![Step::Hear, say("SIP/2.0 100 Trying\r\n\r\nSIP/2.0 2"), say("00 OK\n\n"), Step::Hang],
            vec![Step::Hear, say("SIP/2.0 200 OK\r\nTo: x")],
        ] {
            let at = tcp(script).await;
            assert_eq!(negotiate(probe(at, Transport::Tcp), LONG).await, Ok("SIP/2.0 200 OK".to_owned()));
        }
    });
}

#[test]
fn over_tcp_every_other_end_is_down() {
    run(async {
        let say = |text: &str| Step::Say(text.as_bytes().to_vec());
        let endless = "x".repeat(40_000);
        for (script, wanted) in [
            (vec![Step::Hear, say("SIP/2.0 503 Busy\r\n\r\n")], r#"got "SIP/2.0 503 Busy""#),
            (vec![Step::Hear], "got the end of the connection"),
            (vec![Step::Hear, say("SIP/2.0 200 OK\r\n"), Step::Hang], r#"500 Timeout Alarm"#),
            (vec![Step::Hear, say(&endless), Step::Hang], "got more than 16384 bytes, beginning with \"xxx"),
            (vec![Step::Hang], "got nothing"),
        ] {
            let at = tcp(script).await;
            let why = negotiate(probe(at, Transport::Tcp), SHORT).await.expect_err("not healthy");
            assert!(why.contains(wanted) && why.contains(&at.to_string()), "{why}");
        }
        let why = negotiate(probe(closed_port().await, Transport::Tcp), LONG).await.expect_err("refused");
        assert!(why.starts_with("Can't connect to 127.0.0.1:"), "{why}");
        let hung = full_queue().await;
        let why = negotiate(probe(hung.at, Transport::Tcp), SHORT).await.expect_err("a dead machine");
        assert!(why.contains("expected a connection, got nothing"), "{why}");
    });
}
