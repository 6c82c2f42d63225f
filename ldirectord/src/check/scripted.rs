//! Servers of a few lines for the tests of query protocols.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Tools, run as check};
use crate::config::model::{Check, Negotiate, Probe};

/// What a scripted server does next. When it has done everything it closes.
#[derive(Debug, Clone)]
pub enum Step {
    /// Waits until something comes, and reads it.
    Hear,
    /// Says this.
    Say(Vec<u8>),
    /// Goes on waiting for ever.
    Hang,
}

/// Every connection is served by the same script.
pub async fn tcp(script: Vec<Step>) -> SocketAddr {
    serve(move |stream| follow(script.clone(), stream)).await
}

/// Every connection is served by `talk`.
pub async fn serve<F: Future<Output = ()>>(talk: impl Fn(TcpStream) -> F + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    let talk = Rc::new(talk);
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let talk = talk.clone();
            tokio::task::spawn_local(async move { talk(stream).await });
        }
    });
    at
}

async fn follow(script: Vec<Step>, mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    for step in script {
        // A client that gave up meanwhile is part of some stories.
        let _ = match step {
            Step::Hear => stream.read(&mut buffer).await.map(drop),
            Step::Say(bytes) => stream.write_all(&bytes).await,
            Step::Hang => std::future::pending().await,
        };
    }
}

/// Answers each datagram with those that `answer` makes of it.
pub async fn udp(mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("its address");
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for reply in answer(&buffer[..length]) {
                let _ = socket.send_to(&reply, from).await;
            }
        }
    });
    at
}

/// A port on loopback to which no datagram can be sent.
pub async fn refused() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.local_addr().expect("its address")
}

/// The result of one negotiation that may take this long.
pub async fn negotiate(probe: Probe, timeout: Duration) -> Result<String, String> {
    check(&Check::Negotiate(Negotiate { probe, timeout }), &Tools::new()).await.result
}

/// What a negotiation that may take this long tells the monitor file.
pub async fn words(probe: Probe, timeout: Duration) -> Option<String> {
    check(&Check::Negotiate(Negotiate { probe, timeout }), &Tools::new()).await.words
}

/// Long enough for anything that ends by itself.
pub const LONG: Duration = Duration::from_secs(20);

/// Short, for what does not.
pub const SHORT: Duration = Duration::from_millis(300);
