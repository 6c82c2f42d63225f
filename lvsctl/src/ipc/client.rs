//! The asking side.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::{Fault, Greeting, MAX_LINE, PATIENCE, VERSION};

/// The daemon could not be reached, or is another one.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::ipc::{Client, ConnectError};
///
/// # async fn example() {
/// match Client::connect(Path::new("/run/lvs/ldirectord.sock"), "ldirectord").await {
///     Ok(client) => println!("{}", client.greeting().program),
///     Err(ConnectError::Connect { source, .. }) => println!("it does not run: {source}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No socket, nobody behind it, or no permission.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else answers there.
    #[error("{} is not the socket of {expected}: {got}", path.display())]
    Greeting {
        /// The socket.
        path: PathBuf,
        /// The daemon looked for.
        expected: &'static str,
        /// What greeted instead.
        got: String,
    },
}

/// A request failed.
///
/// ```no_run
/// use lvs::control::ldirectord::{Ready, Request};
/// use lvs::ipc::{CallError, Client};
///
/// # async fn example(mut client: Client) {
/// match client.call::<Ready>(&Request::Ready {}).await {
///     Ok(ready) => println!("{}", ready.ready),
///     Err(CallError::Refused(fault)) => println!("{}: {fault}", fault.code),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection broke.
    #[error("lost the connection to {}", path.display())]
    Lost {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The answer makes no sense.
    #[error("cannot read the answer from {}", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// The reader's reason.
        source: serde_json::Error,
    },
}

/// A connection to a daemon.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::control::heartbeatd::{Request, SPEAKS, Status};
/// use lvs::ipc::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::connect(Path::new("/run/lvs/heartbeatd.sock"), SPEAKS).await?;
/// let status: Status = client.call(&Request::Status {}).await?;
/// println!("{} holds {}", status.node, status.holds);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    greeting: Greeting,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    next_id: u64,
}

impl Client {
    /// Connects and checks that it is the right daemon.
    ///
    /// # Errors
    /// If nobody or somebody else is there, or nobody greets within [`PATIENCE`].
    pub async fn connect(path: &Path, expected: &'static str) -> Result<Self, ConnectError> {
        let no = |source| ConnectError::Connect { path: path.to_owned(), source };
        let (read, write) = UnixStream::connect(path).await.map_err(no)?.into_split();
        let mut read = BufReader::new(read);
        // The kernel takes connections up for a daemon that hangs; only the greeting tells.
        let greeting = timeout(PATIENCE, read_line(&mut read)).await.map_err(|late| no(late.into()))?;
        let line = greeting.map_err(no)?.unwrap_or_default();
        match serde_json::from_slice::<Greeting>(&line) {
            Ok(greeting) if greeting.speaks == expected && greeting.version == VERSION => {
                Ok(Self { path: path.to_owned(), greeting, read, write, next_id: 0 })
            }
            _ => {
                let got = String::from_utf8_lossy(&line).into_owned();
                Err(ConnectError::Greeting { path: path.to_owned(), expected, got })
            }
        }
    }

    /// What the daemon said of itself.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Asks and waits for the answer. Not cancel-safe: drop the client if the wait is given up.
    ///
    /// # Errors
    /// If the connection breaks, or the daemon refuses.
    pub async fn call<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T, CallError> {
        self.next_id += 1;
        let unreadable = |path: &PathBuf, source| CallError::Answer { path: path.clone(), source };
        let mut line = serde_json::to_value(request).map_err(|e| unreadable(&self.path, e))?;
        line["id"] = self.next_id.into();
        let text = line.to_string() + "\n";
        self.write.write_all(text.as_bytes()).await.map_err(|e| self.lost(e))?;
        loop {
            let mut answer = self.next_value().await?;
            if answer.get("id").and_then(Value::as_u64) != Some(self.next_id) {
                continue;
            }
            if let Some(fault) = answer.get_mut("error") {
                let fault: Fault = serde_json::from_value(fault.take()).map_err(|e| unreadable(&self.path, e))?;
                return Err(fault.into());
            }
            return serde_json::from_value(answer["ok"].take()).map_err(|e| unreadable(&self.path, e));
        }
    }

    /// The next notice after a `watch`. Not cancel-safe.
    ///
    /// # Errors
    /// If the connection ends, or the daemon says that this reader lagged.
    pub async fn next_notice<T: DeserializeOwned>(&mut self) -> Result<T, CallError> {
        let mut value = self.next_value().await?;
        let unreadable = |path: &PathBuf, source| CallError::Answer { path: path.clone(), source };
        if let Some(fault) = value.get_mut("error") {
            let fault: Fault = serde_json::from_value(fault.take()).map_err(|e| unreadable(&self.path, e))?;
            return Err(fault.into());
        }
        serde_json::from_value(value).map_err(|e| unreadable(&self.path, e))
    }

    async fn next_value(&mut self) -> Result<Value, CallError> {
        let line = read_line(&mut self.read).await.map_err(|e| self.lost(e))?;
        let line = line.ok_or_else(|| self.lost(io::ErrorKind::UnexpectedEof.into()))?;
        serde_json::from_slice(&line).map_err(|source| CallError::Answer { path: self.path.clone(), source })
    }

    fn lost(&self, source: io::Error) -> CallError {
        CallError::Lost { path: self.path.clone(), source }
    }
}

/// A line without its newline, or `None` at the end of the stream.
///
/// # Errors
/// If reading fails, or the line is longer than [`MAX_LINE`].
pub(super) async fn read_line(read: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE).expect("64 KiB fits");
    (&mut *read).take(limit).read_until(b'\n', &mut line).await?;
    if line.pop_if(|b| *b == b'\n').is_some() {
        return Ok(Some(line));
    }
    if line.len() >= MAX_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "line longer than 64 KiB"));
    }
    // The rest of a line that was never finished is not a line.
    Ok(None)
}
