use std::net::SocketAddr;

use crate::check::scripted::{LONG, SHORT, Step, negotiate, refused, serve, tcp, udp, words};
use crate::check::testing::run;
use crate::config::model::{Dns, Probe, Transport};
use crate::config::pattern::Pattern;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn dns(at: SocketAddr, question: &str, receive: Option<&str>) -> Dns {
    let receive = receive.map(|text| Pattern::new(text).expect("a pattern"));
    Dns { at, transport: Transport::Udp, question: question.to_owned(), search: Vec::new(), receive }
}

async fn ask(at: SocketAddr, question: &str, receive: Option<&str>) -> Result<String, String> {
    negotiate(Probe::Dns(dns(at, question, receive)), LONG).await
}

/// A server that knows www.example with an address of each family, v6.example with one, the
/// name of 192.0.2.1, and nothing else.
fn zone(question: &[u8]) -> Vec<u8> {
    let name = &question[12..question.len() - 4];
    let kind = question[question.len() - 3];
    let v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let known = matches!(
        name,
        b"\x03www\x07example\0" | b"\x02v6\x07example\0" | b"\x011\x012\x010\x03192\x07in-addr\x04arpa\0"
    );
    let data: &[u8] = match (name, kind) {
        (b"\x03www\x07example\0", 1) => &[192, 0, 2, 1],
        (b"\x03www\x07example\0" | b"\x02v6\x07example\0", 28) => &v6,
        (b"\x011\x012\x010\x03192\x07in-addr\x04arpa\0", 12) => b"\x03www\x07example\0",
        _ => b"",
    };
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = if known { 0x80 } else { 0x83 };
    if !data.is_empty() {
        answer[7] = 1;
        answer.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).expect("short")]);
        answer.extend_from_slice(data);
    }
    answer
}

#[test]
fn row_49_some_record_has_to_match() {
    run(async {
        let at = udp(|question| vec![zone(question)]).await;
        assert_eq!(ask(at, "www.example", Some("^192")).await, Ok("www.example A 192.0.2.1".to_owned()));
        assert_eq!(ask(at, "www.example", Some("db8")).await, Ok("www.example AAAA 2001:db8::7".to_owned()));
        assert_eq!(ask(at, "v6.example.", Some("::7$")).await, Ok("v6.example. AAAA 2001:db8::7".to_owned()));
        assert_eq!(ask(at, "192.0.2.1", Some("^www")).await, Ok("192.0.2.1 PTR www.example".to_owned()));
        let why = ask(at, "www.example", Some("^10")).await.expect_err("no match");
        let wanted = format!(
            "{at}: expected a record matching \"^10\", got 192.0.2.1 for www.example A, \
             2001:db8::7 for www.example AAAA, after "
        );
        assert!(why.starts_with(&wanted), "{why}");
    });
}

#[test]
fn fault_b13_without_a_pattern_any_record_will_do() {
    run(async {
        let at = udp(|question| vec![zone(question)]).await;
        assert_eq!(ask(at, "v6.example", None).await, Ok("v6.example AAAA 2001:db8::7".to_owned()));
        let why = ask(at, "no.example", None).await.expect_err("no such name");
        assert!(why.contains("expected a record, got NXDOMAIN for no.example A, after "), "{why}");
        let why = ask(at, "2001:db8::1", None).await.expect_err("no such name");
        assert!(why.contains("got NXDOMAIN for 2001:db8::1 PTR"), "{why}");
    });
}

#[test]
fn short_names_are_looked_for_in_the_search_list_first() {
    run(async {
        let at = udp(|question| vec![zone(question)]).await;
        let search = vec!["no.example".to_owned(), "example".to_owned()];
        let asked = Dns { search: search.clone(), ..dns(at, "www", None) };
        assert_eq!(negotiate(Probe::Dns(asked), LONG).await, Ok("www.example A 192.0.2.1".to_owned()));
        let asked = Dns { search, ..dns(at, "v6.example", None) };
        assert_eq!(negotiate(Probe::Dns(asked), LONG).await, Ok("v6.example AAAA 2001:db8::7".to_owned()));
    });
}

#[test]
fn what_does_not_answer_the_question_does_not_count() {
    run(async {
        let at = udp(|question| {
            let mut forged = zone(question);
            forged[0] ^= 0xff;
            vec![b"garbage".to_vec(), forged, zone(question)]
        })
        .await;
        assert!(ask(at, "www.example", None).await.is_ok());
        let at = udp(|_| vec![vec![0xff; 64]]).await;
        let why = negotiate(Probe::Dns(dns(at, "www.example", None)), SHORT).await.expect_err("garbage");
        assert!(why.starts_with(&format!("500 Timeout Alarm: {at}: expected an answer, got only ")), "{why}");
        let why = ask(refused().await, "www.example", None).await.expect_err("nobody");
        assert!(why.contains("expected an answer, got Connection refused, after "), "{why}");
        let why = ask(at, "a..b", None).await.expect_err("no name");
        assert!(why.contains("\"a..b\" is not a domain name"), "{why}");
    });
}

#[test]
fn over_tcp_messages_have_their_length_before_them() {
    run(async {
        let at = serve(|mut stream| async move {
            let length = stream.read_u16().await.expect("a length");
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.expect("a question");
            let answer = zone(&question);
            stream.write_u16(u16::try_from(answer.len()).expect("short")).await.expect("said");
            stream.write_all(&answer).await.expect("said");
        })
        .await;
        let over_tcp = |question| Probe::Dns(Dns { transport: Transport::Tcp, ..dns(at, question, None) });
        assert_eq!(negotiate(over_tcp("www.example"), LONG).await, Ok("www.example A 192.0.2.1".to_owned()));
        let why = negotiate(over_tcp("no.example"), LONG).await.expect_err("no such name");
        assert!(why.contains("NXDOMAIN"), "{why}");
    });
}

#[test]
fn over_tcp_lies_and_silence_are_down() {
    run(async {
        for (script, wanted) in [
            (vec![Step::Hear], "expected an answer over TCP, got the end of the connection"),
            (vec![Step::Hear, Step::Say(vec![0xff, 0xff, 1])], "got the end of the connection"),
            (vec![Step::Hear, Step::Say(vec![0, 0])], "got a message that ends too early"),
            (vec![Step::Hear, Step::Say(vec![0, 9, 1]), Step::Hang], "500 Timeout Alarm"),
            (vec![Step::Hang], "500 Timeout Alarm"),
        ] {
            let at = tcp(script).await;
            let asked = Dns { transport: Transport::Tcp, ..dns(at, "www.example", None) };
            let why = negotiate(Probe::Dns(asked), SHORT).await.expect_err("no answer");
            assert!(why.contains(wanted) && why.contains(&at.to_string()), "{why}");
        }
    });
}

#[test]
fn the_monitor_file_is_told_in_the_originals_words() {
    run(async {
        let at = udp(|question| vec![zone(question)]).await;
        let asked = |question, receive| words(Probe::Dns(dns(at, question, receive)), LONG);
        assert_eq!(asked("www.example", None).await.as_deref(), Some("Success"));
        assert_eq!(asked("www.example", Some("^10")).await.as_deref(), Some("Response mismatch"));
        assert_eq!(asked("nobody.example", None).await.as_deref(), Some("Connection timed out"));
        let silent = udp(|_| Vec::new()).await;
        let hung = words(Probe::Dns(dns(silent, "www.example", None)), SHORT).await;
        assert_eq!(hung.as_deref(), Some("Connection timed out"));
    });
}
