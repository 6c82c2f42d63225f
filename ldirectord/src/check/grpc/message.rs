//! The two messages of gRPC's health check, `HealthCheckRequest` and `HealthCheckResponse`, in
//! protocol buffers, each with gRPC's head of a flag and a length.

/// Whether a service works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Serving,
    /// It does not, or any other number.
    Other(u64),
}

impl Health {
    /// The name in `health.proto`.
    pub fn name(self) -> String {
        let name = match self {
            Self::Serving => "SERVING",
            Self::Other(0) => "UNKNOWN",
            Self::Other(2) => "NOT_SERVING",
            Self::Other(3) => "SERVICE_UNKNOWN",
            Self::Other(other) => return format!("status {other}"),
        };
        name.to_owned()
    }
}

/// Asks for the health of a service; the empty name is that of the whole server.
pub fn request(service: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    if !service.is_empty() {
        // Field 1, a text.
        fields.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            fields.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        fields.push(u8::try_from(length).unwrap_or_default());
        fields.extend_from_slice(service.as_bytes());
    }
    framed(&fields)
}

/// Not compressed.
fn framed(fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), fields].concat()
}

/// Reads the answer. `None` if it is not well-formed.
pub fn health(message: &[u8]) -> Option<Health> {
    let (&[0, a, b, c, d], mut fields) = message.split_first_chunk::<5>()? else { return None };
    if usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()? != fields.len() {
        return None;
    }
    // What is not there is 0, UNKNOWN.
    let mut status = 0;
    while !fields.is_empty() {
        let key = number(&mut fields)?;
        match key & 7 {
            0 => {
                let value = number(&mut fields)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            1 => fields = fields.get(8..)?,
            2 => {
                let length = usize::try_from(number(&mut fields)?).ok()?;
                fields = fields.get(length..)?;
            }
            5 => fields = fields.get(4..)?,
            _ => return None,
        }
    }
    Some(if status == 1 { Health::Serving } else { Health::Other(status) })
}

/// A varint of at most ten bytes.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_request_names_the_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("shop.Cart"), *b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        assert_eq!(request(&"x".repeat(300))[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn the_answer_is_a_status() {
        assert_eq!(health(b"\0\0\0\0\x02\x08\x01"), Some(Health::Serving));
        assert_eq!(health(b"\0\0\0\0\x02\x08\x02"), Some(Health::Other(2)));
        assert_eq!(health(b"\0\0\0\0\0"), Some(Health::Other(0)));
        // With fields that a newer server may have.
        assert_eq!(health(b"\0\0\0\0\x0c\x12\x02ab\x08\x01\x1d\0\0\0\0\x20\x05"), None, "a length that lies");
        assert_eq!(health(b"\0\0\0\0\x0d\x12\x02ab\x08\x01\x1d\0\0\0\0\x20\x05"), Some(Health::Serving));
        assert_eq!(health(b"\x01\0\0\0\x02\x08\x01"), None, "compressed, which was not offered");
        assert_eq!(health(b"\0\0\0\0\x02\x12\x7f"), None);
        assert_eq!(health(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = health(&bytes);
            let _ = health(&framed(&bytes));
        }
    }
}
