//! The lab: whole clusters on a real kernel, for stories, the demo and measurements.
//!
//! Everything here runs as root inside of what `tests/lab/run` makes and nowhere else. A story builds a [`Cluster`]
//! from a [`Plan`], starts programs on its [`Node`]s, cuts cables, fails the power, and meanwhile asks with a [`Probe`]
//! and watches with an [`OwnerWatch`]. When the cluster goes, at the end of the test, passed or failed, everything in it
//! is gone.
//!
//! ```no_run
//! # use lab::{Cluster, Probe, Result, VIP, probe, web};
//! # fn story() -> Result<()> {
//! let cluster = Cluster::direct_routing()?;
//! let _rs1 = web::serve(cluster.node("rs1"), "rs1")?;
//! let probe = Probe::start(cluster.node("client"), &probe::Spec::new((VIP, 80).into()))?;
//! let _daemon = cluster.node("lvs1").start("heartbeatd", &[&lab::program("heartbeatd")?, "-d"])?;
//! // ...
//! cluster.power_off("lvs1")?;
//! let report = probe.stop()?;
//! assert_eq!(report.failed(), 0, "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! Times are [`clock::now`] everywhere. In an emulated guest timers are exact and processors about ten times slower;
//! starting a program takes 50 ms, and much longer while the machine has other work.

mod batch;
pub mod capture;
mod claims;
pub mod clock;
mod cluster;
pub mod directors;
mod enter;
mod error;
pub mod inside;
pub mod keeper;
mod node;
pub mod original;
mod owners;
pub mod plan;
pub mod probe;
mod process;
mod serial;
pub mod syslog;
mod wait;
pub mod web;

pub use claims::{Claim, ClaimWatch, Claims, mac};
pub use cluster::{Cluster, Way};
pub use directors::{DIRECTORS, Daemon, Directors, Files};
pub use error::{Attempt, Error, Result};
pub use node::{DIRECTORIES, Node};
pub use owners::{Holding, OwnerWatch, Ownership};
pub use plan::{BEAT, LAN, Machine, Plan, VIP, VIP6};
pub use probe::Probe;
pub use process::{Process, kill};
pub use serial::SerialCable;
pub use wait::{wait_for, wait_until};

/// One of the toolkit's own programs, in the directory that `LAB_BIN` names.
///
/// # Errors
/// [`Error::Senseless`] if it is not there.
pub fn program(name: &str) -> Result<String> {
    let directory = std::env::var("LAB_BIN").unwrap_or_default();
    let path = std::path::Path::new(&directory).join(name);
    if path.is_file() {
        return Ok(path.to_string_lossy().into_owned());
    }
    Err(Error::Senseless(format!("LAB_BIN is \"{directory}\", and {} is not there; cargo build it", path.display())))
}
