//! Small servers that behave and misbehave, for the checks' tests.

use std::future::Future;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Tools, run as check};
use crate::config::model::Check;

/// Runs a story on a runtime of its own.
pub fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, story);
}

/// The result of one check.
pub async fn report(target: &Check) -> Result<String, String> {
    check(target, &Tools::new()).await.result
}

/// A port on loopback that nobody listens on.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address")
}

/// A listener whose queue is full, so that further connections hang as to a dead machine.
pub struct FullQueue {
    pub at: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

pub async fn full_queue() -> FullQueue {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
    listener.listen(0).expect("listens");
    let at = listener.local_addr().expect("an address").as_socket().expect("an IP address");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("non-blocking");
        // In progress, or refused to be queued: either way the queue fills up.
        let _ = client.connect(&at.into());
        waiting.push(client);
    }
    FullQueue { at, _listener: listener, _waiting: waiting }
}

/// Serves every connection with `serve`, which is given the request's head.
pub async fn server<F, S>(serve: S) -> SocketAddr
where
    F: Future<Output = ()>,
    S: Fn(String, TcpStream) -> F + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    let serve = std::rc::Rc::new(serve);
    tokio::task::spawn_local(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let serve = serve.clone();
            tokio::task::spawn_local(async move {
                let request = head(&mut stream).await;
                serve(request, stream).await;
            });
        }
    });
    at
}

async fn head(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

/// Sends an answer and closes.
pub async fn answer(mut stream: TcpStream, text: &str) {
    // A client that gave up meanwhile is part of some stories.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
