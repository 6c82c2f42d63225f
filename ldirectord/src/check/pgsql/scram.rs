//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: a certificate that nobody has
//! verified binds to nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha2::digest::Digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::check::stage::quoted;

/// The mechanism's name.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Rounds of hashing that a server may ask for; PostgreSQL asks for 4096. They cost a second of
/// processor time at most.
const MAX_ROUNDS: u32 = 600_000;

/// Rounds between two looks at the other checks: about half a millisecond.
const ROUNDS_AT_ONCE: u32 = 1000;

/// Most bytes of a salt.
const MAX_SALT: usize = 1024;

/// Keys that are remembered; each is about 200 bytes.
const MAX_KEYS: usize = 16 * 1024;

type Hash = [u8; 32];

/// What passwords have become, so that their thousands of rounds are made once for each server
/// and not once for each check.
#[derive(Clone, Default)]
pub struct Keys(Arc<Mutex<HashMap<Hash, Zeroizing<Hash>>>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// The salted password.
    async fn get(&self, password: &str, salt: &[u8], rounds: u32) -> Zeroizing<Hash> {
        let prepared = stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into);
        let prepared = Zeroizing::new(prepared);
        // A hash stands for the password: the map is looked up often, and shown to nobody either way.
        let asked = Sha256::new()
            .chain_update(rounds.to_be_bytes())
            .chain_update(Sha256::digest(salt))
            .chain_update(prepared.as_bytes())
            .finalize()
            .into();
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asked) {
            return known.clone();
        }
        let key = salted(prepared.as_bytes(), salt, rounds).await;
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS {
            // Servers that change their salts; those that do not are soon known again.
            keys.clear();
        }
        keys.insert(asked, key.clone());
        key
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length will do")
}

fn sign(key: &[u8], text: &[u8]) -> Hash {
    hmac(key).chain_update(text).finalize().into_bytes().into()
}

/// `Hi` of RFC 5802 2.2, which is PBKDF2 of one block.
async fn salted(password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<Hash> {
    let keyed = hmac(password);
    let mut last: Hash = keyed.clone().chain_update(salt).chain_update([0, 0, 0, 1]).finalize().into_bytes().into();
    let mut sum = Zeroizing::new(last);
    for round in 1..rounds {
        last = keyed.clone().chain_update(last).finalize().into_bytes().into();
        for (sum, byte) in sum.iter_mut().zip(last) {
            *sum ^= byte;
        }
        if round % ROUNDS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    sum
}

/// The client has said its first word.
pub struct First {
    nonce: String,
    /// The name; PostgreSQL takes that of its own first message instead.
    user: &'static str,
}

/// The client has proven that it knows the password.
pub struct Last {
    signature: Hash,
}

impl First {
    /// `nonce` is unpredictable.
    pub fn new(nonce: [u8; 18]) -> Self {
        Self { nonce: STANDARD.encode(nonce), user: "" }
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// The first word.
    pub fn say(&self) -> String {
        format!("n,,{}", self.bare())
    }

    /// Takes the server's challenge: the proof, and what the server's own has to be.
    pub async fn hear(self, challenge: &[u8], password: &str, keys: &Keys) -> Result<(String, Last), String> {
        let (nonce, salt, rounds) = read(challenge, &self.nonce)
            .ok_or_else(|| format!("a challenge that is not well-formed, {}", quoted(challenge)))?;
        if rounds > MAX_ROUNDS {
            return Err(format!("a demand for {rounds} rounds of hashing, more than {MAX_ROUNDS}"));
        }
        let key = keys.get(password, &salt, rounds).await;
        let client_key = Zeroizing::new(sign(&*key, b"Client Key"));
        let unproven = format!("c=biws,r={nonce}");
        let all = [self.bare().as_bytes(), b",", challenge, b",", unproven.as_bytes()].concat();
        let mask = sign(&Sha256::digest(*client_key), &all);
        let proof: Vec<u8> = client_key.iter().zip(mask).map(|(key, mask)| key ^ mask).collect();
        let signature = sign(&sign(&*key, b"Server Key"), &all);
        Ok((format!("{unproven},p={}", STANDARD.encode(proof)), Last { signature }))
    }
}

/// `r=NONCE,s=SALT,i=ROUNDS` and extensions, of which none is known. The nonce begins with ours.
fn read<'a>(challenge: &'a [u8], ours: &str) -> Option<(&'a str, Vec<u8>, u32)> {
    let mut parts = std::str::from_utf8(challenge).ok()?.split(',');
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
    let rounds: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
    let sound = nonce.len() > ours.len() && nonce.starts_with(ours) && salt.len() <= MAX_SALT && rounds > 0;
    sound.then_some((nonce, salt, rounds))
}

impl Last {
    /// Takes the server's own proof.
    pub fn hear(&self, last: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(last).unwrap_or_default();
        let signature = text.split(',').next().and_then(|part| part.strip_prefix("v="));
        let signature = signature.and_then(|part| STANDARD.decode(part).ok());
        match signature {
            Some(signature) if bool::from(signature.ct_eq(&self.signature)) => Ok(()),
            Some(_) => Err("a proof that is wrong: the server does not know the password".to_owned()),
            None => Err(format!("an end of the login that is not well-formed, {}", quoted(last))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::run;
    use proptest::prelude::*;

    /// RFC 7677 section 3: user, pencil.
    fn first() -> First {
        First { nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(), user: "user" }
    }

    const CHALLENGE: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_conversation_is_that_of_the_rfc() {
        run(async {
            let keys = Keys::default();
            for known in [0, 1] {
                assert_eq!(keys.0.lock().expect("keys").len(), known);
                let (said, last) = first().hear(CHALLENGE, "pencil", &keys).await.expect("a proof");
                let wanted = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
                assert_eq!(said, wanted);
                assert_eq!(last.hear(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
                assert!(last.hear(b"v=AAAA").expect_err("a lie").contains("does not know the password"));
                assert!(last.hear(b"e=other-error").expect_err("an error").contains("not well-formed"));
            }
        });
    }

    #[test]
    fn another_password_has_another_key() {
        run(async {
            let keys = Keys::default();
            let (one, _) = first().hear(CHALLENGE, "pencil", &keys).await.expect("a proof");
            let (other, _) = first().hear(CHALLENGE, "pen", &keys).await.expect("a proof");
            assert_ne!(one, other);
            assert!(!format!("{keys:?}").contains("pencil"));
        });
    }

    #[test]
    fn demands_that_would_keep_the_processor_busy_are_refused() {
        run(async {
            let greedy = b"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4000000000";
            let why = first().hear(greedy, "pencil", &Keys::default()).await.map(|_| ()).expect_err("too many");
            assert!(why.contains("4000000000 rounds of hashing"), "{why}");
            for odd in
                ["", "r=other,s=W22Z,i=1", "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=1", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0"]
            {
                let why = first().hear(odd.as_bytes(), "pencil", &Keys::default()).await.map(|_| ()).expect_err(odd);
                assert!(why.contains("not well-formed"), "{why}");
            }
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_challenge_or_none(bytes: Vec<u8>, text in "r=ours[ -~]{0,9},s=[A-Za-z0-9=]{0,9},i=[0-9]{0,12}") {
            let _ = read(&bytes, "ours");
            let _ = read(text.as_bytes(), "ours");
            let _ = Last { signature: [0; 32] }.hear(&bytes);
        }
    }
}
