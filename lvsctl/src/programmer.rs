//! Who programs the IPVS table: the kernel itself, the helper behind its socket, or a
//! value in memory.
//!
//! ldirectord does not know which one it has. What it asks for are [`Change`]s; what
//! comes back is one result per change, in order.

mod kernel;
mod remote;

pub use kernel::Kernel;
pub use remote::Remote;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::drain::Left;
use crate::ipvs::{Change, Refusal, ServiceKey, Table, apply_to, diff};

/// The table could not be reached at all; nothing is known about any change.
///
/// ```no_run
/// use lvs::diag::chain;
/// use lvs::programmer::{Programmer, ProgrammerError, Remote};
///
/// # async fn example() -> Result<(), ProgrammerError> {
/// let mut helper = Remote::new("/run/lvs/lvsctl.sock".as_ref());
/// if let Err(error) = helper.table().await {
///     eprintln!("{}", chain(&error));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt}")]
pub struct ProgrammerError {
    /// What was attempted, such as "read the IPVS table from /run/lvs/lvsctl.sock".
    pub attempt: String,
    /// Why it failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Reads and changes an IPVS table.
///
/// ```
/// use lvs::ipvs::{Change, ServiceKey};
/// use lvs::programmer::{Programmer, ProgrammerError};
///
/// /// Works with the kernel, with the helper, and in tests.
/// async fn remove(programmer: &mut impl Programmer, key: ServiceKey) -> Result<bool, ProgrammerError> {
///     let results = programmer.change(&[Change::DeleteService(key)]).await?;
///     Ok(results.iter().all(Result::is_ok))
/// }
/// ```
pub trait Programmer: Send {
    /// The whole table.
    ///
    /// # Errors
    /// Where the kernel or the helper cannot be reached.
    fn table(&mut self) -> impl Future<Output = Result<Table, ProgrammerError>> + Send;

    /// Carries out changes in order; one that is refused does not stop the next.
    ///
    /// # Errors
    /// Where the kernel or the helper cannot be reached; then some changes may have been
    /// carried out, and a fresh [`Programmer::table`] tells which.
    fn change(
        &mut self,
        changes: &[Change],
    ) -> impl Future<Output = Result<Vec<Result<(), Refusal>>, ProgrammerError>> + Send;

    /// What still goes to each server of a service that is in the table.
    ///
    /// # Errors
    /// Where the kernel or the helper cannot be reached, or, from the helper, if there is no such service.
    fn left(
        &mut self,
        service: &ServiceKey,
    ) -> impl Future<Output = Result<BTreeMap<SocketAddr, Left>, ProgrammerError>> + Send;
}

/// Brings the services of `wanted` to what it says and leaves every other service alone.
///
/// # Errors
/// As [`Programmer::change`].
pub async fn apply(
    programmer: &mut impl Programmer,
    wanted: &Table,
) -> Result<Vec<(Change, Result<(), Refusal>)>, ProgrammerError> {
    let mut live = programmer.table().await?;
    live.retain(|key, _| wanted.contains_key(key));
    let changes = diff(&live, wanted);
    let results = programmer.change(&changes).await?;
    Ok(changes.into_iter().zip(results).collect())
}

/// A table in memory that refuses what the kernel refuses. Clones share it, so a test keeps one
/// clone and looks in while the other is in use.
///
/// ```no_run
/// use lvs::ipvs::{Change, ServiceKey, Table};
/// use lvs::programmer::{Fake, Programmer};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fake = Fake::with(Table::new());
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let results = fake.change(&[Change::DeleteService(web)]).await?;
/// assert_eq!(results[0].as_ref().map_err(|refusal| refusal.errno), Err(libc::ESRCH));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<FakeState>>,
}

#[derive(Debug, Default)]
struct FakeState {
    table: Table,
    carried_out: Vec<Change>,
    refuse: Vec<(Change, i32)>,
    left: BTreeMap<(ServiceKey, SocketAddr), Left>,
}

impl Fake {
    /// Starts with this table.
    #[must_use]
    pub fn with(table: Table) -> Self {
        let fake = Self::default();
        fake.lock().table = table;
        fake
    }

    /// The table now.
    #[must_use]
    pub fn now(&self) -> Table {
        self.lock().table.clone()
    }

    /// Every change carried out since the last call.
    #[must_use]
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.lock().carried_out)
    }

    /// Refuses this change with this errno from now on.
    pub fn refuse(&self, change: Change, errno: i32) {
        self.lock().refuse.push((change, errno));
    }

    /// Refuses nothing any more beyond what the kernel would.
    pub fn refuse_nothing(&self) {
        self.lock().refuse.clear();
    }

    /// From now on this goes to a server; nothing goes to the others.
    pub fn busy(&self, service: ServiceKey, server: SocketAddr, left: Left) {
        self.lock().left.insert((service, server), left);
    }

    /// Changes the table behind everybody's back, as another administrator would.
    pub fn meddle(&self, with: impl FnOnce(&mut Table)) {
        with(&mut self.lock().table);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Programmer for Fake {
    async fn table(&mut self) -> Result<Table, ProgrammerError> {
        Ok(self.now())
    }

    async fn change(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, ProgrammerError> {
        let state = &mut *self.lock();
        let mut carry_out = |change: &Change| {
            if let Some((_, errno)) = state.refuse.iter().find(|(refused, _)| refused == change) {
                return Err(Refusal::new(change.clone(), *errno));
            }
            apply_to(&mut state.table, change).map_err(|refusal| Refusal::new(change.clone(), refusal.0))?;
            state.carried_out.push(change.clone());
            Ok(())
        };
        Ok(changes.iter().map(&mut carry_out).collect())
    }

    async fn left(&mut self, service: &ServiceKey) -> Result<BTreeMap<SocketAddr, Left>, ProgrammerError> {
        let state = self.lock();
        let servers = state.table.get(service).into_iter().flat_map(|service| service.destinations.keys());
        Ok(servers.map(|&at| (at, state.left.get(&(*service, at)).copied().unwrap_or_default())).collect())
    }
}
