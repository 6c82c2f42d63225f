//! The fuzz targets on random input, for those who have no nightly compiler. A failure prints its seed.

#[path = "../../tests/fuzz/src/checks.rs"]
mod targets;

use proptest::collection::vec;
use proptest::prelude::*;

/// Fewer than usual where each case is a connection.
fn connections() -> ProptestConfig {
    ProptestConfig { cases: 400, ..ProptestConfig::default() }
}

/// Fewer still where a case may be a wait.
fn waits() -> ProptestConfig {
    ProptestConfig { cases: 120, ..ProptestConfig::default() }
}

/// What servers of line protocols say, so that some conversations go on for a while.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            "220 mail ESMTP", "250-mail", "250 STARTTLS", "221 bye", "+OK ready", "+OK", "-ERR no", ".", "* OK ready",
            "* BYE", "0 OK done", "1 OK done", "0 NO", "* CAPABILITY IMAP4rev1 STARTTLS", "200 news", "331 password", "230 in",
            "227 ok (127,0,0,1,0,7)", "229 (|||9|)", "150 data", "226 done", "HTTP/1.1 200 OK", "HTTP/1.0 302 Found",
            "Content-Length: 3", "Transfer-Encoding: chunked", "", "3", "abc", "0", "SIP/2.0 200 OK", "SIP/2.0 100 Trying",
            "up", "drain 50%", "down # no", "PONG",
        ])
        .prop_map(str::to_owned),
        2 => "[ -~]{0,20}",
        1 => "[0-9]{3}[ -][ -~]{0,9}",
        1 => "\\PC{0,9}",
    ]
}

fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    (vec(line(), 0..9), prop::sample::select(vec!["\r\n", "\n", "\r"])).prop_map(|(lines, end)| {
        let mut said = lines.join(end);
        said.push_str(end);
        said.into_bytes()
    })
}

/// Packets with their lengths before them, as LDAP, MySQL, PostgreSQL and HTTP/2 have: mostly true ones.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(prop_oneof![Just(0), Just(10), Just(255), any::<u8>()], 0..40);
    let packet = (0_u8..4, 0_u8..16, body, 0_u8..9).prop_map(|(kind, tag, body, lie)| {
        let length = u8::try_from(body.len()).expect("short") + u8::from(lie == 8);
        let head = match kind {
            // A reply to the bind, the search or StartTLS.
            0 => {
                let operation = [0x61, 0x64, 0x65, 0x73, 0x78, 0x79, 0x6f, 0x30][usize::from(tag % 8)];
                vec![0x30, length + 5, 2, 1, tag / 4, operation, length]
            }
            1 => vec![length, 0, 0, tag],
            2 => vec![b"RSKTDCZENpGv0123"[usize::from(tag)], 0, 0, 0, length + 4],
            _ => vec![0, 0, length, tag % 10, tag, 0, 0, 0, tag / 8],
        };
        [head, body].concat()
    });
    vec(packet, 0..7).prop_map(|packets| packets.concat())
}

fn said(kind: u8, what: Vec<u8>) -> Vec<u8> {
    [vec![kind], what].concat()
}

proptest! {
    #[test]
    fn configurations_of_any_bytes(data in vec(any::<u8>(), 0..400)) {
        targets::configuration(&data);
    }

    #[test]
    fn configurations_of_any_words(
        text in "(virtual=|virtual6=|\n|\n\t|    |real=|10\\.0\\.0\\.1|->|:80|gate|masq 5|\"|#|checktype=|service=|agentport=|request=|fallback=|[!-~ ]){0,60}"
    ) {
        targets::configuration(text.as_bytes());
    }

    #[test]
    fn lines_of_agents(text in "(up|down|drain|maint|ready|failed|stopped|[0-9]{1,5}%|maxconn:|[ ,\t#\n]|\\PC){0,20}") {
        targets::agent_line(text.as_bytes());
    }

    #[test]
    fn lines_of_agents_of_any_bytes(data in vec(any::<u8>(), 0..100)) {
        targets::agent_line(&data);
    }
}

proptest! {
    #![proptest_config(connections())]

    #[test]
    fn conversations_of_any_bytes(kind in 0..targets::STREAM_CHECKS, data in vec(any::<u8>(), 0..300)) {
        targets::conversation(&said(kind, data));
    }

    #[test]
    fn conversations_in_lines(kind in 0..targets::STREAM_CHECKS, lines in dialogue()) {
        targets::conversation(&said(kind, lines));
    }

    #[test]
    fn conversations_in_packets(kind in prop::sample::select(vec![8, 9, 10, 11, 16]), packets in packets()) {
        targets::conversation(&said(kind, packets));
    }
}

proptest! {
    #![proptest_config(waits())]

    #[test]
    fn datagrams_of_any_bytes(kind in 0_u8..4, how: u8, data in vec(any::<u8>(), 0..200)) {
        targets::datagram(&said(kind, said(how, data)));
    }

    #[test]
    fn names_that_point_anywhere(
        how in 0_u8..8,
        records in vec((0_u8..64, 0_u8..40, prop_oneof![Just(1_u8), Just(5), Just(28), any::<u8>()], vec(any::<u8>(), 0..20)), 0..4),
    ) {
        let mut data = Vec::new();
        for (high, low, kind, rest) in records {
            // A pointer, a type, a class, a lifetime, a length, and what belongs there.
            let length = u8::try_from(rest.len()).expect("short");
            data.extend_from_slice(&[0xc0 | high, low, 0, kind, 0, 1, 0, 0, 0, 60, 0, length]);
            data.extend(rest);
        }
        targets::datagram(&said(0, said(how * 2 + 1, data)));
    }
}
