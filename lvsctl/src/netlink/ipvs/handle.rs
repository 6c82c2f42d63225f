//! The client for programs with a loop.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::{Client, OpenError, Worker};
use crate::ipvs::{Change, DestinationListing, Info, Refusal, ServiceKey, ServiceListing, SyncDaemon, Table, Timeouts};
use crate::netlink::{Namespace, RequestError};

/// Entries that wait for a slow reader of a stream.
const AHEAD: usize = 256;

/// Asks the kernel's IPVS without holding up the task that asks. Clones share one socket, and their requests are
/// carried out one after the other.
///
/// There is nothing to wait for in a netlink socket: the kernel does its work inside the send, a second for ten
/// thousand changes, and its answer is there when the send returns. So the requests are made by a thread, and not
/// by the runtime when the socket is ready.
///
/// A request whose answer is no longer awaited is carried out all the same.
///
/// ```no_run
/// use lvs::netlink::ipvs::Handle;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let handle = Handle::open()?;
/// let (table, timeouts) = (handle.table().await?, handle.timeouts().await?);
/// println!("{} services, established TCP for {} s", table.len(), timeouts.tcp);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    worker: Arc<Worker>,
}

/// Every method but the streams does what that of the same name does in [`Client`], with its errors, and
/// [`RequestError::Gone`] if the thread has died.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Handle {
    /// Connects in this thread's network namespace.
    pub fn open() -> Result<Self, OpenError> {
        Self::of(Client::open()?)
    }

    /// Connects in another network namespace.
    pub fn open_in(namespace: &Namespace) -> Result<Self, OpenError> {
        Self::of(Client::open_in(namespace)?)
    }

    /// Puts a client on a thread.
    pub fn of(client: Client) -> Result<Self, OpenError> {
        Ok(Self { worker: Arc::new(Worker::start(client).map_err(OpenError::Socket)?) })
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, RequestError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Client) -> Result<T, RequestError> + Send + 'static,
    {
        self.worker.run(question).await.map_err(|_| RequestError::Gone)?
    }

    /// Version and table size.
    pub async fn info(&self) -> Result<Info, RequestError> {
        self.ask(Client::info).await
    }

    /// Connection timeouts, seconds.
    pub async fn timeouts(&self) -> Result<Timeouts, RequestError> {
        self.ask(Client::timeouts).await
    }

    /// The sync daemons that run, master first.
    pub async fn daemons(&self) -> Result<Vec<SyncDaemon>, RequestError> {
        self.ask(Client::daemons).await
    }

    /// All services without their servers.
    pub async fn services(&self) -> Result<Vec<ServiceListing>, RequestError> {
        self.ask(Client::services).await
    }

    /// One service without its servers.
    pub async fn service(&self, key: ServiceKey) -> Result<Option<ServiceListing>, RequestError> {
        self.ask(move |client| client.service(&key)).await
    }

    /// The real servers of a service.
    pub async fn destinations(&self, key: ServiceKey) -> Result<Vec<DestinationListing>, RequestError> {
        self.ask(move |client| client.destinations(&key)).await
    }

    /// Everything with counters.
    pub async fn listing(&self) -> Result<Vec<ServiceListing>, RequestError> {
        self.ask(Client::listing).await
    }

    /// Everything without counters.
    pub async fn table(&self) -> Result<Table, RequestError> {
        self.ask(Client::table).await
    }

    /// Changes in order, each with its own result in the same place.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<Result<(), Refusal>>, RequestError> {
        self.ask(move |client| Ok(client.change(&changes))).await
    }

    /// The services one by one. Whoever reads slowly holds up the other requests of all clones, for the socket is
    /// busy with the list; dropping the stream ends it.
    #[must_use]
    pub fn stream_services(&self) -> Entries<ServiceListing> {
        self.stream(|client, send| client.stream_services().map(|mut rows| rows.all(send)))
    }

    /// The real servers of a service one by one; see [`Handle::stream_services`].
    #[must_use]
    pub fn stream_destinations(&self, key: ServiceKey) -> Entries<DestinationListing> {
        self.stream(move |client, send| client.stream_destinations(&key).map(|mut rows| rows.all(send)))
    }

    fn stream<T, F>(&self, list: F) -> Entries<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Client, &mut dyn FnMut(Result<T, RequestError>) -> bool) -> Result<bool, RequestError>
            + Send
            + 'static,
    {
        let (entry, entries) = mpsc::channel(AHEAD);
        let died = entry.clone();
        let sent = self.worker.send(move |client| {
            if let Err(error) = list(client, &mut |row| entry.blocking_send(row).is_ok()) {
                // Whoever asked may have stopped listening.
                let _ = entry.blocking_send(Err(error));
            }
        });
        if sent.is_err() {
            // There is room: nothing else has been sent.
            let _ = died.try_send(Err(RequestError::Gone));
        }
        Entries(entries)
    }
}

/// A list of the kernel as a stream: [`Handle::stream_services`], [`Handle::stream_destinations`]. With the limits
/// of [`Rows`](super::Rows).
///
/// ```no_run
/// # async fn example(handle: lvs::netlink::ipvs::Handle) -> Result<(), lvs::netlink::RequestError> {
/// let mut services = handle.stream_services();
/// while let Some(service) = services.next().await {
///     println!("{}", service?.key);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Entries<T>(mpsc::Receiver<Result<T, RequestError>>);

impl<T> Entries<T> {
    /// The next entry; `None` at the end. For programs without a crate for streams.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read; [`RequestError::Gone`].
    pub async fn next(&mut self) -> Option<Result<T, RequestError>> {
        self.0.recv().await
    }
}

impl<T> Stream for Entries<T> {
    type Item = Result<T, RequestError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
