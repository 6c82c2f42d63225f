//! A client on a thread of its own, for programs with a loop.
//!
//! A request for one service is answered in microseconds, ten thousand changes may take a
//! second, and the kernel does its work inside the call: only another thread lets the loop
//! go on meanwhile.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::Client;

type Job = Box<dyn FnOnce(&mut Client) + Send>;

/// Hands work to a [`Client`] on another thread, in order. The thread ends when this is dropped
/// and the work is done.
///
/// ```no_run
/// use lvs::netlink::ipvs::{Client, Worker};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::start(Client::open()?)?;
/// let services = worker.run(|client| client.services()).await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    jobs: mpsc::Sender<Job>,
}

/// The thread has died; it does so only with a defect in the program.
///
/// ```
/// use lvs::netlink::ipvs::{Worker, WorkerDied};
///
/// async fn version(worker: &Worker) -> Result<Option<u32>, WorkerDied> {
///     worker.run(|client| client.info().ok().map(|info| info.version)).await
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the thread that talks to IPVS has died")]
pub struct WorkerDied;

impl Worker {
    /// Starts the thread. It has the capabilities that the calling thread has now.
    ///
    /// # Errors
    /// If there is no room for a thread.
    pub fn start(mut client: Client) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name("ipvs".into()).spawn(move || queue.iter().for_each(|job| job(&mut client)))?;
        Ok(Self { jobs })
    }

    /// Does `work` on the thread, in its turn.
    pub(super) fn send(&self, work: impl FnOnce(&mut Client) + Send + 'static) -> Result<(), WorkerDied> {
        self.jobs.send(Box::new(work)).map_err(|_| WorkerDied)
    }

    /// Does `work` on the thread. If the caller gives up waiting, the work is done all the same.
    ///
    /// # Errors
    /// If the thread has died.
    pub async fn run<T, F>(&self, work: F) -> Result<T, WorkerDied>
    where
        T: Send + 'static,
        F: FnOnce(&mut Client) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = move |client: &mut Client| {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(work(client));
        };
        self.send(job)?;
        answered.await.map_err(|_| WorkerDied)
    }
}
