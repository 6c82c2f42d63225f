//! The values ha.cf is made of (spec/heartbeat.md 1.2).

use std::time::Duration;

/// No time in ha.cf makes sense beyond a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

fn wrong<T>(message: String, help: &str) -> Result<T, Wrong> {
    Err(Wrong { message, help: Some(help.to_owned()) })
}

/// A time: digits with an optional decimal point, then nothing or `s` (seconds), `ms` or `us`.
/// Rounded to the nearest millisecond. As in heartbeat, what follows `ms` or `us` does not count; heartbeat refuses `s`,
/// which can mean nothing else.
pub(super) fn time(text: &str) -> Result<Duration, Wrong> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<f64>() else {
        return wrong(format!("{text:?} is not a time"), "write seconds (2, 0.5) or milliseconds (500ms)");
    };
    let milliseconds = match unit {
        "" | "s" => number * 1000.0,
        _ if unit.starts_with("ms") => number,
        _ if unit.starts_with("us") => number / 1000.0,
        _ if unit.starts_with('s') => {
            let help = format!("write {number}, {number}s or {}ms", number * 1000.0);
            return wrong(format!("{text:?} is not a time: there is no unit {unit:?}"), &help);
        }
        _ => {
            let help = "without a unit a time is in seconds; the units are s, ms and us";
            return wrong(format!("{text:?} is not a time: there is no unit {unit:?}"), help);
        }
    };
    if milliseconds > LONGEST.as_secs_f64() * 1000.0 {
        return wrong(format!("{text:?} is longer than a week"), "without a unit a time is in seconds");
    }
    // Within bounds and not negative: the digits have no sign.
    Ok(Duration::from_millis(milliseconds.round() as u64))
}

/// `true on yes y 1` and `false off no n 0`, in any case.
pub(super) fn boolean(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Ok(true),
        "false" | "off" | "no" | "n" | "0" => Ok(false),
        _ => wrong(format!("{text:?} is neither yes nor no"), "write on or off"),
    }
}

/// A whole number within bounds, and nothing else.
pub(super) fn number(text: &str, least: u32, most: u32) -> Result<u32, Wrong> {
    match text.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => wrong(format!("{text:?} is not a number from {least} to {most}"), "write it in decimal digits"),
    }
}

/// As C's `atoi` reads it, and heartbeat with it: what follows the digits does not count. The number, and the text it
/// was taken for where something follows.
pub(super) fn leading_number(text: &str, least: u32, most: u32) -> Result<(u32, Option<&str>), Wrong> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match number(&text[..end], least, most) {
        Ok(number) if end < text.len() => Ok((number, Some(&text[..end]))),
        _ => number(text, least, most).map(|number| (number, None)),
    }
}

/// What to write instead of a time whose unit stands apart.
pub(super) fn joined(number: &str, unit: &str) -> String {
    let times = |seconds: f64| match number.parse::<f64>() {
        Ok(number) => format!("times are in seconds: write {}", number * seconds),
        Err(_) => "times are in seconds".to_owned(),
    };
    match unit.to_ascii_lowercase().as_str() {
        "ms" | "us" | "usec" => format!("write the unit directly behind the number: {number}{unit}"),
        "msec" | "msecs" => format!("write the unit directly behind the number: {number}ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => times(1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => times(60.0),
        "h" | "hour" | "hours" => times(3600.0),
        _ => "a time is one word: seconds, or with ms or us directly behind the number".into(),
    }
}

/// Whether two names are those of one host, of which only one has its domain. Two names with a domain each are two
/// hosts, even with the same short form.
pub(super) fn is_short_form(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    one.contains('.') != other.contains('.') && short(one) == short(other)
}

/// The same as people read it: 1500 ms is "1.5 s".
pub(super) fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { format!("{} s", time.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_as_heartbeat_reads_them() {
        let table = [
            ("1", 1000),
            ("0.5", 500),
            (".5", 500),
            ("500ms", 500),
            ("500000us", 500),
            ("500000usec", 500),
            ("900msfoo", 900),
            ("499us", 0),
            ("500us", 1),
            ("0", 0),
            ("1s", 1000),
            ("0.2s", 200),
            ("1.2345", 1235),
        ];
        for (text, milliseconds) in table {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_what_to_write() {
        let help = |text| time(text).unwrap_err().help.unwrap();
        assert_eq!(help("0.2sec"), "write 0.2, 0.2s or 200ms");
        assert!(help("5m").contains("s, ms and us"));
        for text in ["", "-1", "ms", "1.2.3", ".", "1e3", "nan", "inf", "99999999999999999999999999"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_follows_the_digits_of_a_number_does_not_count() {
        assert_eq!(leading_number("700", 1, 65535), Ok((700, None)));
        assert_eq!(leading_number("700x", 1, 65535), Ok((700, Some("700"))));
        assert_eq!(leading_number("250ms", 1, 60_000), Ok((250, Some("250"))));
        for text in ["x", "", "-1", "0x10", "70000x", "99999999999999999999"] {
            assert!(leading_number(text, 1, 65535).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_unit_that_stands_apart_is_told_how_to_be_written() {
        assert_eq!(joined("500", "ms"), "write the unit directly behind the number: 500ms");
        assert_eq!(joined("30", "s"), "times are in seconds: write 30");
        assert_eq!(joined("2", "min"), "times are in seconds: write 120");
        assert_eq!(joined("0.5", "hours"), "times are in seconds: write 1800");
        assert_eq!(joined("x", "min"), "times are in seconds");
        assert!(joined("2", "fortnights").starts_with("a time is one word"));
    }

    #[test]
    fn booleans_are_read_in_any_case() {
        for (text, value) in [("ON", true), ("Yes", true), ("y", true), ("1", true), ("False", false), ("n", false)] {
            assert_eq!(boolean(text), Ok(value));
        }
        assert!(boolean("legacy").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in ".{0,30}") {
            _ = time(&text);
            _ = boolean(&text);
            _ = number(&text, 0, 255);
            _ = leading_number(&text, 0, 255);
            _ = joined(&text, &text);
        }
    }
}
