//! A message as the core hears and says it: header and body of `wire`, and the word that
//! only another heartbeatd adds.

use crate::wire::{Authentic, Body, Common, Header, Malformed, Message, Uuid};

use super::takeover::{FencingWord, Word};

/// The field of a `status` that carries a [`Word`]. heartbeat 3.0.6 ignores fields it does not know.
pub const WORD_FIELD: &str = "hbd";

/// The field for what is said there of nodes that are not heard ([`Word::fencing`]).
const FENCING_FIELD: &str = "hbdf";

/// An authentic message, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// From whom, for whom, where in the order.
    pub header: Header,
    /// What it says.
    pub body: Body,
    /// What another heartbeatd adds to its status; `None` from heartbeat 3.0.6, from a
    /// later heartbeatd whose word we cannot read, and where the body cannot be used.
    pub word: Option<Word>,
    /// Signed as one heartbeatd signs for another ([`Authentic::is_strong`]).
    pub strong: bool,
}

impl Heard {
    /// Takes a message apart. One that has a number counts in its sender's order also where it says nothing that can be
    /// used, as [`Body::Unknown`], and why is told beside it: sent again it would say no more, and one that is missing
    /// keeps its sender waiting for our acknowledgements (spec 5.9).
    ///
    /// # Errors
    /// Its header cannot be used, or it has no number and its body cannot.
    pub fn read(message: &Authentic<Message>) -> Result<(Self, Option<Malformed>), Malformed> {
        let header = message.header()?;
        let strong = message.is_strong();
        let body = match message.body() {
            Ok(body) => body,
            Err(wrong) if header.seq.is_some() => {
                let body = Body::Unknown { kind: message.kind().unwrap_or_default().to_owned() };
                return Ok((Self { header, body, word: None, strong }, Some(wrong)));
            }
            Err(wrong) => return Err(wrong),
        };
        let mut word: Option<Word> = message.text(WORD_FIELD).and_then(|text| text.parse().ok());
        if let (Some(word), Some(text)) = (&mut word, message.text(FENCING_FIELD)) {
            // One that cannot be read says nothing of anybody.
            word.fencing = text.parse().unwrap_or_default();
        }
        Ok((Self { header, body, word, strong }, None))
    }
}

/// A message to be signed and sent on every medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number; `None` in `NS_` messages. Numbered messages are kept by the driver for
    /// [`Action::Resend`](super::Action::Resend).
    pub seq: Option<u64>,
    /// Our generation.
    pub generation: u64,
    /// Our name.
    pub src: String,
    /// Our identity.
    pub srcuuid: Uuid,
    /// The addressee's identity, where there is an addressee and it is known.
    pub destuuid: Option<Uuid>,
    /// Hops for serial rings.
    pub ttl: u32,
    /// What it says.
    pub body: Body,
    /// What we add for another heartbeatd.
    pub word: Option<Word>,
}

impl Outgoing {
    /// The complete message, its fields in heartbeat's order: what is left to do is to sign
    /// it. `ts` is `time(2)`, not 0; `load` the first line of /proc/loadavg.
    #[must_use]
    pub fn message(&self, ts: u64, load: &str) -> Message {
        let mut message = Message::from(&self.body);
        if let Some(word) = &self.word {
            message = message.with(WORD_FIELD, word.to_string());
            if word.fencing != FencingWord::default() {
                message = message.with(FENCING_FIELD, word.fencing.to_string());
            }
        }
        message.complete(&Common {
            destuuid: self.destuuid,
            src: self.src.clone(),
            srcuuid: self.srcuuid,
            seq: self.seq.unwrap_or(0),
            generation: self.generation,
            ts,
            load: load.to_owned(),
            ttl: self.ttl,
        })
    }

    /// What the other node will hear: what a simulation delivers without making bytes of it.
    #[must_use]
    pub fn heard(&self) -> Heard {
        let dest = match &self.body {
            Body::Ack { dest, .. }
            | Body::Rexmit { dest, .. }
            | Body::NakRexmit { dest, .. }
            | Body::ReqNodes { dest }
            | Body::RepNodes { dest, .. }
            | Body::Client { dest, .. }
            | Body::IpRequestResp { dest, .. } => Some(dest.clone()),
            Body::Status { .. }
            | Body::Starting
            | Body::Resource { .. }
            | Body::AskResources { .. }
            | Body::HbTakeover { .. }
            | Body::IpRequest { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Unknown { .. } => None,
        };
        let header = Header {
            src: self.src.clone(),
            srcuuid: Some(self.srcuuid),
            seq: self.seq,
            generation: self.generation,
            ts: 1,
            dest,
            destuuid: self.destuuid,
        };
        Heard { header, body: self.body.clone(), word: self.word.clone(), strong: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Form, Key, Keys};

    fn read(kind: &str, fields: &[(&str, &str)]) -> Result<(Heard, Option<Malformed>), Malformed> {
        let keys = Keys::new(1, [(1, Key::crc())]).unwrap();
        let common = [("src", "node1"), ("seq", "2a"), ("ts", "1")];
        let message =
            fields.iter().chain(&common).fold(Message::new(kind), |message, (name, value)| message.with(name, *value));
        Heard::read(&keys.open(&keys.seal(&message, Form::Usual, false)).unwrap())
    }

    #[test]
    fn what_says_nothing_usable_counts_where_it_has_a_number() {
        let bogus = [("rsc_hold", "bogus"), ("info", "me")];
        let (heard, wrong) = read("ask_resources", &bogus).unwrap();
        assert_eq!((heard.header.seq, wrong), (Some(42), Some(Malformed::UnknownWord("rsc_hold"))));
        assert_eq!(heard.body, Body::Unknown { kind: "ask_resources".into() });
        assert_eq!(read("NS_ackmsg", &bogus), Err(Malformed::Missing("dest")));
        let usable = [("rsc_hold", "all"), ("info", "me")];
        assert!(matches!(read("ask_resources", &usable), Ok((Heard { body: Body::AskResources { .. }, .. }, None))));
    }
}
