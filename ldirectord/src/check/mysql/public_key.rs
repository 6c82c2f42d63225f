//! The server's RSA key, and a password encrypted with it (PKCS #1 2.2, RFC 8017 7.1: OAEP with SHA-1).
//!
//! Only what is public is computed with here, so nothing has to be hidden by taking the same time always.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use sha1::Sha1;
use sha2::digest::Digest;
use zeroize::Zeroizing;

use crate::check::ber::{INTEGER, SEQUENCE, take, take_any};

/// Lengths of keys, bytes: a longer one would keep the processor from other checks.
const SHORTEST: usize = 128;
const LONGEST: usize = 1024;

/// BIT STRING.
const BITS: u8 = 0x03;

/// `rsaEncryption`, with its tag, and no parameters.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Length of a SHA-1 hash.
const HASH: usize = 20;

/// An RSA key to encrypt with.
#[derive(Debug)]
pub struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
    /// Of the modulus, bytes.
    length: usize,
}

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----` (RFC 7468 13). `None` if it is no RSA key, or one of an odd size.
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (_, begun) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
        let (body, _) = begun.split_once("-----END PUBLIC KEY-----")?;
        let packed: String = body.split_ascii_whitespace().collect();
        Self::from_der(&STANDARD.decode(packed).ok()?)
    }

    fn from_der(mut bytes: &[u8]) -> Option<Self> {
        let mut info = take(&mut bytes, SEQUENCE)?;
        if take(&mut info, SEQUENCE)? != RSA {
            return None;
        }
        let (BITS, [0, bits @ ..]) = take_any(&mut info)? else { return None };
        let mut key = take(&mut &*bits, SEQUENCE)?;
        let (modulus, exponent) = (natural(take(&mut key, INTEGER)?)?, natural(take(&mut key, INTEGER)?)?);
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        let sound = (SHORTEST..=LONGEST).contains(&modulus.len()) && exponent.len() <= 4;
        (sound && odd(modulus) && odd(exponent)).then(|| Self {
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
            length: modulus.len(),
        })
    }

    /// Encrypts; `seed` is unpredictable. `None` if the message is too long for the key.
    pub fn encrypt(&self, message: &[u8], seed: [u8; HASH]) -> Option<Vec<u8>> {
        let zeroes = self.length.checked_sub(message.len() + 2 * HASH + 2)?;
        let mut block = Zeroizing::new(Sha1::digest(b"").to_vec());
        block.resize(HASH + zeroes, 0);
        block.push(1);
        block.extend_from_slice(message);
        mask(&mut block, &seed);
        let mut masked_seed = seed;
        mask(&mut masked_seed, &block);
        let padded = Zeroizing::new([&[0], masked_seed.as_slice(), &block].concat());
        let encrypted = BigUint::from_bytes_be(&padded).modpow(&self.exponent, &self.modulus).to_bytes_be();
        let mut out = vec![0; self.length - encrypted.len()];
        out.extend_from_slice(&encrypted);
        Some(out)
    }
}

/// A positive INTEGER's bytes, without the zero that keeps it from being negative.
fn natural(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, rest @ ..] => Some(rest),
        [1..=0x7f, ..] => Some(content),
        _ => None,
    }
}

/// MGF1 (RFC 8017 B.2.1).
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (count, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH)) {
        let hash = Sha1::new().chain_update(seed).chain_update(count.to_be_bytes()).finalize();
        for (byte, mask) in chunk.iter_mut().zip(hash) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::process::Command;

    /// The key of a server, by openssl, which also has to be able to read what was encrypted with it.
    #[test]
    fn openssl_reads_what_was_encrypted() {
        let directory = tempfile::tempdir().expect("a directory");
        let openssl = |arguments: &[&str]| {
            let run = Command::new("openssl").args(arguments).current_dir(directory.path()).output().expect("openssl");
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            run.stdout
        };
        openssl(&["genrsa", "-out", "key.pem", "2048"]);
        let public = openssl(&["rsa", "-in", "key.pem", "-pubout"]);
        let key = PublicKey::from_pem(&public).expect("a key");
        let encrypted = key.encrypt(b"s3cret\0", [9; 20]).expect("short enough");
        fs::write(directory.path().join("encrypted"), encrypted).expect("written");
        let oaep = ["-pkeyopt", "rsa_padding_mode:oaep"];
        let read = openssl(&[&["pkeyutl", "-decrypt", "-inkey", "key.pem", "-in", "encrypted"], &oaep[..]].concat());
        assert_eq!(read, b"s3cret\0");
        assert!(key.encrypt(&[0; 214], [9; 20]).is_some());
        assert!(key.encrypt(&[0; 215], [9; 20]).is_none(), "too long for 2048 bits");
    }

    #[test]
    fn only_keys_are_keys() {
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
            "-----END PUBLIC KEY----------BEGIN PUBLIC KEY-----",
        ] {
            assert!(PublicKey::from_pem(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKey::from_der(&bytes);
            let _ = PublicKey::from_pem(&bytes);
            let mut with_head = vec![0x30, 0x81, 0xff, 0x30, 0x0d];
            with_head.extend_from_slice(RSA);
            with_head.extend_from_slice(&bytes);
            let _ = PublicKey::from_der(&with_head);
        }
    }
}
