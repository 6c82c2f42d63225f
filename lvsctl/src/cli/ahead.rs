//! The servers of many services: while those of one are shown, another thread asks for those of the next.

use std::mem;
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use super::kernel::{Errno, Kernel};
use crate::ipvs::{DestinationListing, ServiceListing};

/// From so many services on, a thread is worth its start.
const MANY: usize = 16;
/// Lines that are handed over together: to wake the other thread takes as long as to show dozens.
const PIECE: usize = 512;
/// Pieces that may wait to be shown.
const WAITING: usize = 4;

/// What `keep` keeps of a service's servers, each behind its address, or the errno that ends a listing.
type Servers<T> = Result<Vec<(SocketAddr, T)>, Errno>;

/// Calls `show` with each service and what `keep` keeps of its servers, in the order of `services`; without
/// `counters` those of servers are 0.
///
/// # Errors
/// The errno of the first service whose servers the kernel does not list; `show` has seen those before it.
pub(super) fn with_servers<K: Kernel, T: Send>(
    kernel: &mut K,
    services: &[ServiceListing],
    counters: bool,
    keep: fn(&DestinationListing) -> T,
    mut show: impl FnMut(&ServiceListing, Vec<(SocketAddr, T)>),
) -> Result<(), Errno> {
    let kernel = Mutex::new(kernel);
    let ask = &|service: &ServiceListing| {
        let mut kernel = kernel.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.destinations_as(&service.key, counters, keep)
    };
    scope(|scope| {
        let (hand, asked) = sync_channel::<Vec<Servers<T>>>(WAITING);
        let ask_all = move || {
            let (mut piece, mut lines) = (Vec::new(), 0);
            for servers in services.iter().map(ask) {
                let failed = servers.is_err();
                lines += 1 + servers.as_ref().map_or(0, Vec::len);
                piece.push(servers);
                if failed || lines >= PIECE {
                    lines = 0;
                    // Nobody listens any more where showing has panicked.
                    if hand.send(mem::take(&mut piece)).is_err() || failed {
                        return;
                    }
                }
            }
            let _ = hand.send(piece);
        };
        // Without another thread this one does both.
        let ahead = services.len() >= MANY && Builder::new().spawn_scoped(scope, ask_all).is_ok();
        let mut asked = asked.into_iter().flatten();
        services.iter().try_for_each(|service| {
            let servers = if ahead { asked.next().unwrap_or(Err(libc::EIO)) } else { ask(service) };
            show(service, servers?);
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Change, Destination, Forward, Info, ServiceKey, SyncDaemon, Timeouts};
    use std::io::{self, BufRead};

    /// Has one server a service, with the port of the service, and fails at the service with port 0.
    struct Ports;

    impl Kernel for Ports {
        fn info(&mut self) -> Result<Info, Errno> {
            Err(libc::ENOSYS)
        }

        fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
            Err(libc::ENOSYS)
        }

        fn service(&mut self, _: &ServiceKey) -> Result<ServiceListing, Errno> {
            Err(libc::ENOSYS)
        }

        fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
            let ServiceKey::Address { at, .. } = *key else { return Err(libc::EINVAL) };
            if at.port() == 0 {
                return Err(libc::ENOMEM);
            }
            Ok(vec![DestinationListing {
                at,
                destination: Destination::new(Forward::Masq, 1),
                active_connections: 0,
                inactive_connections: 0,
                persistent_connections: 0,
                stats: Default::default(),
            }])
        }

        fn timeouts(&mut self) -> Result<Timeouts, Errno> {
            Err(libc::ENOSYS)
        }

        fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
            Err(libc::ENOSYS)
        }

        fn change(&mut self, _: &[Change]) -> Vec<Result<(), Errno>> {
            Vec::new()
        }

        fn connections(&mut self) -> io::Result<Box<dyn BufRead>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn shown(ports: impl Iterator<Item = u16>) -> (Vec<u16>, Result<(), Errno>) {
        let listing = |port| ServiceListing {
            key: ServiceKey::tcp(([192, 0, 2, 1], port).into()),
            service: Default::default(),
            stats: Default::default(),
            destinations: Vec::new(),
        };
        let services: Vec<_> = ports.map(listing).collect();
        let mut seen = Vec::new();
        let result = with_servers(
            &mut Ports,
            &services,
            false,
            |row| row.at.port(),
            |service, servers| {
                assert_eq!(service.key, ServiceKey::tcp(servers[0].0), "the servers of another service");
                seen.extend(servers.iter().map(|(_, port)| *port));
            },
        );
        (seen, result)
    }

    #[test]
    fn few_and_many_services_are_shown_in_their_order_each_with_its_servers() {
        for count in [1, 15, 16, 17, 500] {
            assert_eq!(shown(1..=count), ((1..=count).collect(), Ok(())));
        }
    }

    #[test]
    fn a_refusal_ends_the_listing_where_it_happens() {
        for (before, behind) in [(3, 0), (3, 5), (40, 0), (40, 100), (300, 0), (300, 5)] {
            let ports = (1..=before).chain([0]).chain(1000..1000 + behind);
            assert_eq!(shown(ports), ((1..=before).collect(), Err(libc::ENOMEM)), "{before} and {behind}");
        }
    }
}
