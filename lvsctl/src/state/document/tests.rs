use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::ipvs::{
    Destination, Family, Forward, Mark, Netmask, Persistence, Protocol, SchedulerFlags, Service, ServiceKey,
    SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum, VirtualService,
};
use crate::state::{Comments, Wanted};

fn wanted(text: &str) -> Wanted {
    let reading = read(Path::new("table.toml"), text).expect("nothing is wrong");
    assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
    reading.wanted
}

fn told(text: &str) -> Vec<String> {
    let mistakes = read(Path::new("table.toml"), text).expect_err("something is wrong");
    mistakes.iter().map(|m| format!("{}:{} {}", m.line, m.columns.start, m.message)).collect()
}

#[test]
fn a_file_of_a_few_lines_is_enough() {
    let text = "[[service]]\ntcp = \"192.168.60.200:80\"\nserver = [{ address = \"192.168.60.132\" }]\n";
    let at = SocketAddr::from(([192, 168, 60, 132], 80));
    let service =
        VirtualService { service: Service::default(), destinations: [(at, Destination::new(Forward::Gate, 1))].into() };
    let table = [(ServiceKey::tcp(([192, 168, 60, 200], 80).into()), service)].into();
    assert_eq!(wanted(text), Wanted { table, ..Wanted::default() });
    assert_eq!(wanted(""), Wanted::default());
    assert_eq!(wanted("[sync]\n").daemons, Some(vec![]), "no daemon should run");
}

#[test]
fn what_is_written_is_easy_to_read() {
    let text = "\
comment = \"of lvs1\"

[timeouts]
tcp = 900

[sync]

[sync.master]
interface = \"eth0\"
id = 7

[[service]]
tcp = \"192.168.60.200:80\"
scheduler = \"sh\"
scheduler-flags = [\"sh-fallback\", \"sh-port\"]
persistent = 300
netmask = \"255.255.255.0\"
comment = \"the \\\"shop\\\"\"
server = [
  { address = \"192.168.60.132:80\", forward = \"direct\", weight = 1, comment = \"rack 3\" },
  { address = \"192.168.60.144:80\", forward = \"gue\", tunnel-port = 6080, tunnel-checksum = \"full\", weight = 0 },
]

[[service]]
mark = 4000000000
family = \"ipv6\"
scheduler = \"wlc\"
";
    let wanted = wanted(text);
    assert_eq!(to_toml(&wanted), text);
    let json = to_json(&wanted);
    assert_eq!(json["service"][0]["server"][1]["tunnel-port"], 6080);
    assert_eq!(json["sync"]["master"]["id"], 7);
}

#[test]
fn a_comment_may_look_like_the_end_of_a_text() {
    for text in [",", "\",\"", "\\", "\u{7f}", "# no comment", "a\nb"] {
        let comments = Comments { whole: Some(text.to_owned()), ..Comments::default() };
        let original = Wanted { comments, ..Wanted::default() };
        assert_eq!(wanted(&to_toml(&original)), original);
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = "\
[timeouts]
tcp = 0
[sync.backup]
interface = \"eth0\"
group = \"10.0.0.1\"
[[service]]
tcp = \"10.0.0.1:80\"
scheduler-flags = [\"sh-port\"]
netmask = 24
server = [
  { address = \"10.1.0.1:80\" },
  { address = \"10.1.0.1\" },
  { address = \"224.0.0.1\" },
  { address = \"[2001:db8::1]:80\" },
  { address = \"10.1.0.2\", weight = -1, forward = \"dirct\" },
  { address = \"10.1.0.3\", forward = \"gue\", lower-threshold = 2 },
  { address = \"web\", tunnel-port = 7 },
]
[[service]]
tcp = \"10.0.0.1:80\"
[[service]]
udp = \"10.0.0.1\"
[[service]]
mark = 0
[[service]]
scheduler = \"rr\"
[[service]]
tcp = \"10.0.0.2:80\"
udp = \"10.0.0.2:80\"
";
    let expected = [
        "2:7 0 is not between 1 and 21474836",
        "5:9 10.0.0.1 is not a multicast group",
        "8:20 wlc has no flag \"sh-port\"",
        "9:11 netmask without persistent means nothing",
        "12:15 tcp 10.0.0.1:80 has the real server 10.1.0.1:80 already",
        "13:15 224.0.0.1 cannot be a real server: the kernel takes unicast only",
        "14:15 the server's family is not that of its service",
        "14:15 a sync daemon runs only where all families agree",
        "15:50 there is no forwarding method \"dirct\"",
        "15:36 -1 is not between 0 and 2147483647",
        "16:37 gue needs a UDP port",
        "16:62 lower-threshold is above upper-threshold",
        "17:15 \"web\" is not an address",
        "17:36 forward = \"direct\" has no tunnel-port",
        "20:7 tcp 10.0.0.1:80 is there already",
        "22:7 \"10.0.0.1\" is not an address and port",
        "24:8 0 is not between 1 and 4294967295",
        "25:1 this service has no name",
        "28:7 this service has several names",
    ];
    assert_eq!(told(text), expected);
}

#[test]
fn what_is_misspelt_is_told_with_what_there_is() {
    let text = "[[service]]\ntcp = \"10.0.0.1:80\"\nserver = [{ adress = \"10.1.0.1\" }]\n";
    let mistakes = told(text);
    assert!(mistakes[0].starts_with("3:13 unknown field `adress`, expected one of `address`"), "{mistakes:?}");
    let mistakes = told("[[service]]\ntcp = 80\n");
    assert!(mistakes[0].starts_with("2:7 invalid type: integer"), "{mistakes:?}");
    let mistakes = told("[[service]]\ntcp = \"10.0.0.1:80\"\npersistent = 1\nnetmask = true\n");
    assert!(mistakes[0].starts_with("4:11 a netmask is"), "{mistakes:?}");
}

#[test]
fn what_the_kernel_takes_although_it_makes_no_sense_is_a_warning() {
    let text = "\
[[service]]
tcp = \"10.0.0.1:0\"
scheduler = \"wcl\"
one-packet = true
server = [{ address = \"10.1.0.1:8080\" }]
[[service]]
mark = 1
persistent = 4294967
[[service]]
mark = 2
persistent = 4294968
";
    let reading = read(Path::new("table.toml"), text).expect("the kernel takes it");
    let warnings: Vec<_> = reading.warnings.iter().map(|m| format!("{} {}", m.line, m.message)).collect();
    let expected = [
        "3 the scheduler \"wcl\" is not one of Linux's own",
        "2 tcp 10.0.0.1:0 takes no connection",
        "2 one-packet is only for udp",
        "5 the server gets its packets at port 0, not at 8080",
        "11 many kernels make another number of 4294968 s of persistence",
    ];
    assert_eq!(warnings, expected);
    assert!(read(Path::new("table.toml"), "[[service]]\nmark = 1\npersistent = 42949673\n").is_err());
}

#[test]
fn the_example_of_the_manual_page_is_right() {
    let page = include_str!("../../../../docs/man/lvs-table.5");
    let example = page.rsplit_once(".nf\n").and_then(|(_, rest)| rest.split_once(".fi\n")).expect("an example").0;
    let wanted = wanted(&example.replace("\\(dq", "\"").replace("\\-", "-"));
    assert_eq!((wanted.table.len(), wanted.comments.entries.len()), (3, 2));
}

fn any_comment() -> impl Strategy<Value = Option<String>> {
    option::of("[ -~\u{7f}\n\t\"äß\u{1}]{0,12}")
}

fn any_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![Just(6u16), Just(17), Just(132), 0u16..300];
    let four = (protocol.clone(), any::<[u8; 4]>(), any::<u16>())
        .prop_map(|(number, ip, port)| (Protocol::from_number(number), SocketAddr::from((ip, port))));
    let six = (protocol, any::<[u16; 8]>(), any::<u16>())
        .prop_map(|(number, ip, port)| (Protocol::from_number(number), SocketAddr::from((ip, port))));
    prop_oneof![
        prop_oneof![four, six].prop_map(|(protocol, at)| ServiceKey::Address { protocol, at }),
        (1u32.., any::<bool>()).prop_map(|(mark, six)| ServiceKey::Mark {
            family: if six { Family::Inet6 } else { Family::Inet },
            mark: Mark::new(mark).expect("not 0"),
        }),
    ]
}

fn any_forward() -> impl Strategy<Value = Forward> {
    let checksum = || {
        prop_oneof![
            Just(TunnelChecksum::None),
            Just(TunnelChecksum::Full),
            Just(TunnelChecksum::Remote),
            (3u16..).prop_map(TunnelChecksum::Other),
        ]
    };
    prop_oneof![
        Just(Forward::Masq),
        Just(Forward::Gate),
        Just(Forward::Local),
        Just(Forward::Bypass),
        Just(Forward::Tunnel(Tunnel::Ipip)),
        (1u16.., checksum()).prop_map(|(port, checksum)| Forward::Tunnel(Tunnel::Gue { port, checksum })),
        checksum().prop_map(|checksum| Forward::Tunnel(Tunnel::Gre { checksum })),
        (3u8.., any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| Forward::Tunnel(Tunnel::Other {
            kind,
            port,
            flags
        })),
    ]
}

/// A server of the service's family, and a comment.
fn any_server(family: Family) -> impl Strategy<Value = (SocketAddr, Destination)> {
    let at = (1u8..=223, any::<u8>(), any::<u16>()).prop_map(move |(a, b, port)| match family {
        Family::Inet => SocketAddr::from(([a, 0, b, 1], port)),
        Family::Inet6 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, a.into(), 0, 0, b.into()], port)),
    });
    (at, any_forward(), 0u32..=0x7fff_ffff, any::<u32>(), any::<u32>()).prop_map(|(at, forward, weight, a, b)| {
        (at, Destination { forward, weight, upper_threshold: a.max(b), lower_threshold: a.min(b) })
    })
}

fn any_service(family: Family) -> impl Strategy<Value = Service> {
    let netmask = match family {
        Family::Inet => any::<u32>().prop_map(|bits| Netmask::Mask(Ipv4Addr::from_bits(bits))).boxed(),
        Family::Inet6 => (1u8..=128).prop_map(|n| Netmask::Prefix(n.try_into().expect("not 0"))).boxed(),
    };
    let persistence = option::of((0u32..40_000_000, netmask));
    let flags = any::<[bool; 3]>();
    (prop_oneof!["rr", "sh", "mh", "[a-z]{1,15}"], flags, persistence, any::<bool>(), option::of("[a-z]{1,16}"))
        .prop_map(|(scheduler, [flag_1, flag_2, flag_3], persistence, one_packet, engine)| Service {
            scheduler: scheduler.parse().expect("short"),
            scheduler_flags: SchedulerFlags { flag_1, flag_2, flag_3 },
            persistence: persistence.map(|(timeout, netmask)| Persistence { timeout, netmask }),
            one_packet,
            engine: engine.map(|engine| engine.parse().expect("short")),
        })
}

fn any_entry() -> impl Strategy<Value = (ServiceKey, VirtualService, Option<String>, Option<String>)> {
    any_key().prop_flat_map(|key| {
        let servers = btree_map(any_server(key.family()).prop_map(|(at, _)| at), any_server(key.family()), 0..3);
        (Just(key), any_service(key.family()), servers, any_comment(), any_comment()).prop_map(
            |(key, service, servers, about, about_server)| {
                let destinations = servers.into_iter().map(|(at, (_, destination))| (at, destination)).collect();
                (key, VirtualService { service, destinations }, about, about_server)
            },
        )
    })
}

fn any_daemon(role: SyncRole) -> impl Strategy<Value = SyncDaemon> {
    let group = prop_oneof![Just("224.0.0.81"), Just("ff02::5")].prop_map(|text| text.parse().expect("an address"));
    (any::<u8>(), option::of(1u16..=65507), option::of(group), option::of(1u16..), option::of(1u8..)).prop_map(
        move |(sync_id, max_length, group, port, ttl)| SyncDaemon {
            role,
            interface: "eth0".into(),
            sync_id,
            max_length,
            group,
            port,
            ttl,
        },
    )
}

prop_compose! {
    fn any_wanted()(
        entries in proptest::collection::vec(any_entry(), 0..4),
        whole in any_comment(),
        timeouts in any::<[u16; 3]>(),
        daemons in option::of((option::of(any_daemon(SyncRole::Master)), option::of(any_daemon(SyncRole::Backup)))),
    ) -> Wanted {
        let [tcp, tcp_fin, udp] = timeouts.map(u32::from);
        let mut wanted = Wanted {
            timeouts: Timeouts { tcp, tcp_fin, udp },
            daemons: daemons.map(|(master, backup)| master.into_iter().chain(backup).collect()),
            comments: Comments { whole, ..Comments::default() },
            ..Wanted::default()
        };
        for (key, service, about, about_server) in entries {
            let first = service.destinations.keys().next().copied();
            wanted.comments.entries.extend(about.map(|text| ((key, None), text)));
            wanted.comments.entries.extend(first.zip(about_server).map(|(at, text)| ((key, Some(at)), text)));
            wanted.table.insert(key, service);
        }
        wanted.comments = wanted.comments.clone().about(&wanted.table);
        wanted
    }
}

proptest! {
    #[test]
    fn what_is_saved_is_read_back_whole(wanted in any_wanted()) {
        let text = to_toml(&wanted);
        let again = read(Path::new("table.toml"), &text);
        prop_assert!(again.is_ok(), "{}\n{:?}", text, again);
        prop_assert_eq!(again.expect("just looked").wanted, wanted);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[\\[service\\]\\]|tcp|server|=|\"|\\[|\\]|\\{|\\}|[a-z0-9.:, \n]){0,60}") {
        let _ = read(Path::new("table.toml"), &text);
    }
}
