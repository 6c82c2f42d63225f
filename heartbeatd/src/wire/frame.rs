//! The two ways a message stands in a datagram: netstrings and classic text
//! (spec/heartbeat.md 4.2, 4.3).
//!
//! [`Envelope::split`] follows the length prefixes (or the line ends) to the signature
//! and reads nothing else. [`Envelope::fields`] is for afterwards, when the signature is
//! known to be good. Everything is bounded by the datagram.

use std::borrow::Cow;

use super::base64;
use super::message::{Field, MAX_FIELDS, Message, Value};
use super::{MAX_DATAGRAM, Refusal};

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `###`, length-prefixed fields, `%%%`, signature: what goes over UDP.
    Netstring,
    /// `>>>`, lines, `<<<`: serial lines; accepted over UDP.
    Classic,
}

impl Format {
    /// The format of what begins like this.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.get(..START) {
            Some(NETSTRING_START) => Some(Self::Netstring),
            Some(CLASSIC_START) => Some(Self::Classic),
            _ => None,
        }
    }
}

/// The signature as it stands in the datagram, not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Which key of authkeys; as written, there may be no such key.
    pub index: u64,
    /// The digest in hexadecimal.
    pub digest: &'a [u8],
}

/// A datagram taken apart as far as needed to verify it.
///
/// Bytes behind the signature are not part of it; heartbeat ignores them, so do we.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// How it is written.
    pub format: Format,
    /// What the digest covers.
    pub signed: &'a [u8],
    /// The signature, or why there is none.
    pub signature: Result<Signature<'a>, Refusal>,
    /// Its fields, not yet read.
    pub(super) content: &'a [u8],
    /// How many bytes it has with its signature, or without where that is missing or cut.
    pub(super) len: usize,
}

/// What is taken apart at most.
pub(super) struct Limits {
    /// Bytes of the whole, and of a field.
    pub(super) bytes: usize,
    pub(super) fields: usize,
}

impl Limits {
    /// What the daemon listens to.
    const DAEMON: Self = Self { bytes: MAX_DATAGRAM, fields: MAX_FIELDS };
}

/// Why bytes are no complete message, and how far they could be followed.
pub(super) struct Broken {
    pub(super) refusal: Refusal,
    pub(super) format: Option<Format>,
    /// Where the field begins that leads nowhere.
    pub(super) at: usize,
}

/// A field as it stands, whatever its type and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawField<'a> {
    /// The digit in front: heartbeat has 0 to 5.
    pub(crate) kind: u8,
    /// Not empty, without `=`.
    pub(crate) name: &'a [u8],
    /// As the sender had it: without the newlines and the base64 of classic text.
    pub(crate) value: Cow<'a, [u8]>,
}

/// Begins a netstring message.
pub(crate) const NETSTRING_START: &[u8] = b"###\n";
const NETSTRING_END: &[u8] = b"%%%\n";
/// Begins a classic message.
pub(crate) const CLASSIC_START: &[u8] = b">>>\n";
/// How many bytes a message begins with that nothing else does.
pub(super) const START: usize = CLASSIC_START.len();
const CLASSIC_END: &[u8] = b"<<<\n";
/// What the last line begins with.
const CLASSIC_AUTH: &[u8] = b"auth=";
/// Stands for a newline inside a classic value.
const CLASSIC_NEWLINE: u8 = 0x13;
/// heartbeat has no type above it (spec 4.4).
pub(super) const HIGHEST_TYPE: u8 = 5;

impl<'a> Envelope<'a> {
    /// Finds the signature and what it covers.
    ///
    /// # Errors
    /// The datagram is not a complete message. A missing or cut signature is no error
    /// here but stands in [`Self::signature`].
    pub fn split(datagram: &'a [u8]) -> Result<Self, Refusal> {
        Self::split_within(datagram, &Limits::DAEMON).map_err(|broken| broken.refusal)
    }

    pub(super) fn split_within(datagram: &'a [u8], limits: &Limits) -> Result<Self, Broken> {
        let format = Format::of(datagram);
        if datagram.len() > limits.bytes {
            return Err(Broken { refusal: Refusal::too_long(limits.bytes), format, at: 0 });
        }
        match format {
            Some(Format::Netstring) => Self::split_netstring(datagram, limits),
            Some(Format::Classic) => Self::split_classic(datagram, limits),
            None => Err(Broken { refusal: Refusal::NotHeartbeat, format, at: 0 }),
        }
    }

    fn split_netstring(datagram: &'a [u8], limits: &Limits) -> Result<Self, Broken> {
        let broken = |rest: &[u8], refusal| {
            let at = datagram.len() - rest.len();
            Err(Broken { refusal, format: Some(Format::Netstring), at })
        };
        let start = &datagram[NETSTRING_START.len()..];
        let mut rest = start;
        let mut count = 0;
        let behind = loop {
            if let Some(behind) = rest.strip_prefix(NETSTRING_END) {
                break behind;
            }
            count += 1;
            if count > limits.fields {
                return broken(rest, Refusal::TooManyFields);
            }
            match netstring(rest, limits.bytes) {
                Ok((_, behind)) => rest = behind,
                Err(_) if NETSTRING_END.starts_with(rest) => return broken(rest, Refusal::Truncated),
                Err(refusal) => return broken(rest, refusal),
            }
        };
        let signed = &datagram[..datagram.len() - behind.len()];
        let (signature, behind) = match netstring(behind, limits.bytes) {
            _ if behind.is_empty() => (Err(Refusal::NoSignature), behind),
            Ok((text, behind)) => (signature(text), behind),
            Err(_) => (Err(Refusal::SignatureCut), behind),
        };
        let content = &start[..start.len() - rest.len()];
        let len = datagram.len() - behind.len();
        Ok(Self { format: Format::Netstring, signed, signature, content, len })
    }

    fn split_classic(datagram: &'a [u8], limits: &Limits) -> Result<Self, Broken> {
        let start = &datagram[CLASSIC_START.len()..];
        let mut rest = start;
        let mut last: &[u8] = b"";
        for count in 0.. {
            let broken = |refusal| Broken { refusal, format: Some(Format::Classic), at: datagram.len() - rest.len() };
            if count > limits.fields {
                return Err(broken(Refusal::TooManyFields));
            }
            let end = rest.iter().position(|&b| b == b'\n').ok_or_else(|| broken(Refusal::ClassicWithoutEnd))?;
            let (line, behind) = rest.split_at(end + 1);
            if line == CLASSIC_END {
                break;
            }
            // Another message begins where this one should have ended.
            if Format::of(line).is_some() {
                return Err(broken(Refusal::ClassicWithoutEnd));
            }
            last = &line[..end];
            rest = behind;
        }
        let content = &start[..start.len() - rest.len()];
        let len = datagram.len() - rest.len() + CLASSIC_END.len();
        let (signed, signature) = match last.strip_prefix(CLASSIC_AUTH) {
            Some(text) => (&content[..content.len() - last.len() - 1], signature(text)),
            None => (content, Err(Refusal::NoSignature)),
        };
        Ok(Self { format: Format::Classic, signed, signature, content, len })
    }

    /// Reads the fields. To be believed they must have been verified first: see
    /// [`super::Keys::open`].
    ///
    /// # Errors
    /// A field is not `(TYPE)NAME=VALUE` with a type heartbeat has.
    pub fn fields(&self) -> Result<Message, Refusal> {
        let fields = raw_fields(self.format, self.content).map(|field| Field::try_from(field?));
        Ok(Message::from_fields(fields.collect::<Result<_, Refusal>>()?))
    }
}

/// The fields one after the other, as far as they can be told apart.
pub(super) fn raw_fields(format: Format, mut content: &[u8]) -> impl Iterator<Item = Result<RawField<'_>, Refusal>> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let (field, rest) = match format {
            // How long a field may be was asked when the message was taken apart.
            Format::Netstring => netstring(content, usize::MAX).unwrap_or_default(),
            Format::Classic => line(content),
        };
        content = rest;
        Some(raw_field(format, field))
    })
}

/// `LEN:bytes,` at the start, of at most so many bytes: the bytes, and what follows.
fn netstring(bytes: &[u8], most: usize) -> Result<(&[u8], &[u8]), Refusal> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    let mut len = 0usize;
    for digit in number {
        len = len.saturating_mul(10).saturating_add((digit - b'0').into());
        if len > most {
            return Err(Refusal::LengthOverflow);
        }
    }
    if rest.is_empty() {
        return Err(Refusal::Truncated);
    }
    let canonical = !number.is_empty() && (number[0] != b'0' || number.len() == 1);
    let rest = rest.strip_prefix(b":").filter(|_| canonical).ok_or(Refusal::WrongFieldLength)?;
    let (value, rest) = rest.split_at_checked(len).ok_or(Refusal::Truncated)?;
    match rest.split_first() {
        Some((b',', rest)) => Ok((value, rest)),
        Some(_) => Err(Refusal::WrongFieldLength),
        None => Err(Refusal::Truncated),
    }
}

fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// `INDEX DIGEST`
fn signature(text: &[u8]) -> Result<Signature<'_>, Refusal> {
    let index = key_index(text).ok_or(Refusal::SignatureCut)?;
    let digest = text.iter().position(|&b| b == b' ').map_or(&text[..0], |space| &text[space + 1..]);
    Ok(Signature { index, digest })
}

/// The number in front of the digest. Without the blank behind it more digits could follow.
pub(super) fn key_index(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (text.get(digits) == Some(&b' ')).then_some(number)
}

/// The key that a signature names which ends early; `behind` is what stands behind `%%%`.
pub(super) fn key_of_cut(behind: &[u8]) -> Option<u64> {
    let digits = behind.iter().take_while(|b| b.is_ascii_digit()).count();
    key_index(behind[digits..].strip_prefix(b":")?)
}

/// The key that the last of these lines names, if it is the signature.
pub(super) fn key_of_lines(content: &[u8]) -> Option<u64> {
    let lines = content.strip_suffix(b"\n").unwrap_or(content);
    key_index(lines.rsplit(|&b| b == b'\n').next()?.strip_prefix(CLASSIC_AUTH)?)
}

/// The type of `(TYPE)` at the start, and what follows.
fn type_prefix(field: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    match field {
        [b'(', digit @ b'0'..=b'9', b')', rest @ ..] => Ok((digit - b'0', rest)),
        _ => Err(Refusal::FieldWithoutType),
    }
}

fn raw_field(format: Format, field: &[u8]) -> Result<RawField<'_>, Refusal> {
    let (kind, field) = match format {
        // Classic text leaves the type of a string out.
        Format::Classic if !field.starts_with(b"(") => (0, field),
        _ => type_prefix(field)?,
    };
    let equals = field.iter().position(|&b| b == b'=').filter(|&at| at > 0).ok_or(Refusal::FieldWithoutName)?;
    let (name, bytes) = (&field[..equals], &field[equals + 1..]);
    let value = match (format, kind) {
        (Format::Classic, 0) => Cow::Owned(replace(bytes, CLASSIC_NEWLINE, b'\n')),
        (Format::Classic, 1) => Cow::Owned(base64::decode(bytes).ok_or(Refusal::NotBase64)?),
        _ => Cow::Borrowed(bytes),
    };
    Ok(RawField { kind, name, value })
}

impl TryFrom<RawField<'_>> for Field {
    type Error = Refusal;

    fn try_from(RawField { kind, name, value }: RawField<'_>) -> Result<Self, Refusal> {
        // A name that could be read as something else in classic text is not taken.
        if name.starts_with(b"(") || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::FieldWithoutName);
        }
        let value = match kind {
            0 => Value::Text(String::from_utf8_lossy(&value).into_owned()),
            1 => Value::Binary(value.into_owned()),
            2..=HIGHEST_TYPE => Value::Nested { kind, bytes: value.into_owned() },
            kind => return Err(Refusal::UnknownType(kind)),
        };
        Ok(Self { name: String::from_utf8_lossy(name).into_owned(), value })
    }
}

fn replace(bytes: &[u8], old: u8, new: u8) -> Vec<u8> {
    bytes.iter().map(|&b| if b == old { new } else { b }).collect()
}

fn put_netstring(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b':');
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b',');
}

/// The part of a netstring message the outer digest covers: `###` up to and including `%%%`.
pub(super) fn netstring_signed<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Vec<u8> {
    let mut out = NETSTRING_START.to_vec();
    for Field { name, value } in fields {
        let (kind, bytes) = match value {
            Value::Text(text) => (0, text.as_bytes()),
            Value::Binary(bytes) => (1, bytes.as_slice()),
            Value::Nested { kind, bytes } => (*kind, bytes.as_slice()),
        };
        put_netstring(&mut out, &[format!("({kind}){name}=").as_bytes(), bytes]);
    }
    out.extend_from_slice(NETSTRING_END);
    out
}

/// Puts the outer signature behind what [`netstring_signed`] made.
pub(super) fn netstring_finish(mut signed: Vec<u8>, signature: &str) -> Vec<u8> {
    put_netstring(&mut signed, &[signature.as_bytes()]);
    signed
}

/// The part of a classic message the digest covers: its lines, without `>>>` and `auth`.
pub(super) fn classic_signed<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { name, value } in fields {
        if let Value::Binary(_) = value {
            out.extend_from_slice(b"(1)");
        } else if let Value::Nested { kind, .. } = value {
            out.extend_from_slice(format!("({kind})").as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        match value {
            Value::Text(text) => out.extend_from_slice(&replace(text.as_bytes(), b'\n', CLASSIC_NEWLINE)),
            Value::Binary(bytes) => base64::encode(bytes, &mut out),
            Value::Nested { bytes, .. } => out.extend_from_slice(&replace(bytes, b'\n', CLASSIC_NEWLINE)),
        }
        out.push(b'\n');
    }
    out
}

/// Puts the frame and the signature around what [`classic_signed`] made.
pub(super) fn classic_finish(signed: &[u8], signature: &str) -> Vec<u8> {
    [CLASSIC_START, signed, CLASSIC_AUTH, signature.as_bytes(), b"\n", CLASSIC_END].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_what_looks_like_the_end_of_the_message() {
        let datagram = b"###\n15:(0)note=%%%\n1:,,%%%\n3:1 x,";
        let envelope = Envelope::split(datagram).unwrap();
        assert_eq!(envelope.signature, Ok(Signature { index: 1, digest: b"x" }));
        assert_eq!(envelope.fields().unwrap().text("note"), Some("%%%\n1:,"));
    }

    #[test]
    fn lengths_that_lead_nowhere_are_refused() {
        for (bytes, refusal) in [
            (&b"###\n"[..], Refusal::Truncated),
            (b"###\n7", Refusal::Truncated),
            (b"###\n7:(0)a=b", Refusal::Truncated),
            (b"###\n7:(0)a=bb", Refusal::Truncated),
            (b"###\n6:(0)a=b,%%%", Refusal::Truncated),
            (b"###\n06:(0)a=b,", Refusal::WrongFieldLength),
            (b"###\n:(0)a=b,", Refusal::WrongFieldLength),
            (b"###\n-6:(0)a=b,", Refusal::WrongFieldLength),
            (b"###\n65537:(0)a=b,", Refusal::LengthOverflow),
            (b"", Refusal::NotHeartbeat),
            (b"hello", Refusal::NotHeartbeat),
        ] {
            assert_eq!(Envelope::split(bytes), Err(refusal), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn size_and_number_of_fields_are_bounded() {
        let many = [NETSTRING_START, &b"6:(0)a=b,".repeat(MAX_FIELDS + 1)].concat();
        assert_eq!(Envelope::split(&many), Err(Refusal::TooManyFields));
        let lines = [CLASSIC_START, &b"a=b\n".repeat(MAX_FIELDS + 1), CLASSIC_END].concat();
        assert_eq!(Envelope::split(&lines), Err(Refusal::TooManyFields));
        assert_eq!(Envelope::split(&vec![b'#'; MAX_DATAGRAM + 1]), Err(Refusal::TooLong(64)));
    }

    #[test]
    fn a_classic_message_is_signed_in_its_last_line_or_not_at_all() {
        let envelope = Envelope::split(b">>>\nauth=1 x\nt=status\n<<<\n").unwrap();
        assert_eq!(envelope.signature, Err(Refusal::NoSignature));
        assert_eq!(Envelope::split(b">>>\n<<<\n").unwrap().signature, Err(Refusal::NoSignature));
    }
}
