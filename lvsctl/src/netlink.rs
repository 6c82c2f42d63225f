//! The one door to the kernel: IPVS, addresses, links, and announcements to the neighbours.
//!
//! Everything here is synchronous, as netlink itself is: the kernel carries out a request
//! while it is being sent, and its answer waits in the socket when the send returns. A
//! program with a loop of its own hands the few requests that may take long (bulk changes,
//! dumps of large tables) to [`ipvs::Worker`].
//!
//! A socket belongs to the network namespace of the thread that opened it.

mod attribute;
mod message;
mod reading;
mod rule;
mod socket;

pub mod address;
pub mod announce;
pub mod ipvs;
pub mod link;
mod namespace;
pub mod route;
pub mod watch;

pub use namespace::Namespace;
pub use socket::RequestError;
