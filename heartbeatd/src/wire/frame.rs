//! The two ways a message stands in a datagram: netstrings and classic text
//! (spec/heartbeat.md 4.2, 4.3).
//!
//! [`Envelope::split`] follows the length prefixes (or the line ends) to the signature
//! and reads nothing else. [`Envelope::fields`] is for afterwards, when the signature is
//! known to be good. Everything is bounded by the datagram.

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

/// The signature as it stands in the datagram, not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Which key of authkeys.
    pub index: u8,
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
    content: &'a [u8],
}

/// Begins a netstring message.
pub(crate) const NETSTRING_START: &[u8] = b"###\n";
const NETSTRING_END: &[u8] = b"%%%\n";
/// Begins a classic message.
pub(crate) const CLASSIC_START: &[u8] = b">>>\n";
const CLASSIC_END: &[u8] = b"<<<";
/// Stands for a newline inside a classic value.
const CLASSIC_NEWLINE: u8 = 0x13;

impl<'a> Envelope<'a> {
    /// Finds the signature and what it covers.
    ///
    /// # Errors
    /// The datagram is not a complete message. A missing or cut signature is no error
    /// here but stands in [`Self::signature`].
    pub fn split(datagram: &'a [u8]) -> Result<Self, Refusal> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Refusal::TooLong);
        }
        if let Some(rest) = datagram.strip_prefix(NETSTRING_START) {
            Self::split_netstring(datagram, rest)
        } else if let Some(rest) = datagram.strip_prefix(CLASSIC_START) {
            Self::split_classic(rest)
        } else {
            Err(Refusal::NotHeartbeat)
        }
    }

    fn split_netstring(datagram: &'a [u8], start: &'a [u8]) -> Result<Self, Refusal> {
        let mut rest = start;
        let mut count = 0;
        let behind = loop {
            if let Some(behind) = rest.strip_prefix(NETSTRING_END) {
                break behind;
            }
            count += 1;
            if count > MAX_FIELDS {
                return Err(Refusal::TooManyFields);
            }
            (_, rest) = netstring(rest)?;
        };
        let signed = &datagram[..datagram.len() - behind.len()];
        let signature = match netstring(behind) {
            _ if behind.is_empty() => Err(Refusal::NoSignature),
            Ok((text, _)) => signature(text),
            Err(_) => Err(Refusal::SignatureCut),
        };
        let content = &start[..start.len() - rest.len()];
        Ok(Self { format: Format::Netstring, signed, signature, content })
    }

    fn split_classic(content: &'a [u8]) -> Result<Self, Refusal> {
        let mut rest = content;
        let mut last: &[u8] = b"";
        for count in 0.. {
            if count > MAX_FIELDS {
                return Err(Refusal::TooManyFields);
            }
            let end = rest.iter().position(|&b| b == b'\n').ok_or(Refusal::ClassicWithoutEnd)?;
            let line = &rest[..end];
            if line == CLASSIC_END {
                break;
            }
            last = line;
            rest = &rest[end + 1..];
        }
        let content = &content[..content.len() - rest.len()];
        let (signed, signature) = match last.strip_prefix(b"auth=") {
            Some(text) => (&content[..content.len() - last.len() - 1], signature(text)),
            None => (content, Err(Refusal::NoSignature)),
        };
        Ok(Self { format: Format::Classic, signed, signature, content })
    }

    /// Reads the fields. To be believed they must have been verified first: see
    /// [`super::Keys::open`].
    ///
    /// # Errors
    /// A field is not `(TYPE)NAME=VALUE` with a type heartbeat has.
    pub fn fields(&self) -> Result<Message, Refusal> {
        let mut fields = Vec::new();
        let mut rest = self.content;
        while !rest.is_empty() {
            let field;
            (field, rest) = match self.format {
                Format::Netstring => netstring(rest)?,
                Format::Classic => line(rest),
            };
            fields.push(match self.format {
                Format::Netstring => netstring_field(field)?,
                Format::Classic => classic_field(field)?,
            });
        }
        Ok(Message::from_fields(fields))
    }
}

/// `LEN:bytes,` at the start: the bytes, and what follows.
fn netstring(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    let mut len = 0usize;
    for digit in number {
        len = len * 10 + usize::from(digit - b'0');
        if len > MAX_DATAGRAM {
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
    let cut = Refusal::SignatureCut;
    let space = text.iter().position(|&b| b == b' ').ok_or(cut)?;
    let index = std::str::from_utf8(&text[..space]).ok();
    let index = index.filter(|index| !index.starts_with('+')).and_then(|index| index.parse().ok()).ok_or(cut)?;
    Ok(Signature { index, digest: &text[space + 1..] })
}

/// The type number of `(TYPE)` at the start, and what follows.
fn type_prefix(field: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    match field {
        [b'(', digit @ b'0'..=b'9', b')', rest @ ..] => match digit - b'0' {
            kind @ 0..=5 => Ok((kind, rest)),
            kind => Err(Refusal::UnknownType(kind)),
        },
        _ => Err(Refusal::FieldWithoutType),
    }
}

fn name_and_value(field: &[u8]) -> Result<(String, &[u8]), Refusal> {
    let equals = field.iter().position(|&b| b == b'=').ok_or(Refusal::FieldWithoutName)?;
    let name = &field[..equals];
    if name.is_empty() || name[0] == b'(' || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Refusal::FieldWithoutName);
    }
    Ok((String::from_utf8_lossy(name).into_owned(), &field[equals + 1..]))
}

fn netstring_field(field: &[u8]) -> Result<Field, Refusal> {
    let (kind, field) = type_prefix(field)?;
    let (name, bytes) = name_and_value(field)?;
    let value = match kind {
        0 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        1 => Value::Binary(bytes.to_vec()),
        kind => Value::Nested { kind, bytes: bytes.to_vec() },
    };
    Ok(Field { name, value })
}

fn classic_field(field: &[u8]) -> Result<Field, Refusal> {
    let (kind, field) = if field.starts_with(b"(") { type_prefix(field)? } else { (0, field) };
    let (name, text) = name_and_value(field)?;
    let value = match kind {
        0 => Value::Text(String::from_utf8_lossy(&replace(text, CLASSIC_NEWLINE, b'\n')).into_owned()),
        1 => Value::Binary(base64::decode(text).ok_or(Refusal::NotBase64)?),
        kind => Value::Nested { kind, bytes: text.to_vec() },
    };
    Ok(Field { name, value })
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
    [CLASSIC_START, signed, b"auth=", signature.as_bytes(), b"\n", CLASSIC_END, b"\n"].concat()
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
        let lines = [CLASSIC_START, &b"a=b\n".repeat(MAX_FIELDS + 1), b"<<<\n"].concat();
        assert_eq!(Envelope::split(&lines), Err(Refusal::TooManyFields));
        assert_eq!(Envelope::split(&vec![b'#'; MAX_DATAGRAM + 1]), Err(Refusal::TooLong));
    }

    #[test]
    fn a_classic_message_is_signed_in_its_last_line_or_not_at_all() {
        let envelope = Envelope::split(b">>>\nauth=1 x\nt=status\n<<<\n").unwrap();
        assert_eq!(envelope.signature, Err(Refusal::NoSignature));
        assert_eq!(Envelope::split(b">>>\n<<<\n").unwrap().signature, Err(Refusal::NoSignature));
    }
}
