//! Base64 with the standard alphabet and padding: how the classic format writes
//! binary values (spec/heartbeat.md 4.3).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place) & 0x3f) as usize;
            out.push(if place > group.len() { b'=' } else { ALPHABET[digit] });
        }
    }
}

/// `None` where the text is not whole groups of the alphabet.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let last = (text.len() / 4).saturating_sub(1);
    for (at, group) in text.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|&&c| c == b'=').count();
        if padding > 2 || padding > 0 && at != last {
            return None;
        }
        let mut word = 0u32;
        for &c in &group[..4 - padding] {
            let digit = ALPHABET.iter().position(|&known| known == c)?;
            word = word << 6 | digit as u32;
        }
        let [_, bytes @ ..] = (word << (6 * padding)).to_be_bytes();
        out.extend_from_slice(&bytes[..3 - padding]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_captured_uuid_decodes_to_its_sixteen_bytes() {
        let bytes = decode(b"km7UlVP2QYqQy58l41i48Q==").unwrap();
        assert_eq!(bytes[..4], [0x92, 0x6e, 0xd4, 0x95]);
        assert_eq!(bytes.len(), 16);
    }

    #[test]
    fn padding_in_the_middle_and_half_groups_are_refused() {
        for text in ["A", "A===", "QQ==QQ==", "QQ=A", "Q\nQQ", "===="] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }
}
