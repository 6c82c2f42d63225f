//! What the fuzz targets about heartbeatd do with their bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heartbeatd::config::{self, Surroundings, Texts};
use heartbeatd::core::{Action, Event, Files, Group, Heard, Identity, Node, Plan, Settings, Word};
use heartbeatd::wire::frame::Envelope;
use heartbeatd::wire::stream::Splitter;
use heartbeatd::wire::{Form, Key, Keys, Message, Uuid};
use lvs::settings::StopFailure;

fn keys() -> Keys {
    Keys::new(1, [(1, Key::sha1(b"tiger")), (2, Key::md5(b"tiger")), (3, Key::crc())]).expect("key 1 is there")
}

/// A datagram from anybody, and the same as if the peer had signed it: said to a node that takes part in a cluster.
pub fn heartbeat(data: &[u8]) {
    let keys = keys();
    let _ = keys.open(data);
    let Ok(message) = Envelope::split(data).and_then(|envelope| envelope.fields()) else { return };
    for strong in [false, true] {
        let Some(heard) = signed(&keys, &message, strong) else { return };
        let mut node = member();
        let now = Instant::now();
        let mut said = node.handle(now, Event::Listening(true));
        said.extend(node.start(now));
        said.append(&mut node.handle(now, Event::Ready(true)));
        // Once while the other node is not known, and once after it was given up.
        for later in [0, 10] {
            let now = now + Duration::from_secs(later);
            said.append(&mut node.heard(now, 0, &heard));
            said.append(&mut node.tick(now));
        }
        for action in said {
            if let Action::Send(outgoing) = action {
                let ours = outgoing.message(1, "0.00");
                assert!(signed(&keys, &ours, true).is_some_and(|heard| heard == outgoing.heard()), "{ours:?}");
            }
        }
    }
}

/// Signed and opened again it says the same.
fn signed(keys: &Keys, message: &Message, strong: bool) -> Option<Heard> {
    let opened = keys.open(&keys.seal(message, Form::Usual, strong)).ok()?;
    assert!(opened.is_strong() || !strong);
    Heard::read(&opened).ok().map(|(heard, _)| heard)
}

/// The word of another heartbeatd: what is read is written so that it is read as the same.
pub fn word(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(word) = text.parse::<Word>() {
        assert_eq!(word.to_string().parse(), Ok(word));
    }
}

/// ha.cf, haresources and authkeys with a NUL between them, on a machine that has little. They are judged alike each time, every
/// complaint can be shown, and none would be another if the keys were.
pub fn configuration(data: &[u8]) {
    let mut files = data.splitn(3, |&byte| byte == 0);
    let mut text = || String::from_utf8_lossy(files.next().unwrap_or_default()).into_owned();
    let (ha_cf, haresources) = (text(), text());
    let authkeys = files.next().unwrap_or_default();
    let judged = |authkeys: &[u8]| {
        let texts = Texts { ha_cf: &ha_cf, haresources: &haresources, authkeys };
        match config::read(Path::new("/etc/ha.d"), &texts, &small()) {
            Ok(loaded) => {
                (Some(config::digests(&loaded.value)), loaded.warnings.iter().map(ToString::to_string).collect())
            }
            Err(problems) => (None, problems.iter().map(ToString::to_string).collect::<Vec<_>>()),
        }
    };
    let (digests, told) = judged(authkeys);
    assert_eq!((digests, told.clone()), judged(authkeys));
    assert_eq!(told, judged(&with_other_keys(authkeys)).1, "a complaint depends on a key");
}

/// The same file with other keys of the same lengths: letters and digits one further.
fn with_other_keys(authkeys: &[u8]) -> Vec<u8> {
    // A complaint shows the bytes of the file as characters of the same number.
    let text: String = authkeys.iter().copied().map(char::from).collect();
    let further = |letter: u8| match letter {
        b'9' | b'Z' | b'z' => letter - if letter == b'9' { 9 } else { 25 },
        _ if letter.is_ascii_alphanumeric() => letter + 1,
        _ => letter,
    };
    let other = secrets(&text).into_iter().fold(text.clone(), |text, key| {
        let changed: String =
            key.chars().map(|c| u8::try_from(c).map_or(c, |letter| char::from(further(letter)))).collect();
        text.replace(key, &changed)
    });
    other.chars().filter_map(|c| u8::try_from(c).ok()).collect()
}

/// Keys that are nothing else too: what stands where a number or a method should may be shown.
fn secrets(authkeys: &str) -> Vec<&str> {
    let word = |nth: usize| authkeys.lines().filter_map(move |line| line.split_ascii_whitespace().nth(nth));
    let strange = |key: &&str| {
        let has = |kind: fn(&u8) -> bool| key.bytes().any(|byte| kind(&byte));
        key.len() >= 8 && has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
    };
    word(2).filter(|key| !word(0).chain(word(1)).any(|shown| shown.contains(key))).filter(strange).collect()
}

/// A machine with a serial line, one program and one script.
fn small() -> Surroundings<'static> {
    Surroundings {
        node_name: "node1".into(),
        name_from: "uname -n",
        port: 694,
        resolve: &|host| host.parse().map(|address| vec![address]).map_err(io::Error::other),
        program: &|name| (name == "fence_fake").then(|| PathBuf::from("/usr/sbin/fence_fake")),
        user: &|name| (name == "root").then_some((0, 0)),
        group: &|name| name == "haclient",
        parameters: &|_| Err(io::ErrorKind::NotFound.into()),
        is_device: &|path| Ok(path == Path::new("/dev/ttyS0")),
        service: &|_| None,
        has_script: &|name| name == "LogRsc",
    }
}

/// What comes over a serial line, in portions: the first byte says of which size. Nothing is invented, nothing is kept beyond
/// the end, and how the bytes arrived makes no difference.
pub fn serial_line(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let cut = |portion: usize| {
        let mut splitter = Splitter::new();
        let mut pieces = Vec::new();
        for some in bytes.chunks(portion) {
            splitter.push(some);
            pieces.extend(std::iter::from_fn(|| splitter.take()));
        }
        pieces
    };
    let pieces = cut(usize::from(size) + 1);
    assert_eq!(pieces, cut(bytes.len().max(1)));
    assert!(pieces.iter().map(Vec::len).sum::<usize>() <= bytes.len());
    let keys = keys();
    for piece in pieces {
        let _ = keys.open(&piece);
        let _ = keys.pass_on(&piece);
    }
}

fn member() -> Node {
    let second = Duration::from_secs(1);
    let group = |home: &str, key: &str, overlaps| Group {
        key: key.into(),
        home: home.into(),
        overlaps,
        addressed: true,
        then: Vec::new(),
    };
    let plan = vec![group("node1", "192.168.77.50/24/lan0", true), group("node2", "LogRsc::c", false)];
    let settings = Settings {
        nodes: vec!["node1".into(), "node2".into()],
        links: vec!["hb0".into()],
        keepalive: second / 5,
        deadtime: second,
        warntime: second / 2,
        initdead: second * 2,
        max_rexmit_delay: second / 4,
        ttl: 3,
        auto_failback: true,
        legacy: false,
        pings: vec!["gateway".into()],
        deadping: second,
        ipfail: true,
        fences: false,
        stop_failure: StopFailure::Freeze,
        plan: Plan::new(plan).expect("two groups"),
        files: Files::default(),
    };
    let me = Identity { name: "node1".into(), uuid: Uuid([1; 16]), generation: 100 };
    Node::new(settings, me, Instant::now(), 7)
}
