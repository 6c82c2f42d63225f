//! Who holds a virtual address, sampled without starting a program.
//!
//! The kernel shows a machine's local addresses in `/proc/PID/net/fib_trie` and `/proc/PID/net/if_inet6`; an address
//! counts as held while its interface is up.

use crate::clock;
use crate::cluster::Cluster;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two samples; a sample itself takes about as long in an emulated guest.
const PAUSE: Duration = Duration::from_millis(2);

/// A stretch of time with the same owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The machines that held the address.
    pub owners: BTreeSet<String>,
    /// The first sample that showed it.
    pub from: Duration,
    /// The first sample that showed something else, or the last one.
    pub to: Duration,
}

impl Holding {
    /// How long it lasted.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// What was seen between start and stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// In the order of time, without gaps.
    pub holdings: Vec<Holding>,
    /// The longest time between two samples: what is shorter may have been missed.
    pub blind: Duration,
}

impl Ownership {
    /// Notes one sample.
    fn note(&mut self, at: Duration, owners: BTreeSet<String>) {
        if let Some(last) = self.holdings.last_mut() {
            self.blind = self.blind.max(at.saturating_sub(last.to));
            last.to = at;
            if last.owners == owners {
                return;
            }
        }
        self.holdings.push(Holding { owners, from: at, to: at });
    }

    /// The longest stretch with two owners or more; zero if there was none.
    #[must_use]
    pub fn longest_with_several(&self) -> Duration {
        self.longest(|holding| holding.owners.len() > 1)
    }

    /// The longest stretch without an owner; zero if there was none.
    #[must_use]
    pub fn longest_without(&self) -> Duration {
        self.longest(|holding| holding.owners.is_empty())
    }

    /// How often the address went to a machine that did not hold it before.
    #[must_use]
    pub fn moves(&self) -> usize {
        let owned: Vec<_> = self.holdings.iter().filter(|holding| !holding.owners.is_empty()).collect();
        owned.windows(2).filter(|pair| !pair[1].owners.is_subset(&pair[0].owners)).count()
    }

    fn longest(&self, which: impl Fn(&Holding) -> bool) -> Duration {
        self.holdings.iter().filter(|holding| which(holding)).map(Holding::length).max().unwrap_or_default()
    }
}

/// Samples the owners of one address until it is stopped.
#[derive(Debug)]
pub struct OwnerWatch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Ownership>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnerWatch {
    /// Starts sampling who of `among` holds `address`.
    #[must_use]
    pub fn start(cluster: &Cluster, among: &[&str], address: IpAddr) -> Self {
        let watched: Vec<_> = among.iter().map(|&name| (name.to_owned(), cluster.node(name).first_process())).collect();
        let read = move || {
            let owners = watched.iter().filter(|(_, first)| holds(first, address));
            owners.map(|(name, _)| name.clone()).collect()
        };
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Ownership::default())));
        let (stopped, notes) = (Arc::clone(&stop), Arc::clone(&seen));
        let sample = move || {
            let owners = confirmed(&read);
            notes.lock().unwrap_or_else(PoisonError::into_inner).note(clock::now(), owners);
        };
        // The first and the last sample belong to the caller's time, not to that of the thread.
        sample();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                sample();
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Ownership {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends sampling and returns what was seen.
    ///
    /// # Panics
    /// If the sampling thread did.
    #[must_use]
    pub fn stop(mut self) -> Ownership {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a thread without panics");
        }
        self.seen()
    }
}

impl Drop for OwnerWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What `read` says of the owners. It reads one machine after the other, and the address may move meanwhile: so
/// anything but exactly one owner counts only when it is read twice in a row. What one had before and after the other was read,
/// it had at that time.
pub(crate) fn confirmed(mut read: impl FnMut() -> BTreeSet<String>) -> BTreeSet<String> {
    let mut owners = read();
    while owners.len() != 1 {
        let again = read();
        if again == owners {
            break;
        }
        owners = again;
    }
    owners
}

/// Whether the machine with this first process has `address` now. One that is switched off has none.
pub(crate) fn holds(first: &AtomicI32, address: IpAddr) -> bool {
    let pid = first.load(Ordering::SeqCst);
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    pid != 0
        && match address {
            IpAddr::V4(address) => in_fib_trie(&table("fib_trie"), &address.to_string()),
            IpAddr::V6(address) => in_if_inet6(&table("if_inet6"), address.octets()),
        }
}

/// A leaf `|-- ADDRESS` is followed by what it stands for; `/32 host LOCAL` is an address of this machine.
fn in_fib_trie(table: &str, address: &str) -> bool {
    let mut at_address = false;
    table.lines().any(|line| match line.trim_start().strip_prefix("|-- ") {
        Some(leaf) => {
            at_address = leaf == address;
            false
        }
        None => at_address && line.trim() == "/32 host LOCAL",
    })
}

/// One address a line: 32 hexadecimal digits first.
fn in_if_inet6(table: &str, octets: [u8; 16]) -> bool {
    let wanted: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    table.lines().any(|line| line.starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn seen(samples: &[(u64, &[&str])]) -> Ownership {
        let mut seen = Ownership::default();
        for &(at, names) in samples {
            seen.note(Duration::from_millis(at), owners(names));
        }
        seen
    }

    #[test]
    fn a_hand_over_with_a_gap_is_one_move() {
        let seen = seen(&[(0, &["a"]), (5, &["a"]), (10, &[]), (15, &[]), (20, &["b"]), (25, &["b"])]);
        assert_eq!(seen.holdings.len(), 3);
        assert_eq!(seen.longest_without(), Duration::from_millis(10));
        assert_eq!(seen.longest_with_several(), Duration::ZERO);
        assert_eq!(seen.moves(), 1);
        assert_eq!(seen.blind, Duration::from_millis(5));
    }

    #[test]
    fn two_owners_are_seen_as_such() {
        let seen = seen(&[(0, &["a"]), (4, &["a", "b"]), (11, &["b"])]);
        assert_eq!(seen.longest_with_several(), Duration::from_millis(7));
        assert_eq!(seen.moves(), 1, "letting go is not a move");
    }

    #[test]
    fn an_address_that_moves_while_it_is_read_has_one_owner_all_the_time() {
        let read = |readings: &[&[&str]]| {
            let mut readings = readings.iter();
            confirmed(|| owners(readings.next().expect("a reading that is needed")))
        };
        assert_eq!(read(&[&["a"]]), owners(&["a"]));
        assert_eq!(read(&[&["a", "b"], &["b"]]), owners(&["b"]));
        assert_eq!(read(&[&[], &["b"]]), owners(&["b"]));
        assert_eq!(read(&[&["a", "b"], &[], &[]]), owners(&[]));
        assert_eq!(read(&[&["a", "b"], &["a", "b"]]), owners(&["a", "b"]));
    }

    #[test]
    fn only_a_local_host_entry_is_an_address_of_ours() {
        let table = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.168.60.0\n        /24 link UNICAST\n     \
                     |-- 192.168.60.200\n        /32 host LOCAL\n     |-- 192.168.60.255\n        /32 link BROADCAST\n";
        assert!(in_fib_trie(table, "192.168.60.200"));
        assert!(!in_fib_trie(table, "192.168.60.255"));
        assert!(!in_fib_trie(table, "192.168.60.0"));
        assert!(!in_fib_trie(table, "192.168.60.20"));
    }

    #[test]
    fn an_address_of_version_six_is_found_by_its_digits() {
        let table = "fd000060000000000000000000000200 02 40 00 80     eth0\n";
        let IpAddr::V6(vip) = crate::plan::VIP6 else { panic!("the address is of version six") };
        assert!(in_if_inet6(table, vip.octets()));
        assert!(!in_if_inet6(table, [0; 16]));
    }
}
