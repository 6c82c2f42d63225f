//! `service=sip` (spec/ldirectord.md 8.5): an OPTIONS request, answered with 200.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::datagram;
use super::dialogue::shown;
use super::stage::{Stage, quoted};
use crate::config::model::{Sip, Transport};

/// Most of an answer that is read, bytes.
const MOST: usize = 16 * 1024;

/// Asks; `call` is the id of the call.
pub async fn check(sip: &Sip, stage: &Stage, call: [u8; 8]) -> Result<String, String> {
    let call = u64::from_be_bytes(call);
    let answer = match sip.transport {
        Transport::Udp => {
            let socket = datagram::socket(stage).await?;
            let from = socket.local_addr().map_err(|error| stage.broken(&error))?;
            stage.expect("SIP/2.0 200 OK");
            let question = options(&sip.login, from, call);
            datagram::ask(stage, &socket, question.as_bytes(), MOST, not_provisional).await?
        }
        Transport::Tcp => {
            let mut stream = stage.connect().await?;
            let from = stream.local_addr().map_err(|error| stage.broken(&error))?;
            stage.expect("SIP/2.0 200 OK and an empty line");
            let question = options(&sip.login, from, call);
            stream.write_all(question.as_bytes()).await.map_err(|error| stage.broken(&error))?;
            final_head(stage, &mut stream).await?
        }
    };
    let line = first_line(&answer);
    if line.starts_with(b"SIP/2.0 200 OK") {
        Ok(shown(&String::from_utf8_lossy(line)))
    } else {
        Err(stage.wrong(quoted(line)))
    }
}

/// The request. "UDP" also over TCP: that is what the original sends, and servers answer where
/// the request came from.
fn options(login: &str, from: SocketAddr, call: u64) -> String {
    format!(
        "OPTIONS sip:{login} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bKhjhs8ass877\r\n\
         Max-Forwards: 70\r\n\
         To: <sip:{login}>\r\n\
         From: <sip:{login}>;tag=1928301774\r\n\
         Call-ID: {call:016x}\r\n\
         CSeq: 63104 OPTIONS\r\n\
         Contact: <sip:{login}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\
         \r\n"
    )
}

/// `100 Trying` and the like: the answer is still to come (RFC 3261 17.1.2).
fn not_provisional(answer: &[u8]) -> Result<Vec<u8>, String> {
    let line = first_line(answer);
    if line.starts_with(b"SIP/2.0 1") { Err(quoted(line)) } else { Ok(answer.to_vec()) }
}

fn first_line(answer: &[u8]) -> &[u8] {
    let line = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Up to the empty line, or to the end of the connection; provisional answers before it are
/// passed over.
async fn final_head(stage: &Stage, stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut heard = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        while let Some(end) = end_of_head(&heard) {
            let head: Vec<u8> = heard.drain(..end).collect();
            match not_provisional(&head) {
                Ok(head) => return Ok(head),
                Err(provisional) => stage.heard(provisional),
            }
        }
        let length = stream.read(&mut buffer).await.map_err(|error| stage.broken(&error))?;
        if length == 0 && heard.is_empty() {
            return Err(stage.wrong("the end of the connection"));
        }
        if length == 0 {
            return not_provisional(&heard).map_err(|provisional| stage.wrong(provisional));
        }
        heard.extend_from_slice(&buffer[..length]);
        if heard.len() > MOST {
            return Err(stage.wrong(format!("more than {MOST} bytes, beginning with {}", quoted(&heard))));
        }
        stage.heard(quoted(first_line(&heard)));
    }
}

/// Where what follows the first empty line begins.
fn end_of_head(heard: &[u8]) -> Option<usize> {
    let mut begin = 0;
    for line in heard.split_inclusive(|&byte| byte == b'\n') {
        begin += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some(begin);
        }
    }
    None
}

#[cfg(test)]
mod tests;
