//! Local time as log lines have it: `Fri Nov 20 09:47:06 2026`.
//!
//! The C library's conversion cannot be called without `unsafe`, so the zone file is read
//! here (RFC 8536): transitions up to its end, and the rule in its last line beyond.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// Seconds since 1970 and the offset from then on, ascending.
    transitions: Vec<(i64, i64)>,
    /// The offset before the first transition.
    before: i64,
    /// What holds after the last.
    rule: Option<Rule>,
}

/// The offset all year, or two of them: the last line of a zone file, in the words of POSIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    standard: i64,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summer {
    offset: i64,
    begins: Day,
    ends: Day,
}

/// A day of the year, and the seconds after its midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// `Mm.w.d`: the w-th weekday d (0 is Sunday) of month m; the fifth is the last.
    Weekday { month: i64, week: i64, weekday: i64, at: i64 },
    /// `Jn`: 1 to 365, as if there were no 29 February.
    Julian { day: i64, at: i64 },
    /// `n`: 0 to 365.
    Ordinal { day: i64, at: i64 },
}

const DAY: i64 = 86_400;

impl Zone {
    /// The machine's zone: `TZ`, else `/etc/localtime`, else UTC.
    #[must_use]
    pub fn of_machine() -> Self {
        let file = |path: &str| fs::read(path).ok().and_then(|bytes| Self::parse(&bytes));
        match std::env::var("TZ") {
            Err(_) => file("/etc/localtime"),
            Ok(name) => {
                let name = name.trim_start_matches(':');
                let path = if name.starts_with('/') { name.to_owned() } else { format!("/usr/share/zoneinfo/{name}") };
                let by_rule = || Rule::parse(name).map(|rule| Self { rule: Some(rule), ..Self::default() });
                if name.is_empty() { None } else { file(&path).or_else(by_rule) }
            }
        }
        .unwrap_or_default()
    }

    /// Reads a zone file.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = Header::parse(bytes)?;
        if header.version == 0 {
            return header.zone(rest, 4, &[]);
        }
        // Behind the data with short numbers come the same with long ones.
        let (header, rest) = Header::parse(rest.get(header.length(4)?..)?)?;
        header.zone(rest, 8, rest.get(header.length(8)?..)?)
    }

    /// Seconds east of Greenwich at a time in seconds since 1970.
    fn offset(&self, time: i64) -> i64 {
        let after = self.transitions.partition_point(|&(from, _)| from <= time);
        if after == self.transitions.len()
            && let Some(rule) = self.rule
        {
            return rule.offset(time);
        }
        after.checked_sub(1).map_or(self.before, |index| self.transitions[index].1)
    }

    /// As ctime(3) writes it: `Fri Nov 20 09:47:06 2026`.
    #[must_use]
    pub fn format(&self, time: SystemTime) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        // A clock before 1970 shows 1970.
        let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let utc = i64::try_from(since).unwrap_or(0);
        let local = utc + self.offset(utc);
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let weekday = DAYS[usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0)];
        let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
        format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
    }
}

struct Header {
    version: u8,
    leaps: usize,
    times: usize,
    types: usize,
    characters: usize,
    standard: usize,
    universal: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_at_checked(44)?;
        if !header.starts_with(b"TZif") {
            return None;
        }
        let count = |index: usize| {
            let at = 20 + 4 * index;
            usize::try_from(u32::from_be_bytes(header[at..at + 4].try_into().ok()?)).ok()
        };
        let (universal, standard, leaps) = (count(0)?, count(1)?, count(2)?);
        let (times, types, characters) = (count(3)?, count(4)?, count(5)?);
        Some((Self { version: header[4], leaps, times, types, characters, standard, universal }, rest))
    }

    /// Bytes of the data, with numbers of `size` bytes.
    fn length(&self, size: usize) -> Option<usize> {
        let times = self.times.checked_mul(size + 1)?;
        let leaps = self.leaps.checked_mul(size + 4)?;
        let types = self.types.checked_mul(6)?;
        [leaps, types, self.characters, self.standard, self.universal].into_iter().try_fold(times, usize::checked_add)
    }

    fn zone(&self, data: &[u8], size: usize, footer: &[u8]) -> Option<Zone> {
        let (times, rest) = data.split_at_checked(self.times.checked_mul(size)?)?;
        let (indices, rest) = rest.split_at_checked(self.times)?;
        let types = rest.get(..self.types.checked_mul(6)?)?;
        let offset = |index: u8| {
            let at = usize::from(index) * 6;
            types.get(at..at + 4).map(|b| i64::from(i32::from_be_bytes([b[0], b[1], b[2], b[3]])))
        };
        let time = |bytes: &[u8]| match bytes.len() {
            4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
            _ => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        };
        let transitions = times.chunks_exact(size).zip(indices).map(|(at, &index)| Some((time(at)?, offset(index)?)));
        let line = footer.strip_prefix(b"\n").and_then(|line| line.split(|&b| b == b'\n').next());
        let rule = line.and_then(|line| std::str::from_utf8(line).ok()).and_then(Rule::parse);
        Some(Zone { transitions: transitions.collect::<Option<_>>()?, before: offset(0)?, rule })
    }
}

impl Rule {
    /// `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn parse(text: &str) -> Option<Self> {
        let rest = name(text)?;
        let (west, rest) = clock(rest)?;
        let standard = -west;
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let (zones, days) = rest.split_once(',')?;
        let rest = name(zones)?;
        let offset = if rest.is_empty() { standard + 3600 } else { -clock(rest)?.0 };
        let (begins, ends) = days.split_once(',')?;
        let summer = Summer { offset, begins: Day::parse(begins)?, ends: Day::parse(ends)? };
        Some(Self { standard, summer: Some(summer) })
    }

    fn offset(self, time: i64) -> i64 {
        let Some(summer) = self.summer else { return self.standard };
        let (year, _, _) = date((time + self.standard).div_euclid(DAY));
        // Each is told in the time that holds before it.
        let begins = summer.begins.in_year(year) - self.standard;
        let ends = summer.ends.in_year(year) - summer.offset;
        let is_summer = if begins < ends { (begins..ends).contains(&time) } else { !(ends..begins).contains(&time) };
        if is_summer { summer.offset } else { self.standard }
    }
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        let (day, at) = match text.split_once('/') {
            Some((day, at)) => (day, clock(at)?.0),
            None => (text, 2 * 3600),
        };
        let within = |text: &str, low: i64, high: i64| text.parse().ok().filter(|n| (low..=high).contains(n));
        if let Some(day) = day.strip_prefix('M') {
            let mut parts = day.split('.');
            let mut next = |low, high| within(parts.next()?, low, high);
            return Some(Self::Weekday { month: next(1, 12)?, week: next(1, 5)?, weekday: next(0, 6)?, at });
        }
        match day.strip_prefix('J') {
            Some(day) => Some(Self::Julian { day: within(day, 1, 365)?, at }),
            None => Some(Self::Ordinal { day: within(day, 0, 365)?, at }),
        }
    }

    /// Local seconds since 1970.
    fn in_year(self, year: i64) -> i64 {
        let (days, at) = match self {
            Self::Ordinal { day, at } => (days_to(year, 1, 1) + day, at),
            Self::Julian { day, at } => {
                let leap = days_to(year, 3, 1) - days_to(year, 2, 1) == 29;
                (days_to(year, 1, 1) + day - 1 + i64::from(leap && day > 59), at)
            }
            Self::Weekday { month, week, weekday, at } => {
                let first = days_to(year, month, 1);
                let next = if month == 12 { days_to(year + 1, 1, 1) } else { days_to(year, month + 1, 1) };
                let mut day = first + (weekday - (first + 4)).rem_euclid(7) + (week - 1) * 7;
                if day >= next {
                    day -= 7;
                }
                (day, at)
            }
        };
        days * DAY + at
    }
}

/// What follows the name of a zone: letters, or anything in angle brackets.
fn name(text: &str) -> Option<&str> {
    if let Some(inner) = text.strip_prefix('<') {
        return inner.split_once('>').map(|(_, rest)| rest);
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    (end >= 3).then(|| &text[end..])
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows it.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(digits.len());
    let mut seconds = 0;
    for (part, unit) in digits[..end].split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().ok().filter(|&n| n <= 167)? * unit;
    }
    Some((sign * seconds, &digits[end..]))
}

/// Days since 1970 of a date in the Gregorian calendar. Years begin in March here, so that the
/// leap day is the last.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn by_rule(rule: &str) -> Zone {
        Zone { rule: Some(Rule::parse(rule).expect("a rule")), ..Zone::default() }
    }

    #[test]
    fn the_form_is_that_of_the_original_log() {
        assert_eq!(Zone::default().format(at(1_795_168_026)), "Fri Nov 20 09:47:06 2026");
        assert_eq!(Zone::default().format(at(951_782_400)), "Tue Feb 29 00:00:00 2000");
        assert_eq!(Zone::default().format(at(0)), "Thu Jan  1 00:00:00 1970");
    }

    #[test]
    fn summer_begins_and_ends_to_the_second() {
        let berlin = by_rule("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(berlin.format(at(1_774_745_999)), "Sun Mar 29 01:59:59 2026");
        assert_eq!(berlin.format(at(1_774_746_000)), "Sun Mar 29 03:00:00 2026");
        assert_eq!(berlin.format(at(1_792_889_999)), "Sun Oct 25 02:59:59 2026");
        assert_eq!(berlin.format(at(1_792_890_000)), "Sun Oct 25 02:00:00 2026");
        // South of the equator summer spans the new year.
        let sydney = by_rule("AEST-10AEDT,M10.1.0,M4.1.0/3");
        assert_eq!(sydney.offset(1_767_225_600), 11 * 3600);
        assert_eq!(sydney.offset(1_782_864_000), 10 * 3600);
        assert_eq!(by_rule("<+0545>-5:45").offset(0), 5 * 3600 + 45 * 60);
        assert_eq!(by_rule("EST5").offset(0), -5 * 3600);
    }

    #[test]
    fn a_zone_file_counts_until_its_end_and_its_rule_beyond() {
        // Version 2: an empty block with short numbers, then one transition, two types.
        let header = |counts: [u32; 6]| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            counts.into_iter().for_each(|n| bytes.extend(n.to_be_bytes()));
            bytes
        };
        let mut bytes = header([0, 0, 0, 0, 1, 4]);
        bytes.extend([0, 0, 0, 0, 0, 0, b'U', b'T', b'C', 0]);
        bytes.extend(header([0, 0, 0, 1, 2, 4]));
        bytes.extend(1_000_i64.to_be_bytes());
        bytes.push(1);
        for offset in [0_i32, 7200] {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(b"UTC\0\nXST-1\n");
        let zone = Zone::parse(&bytes).expect("a zone");
        assert_eq!((zone.offset(999), zone.offset(1000)), (0, 3600), "the rule holds behind the last transition");
        for end in 0..bytes.len() - 8 {
            assert!(Zone::parse(&bytes[..end]).is_none_or(|z| z.rule.is_none()), "{end}");
        }
        let without_rule = Zone { rule: None, ..zone };
        assert_eq!(without_rule.offset(1000), 7200);
    }

    proptest::proptest! {
        #[test]
        fn every_day_is_found_again(days in -1_000_000_i64..1_000_000) {
            let (year, month, day) = date(days);
            proptest::prop_assert_eq!(days_to(year, month, day), days);
        }

        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut file = b"TZif2".to_vec();
            file.extend(bytes);
            let _ = Zone::parse(&file);
        }

        #[test]
        fn no_rule_panics(text in "[A-Z<>+-]{0,6}[0-9:+-]{0,5}[A-Z]{0,4},?[MJ]?[0-9./]{0,9},?[MJ]?[0-9./]{0,9}") {
            if let Some(rule) = Rule::parse(&text) {
                let _ = rule.offset(1_795_168_026);
            }
        }
    }
}
