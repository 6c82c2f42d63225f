//! What a script prints: into the log line by line, and its beginning kept.

use std::convert::Infallible;
use std::io::{self, PipeWriter};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// So much is kept and logged of one call; the rest is read and dropped.
const KEPT: usize = 16 * 1024;
/// A line is logged in pieces of this.
const LONGEST_LINE: usize = 1024;
/// For what is in the pipe when the script has ended.
const REST: Duration = Duration::from_millis(20);

/// The reading end of a script's standard output and error.
pub(in crate::act) struct Output {
    pipe: Receiver,
    what: String,
    kept: Vec<u8>,
    logged: usize,
    level: log::Level,
}

impl Output {
    pub(in crate::act) fn new(what: String) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let pipe = Receiver::from_owned_fd(reader.into())?;
        Ok((Self { pipe, what, kept: Vec::new(), logged: 0, level: log::Level::Info }, writer))
    }

    /// The same, told to whoever wants to know everything.
    pub(in crate::act) fn hushed(self) -> Self {
        Self { level: log::Level::Debug, ..self }
    }

    /// Reads what comes. Does not return even at the end: the script may close its output and
    /// work on. May be dropped at any point.
    pub(in crate::act) async fn read_for_ever(&mut self) -> Infallible {
        while self.read().await {}
        std::future::pending().await
    }

    /// Reads once; false at the end.
    async fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let Ok(len @ 1..) = self.pipe.read(&mut chunk).await else { return false };
        let room = KEPT.saturating_sub(self.kept.len()).min(len);
        self.kept.extend_from_slice(&chunk[..room]);
        self.log(false);
        true
    }

    /// Logs whole lines, at the `end` also what is left.
    fn log(&mut self, end: bool) {
        while self.logged < self.kept.len() {
            let rest = &self.kept[self.logged..];
            let line = match rest.iter().position(|&b| b == b'\n') {
                Some(at) => &rest[..at],
                None if end || rest.len() >= LONGEST_LINE => rest,
                None => return,
            };
            let line = &line[..line.len().min(LONGEST_LINE)];
            // Past the newline, if there was one.
            self.logged += line.len() + usize::from(rest.get(line.len()) == Some(&b'\n'));
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end();
            if !text.is_empty() {
                log::log!(self.level, "{}: {text}", self.what);
            }
        }
    }

    /// What was said, now that the script has ended. If it left something running that still
    /// has the pipe, that goes on being read: to be written into a closed pipe would end it.
    pub(in crate::act) async fn finish(mut self) -> String {
        let open = loop {
            match tokio::time::timeout(REST, self.read()).await {
                Ok(true) if self.kept.len() < KEPT => {}
                Ok(false) => break false,
                Ok(true) | Err(_) => break true,
            }
        };
        self.log(true);
        let said = String::from_utf8_lossy(&self.kept).into_owned();
        if open {
            tokio::spawn(async move { while self.read().await {} });
        }
        said
    }
}
