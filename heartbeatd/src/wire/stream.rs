//! Cuts what comes over a serial line into messages (spec/heartbeat.md 4.3).
//!
//! A line has no packets: it may be joined in the middle of a message, lose bytes and add others. A message begins with
//! the line `>>>`, wherever the one before it stopped, and ends with the line `<<<`. What is between two messages is
//! handed on in pieces as well, so that whoever counts what is refused counts it.

use std::collections::VecDeque;

use super::MAX_DATAGRAM;
use super::frame::CLASSIC_START;

const END: &[u8] = b"<<<\n";
/// Noise is handed on when there is so much of it: at another speed than the sender's there may be nothing else.
const MOST_NOISE: usize = 1024;

/// Holds what is not yet complete: never more than one message.
#[derive(Debug)]
pub struct Splitter {
    ready: VecDeque<Vec<u8>>,
    /// The complete lines of the message, or of the noise.
    piece: Vec<u8>,
    /// The line that is not complete.
    line: Vec<u8>,
    inside: bool,
    /// Nothing has begun yet, so what comes before is the rest of something.
    joining: bool,
}

impl Splitter {
    /// For a line that is joined at any moment: the rest of a message at its beginning is no noise.
    #[must_use]
    pub fn new() -> Self {
        Self { ready: VecDeque::new(), piece: Vec::new(), line: Vec::new(), inside: false, joining: true }
    }

    /// Takes in bytes. What they complete is to be had with [`Self::take`], and should be before more are pushed.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // A line that was broken, or whose sender has just been switched on, reads as zeros.
            if byte == 0 && self.line.is_empty() {
                continue;
            }
            self.line.push(byte);
            if byte == b'\n' {
                self.end_line();
            }
            // One byte more than is taken, so that what is too long can be told from what just fits.
            let most = if self.inside { MAX_DATAGRAM + 1 } else { MOST_NOISE };
            // What may become the beginning of a message is not cut.
            let begins = !self.line.is_empty() && CLASSIC_START.starts_with(&self.line);
            if self.piece.len() + self.line.len() >= most && !begins {
                self.piece.append(&mut self.line);
                self.hand_on();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        match line.as_slice() {
            CLASSIC_START => {
                if !self.joining {
                    self.hand_on();
                }
                self.piece = line;
                self.inside = true;
                self.joining = false;
            }
            END if self.inside => {
                self.piece.extend_from_slice(&line);
                self.hand_on();
            }
            // Senders begin with one where they may have been cut off.
            b"\n" if !self.inside => {}
            _ => self.piece.extend_from_slice(&line),
        }
    }

    fn hand_on(&mut self) {
        self.inside = false;
        self.joining = false;
        if !self.piece.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.piece));
        }
    }

    /// Whether [`Self::take`] has something.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next message, or piece of noise.
    #[must_use]
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &str = ">>>\nt=status\nauth=1 0\n<<<\n";

    fn pieces(mut splitter: Splitter, bytes: &[u8], at_once: usize) -> Vec<String> {
        bytes.chunks(at_once).for_each(|some| splitter.push(some));
        let all = std::iter::from_fn(|| splitter.take());
        all.map(|piece| String::from_utf8_lossy(&piece).into_owned()).collect()
    }

    #[test]
    fn messages_come_out_whole_however_they_arrive() {
        let bytes = STATUS.repeat(3);
        for at_once in [1, 2, 7, 1000] {
            assert_eq!(pieces(Splitter::new(), bytes.as_bytes(), at_once), [STATUS; 3]);
        }
    }

    #[test]
    fn half_a_message_at_the_beginning_is_no_noise_and_later_it_is() {
        let joined = format!("protocol=1\nauth=1 0\n<<<\n{STATUS}");
        assert_eq!(pieces(Splitter::new(), joined.as_bytes(), 5), [STATUS]);
        let later = format!("{STATUS}{joined}");
        let rest = "protocol=1\nauth=1 0\n<<<\n";
        assert_eq!(pieces(Splitter::new(), later.as_bytes(), 5), [STATUS, rest, STATUS]);
        let cut = format!("{STATUS}>>>\nt=sta\n{STATUS}");
        assert_eq!(pieces(Splitter::new(), cut.as_bytes(), 5), [STATUS, ">>>\nt=sta\n", STATUS]);
    }

    #[test]
    fn empty_lines_and_zeros_between_messages_are_nothing() {
        let bytes = format!("\n\0{STATUS}\0\0\n{STATUS}\n\0");
        assert_eq!(pieces(Splitter::new(), bytes.as_bytes(), 3), [STATUS; 2]);
    }

    #[test]
    fn noise_is_handed_on_in_pieces_and_never_kept() {
        let mut splitter = Splitter::new();
        for _ in 0..100 {
            splitter.push(&[0xa5; 100]);
            assert!(splitter.line.len() + splitter.piece.len() <= MOST_NOISE);
        }
        assert_eq!(std::iter::from_fn(|| splitter.take()).map(|piece| piece.len()).sum::<usize>(), 9 * MOST_NOISE);
        splitter.push(format!("\n{STATUS}").as_bytes());
        assert_eq!(splitter.ready.back().map(Vec::as_slice), Some(STATUS.as_bytes()));
    }

    #[test]
    fn a_message_without_an_end_is_cut_off() {
        let mut splitter = Splitter::new();
        splitter.push(CLASSIC_START);
        splitter.push(&b"a=b\n".repeat(MAX_DATAGRAM));
        let longest = std::iter::from_fn(|| splitter.take()).map(|piece| piece.len()).max().unwrap();
        assert_eq!(longest, MAX_DATAGRAM + 1);
        splitter.push(STATUS.as_bytes());
        assert_eq!(splitter.ready.back().map(Vec::as_slice), Some(STATUS.as_bytes()));
    }

    proptest! {
        #[test]
        fn after_any_noise_the_second_message_arrives(
            noise in prop::collection::vec(any::<u8>(), 0..3000), at_once in 1..500usize
        ) {
            // The noise may hide the beginning of the first.
            let bytes = [&noise, STATUS.as_bytes(), STATUS.as_bytes()].concat();
            let found = pieces(Splitter::new(), &bytes, at_once);
            prop_assert_eq!(found.last().map(String::as_str), Some(STATUS));
            // Each byte that is no text is shown as three.
            let texts = found.iter().map(|piece| piece.replace('\u{fffd}', "?").len());
            prop_assert!(texts.sum::<usize>() <= bytes.len());
        }
    }
}
