//! The listening side: one task a connection, one queue to the daemon's loop.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener as Inherited;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::caller::Needs;
use super::{
    BACKLOG, Caller, Fault, Greeting, MAX_CONNECTIONS, MAX_LINE, PATIENCE, Permit, Policy, RESERVED_CONNECTIONS, Rank,
};

/// Where and as whom to listen.
///
/// ```
/// use lvs::control::realserver::SPEAKS;
/// use lvs::ipc::{Greeting, Listen, Policy, VERSION};
///
/// let (program, node) = ("realserver 0.1.0".to_owned(), "rs1".to_owned());
/// let greeting = Greeting { speaks: SPEAKS.to_owned(), version: VERSION, program, node };
/// let path = "/run/lvs/realserver.sock".into();
/// let listen = Listen { path, mode: 0o660, group: None, greeting, policy: Policy::default() };
/// assert_eq!(listen.greeting.speaks, "realserver");
/// ```
#[derive(Debug, Clone)]
pub struct Listen {
    /// The socket file; its directory is created (mode 0755) where missing.
    pub path: PathBuf,
    /// Mode of the socket file: who may connect.
    pub mode: u32,
    /// Group of the socket file, if it should not be the process's own.
    pub group: Option<u32>,
    /// The first line that clients get.
    pub greeting: Greeting,
    /// Who may do what.
    pub policy: Policy,
}

/// The socket could not be opened.
///
/// ```no_run
/// use lvs::control::realserver::Request;
/// use lvs::ipc::{Listen, ListenError, Server};
///
/// # async fn example(listen: Listen) {
/// match Server::<Request>::bind(listen).await {
///     Ok(_) => println!("listening"),
///     Err(ListenError::InUse { path }) => println!("somebody is at {}", path.display()),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon answers there.
    #[error("another daemon already listens on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The file or its directory could not be made.
    #[error("cannot listen on {}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// One request, to be answered by the daemon's loop. Dropped without an answer, the
/// client is told so.
///
/// ```
/// use lvs::control::realserver::Request;
/// use lvs::ipc::{Call, Fault, Operate};
///
/// fn answer(call: Call<Request>) {
///     let permitted = call.permit::<Operate>().map(|permit| format!("done for uid {}", permit.caller().uid));
///     match call.request {
///         Request::Up {} | Request::Down {} => call.answer(permitted),
///         Request::Status {} | Request::Watch {} => call.answer::<()>(Err(Fault::new("failed", "not yet"))),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Call<R> {
    /// What is asked.
    pub request: R,
    caller: Caller,
    policy: Arc<Policy>,
    feed: Feed,
    reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
enum Answer {
    Once(Result<Value, Fault>),
    Stream(Value, broadcast::Receiver<Arc<str>>),
}

/// Notices on their way to the watchers.
#[derive(Debug, Clone)]
struct Feed {
    lines: broadcast::Sender<Arc<str>>,
    sequence: Arc<AtomicU64>,
}

impl<R> Call<R> {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Whether they may.
    ///
    /// # Errors
    /// The fault to answer with.
    pub fn permit<N: Needs>(&self) -> Result<Permit<N>, Fault> {
        Permit::check(self.caller, &self.policy).map_err(|e| Fault::new("not-permitted", e.to_string()))
    }

    /// Answers. A client that has gone is no error.
    pub fn answer<T: Serialize>(self, result: Result<T, Fault>) {
        let result = result.and_then(|value| {
            serde_json::to_value(value).map_err(|e| Fault::new("failed", format!("cannot put the answer in JSON: {e}")))
        });
        // The client may have gone meanwhile: nobody is left to tell.
        let _ = self.reply.send(Answer::Once(result));
    }

    /// Answers a `watch`: the snapshot, then every notice from now on.
    pub fn answer_watch<T: Serialize>(self, snapshot: &T) {
        let receiver = self.feed.lines.subscribe();
        let sequence = self.feed.sequence.load(Ordering::Relaxed);
        let answer = match serde_json::to_value(snapshot) {
            Ok(Value::Object(mut snapshot)) => {
                snapshot.insert("seq".into(), sequence.into());
                Answer::Stream(Value::Object(snapshot), receiver)
            }
            Ok(other) => Answer::Stream(json!({"snapshot": other, "seq": sequence}), receiver),
            Err(e) => Answer::Once(Err(Fault::new("failed", format!("cannot put the answer in JSON: {e}")))),
        };
        let _ = self.reply.send(answer);
    }
}

/// A listening socket; the file goes when it is dropped, unless somebody else made it.
///
/// ```no_run
/// use lvs::control::realserver::Request;
/// use lvs::ipc::{Listen, ListenError, Server};
///
/// # async fn example(listen: Listen) -> Result<(), ListenError> {
/// let mut server: Server<Request> = Server::bind(listen).await?;
/// loop {
///     let call = server.next_call().await;
///     println!("uid {} asks for {:?}", call.caller().uid, call.request);
///     call.answer(Ok("it was heard"));
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Server<R> {
    calls: mpsc::Receiver<Call<R>>,
    feed: Feed,
    policy: SharedPolicy,
    /// The file that is ours to remove.
    path: Option<PathBuf>,
    accepting: JoinHandle<()>,
}

/// Read for each request: a new policy counts for connections that there are, too.
type SharedPolicy = Arc<RwLock<Arc<Policy>>>;

fn current(policy: &SharedPolicy) -> Arc<Policy> {
    policy.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl<R: DeserializeOwned + Send + 'static> Server<R> {
    /// Listens. A socket file that nobody answers on is replaced.
    ///
    /// # Errors
    /// If somebody else listens there, or the file cannot be made.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn bind(listen: Listen) -> Result<Self, ListenError> {
        let Listen { path, mode, group, .. } = &listen;
        if UnixStream::connect(path).await.is_ok() {
            return Err(ListenError::InUse { path: path.clone() });
        }
        let listener = open(path, *mode, *group).map_err(|source| ListenError::Bind { path: path.clone(), source })?;
        Ok(Self::start(listener, Some(path.clone()), listen))
    }

    /// Listens on a socket that the service manager has opened, and gives its file group and mode. The file is
    /// the manager's: it stays when the server goes.
    ///
    /// # Errors
    /// If it is no socket that can be listened on, or its file cannot be changed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn adopt(listener: Inherited, listen: Listen) -> Result<Self, ListenError> {
        let Listen { path, mode, group, .. } = &listen;
        let adopted = || {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            admit(path, *mode, *group)?;
            Ok(listener)
        };
        let listener = adopted().map_err(|source| ListenError::Bind { path: path.clone(), source })?;
        Ok(Self::start(listener, None, listen))
    }

    fn start(listener: UnixListener, path: Option<PathBuf>, Listen { greeting, policy, .. }: Listen) -> Self {
        let greeting = serde_json::to_string(&greeting).expect("a greeting is four plain fields") + "\n";
        let (calls_in, calls) = mpsc::channel(32);
        let (lines, _) = broadcast::channel(BACKLOG);
        let feed = Feed { lines, sequence: Arc::default() };
        let policy: SharedPolicy = Arc::new(RwLock::new(Arc::new(policy)));
        let door = Door { greeting: greeting.into(), policy: policy.clone(), calls: calls_in, feed: feed.clone() };
        let accepting = tokio::spawn(door.accept_all(listener));
        Self { calls, feed, policy, path, accepting }
    }

    /// From now on these have their ranks, on connections that there are, too.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The next request. Cancel-safe.
    ///
    /// # Panics
    /// Never: the accepting task lives as long as the server.
    pub async fn next_call(&mut self) -> Call<R> {
        self.calls.recv().await.expect("the accepting task holds a sender")
    }

    /// Tells every watcher.
    pub fn notify<N: Serialize>(&self, notice: &N) {
        let sequence = self.feed.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let mut line = match serde_json::to_value(notice) {
            Ok(Value::Object(object)) => object,
            Ok(other) => serde_json::Map::from_iter([("notice".to_owned(), other)]),
            Err(e) => {
                log::error!("cannot put a notice in JSON: {e}");
                return;
            }
        };
        line.insert("seq".into(), sequence.into());
        // Without watchers there is nobody to send to.
        let _ = self.feed.lines.send((Value::Object(line).to_string() + "\n").into());
    }
}

impl<R> Drop for Server<R> {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

fn open(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Nobody connects between bind and chmod.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    admit(path, mode, group)?;
    Ok(listener)
}

/// Decides who may connect.
fn admit(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    if let Some(group) = group {
        chown(path, None, Some(group))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// What every connection needs.
struct Door<R> {
    greeting: Arc<str>,
    policy: SharedPolicy,
    calls: mpsc::Sender<Call<R>>,
    feed: Feed,
}

impl<R> Clone for Door<R> {
    fn clone(&self) -> Self {
        let Self { greeting, policy, calls, feed } = self;
        Self { greeting: greeting.clone(), policy: policy.clone(), calls: calls.clone(), feed: feed.clone() }
    }
}

impl<R: DeserializeOwned + Send + 'static> Door<R> {
    async fn accept_all(self, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS - RESERVED_CONNECTIONS));
        let reserved = Arc::new(Semaphore::new(RESERVED_CONNECTIONS));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors: wait for some to come back instead of spinning.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let Ok(peer) = stream.peer_cred() else { continue };
            let caller = Caller { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
            let mut place = room.clone().try_acquire_owned();
            if place.is_err() && current(&self.policy).rank(&caller) == Rank::Program {
                place = reserved.clone().try_acquire_owned();
            }
            let Ok(place) = place else { continue };
            let door = self.clone();
            tokio::spawn(async move {
                // The connection ends either way; a client that went away is no event.
                let _ = door.serve(stream, caller).await;
                drop(place);
            });
        }
    }

    async fn serve(self, stream: UnixStream, caller: Caller) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        send(&mut write, &self.greeting).await?;
        loop {
            let Some(line) = next_line(&mut read).await? else { return Ok(()) };
            let (id, request) = match parse::<R>(&line) {
                Ok(parsed) => parsed,
                Err((id, fault)) => {
                    send_answer(&mut write, &id, Err(fault)).await?;
                    continue;
                }
            };
            let (reply, answer) = oneshot::channel();
            let call = Call { request, caller, policy: current(&self.policy), feed: self.feed.clone(), reply };
            if self.calls.send(call).await.is_err() {
                return Ok(());
            }
            match answer.await {
                Ok(Answer::Once(result)) => send_answer(&mut write, &id, result).await?,
                Ok(Answer::Stream(snapshot, notices)) => {
                    send_answer(&mut write, &id, Ok(snapshot)).await?;
                    return stream_notices(&mut read, &mut write, notices).await;
                }
                Err(_) => {
                    let fault = Fault::new("failed", "the daemon gave up on this request; it may be stopping");
                    send_answer(&mut write, &id, Err(fault)).await?;
                }
            }
        }
    }
}

async fn stream_notices(
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
    mut notices: broadcast::Receiver<Arc<str>>,
) -> io::Result<()> {
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            // A watcher says nothing more; what it sends is thrown away, its end ends the stream.
            n = read.read(&mut ignored) => if n? == 0 { return Ok(()) },
            notice = notices.recv() => match notice {
                Ok(line) => send(write, &line).await?,
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let fault = Fault::new("lagged", format!("{missed} notices behind; connect again"));
                    return send(write, &(json!({"error": fault}).to_string() + "\n")).await;
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn parse<R: DeserializeOwned>(line: &[u8]) -> Result<(Value, R), (Value, Fault)> {
    let bad = |id: &Value, why: String| (id.clone(), Fault::new("bad-request", why));
    let mut object: serde_json::Map<String, Value> =
        serde_json::from_slice(line).map_err(|e| bad(&Value::Null, format!("not a JSON object: {e}")))?;
    let id = object.remove("id").unwrap_or(Value::Null);
    let request = R::deserialize(Value::Object(object)).map_err(|e| bad(&id, e.to_string()))?;
    Ok((id, request))
}

/// A line without its newline, or the end. A longer line than [`MAX_LINE`] is an error that ends
/// the connection: what follows it has no known beginning.
async fn next_line(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    super::client::read_line(read).await
}

async fn send_answer(write: &mut OwnedWriteHalf, id: &Value, result: Result<Value, Fault>) -> io::Result<()> {
    let line = match result {
        Ok(value) => json!({"id": id, "ok": value}),
        Err(fault) => json!({"id": id, "error": fault}),
    };
    let text = line.to_string() + "\n";
    if text.len() > MAX_LINE {
        let fault = Fault::new("failed", "the answer is longer than a line may be; ask for less");
        return send(write, &(json!({"id": id, "error": fault}).to_string() + "\n")).await;
    }
    send(write, &text).await
}

async fn send(write: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    timeout(PATIENCE, write.write_all(text.as_bytes())).await.map_err(io::Error::from)?
}
