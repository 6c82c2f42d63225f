//! `heartbeatd decode`: says what captured messages hold and whether they would be believed.
//!
//! Unlike [`Keys::open`] this goes on after a bad signature, because somebody who debugs wants
//! to see what the packet says. What comes out is for reading only.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config;
use crate::wire::capture::{self, Captured};
use crate::wire::frame::{Envelope, RawField};
use crate::wire::{Format, Keys, Refusal};

/// More than any capture that people look at; a message has 256 KiB at most.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Values of this type are no text, and neither are those of [`COMPRESSED`] (spec 4.4).
const BINARY: u8 = 1;
const COMPRESSED: u8 = 4;

/// Says what captured heartbeat packets hold and whether they would be believed: one JSON object each.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The keys to verify with.
    #[arg(long, value_name = "FILE", default_value = "/etc/ha.d/authkeys")]
    pub authkeys: PathBuf,
    /// Files with one message or several; - is the standard input, and so is none at all.
    #[arg(value_name = "PACKET")]
    pub packets: Vec<PathBuf>,
}

/// How the command ended; the number is its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every packet is valid.
    AllValid = 0,
    /// At least one is not.
    Invalid = 1,
    /// The keys or a packet could not be read.
    Unreadable = 2,
}

/// `heartbeatd decode`.
///
/// # Errors
/// What it prints cannot be written.
pub fn command(arguments: &Arguments, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Outcome> {
    let keys = match config::load_keys_to_decode(&arguments.authkeys) {
        Ok(loaded) => loaded.value,
        Err(problems) => {
            for problem in problems {
                writeln!(errors, "{problem}")?;
            }
            return Ok(Outcome::Unreadable);
        }
    };
    let standard_input = [PathBuf::from("-")];
    let packets = if arguments.packets.is_empty() { &standard_input[..] } else { &arguments.packets };
    let mut outcome = Outcome::AllValid;
    for path in packets {
        match read(path) {
            Err(e) => {
                writeln!(errors, "cannot read {}: {e}", path.display())?;
                outcome = Outcome::Unreadable;
            }
            Ok(recording) => {
                for report in decode(&keys, &recording) {
                    serde_json::to_writer(&mut *out, &report)?;
                    writeln!(out)?;
                    if !report.is_valid() && outcome == Outcome::AllValid {
                        outcome = Outcome::Invalid;
                    }
                }
            }
        }
    }
    Ok(outcome)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more, so that what is longer is seen to be.
    let limit = LARGEST + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// One message, for people and scripts: printed as one JSON object a line.
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
    pub key: Option<u64>,
    /// Name and value in wire order up to a mistake; what is binary, or no UTF-8, as `0x` and hexadecimal.
    pub fields: Vec<(String, String)>,
}

impl Report {
    /// Whether it would be believed by who has these keys.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.reason.is_none()
    }
}

/// Looks at the messages of a recording; of nothing at all, too, which is none.
pub fn decode(keys: &Keys, recording: &[u8]) -> impl Iterator<Item = Report> {
    capture::messages(recording).map(|message| report(keys, message))
}

fn report(keys: &Keys, message: Captured) -> Report {
    let Captured { format, fields, mistake, envelope, key } = message;
    let refused = || envelope.and_then(|envelope| verify(keys, &envelope).err());
    let reason = mistake.or_else(refused).map(|refusal| match (refusal, key) {
        (Refusal::NoSuchKey, Some(key)) => format!("key index {key} unknown"),
        (refusal, _) => refusal.to_string(),
    });
    let method = key.and_then(|key| keys.method(key.try_into().ok()?));
    Report {
        format: format.map(Format::name),
        verdict: if reason.is_none() { "valid" } else { "invalid" },
        reason,
        method: method.map(|method| method.name()),
        key,
        fields: fields.iter().map(shown).collect(),
    }
}

fn verify(keys: &Keys, envelope: &Envelope) -> Result<(), Refusal> {
    let key = keys.verify(envelope)?;
    // Of a message that only the daemon does not take nothing more is signed.
    envelope.fields().map_or(Ok(()), |message| keys.verify_strong(&message, key).map(|_| ()))
}

fn shown(field: &RawField) -> (String, String) {
    let hex = |bytes: &[u8]| bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let text = |bytes: &[u8]| str::from_utf8(bytes).map_or_else(|_| hex(bytes), str::to_owned);
    let value = match field.kind {
        BINARY | COMPRESSED => hex(&field.value),
        _ => text(&field.value),
    };
    (text(field.name), value)
}
