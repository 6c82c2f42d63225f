//! `realserver`: what a back end of a cluster with direct routing (or tunnelling) needs.
//!
//! The director sends a request on with the virtual address still in it. So the back end
//! has that address too, on `lo`, and must not tell the neighbours: `arp_ignore` keeps it
//! from answering who has the address, `arp_announce` from naming it in questions of its
//! own. IPv6 needs no setting: Linux answers solicitations only for addresses of the
//! interface they come in on.
//!
//! [`plan`] decides and touches nothing; [`host`] looks at the kernel and changes it;
//! [`memory`] keeps what was before; [`driver`] is `realserver run`.

pub mod cli;
pub mod config;
pub mod driver;
pub mod host;
pub mod memory;
pub mod notice;
pub mod oneshot;
pub mod plan;
pub mod report;
