//! Scripted servers at the other end of a pipe, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::check::stage::{Stage, within};

/// The whole time of each conversation.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What a server does instead of giving an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Says nothing any more.
    Hang,
    /// Closes.
    Close,
    /// Closes in the middle of a line.
    Break,
    /// Says something from another world.
    Garbage,
    /// A line without end.
    EndlessLine,
    /// Lines of this without end.
    EndlessLines(&'static str),
    /// One byte each second, and never a line end.
    Drip,
    /// Says this.
    Say(&'static str),
}

/// What came of a conversation.
#[derive(Debug)]
pub struct Played {
    pub result: Result<String, String>,
    /// The lines that the server heard.
    pub heard: Vec<String>,
    pub took: Duration,
}

/// Who the server is said to be.
pub fn address() -> SocketAddr {
    ([192, 0, 2, 1], 2525).into()
}

/// Has a check talk to a server that gives the first of these answers at once and each other one after a line, but at the
/// step of the twist does something else.
pub fn play(
    answers: &[&'static str],
    twist: Option<(usize, Twist)>,
    check: impl AsyncFnOnce(&Stage, DuplexStream) -> Result<String, String>,
) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (ours, theirs) = duplex(64 * 1024);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(serve(theirs, answers.to_vec(), twist, tell));
        let begin = Instant::now();
        let result = within(LIMIT, address(), async |stage| check(stage, ours).await).await;
        let took = begin.elapsed();
        server.abort();
        let mut heard = Vec::new();
        while let Ok(line) = told.try_recv() {
            heard.push(line);
        }
        Played { result, heard, took }
    })
}

/// All ways to misbehave, at each of the first `judged` steps of a conversation that would go well: the server has to be
/// down within the time, and the reason has to be fit for a log.
pub fn misbehave(
    answers: &[&'static str],
    judged: usize,
    endless: &'static str,
    check: impl AsyncFn(&Stage, DuplexStream) -> Result<String, String>,
) {
    let twists = [
        Twist::Hang,
        Twist::Close,
        Twist::Break,
        Twist::Garbage,
        Twist::EndlessLine,
        Twist::EndlessLines(endless),
        Twist::Drip,
    ];
    for step in 0..judged {
        for twist in twists {
            let Played { result, heard, took } = play(answers, Some((step, twist)), &check);
            let why = result.expect_err("a server that misbehaves");
            assert!(why.contains("192.0.2.1:2525: expected "), "{twist:?} at {step}: {why}");
            assert!(!why.chars().any(char::is_control) && why.len() < 600, "{twist:?} at {step}: {why}");
            assert!(heard.len() >= step, "{twist:?} at {step}: {heard:?}");
            let slow = matches!(twist, Twist::Hang | Twist::Drip);
            assert_eq!(
                (took, why.starts_with("500 Timeout Alarm: ")),
                (if slow { LIMIT } else { took }, slow),
                "{why}"
            );
            assert!(took <= LIMIT);
        }
    }
}

async fn serve(
    mut pipe: DuplexStream,
    answers: Vec<&'static str>,
    twist: Option<(usize, Twist)>,
    tell: tokio::sync::mpsc::UnboundedSender<String>,
) {
    for (step, answer) in answers.into_iter().enumerate() {
        if step > 0 {
            let Some(line) = hear(&mut pipe).await else { return };
            let _ = tell.send(line);
        }
        let twist = twist.filter(|&(at, _)| at == step).map(|(_, twist)| twist);
        // A client that has gone is part of some stories.
        let _ = match twist {
            None => pipe.write_all(answer.as_bytes()).await,
            Some(Twist::Say(text)) => pipe.write_all(text.as_bytes()).await,
            Some(Twist::Hang) => std::future::pending().await,
            Some(Twist::Close) => return,
            Some(Twist::Break) => {
                let _ = pipe.write_all(&answer.as_bytes()[..2]).await;
                return;
            }
            Some(Twist::Garbage) => pipe.write_all(b"\xff\x00\x1b[2J\x07 go away\r\n").await,
            Some(Twist::EndlessLine) => {
                while pipe.write_all(&[b'2'; 4096]).await.is_ok() {}
                return;
            }
            Some(Twist::EndlessLines(line)) => {
                while pipe.write_all(line.as_bytes()).await.is_ok() {}
                return;
            }
            Some(Twist::Drip) => {
                while pipe.write_all(b"2").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                return;
            }
        };
    }
    // Whatever else is said is heard.
    while let Some(line) = hear(&mut pipe).await {
        let _ = tell.send(line);
    }
}

async fn hear(pipe: &mut DuplexStream) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match pipe.read_u8().await {
            Ok(b'\n') => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(byte) => line.push(byte),
            Err(_) => return None,
        }
    }
}
