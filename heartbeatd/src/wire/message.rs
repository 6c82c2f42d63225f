//! A message as ordered fields, and what every message carries.

use std::fmt;

/// More fields than this in one message are refused; heartbeat itself sends at most 30.
pub const MAX_FIELDS: usize = 256;

/// The identity of a node, 16 bytes in `/var/lib/heartbeat/hb_uuid` (spec 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a field holds (spec 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Type 0. Bytes that are no UTF-8 arrive as U+FFFD; the signature was verified over the original.
    Text(String),
    /// Type 1.
    Binary(Vec<u8>),
    /// Types 2 to 5, which two haresources nodes never send: kept, and not looked into.
    Nested {
        /// The type, 2 to 5.
        kind: u8,
        /// The value as it stood in the message.
        bytes: Vec<u8>,
    },
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Uuid> for Value {
    fn from(uuid: Uuid) -> Self {
        Self::Binary(uuid.0.to_vec())
    }
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Printable ASCII without `=`, not empty.
    pub name: String,
    /// What it holds.
    pub value: Value,
}

/// Why a message with a good signature still says nothing we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// A field that this kind of message must have.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A number that does not parse in the base the field uses (spec 4.5).
    #[error("field {0} is not a number")]
    NotANumber(&'static str),
    /// `seq` and `ts` count from 1.
    #[error("field {0} is zero")]
    Zero(&'static str),
    /// A word outside the field's vocabulary.
    #[error("field {0} holds an unknown word")]
    UnknownWord(&'static str),
    /// `srcuuid` or `destuuid` of another length than 16 bytes.
    #[error("field {0} is not a UUID")]
    NotAUuid(&'static str),
    /// The peer has `traditional_compression on` (spec 4.8).
    #[error("compressed as a whole; set \"traditional_compression no\" on the sender")]
    Compressed,
}

/// What says from whom a message is, for whom, and where it belongs in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Sender's node name in lower case, whatever case it was sent in (fault 20).
    pub src: String,
    /// Sender's identity, if told.
    pub srcuuid: Option<Uuid>,
    /// Sequence number, at least 1; `None` exactly in messages whose type starts with `NS_`.
    pub seq: Option<u64>,
    /// Generation of the sender's daemon (`hg`); a message without counts as 0.
    pub generation: u64,
    /// Sender's `time(2)`, never 0. Tells nothing about liveness.
    pub ts: u64,
    /// Addressee by name, in lower case.
    pub dest: Option<String>,
    /// Addressee by identity; goes before the name.
    pub destuuid: Option<Uuid>,
}

/// What the sender adds to every message, in the order of spec 4.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Identity of the addressee: only with `dest`, and only when known.
    pub destuuid: Option<Uuid>,
    /// Our node name, lower case.
    pub src: String,
    /// Our identity.
    pub srcuuid: Uuid,
    /// Sequence number; left out of `NS_` messages whatever it is.
    pub seq: u64,
    /// Our generation.
    pub generation: u64,
    /// `time(2)`, not 0.
    pub ts: u64,
    /// First line of /proc/loadavg without its newline; left out of `NS_` messages.
    pub load: String,
    /// `hopfudge` + number of configured nodes.
    pub ttl: u32,
}

/// Fields in wire order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    fields: Vec<Field>,
}

impl Message {
    /// A message of the kind, with the one field `t`.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self::default().with("t", kind)
    }

    pub(super) fn from_fields(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// The message with one more field at its end, or with the field of that name changed in place.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => field.value = value,
            None => self.fields.push(Field { name: name.to_owned(), value }),
        }
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|field| field.name != name);
        self
    }

    /// The fields in wire order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name; of several the first, as heartbeat takes it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// The text of a type-0 field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Binary(_) | Value::Nested { .. } => None,
        }
    }

    /// The kind, field `t`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.text("t")
    }

    /// Whether this kind travels outside the sequence (acknowledgements and retransmission).
    #[must_use]
    pub fn is_unsequenced(&self) -> bool {
        self.kind().is_some_and(|kind| kind.starts_with("NS_"))
    }

    /// A text field that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn expect(&self, name: &'static str) -> Result<&str, Malformed> {
        self.text(name).ok_or(Malformed::Missing(name))
    }

    /// A number in hexadecimal, either case, if the field is there.
    ///
    /// # Errors
    /// It is there and is not 1 to 16 hexadecimal digits.
    pub fn hex(&self, name: &'static str) -> Result<Option<u64>, Malformed> {
        self.number(name, 16)
    }

    /// A number in decimal, if the field is there.
    ///
    /// # Errors
    /// It is there and is not a decimal number below 2^64.
    pub fn decimal(&self, name: &'static str) -> Result<Option<u64>, Malformed> {
        self.number(name, 10)
    }

    fn number(&self, name: &'static str, base: u32) -> Result<Option<u64>, Malformed> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = Malformed::NotANumber(name);
        let Value::Text(text) = value else { return Err(wrong) };
        // from_str_radix would take a sign.
        if text.starts_with(['+', '-']) {
            return Err(wrong);
        }
        u64::from_str_radix(text, base).map(Some).map_err(|_| wrong)
    }

    fn uuid(&self, name: &'static str) -> Result<Option<Uuid>, Malformed> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Binary(bytes)) => {
                bytes.as_slice().try_into().map(|bytes| Some(Uuid(bytes))).map_err(|_| Malformed::NotAUuid(name))
            }
            Some(Value::Text(_) | Value::Nested { .. }) => Err(Malformed::NotAUuid(name)),
        }
    }

    /// From whom, for whom, and where in the order: what a receiver demands of every message (spec 4.6).
    ///
    /// # Errors
    /// A field is missing, no number, or zero where it counts from 1.
    pub fn header(&self) -> Result<Header, Malformed> {
        if self.get("_compressed_payload").is_some() {
            return Err(Malformed::Compressed);
        }
        self.expect("t")?;
        let nonzero = |name, number: Option<u64>| match number {
            None => Err(Malformed::Missing(name)),
            Some(0) => Err(Malformed::Zero(name)),
            Some(number) => Ok(number),
        };
        let seq = if self.is_unsequenced() { None } else { Some(nonzero("seq", self.hex("seq")?)?) };
        Ok(Header {
            src: self.expect("src")?.to_ascii_lowercase(),
            srcuuid: self.uuid("srcuuid")?,
            seq,
            generation: self.hex("hg")?.unwrap_or(0),
            ts: nonzero("ts", self.hex("ts")?)?,
            dest: self.text("dest").map(str::to_ascii_lowercase),
            destuuid: self.uuid("destuuid")?,
        })
    }

    /// Adds what every message carries, in the order heartbeat sends it; a field that is
    /// there already keeps its place.
    #[must_use]
    pub fn complete(self, common: &Common) -> Self {
        let Common { destuuid, src, srcuuid, seq, generation, ts, load, ttl } = common;
        let sequenced = !self.is_unsequenced();
        let mut message = self;
        if let Some(destuuid) = destuuid {
            message = message.with("destuuid", *destuuid);
        }
        message = message.with("src", src.as_str()).with("srcuuid", *srcuuid);
        if sequenced {
            message = message.with("seq", format!("{seq:x}"));
        }
        message = message.with("hg", format!("{generation:x}")).with("ts", format!("{ts:x}"));
        if sequenced {
            message = message.with("ld", load.as_str());
        }
        message.with("ttl", ttl.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_fields_with_one_name_the_first_wins() {
        let twice = ["1", "2"].map(|v| Field { name: "seq".into(), value: v.into() });
        assert_eq!(Message::from_fields(twice.into()).hex("seq"), Ok(Some(1)));
    }

    #[test]
    fn hexadecimal_is_read_in_either_case_and_never_with_a_sign() {
        let number = |text: &str| Message::new("status").with("seq", text).hex("seq");
        assert_eq!(number("3e8"), Ok(Some(1000)));
        assert_eq!(number("3E8"), Ok(Some(1000)));
        for text in ["", "+1", "-1", "0x1", " 1", "1g", "10000000000000000"] {
            assert_eq!(number(text), Err(Malformed::NotANumber("seq")), "{text:?}");
        }
    }

    #[test]
    fn a_message_without_sender_time_or_sequence_has_no_header() {
        let whole = Message::new("status").with("src", "Node1").with("ts", "1").with("seq", "1");
        let header = whole.header().unwrap();
        assert_eq!((header.src.as_str(), header.seq, header.generation), ("node1", Some(1), 0));
        assert_eq!(whole.clone().with("ts", "0").header(), Err(Malformed::Zero("ts")));
        assert_eq!(whole.clone().with("seq", "0").header(), Err(Malformed::Zero("seq")));
        assert_eq!(whole.clone().with("srcuuid", "x").header(), Err(Malformed::NotAUuid("srcuuid")));
        assert_eq!(Message::new("status").header(), Err(Malformed::Missing("seq")));
        assert_eq!(Message::new("NS_ackmsg").header(), Err(Malformed::Missing("src")));
    }

    #[test]
    fn a_field_that_is_there_keeps_its_place_when_the_message_is_completed() {
        let common = Common {
            destuuid: None,
            src: "node2".into(),
            srcuuid: Uuid([7; 16]),
            seq: 26,
            generation: 1,
            ts: 2,
            load: "0".into(),
            ttl: 4,
        };
        let names = |message: Message| -> Vec<String> { message.fields.into_iter().map(|f| f.name).collect() };
        let message = Message::new("num_ping_nodes").with("src", "x").with("num_ping", "1").complete(&common);
        assert_eq!(message.text("src"), Some("node2"));
        assert_eq!(names(message), ["t", "src", "num_ping", "srcuuid", "seq", "hg", "ts", "ld", "ttl"]);
        assert_eq!(names(Message::new("NS_ackmsg").complete(&common)), ["t", "src", "srcuuid", "hg", "ts", "ttl"]);
    }

    #[test]
    fn a_uuid_is_shown_in_the_usual_groups() {
        let uuid = Uuid(std::array::from_fn(|i| i as u8));
        assert_eq!(uuid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
