//! The fuzz targets on random input, for those who have no nightly compiler. A failure prints its seed.

#[path = "../../tests/fuzz/src/heartbeats.rs"]
mod targets;

use proptest::collection::vec;
use proptest::prelude::*;

/// Fields of heartbeat's messages, so that most of them mean something.
fn field() -> impl Strategy<Value = (String, String)> {
    let names = vec![
        "t",
        "st",
        "dt",
        "protocol",
        "src",
        "seq",
        "hg",
        "ts",
        "ttl",
        "dest",
        "rsc_hold",
        "rtype",
        "isstable",
        "info",
        "ackseq",
        "firstseq",
        "lastseq",
        "nodelist",
        "delnodelist",
        "ipaddr",
        "weown",
        "ok",
        "num_ping",
        "hbd",
        "node",
        "result",
    ];
    let values = vec![
        "status",
        "active",
        "up",
        "init",
        "dead",
        "NS_rexmit",
        "NS_ackmsg",
        "NS_nak_rexmit",
        "reqnodes",
        "repnodes",
        "starting",
        "resource",
        "ask_resources",
        "hb_takeover",
        "shutdone",
        "ip-request",
        "ip-request-resp",
        "num_ping_nodes",
        "all",
        "local",
        "foreign",
        "none",
        "full",
        "me",
        "other",
        "done",
        "0",
        "1",
        "2",
        "7",
        "3e8",
        "ffffffffffffffff",
        "node1",
        "node2",
        "node1 node2 ",
        "192.168.77.50/24/lan0",
        "yes",
        "OK",
        "1 ars 7 - 1.2.3",
        "1 - 7 7:1 0.0.0 1874c543h1+",
    ];
    let value = prop_oneof![8 => proptest::sample::select(values).prop_map(str::to_owned), 1 => "[ -~]{0,20}"];
    (proptest::sample::select(names).prop_map(str::to_owned), value)
}

/// What the three files are made of, with the blank or the end of the line behind it.
fn word() -> impl Strategy<Value = String> {
    let known = heartbeatd::config::PARAMETERS.iter().map(|parameter| parameter.name);
    let directives =
        ["node", "bcast", "ucast", "mcast", "serial", "stonith_host", "ping_group", "respawn", "apiauth", "watchdog"];
    let values = [
        "node1",
        "node2",
        "lvs3",
        "eth0",
        "eth0:1",
        "10.0.0.1",
        "225.0.0.1",
        "192.168.60.200/24/eth0/192.168.60.255",
        "fd00::1/64/eth0",
        "1",
        "2s",
        "200ms",
        "300",
        "on",
        "off",
        "legacy",
        "LogRsc::a",
        "IPaddr2::10.0.0.2",
        "IPv6addr::fd00::2",
        "ldirectord::x.cf",
        "LVSSyncDaemonSwap::master::eth0::9",
        "auth",
        "sha1",
        "md5",
        "crc",
        "sha256",
        "Key4711word",
        "root",
        "fence_fake",
        "*",
        "\\",
        "#",
        "external/ssh",
        "/dev/ttyS0",
        "ip=10.0.0.9",
        "uid=root",
    ];
    let known: Vec<&str> = known.chain(directives).chain(values).collect();
    let word = prop_oneof![9 => proptest::sample::select(known).prop_map(str::to_owned), 1 => "[ -~\t]{0,12}", 1 => "\\PC{0,4}"];
    (word, prop_oneof![3 => Just(" "), 1 => Just("\n"), 1 => Just("\t")]).prop_map(|(word, end)| word + end)
}

/// As netstrings, with what every message must have in front.
fn datagram(fields: &[(String, String)]) -> Vec<u8> {
    let mut out = b"###\n".to_vec();
    let always = [("src", "node2"), ("seq", "1"), ("hg", "64"), ("ts", "1")];
    // Of two fields with one name the first one counts.
    let all = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(always);
    for (name, value) in all {
        let field = format!("(0){name}={value}");
        out.extend_from_slice(format!("{}:{field},", field.len()).as_bytes());
    }
    out.extend_from_slice(b"%%%\n");
    out
}

proptest! {
    #[test]
    fn datagrams_of_any_bytes(start in 0..3usize, bytes in vec(any::<u8>(), 0..300)) {
        targets::heartbeat(&[[&b""[..], b"###\n", b">>>\n"][start], &bytes].concat());
    }

    #[test]
    fn messages_of_any_fields(kind in field(), fields in vec(field(), 0..10)) {
        let first = [("t".to_owned(), kind.1)];
        targets::heartbeat(&datagram(&[&first[..], &fields].concat()));
    }

    #[test]
    fn classic_messages(lines in vec(("[a-z]{1,9}", "[ -~]{0,20}"), 0..10)) {
        let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        targets::heartbeat(format!(">>>\n{text}<<<\n").as_bytes());
    }

    #[test]
    fn serial_lines(size in any::<u8>(), parts in vec(prop_oneof!["[ -~\n\\x00]{0,40}", Just(">>>\n".to_owned()), Just("<<<\n".to_owned()), Just("auth=1 0\n".to_owned())], 0..60)) {
        targets::serial_line(&[&[size][..], parts.concat().as_bytes()].concat());
    }

    #[test]
    fn files_of_any_words(ha_cf in vec(word(), 0..60), haresources in vec(word(), 0..20), authkeys in vec(word(), 0..12)) {
        let [ha_cf, haresources, authkeys] = [ha_cf, haresources, authkeys].map(|words| words.concat());
        let sound = "node node1 node2\nbcast eth0\nauto_failback on\n";
        for before in ["", sound] {
            targets::configuration(format!("{before}{ha_cf}\0{haresources}\0auth 1\n1 sha1 Hush1234\n{authkeys}").as_bytes());
            targets::configuration(format!("{before}{ha_cf}\0{haresources}\0{authkeys}").as_bytes());
        }
    }

    #[test]
    fn words(text in "1 [arsx-]{1,3} [0-9a-f]{1,17} ([0-9a-f]{1,17}:[0-9a-f]{1,3}|-) [0-9a-f.]{1,30}( [0-9a-f]{8}[fcahorx][0-9a-f]{1,4}[-~+!]){0,3}") {
        targets::word(text.as_bytes());
    }
}
