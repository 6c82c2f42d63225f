//! What the command line needs of a kernel. [`crate::netlink`] has the real one; tests have one in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;

use crate::ipvs::{Change, DestinationListing, Info, Refusal, ServiceKey, ServiceListing, SyncDaemon, Timeouts};
use crate::netlink::RequestError;
use crate::netlink::ipvs::{Client, Packed};

/// A positive errno. A failure that is not the kernel's counts as `EINVAL` (spec/ipvs.md A.12).
///
/// ```
/// let permission_denied: lvs::cli::Errno = 1;
/// assert_eq!(std::io::Error::from_raw_os_error(permission_denied).kind(), std::io::ErrorKind::PermissionDenied);
/// ```
pub type Errno = i32;

/// Reads and changes the IPVS table of one network namespace. Every error is an errno. While a long input
/// is read, another thread changes the table.
///
/// ```
/// use lvs::cli::{Errno, Kernel};
/// use lvs::ipvs::ServiceKey;
///
/// fn servers(kernel: &mut impl Kernel, key: &ServiceKey) -> Result<usize, Errno> {
///     Ok(kernel.destinations(key)?.len())
/// }
/// ```
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Kernel: Send {
    /// Version and size of the connection table.
    fn info(&mut self) -> Result<Info, Errno>;
    /// All services in the kernel's order, without their servers.
    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno>;
    /// One service, without its servers; `ESRCH` if it does not exist.
    fn service(&mut self, key: &ServiceKey) -> Result<ServiceListing, Errno>;
    /// The servers of a service, newest first; none if the service does not exist.
    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno>;
    /// What `keep` keeps of the servers of a service, each behind its address; without `counters` those are 0.
    fn destinations_as<T>(
        &mut self,
        key: &ServiceKey,
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
    ) -> Result<Vec<(SocketAddr, T)>, Errno> {
        let _ = counters;
        Ok(self.destinations(key)?.iter().map(|row| (row.at, keep(row))).collect())
    }
    /// The same of many services: `show` sees each in the order of `services`, up to the first that the kernel does not list.
    fn destinations_of<T>(
        &mut self,
        services: &[ServiceListing],
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
        mut show: impl FnMut(&ServiceListing, Vec<(SocketAddr, T)>),
    ) -> Result<(), Errno> {
        services.iter().try_for_each(|service| {
            show(service, self.destinations_as(&service.key, counters, &keep)?);
            Ok(())
        })
    }
    /// Connection timeouts.
    fn timeouts(&mut self) -> Result<Timeouts, Errno>;
    /// Running sync daemons, the master first.
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno>;
    /// Carries out changes in order; one that is refused does not stop the next. One result per change.
    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>>;
    /// The same for changes that were made ready beforehand.
    fn change_packed(&mut self, packed: &mut Packed) -> Vec<Result<(), Errno>> {
        self.change(packed.changes())
    }
    /// The rows of `/proc/net/ip_vs_conn`.
    fn connections(&mut self) -> io::Result<Box<dyn BufRead>>;
}

impl Kernel for Client {
    fn info(&mut self) -> Result<Info, Errno> {
        Self::info(self).map_err(errno)
    }

    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
        Self::services(self).map_err(errno)
    }

    fn service(&mut self, key: &ServiceKey) -> Result<ServiceListing, Errno> {
        Self::service(self, key).map_err(errno)?.ok_or(libc::ESRCH)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
        Self::destinations(self, key).map_err(errno)
    }

    fn destinations_as<T>(
        &mut self,
        key: &ServiceKey,
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
    ) -> Result<Vec<(SocketAddr, T)>, Errno> {
        Self::destinations_as(self, key, counters, keep).map_err(errno)
    }

    fn destinations_of<T>(
        &mut self,
        services: &[ServiceListing],
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
        show: impl FnMut(&ServiceListing, Vec<(SocketAddr, T)>),
    ) -> Result<(), Errno> {
        Self::destinations_of(self, services, counters, keep, show).map_err(errno)
    }

    fn timeouts(&mut self) -> Result<Timeouts, Errno> {
        Self::timeouts(self).map_err(errno)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
        Self::daemons(self).map_err(errno)
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        errnos(Self::change(self, changes))
    }

    fn change_packed(&mut self, packed: &mut Packed) -> Vec<Result<(), Errno>> {
        errnos(Self::change_packed(self, packed))
    }

    fn connections(&mut self) -> io::Result<Box<dyn BufRead>> {
        let file = File::open("/proc/net/ip_vs_conn")?;
        Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
    }
}

fn errnos(results: Vec<Result<(), Refusal>>) -> Vec<Result<(), Errno>> {
    results.into_iter().map(|result| result.map_err(|refusal| refusal.errno)).collect()
}

fn errno(error: RequestError) -> Errno {
    error.errno().unwrap_or(libc::EINVAL)
}
