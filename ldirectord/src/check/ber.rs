//! The few of ASN.1's basic encoding rules that LDAP and public keys use (X.690, RFC 4511 5.1): tags of one byte,
//! definite lengths.

/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

/// One element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ ..=0x7f) => out.push(length),
        _ => {
            let bytes = content.len().to_be_bytes();
            let begin = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
            let significant = &bytes[begin..];
            out.push(0x80 | u8::try_from(significant.len()).expect("at most eight bytes"));
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The length of the element that `bytes` begin, its head included: `None` if they are too few to tell.
///
/// # Errors
/// If its length is indefinite or has more than four bytes.
pub fn size(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    Ok(head(bytes)?.map(|(head, content)| head + content))
}

/// Lengths of head and content.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
    let Some(&first) = bytes.get(1) else { return Ok(None) };
    match first {
        0..=0x7f => Ok(Some((2, usize::from(first)))),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let Some(length) = bytes.get(2..2 + count) else { return Ok(None) };
            let content = length.iter().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte));
            Ok(usize::try_from(content).ok().map(|content| (2 + count, content)))
        }
        _ => Err("a length that nobody uses"),
    }
}

/// Takes an element with this tag from the front of `bytes`: its content. `None` if there is none.
pub fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (its_tag, content) = take_any(bytes)?;
    (its_tag == tag).then_some(content)
}

/// Takes whatever element is at the front of `bytes`: its tag and its content.
pub fn take_any<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (head, length) = head(bytes).ok()??;
    let (tag, content) = (*bytes.first()?, bytes.get(head..head.checked_add(length)?)?);
    *bytes = &bytes[head + length..];
    Some((tag, content))
}

/// The value of a small non-negative INTEGER or ENUMERATED.
pub fn number(content: &[u8]) -> Option<u32> {
    if content.is_empty() || content.len() > 4 || content[0] & 0x80 != 0 {
        return None;
    }
    Some(content.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(element(OCTETS, b"x"), [4, 1, b'x']);
        assert_eq!(element(OCTETS, &[0; 127])[..2], [4, 127]);
        assert_eq!(element(OCTETS, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(OCTETS, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn a_length_that_lies_takes_nothing() {
        assert_eq!(size(&[0x30]), Ok(None));
        assert_eq!(size(&[0x30, 0x84, 1, 2]), Ok(None));
        assert_eq!(size(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Ok(Some(6 + 0xffff_ffff)));
        assert!(size(&[0x30, 0x80]).is_err() && size(&[0x30, 0x85]).is_err());
        assert_eq!(take_any(&mut [4, 5, b'x'].as_slice()), None);
        assert_eq!(take_any(&mut [4, 0x84, 0xff, 0xff, 0xff, 0xff, 0].as_slice()), None);
        assert_eq!(number(&[0xff]), None);
        assert_eq!(number(&[0, 0xff]), Some(255));
    }

    proptest! {
        #[test]
        fn an_element_is_read_as_it_was_written(tag: u8, content in prop::collection::vec(any::<u8>(), 0..700)) {
            let written = element(tag, &content);
            prop_assert_eq!(size(&written), Ok(Some(written.len())));
            let mut rest = written.as_slice();
            prop_assert_eq!(take_any(&mut rest), Some((tag, content.as_slice())));
            prop_assert!(rest.is_empty());
        }
    }
}
