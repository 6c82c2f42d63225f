//! MySQL's packets: three bytes of length, a number, a body.

use std::fmt;

use zeroize::Zeroizing;

use crate::check::stage::quoted;

/// Most of a packet that is read, bytes. Of rows it only matters that they come.
const MOST: usize = 64 * 1024;

/// Length and number.
const HEAD: usize = 4;

/// The first byte of an answer: done.
pub const OK: u8 = 0x00;
/// More about the login.
pub const MORE: u8 = 0x01;
/// The end of a list; in a login, another method.
pub const EOF: u8 = 0xfe;
/// An error.
pub const ERROR: u8 = 0xff;

/// The command that ends a connection.
pub const QUIT: u8 = 0x01;
/// The command that begins a query.
pub const QUERY: u8 = 0x03;

/// The server can speak TLS.
pub const CLIENT_SSL: u32 = 0x800;

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number; the next packet has the next one.
    pub number: u8,
    /// Its body, cut at [`MOST`].
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
}

/// How much of the packet that `bytes` begin is read.
///
/// # Errors
/// None: every four bytes are the head of a packet.
pub fn size(bytes: &[u8]) -> Result<Option<usize>, String> {
    Ok(length(bytes).map(|length| HEAD + length.min(MOST)))
}

fn length(bytes: &[u8]) -> Option<usize> {
    let [a, b, c, _, ..] = *bytes else { return None };
    Some(usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16)
}

/// A packet with this number. `body` is shorter than 16 MiB.
pub fn emit(number: u8, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    Zeroizing::new([&length[..3], &[number], body].concat())
}

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// What is hashed together with the password.
    pub scramble: Vec<u8>,
    /// Whether TLS may be asked for.
    pub speaks_tls: bool,
    /// The method that proofs are for unless another is asked for.
    pub method: Vec<u8>,
}

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As in the manual: 1045 is "access denied".
    pub code: u16,
    /// In the server's words.
    pub message: Vec<u8>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} {}", self.code, quoted(&self.message))
    }
}

impl Packet {
    /// Of what [`size`] measured.
    pub fn new(bytes: &[u8]) -> Self {
        let whole = length(bytes).is_some_and(|length| HEAD + length == bytes.len());
        let number = bytes.get(3).copied().unwrap_or_default();
        Self { number, body: bytes.get(HEAD..).unwrap_or_default().to_vec(), whole }
    }

    /// The server's first packet, which may be a refusal. `None` if it is neither.
    pub fn greeting(&self) -> Option<Result<Greeting, Refusal>> {
        if let Some(refusal) = self.refusal() {
            return Some(Err(refusal));
        }
        let mut rest = self.body.as_slice();
        if take(&mut rest, 1)? != [10] {
            return None;
        }
        take_text(&mut rest)?;
        take(&mut rest, 4)?;
        let mut scramble = take(&mut rest, 8)?.to_vec();
        take(&mut rest, 1)?;
        let low = take(&mut rest, 2)?;
        let capabilities = u32::from(u16::from_le_bytes([low[0], low[1]]));
        // Character set, status, the other capabilities, length of the scramble, ten reserved bytes.
        if take(&mut rest, 1 + 2 + 2 + 1 + 10).is_some() {
            // The second part ends with a zero that does not belong to it.
            let length = rest.len().min(12);
            let second = take(&mut rest, length)?;
            scramble.extend_from_slice(second);
            let _ = take(&mut rest, 1);
        }
        let method = take_text(&mut rest).unwrap_or(rest).to_vec();
        Some(Ok(Greeting { scramble, speaks_tls: capabilities & CLIENT_SSL != 0, method }))
    }

    /// The error that this packet is, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        let [ERROR, low, high, message @ ..] = self.body.as_slice() else { return None };
        // `#` and five characters of SQLSTATE, which greetings do not have.
        let message = match message {
            [b'#', _, _, _, _, _, message @ ..] => message,
            message => message,
        };
        Some(Refusal { code: u16::from_le_bytes([*low, *high]), message: message.to_vec() })
    }
}

/// Takes so many bytes from the front.
pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

/// Takes a text and the zero that ends it.
pub fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let text = take(bytes, end)?;
    take(bytes, 1)?;
    Some(text)
}

/// Takes a number of one to eight bytes, which its first byte tells.
pub fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let length = match take(bytes, 1)?[0] {
        small @ ..=0xfa => return Some(u64::from(small)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let number = take(bytes, length)?;
    Some(number.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

#[cfg(test)]
pub mod testing {
    /// The greeting of MariaDB 10.11 on Debian 12, its head included.
    pub const MARIADB: &[u8] = b"d\0\0\0\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\0\x05\0\0\0*nph;*_#\0\
        \xfe\xf7\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0/_p:k.CFv>rE\0mysql_native_password\0";
}

#[cfg(test)]
mod tests {
    use super::testing::MARIADB;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_greeting_has_a_scramble_in_two_parts() {
        assert_eq!(size(MARIADB), Ok(Some(MARIADB.len())));
        let greeting = Packet::new(MARIADB).greeting().expect("a greeting").expect("no refusal");
        assert_eq!(greeting.scramble, b"*nph;*_#/_p:k.CFv>rE");
        assert_eq!(greeting.method, b"mysql_native_password");
        assert!(!greeting.speaks_tls);
    }

    #[test]
    fn an_error_may_come_before_or_after_the_greeting() {
        let blocked = Packet { number: 0, body: b"\xff\x69\x04Host is blocked".to_vec(), whole: true };
        let refusal = blocked.greeting().expect("an error").expect_err("an error");
        assert_eq!(refusal.to_string(), "error 1129 \"Host is blocked\"");
        let denied = Packet { number: 2, body: b"\xff\x15\x04#28000Access denied".to_vec(), whole: true };
        assert_eq!(denied.refusal().expect("an error").to_string(), "error 1045 \"Access denied\"");
    }

    #[test]
    fn long_packets_are_cut() {
        assert_eq!(size(b"\xff\xff\xff\0"), Ok(Some(4 + MOST)));
        let mut long = b"\xff\xff\xff\0".to_vec();
        long.resize(4 + MOST, 0);
        assert!(!Packet::new(&long).whole);
    }

    #[test]
    fn numbers_have_as_many_bytes_as_they_say() {
        for (bytes, number) in [
            (b"\xfa".as_slice(), Some(250)),
            (b"\xfc\x01\x02", Some(0x201)),
            (b"\xfd\x01\0\0", Some(1)),
            (b"\xfe\0\0\0\0\0\0\0\x80", Some(1 << 63)),
            (b"\xfc\x01", None),
            (b"\xfb", None),
            (b"", None),
        ] {
            assert_eq!(take_number(&mut { bytes }), number, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let packet = Packet::new(&bytes);
            let _ = (packet.greeting(), packet.refusal(), size(&bytes));
        }

        #[test]
        fn a_damaged_greeting_is_a_greeting_or_none(at in 4..100_usize, byte: u8, cut in 4..110_usize) {
            let mut message = MARIADB.to_vec();
            message[at] = byte;
            message.truncate(cut);
            let _ = Packet::new(&message).greeting();
        }
    }
}
