//! `heartbeatd decode`: says what a captured datagram holds, or what went over a serial line, and whether it would be
//! believed.
//!
//! Unlike [`Keys::open`] this goes on after a bad signature, because somebody who debugs wants
//! to see what the packet says. What comes out is for reading only.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config;
use crate::wire::frame::{CLASSIC_START, Envelope, NETSTRING_START};
use crate::wire::stream::Splitter;
use crate::wire::{Format, Keys, MAX_DATAGRAM, Message, Value};

/// Says what captured heartbeat packets hold and whether they would be believed: one JSON object each.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The keys to verify with.
    #[arg(long, value_name = "FILE", default_value = "/etc/ha.d/authkeys")]
    pub authkeys: PathBuf,
    /// Files that hold one datagram each, or what was read from a serial line; - is the standard input, and so is none
    /// at all.
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
        let mut all_valid = true;
        let mut tell = |datagram: &[u8]| {
            let report = decode(&keys, datagram);
            all_valid &= report.is_valid();
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)
        };
        let input = open(path).map_err(Ended::Input).and_then(|mut input| read(&mut *input, &mut tell));
        if !all_valid && outcome == Outcome::AllValid {
            outcome = Outcome::Invalid;
        }
        match input {
            Ok(()) => {}
            Err(Ended::Output(e)) => return Err(e),
            Err(Ended::Input(e)) => {
                writeln!(errors, "cannot read {}: {e}", path.display())?;
                outcome = Outcome::Unreadable;
            }
        }
    }
    Ok(outcome)
}

/// Why a file was not read to its end.
enum Ended {
    Input(io::Error),
    Output(io::Error),
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) })
}

/// A datagram is one piece, whatever is in it. Anything else is taken for what went over a serial line, of any length,
/// and there is at least one piece of it.
fn read(input: &mut dyn Read, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Ended> {
    let mut bytes = Vec::new();
    // One byte more than a datagram can have, so that what is longer is seen to be.
    input.take(MAX_DATAGRAM as u64 + 1).read_to_end(&mut bytes).map_err(Ended::Input)?;
    if bytes.starts_with(NETSTRING_START) || bytes.is_empty() {
        return each(&bytes).map_err(Ended::Output);
    }
    let mut none = true;
    let mut tell = |piece: &[u8]| {
        none = false;
        each(piece).map_err(Ended::Output)
    };
    let mut splitter = Splitter::new();
    while !bytes.is_empty() {
        splitter.push(&bytes);
        while let Some(piece) = splitter.take() {
            tell(&piece)?;
        }
        bytes.clear();
        input.take(MAX_DATAGRAM as u64).read_to_end(&mut bytes).map_err(Ended::Input)?;
    }
    splitter.finish().iter().try_for_each(|piece| tell(piece))?;
    if none { each(&[]).map_err(Ended::Output) } else { Ok(()) }
}

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
        Some(NETSTRING_START) => Some(Format::Netstring.name()),
        Some(CLASSIC_START) => Some(Format::Classic.name()),
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
