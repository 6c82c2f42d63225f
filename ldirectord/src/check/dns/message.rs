//! DNS messages (RFC 1035): a question out, an answer in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message's head.
const HEAD: usize = 12;

/// Most labels of a name: they have to fit into 255 bytes (RFC 1035 2.3.4).
const MAX_LABELS: usize = 128;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// The name of an address.
    Ptr,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ptr => 12,
            Self::Aaaa => 28,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Ptr => "PTR",
        })
    }
}

/// A name in the form it has on the wire, the root's label included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// `www.example.com`, with or without the dot at the end. `None` if that cannot be a name:
    /// labels have 1 to 63 bytes, the whole at most 255.
    pub fn new(text: &str) -> Option<Self> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|&length| (1..=63).contains(&length))?;
            wire.push(length);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        (wire.len() <= 255).then_some(Self(wire))
    }

    /// The name whose PTR record names an address.
    pub fn reverse(address: IpAddr) -> Self {
        let text = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let nibbles = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
                let text: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
                format!("{text}ip6.arpa")
            }
        };
        Self::new(&text).expect("short labels of digits and letters")
    }
}

/// A question, recursion desired.
pub fn question(id: u16, name: &Name, kind: Kind) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + name.0.len() + 4);
    for word in [id, 0x0100, 1, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(&name.0);
    message.extend_from_slice(&kind.number().to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    message
}

/// Class Internet.
const IN: u16 = 1;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// RCODE; 0 is no error, 3 no such name.
    pub code: u8,
    /// There was more than fitted into the message.
    pub truncated: bool,
    /// The data of the answer section's records of the kind asked for, whosever they are: a
    /// chain of CNAMEs has been followed by the server.
    pub data: Vec<String>,
}

/// Reads the answer to [`question`].
///
/// # Errors
/// What keeps it from being that.
pub fn answer(message: &[u8], id: u16, name: &Name, kind: Kind) -> Result<Answer, &'static str> {
    const SHORT: &str = "a message that ends too early";
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let count = |at: usize| word(at).map(usize::from).ok_or(SHORT);
    if message.len() < HEAD {
        return Err(SHORT);
    }
    if word(0) != Some(id) {
        return Err("the answer to another question (its id differs)");
    }
    if message[2] & 0x80 == 0 {
        return Err("a question");
    }
    let (questions, answers) = (count(4)?, count(6)?);
    let mut at = HEAD;
    for _ in 0..questions {
        let (asked, next) = read_name(message, at).ok_or("a question that is not well-formed")?;
        // Servers may change the case of letters.
        let same = asked.eq_ignore_ascii_case(&name.0) && word(next) == Some(kind.number());
        if !same {
            return Err("the answer to another question (its name or type differs)");
        }
        at = next + 4;
    }
    let mut data = Vec::new();
    for _ in 0..answers {
        let (_, next) = read_name(message, at).ok_or("a record whose name is not well-formed")?;
        let (Some(its_kind), Some(class), Some(length)) = (word(next), word(next + 2), word(next + 8)) else {
            return Err(SHORT);
        };
        let begin = next + 10;
        at = begin + usize::from(length);
        let value = message.get(begin..at).ok_or("a record that is longer than the message")?;
        if its_kind == kind.number() && class == IN {
            data.push(text_of(message, begin, value, kind).ok_or("a record whose data is not well-formed")?);
        }
    }
    Ok(Answer { code: message[3] & 0x0f, truncated: message[2] & 0x02 != 0, data })
}

fn text_of(message: &[u8], begin: usize, value: &[u8], kind: Kind) -> Option<String> {
    match kind {
        Kind::A => <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).to_string()),
        Kind::Aaaa => <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        Kind::Ptr => {
            let (name, end) = read_name(message, begin)?;
            (end == begin + value.len()).then(|| name_text(&name))
        }
    }
}

/// A name at `at`, without its pointers, and where it ends. A pointer only leads to an earlier
/// place than the one before it did, so there is no way round in circles.
fn read_name(message: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut wire = Vec::new();
    let (mut end, mut earliest) = (None, at);
    for _ in 0..MAX_LABELS * 2 {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => {
                wire.push(0);
                return Some((wire, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                wire.extend_from_slice(message.get(at..=at + length)?);
                at += length + 1;
                // The root's label has to fit, too.
                if wire.len() > 254 {
                    return None;
                }
            }
            0xc0.. => {
                let target = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                if target >= earliest {
                    return None;
                }
                (at, earliest) = (target, target);
            }
            _ => return None,
        }
    }
    None
}

/// As people write it, without the last dot; bytes that are no printable ASCII as `\DDD`.
fn name_text(mut wire: &[u8]) -> String {
    let mut text = String::new();
    while let Some((&length, rest)) = wire.split_first() {
        let (label, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if length > 0 && !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                0x21..=0x7e => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
        wire = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `www.example. A` answered by a CNAME and two addresses, with pointers.
    fn recorded() -> Vec<u8> {
        let mut message = question(0x1234, &Name::new("www.example").expect("a name"), Kind::A);
        message[2] |= 0x80;
        message[7] = 3;
        // www.example CNAME a.example
        message.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10");
        message.extend_from_slice(b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\x00\x02\x01");
        message.extend_from_slice(b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\x00\x02\x02");
        message
    }

    fn read(message: &[u8]) -> Result<Answer, &'static str> {
        answer(message, 0x1234, &Name::new("WWW.example.").expect("a name"), Kind::A)
    }

    #[test]
    fn addresses_behind_a_cname_are_found() {
        let wanted = Answer { code: 0, truncated: false, data: vec!["192.0.2.1".into(), "192.0.2.2".into()] };
        assert_eq!(read(&recorded()), Ok(wanted));
    }

    #[test]
    fn what_is_not_the_answer_is_told_apart() {
        let changed = |at: usize, byte: u8| {
            let mut message = recorded();
            message[at] = byte;
            read(&message)
        };
        assert_eq!(changed(0, 0x99), Err("the answer to another question (its id differs)"));
        assert_eq!(changed(2, 0x01), Err("a question"));
        assert_eq!(changed(14, b'x'), Err("the answer to another question (its name or type differs)"));
        assert_eq!(changed(12, 0xc0), Err("a question that is not well-formed"), "a pointer to itself");
        assert_eq!(changed(7, 200), Err("a record whose name is not well-formed"), "a count that lies");
        let length = recorded().len();
        assert_eq!(changed(length - 5, 200), Err("a record that is longer than the message"));
        assert_eq!(changed(length - 5, 3), Err("a record whose data is not well-formed"));
        assert_eq!(changed(2, 0x83).map(|answer| answer.truncated), Ok(true));
        assert_eq!(changed(3, 0x83).map(|answer| answer.code), Ok(3));
    }

    #[test]
    fn addresses_have_their_reverse_names() {
        let v4 = Name::reverse("192.0.2.1".parse().expect("an address"));
        assert_eq!(Some(v4), Name::new("1.2.0.192.in-addr.arpa"));
        let v6 = Name::reverse("2001:db8::567:89ab".parse().expect("an address"));
        // RFC 3596 2.5.
        let text = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(Some(v6), Name::new(text));
    }

    #[test]
    fn a_pointer_answer_is_a_name_without_its_last_dot() {
        let name = Name::reverse("192.0.2.1".parse().expect("an address"));
        let mut message = question(1, &name, Kind::Ptr);
        message[2] |= 0x80;
        message[7] = 1;
        message.extend_from_slice(b"\xc0\x0c\0\x0c\0\x01\0\0\0\x3c\0\x0d\x03www\x07ex.m\x00le\0");
        let answer = answer(&message, 1, &name, Kind::Ptr).expect("an answer");
        assert_eq!(answer.data, [r"www.ex\.m\000le"]);
    }

    #[test]
    fn only_names_are_names() {
        for text in ["", ".", "a..b", &"a".repeat(64), &"abcdefg.".repeat(32)] {
            assert_eq!(Name::new(text), None, "{text}");
        }
        assert!(Name::new("_sip._udp.example.com.").is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_damaged_answer_is_an_answer_or_an_error(at in 0..60_usize, byte: u8, cut in 0..80_usize) {
            let mut message = recorded();
            message[at] = byte;
            message.truncate(cut);
            let _ = read(&message);
        }

        #[test]
        fn a_name_is_read_as_it_was_written(labels in prop::collection::vec("[a-z0-9-]{1,20}", 1..8)) {
            let text = labels.join(".");
            let name = Name::new(&text).expect("a name");
            let (wire, end) = read_name(&name.0, 0).expect("a name");
            prop_assert_eq!(end, name.0.len());
            prop_assert_eq!(name_text(&wire), text);
        }
    }
}
