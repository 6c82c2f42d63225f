//! Netlink attributes: a walk over received bytes, and a writer that appends.
//!
//! Received bytes are never trusted: a length that does not fit ends the walk, a value that
//! is too short is absent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLA_ALIGNTO, NLA_F_NESTED, NLA_HEADER_SIZE, NLA_TYPE_MASK};

use crate::ipvs::Family;

/// Walks attributes, stopping at the first that claims to be longer than what is left.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, Value<'_>)> {
    std::iter::from_fn(move || {
        let (head, _) = bytes.split_first_chunk::<NLA_HEADER_SIZE>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & NLA_TYPE_MASK;
        let value = bytes.get(NLA_HEADER_SIZE..length)?;
        bytes = bytes.get(length.next_multiple_of(NLA_ALIGNTO)..).unwrap_or_default();
        Some((kind, Value(value)))
    })
}

/// The first attribute of a kind.
pub fn find(bytes: &[u8], wanted: u16) -> Option<Value<'_>> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// The bytes of one attribute, read as what the reader takes them for. Numbers in the
/// machine's byte order unless the name says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(pub &'a [u8]);

impl<'a> Value<'a> {
    pub fn u8(self) -> Option<u8> {
        self.0.first().copied()
    }

    pub fn u16(self) -> Option<u16> {
        self.0.first_chunk().copied().map(u16::from_ne_bytes)
    }

    /// In network byte order.
    pub fn port(self) -> Option<u16> {
        self.0.first_chunk().copied().map(u16::from_be_bytes)
    }

    pub fn u32(self) -> Option<u32> {
        self.0.first_chunk().copied().map(u32::from_ne_bytes)
    }

    /// Eight bytes, or the four of an older layout.
    pub fn u64(self) -> Option<u64> {
        match self.0.first_chunk() {
            Some(&bytes) => Some(u64::from_ne_bytes(bytes)),
            None => self.u32().map(u64::from),
        }
    }

    /// Up to the first NUL.
    pub fn text(self) -> Option<&'a str> {
        let bytes = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        std::str::from_utf8(bytes).ok()
    }

    /// An IPv4 address is in the first four bytes.
    pub fn address(self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Inet => self.0.first_chunk::<4>().map(|&bytes| Ipv4Addr::from(bytes).into()),
            Family::Inet6 => self.0.first_chunk::<16>().map(|&bytes| Ipv6Addr::from(bytes).into()),
        }
    }
}

/// Appends attributes, padded as the kernel wants them.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        // Nothing this program sends comes near the 16-bit limit; the longest is an interface name.
        let length = u16::try_from(NLA_HEADER_SIZE + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(NLA_ALIGNTO), 0);
    }

    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    pub fn u16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// In network byte order.
    pub fn port(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// At most 31 bytes, NUL added.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut field = [0; 32];
        let length = value.len().min(field.len() - 1);
        field[..length].copy_from_slice(&value.as_bytes()[..length]);
        self.bytes(kind, &field[..=length]);
    }

    /// IPv4 takes four bytes, IPv6 sixteen.
    pub fn address(&mut self, kind: u16, value: IpAddr) {
        match value {
            IpAddr::V4(v4) => self.bytes(kind, &v4.octets()),
            IpAddr::V6(v6) => self.bytes(kind, &v6.octets()),
        }
    }

    /// Attributes that were written before.
    pub fn append(&mut self, attributes: &[u8]) {
        self.0.extend_from_slice(attributes);
    }

    pub fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Writer)) {
        let start = self.0.len();
        self.bytes(kind | NLA_F_NESTED, &[]);
        content(&mut Writer(self.0));
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(1, 7);
        writer.nested(2, |inner| {
            inner.text(3, "wlc");
            inner.port(4, 80);
        });
        writer.u32(5, 0x0102_0304);
        let top: Vec<_> = attributes(&bytes).collect();
        assert_eq!(top.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [1, 2, 5]);
        assert_eq!(top[0].1.u8(), Some(7));
        assert_eq!(find(top[1].1.0, 3).and_then(Value::text), Some("wlc"));
        assert_eq!(find(top[1].1.0, 4).map(|value| value.0), Some(&[0, 80][..]));
        assert_eq!(top[2].1.u32(), Some(0x0102_0304));
    }

    #[test]
    fn a_length_beyond_the_end_ends_the_walk() {
        let bytes = [8, 0, 1, 0, 1, 2, 3, 4, 200, 0, 2, 0, 1, 2, 3, 4];
        assert_eq!(attributes(&bytes).map(|(kind, _)| kind).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_length_below_the_header_ends_the_walk() {
        let bytes = [3, 0, 1, 0, 8, 0, 2, 0, 1, 2, 3, 4];
        assert_eq!(attributes(&bytes).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for (_, value) in attributes(&bytes) {
                let _ = (value.u8(), value.u16(), value.port(), value.u32(), value.u64(), value.text());
                let _ = (value.address(Family::Inet), value.address(Family::Inet6));
            }
        }
    }
}
