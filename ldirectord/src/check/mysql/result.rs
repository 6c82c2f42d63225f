//! The result of a query, packet by packet.

use super::packet::{EOF, ERROR, OK, Packet, take_number};

/// Rows of a result that are looked at. After so many of them without an error the server works.
const ENOUGH: u64 = 1000;

/// More columns than any table has (MySQL's limit is 4096).
const MAX_COLUMNS: u64 = 5000;

/// A file of ours is wanted.
const LOCAL_FILE: u8 = 0xfb;

/// How far the result has come.
#[derive(Debug, Default)]
pub struct Rows {
    part: Part,
    count: u64,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Head,
    /// So many descriptions of columns are still to come, and the end of them.
    Columns(u64),
    Rows,
}

/// What a packet brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// That was all: so many rows came, or were changed.
    Done(u64),
    /// More is to come, and does not matter.
    Enough,
    /// It failed.
    Failed(String),
}

impl Rows {
    /// Takes the next packet.
    pub fn hear(&mut self, packet: &Packet) -> Progress {
        if let Some(refusal) = packet.refusal() {
            return Progress::Failed(refusal.to_string());
        }
        let first = packet.body.first().copied();
        // A row, too, may begin with this byte, but then it is long.
        let ends = first == Some(EOF) && packet.body.len() < 9;
        match self.part {
            Part::Head => self.head(first, &packet.body),
            Part::Columns(0) if ends => {
                self.part = Part::Rows;
                Progress::More
            }
            Part::Columns(left @ 1..) if packet.whole => {
                self.part = Part::Columns(left - 1);
                Progress::More
            }
            Part::Columns(_) => Progress::Failed("descriptions of columns that are not as announced".to_owned()),
            Part::Rows if ends => Progress::Done(self.count),
            Part::Rows => {
                self.count += 1;
                if self.count < ENOUGH && packet.whole { Progress::More } else { Progress::Enough }
            }
        }
    }

    fn head(&mut self, first: Option<u8>, mut body: &[u8]) -> Progress {
        match first {
            Some(OK) => {
                body = &body[1..];
                Progress::Done(take_number(&mut body).unwrap_or_default())
            }
            Some(LOCAL_FILE) => Progress::Failed("a demand for a file of this machine".to_owned()),
            Some(EOF | ERROR) | None => Progress::Failed("a packet that is no result".to_owned()),
            Some(_) => match take_number(&mut body) {
                Some(columns @ 1..=MAX_COLUMNS) => {
                    self.part = Part::Columns(columns);
                    Progress::More
                }
                _ => Progress::Failed("a packet that is no result".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hear(bodies: &[&[u8]]) -> Progress {
        let mut rows = Rows::default();
        let mut last = Progress::More;
        for body in bodies {
            assert_eq!(last, Progress::More, "nothing is heard after the end");
            last = rows.hear(&Packet { number: 1, body: body.to_vec(), whole: true });
        }
        last
    }

    #[test]
    fn rows_are_counted_up_to_the_end() {
        let end = b"\xfe\0\0\x02\0".as_slice();
        assert_eq!(hear(&[b"\x01", b"\x03def", end, b"\x011", b"\x012", end]), Progress::Done(2));
        assert_eq!(hear(&[b"\x02", b"\x03def", b"\x03def", end, end]), Progress::Done(0));
        assert_eq!(hear(&[b"\0\x03\0\x02\0\0\0"]), Progress::Done(3), "rows that a statement has changed");
        assert_eq!(hear(&[b"\x01", b"\x03def", end, b"\xfe\0\0\0\x01\0\0\0\0aaaa", end]), Progress::Done(1));
    }

    #[test]
    fn what_is_no_result_is_told() {
        let failed = |bodies: &[&[u8]]| match hear(bodies) {
            Progress::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        let end = b"\xfe\0\0\x02\0".as_slice();
        assert_eq!(failed(&[b"\xff\x7a\x04#42S02No such table"]), "error 1146 \"No such table\"");
        assert_eq!(failed(&[b"\x01", b"\x03def", end, b"\xff\x28\x05#70100Interrupted"]), "error 1320 \"Interrupted\"");
        assert_eq!(failed(&[b"\xfb/etc/passwd"]), "a demand for a file of this machine");
        assert_eq!(failed(&[b""]), "a packet that is no result");
        assert_eq!(failed(&[b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"]), "a packet that is no result");
        assert_eq!(failed(&[b"\xfd\xff\xff\xff"]), "a packet that is no result", "16 million columns");
        assert_eq!(failed(&[b"\x01", b"\x03def", b"x"]), "descriptions of columns that are not as announced");
    }

    #[test]
    fn rows_that_never_end_are_enough() {
        let mut rows = Rows::default();
        let row = |whole| Packet { number: 1, body: b"\x01x".to_vec(), whole };
        for body in [b"\x01".as_slice(), b"\x03def", b"\xfe\0\0\x02\0"] {
            assert_eq!(rows.hear(&Packet { number: 1, body: body.to_vec(), whole: true }), Progress::More);
        }
        let heard = (0..).take_while(|_| rows.hear(&row(true)) == Progress::More).count();
        assert_eq!(heard, 999);
        assert_eq!(Rows { part: Part::Rows, count: 0 }.hear(&row(false)), Progress::Enough, "a row that was cut");
    }

    proptest! {
        #[test]
        fn any_packets_are_a_result_or_a_failure(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut rows = Rows::default();
            for body in bodies {
                let _ = rows.hear(&Packet { number: 1, body, whole: true });
            }
        }
    }
}
