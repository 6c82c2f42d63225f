//! Conversations line by line: what SMTP, POP, IMAP, FTP, NNTP and simpletcp have in common.
//!
//! Everything that is heard is bounded: a line by [`MAX_LINE`], all of a conversation by [`MAX_HEARD`]. The time
//! is the [`Stage`]'s. Each wait names what is expected first, so whatever happens the failure says it.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::stage::{Stage, quoted};
use super::tls::Tls;
use crate::config::model::{Credentials, Encryption};

/// Longest line, bytes. Many times what the standards allow: the longest are capabilities of IMAP servers.
pub const MAX_LINE: usize = 64 * 1024;

/// Most that is heard in one conversation, bytes.
pub const MAX_HEARD: usize = 1024 * 1024;

/// How long a farewell waits for its answer. It changes nothing any more, but a connection that is closed
/// under an answer puts an error in the server's log.
const FAREWELL: Duration = Duration::from_millis(500);

/// A connection, encrypted or not.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A conversation under way.
pub struct Dialogue<'s> {
    stage: &'s Stage,
    wire: BufReader<Box<dyn Connection>>,
    heard: usize,
    /// Not told even if the server repeats it.
    secret: Option<&'s str>,
}

impl<'s> Dialogue<'s> {
    /// Over a new connection to the stage's server.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn connect(stage: &'s Stage) -> Result<Self, String> {
        Ok(Self::over(stage, stage.connect().await?))
    }

    /// Over a connection that is there.
    pub fn over(stage: &'s Stage, wire: impl Connection + 'static) -> Self {
        Self { stage, wire: BufReader::new(Box::new(wire)), heard: 0, secret: None }
    }

    /// From now on this login's password is kept out of failures.
    pub fn conceal(&mut self, login: &'s Credentials) {
        self.secret = Some(login.password.reveal()).filter(|secret| !secret.is_empty());
    }

    /// Goes on encrypted, unless that is not asked for or begins later, by a command.
    ///
    /// # Errors
    /// If the handshake fails.
    pub async fn begin(self, encryption: Option<&Encryption>, tls: &Tls) -> Result<Self, String> {
        match encryption {
            Some(encryption) if !encryption.starttls => self.encrypt(encryption, tls).await,
            _ => Ok(self),
        }
    }

    /// Goes on encrypted.
    ///
    /// # Errors
    /// If the handshake fails.
    pub async fn encrypt(self, encryption: &Encryption, tls: &Tls) -> Result<Self, String> {
        let Self { stage, wire, heard, secret } = self;
        stage.expect("a TLS handshake");
        // What came before the handshake came from anybody, and would be taken for an answer given under TLS.
        if !wire.buffer().is_empty() {
            return Err(stage.wrong(quoted(wire.buffer())));
        }
        let Encryption { name, verify, .. } = encryption;
        let encrypted = tls.begin(stage, wire.into_inner(), name.as_deref(), *verify).await?;
        let wire: Box<dyn Connection> = Box::new(encrypted);
        Ok(Self { stage, wire: BufReader::new(wire), heard, secret })
    }

    /// Says something; it ends with its own line end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn say(&mut self, text: &str) -> Result<(), String> {
        self.send(text).await.map_err(|error| self.stage.broken(&error))
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.wire.write_all(text.as_bytes()).await?;
        self.wire.flush().await
    }

    /// Says that nothing more will be said.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn finish(&mut self) -> Result<(), String> {
        self.wire.shutdown().await.map_err(|error| self.stage.broken(&error))
    }

    /// The next line with its line end. Without one it is what was left when the server closed, possibly nothing, or
    /// the beginning of a line longer than `longest` bytes or than what may still be heard.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn raw_line(&mut self, longest: usize) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let room = longest.min(MAX_HEARD - self.heard);
        let mut limited = (&mut self.wire).take(room as u64);
        limited.read_until(b'\n', &mut line).await.or_else(closed).map_err(|error| self.stage.broken(&error))?;
        self.heard += line.len();
        Ok(line)
    }

    /// The next line without its line end, invalid characters replaced. `expected` is what it should be.
    ///
    /// # Errors
    /// If there is none, or it is too long.
    pub async fn line(&mut self, expected: &'static str) -> Result<String, String> {
        self.stage.expect(expected);
        let line = self.raw_line(MAX_LINE).await?;
        if let Some(text) = line.strip_suffix(b"\n") {
            return Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned());
        }
        let got = if self.heard == MAX_HEARD {
            format!("{MAX_HEARD} bytes of something else, in the end {}", self.masked(&line))
        } else if line.len() == MAX_LINE {
            format!("a line of more than {MAX_LINE} bytes, {}", self.masked(&line))
        } else if line.is_empty() {
            "the end of the connection".to_owned()
        } else {
            format!("{} and the end of the connection", self.masked(&line))
        };
        Err(self.stage.wrong(got))
    }

    /// Whatever comes first, at most `most` bytes of it; empty at the end of the connection.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn first_bytes(&mut self, most: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; most];
        let length = self.wire.read(&mut bytes).await.or_else(closed).map_err(|error| self.stage.broken(&error))?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// A reply as SMTP and FTP give them: three digits, and with a `-` behind them more lines up to one with the same digits
    /// and none.
    ///
    /// # Errors
    /// If something else comes.
    pub async fn reply(&mut self, expected: &'static str) -> Result<Reply, String> {
        let first = self.line(expected).await?;
        let Some((code, more)) = code_of(&first) else { return Err(self.unexpected(&first)) };
        let mut reply = Reply { code, lines: vec![first] };
        let mut goes_on = more;
        while goes_on {
            let line = self.line(expected).await?;
            goes_on = code_of(&line).is_none_or(|(again, more)| again != code || more);
            reply.lines.push(line);
        }
        Ok(reply)
    }

    /// A [`Dialogue::reply`] that has to begin with this digit.
    ///
    /// # Errors
    /// If something else comes.
    pub async fn good_reply(&mut self, class: u16, expected: &'static str) -> Result<Reply, String> {
        let reply = self.reply(expected).await?;
        if reply.class() == class { Ok(reply) } else { Err(self.unexpected(reply.first_line())) }
    }

    /// The failure that this line is.
    pub fn unexpected(&self, line: &str) -> String {
        self.stage.wrong(self.masked(line.as_bytes()))
    }

    /// This line will be told if nothing comes any more.
    pub fn remember(&self, line: &str) {
        self.stage.heard(self.masked(line.as_bytes()));
    }

    fn masked(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text);
        let clean = self.secret.map_or_else(|| text.clone(), |secret| text.replace(secret, "***").into());
        quoted(clean.as_bytes())
    }

    /// Says goodbye. Nothing that happens now changes the result.
    pub async fn farewell(mut self, text: &str) {
        let goodbye = async {
            if self.send(text).await.is_ok() {
                let _ = self.raw_line(MAX_LINE).await;
            }
            let _ = self.wire.shutdown().await;
        };
        let _ = timeout(FAREWELL, goodbye).await;
    }
}

/// A TLS server that closes without saying so has closed nevertheless.
fn closed<T: Default>(error: io::Error) -> io::Result<T> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(T::default()) } else { Err(error) }
}

/// A reply of SMTP or FTP; at least one line.
#[derive(Debug)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// The first of the three digits.
    pub fn class(&self) -> u16 {
        self.code / 100
    }

    /// The line that says most.
    pub fn first_line(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }
}

/// For people, in one line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.first_line()))
    }
}

/// What a server that works said, for a status line: without control characters, cut.
pub fn shown(text: &str) -> String {
    let mut clean = String::new();
    for c in text.chars().take(80) {
        if c.is_control() { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// The three digits, and whether more lines follow.
fn code_of(line: &str) -> Option<(u16, bool)> {
    let digits = line.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let more = match line.as_bytes().get(3) {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    Some((digits.parse().ok()?, more))
}

#[cfg(test)]
pub mod play;
