//! The helper `lvsctl serve` behind its socket; needs no privilege.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Programmer, ProgrammerError};
use crate::control::lvsctl::{Counters, MAX_CHANGES, Outcome, Page, Request, SPEAKS};
use crate::drain::Left;
use crate::ipc::{CallError, Client};
use crate::ipvs::{Change, Refusal, ServiceKey, Table};

/// Longest wait for one answer: the helper's kernel may load a scheduler's module first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Programs through a helper. Connects when first used and again after the connection broke, so
/// a helper that is restarted costs one failed attempt at most.
///
/// ```no_run
/// use lvs::programmer::{Programmer, Remote};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut helper = Remote::new("/run/lvs/lvsctl.sock".as_ref());
/// println!("{} services", helper.table().await?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
    client: Option<Client>,
}

#[derive(Debug, thiserror::Error)]
#[error("the helper answers {got} changes where {asked} were asked")]
struct Mismatch {
    got: usize,
    asked: usize,
}

impl Remote {
    /// Will talk to the helper at this socket, `/run/lvs/lvsctl.sock`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), client: None }
    }

    fn failed(&self, attempt: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> ProgrammerError {
        ProgrammerError { attempt: format!("{attempt} {}", self.path.display()), source: source.into() }
    }

    async fn call<T: DeserializeOwned>(&mut self, attempt: &str, request: &Request) -> Result<T, ProgrammerError> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let answer = answer.map_err(|late| self.failed(attempt, late))?;
        answer.map_err(|error| self.failed(attempt, error))
    }

    async fn exchange<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Box<dyn Error + Send + Sync>> {
        // Taken, and given back after a whole answer: a wait that is given up costs the connection.
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.path, SPEAKS).await?,
        };
        let answer = client.call(request).await;
        if matches!(answer, Ok(_) | Err(CallError::Refused(_))) {
            self.client = Some(client);
        }
        Ok(answer?)
    }
}

impl Programmer for Remote {
    async fn table(&mut self) -> Result<Table, ProgrammerError> {
        let mut table = Table::new();
        let mut after = None;
        loop {
            let page: Page = self.call("read the IPVS table from", &Request::Table { after }).await?;
            after = page.more.clone();
            page.add_to(&mut table);
            if after.is_none() {
                return Ok(table);
            }
        }
    }

    async fn change(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, ProgrammerError> {
        const ATTEMPT: &str = "change the IPVS table through";
        let mut results = Vec::with_capacity(changes.len());
        for part in changes.chunks(MAX_CHANGES) {
            let outcomes: Vec<Outcome> = self.call(ATTEMPT, &Request::Change { changes: part.to_vec() }).await?;
            if outcomes.len() != part.len() {
                return Err(self.failed(ATTEMPT, Mismatch { got: outcomes.len(), asked: part.len() }));
            }
            results.extend(outcomes.into_iter().map(Outcome::into_result));
        }
        Ok(results)
    }

    async fn left(&mut self, service: &ServiceKey) -> Result<BTreeMap<SocketAddr, Left>, ProgrammerError> {
        let (mut left, mut after) = (BTreeMap::new(), None);
        loop {
            let request = Request::Stats { service: *service, after };
            let page: Counters = self.call("count connections through", &request).await?;
            left.extend(page.service.destinations.iter().map(|server| (server.at, Left::of(server))));
            after = page.more;
            if after.is_none() {
                return Ok(left);
            }
        }
    }
}
