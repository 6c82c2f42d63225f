//! Numbers as the C library reads them.

use std::net::Ipv4Addr;

/// `strtol` in base 10 with nothing behind it, within the limits: leading white space and a sign are
/// accepted, an empty string is not (spec/ipvs.md A.3).
pub(super) fn within(text: &[u8], least: i64, most: i64) -> Option<i64> {
    let (number, rest) = leading(text)?;
    (rest.is_empty() && (least..=most).contains(&number)).then_some(number)
}

/// `atoi`: whatever follows the digits is ignored, and without digits it is 0. Of a number that is too large
/// glibc leaves the lower 32 bits.
pub(super) fn atoi(text: &[u8]) -> i32 {
    leading(text).map_or(0, |(number, _)| number as i32)
}

/// The number at the front and what is behind it. Too large a number becomes the largest, and with a sign the least.
fn leading(text: &[u8]) -> Option<(i64, &[u8])> {
    let blank = text.iter().take_while(|&&b| is_space(b)).count();
    let text = &text[blank..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let sign = if negative { -1 } else { 1 };
    let add = |sum: i64, &digit: &u8| sum.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'));
    (length > 0).then_some((digits.iter().fold(0, add), rest))
}

/// C's `isspace`, which counts the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// glibc's `inet_aton`: one to four parts, hex and octal parts, and anything behind white space ignored
/// (spec/ipvs.md A.6).
pub(super) fn inet_aton(text: &[u8]) -> Option<Ipv4Addr> {
    dotted(text).or_else(|| in_parts(text))
}

/// Four decimal numbers, as nearly all addresses are written.
pub(super) fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut at, mut value, mut digits) = (0, 0_u32, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || value > 0) => {
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && at < 3 => {
                octets[at] = u8::try_from(value).ok()?;
                (at, value, digits) = (at + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if digits == 0 || at != 3 {
        return None;
    }
    octets[3] = u8::try_from(value).ok()?;
    Some(octets.into())
}

fn in_parts(text: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = [0; 4];
    let mut rest = text;
    let mut count = 0;
    loop {
        let (part, behind) = part(rest)?;
        *parts.get_mut(count)? = part;
        count += 1;
        rest = behind;
        match rest.split_first() {
            Some((b'.', behind)) => rest = behind,
            Some((&byte, _)) if !is_space(byte) => return None,
            _ => break,
        }
    }
    let (&last, leading) = parts[..count].split_last()?;
    if leading.iter().any(|&part| part > 0xff) || last > u32::MAX >> (8 * leading.len()) {
        return None;
    }
    let upper = leading.iter().zip([24, 16, 8]).fold(0, |sum, (&part, shift)| sum | part << shift);
    Some(Ipv4Addr::from_bits(upper | last))
}

/// One part: decimal, `0x` hex or `0` octal, at most 32 bits.
fn part(text: &[u8]) -> Option<(u32, &[u8])> {
    text.first().filter(|b| b.is_ascii_digit())?;
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, &text[2..]),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let length = digits.iter().take_while(|&&b| char::from(b).is_digit(radix)).count();
    let (digits, rest) = digits.split_at(length);
    u32::from_str_radix(str::from_utf8(digits).ok()?, radix).ok().map(|value| (value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_to_an_address_leads_where_the_long_one_does(text in "[0-9]{0,4}(\\.[0-9]{0,3}){2,4}[0-9. x]?") {
            if let Some(address) = dotted(text.as_bytes()) {
                prop_assert_eq!(Some(address), in_parts(text.as_bytes()));
            }
        }

        #[test]
        fn an_address_as_it_is_mostly_written_takes_the_short_way(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(dotted(address.to_string().as_bytes()), Some(address));
        }
    }

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for (text, expected) in [("5", 5), (" \t7", 7), ("+8", 8), ("009", 9), ("-0", 0), ("2147483647", 2_147_483_647)]
        {
            assert_eq!(within(text.as_bytes(), 0, 2_147_483_647), Some(expected), "{text:?}");
        }
        for text in ["", " ", "x", "5 ", "5x", "0x10", "1.5", "-1", "2147483648", "99999999999999999999", "+", "- 1"] {
            assert_eq!(within(text.as_bytes(), 0, 2_147_483_647), None, "{text:?}");
        }
        let cases = [
            ("48abc", 48),
            ("abc", 0),
            ("255.255.255.0", 255),
            ("", 0),
            ("4294967360", 64),
            ("9223372036854775808", -1),
            ("-9223372036854775809", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(atoi(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_inet_aton_reads_them() {
        let cases = [
            ("10.0.0.1", [10, 0, 0, 1]),
            ("10.1", [10, 0, 0, 1]),
            ("10.0.256", [10, 0, 1, 0]),
            ("0x0a000002", [10, 0, 0, 2]),
            ("012.0.0.3", [10, 0, 0, 3]),
            ("167772164", [10, 0, 0, 4]),
            ("0", [0, 0, 0, 0]),
            ("10.0.0.6 x", [10, 0, 0, 6]),
            ("0xffff0000", [255, 255, 0, 0]),
        ];
        for (text, expected) in cases {
            assert_eq!(inet_aton(text.as_bytes()), Some(Ipv4Addr::from(expected)), "{text:?}");
        }
        for text in [
            "",
            ".",
            "10.",
            "10.0.0.256",
            "10.0.0.5.1",
            " 10.0.0.1",
            "08.0.0.1",
            "0x",
            "4294967296",
            "256.1",
            "10.16777216",
            "1.2.3.4x",
            "1..2",
        ] {
            assert_eq!(inet_aton(text.as_bytes()), None, "{text:?}");
        }
    }
}
