//! `heartbeatd decode`: says what a captured datagram holds and whether it would be believed.
//!
//! Unlike [`Keys::open`] this goes on after a bad signature, because somebody who debugs wants
//! to see what the packet says. What comes out is for reading only.

use serde::Serialize;

use crate::wire::frame::Envelope;
use crate::wire::{Format, Keys, Message, Value};

/// One datagram, for people and scripts: printed as one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `netstring`, `classic`, or null where the start is neither.
    pub format: Option<&'static str>,
    /// `valid` or `invalid`.
    pub verdict: &'static str,
    /// Why it is invalid: what is wrong with its form first, with its signature second.
    pub reason: Option<String>,
    /// The method of the key it names, if that key is known.
    pub method: Option<&'static str>,
    /// Index of the key it names.
    pub key: Option<u8>,
    /// Name and value in wire order, binary values as `0x` and hexadecimal.
    pub fields: Vec<(String, String)>,
}

impl Report {
    /// Whether a daemon with these keys would believe it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.reason.is_none()
    }
}

/// Looks at one datagram.
#[must_use]
pub fn decode(keys: &Keys, datagram: &[u8]) -> Report {
    let format = match datagram.get(..4) {
        Some(b"###\n") => Some(Format::Netstring.name()),
        Some(b">>>\n") => Some(Format::Classic.name()),
        _ => None,
    };
    let envelope = Envelope::split(datagram);
    let message = envelope.and_then(|envelope| envelope.fields());
    let verified = envelope.and_then(|envelope| keys.verify(&envelope));
    let key = envelope.and_then(|envelope| envelope.signature).ok().map(|signature| signature.index);
    let reason = message.as_ref().err().or(verified.as_ref().err()).map(ToString::to_string);
    Report {
        format,
        verdict: if reason.is_none() { "valid" } else { "invalid" },
        reason,
        method: key.and_then(|index| keys.method(index)).map(|method| method.name()),
        key,
        fields: message.as_ref().map(listed).unwrap_or_default(),
    }
}

fn listed(message: &Message) -> Vec<(String, String)> {
    let hex = |bytes: &[u8]| bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let shown = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Binary(bytes) | Value::Nested { bytes, .. } => hex(bytes),
    };
    message.fields().iter().map(|field| (field.name.clone(), shown(&field.value))).collect()
}
