//! RADIUS packets (RFC 2865): an Access-Request out, the answer in.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCESS_CHALLENGE: u8 = 11;

const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const NAS_IP_ADDRESS: u8 = 4;
const REPLY_MESSAGE: u8 = 18;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const NAS_IPV6_ADDRESS: u8 = 95;

/// Code, id, length, authenticator.
const HEAD: usize = 20;

/// Most bytes of a password (RFC 2865 5.2).
const LONGEST_PASSWORD: usize = 128;

/// May this user in?
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Tells this request's answer from others'.
    pub id: u8,
    /// Unpredictable: hides the password, and the answer has to prove that it has seen it.
    pub authenticator: [u8; 16],
    /// User-Name.
    pub name: &'a [u8],
    /// User-Password.
    pub password: &'a [u8],
    /// NAS-IP-Address: whence it is asked.
    pub from: IpAddr,
    /// Shared with the server.
    pub secret: &'a [u8],
}

/// What a genuine answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Access-Accept.
    Accept,
    /// Access-Reject, with its Reply-Message.
    Reject(Vec<u8>),
    /// Anything else, a challenge for one.
    Other(u8),
}

impl Request<'_> {
    /// The packet.
    ///
    /// # Errors
    /// If name or password are longer than can be said.
    pub fn emit(&self) -> Result<Vec<u8>, &'static str> {
        if self.password.len() > LONGEST_PASSWORD {
            return Err("the password has more than 128 bytes");
        }
        let mut packet = vec![ACCESS_REQUEST, self.id, 0, 0];
        packet.extend_from_slice(&self.authenticator);
        // First, where no attribute before it can be chosen so as to forge an answer
        // (CVE-2024-3596); servers may insist on it.
        attribute(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16])?;
        attribute(&mut packet, USER_NAME, self.name).map_err(|_| "the login has more than 253 bytes")?;
        attribute(&mut packet, USER_PASSWORD, &self.hidden_password())?;
        match self.from {
            IpAddr::V4(address) => attribute(&mut packet, NAS_IP_ADDRESS, &address.octets())?,
            IpAddr::V6(address) => attribute(&mut packet, NAS_IPV6_ADDRESS, &address.octets())?,
        }
        let length = u16::try_from(packet.len()).map_err(|_| "the packet is too long")?;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let signature = self.signature(&packet);
        packet[HEAD + 2..HEAD + 18].copy_from_slice(&signature);
        Ok(packet)
    }

    /// RFC 2865 5.2: each block is masked with what the one before it became.
    fn hidden_password(&self) -> Vec<u8> {
        let mut padded = self.password.to_vec();
        padded.resize(self.password.len().next_multiple_of(16).max(16), 0);
        let mut before = self.authenticator;
        for block in padded.chunks_exact_mut(16) {
            let mask = Md5::new().chain_update(self.secret).chain_update(before).finalize();
            for (byte, mask) in block.iter_mut().zip(mask) {
                *byte ^= mask;
            }
            before.copy_from_slice(block);
        }
        padded
    }

    /// RFC 3579 3.2, over a packet in which it is zero.
    fn signature(&self, packet: &[u8]) -> [u8; 16] {
        let mac = Hmac::<Md5>::new_from_slice(self.secret).expect("a key of any length will do");
        mac.chain_update(packet).finalize().into_bytes().into()
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What keeps a datagram from being a genuine answer to this request.
    pub fn verdict(&self, datagram: &[u8]) -> Result<Verdict, &'static str> {
        let [code, id, high, low, ..] = *datagram else { return Err("a packet that ends too early") };
        let length = usize::from(u16::from_be_bytes([high, low]));
        // What follows the packet in the datagram is padding.
        let packet = datagram.get(..length).filter(|packet| packet.len() >= HEAD);
        let packet = packet.ok_or("a packet whose length is not that of the datagram")?;
        if id != self.id {
            return Err("the answer to another request (its id differs)");
        }
        let (head, attributes) = packet.split_at(HEAD);
        let proof = Md5::new()
            .chain_update(&head[..4])
            .chain_update(self.authenticator)
            .chain_update(attributes)
            .chain_update(self.secret)
            .finalize();
        if !bool::from(proof.as_slice().ct_eq(&head[4..])) {
            return Err("an answer whose authenticator is wrong (is the secret the same on both sides?)");
        }
        let mut message = Vec::new();
        let mut at = HEAD;
        while at < length {
            let (kind, size) = (packet[at], packet.get(at + 1).map_or(0, |&size| usize::from(size)));
            let value = packet.get(at + 2..at + size).ok_or("an attribute that is not well-formed")?;
            match kind {
                REPLY_MESSAGE => message.extend_from_slice(value),
                MESSAGE_AUTHENTICATOR if !self.signed(packet, at, value) => {
                    return Err("an answer whose Message-Authenticator is wrong");
                }
                _ => {}
            }
            at += size;
        }
        Ok(match code {
            ACCESS_ACCEPT => Verdict::Accept,
            ACCESS_REJECT => Verdict::Reject(message),
            other => Verdict::Other(other),
        })
    }

    /// Whether the signature at `at` in an answer is right: made with zeroes in its place and
    /// the request's authenticator in that of the answer's.
    fn signed(&self, packet: &[u8], at: usize, value: &[u8]) -> bool {
        let mut blank = packet.to_vec();
        blank[4..HEAD].copy_from_slice(&self.authenticator);
        blank[at + 2..at + 2 + value.len()].fill(0);
        self.signature(&blank).ct_eq(value).into()
    }
}

fn attribute(packet: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), &'static str> {
    let length = u8::try_from(value.len() + 2).map_err(|_| "an attribute has more than 253 bytes")?;
    packet.extend_from_slice(&[kind, length]);
    packet.extend_from_slice(value);
    Ok(())
}

impl Verdict {
    /// The packet's name, where it has one.
    pub fn name(&self) -> String {
        match self {
            Self::Accept => "Access-Accept".to_owned(),
            Self::Reject(_) => "Access-Reject".to_owned(),
            Self::Other(ACCESS_CHALLENGE) => "Access-Challenge".to_owned(),
            Self::Other(code) => format!("a packet with code {code}"),
        }
    }
}

#[cfg(test)]
pub mod testing {
    use super::{HEAD, Md5};
    use md5::Digest;

    /// A server's answer to a request, with these attributes.
    pub fn answer(request: &[u8], code: u8, attributes: &[u8], secret: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEAD + attributes.len()).expect("short").to_be_bytes();
        let head = [code, request[1], length[0], length[1]];
        let proof = Md5::new()
            .chain_update(head)
            .chain_update(&request[4..HEAD])
            .chain_update(attributes)
            .chain_update(secret)
            .finalize();
        [head.as_slice(), proof.as_slice(), attributes].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::answer;
    use super::*;
    use proptest::prelude::*;

    /// RFC 2865 7.1: nemo, arctangent, xyzzy5461.
    fn nemo() -> Request<'static> {
        Request {
            id: 0,
            authenticator: 0x0f403f9473978057bd83d5cb98f4227a_u128.to_be_bytes(),
            name: b"nemo",
            password: b"arctangent",
            from: "192.168.1.16".parse().expect("an address"),
            secret: b"xyzzy5461",
        }
    }

    #[test]
    fn the_password_is_hidden_as_in_the_rfc() {
        let hidden = 0x0dbe708d93d413ce3196e43f782a0aee_u128.to_be_bytes();
        let nemo = Request { password: b"arctangent", ..nemo() };
        assert_eq!(nemo.hidden_password(), hidden);
        let long = Request { password: &[b'x'; 17], ..nemo };
        assert_eq!(long.hidden_password().len(), 32);
        assert_eq!(Request { password: b"", ..nemo }.hidden_password().len(), 16);
    }

    #[test]
    fn the_answer_of_the_rfc_is_accepted() {
        let mut recorded = 0x0200_0026_86fe_220e_7624_ba2a_1005_f6bf_u128.to_be_bytes().to_vec();
        recorded
            .extend_from_slice(&[0x9b, 0x55, 0xe0, 0xb2, 6, 6, 0, 0, 0, 1, 15, 6, 0, 0, 0, 0, 14, 6, 192, 168, 1, 3]);
        assert_eq!(nemo().verdict(&recorded), Ok(Verdict::Accept));
        let other = Request { secret: b"xyzzy", ..nemo() };
        assert!(other.verdict(&recorded).expect_err("another secret").contains("authenticator is wrong"));
    }

    #[test]
    fn a_request_has_the_attributes_of_the_original_and_a_signature() {
        let nemo = nemo();
        let packet = nemo.emit().expect("a packet");
        assert_eq!(packet.len(), 20 + 18 + 6 + 18 + 6);
        assert_eq!(packet[..4], [1, 0, 0, 68]);
        assert_eq!(packet[HEAD + 18..][..6], *b"\x01\x06nemo");
        assert!(Request { name: &[b'x'; 254], ..nemo }.emit().is_err());
        assert!(Request { password: &[b'x'; 129], ..nemo }.emit().is_err());
    }

    #[test]
    fn a_refusal_is_told_with_its_words() {
        let (nemo, secret) = (nemo(), b"xyzzy5461");
        let request = nemo.emit().expect("a packet");
        let refused = answer(&request, 3, b"\x12\x06none", secret);
        assert_eq!(nemo.verdict(&refused), Ok(Verdict::Reject(b"none".to_vec())));
        let lies = answer(&request, 2, b"\x12\x60none", secret);
        assert_eq!(nemo.verdict(&lies), Err("an attribute that is not well-formed"));
        let empty = answer(&request, 2, b"\x12\x00", secret);
        assert_eq!(nemo.verdict(&empty), Err("an attribute that is not well-formed"));
        let forged = answer(&request, 2, &[&[80, 18], [7; 16].as_slice()].concat(), secret);
        assert_eq!(nemo.verdict(&forged), Err("an answer whose Message-Authenticator is wrong"));
        assert_eq!(nemo.verdict(&answer(&request, 11, b"", secret)), Ok(Verdict::Other(11)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(nemo().verdict(&bytes).is_err(), "nobody guesses an authenticator");
        }

        #[test]
        fn genuine_answers_with_any_attributes_are_read(code: u8, attributes in prop::collection::vec(any::<u8>(), 0..200)) {
            let request = nemo().emit().expect("a packet");
            let _ = nemo().verdict(&answer(&request, code, &attributes, b"xyzzy5461"));
        }
    }
}
