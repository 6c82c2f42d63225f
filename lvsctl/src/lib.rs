//! What the four programs share: the IPVS model and its netlink client, the
//! sockets they talk over, and the plumbing of a daemon.

pub mod cli;
pub mod control;
pub mod daemon;
pub mod diag;
pub mod doctor;
pub mod drain;
pub mod ipc;
pub mod ipvs;
pub mod netlink;
pub mod programmer;
pub mod serve;
pub mod settings;
pub mod state;
pub mod top;

#[cfg(doctest)]
#[doc = include_str!("../../docs/from-ipvsadm-to-the-library.md")]
struct FromIpvsadmToTheLibrary;
