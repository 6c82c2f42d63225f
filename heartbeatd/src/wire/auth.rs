//! Signatures: the only door through which a received message comes in.
//!
//! A key is chosen by the index the datagram names (heartbeat 3.0.6 takes its current key
//! for every index, so that keys cannot be rotated: fault 3), and the digest is compared in
//! constant time over the raw bytes before any field is read (fault 1).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::frame::{self, Envelope};
use super::message::{Field, Message};
use super::{Format, Refusal};

/// How a message is signed (spec 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A checksum: guards against accidents, not against people.
    Crc,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA-256: between two heartbeatd only, heartbeat 3.0.6 does not start with such a file.
    Sha256,
}

/// The field in which one heartbeatd signs for another, with HMAC-SHA-256 and the same key: what heartbeat
/// 3.0.6 can verify, HMAC with SHA-1 or MD5, is nothing to begin with today. An old node ignores the field.
const STRONG_FIELD: &str = "hbm";

/// What is signed in it begins with this, so that no other signature of the same key can stand there.
const STRONG_START: &[u8] = b"heartbeatd\n";

impl Method {
    /// The word authkeys has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

/// One key of authkeys. Its secret is never shown and is wiped from memory when dropped.
pub struct Key {
    method: Method,
    secret: Zeroizing<Vec<u8>>,
}

impl Key {
    /// The key for `crc`, which has no secret.
    #[must_use]
    pub fn crc() -> Self {
        Self { method: Method::Crc, secret: Zeroizing::default() }
    }

    /// A key for HMAC-MD5.
    #[must_use]
    pub fn md5(secret: &[u8]) -> Self {
        Self { method: Method::Md5, secret: secret.to_vec().into() }
    }

    /// A key for HMAC-SHA1.
    #[must_use]
    pub fn sha1(secret: &[u8]) -> Self {
        Self { method: Method::Sha1, secret: secret.to_vec().into() }
    }

    /// A key for HMAC-SHA-256.
    #[must_use]
    pub fn sha256(secret: &[u8]) -> Self {
        Self { method: Method::Sha256, secret: secret.to_vec().into() }
    }

    /// How it signs.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The digest of the bytes as heartbeat writes it, lower-case hexadecimal.
    fn digest(&self, bytes: &[u8]) -> String {
        match self.method {
            // Printed without padding: heartbeat does.
            Method::Crc => format!("{:x}", crc(bytes)),
            Method::Md5 => hex(&hmac::<Hmac<Md5>>(&self.secret, bytes)),
            Method::Sha1 => hex(&hmac::<Hmac<Sha1>>(&self.secret, bytes)),
            Method::Sha256 => hex(&hmac::<Hmac<Sha256>>(&self.secret, bytes)),
        }
    }

    /// Whether [`STRONG_FIELD`] adds something: not to a checksum, which has no secret, nor to what is as strong.
    fn is_helped(&self) -> bool {
        match self.method {
            Method::Md5 | Method::Sha1 => true,
            Method::Crc | Method::Sha256 => false,
        }
    }

    /// The content of [`STRONG_FIELD`] for a message with these fields.
    fn strong<'a>(&self, fields: impl Iterator<Item = &'a Field>) -> String {
        let others = fields.filter(|field| field.name != "auth" && field.name != STRONG_FIELD);
        let bytes = [STRONG_START, &frame::classic_signed(others)].concat();
        hex(&hmac::<Hmac<Sha256>>(&self.secret, &bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.method.name())
    }
}

fn hmac<M: Mac + KeyInit>(secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// CRC-32 as `cksum` computes it without the length: polynomial 0x04C11DB7 from 0, most
/// significant bit first, complemented. The crates for CRC-32 do the reflected one.
fn crc(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    !bytes.iter().fold(0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte) << 24,
            |crc, _| {
                if crc & 0x8000_0000 == 0 { crc << 1 } else { crc << 1 ^ POLYNOMIAL }
            },
        )
    })
}

/// A value that arrived under a good signature. Only [`Keys::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic<T> {
    value: T,
    key: u8,
    strong: bool,
}

impl<T> Authentic<T> {
    /// Index of the key it was signed with.
    #[must_use]
    pub fn key(&self) -> u8 {
        self.key
    }

    /// Whether it was signed as one heartbeatd signs for another, with HMAC-SHA-256; or its key has no secret,
    /// so that nobody could.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        self.strong
    }

    /// The value, no longer marked.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Authentic<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How a message of ours is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Netstrings with the inner `auth` field: what heartbeat sends by default (`msgfmt classic`).
    #[default]
    Usual,
    /// Netstrings without it (`msgfmt netstring`).
    Bare,
    /// Classic text, for serial lines.
    Classic,
}

/// What authkeys said.
#[derive(Debug)]
pub struct Keys {
    current: u8,
    keys: BTreeMap<u8, Key>,
}

/// No key has the index that `auth` selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key {0}, which \"auth\" selects, is not among the keys")]
pub struct KeysError(pub u8);

impl Keys {
    /// Signs with `current`, believes whatever is signed with any of `keys`.
    ///
    /// # Errors
    /// `current` is not among the keys.
    pub fn new(current: u8, keys: impl IntoIterator<Item = (u8, Key)>) -> Result<Self, KeysError> {
        let keys: BTreeMap<u8, Key> = keys.into_iter().collect();
        if keys.contains_key(&current) { Ok(Self { current, keys }) } else { Err(KeysError(current)) }
    }

    /// Index of the key we sign with.
    #[must_use]
    pub fn current(&self) -> u8 {
        self.current
    }

    /// The method of a key.
    #[must_use]
    pub fn method(&self, index: u8) -> Option<Method> {
        self.keys.get(&index).map(Key::method)
    }

    fn current_key(&self) -> &Key {
        // `new` refuses an index that is not there.
        &self.keys[&self.current]
    }

    /// Verifies a datagram and reads it, in this order.
    ///
    /// # Errors
    /// Why it is not believed. Nothing of its content was looked at unless its signature is good.
    pub fn open(&self, datagram: &[u8]) -> Result<Authentic<Message>, Refusal> {
        let envelope = Envelope::split(datagram)?;
        let key = self.verify(&envelope)?;
        let value = envelope.fields()?;
        let strong = self.verify_strong(&value, key)?;
        Ok(Authentic { value, key, strong })
    }

    /// Whether the message is signed with HMAC-SHA-256, or cannot be.
    pub(crate) fn verify_strong(&self, message: &Message, index: u8) -> Result<bool, Refusal> {
        let key = self.keys.get(&index).ok_or(Refusal::UnknownKey(index))?;
        if !key.is_helped() {
            return Ok(true);
        }
        let Some(digest) = message.text(STRONG_FIELD) else { return Ok(false) };
        let good = key.strong(message.fields().iter());
        if bool::from(good.as_bytes().ct_eq(digest.as_bytes())) { Ok(true) } else { Err(Refusal::DigestMismatch) }
    }

    /// A short digest of all keys, which tells nothing of them to who does not have the current one.
    #[must_use]
    pub fn digest(&self) -> u32 {
        let line = |(index, key): (&u8, &Key)| {
            let digest = hex(&hmac::<Hmac<Sha256>>(&key.secret, b"heartbeatd authkeys\n"));
            format!("{index} {} {digest}\n", key.method.name())
        };
        let lines: String = self.keys.iter().map(line).collect();
        match hmac::<Hmac<Sha256>>(&self.current_key().secret, format!("{}\n{lines}", self.current).as_bytes())[..] {
            [a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]).max(1),
            _ => 1,
        }
    }

    /// Whether the signature is good; the index of its key.
    pub(crate) fn verify(&self, envelope: &Envelope) -> Result<u8, Refusal> {
        let signature = envelope.signature?;
        let index = u8::try_from(signature.index).map_err(|_| Refusal::NoSuchKey)?;
        let key = self.keys.get(&index).ok_or(Refusal::UnknownKey(index))?;
        if key.method == Method::Crc && self.current_key().method != Method::Crc {
            return Err(Refusal::WeakMethod);
        }
        let digest = key.digest(envelope.signed);
        if bool::from(digest.as_bytes().ct_eq(signature.digest)) { Ok(index) } else { Err(Refusal::DigestMismatch) }
    }

    /// Signs a message with the current key; with HMAC-SHA-256 besides if it is to be `strong`. A field
    /// called `auth` is not taken over: it is the signature's place.
    #[must_use]
    pub fn seal(&self, message: &Message, form: Form, strong: bool) -> Vec<u8> {
        let key = self.current_key();
        let sign = |bytes: &[u8]| format!("{} {}", self.current, key.digest(bytes));
        let mut fields: Vec<&Field> = message.fields().iter().filter(|field| field.name != "auth").collect();
        let more = (strong && key.is_helped())
            .then(|| Field { name: STRONG_FIELD.into(), value: key.strong(message.fields().iter()).into() });
        fields.extend(&more);
        let classic = frame::classic_signed(fields.iter().copied());
        let inner = Field { name: "auth".into(), value: sign(&classic).into() };
        match form {
            Form::Classic => return frame::classic_finish(&classic, &sign(&classic)),
            Form::Usual => fields.push(&inner),
            Form::Bare => {}
        }
        let signed = frame::netstring_signed(fields);
        let signature = sign(&signed);
        frame::netstring_finish(signed, &signature)
    }

    /// What another node sent, as classic text and one hop further on; `None` when its hops are used up, and for what
    /// is not believed.
    #[must_use]
    pub fn pass_on(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = self.open(datagram).ok()?;
        let hops = message.text("ttl")?.parse::<u32>().ok()?.checked_sub(1).filter(|&hops| hops > 0)?;
        let strong = message.is_strong();
        let message = message.into_inner().without(STRONG_FIELD).with("ttl", hops.to_string());
        Some(self.seal(&message, Form::Classic, strong))
    }
}

impl Format {
    /// The name `heartbeatd decode` prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Netstring => "netstring",
            Self::Classic => "classic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::wire::Value;

    fn rotation(current: u8) -> Keys {
        Keys::new(current, [(1, Key::sha1(b"old")), (2, Key::sha1(b"new")), (3, Key::crc())]).unwrap()
    }

    #[test]
    fn during_a_rotation_old_and_new_keys_are_both_believed() {
        let message = Message::new("starting");
        for (sender, receiver) in [(1, 2), (2, 1), (2, 2)] {
            let datagram = rotation(sender).seal(&message, Form::Usual, true);
            assert_eq!(rotation(receiver).open(&datagram).unwrap().key(), sender);
        }
    }

    #[test]
    fn a_checksum_is_not_believed_where_our_own_key_has_a_secret() {
        let datagram = rotation(3).seal(&Message::new("starting"), Form::Usual, true);
        assert_eq!(rotation(1).open(&datagram), Err(Refusal::WeakMethod));
        assert!(rotation(3).open(&datagram).is_ok());
    }

    #[test]
    fn an_unsigned_field_of_a_type_that_does_not_exist_is_never_read() {
        // Crashes heartbeat 3.0.6 before it looks for a signature (fault 1).
        let keys = rotation(1);
        assert_eq!(keys.open(b"###\n6:(7)a=b,%%%\n"), Err(Refusal::NoSignature));
        assert_eq!(keys.open(b"###\n6:(7)a=b,%%%\n3:1 0,"), Err(Refusal::DigestMismatch));
    }

    #[test]
    fn what_only_sha1_vouches_for_is_told_from_what_sha256_does() {
        let keys = rotation(2);
        let message = Message::new("status").with("st", "active");
        assert!(!keys.open(&keys.seal(&message, Form::Usual, false)).unwrap().is_strong());
        let strong = keys.seal(&message, Form::Usual, true);
        assert!(keys.open(&strong).unwrap().is_strong());
        // Whoever could forge SHA-1 could put a message together from the parts of others.
        let digest = keys.open(&strong).unwrap().text(STRONG_FIELD).unwrap().to_owned();
        let forged = Message::new("status").with("st", "dead").with(STRONG_FIELD, digest);
        assert_eq!(keys.open(&keys.seal(&forged, Form::Usual, false)), Err(Refusal::DigestMismatch));
        // Nothing can be added to a checksum, and nothing needs to be to HMAC-SHA-256.
        for key in [Key::crc(), Key::sha256(b"tiger")] {
            let keys = Keys::new(0, [(0, key)]).unwrap();
            assert_eq!(keys.seal(&message, Form::Usual, true), keys.seal(&message, Form::Usual, false));
            assert!(keys.open(&keys.seal(&message, Form::Usual, false)).unwrap().is_strong());
        }
    }

    #[test]
    fn what_is_passed_on_has_a_hop_less_and_is_signed_as_before() {
        let keys = rotation(2);
        let message = Message::new("status").with("note", Value::Binary(vec![1])).with("ttl", "2").with("st", "up");
        for strong in [true, false] {
            let passed = keys.pass_on(&keys.seal(&message, Form::Usual, strong)).unwrap();
            assert!(passed.starts_with(b">>>\n"));
            let opened = keys.open(&passed).unwrap();
            assert_eq!((opened.text("ttl"), opened.is_strong()), (Some("1"), strong));
            assert_eq!(
                opened.fields()[..4].iter().map(|f| &f.name[..]).collect::<Vec<_>>(),
                ["t", "note", "ttl", "st"]
            );
            // The last hop.
            assert_eq!(keys.pass_on(&passed), None);
            // Whoever changes something on the way is found out.
            let changed = String::from_utf8(passed).unwrap().replace("st=up", "st=ap");
            assert_eq!(keys.pass_on(changed.as_bytes()), None);
        }
        assert_eq!(keys.pass_on(&keys.seal(&Message::new("status"), Form::Usual, true)), None);
    }

    #[test]
    fn equal_keys_have_equal_digests_and_others_do_not() {
        assert_eq!(rotation(1).digest(), rotation(1).digest());
        assert_ne!(rotation(1).digest(), rotation(2).digest());
        let one = |key| Keys::new(1, [(1, key)]).unwrap().digest();
        assert_ne!(one(Key::sha1(b"old")), one(Key::sha1(b"new")));
        assert_ne!(one(Key::sha1(b"old")), one(Key::sha256(b"old")));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", Key::sha1(b"tiger"));
        assert_eq!(shown, "Key(sha1, ..)");
    }

    #[test]
    fn the_current_key_must_exist() {
        assert_eq!(Keys::new(4, [(1, Key::crc())]).unwrap_err(), KeysError(4));
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let text = prop::string::string_regex("[^\u{13}]{0,20}").unwrap().prop_map(Value::Text);
        let value = prop_oneof![text, prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary)];
        let name = prop::string::string_regex("[!-'*-<>-~][!-<>-~]{0,8}").unwrap();
        prop::collection::vec((name, value), 0..40).prop_map(|fields| {
            fields.into_iter().filter(|(name, _)| name != "auth").fold(Message::default(), |m, (n, v)| m.with(&n, v))
        })
    }

    proptest! {
        #[test]
        fn a_sealed_message_opens_to_the_same_fields(message in any_message(), method in 0..4u8, strong in any::<bool>()) {
            let key = [Key::crc(), Key::md5(b"secret"), Key::sha1(&[7; 100]), Key::sha256(b"tiger")].into_iter().nth(method.into()).unwrap();
            let keys = Keys::new(0, [(0, key)]).unwrap();
            for form in [Form::Usual, Form::Bare, Form::Classic] {
                let opened = keys.open(&keys.seal(&message, form, strong)).unwrap();
                let ours = |name: &str| name == "auth" || name == STRONG_FIELD;
                let without_auth: Vec<_> = opened.fields().iter().filter(|f| !ours(&f.name)).cloned().collect();
                prop_assert_eq!(&without_auth, message.fields());
            }
        }

        #[test]
        fn a_changed_byte_inside_the_signed_part_is_refused(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
            let keys = rotation(1);
            let message = Message::new("status").with("st", "active").with("note", Value::Binary(vec![0, 255]));
            let mut datagram = keys.seal(&message, Form::Usual, flip % 2 == 0);
            let at = at.index(datagram.len());
            datagram[at] ^= flip;
            prop_assert!(keys.open(&datagram).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(start in 0..3usize, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let datagram = [[&b""[..], b"###\n", b">>>\n"][start], &bytes].concat();
            prop_assert!(rotation(1).open(&datagram).is_err());
            if let Ok(envelope) = Envelope::split(&datagram) {
                _ = envelope.fields();
            }
        }
    }
}
