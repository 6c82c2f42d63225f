//! authkeys: the keys and which of them signs (spec/heartbeat.md 3).
//!
//! Its lines hold secrets, so mistakes are shown without them.

use std::collections::BTreeMap;

use lvs::diag::nearest;
use zeroize::Zeroizing;

use super::source::{Place, Source, Word};
use crate::wire::{Key, Keys, Method};

const METHODS: [&str; 4] = ["crc", "md5", "sha1", "sha256"];
const HIGHEST_INDEX: u8 = 15;

/// The file with every secret left out: what may be shown of it. Places stay what they are,
/// because a secret stands last in its line.
pub(super) fn shown(text: &str) -> String {
    let line = |line: &str| {
        let words = Word::of_line(1, line).split(is_blank);
        let digits = |word: &Word| word.text.len() <= 4 && word.text.bytes().all(|b| b.is_ascii_digit());
        let harmless = match words.as_slice() {
            [] => return String::new(),
            [auth, number, ..] if auth.text == "auth" && digits(number) => number,
            [index, method, ..] if digits(index) && METHODS.contains(&method.text.to_lowercase().as_str()) => method,
            // A secret may stand anywhere in a line that is not as it should be, a comment too.
            _ => return "...".to_owned(),
        };
        let more = if words.len() > 2 { " ..." } else { "" };
        line.chars().take(harmless.place.columns.end - 1).chain(more.chars()).collect()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The file's bytes, each as the character of that number: a key is bytes, whatever encoding they were written in.
pub(super) fn text(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(bytes.iter().copied().map(char::from).collect())
}

/// What separates words for `isspace` in the C locale, and no other blank that a key may have in it.
fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t'..='\r')
}

/// Reads the file; mistakes are noted in the source, which holds what [`shown`] made of the [`text`].
pub(super) fn read(source: &mut Source, text: &str) -> Option<Keys> {
    let mut auth: Option<(u8, Place)> = None;
    let mut selects = false;
    let mut keys: BTreeMap<u8, (Key, Place)> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let words = Word::of_line(at + 1, line).split(is_blank);
        let Some(first) = words.first().filter(|word| !word.text.starts_with('#')) else { continue };
        let help = "\"auth NUMBER\" selects a key, \"NUMBER METHOD KEY\" is one; methods are crc, md5, sha1 and, between two heartbeatd, sha256";
        if first.text == "auth" {
            selects = true;
            if let [_, number, _, ..] = words.as_slice() {
                let help = "one key signs; the others are believed as well";
                source.warn(&number.place, "words behind the number do not count", help);
            }
            let number = words.get(1).map(|word| (index(word), word.place.clone()));
            match number {
                Some((Some(index), place)) if auth.is_none() => auth = Some((index, place)),
                Some((Some(_), place)) => source.error(&place, "a second auth line", "one key signs"),
                Some((None, place)) => source.error(&place, "not the number of a key", "0 to 15"),
                None => source.error(&first.place, "auth selects no key", help),
            }
            continue;
        }
        let Some(index) = index(first) else {
            let message =
                if first.text.bytes().all(|b| b.is_ascii_digit()) { "key numbers are 0 to 15" } else { "not a key" };
            source.error(&first.place, message, help);
            continue;
        };
        let Some(method) = words.get(1) else {
            source.error(&first.place, "the method is missing", help);
            continue;
        };
        match key(method, words.get(2)) {
            Err((message, help)) => source.error(&method.place, message, help),
            Ok(key) => {
                if let Some((_, place)) = keys.get(&index) {
                    let help = format!("it stands in line {} already", place.line);
                    source.error(&first.place, format!("key {index} a second time"), help);
                }
                if let Some(more) = words.get(3) {
                    let place = Place { line: more.place.line, columns: method.place.columns.clone() };
                    source.warn(
                        &place,
                        "words behind the key are not part of it",
                        "a key is one word; # starts no comment here",
                    );
                }
                keys.insert(index, (key, method.place.clone()));
            }
        }
    }
    if auth.is_none() && selects {
        // What is wrong with the line is told.
        return None;
    }
    choose(source, auth, keys)
}

/// Judges the keys together.
fn choose(source: &mut Source, auth: Option<(u8, Place)>, keys: BTreeMap<u8, (Key, Place)>) -> Option<Keys> {
    let end = source.end();
    let Some((current, at)) = auth else {
        source.error(&end, "no auth line", "\"auth 1\" signs with key 1");
        return None;
    };
    let Some((signing, place)) = keys.get(&current) else {
        source.error(&at, format!("there is no key {current}"), format!("a line such as \"{current} sha1 ...\""));
        return None;
    };
    if signing.method() == Method::Crc {
        let help = "anybody who can reach the port can act for the peer: use sha1 with a key";
        source.warn(place, "crc protects against accidents only", help);
    } else {
        for (key, place) in keys.values().filter(|(key, _)| key.method() == Method::Crc) {
            let message = format!("{} is not accepted beside a key with a secret", key.method().name());
            source.warn(place, message, "take the line out once the peer signs with another key");
        }
    }
    if source.has_errors() {
        return None;
    }
    let keys = keys.into_iter().map(|(index, (key, _))| (index, key));
    Keys::new(current, keys).ok()
}

fn index(word: &Word) -> Option<u8> {
    let digits = word.text.bytes().all(|b| b.is_ascii_digit());
    word.text.parse().ok().filter(|&index: &u8| digits && index <= HIGHEST_INDEX)
}

/// The bytes that were written in the file: [`text`] makes no other characters.
fn bytes(secret: &Word) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.text.chars().flat_map(u8::try_from).collect())
}

/// A key, or what is wrong and what to do.
fn key(method: &Word, secret: Option<&Word>) -> Result<Key, (String, String)> {
    let name = method.text.as_str();
    match (name, secret) {
        ("crc", None) => Ok(Key::crc()),
        ("crc", Some(_)) => Err(("crc uses no key".into(), "leave the key out, or use sha1".into())),
        ("md5", Some(secret)) => Ok(Key::md5(&bytes(secret))),
        ("sha1", Some(secret)) => Ok(Key::sha1(&bytes(secret))),
        ("sha256", Some(secret)) => Ok(Key::sha256(&bytes(secret))),
        ("md5" | "sha1" | "sha256", None) => {
            Err((format!("{name} needs a key"), format!("write it behind {name}, one word")))
        }
        // A word far from any method may be a secret in the wrong place.
        _ => match nearest(&name.to_lowercase(), METHODS) {
            Some(near) => Err((format!("unknown method {name:?}"), format!("did you mean {near:?}?"))),
            None => Err(("unknown method".into(), "crc, md5, sha1 or sha256".into())),
        },
    }
}
