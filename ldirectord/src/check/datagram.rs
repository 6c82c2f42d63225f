//! One question over UDP, asked again until somebody answers it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::stage::Stage;

/// A lost packet says nothing about the server. The question is asked again after this, then
/// after twice as long, up to [`LONGEST`]: what resolvers, RFC 2865 and RFC 3261 do.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(4);

/// A socket that hears this server only, and learns that nobody listens there.
pub async fn socket(stage: &Stage) -> Result<UdpSocket, String> {
    let any: SocketAddr = match stage.at() {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|error| stage.broken(&error))?;
    socket.connect(stage.at()).await.map_err(|error| stage.broken(&error))?;
    Ok(socket)
}

/// Sends `question` until `judge` takes a datagram for the answer; of those it does not take it
/// returns what was wrong with them. At most `most` bytes of a datagram are looked at.
pub async fn ask<T>(
    stage: &Stage,
    socket: &UdpSocket,
    question: &[u8],
    most: usize,
    mut judge: impl FnMut(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let mut buffer = vec![0; most];
    let mut pause = AGAIN;
    loop {
        socket.send(question).await.map_err(|error| stage.broken(&error))?;
        let again = Instant::now() + pause;
        while let Ok(received) = timeout_at(again, socket.recv(&mut buffer)).await {
            let length = received.map_err(|error| stage.broken(&error))?;
            match judge(&buffer[..length]) {
                Ok(answer) => return Ok(answer),
                Err(why) => stage.heard(why),
            }
        }
        pause = (pause * 2).min(LONGEST);
    }
}
