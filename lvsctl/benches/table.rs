//! The parts of bulk work that need no kernel, for 10,000 real servers: what a dump becomes, the lines of
//! `-R`, the difference of two tables, the lines of a listing.
//!
//! `cargo bench -p lvsctl`; beside ipvsadm, kernel included: `make bench`.

use std::hint::black_box;
use std::io::BufRead;
use std::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use lvs::cli::{Errno, Kernel, Shell};
use lvs::ipvs::list::{Columns, Style, destination_line, sort_destinations};
use lvs::ipvs::text::Numeric;
use lvs::ipvs::{
    Change, Destination, DestinationListing, Forward, Info, Service, ServiceKey, ServiceListing, SyncDaemon, Table,
    Timeouts, VirtualService, diff,
};
use lvs::netlink::ipvs::replay_destinations;

const SERVERS: u32 = 10_000;
const FAMILY: u16 = 31;
const SEQUENCE: u32 = 1;

fn key() -> ServiceKey {
    ServiceKey::tcp(SocketAddr::from(([192, 0, 2, 1], 80)))
}

fn server(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 80))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A real server as Linux 6.1 sends it (spec/ipvs.md B.3).
fn message(number: u32) -> Vec<u8> {
    let mut address = [0; 16];
    address[1..4].copy_from_slice(&number.to_be_bytes()[1..]);
    address[0] = 10;
    let counters = |wide: bool| -> Vec<u8> {
        let width = |kind| if wide || kind == 4 || kind == 5 { 8 } else { 4 };
        (1..=10).flat_map(|kind| attribute(kind, &[0; 8][..width(kind)])).collect()
    };
    let number = |kind, value: u32| attribute(kind, &value.to_ne_bytes());
    let nest = [
        attribute(1, &address),
        attribute(2, &80_u16.to_be_bytes()),
        number(3, 0),
        number(4, 1),
        attribute(13, &[0]),
        attribute(14, &[0, 0]),
        attribute(15, &[0, 0]),
        number(5, 0),
        number(6, 0),
        number(7, 0),
        number(8, 0),
        number(9, 0),
        attribute(11, &2_u16.to_ne_bytes()),
        attribute(10, &counters(false)),
        attribute(12, &counters(true)),
    ]
    .concat();
    let body = [vec![5, 1, 0, 0], attribute(2, &nest)].concat();
    netlink(FAMILY, &body)
}

fn netlink(kind: u16, body: &[u8]) -> Vec<u8> {
    const MULTIPART: u16 = 2;
    let length = u32::try_from(16 + body.len()).expect("short");
    let head = [kind.to_ne_bytes(), MULTIPART.to_ne_bytes()].concat();
    [&length.to_ne_bytes()[..], &head, &SEQUENCE.to_ne_bytes(), &[0; 4], body].concat()
}

/// In parts as the kernel makes them, and the end.
fn datagrams() -> Vec<Vec<u8>> {
    const NLMSG_DONE: u16 = 3;
    let messages: Vec<Vec<u8>> = (0..SERVERS).map(message).collect();
    let mut parts: Vec<Vec<u8>> = messages.chunks(90).map(<[_]>::concat).collect();
    parts.push(netlink(NLMSG_DONE, &[0; 4]));
    parts
}

/// Takes everything and has nothing.
struct Nowhere;

impl Kernel for Nowhere {
    fn info(&mut self) -> Result<Info, Errno> {
        Err(libc::EPERM)
    }
    fn services(&mut self) -> Result<Vec<ServiceListing>, Errno> {
        Ok(vec![])
    }
    fn service(&mut self, _: &ServiceKey) -> Result<ServiceListing, Errno> {
        Err(libc::ESRCH)
    }
    fn destinations(&mut self, _: &ServiceKey) -> Result<Vec<DestinationListing>, Errno> {
        Ok(vec![])
    }
    fn timeouts(&mut self) -> Result<Timeouts, Errno> {
        Err(libc::EPERM)
    }
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Errno> {
        Ok(vec![])
    }
    fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        vec![Ok(()); black_box(changes).len()]
    }
    fn connections(&mut self) -> std::io::Result<Box<dyn BufRead>> {
        Ok(Box::new(std::io::empty()))
    }
}

fn restore(input: &[u8]) -> u8 {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut shell = Shell {
        program: b"ipvsadm",
        strict: false,
        kernel: &mut Nowhere,
        names: &mut Numeric,
        out: &mut out,
        err: &mut err,
    };
    shell.run(&[b"-R"], &mut &*input)
}

fn table(weight: u32) -> Table {
    let destinations = (0..SERVERS).map(|n| (server(n), Destination::new(Forward::Masq, weight))).collect();
    [(key(), VirtualService { service: Service::default(), destinations })].into()
}

fn measure(criterion: &mut Criterion) {
    let dump = datagrams();
    let listing = replay_destinations(&dump, SEQUENCE, FAMILY, &key()).expect("a list");
    assert_eq!(listing.len(), 10_000);

    criterion.bench_function("read the dump of 10,000 servers", |bench| {
        bench.iter(|| replay_destinations(&dump, SEQUENCE, FAMILY, &key()));
    });
    criterion.bench_function("sort 10,000 servers", |bench| {
        bench.iter_batched(
            || listing.clone(),
            |mut listing| {
                sort_destinations(&mut listing);
                listing
            },
            criterion::BatchSize::LargeInput,
        );
    });
    for (name, columns) in [("-Ln", Columns::Plain), ("-Ln --stats", Columns::Statistics)] {
        let style = Style { columns, exact: false };
        criterion.bench_function(&format!("{name} of 10,000 servers"), |bench| {
            bench.iter(|| {
                let mut text = String::new();
                for server in &listing {
                    destination_line(&mut text, &key(), server, style, &mut Numeric);
                }
                text
            });
        });
    }
    let lines: Vec<String> = (0..SERVERS).map(|n| format!("-a -t 192.0.2.1:80 -r {} -m -w 1\n", server(n))).collect();
    let input = lines.concat();
    criterion.bench_function("-R of 10,000 servers, but for the kernel", |bench| {
        bench.iter(|| assert_eq!(restore(input.as_bytes()), 0));
    });
    let (live, wanted) = (table(1), table(2));
    criterion.bench_function("diff of 10,000 equal servers", |bench| bench.iter(|| diff(&live, &live)));
    criterion.bench_function("diff of 10,000 changed servers", |bench| bench.iter(|| diff(&live, &wanted)));
}

criterion_group!(benches, measure);
criterion_main!(benches);
