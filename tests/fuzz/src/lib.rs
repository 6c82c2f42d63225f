//! What the fuzz targets do with their bytes: nothing may panic, and what is said below must hold.
//!
//! `cargo +nightly fuzz run TARGET` in this directory (docs/fuzzing.md). The same functions run on random input under
//! `cargo test -p lvsctl`, for `lvsctl/tests/fuzz_targets.rs` includes this file, and what is about ldirectord
//! under `cargo test -p ldirectord`. Run `conversation` in a network namespace of its own (`unshare -rn`).

// lvsctl's tests include this file and know nothing of the other daemons, whose tests include theirs.
#[cfg(not(test))]
pub mod checks;
#[cfg(not(test))]
pub mod heartbeats;

use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::path::Path;

use lvs::cli::{Errno, Input, Kernel, Shell};
use lvs::control;
use lvs::ipc::{Fault, Greeting};
use lvs::ipvs::list::{Connection, connection_line};
use lvs::ipvs::sync::{Entry, datagrams};
use lvs::ipvs::text::Numeric;
use lvs::ipvs::{
    Change, DestinationListing, Info, ServiceKey, ServiceListing, Stats, SyncDaemon, Table, Timeouts, apply_to,
};
use lvs::netlink::ipvs::{replay_daemons, replay_destinations, replay_services};
use lvs::state::document;

const FAMILY: u16 = 31;
const SEQUENCE: u32 = 1;

/// Datagrams of a dump: each begins with its length, a byte. An odd first byte puts the headers that the kernel would
/// put before each, so that what is inside is reached at once.
pub fn kernel_dump(data: &[u8]) {
    let Some((&kind, mut rest)) = data.split_first() else { return };
    let mut received: Vec<Vec<u8>> = Vec::new();
    while let Some((&length, behind)) = rest.split_first() {
        let (datagram, behind) = behind.split_at(usize::from(length).min(behind.len()));
        received.push(if kind & 1 == 0 { datagram.to_vec() } else { message(FAMILY, datagram) });
        rest = behind;
    }
    if kind & 2 != 0 {
        const NLMSG_DONE: u16 = 3;
        received.push(message(NLMSG_DONE, &[0; 4]));
    }
    if let Ok(services) = replay_services(&received, SEQUENCE, FAMILY) {
        let keys: std::collections::HashSet<_> = services.iter().map(|service| service.key).collect();
        assert_eq!(keys.len(), services.len(), "no service is there twice");
    }
    for key in [at([192, 0, 2, 1], 80), "[2001:db8::1]:80".parse().expect("an address")].map(ServiceKey::tcp) {
        if let Ok(servers) = replay_destinations(&received, SEQUENCE, FAMILY, &key) {
            let keys: std::collections::HashSet<_> = servers.iter().map(|server| server.at).collect();
            assert_eq!(keys.len(), servers.len(), "no server is there twice");
        }
    }
    let _ = replay_daemons(&received, SEQUENCE, FAMILY);
}

/// A message of generic netlink.
fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
    const MULTIPART: u16 = 2;
    let length = u32::try_from(20 + attributes.len()).expect("a datagram is short");
    let head = [kind.to_ne_bytes(), MULTIPART.to_ne_bytes()].concat();
    [&length.to_ne_bytes()[..], &head, &SEQUENCE.to_ne_bytes(), &[0; 4], &[1, 1, 0, 0], attributes].concat()
}

fn at(address: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// Standard input of `ipvsadm -R`. Whoever writes a byte at a time gets what one gets who writes everything at once.
pub fn restore(data: &[u8]) {
    let whole = restored(&mut &*data);
    let piecemeal = restored(&mut OneByOne(data));
    assert_eq!(whole, piecemeal);
}

/// Exit status, output, complaints, and the table that is left.
fn restored(input: &mut dyn Input) -> (u8, Vec<u8>, Vec<u8>, Table) {
    let (mut kernel, mut out, mut err) = (Model::default(), Vec::new(), Vec::new());
    let mut shell = Shell {
        program: b"ipvsadm",
        strict: false,
        kernel: &mut kernel,
        names: &mut Numeric,
        out: &mut out,
        err: &mut err,
    };
    let status = shell.run(&[b"-R"], input);
    (status, out, err, kernel.0)
}

struct OneByOne<'a>(&'a [u8]);

impl Input for OneByOne<'_> {}

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some((&first, rest)), Some(place)) = (self.0.split_first(), buffer.first_mut()) else { return Ok(0) };
        *place = first;
        self.0 = rest;
        Ok(1)
    }
}

/// A kernel in memory.
#[derive(Default)]
struct Model(Table);

impl Model {
    fn listing(&self, key: &ServiceKey) -> Result<ServiceListing, Errno> {
        let found = self.0.get(key).ok_or(libc::ESRCH)?;
        Ok(ServiceListing { key: *key, service: found.service.clone(), stats: Stats::default(), destinations: vec![] })
    }
}

impl Kernel for Model {
    fn info(&mut self) -> Result<Info, Errno> {
        Ok(Info { version: 0x01_02_01, connection_table_size: 4096 })
    }

    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
        self.0.keys().map(|key| self.listing(key)).collect()
    }

    fn service(&mut self, key: &ServiceKey) -> Result<ServiceListing, Errno> {
        self.listing(key)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
        let servers = self.0.get(key).into_iter().flat_map(|service| &service.destinations);
        let listing = |(&at, &destination)| DestinationListing {
            at,
            destination,
            active_connections: 0,
            inactive_connections: 0,
            persistent_connections: 0,
            stats: Stats::default(),
        };
        Ok(servers.map(listing).collect())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Errno> {
        Ok(Timeouts::default())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
        Ok(vec![])
    }

    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        changes.iter().map(|change| apply_to(&mut self.0, change).map_err(|refusal| refusal.0)).collect()
    }

    fn connections(&mut self) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(io::empty()))
    }
}

/// A file of `lvsctl apply`. What is read is written so that it is read as the same table.
pub fn table_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("table.toml");
    let Ok(read) = document::read(path, text) else { return };
    let written = document::to_toml(&read.wanted);
    match document::read(path, &written) {
        Ok(again) => assert_eq!(again.wanted.table, read.wanted.table, "{written}"),
        Err(mistakes) => panic!("{written}\n{mistakes:?}"),
    }
}

/// A command line of ipvsadm, words separated by NUL; an odd first byte is `POSIXLY_CORRECT`.
pub fn command_line(data: &[u8]) {
    let Some((&strict, words)) = data.split_first() else { return };
    let words: Vec<&[u8]> = words.split(|&byte| byte == 0).collect();
    if let Err(usage) = lvs::cli::parse(&words, strict & 1 != 0, &mut Numeric) {
        assert!([2, 255].contains(&usage.status()));
        let mut told = Vec::new();
        usage.write(b"ipvsadm", &mut told).expect("memory takes everything");
        assert!(told.ends_with(b"\n"));
    }
}

/// A line on one of the sockets.
pub fn socket_line(data: &[u8]) {
    fn read<T: serde::de::DeserializeOwned>(data: &[u8]) -> Option<T> {
        serde_json::from_slice(data).ok()
    }
    let _: Option<Greeting> = read(data);
    let _: Option<Fault> = read(data);
    let _: Option<control::ldirectord::Request> = read(data);
    let _: Option<control::ldirectord::Status> = read(data);
    let _: Option<control::heartbeatd::Request> = read(data);
    let _: Option<control::heartbeatd::Status> = read(data);
    let _: Option<control::realserver::Request> = read(data);
    let _: Option<control::realserver::Notice> = read(data);
    let _: Option<control::lvsctl::Notice> = read(data);
    let _: Option<control::lvsctl::Page> = read(data);
    if let Some(request) = read::<control::lvsctl::Request>(data) {
        let line = serde_json::to_string(&request).expect("a request can be written");
        assert!(read::<control::lvsctl::Request>(line.as_bytes()).is_some(), "{line}");
    }
}

/// Rows of `/proc/net/ip_vs_conn`, and the datagrams in which their connections are handed over.
pub fn connections(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut entries = Vec::new();
    for row in text.lines() {
        let Some(connection) = Connection::parse(row) else { continue };
        let mut line = String::new();
        connection_line(&mut line, &connection, true, &mut Numeric);
        assert!(line.ends_with('\n'));
        entries.push(Entry {
            protocol: 6,
            client: connection.source,
            service: connection.virtual_address,
            real: connection.destination,
            state: 1,
            timeout: connection.expires,
            method: 3,
        });
    }
    const LONGEST: usize = 1472;
    assert!(datagrams(&entries, 1, LONGEST).iter().all(|datagram| datagram.len() <= LONGEST));
}
