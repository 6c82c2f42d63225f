//! A network namespace for each test that needs one.

use std::process::Command;
use std::time::{Duration, Instant};

#[path = "../skip/mod.rs"]
mod skip;
use skip::skipped;

const INSIDE: &str = "HEARTBEATD_TEST_INSIDE";

/// Runs the test of that name once more in a fresh network namespace, where it runs `body`.
/// Where the kernel does not let us make one, the test counts as skipped.
pub fn in_a_network_of_its_own(name: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Duration::from_secs(30);
        return runtime.block_on(async { tokio::time::timeout(limit, body).await.expect("done within 30 s") });
    }
    let new = || {
        let mut unshare = Command::new("unshare");
        unshare.arg(if rustix::process::geteuid().is_root() { "-n" } else { "-rn" });
        unshare
    };
    if !new().arg("true").status().is_ok_and(|status| status.success()) {
        return skipped(name, "unshare cannot make a network namespace here");
    }
    let this = std::env::current_exe().unwrap();
    let output = new().arg(this).args(["--exact", name]).env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Runs the command ip.
pub fn ip(args: &str) {
    let status = Command::new("ip").args(args.split(' ')).status().expect("ip (package iproute2)");
    assert!(status.success(), "ip {args}");
}

/// The interface hb0 with a plugged cable.
pub fn cable(address: &str) {
    ip("link add hb0 type veth peer name hb0far");
    ip(&format!("addr add {address} dev hb0"));
    ip("link set hb0 up");
    ip("link set hb0far up");
    await_carrier();
}

/// Waits until the kernel has seen that hb0 has a carrier: what is sent before is dropped in silence.
pub fn await_carrier() {
    let shows_up = || {
        let output = Command::new("ip").args(["-oneline", "link", "show", "hb0"]).output().expect("ip");
        String::from_utf8_lossy(&output.stdout).contains(" state UP ")
    };
    let start = Instant::now();
    while !shows_up() {
        assert!(start.elapsed() < Duration::from_secs(10), "hb0 does not come up");
        std::thread::sleep(Duration::from_millis(10));
    }
}
