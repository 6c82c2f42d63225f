//! `service=grpc`, an extension: gRPC's own health check (`grpc.health.v1.Health/Check`).
//!
//! HTTP/2 without TLS, which is how servers behind a director speak it.

mod message;

use std::io::Cursor;

use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;

use self::message::Health;
use super::stage::{Stage, quoted};
use crate::config::model::Grpc;

/// Most bytes of an answer, and of its headers.
const MOST: usize = 16 * 1024;

const PATH: &str = "/grpc.health.v1.Health/Check";

type Said = Cursor<Vec<u8>>;

/// Asks.
pub async fn check(grpc: &Grpc, stage: &Stage) -> Result<String, String> {
    let stream = stage.connect().await?;
    stage.expect("an answer over HTTP/2");
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(16 * 1024).initial_window_size(65_535);
    let (sender, connection) =
        builder.handshake::<TcpStream, Said>(stream).await.map_err(|error| broken(stage, &error))?;
    let asked = ask(grpc, stage, sender);
    tokio::pin!(asked);
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        // What came before the end may still be the answer.
        _ = connection => asked.await,
    }
}

fn broken(stage: &Stage, error: &h2::Error) -> String {
    error.get_io().map_or_else(|| stage.wrong(quoted(error.to_string().as_bytes())), |error| stage.broken(error))
}

async fn ask(grpc: &Grpc, stage: &Stage, sender: SendRequest<Said>) -> Result<String, String> {
    let request = Request::post(format!("http://{}{PATH}", grpc.authority))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("ldirectord/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| format!("{}: cannot ask for {:?} ({error})", stage.at(), grpc.authority))?;
    let broken = |error: h2::Error| broken(stage, &error);
    let mut sender = sender.ready().await.map_err(broken)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(broken)?;
    body.send_data(Cursor::new(message::request(&grpc.service)), true).map_err(broken)?;
    let answer = answer.await.map_err(broken)?;
    stage.expect("SERVING");
    if answer.status() != 200 {
        return Err(stage.wrong(format!("HTTP status {}", answer.status())));
    }
    judge(stage, answer).await
}

async fn judge(stage: &Stage, answer: Response<RecvStream>) -> Result<String, String> {
    let broken = |error: h2::Error| broken(stage, &error);
    let (head, mut body) = answer.into_parts();
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(broken)?;
        body.flow_control().release_capacity(piece.len()).map_err(broken)?;
        message.extend_from_slice(&piece);
        if message.len() > MOST {
            return Err(stage.wrong(format!("more than {MOST} bytes")));
        }
    }
    let trailers = body.trailers().await.map_err(broken)?;
    // An answer that is only an error has it among its first headers.
    let status = trailers.as_ref().and_then(status).or_else(|| status(&head.headers));
    match status {
        Some((0, _)) => {}
        Some((code, text)) => return Err(stage.wrong(format!("{} {}", code_name(code), quoted(&text)))),
        None => return Err(stage.wrong("an answer without grpc-status")),
    }
    match message::health(&message) {
        Some(Health::Serving) => Ok("SERVING".to_owned()),
        Some(other) => Err(stage.wrong(other.name())),
        None => Err(stage.wrong(format!("an answer that is not well-formed, {}", quoted(&message)))),
    }
}

fn status(headers: &HeaderMap) -> Option<(u32, Vec<u8>)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let text = headers.get("grpc-message").map(|text| text.as_bytes().to_vec());
    Some((code, text.unwrap_or_default()))
}

fn code_name(code: u32) -> String {
    let name = match code {
        4 => "DEADLINE_EXCEEDED",
        // The service that was asked for.
        5 => "NOT_FOUND",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        code => return format!("grpc-status {code}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
