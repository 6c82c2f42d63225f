//! Where a conversation stands, so that every failure says who was asked, what was expected and
//! what came instead.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reason;

/// How much of what came is told, characters.
const QUOTED: usize = 80;

/// The stage of one check.
#[derive(Debug)]
pub struct Stage {
    at: SocketAddr,
    /// Never held while anything is waited for.
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    expected: &'static str,
    heard: Option<String>,
}

/// Makes a check that has `limit` in all, and tells what it was waiting for when that is over.
pub async fn within(
    limit: Duration,
    at: SocketAddr,
    check: impl AsyncFnOnce(&Stage) -> Result<String, String>,
) -> Result<String, String> {
    let stage = Stage { at, now: Mutex::new(Now { expected: "a connection", heard: None }) };
    // Apart, so that the smallest check does not take the room of the largest.
    let result = timeout(limit, Box::pin(check(&stage))).await;
    result.unwrap_or_else(|_| Err(format!("500 Timeout Alarm: {}", stage.wrong(stage.came()))))
}

impl Stage {
    /// Who is asked.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// From now on `what` is waited for: `the answer to the bind`.
    pub fn expect(&self, what: &'static str) {
        self.now().expected = what;
    }

    /// Something came that does not count, such as the answer to another question. It is told
    /// if nothing better comes.
    pub fn heard(&self, what: String) {
        self.now().heard = Some(what);
    }

    /// A failure: `192.0.2.1:389: expected the answer to the bind, got ...`.
    pub fn wrong(&self, got: impl fmt::Display) -> String {
        format!("{}: expected {}, got {got}", self.at, self.now().expected)
    }

    /// A failure of the connection.
    pub fn broken(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.wrong("the end of the connection"),
            _ => self.wrong(reason(error)),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self) -> String {
        self.now().heard.as_ref().map_or_else(|| "nothing".to_owned(), |what| format!("only {what}"))
    }

    /// A TCP connection to the server.
    pub async fn connect(&self) -> Result<TcpStream, String> {
        let connected = TcpStream::connect(self.at).await;
        let stream = connected.map_err(|error| format!("Can't connect to {} ({})", self.at, reason(&error)))?;
        // Small questions, each in one piece: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Text from outside, for a log line: quoted, without control characters, cut.
pub fn quoted(text: &[u8]) -> String {
    // Four bytes are the longest character; what follows would be cut anyway.
    let begin = String::from_utf8_lossy(&text[..text.len().min(QUOTED * 4)]);
    let cut: String = begin.chars().take(QUOTED).collect();
    let dots = if cut.len() < begin.len() || text.len() > QUOTED * 4 { "..." } else { "" };
    format!("{cut:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use proptest::prelude::*;

    #[test]
    fn what_is_told_is_clean_and_short() {
        assert_eq!(quoted(b"554 go away\r\n\x1b[2J"), r#""554 go away\r\n\u{1b}[2J""#);
        assert_eq!(quoted(&[b'x'; 500]).len(), 80 + 2 + 3);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_breaks_a_line(bytes: Vec<u8>) {
            let text = quoted(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
