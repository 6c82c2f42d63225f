//! The recorded packets of heartbeat 3.0.6, against what tests/vectors/heartbeat/index.md
//! says of each.

use std::path::PathBuf;

use heartbeatd::decode::{self, Report};
use heartbeatd::wire::{Body, Common, Form, Format, Key, Keys, Message, Value, frame::Envelope};
use proptest::prelude::*;

/// One row of the index.
struct Vector {
    file: String,
    bytes: Vec<u8>,
    size: usize,
    format: String,
    keys: Keys,
    verdict: String,
    origin: String,
    fields: String,
}

impl Vector {
    fn is_valid(&self) -> bool {
        self.verdict.starts_with("valid")
    }

    fn decoded(&self) -> Report {
        let mut reports = decode::decode(&self.keys, &self.bytes);
        let report = reports.next().unwrap();
        assert_eq!(reports.next(), None, "{}", self.file);
        report
    }

    fn opened(&self) -> Message {
        self.keys.open(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.file)).into_inner()
    }

    /// How the sender had it written, by what is in it.
    fn form(&self) -> Form {
        match Envelope::split(&self.bytes).unwrap().format {
            Format::Classic => Form::Classic,
            Format::Netstring if self.opened().get("auth").is_some() => Form::Usual,
            Format::Netstring => Form::Bare,
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/heartbeat")
}

/// "auth 1; 1 sha1 secret"
fn keys(text: &str) -> Keys {
    let mut lines = text.split("; ").map(|line| line.split(' ').collect::<Vec<_>>());
    let auth = lines.next().unwrap()[1].parse().unwrap();
    let keys = lines.map(|words| {
        let key = match (words[1], words.get(2)) {
            ("crc", None) => Key::crc(),
            ("md5", Some(secret)) => Key::md5(secret.as_bytes()),
            ("sha1", Some(secret)) => Key::sha1(secret.as_bytes()),
            _ => panic!("{text}"),
        };
        (words[0].parse().unwrap(), key)
    });
    Keys::new(auth, keys).unwrap()
}

fn vectors() -> Vec<Vector> {
    let index = std::fs::read_to_string(folder().join("index.md")).unwrap();
    let rows = index.lines().filter(|line| line.starts_with('|') && line.contains(".bin |"));
    let vectors: Vec<Vector> = rows
        .map(|row| {
            // Bars inside a cell are written with a backslash.
            let row = row.replace("\\|", "\u{1}");
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(|cell| cell.trim_matches(' ')).collect();
            let [file, size, format, auth, _digest, verdict, origin, fields] = cells[..] else { panic!("{row}") };
            Vector {
                bytes: std::fs::read(folder().join(file)).unwrap(),
                file: file.into(),
                size: size.parse().unwrap(),
                format: format.into(),
                keys: keys(auth.trim_matches('`')),
                verdict: verdict.into(),
                origin: origin.into(),
                fields: fields.trim_matches('`').replace('\u{1}', "|"),
            }
        })
        .collect();
    assert_eq!(vectors.len(), 46);
    vectors
}

/// The form of the index: `t=status | st=init || outer auth=1 654d...`
fn as_in_the_index(vector: &Vector) -> String {
    let shown = |(name, value): &(String, String)| match value.get(..18) {
        // The index cuts the one long payload.
        Some(start) if name == "_compressed_payload" => format!("{name}={start}...({} bytes)", value.len() / 2 - 1),
        // And shows the encoded newline.
        _ => format!("{name}={}", value.replace('\n', "\\x13")),
    };
    vector.decoded().fields.iter().map(shown).collect::<Vec<_>>().join(" | ")
}

#[test]
fn every_vector_has_the_verdict_and_the_reason_of_the_index() {
    for vector in vectors() {
        let report = vector.decoded();
        assert_eq!(vector.bytes.len(), vector.size, "{}", vector.file);
        assert_eq!(report.is_valid(), vector.is_valid(), "{}: {report:?}", vector.file);
        assert_eq!(vector.keys.open(&vector.bytes).is_ok(), vector.is_valid(), "{}", vector.file);
        match &report.reason {
            None => assert_eq!(report.verdict, "valid"),
            // Some of the index's reasons go on in parentheses or with a second sentence.
            Some(reason) => assert!(
                vector.verdict.strip_prefix("invalid: ").is_some_and(|wanted| wanted.starts_with(reason.as_str())),
                "{}: {reason} where the index says {}",
                vector.file,
                vector.verdict
            ),
        }
        if !vector.format.starts_with("undecodable") {
            assert_eq!(report.format, Some(vector.format.as_str()), "{}", vector.file);
        }
    }
}

#[test]
fn every_vector_decodes_to_the_fields_of_the_index() {
    let mut compared = 0;
    for vector in vectors().iter().filter(|vector| vector.fields != "-") {
        let wanted = vector.fields.split(" || outer auth=").next().unwrap();
        assert_eq!(as_in_the_index(vector), wanted, "{}", vector.file);
        compared += 1;
    }
    assert_eq!(compared, 41);
}

#[test]
fn every_valid_vector_is_encoded_again_to_the_same_bytes() {
    let mut same = 0;
    for vector in vectors().iter().filter(|vector| vector.is_valid()) {
        let again = vector.keys.seal(&vector.opened(), vector.form(), false);
        match vector.file.get(..2).unwrap() {
            // A wrong inner digest is what this one is about.
            "41" => assert_ne!(again, vector.bytes),
            // What stands behind the message is not part of it.
            "42" => assert_eq!(again, vector.bytes.strip_suffix(b"\0garbage").unwrap()),
            "43" => assert_eq!(again, vector.bytes.strip_suffix(b"\0").unwrap()),
            _ => {
                assert_eq!(again, vector.bytes, "{}", vector.file);
                same += 1;
            }
        }
    }
    assert_eq!(same, 31);
}

#[test]
fn what_a_captured_message_says_is_built_again_to_the_same_bytes() {
    let mut built = 0;
    for vector in vectors().iter().filter(|vector| vector.is_valid() && vector.origin.starts_with("captured")) {
        let message = vector.opened();
        let (Ok(header), Ok(body)) = (message.header(), message.body()) else { continue };
        // Those of clients have an order of their own, and fields that the typed view leaves out.
        if matches!(body, Body::Unknown { .. } | Body::Client { .. }) {
            continue;
        }
        let common = Common {
            destuuid: header.destuuid,
            src: header.src,
            srcuuid: header.srcuuid.unwrap(),
            seq: header.seq.unwrap_or(0),
            generation: header.generation,
            ts: header.ts,
            load: message.text("ld").unwrap_or_default().into(),
            ttl: message.text("ttl").unwrap().parse().unwrap(),
        };
        let again = vector.keys.seal(&Message::from(&body).complete(&common), vector.form(), false);
        assert_eq!(again, vector.bytes, "{}", vector.file);
        built += 1;
    }
    // All captured ones but ipfail's, the client's, the compressed one and the ping payload.
    assert_eq!(built, 26);
}

#[test]
fn vectors_one_after_the_other_are_reported_as_they_are_one_by_one() {
    let vectors: Vec<Vector> = vectors().into_iter().filter(|vector| vector.keys.current() == 1).collect();
    // What ends early, and what begins like no message, in any neighbourhood.
    for shift in 0..vectors.len() {
        let (behind, before) = vectors.split_at(shift);
        let order: Vec<&Vector> = before.iter().chain(behind).collect();
        let recording: Vec<u8> = order.iter().flat_map(|vector| vector.bytes.iter().copied()).collect();
        let shown = |report: Report| (report.reason, report.fields, report.format, report.verdict);
        // Some have other keys, which is not what this is about.
        let one_by_one = order.iter().map(|vector| decode::decode(&order[0].keys, &vector.bytes).next().unwrap());
        let together = decode::decode(&order[0].keys, &recording);
        assert_eq!(together.map(shown).collect::<Vec<_>>(), one_by_one.map(shown).collect::<Vec<_>>(), "{shift}");
    }
}

#[test]
fn the_key_is_named_as_far_as_it_is_legible() {
    let vectors = vectors();
    let of = |number: &str| vectors.iter().find(|vector| vector.file.starts_with(number)).unwrap().decoded();
    for (number, method, key) in [
        ("24", Some("md5"), Some(3)),
        ("26", Some("sha1"), Some(1)),
        ("31", Some("sha1"), Some(1)),
        ("33", None, None),
        // Its signature is cut in the digest.
        ("34", Some("sha1"), Some(1)),
        ("37", None, None),
        ("40", None, Some(1)),
        // The end is missing, the line with the signature is not.
        ("44", Some("sha1"), Some(1)),
    ] {
        assert_eq!((of(number).method, of(number).key), (method, key), "{number}");
    }
    let high = decode::decode(&vectors[0].keys, b"###\n6:(0)a=b,%%%\n7:300 abc,").next().unwrap();
    assert_eq!((high.reason.as_deref(), high.method, high.key), (Some("key index 300 unknown"), None, Some(300)));
}

#[test]
fn what_heartbeat_may_write_is_valid_and_shown_without_loss() {
    let keys = keys("auth 1; 1 crc");
    let fields: [&[u8]; 8] = [
        "(0)a b=\u{e9}t\u{e9}".as_bytes(),
        b"(0)t=\xe9t\xe9",
        b"(0)\xff=x",
        b"(0)(a=\r\n",
        b"(1)b=abc",
        "(2)n=###\n%%%\n(\u{e9})".as_bytes(),
        b"(3)l=3:abc,0:,",
        b"(4)c=abc",
    ];
    let fields = fields.iter().flat_map(|field| [format!("{}:", field.len()).as_bytes(), field, b","].concat());
    let signed: Vec<u8> = b"###\n".iter().copied().chain(fields).chain(*b"%%%\n").collect();
    let digest = |bytes: &[u8]| {
        let guess = decode::decode(&keys, &[bytes, b"3:1 x,"].concat()).next().unwrap();
        assert_eq!(guess.reason.as_deref(), Some("digest mismatch"));
        // CRC-32 as cksum has it, without the length.
        !bytes.iter().fold(0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
        })
    };
    let signature = format!("1 {:x}", digest(&signed));
    let whole = [signed.as_slice(), format!("{}:{signature},", signature.len()).as_bytes()].concat();
    let report = decode::decode(&keys, &whole).next().unwrap();
    assert_eq!(report.reason, None);
    let shown: Vec<(&str, &str)> = report.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wanted = [
        ("a b", "\u{e9}t\u{e9}"),
        ("t", "0xe974e9"),
        ("0xff", "x"),
        ("(a", "\r\n"),
        ("b", "0x616263"),
        ("n", "###\n%%%\n(\u{e9})"),
        ("l", "3:abc,0:,"),
        ("c", "0x616263"),
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn a_message_compressed_as_a_whole_is_authentic_and_says_that_it_cannot_be_read() {
    let vector = vectors().into_iter().find(|vector| vector.file.starts_with("29")).unwrap();
    let message = vector.opened();
    assert!(matches!(message.get("_compressed_payload"), Some(Value::Binary(bytes)) if bytes.len() == 227));
    assert!(message.header().unwrap_err().to_string().contains("traditional_compression no"));
}

#[test]
fn the_command_prints_one_object_a_packet_and_fails_if_one_is_invalid() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "auth 1\n1 sha1 secret\n").unwrap();
    let run = |files: &[&str]| {
        let packets = files.iter().map(|file| folder().join(file)).collect();
        let arguments = decode::Arguments { authkeys: keys.path().into(), packets };
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let outcome = decode::command(&arguments, &mut out, &mut errors).unwrap();
        (outcome, String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap())
    };
    let (outcome, out, _) = run(&["30-ping-icmp-payload.bin", "36-bad-no-paren.bin"]);
    assert_eq!(outcome, decode::Outcome::Invalid);
    let wanted = concat!(
        r#"{"format":"netstring","verdict":"valid","reason":null,"method":"sha1","key":1,"fields":["#,
        r#"["t","NS_st"],["st","ping"],["info","ping"],["src","192.168.77.1"],["ts","6b001ba1"],"#,
        r#"["auth","1 884707c5bc602e5d88ff61d73b3a2a87b548d89b"]]}"#,
        "\n",
        r#"{"format":"netstring","verdict":"invalid","reason":"field does not start with \"(type)\"","#,
        r#""method":null,"key":null,"fields":[]}"#,
        "\n",
    );
    assert_eq!(out, wanted);
    assert_eq!(run(&["01-status-init.bin", "46-odd-classic-newline.bin"]).0, decode::Outcome::AllValid);
    // Several in one file.
    let both = tempfile::NamedTempFile::new().unwrap();
    let bytes =
        ["01-status-init.bin", "45-bad-classic-tampered.bin"].map(|file| std::fs::read(folder().join(file)).unwrap());
    std::fs::write(both.path(), bytes.concat()).unwrap();
    let (outcome, out, _) = run(&[both.path().to_str().unwrap()]);
    assert_eq!((outcome, out.lines().count()), (decode::Outcome::Invalid, 2));
    let (outcome, _, errors) = run(&["nosuch.bin"]);
    assert_eq!(outcome, decode::Outcome::Unreadable);
    assert!(errors.contains("nosuch.bin: No such file"), "{errors}");
}

#[test]
fn what_was_recorded_from_a_serial_line_is_decoded_message_by_message() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "auth 1\n1 sha1 secret\n").unwrap();
    let run = |record: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), record).unwrap();
        let arguments = decode::Arguments { authkeys: keys.path().into(), packets: vec![file.path().into()] };
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let outcome = decode::command(&arguments, &mut out, &mut errors).unwrap();
        let reports = String::from_utf8(out).unwrap();
        let reason = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].clone();
        (outcome, reports.lines().map(|line| reason(line).as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let vector = vectors().into_iter().find(|vector| vector.file.starts_with("26")).unwrap();
    let whole = vector.bytes.as_slice();
    assert_eq!(run(&[b"\n", whole, whole, b"\n\0", whole].concat()), (decode::Outcome::AllValid, vec![None; 3]));
    // More than a datagram can have.
    assert_eq!(run(&whole.repeat(1000)), (decode::Outcome::AllValid, vec![None; 1000]));
    // It begins and ends in the middle of a message, and one was disturbed.
    let record = [&whole[50..], whole, &whole[..90], b"\n", whole, &whole[..30]].concat();
    let no = |why: &str| Some(why.to_owned());
    let (noise, cut) = (no("not a heartbeat message"), no("classic message without <<<"));
    assert_eq!(run(&record), (decode::Outcome::Invalid, vec![noise.clone(), None, cut.clone(), None, cut]));
    assert_eq!(run(b"\n\n"), (decode::Outcome::Invalid, vec![noise]));
}

proptest! {
    #[test]
    fn a_mutated_vector_is_refused_or_says_the_same(
        which in 0..46usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let vector = &vectors()[which];
        let mut bytes = vector.bytes.clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let report = decode::decode(&vector.keys, &bytes).next().unwrap();
        let opened = vector.keys.open(&bytes);
        prop_assert_eq!(report.is_valid(), opened.is_ok());
        if let (Ok(message), true) = (opened, vector.is_valid()) {
            prop_assert_eq!(message.into_inner(), vector.opened());
        }
    }
}
