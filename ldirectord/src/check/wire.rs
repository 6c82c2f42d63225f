//! A connection that carries packets, each with its length in its head.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::stage::{Stage, quoted};

/// How much is read at once, bytes. Answers to checks are short.
const PIECE: usize = 2048;

/// How long the packet is that these bytes begin: `None` if they are too few to tell.
///
/// An error is what is wrong with them. It has to be one for packets that are too long, too.
pub type Size = fn(&[u8]) -> Result<Option<usize>, String>;

/// A connection, and what of it has been read ahead.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A fresh connection.
    pub fn new(stream: S) -> Self {
        Self { stream, heard: Vec::new() }
    }

    /// Says all of `bytes`.
    pub async fn say(&mut self, stage: &Stage, bytes: &[u8]) -> Result<(), String> {
        let said = async {
            self.stream.write_all(bytes).await?;
            // TLS keeps what it is given until then.
            self.stream.flush().await
        };
        said.await.map_err(|error| stage.broken(&error))
    }

    /// The next packet, its head included.
    pub async fn packet(&mut self, stage: &Stage, size: Size) -> Result<Vec<u8>, String> {
        loop {
            let wanted = size(&self.heard).map_err(|why| stage.wrong(why))?;
            if let Some(wanted) = wanted.filter(|&wanted| wanted <= self.heard.len()) {
                let rest = self.heard.split_off(wanted);
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            let mut piece = [0; PIECE];
            let length = self.stream.read(&mut piece).await.map_err(|error| stage.broken(&error))?;
            if length == 0 && self.heard.is_empty() {
                return Err(stage.wrong("the end of the connection"));
            }
            if length == 0 {
                return Err(stage.wrong(format!("{} and the end of the connection", quoted(&self.heard))));
            }
            self.heard.extend_from_slice(&piece[..length]);
        }
    }

    /// The connection itself, for TLS to begin on it. Nothing may have been said before that.
    pub fn into_stream(self, stage: &Stage) -> Result<S, String> {
        if self.heard.is_empty() { Ok(self.stream) } else { Err(stage.wrong("something before TLS has begun")) }
    }
}
