//! Messages as somebody has recorded them: one after the other, whole or broken.
//!
//! The daemon reads one datagram, within bounds that protect it, and refuses it at the first mistake. Who looks at a
//! recording wants to see what stands before the mistake, and whatever the protocol allows.

use super::frame::{self, Envelope, HIGHEST_TYPE, Limits, RawField};
use super::{Format, Refusal};

/// The longest message that heartbeat puts on the wire, in bytes (spec 4.8).
pub(crate) const MAX_MESSAGE: usize = 256 * 1024;

/// heartbeat has no bound for the number of fields.
const LIMITS: Limits = Limits { bytes: MAX_MESSAGE, fields: usize::MAX };

/// One message of a recording, as far as it is legible.
pub(crate) struct Captured<'a> {
    /// `None` where the start is that of neither.
    pub(crate) format: Option<Format>,
    /// Those before the first mistake, and one whose type does not exist.
    pub(crate) fields: Vec<RawField<'a>>,
    /// What is wrong with its form.
    pub(crate) mistake: Option<Refusal>,
    /// To be verified, if it is complete.
    pub(crate) envelope: Option<Envelope<'a>>,
    /// The key that it names.
    pub(crate) key: Option<u64>,
}

/// The messages of a recording, of which there is one at least: nothing at all is no message.
///
/// What stands behind a signature belongs to the message before it, as long as nothing follows that begins like a message.
pub(crate) fn messages(recording: &[u8]) -> impl Iterator<Item = Captured<'_>> {
    // Senders on a serial line begin with a newline where they may have been cut off.
    let blanks = recording.iter().take_while(|&&b| matches!(b, b'\n' | 0)).count();
    let from_start = Some(&recording[blanks..]).filter(|rest| Format::of(rest).is_some());
    let mut rest = from_start.or(Some(recording));
    std::iter::from_fn(move || {
        let recording = rest?;
        let (message, behind) = first(recording);
        rest = Some(behind).filter(|behind| !behind.is_empty());
        Some(message)
    })
}

/// The first message, and all from the start of the second on.
fn first(recording: &[u8]) -> (Captured<'_>, &[u8]) {
    let start = &recording[..recording.len().min(MAX_MESSAGE)];
    let split = Envelope::split_within(start, &LIMITS);
    // A value may hold what looks like a start: only behind what could be followed is one looked for.
    let from = match &split {
        Ok(envelope) => envelope.len,
        Err(broken) => broken.at,
    };
    let starts = recording[from..].windows(frame::START).position(|bytes| Format::of(bytes).is_some());
    let end = starts.map_or(recording.len(), |at| from + at);
    let (message, behind) = recording.split_at(end);
    let captured = match split {
        Ok(envelope) if envelope.signature.is_ok() => whole(start, envelope),
        // Once more, without the bytes of the next message.
        _ => match Envelope::split_within(&message[..end.min(MAX_MESSAGE)], &LIMITS) {
            Ok(envelope) => whole(message, envelope),
            Err(broken) => {
                let cut = matches!(broken.refusal, Refusal::Truncated | Refusal::ClassicWithoutEnd);
                let refusal = if cut && end > MAX_MESSAGE { Refusal::too_long(MAX_MESSAGE) } else { broken.refusal };
                let content = message.get(frame::START..broken.at).unwrap_or_default();
                let key = frame::key_of_lines(content).filter(|_| broken.format == Some(Format::Classic));
                read(broken.format, content, Some(refusal), None, key)
            }
        },
    };
    (captured, behind)
}

/// A message that is complete, but perhaps for its signature.
fn whole<'a>(message: &'a [u8], envelope: Envelope<'a>) -> Captured<'a> {
    let cut = || match envelope.format {
        Format::Netstring => frame::key_of_cut(&message[envelope.signed.len()..]),
        Format::Classic => None,
    };
    let key = envelope.signature.ok().map(|signature| signature.index).or_else(cut);
    read(Some(envelope.format), envelope.content, None, Some(envelope), key)
}

fn read<'a>(
    format: Option<Format>,
    content: &'a [u8],
    mut mistake: Option<Refusal>,
    envelope: Option<Envelope<'a>>,
    key: Option<u64>,
) -> Captured<'a> {
    let mut fields = Vec::new();
    for field in format.into_iter().flat_map(|format| frame::raw_fields(format, content)) {
        match field {
            Ok(field) => {
                if field.kind > HIGHEST_TYPE {
                    mistake.get_or_insert(Refusal::UnknownType(field.kind));
                }
                fields.push(field);
            }
            Err(refusal) => {
                mistake.get_or_insert(refusal);
                break;
            }
        }
    }
    Captured { format, fields, mistake, envelope, key }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mistake and names of each.
    fn seen(recording: &[u8]) -> Vec<(Option<Refusal>, String)> {
        let names = |captured: &Captured| {
            captured.fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect::<String>()
        };
        messages(recording).map(|captured| (captured.mistake, names(&captured))).collect()
    }

    const WHOLE: &[u8] = b"###\n6:(0)a=b,6:(0)c=d,%%%\n3:1 x,";

    #[test]
    fn messages_one_after_the_other_are_told_apart_whatever_stands_between() {
        let classic = b">>>\ne=f\nauth=1 x\n<<<\n";
        for between in [&b""[..], b"\n", b"\0", b"\0garbage", b"%%%\n"] {
            let recording = [WHOLE, between, classic, between, WHOLE, between].concat();
            assert_eq!(seen(&recording), [(None, "ac".into()), (None, "eauth".into()), (None, "ac".into())]);
        }
    }

    #[test]
    fn the_record_of_a_serial_line_may_begin_and_end_anywhere() {
        let classic = b">>>\ne=f\nauth=1 x\n<<<\n".as_slice();
        let all = || (None, "eauth".to_owned());
        assert_eq!(seen(&[&b"\n\0"[..], classic, b"\n", classic].concat()), [all(), all()]);
        let (noise, cut) = ((Some(Refusal::NotHeartbeat), String::new()), Some(Refusal::ClassicWithoutEnd));
        let record = [&classic[6..], classic, &classic[..6], b"\n", classic, &classic[..10]].concat();
        assert_eq!(seen(&record), [noise, all(), (cut, "e".into()), all(), (cut, "e".into())]);
    }

    #[test]
    fn a_message_that_ends_early_leaves_the_next_one_alone() {
        for (end, refusal, names) in [
            (5, Some(Refusal::Truncated), ""),
            (16, Some(Refusal::Truncated), "a"),
            (22, Some(Refusal::Truncated), "ac"),
            (24, Some(Refusal::Truncated), "ac"),
            (26, None, "ac"),
            (30, None, "ac"),
        ] {
            let cut = &WHOLE[..end];
            assert_eq!(seen(cut), [(refusal, names.into())], "{end}");
            assert_eq!(seen(&[cut, WHOLE].concat()), [(refusal, names.into()), (None, "ac".into())], "{end}");
        }
        let classic = b">>>\ne=f\n".as_slice();
        let wanted = (Some(Refusal::ClassicWithoutEnd), "e".into());
        assert_eq!(seen(&[classic, WHOLE].concat()), [wanted, (None, "ac".into())]);
        let lost = b"###\n6:(0)a=b,9:(0)c=d,%%%\n3:1 x,";
        let wanted = (Some(Refusal::WrongFieldLength), "a".into());
        assert_eq!(seen(&[lost, WHOLE].concat()), [wanted, (None, "ac".into())]);
    }

    #[test]
    fn a_cut_signature_is_told_from_none_and_names_its_key_once_that_is_certain() {
        let cut = |end: usize| {
            let recording = [&WHOLE[..end], WHOLE].concat();
            let first = messages(&recording).next().unwrap();
            (first.envelope.unwrap().signature.unwrap_err(), first.key)
        };
        assert_eq!(cut(26), (Refusal::NoSignature, None));
        for (end, key) in [(27, None), (28, None), (29, None), (30, Some(1)), (31, Some(1))] {
            assert_eq!(cut(end), (Refusal::SignatureCut, key), "{end}");
        }
    }

    #[test]
    fn a_value_that_looks_like_the_start_of_a_message_begins_none() {
        let nested = b"###\n17:(2)n=###\n%%%\n>>>\n,%%%\n3:1 x,";
        assert_eq!(seen(&[nested, WHOLE].concat()), [(None, "n".into()), (None, "ac".into())]);
    }

    #[test]
    fn what_stands_before_a_mistake_is_listed_and_so_is_a_type_that_does_not_exist() {
        for (message, refusal, names) in [
            (&b"###\n6:(0)a=b,6:(7)c=d,6:(0)e=f,%%%\n"[..], Refusal::UnknownType(7), "ace"),
            (b"###\n6:(0)a=b,3:c=d,6:(0)e=f,%%%\n", Refusal::FieldWithoutType, "a"),
            (b"###\n6:(0)a=b,5:(0)=d,6:(0)e=f,%%%\n", Refusal::FieldWithoutName, "a"),
            (b">>>\na=b\n(1)c=d\ne=f\n<<<\n", Refusal::NotBase64, "a"),
            (b">>>\na=b\n\ne=f\n<<<\n", Refusal::FieldWithoutName, "a"),
            (b"hello", Refusal::NotHeartbeat, ""),
            (b"\n\0\n", Refusal::NotHeartbeat, ""),
            (b"", Refusal::NotHeartbeat, ""),
        ] {
            assert_eq!(seen(message), [(Some(refusal), names.into())], "{:?}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn a_message_may_be_as_long_as_heartbeats_and_no_longer() {
        let of = |value: usize| {
            let field = [&b"(0)a="[..], &vec![b'x'; value]].concat();
            [format!("###\n{}:", field.len()).as_bytes(), &field, b",6:(0)c=d,%%%\n3:1 x,"].concat()
        };
        assert_eq!(seen(&[&of(200_000), WHOLE].concat()), [(None, "ac".into()), (None, "ac".into())]);
        let too_long = Some(Refusal::TooLong(256));
        assert_eq!(seen(&[&of(MAX_MESSAGE - 20), WHOLE].concat()), [(too_long, "a".into()), (None, "ac".into())]);
        let fields = [&b"###\n"[..], &b"6:(0)a=b,".repeat(1000), b"%%%\n3:1 x,"].concat();
        assert_eq!(seen(&fields), [(None, "a".repeat(1000))]);
    }

    proptest! {
        #[test]
        fn a_recording_of_any_bytes_ends(pieces in prop::collection::vec(0..7usize, 0..40), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let parts = [&b"###\n"[..], b">>>\n", b"<<<\n", b"%%%\n", b"6:(0)a=b,", b"3:1 x,", &bytes];
            let recording: Vec<u8> = pieces.iter().flat_map(|&piece| parts[piece]).copied().collect();
            prop_assert!(messages(&recording).count() <= 1 + recording.len() / frame::START);
        }
    }
}
