//! Why a datagram was not believed.

/// The reason a datagram is dropped before anybody acts on it.
///
/// The words are those of the recorded vectors' index and of `heartbeatd decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Neither `###` nor `>>>` at the start.
    #[error("not a heartbeat message")]
    NotHeartbeat,
    /// More than [`super::MAX_DATAGRAM`] bytes.
    #[error("longer than 64 KiB")]
    TooLong,
    /// A netstring message that ends inside a field or before `%%%`.
    #[error("truncated")]
    Truncated,
    /// A length prefix that does not lead to a comma, or is no number.
    #[error("wrong field length")]
    WrongFieldLength,
    /// A length prefix above [`super::MAX_DATAGRAM`].
    #[error("length overflow")]
    LengthOverflow,
    /// More than [`super::MAX_FIELDS`] fields.
    #[error("more than 256 fields")]
    TooManyFields,
    /// A classic message without its last line.
    #[error("classic message without <<<")]
    ClassicWithoutEnd,
    /// Nothing behind `%%%`, or a classic message whose last line is not `auth=`.
    #[error("no outer signature")]
    NoSignature,
    /// A signature that is not `INDEX DIGEST` or ends early.
    #[error("outer signature cut")]
    SignatureCut,
    /// Signed with a key that our authkeys does not list.
    #[error("key index {0} unknown")]
    UnknownKey(u8),
    /// Signed with crc, a checksum without a secret, while our own key has one (spec 3).
    #[error("signed with crc, which is weaker than our own method")]
    WeakMethod,
    /// The digest of the bytes is another one.
    #[error("digest mismatch")]
    DigestMismatch,
    /// A field that does not start with `(0)` to `(5)`.
    #[error("field does not start with \"(type)\"")]
    FieldWithoutType,
    /// A field type heartbeat does not have.
    #[error("unknown field type {0}")]
    UnknownType(u8),
    /// No `=`, or a name that is empty or not made of printable characters.
    #[error("field without a name")]
    FieldWithoutName,
    /// A binary value of a classic message that is not base64.
    #[error("binary value is not base64")]
    NotBase64,
}
