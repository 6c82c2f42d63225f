//! PostgreSQL's messages: a letter, four bytes of length, a body.

use std::fmt;

use zeroize::Zeroizing;

use crate::check::stage::quoted;

/// Most of a message that is read, bytes. Of rows it only matters that they come.
const MOST: usize = 64 * 1024;

/// Letter and length.
const HEAD: usize = 5;

/// The letter of a row.
const ROW: u8 = b'D';

/// Asks whether the server speaks TLS; it answers with one byte.
pub const TLS_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Protocol 3.0.
const VERSION: [u8; 4] = [0, 3, 0, 0];

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// About the login: the kind of request, and what belongs to it.
    Login(u32, Vec<u8>),
    /// An error.
    Refused(Refusal),
    /// Ready for a query.
    Ready,
    /// A row.
    Row,
    /// The beginning of a row that is longer than what is read of a message.
    LongRow,
    /// A statement is done and has touched so many rows.
    Done(u64),
    /// What clients may pass over: parameters, notices, descriptions of columns.
    Noise,
    /// Anything else.
    Other(u8),
}

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: Vec<u8>,
    /// In the server's words.
    pub message: Vec<u8>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} {}", String::from_utf8_lossy(&self.code).escape_debug(), quoted(&self.message))
    }
}

impl Message {
    /// For failures: what came where something else was expected.
    pub fn name(&self) -> String {
        match self {
            Self::Login(..) => "a question about the login".to_owned(),
            Self::Refused(refusal) => refusal.to_string(),
            Self::Ready => "the end of an answer".to_owned(),
            Self::Row | Self::LongRow => "a row".to_owned(),
            Self::Done(_) => "the end of a statement".to_owned(),
            Self::Noise => "a notice".to_owned(),
            Self::Other(letter) => format!("a message of kind {}", quoted(&[*letter])),
        }
    }
}

/// How much of the message that `bytes` begin is read.
///
/// # Errors
/// If they begin none.
pub fn size(bytes: &[u8]) -> Result<Option<usize>, String> {
    let [letter, a, b, c, d, ..] = *bytes else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    if !letter.is_ascii_alphabetic() || !(4..=0x4000_0000).contains(&length) {
        return Err(format!("what is no message of PostgreSQL: {}", quoted(bytes)));
    }
    let body = usize::try_from(length - 4).unwrap_or(MOST);
    if body > MOST && letter != ROW {
        return Err(format!("a message of {length} bytes, more than {MOST}"));
    }
    Ok(Some(HEAD + body.min(MOST)))
}

/// Reads a message that [`size`] has measured.
///
/// # Errors
/// What is wrong with it.
pub fn read(packet: &[u8]) -> Result<Message, &'static str> {
    let (head, body) = packet.split_at_checked(HEAD).ok_or("a message that ends too early")?;
    Ok(match head[0] {
        b'R' => {
            let (kind, rest) = body.split_first_chunk().ok_or("a login message that ends too early")?;
            Message::Login(u32::from_be_bytes(*kind), rest.to_vec())
        }
        b'E' => Message::Refused(refusal(body)),
        b'Z' => Message::Ready,
        ROW if u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize > body.len() + 4 => Message::LongRow,
        ROW => Message::Row,
        b'C' => Message::Done(touched(body)),
        b'S' | b'N' | b'K' | b'T' | b'A' | b'v' | b'I' => Message::Noise,
        letter => Message::Other(letter),
    })
}

/// Fields of a letter and a text each.
fn refusal(mut body: &[u8]) -> Refusal {
    let mut refusal = Refusal::default();
    while let Some((&letter, rest)) = body.split_first() {
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        let text = &rest[..end];
        match letter {
            b'C' => refusal.code = text[..text.len().min(5)].to_vec(),
            b'M' => refusal.message = text.to_vec(),
            _ => {}
        }
        body = rest.get(end + 1..).unwrap_or_default();
    }
    refusal
}

/// `UPDATE 3`, `INSERT 0 1`, `SELECT 7`.
fn touched(body: &[u8]) -> u64 {
    let text = body.strip_suffix(b"\0").unwrap_or(body);
    let last = text.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(last).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn framed(letter: Option<u8>, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    Zeroizing::new(letter.into_iter().chain(length.to_be_bytes()).chain(body.iter().copied()).collect())
}

/// The first message.
pub fn startup(user: &str, database: &str) -> Zeroizing<Vec<u8>> {
    let mut body = VERSION.to_vec();
    let parameters = [("user", user), ("database", database), ("application_name", "ldirectord")];
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    framed(None, &body)
}

/// What a login method has to say, a password or a part of a proof.
pub fn password(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    framed(Some(b'p'), bytes)
}

/// A query.
pub fn query(text: &str) -> Zeroizing<Vec<u8>> {
    framed(Some(b'Q'), &[text.as_bytes(), &[0]].concat())
}

/// The farewell.
pub fn terminate() -> Zeroizing<Vec<u8>> {
    framed(Some(b'X'), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_message_names_user_and_database() {
        let wanted = b"\0\0\0\x3b\0\x03\0\0user\0probe\0database\0shop\0application_name\0ldirectord\0\0";
        let said = startup("probe", "shop");
        assert_eq!(said[4..], wanted[4..]);
        assert_eq!(usize::from(said[3]), said.len());
        assert!(!startup("probe", "").windows(8).any(|w| w == b"database"));
        assert_eq!(*query("SELECT 1"), *b"Q\0\0\0\x0dSELECT 1\0");
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(read(b"Z\0\0\0\x05I"), Ok(Message::Ready));
        assert_eq!(read(b"C\0\0\0\x0dSELECT 7\0"), Ok(Message::Done(7)));
        assert_eq!(read(b"C\0\0\0\x0fINSERT 0 12\0"), Ok(Message::Done(12)));
        assert_eq!(read(b"C\0\0\0\x0aBEGIN\0"), Ok(Message::Done(0)));
        assert_eq!(read(b"R\0\0\0\x08\0\0\0\x05salt"), Ok(Message::Login(5, b"salt".to_vec())));
        assert!(read(b"R\0\0\0\x06\0\0").is_err());
        let Ok(Message::Refused(refusal)) = read(b"E\0\0\0\0SFATAL\0C28P01\0Mpassword\nwrong\0\0") else {
            panic!("an error")
        };
        assert_eq!(refusal.to_string(), r#"error 28P01 "password\nwrong""#);
        assert_eq!(read(b"G\0\0\0\x04").map(|message| message.name()), Ok("a message of kind \"G\"".to_owned()));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert!(size(b"HTTP/1.1 400").is_err(), "a length of a gigabyte and more");
        assert!(size(b"R\0\0\0\x03").is_err());
        assert!(size(b"R\0\x01\x02\x03").is_err());
        assert!(size(b"R\x3f\xff\xff\xff").expect_err("a gigabyte").contains("more than 65536"));
        assert_eq!(size(b"D\x3f\xff\xff\xff"), Ok(Some(5 + MOST)));
        assert_eq!(read(b"D\x3f\xff\xff\xff\0\x01"), Ok(Message::LongRow));
        assert_eq!(read(b"D\0\0\0\x06\0\0"), Ok(Message::Row));
        assert_eq!(size(b"R\0\0\0\x08"), Ok(Some(9)));
        assert_eq!(size(b"R\0\0\0"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = size(&bytes);
            if let Ok(message) = read(&bytes) {
                prop_assert!(!message.name().chars().any(char::is_control));
            }
        }
    }
}
