//! Bytes to messages and back.
//!
//! No I/O, no clock. A datagram becomes a [`Message`] in three steps, in this order:
//! [`frame::Envelope::split`] finds where the signature stands, [`Keys::open`] verifies it
//! over the raw bytes, and only then are the fields read. What comes out is
//! `Authentic<Message>`, which nothing else can make.

pub mod auth;
mod base64;
mod body;
pub(crate) mod capture;
pub mod frame;
mod message;
mod refusal;
pub mod stream;

pub use auth::{Authentic, Form, Key, Keys, KeysError, Method};
pub use body::{Body, ClientWord, Hold, NodeStatus, Phase};
pub use frame::Format;
pub use message::{Common, Field, Header, MAX_FIELDS, Malformed, Message, Uuid, Value};
pub use refusal::Refusal;

/// The longest datagram read at all, in bytes.
pub const MAX_DATAGRAM: usize = 64 * 1024;
