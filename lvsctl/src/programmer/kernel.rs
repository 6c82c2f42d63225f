//! The kernel itself; needs `CAP_NET_ADMIN`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Programmer, ProgrammerError};
use crate::drain::Left;
use crate::ipvs::{Change, Refusal, ServiceKey, Table};
use crate::netlink::ipvs::{Client, OpenError, Worker};

/// Programs the IPVS of the network namespace in which it was opened.
///
/// ```no_run
/// use lvs::programmer::{Kernel, Programmer};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// println!("{} services", Kernel::open()?.table().await?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Kernel {
    worker: Worker,
}

impl Kernel {
    /// Connects to the kernel and starts the thread that talks to it.
    ///
    /// # Errors
    /// Without IPVS or the right to program it; the message says what to do.
    pub fn open() -> Result<Self, OpenError> {
        let worker = Worker::start(Client::open()?).map_err(OpenError::Socket)?;
        Ok(Self { worker })
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(attempt: &str) -> impl FnOnce(E) -> ProgrammerError {
    move |source| ProgrammerError { attempt: attempt.to_owned(), source: Box::new(source) }
}

impl Programmer for Kernel {
    async fn table(&mut self) -> Result<Table, ProgrammerError> {
        const ATTEMPT: &str = "read the IPVS table";
        let table = self.worker.run(Client::table).await.map_err(failed(ATTEMPT))?;
        table.map_err(failed(ATTEMPT))
    }

    async fn change(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, ProgrammerError> {
        let changes = changes.to_vec();
        self.worker.run(move |client| client.change(&changes)).await.map_err(failed("change the IPVS table"))
    }

    async fn left(&mut self, service: &ServiceKey) -> Result<BTreeMap<SocketAddr, Left>, ProgrammerError> {
        const ATTEMPT: &str = "count connections";
        let key = *service;
        let rows = self.worker.run(move |client| client.destinations_as(&key, true, Left::of)).await;
        let rows = rows.map_err(failed(ATTEMPT))?.map_err(failed(ATTEMPT))?;
        Ok(rows.into_iter().collect())
    }
}
