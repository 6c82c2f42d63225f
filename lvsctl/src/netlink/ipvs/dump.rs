//! Lists of the kernel, as streams and whole.
//!
//! A dump is no snapshot. The kernel sends it in parts, lets go of its table between two of them, and finds
//! its place again by counting: services over all network namespaces of the machine, real servers within
//! their service (spec/ipvs.md B.4). Whatever is added before that place meanwhile makes entries appear
//! twice; whatever is deleted before it makes others go missing, which nothing tells.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_generic::constants::GENL_HDRLEN;

use super::decode;
use super::newer::Newer;
use super::number::command;
use crate::ipvs::{DestinationListing, ServiceKey, ServiceListing, SyncDaemon};
use crate::netlink::RequestError;
use crate::netlink::reading::{Reading, Recorded, Source};
use crate::netlink::socket::DUMP_ATTEMPTS;

/// Which list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Services,
    /// The real servers of one service.
    Destinations(ServiceKey),
    /// The same; their counters are not read. The kernel sends them anyway.
    WithoutCounters(ServiceKey),
    Daemons,
}

impl Question {
    pub fn servers(of: ServiceKey, counters: bool) -> Self {
        if counters { Self::Destinations(of) } else { Self::WithoutCounters(of) }
    }

    pub fn command(self) -> u8 {
        match self {
            Self::Services => command::GET_SERVICE,
            Self::Destinations(_) | Self::WithoutCounters(_) => command::GET_DEST,
            Self::Daemons => command::GET_DAEMON,
        }
    }

    /// The service that is asked about.
    pub fn about(&self) -> Option<&ServiceKey> {
        match self {
            Self::Destinations(key) | Self::WithoutCounters(key) => Some(key),
            Self::Services | Self::Daemons => None,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services => f.write_str("list the virtual services"),
            Self::Destinations(key) | Self::WithoutCounters(key) => write!(f, "list the real servers of {key}"),
            Self::Daemons => f.write_str("list the sync daemons"),
        }
    }
}

/// Something with a key that no two entries of a list have in common.
pub trait Keyed {
    type Key: Eq + Hash;

    fn key(&self) -> Self::Key;

    /// The same for equal keys, and nearly always another one for others.
    fn fingerprint(&self) -> u64;
}

/// An entry of a list.
pub trait Row: Keyed + Sized {
    /// Reads an entry of the answer to a question. Attributes of a newer kernel are appended to `unknown`.
    fn decode(attrs: &[u8], question: &Question, unknown: &mut Vec<u8>) -> Result<Self, RequestError>;

    /// Sets the attributes of a newer kernel aside.
    fn note(&self, question: &Question, unknown: &[u8], newer: &mut Newer);
}

impl Row for ServiceListing {
    fn decode(attrs: &[u8], _: &Question, unknown: &mut Vec<u8>) -> Result<Self, RequestError> {
        decode::service(attrs, unknown)
    }

    fn note(&self, _: &Question, unknown: &[u8], newer: &mut Newer) {
        newer.note_service(self.key, unknown);
    }
}

impl Keyed for ServiceListing {
    type Key = ServiceKey;

    fn key(&self) -> ServiceKey {
        self.key
    }

    fn fingerprint(&self) -> u64 {
        match self.key {
            ServiceKey::Address { protocol, at } => of_address(at) ^ u64::from(protocol.number()) << 48,
            ServiceKey::Mark { family, mark } => u64::from(mark.get()) << 1 | family as u64,
        }
    }
}

impl Row for DestinationListing {
    fn decode(attrs: &[u8], question: &Question, unknown: &mut Vec<u8>) -> Result<Self, RequestError> {
        let service = question.about().ok_or(RequestError::Malformed("a real server of no service"))?;
        decode::destination(attrs, service.family(), matches!(question, Question::Destinations(_)), unknown)
    }

    fn note(&self, question: &Question, unknown: &[u8], newer: &mut Newer) {
        if let Some(&key) = question.about() {
            newer.note_server(key, self.at, unknown);
        }
    }
}

impl Keyed for DestinationListing {
    type Key = SocketAddr;

    fn key(&self) -> SocketAddr {
        self.at
    }

    fn fingerprint(&self) -> u64 {
        of_address(self.at)
    }
}

/// What is kept of a real server, behind its address.
impl<T> Keyed for (SocketAddr, T) {
    type Key = SocketAddr;

    fn key(&self) -> SocketAddr {
        self.0
    }

    fn fingerprint(&self) -> u64 {
        of_address(self.0)
    }
}

impl Row for SyncDaemon {
    fn decode(attrs: &[u8], _: &Question, _: &mut Vec<u8>) -> Result<Self, RequestError> {
        decode::sync_daemon(attrs)
    }

    fn note(&self, _: &Question, _: &[u8], _: &mut Newer) {}
}

impl Keyed for SyncDaemon {
    type Key = crate::ipvs::SyncRole;

    fn key(&self) -> Self::Key {
        self.role
    }

    fn fingerprint(&self) -> u64 {
        self.role as u64
    }
}

fn of_address(at: SocketAddr) -> u64 {
    let address = match at.ip() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        // An odd factor keeps what is in the low half apart from what is in the upper.
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ (v6.to_bits() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    address.rotate_left(16) ^ u64::from(at.port())
}

/// A list as it was read once.
#[derive(Debug)]
pub struct Attempt<T> {
    rows: Vec<T>,
    in_parts: bool,
    disturbed: bool,
}

impl<T: Keyed> Attempt<T> {
    /// The list, if it need not be read again.
    pub fn settled(mut self) -> Option<Vec<T>> {
        let again = self.disturbed || self.in_parts && drop_repeated(&mut self.rows);
        (!again).then_some(self.rows)
    }
}

impl Question {
    /// Forgets what was set aside of the entries that are about to be listed.
    pub(super) fn forget(&self, newer: &mut Newer) {
        match self {
            Self::Services => newer.forget_services(),
            Self::Destinations(key) | Self::WithoutCounters(key) => newer.forget_servers(key),
            Self::Daemons => {}
        }
    }

    /// Reads one entry.
    pub fn entry<R: Row>(&self, payload: &[u8], unknown: &mut Vec<u8>, newer: &mut Newer) -> Result<R, RequestError> {
        unknown.clear();
        let row = R::decode(payload.get(GENL_HDRLEN..).unwrap_or_default(), self, unknown)?;
        if !unknown.is_empty() {
            row.note(self, unknown, newer);
        }
        Ok(row)
    }
}

/// Reads a list to its end; `keep` tells what to keep of each entry.
pub fn read<R: Row, T>(
    source: &mut impl Source,
    newer: &mut Newer,
    mut reading: Reading,
    family: u16,
    question: &Question,
    keep: impl Fn(R) -> T,
) -> Result<Attempt<T>, RequestError> {
    question.forget(newer);
    let (mut rows, mut unknown) = (Vec::new(), Vec::new());
    reading.read_to_end(source, question, |kind, payload| {
        if kind == family {
            rows.push(keep(question.entry(payload, &mut unknown, newer)?));
        }
        Ok(())
    })?;
    Ok(Attempt { rows, in_parts: reading.in_parts(), disturbed: reading.disturbed() })
}

/// A list in which no entry is twice.
///
/// A repeated entry proves that the list has changed meanwhile, so that the newest may be missing: it is
/// read again. On a machine where others change services without a pause that may go on for ever; then the
/// last reading is as good as any, without what is repeated. That the kernel itself calls a list disturbed
/// (`NLM_F_DUMP_INTR`; Linux 6.1 never does for IPVS) is believed for as long, and then told.
///
/// # Errors
/// The first of the attempts; [`RequestError::Disturbed`].
pub fn settle<T: Keyed>(mut attempt: impl FnMut() -> Result<Attempt<T>, RequestError>) -> Result<Vec<T>, RequestError> {
    let mut left = DUMP_ATTEMPTS;
    loop {
        let Attempt { mut rows, in_parts, disturbed } = attempt()?;
        let repeated = in_parts && drop_repeated(&mut rows);
        left -= 1;
        match (repeated, disturbed, left) {
            (false, false, _) | (true, false, 0) => return Ok(rows),
            (_, true, 0) => return Err(RequestError::Disturbed),
            _ => {}
        }
    }
}

/// Drops every entry whose key an earlier one has; whether there was any.
///
/// Eight bytes an entry, which are sorted, are much less and much faster than a set of keys.
fn drop_repeated<T: Keyed>(rows: &mut Vec<T>) -> bool {
    // Most are in the order in which they were added, or the other way round.
    if rows.is_sorted_by(|a, b| a.fingerprint() > b.fingerprint()) {
        return false;
    }
    let mut fingerprints: Vec<u64> = rows.iter().map(Keyed::fingerprint).collect();
    fingerprints.sort_unstable();
    if fingerprints.is_sorted_by(|a, b| a < b) {
        return false;
    }
    let count = rows.len();
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.key()));
    rows.len() < count
}

/// What a client makes of the recorded answer to "list the services": each datagram as it was received, all of
/// them answers to the request with sequence number `sequence` in the family with number `family`.
///
/// # Errors
/// As [`Client::services`](super::Client::services).
pub fn replay_services<D: AsRef<[u8]>>(
    datagrams: impl IntoIterator<Item = D>,
    sequence: u32,
    family: u16,
) -> Result<Vec<ServiceListing>, RequestError> {
    replay(datagrams, sequence, family, &Question::Services)
}

/// The same for "list the real servers of this service".
///
/// # Errors
/// As [`Client::destinations`](super::Client::destinations).
pub fn replay_destinations<D: AsRef<[u8]>>(
    datagrams: impl IntoIterator<Item = D>,
    sequence: u32,
    family: u16,
    key: &ServiceKey,
) -> Result<Vec<DestinationListing>, RequestError> {
    replay(datagrams, sequence, family, &Question::Destinations(*key))
}

/// The same for "list the sync daemons".
///
/// # Errors
/// As [`Client::daemons`](super::Client::daemons).
pub fn replay_daemons<D: AsRef<[u8]>>(
    datagrams: impl IntoIterator<Item = D>,
    sequence: u32,
    family: u16,
) -> Result<Vec<SyncDaemon>, RequestError> {
    replay(datagrams, sequence, family, &Question::Daemons)
}

fn replay<T: Row, D: AsRef<[u8]>>(
    datagrams: impl IntoIterator<Item = D>,
    sequence: u32,
    family: u16,
    question: &Question,
) -> Result<Vec<T>, RequestError> {
    let mut recorded = Recorded::new(datagrams);
    let (newer, reading) = (&mut Newer::default(), Reading::of(sequence));
    let Attempt { mut rows, in_parts, .. } = read(&mut recorded, newer, reading, family, question, |row: T| row)?;
    if in_parts {
        drop_repeated(&mut rows);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attribute::Writer;
    use crate::netlink::ipvs::encode;
    use crate::netlink::ipvs::number::{dest, service, top};
    use crate::netlink::message::write_message;
    use netlink_packet_core::{NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE};

    const FAMILY: u16 = 31;
    const SEQUENCE: u32 = 5;

    fn marked(flags: u16, marks: &[u32]) -> Vec<u8> {
        let mut datagram = Vec::new();
        for &mark in marks {
            write_message(&mut datagram, FAMILY, NLM_F_MULTIPART | flags, SEQUENCE, |body| {
                encode::header(body, command::NEW_SERVICE);
                Writer(body).nested(top::SERVICE, |w| {
                    w.u16(service::AF, 2);
                    w.u32(service::FWMARK, mark);
                    w.text(service::SCHED_NAME, "rr");
                });
            });
        }
        datagram
    }

    fn servers(last: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        for &last in last {
            write_message(&mut datagram, FAMILY, NLM_F_MULTIPART, SEQUENCE, |body| {
                encode::header(body, command::NEW_DEST);
                Writer(body).nested(top::DEST, |w| {
                    w.bytes(dest::ADDR, &[10, 0, 0, last]);
                    w.port(dest::PORT, 80);
                });
            });
        }
        datagram
    }

    fn done() -> Vec<u8> {
        let mut datagram = Vec::new();
        write_message(&mut datagram, NLMSG_DONE, NLM_F_MULTIPART, SEQUENCE, |body| body.extend([0; 4]));
        datagram
    }

    /// The marks that come out when the attempts read these datagrams, and how many attempts there were.
    fn settled(attempts: &[Vec<Vec<u8>>]) -> (Result<Vec<u32>, String>, usize) {
        let mut made = 0;
        let listed = settle(|| {
            let datagrams = &attempts[made.min(attempts.len() - 1)];
            made += 1;
            let mut recorded = Recorded::new(datagrams);
            let newer = &mut Newer::default();
            let keep = |row: ServiceListing| row;
            read(&mut recorded, newer, Reading::of(SEQUENCE), FAMILY, &Question::Services, keep)
        });
        let marks = listed.map(|rows| {
            let mark = |row: ServiceListing| match row.key {
                ServiceKey::Mark { mark, .. } => mark.get(),
                ServiceKey::Address { .. } => 0,
            };
            rows.into_iter().map(mark).collect()
        });
        (marks.map_err(|error| error.to_string()), made)
    }

    #[test]
    fn a_list_without_repetition_is_read_once() {
        let attempts = [vec![marked(0, &[1, 2, 3]), marked(0, &[4, 5]), done()]];
        assert_eq!(settled(&attempts), (Ok(vec![1, 2, 3, 4, 5]), 1));
        assert_eq!(settled(&[vec![[marked(0, &[1]), done()].concat()]]), (Ok(vec![1]), 1));
        assert_eq!(settled(&[vec![done()]]), (Ok(vec![]), 1));
    }

    #[test]
    fn a_repetition_makes_the_list_be_read_again() {
        // A service that was added before the second part pushes the third over the edge; it is itself missed.
        let pushed = vec![marked(0, &[1, 2, 3]), marked(0, &[3, 4]), done()];
        let quiet = vec![marked(0, &[9, 1, 2]), marked(0, &[3, 4]), done()];
        assert_eq!(settled(&[pushed, quiet]), (Ok(vec![9, 1, 2, 3, 4]), 2));
    }

    #[test]
    fn a_list_that_never_rests_is_given_without_repetitions() {
        let restless = vec![marked(0, &[1, 2, 3]), marked(0, &[2, 3, 4]), marked(0, &[4, 5]), done()];
        assert_eq!(settled(&[restless]), (Ok(vec![1, 2, 3, 4, 5]), DUMP_ATTEMPTS));
    }

    #[test]
    fn a_list_that_the_kernel_calls_disturbed_is_read_again_and_never_given() {
        let disturbed = vec![marked(NLM_F_DUMP_INTR, &[1, 2]), done()];
        let quiet = vec![marked(0, &[1]), done()];
        assert_eq!(settled(&[disturbed.clone(), quiet]), (Ok(vec![1]), 2));
        let (marks, attempts) = settled(&[disturbed]);
        assert!(marks.is_err_and(|error| error.contains("kept changing")));
        assert_eq!(attempts, DUMP_ATTEMPTS);
    }

    #[test]
    fn servers_are_repeated_by_address_and_port() {
        let key = ServiceKey::tcp(([192, 0, 2, 1], 80).into());
        let datagrams = [servers(&[4, 3, 2]), servers(&[2, 1]), done()];
        let listed = replay_destinations(&datagrams, SEQUENCE, FAMILY, &key).expect("a list");
        let addresses: Vec<_> = listed.iter().map(|row| row.at.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.4:80", "10.0.0.3:80", "10.0.0.2:80", "10.0.0.1:80"]);
    }

    #[test]
    fn keys_that_differ_are_kept_whatever_their_fingerprints() {
        #[derive(Debug, PartialEq)]
        struct Alike(u32);
        impl Keyed for Alike {
            type Key = u32;
            fn key(&self) -> u32 {
                self.0
            }
            fn fingerprint(&self) -> u64 {
                1
            }
        }
        let mut rows = vec![Alike(1), Alike(2), Alike(1)];
        assert!(drop_repeated(&mut rows));
        assert_eq!(rows, [Alike(1), Alike(2)]);
        assert!(!drop_repeated(&mut rows));
    }
}
