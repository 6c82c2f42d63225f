use std::net::SocketAddr;

use h2::server::handshake;
use http::{HeaderMap, Response};

use crate::check::scripted::{LONG, SHORT, Step, negotiate, serve, tcp};
use crate::check::testing::{closed_port, run};
use crate::config::model::{Grpc, Probe};

fn probe(at: SocketAddr) -> Probe {
    Probe::Grpc(Grpc { at, authority: at.to_string(), service: "shop.Cart".to_owned() })
}

/// What a server answers.
#[derive(Clone)]
struct Answer {
    status: u16,
    message: Vec<u8>,
    grpc_status: Option<&'static str>,
}

async fn server(answer: Answer) -> SocketAddr {
    serve(move |stream| {
        let answer = answer.clone();
        async move {
            let Ok(mut connection) = handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.headers()["te"], "trailers");
                let head = Response::builder().status(answer.status).body(()).expect("a response");
                let mut body = respond.send_response(head, false).expect("said");
                body.send_data(answer.message.clone().into(), false).expect("said");
                let mut trailers = HeaderMap::new();
                if let Some(status) = answer.grpc_status {
                    trailers.insert("grpc-status", status.parse().expect("a value"));
                    trailers.insert("grpc-message", "no such\u{9}service".parse().expect("a value"));
                }
                body.send_trailers(trailers).expect("said");
            }
        }
    })
    .await
}

const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";

#[test]
fn serving_is_up_and_everything_else_is_down() {
    run(async {
        let healthy = Answer { status: 200, message: SERVING.to_vec(), grpc_status: Some("0") };
        let at = server(healthy.clone()).await;
        assert_eq!(negotiate(probe(at), LONG).await, Ok("SERVING".to_owned()));
        for (answer, wanted) in [
            (
                Answer { message: b"\0\0\0\0\x02\x08\x02".to_vec(), ..healthy.clone() },
                "SERVING, got NOT_SERVING, after",
            ),
            (Answer { grpc_status: Some("5"), ..healthy.clone() }, r#"got NOT_FOUND "no such\tservice", after"#),
            (Answer { grpc_status: None, ..healthy.clone() }, "got an answer without grpc-status"),
            (Answer { status: 404, ..healthy.clone() }, "got HTTP status 404 Not Found"),
            (Answer { message: b"garbage".to_vec(), ..healthy.clone() }, "not well-formed, \"garbage\""),
            (Answer { message: vec![0; 60_000], ..healthy.clone() }, "got more than 16384 bytes"),
        ] {
            let at = server(answer).await;
            let why = negotiate(probe(at), LONG).await.expect_err(wanted);
            assert!(why.starts_with(&format!("{at}: expected ")) && why.contains(wanted), "{why}");
        }
    });
}

#[test]
fn silence_garbage_and_nobody_are_down() {
    run(async {
        for (script, wanted) in [
            (vec![Step::Hang], "500 Timeout Alarm"),
            (
                vec![Step::Hear, Step::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Step::Hang],
                "an answer over HTTP/2",
            ),
            (vec![Step::Hear], "expected an answer over HTTP/2, got "),
            // A settings frame, and no more.
            (vec![Step::Hear, Step::Say(b"\0\0\0\x04\0\0\0\0\0".to_vec()), Step::Hang], "500 Timeout Alarm"),
            (
                vec![Step::Say(b"\xff\xff\xff\0\0\0\0\0\x01".to_vec()), Step::Hang],
                "expected an answer over HTTP/2, got ",
            ),
        ] {
            let at = tcp(script).await;
            let why = negotiate(probe(at), SHORT).await.expect_err(wanted);
            assert!(why.contains(&at.to_string()) && why.contains(wanted), "{why}");
        }
        let why = negotiate(probe(closed_port().await), LONG).await.expect_err("refused");
        assert!(why.starts_with("Can't connect to 127.0.0.1:"), "{why}");
    });
}
