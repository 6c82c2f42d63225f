//! Why a datagram was not believed.

/// The reason a datagram is dropped before anybody acts on it.
///
/// The words are those of the recorded vectors' index and of `heartbeatd decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Neither `###` nor `>>>` at the start.
    #[error("not a heartbeat message")]
    NotHeartbeat,
    /// More KiB than are read.
    #[error("longer than {0} KiB")]
    TooLong(usize),
    /// A netstring message that ends inside a field or before `%%%`.
    #[error("truncated")]
    Truncated,
    /// A length prefix that does not lead to a comma, or is no number.
    #[error("wrong field length")]
    WrongFieldLength,
    /// A length prefix above what is read at all.
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
    /// The same with a number that no key has; it is not kept, so that nobody can make us count by it.
    #[error("key index above 255")]
    NoSuchKey,
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

impl Refusal {
    /// More bytes than these.
    pub(super) fn too_long(bytes: usize) -> Self {
        Self::TooLong(bytes / 1024)
    }
}
