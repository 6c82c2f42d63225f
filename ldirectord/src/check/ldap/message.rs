//! LDAP messages (RFC 4511): a bind and a search out, replies in.

use zeroize::Zeroizing;

use crate::check::ber::{self, BOOLEAN, ENUMERATED, INTEGER, OCTETS, SEQUENCE, element, number, take, take_any};
use crate::check::stage::quoted;

/// Most of a reply, bytes. The search asks for no attributes, so it holds hardly more than a name.
const MOST: usize = 64 * 1024;

const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE_RESPONSE: u8 = 0x79;

/// Simple authentication.
const SIMPLE: u8 = 0x80;
/// A filter that asks whether an attribute is there.
const PRESENT: u8 = 0x87;

/// Which extended operation, and the one that is StartTLS.
const REQUEST_NAME: u8 = 0x80;
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Scope of a search: the base itself.
const BASE_OBJECT: u8 = 0;
/// Aliases are followed to find the base.
const DEREF_FINDING: u8 = 2;

/// LDAPResult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// 0 is success.
    pub code: u32,
    /// What the server has to say about it.
    pub message: Vec<u8>,
}

impl Outcome {
    /// The code's name (RFC 4511 appendix A).
    pub fn words(&self) -> String {
        let words = match self.code {
            1 => "operations error",
            2 => "protocol error",
            3 => "time limit exceeded",
            7 => "authentication method not supported",
            8 => "stronger authentication required",
            10 => "a referral",
            13 => "confidentiality required",
            32 => "no such object",
            34 => "invalid name",
            48 => "inappropriate authentication",
            49 => "invalid credentials",
            50 => "insufficient access rights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwilling to perform",
            code => return format!("result {code}"),
        };
        format!("{words} ({})", self.code)
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To the bind.
    Bound(Outcome),
    /// An entry's name.
    Entry(Vec<u8>),
    /// Where else one might search.
    Reference,
    /// Something between request and result.
    Intermediate,
    /// The end of the search.
    Done(Outcome),
    /// To an extended operation.
    Extended(Outcome),
    /// The server says, unasked, why it is about to close.
    Notice(Outcome),
}

impl Reply {
    /// For failures: what came where something else was expected.
    pub fn name(&self) -> String {
        match self {
            Self::Bound(_) => "an answer to a bind".to_owned(),
            Self::Entry(name) => format!("the entry {}", quoted(name)),
            Self::Reference => "a reference".to_owned(),
            Self::Intermediate => "an intermediate answer".to_owned(),
            Self::Done(_) => "the end of a search".to_owned(),
            Self::Extended(_) => "an answer to an extended operation".to_owned(),
            Self::Notice(outcome) => format!("a notice: {} {}", outcome.words(), quoted(&outcome.message)),
        }
    }
}

fn message(id: u8, operation: u8, parts: &[Vec<u8>]) -> Zeroizing<Vec<u8>> {
    let operation = Zeroizing::new(element(operation, &Zeroizing::new(parts.concat())));
    Zeroizing::new(element(SEQUENCE, &Zeroizing::new([element(INTEGER, &[id]), operation.to_vec()].concat())))
}

/// A simple bind; anonymous if both are empty. `id` is below 128.
pub fn bind(id: u8, name: &str, password: &str) -> Zeroizing<Vec<u8>> {
    let parts = [element(INTEGER, &[3]), element(OCTETS, name.as_bytes()), element(SIMPLE, password.as_bytes())];
    message(id, BIND_REQUEST, &parts)
}

/// A search for the entry `base` itself, without limits. Of its attributes none is asked for
/// (`1.1`, RFC 4511 4.5.1.8): only its name is looked at.
pub fn search(id: u8, base: &str) -> Zeroizing<Vec<u8>> {
    let parts = [
        element(OCTETS, base.as_bytes()),
        element(ENUMERATED, &[BASE_OBJECT]),
        element(ENUMERATED, &[DEREF_FINDING]),
        element(INTEGER, &[0]),
        element(INTEGER, &[0]),
        element(BOOLEAN, &[0]),
        element(PRESENT, b"objectClass"),
        element(SEQUENCE, &element(OCTETS, b"1.1")),
    ];
    message(id, SEARCH_REQUEST, &parts)
}

/// A request to go on under TLS.
pub fn start_tls(id: u8) -> Zeroizing<Vec<u8>> {
    message(id, EXTENDED_REQUEST, &[element(REQUEST_NAME, START_TLS)])
}

/// The length of the message that `bytes` begin.
///
/// # Errors
/// If they begin none, or one that is too long.
pub fn size(bytes: &[u8]) -> Result<Option<usize>, String> {
    let garbage = |why: &str| format!("{why}: {}", quoted(bytes));
    if bytes.first().is_some_and(|&tag| tag != SEQUENCE) {
        return Err(garbage("what is no LDAP"));
    }
    match ber::size(bytes).map_err(garbage)? {
        Some(size) if size > MOST => Err(format!("a message of {size} bytes, more than {MOST}")),
        size => Ok(size),
    }
}

/// Reads a reply to the request with this id.
///
/// # Errors
/// What keeps it from being one.
pub fn reply(packet: &[u8], id: u8) -> Result<Reply, &'static str> {
    const BROKEN: &str = "a message that is not well-formed";
    let mut rest = packet;
    let mut inner = take(&mut rest, SEQUENCE).ok_or(BROKEN)?;
    let its_id = take(&mut inner, INTEGER).and_then(number).ok_or(BROKEN)?;
    let (kind, mut content) = take_any(&mut inner).ok_or(BROKEN)?;
    // The server's own notices have id 0.
    if its_id != u32::from(id) && !(its_id == 0 && kind == EXTENDED_RESPONSE) {
        return Err("the answer to another request");
    }
    let content = &mut content;
    match kind {
        BIND_RESPONSE => outcome(content).map(Reply::Bound),
        SEARCH_DONE => outcome(content).map(Reply::Done),
        EXTENDED_RESPONSE if its_id == 0 => outcome(content).map(Reply::Notice),
        EXTENDED_RESPONSE => outcome(content).map(Reply::Extended),
        SEARCH_ENTRY => take(content, OCTETS).map(|name| Reply::Entry(name.to_vec())),
        SEARCH_REFERENCE => Some(Reply::Reference),
        INTERMEDIATE_RESPONSE => Some(Reply::Intermediate),
        _ => return Err("a message of a kind that is no reply"),
    }
    .ok_or(BROKEN)
}

fn outcome(content: &mut &[u8]) -> Option<Outcome> {
    let code = take(content, ENUMERATED).and_then(number)?;
    take(content, OCTETS)?;
    let message = take(content, OCTETS)?.to_vec();
    Some(Outcome { code, message })
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A reply that consists of a result.
    pub fn result(id: u8, kind: u8, code: u8, text: &str) -> Vec<u8> {
        let parts = [element(ENUMERATED, &[code]), element(OCTETS, b""), element(OCTETS, text.as_bytes())];
        message(id, kind, &parts).to_vec()
    }

    /// The answer to a bind.
    pub fn bound(code: u8, text: &str) -> Vec<u8> {
        result(1, BIND_RESPONSE, code, text)
    }

    /// The end of a search.
    pub fn done(code: u8) -> Vec<u8> {
        result(2, SEARCH_DONE, code, "")
    }

    /// An entry without attributes.
    pub fn entry(name: &str) -> Vec<u8> {
        message(2, SEARCH_ENTRY, &[element(OCTETS, name.as_bytes()), element(SEQUENCE, b"")]).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{bound, done, entry, result};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bind_is_as_ldapsearch_sends_it() {
        let recorded = b"\x30\x13\x02\x01\x01\x60\x0e\x02\x01\x03\x04\x04cn=a\x80\x03b c";
        assert_eq!(*bind(1, "cn=a", "b c"), recorded);
        assert_eq!(*bind(1, "", ""), *b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00");
    }

    #[test]
    fn a_search_asks_for_the_entry_itself_and_no_attributes() {
        let recorded = b"\x30\x2e\x02\x01\x02\x63\x29\x04\x04dc=x\x0a\x01\x00\x0a\x01\x02\x02\x01\x00\x02\x01\x00\
                         \x01\x01\x00\x87\x0bobjectClass\x30\x05\x04\x031.1";
        assert_eq!(*search(2, "dc=x"), recorded);
    }

    #[test]
    fn start_tls_is_as_ldapsearch_sends_it() {
        assert_eq!(*start_tls(1), *b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037");
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(reply(&bound(0, ""), 1), Ok(Reply::Bound(Outcome { code: 0, message: Vec::new() })));
        assert_eq!(reply(&entry("dc=x"), 2), Ok(Reply::Entry(b"dc=x".to_vec())));
        let Ok(Reply::Done(outcome)) = reply(&done(32), 2) else { panic!("the end") };
        assert_eq!(outcome.words(), "no such object (32)");
        assert_eq!(reply(&done(0), 7), Err("the answer to another request"));
        let notice = result(0, EXTENDED_RESPONSE, 52, "going down");
        assert_eq!(reply(&notice, 2).expect("a notice").name(), r#"a notice: unavailable (52) "going down""#);
        assert_eq!(reply(&result(2, 0x6f, 0, ""), 2), Err("a message of a kind that is no reply"));
    }

    #[test]
    fn what_is_no_ldap_is_refused_before_it_is_read() {
        assert!(size(b"HTTP/1.1 400").expect_err("HTTP").contains("HTTP/1.1 400"));
        assert!(size(b"\x30\x84\x7f\xff\xff\xff").expect_err("2 GiB").contains("more than 65536"));
        assert_eq!(size(b"\x30"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = reply(&bytes, 1);
            let _ = size(&bytes);
        }

        #[test]
        fn a_damaged_reply_is_a_reply_or_an_error(at in 0..14_usize, byte: u8, cut in 0..20_usize) {
            for mut message in [bound(49, "no"), entry("dc=x")] {
                message[at] = byte;
                message.truncate(cut);
                let _ = reply(&message, 1);
            }
        }
    }
}
