//! The lists of many questions: while this thread reads the answer to one, another one asks the next.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, scope};

use super::dump::{self, Attempt, Keyed, Question, Row};
use super::newer::Newer;
use crate::netlink::RequestError;
use crate::netlink::message::{Answer, messages};
use crate::netlink::reading::{Arrival, Reading, Source};

/// Bytes that are handed over together: to wake the other thread takes as long as to read dozens of entries.
const PIECE: usize = 32 * 1024;
/// Pieces that may wait to be read.
const WAITING: usize = 2;

/// Datagrams as they came, one behind the other.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Piece {
    fn add(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }
}

/// Reads the answers to `questions`, which `ask` sends one after the other with sequence numbers from `first` on, and hands
/// what `keep` keeps of them to `take`. How many were handed over: those before the first that was answered with an
/// error or has to be read again. Nothing is left in `source` afterwards.
pub fn read_ahead<S: Source + Send, R: Row, T: Keyed>(
    source: &mut S,
    mut ask: impl FnMut(&mut S, &Question) -> Result<(), RequestError> + Send,
    newer: &mut Newer,
    (family, first): (u16, u32),
    questions: &[Question],
    keep: impl Fn(R) -> T,
    mut take: impl FnMut(usize, Vec<T>),
) -> usize {
    let reading = |at: usize| Reading::of(first.wrapping_add(u32::try_from(at).unwrap_or(u32::MAX)));
    scope(|scope| {
        let (hand, pieces) = sync_channel(WAITING);
        let (give_back, spare) = channel();
        let receive = move || {
            let mut receiver = Received { source, hand, spare, piece: Piece::default() };
            questions.iter().enumerate().try_for_each(|(at, question)| {
                ask(receiver.source, question).ok()?;
                receiver.answer(&reading(at))
            });
            receiver.hand_over();
        };
        let started: io::Result<_> = Builder::new().spawn_scoped(scope, receive);
        if started.is_err() {
            return 0;
        }
        let mut handed = Handed { pieces, give_back, piece: Piece::default(), read: 0, current: 0..0 };
        let whole = |(at, question): (usize, &Question)| {
            let attempt: Attempt<T> = dump::read(&mut handed, newer, reading(at), family, question, &keep).ok()?;
            take(at, attempt.settled()?);
            Some(())
        };
        questions.iter().enumerate().map_while(whole).count()
    })
}

/// What one thread receives.
struct Received<'a, S: Source> {
    source: &'a mut S,
    hand: SyncSender<Piece>,
    spare: Receiver<Piece>,
    piece: Piece,
}

impl<S: Source> Received<'_, S> {
    /// Receives one answer; `None` if it does not come whole, or nobody wants it any more.
    fn answer(&mut self, reading: &Reading) -> Option<()> {
        loop {
            if !matches!(self.source.advance(), Ok(Arrival::Datagram)) {
                self.source.drain();
                return None;
            }
            let datagram = self.source.current();
            let ends = |answer| matches!(answer, Answer::Done | Answer::Error(_));
            let ended = messages(datagram).any(|part| reading.is_about(&part) && ends(part.answer()));
            self.piece.add(datagram);
            if self.piece.bytes.len() >= PIECE && self.hand_over().is_none() {
                if !ended {
                    self.source.drain();
                }
                return None;
            }
            if ended {
                return Some(());
            }
        }
    }

    fn hand_over(&mut self) -> Option<()> {
        let empty = self.spare.try_recv().unwrap_or_default();
        self.hand.send(mem::replace(&mut self.piece, empty)).ok()
    }
}

/// The same for the thread that reads.
struct Handed {
    pieces: Receiver<Piece>,
    give_back: Sender<Piece>,
    piece: Piece,
    /// Datagrams read of the piece.
    read: usize,
    current: Range<usize>,
}

impl Source for Handed {
    fn advance(&mut self) -> Result<Arrival, RequestError> {
        while self.read == self.piece.ends.len() {
            let Ok(next) = self.pieces.recv() else { return Ok(Arrival::Nothing) };
            let mut empty = mem::replace(&mut self.piece, next);
            (self.read, self.current) = (0, 0..0);
            empty.bytes.clear();
            empty.ends.clear();
            // The other thread may have nothing more to receive.
            let _ = self.give_back.send(empty);
        }
        self.current = self.current.end..self.piece.ends[self.read];
        self.read += 1;
        Ok(Arrival::Datagram)
    }

    fn current(&self) -> &[u8] {
        &self.piece.bytes[self.current.clone()]
    }

    /// The other thread does.
    fn drain(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use netlink_packet_core::{NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR};

    use super::*;
    use crate::ipvs::{DestinationListing, ServiceKey};
    use crate::netlink::attribute::Writer;
    use crate::netlink::ipvs::encode;
    use crate::netlink::ipvs::number::{command, dest, top};
    use crate::netlink::message::write_message;

    const FAMILY: u16 = 31;
    const FIRST: u32 = u32::MAX - 2;

    /// What the kernel answers to each question; `None` is a question that does not reach it.
    type Answers = Vec<Option<Vec<Vec<u8>>>>;

    struct Script {
        answers: std::vec::IntoIter<Option<Vec<Vec<u8>>>>,
        left: VecDeque<Vec<u8>>,
        current: Vec<u8>,
    }

    impl Source for Script {
        fn advance(&mut self) -> Result<Arrival, RequestError> {
            let Some(next) = self.left.pop_front() else { return Ok(Arrival::Nothing) };
            self.current = next;
            Ok(Arrival::Datagram)
        }

        fn current(&self) -> &[u8] {
            &self.current
        }

        fn drain(&mut self) {
            self.left.clear();
        }
    }

    fn sequence(at: usize) -> u32 {
        FIRST.wrapping_add(u32::try_from(at).expect("few"))
    }

    /// A datagram of the answer to the question in this place: servers with these ports.
    fn servers(at: usize, flags: u16, ports: impl IntoIterator<Item = u16>) -> Vec<u8> {
        let mut datagram = Vec::new();
        for port in ports {
            write_message(&mut datagram, FAMILY, NLM_F_MULTIPART | flags, sequence(at), |body| {
                encode::header(body, command::NEW_DEST);
                Writer(body).nested(top::DEST, |w| {
                    w.bytes(dest::ADDR, &[10, 0, 0, 1]);
                    w.port(dest::PORT, port);
                });
            });
        }
        datagram
    }

    fn end(at: usize, kind: u16, errno: i32) -> Vec<u8> {
        let mut datagram = Vec::new();
        write_message(&mut datagram, kind, NLM_F_MULTIPART, sequence(at), |body| body.extend((-errno).to_ne_bytes()));
        datagram
    }

    fn done(at: usize) -> Vec<u8> {
        end(at, NLMSG_DONE, 0)
    }

    /// The ports that were handed over for each question, and whether anything was left in the source.
    fn ports(answers: Answers) -> (Vec<Vec<u16>>, bool) {
        let key = ServiceKey::tcp(([192, 0, 2, 1], 80).into());
        let questions = vec![Question::servers(key, false); answers.len()];
        let (answers, mut taken) = (answers.into_iter(), Vec::new());
        let mut script = Script { answers, left: VecDeque::new(), current: Vec::new() };
        let ask = |script: &mut Script, _: &Question| {
            assert!(script.left.is_empty(), "an answer is read whole before the next question");
            let answer = script.answers.next().expect("no more questions than answers");
            script.left = answer.ok_or(RequestError::Gone)?.into();
            Ok(())
        };
        let take = |at, servers: Vec<_>| {
            assert_eq!(at, taken.len(), "in the order of the questions");
            taken.push(servers.into_iter().map(|(_, port)| port).collect());
        };
        let keep = |row: DestinationListing| (row.at, row.at.port());
        let newer = &mut Newer::default();
        let count = read_ahead(&mut script, ask, newer, (FAMILY, FIRST), &questions, keep, take);
        assert_eq!(count, taken.len());
        (taken, !script.left.is_empty())
    }

    #[test]
    fn the_answers_to_many_questions_come_in_their_order_and_whole() {
        // None, few in the datagram of the end, and more than is handed over at once.
        let wanted: Vec<Vec<u16>> = (0..200).map(|at| (0..[0, 1, 40, 5000][at % 4]).collect()).collect();
        let answer = |(at, ports): (usize, &Vec<u16>)| {
            let mut datagrams: Vec<_> = ports.chunks(300).map(|some| servers(at, 0, some.iter().copied())).collect();
            match datagrams.last_mut().filter(|_| at % 3 == 0) {
                Some(last) => last.extend(done(at)),
                None => datagrams.push(done(at)),
            }
            Some(datagrams)
        };
        let answers = wanted.iter().enumerate().map(answer).collect();
        assert_eq!(ports(answers), (wanted, false));
        assert_eq!(ports(Vec::new()), (Vec::new(), false));
    }

    #[test]
    fn an_answer_that_has_to_be_read_again_ends_the_list_and_leaves_nothing_behind() {
        let good = |at| Some(vec![servers(at, 0, [1, 2]), done(at)]);
        let long = |at| (0..50).map(move |part| servers(at, 0, part * 100..part * 100 + 100));
        let bad: [(&str, Option<Vec<Vec<u8>>>); 7] = [
            ("refused", Some(vec![end(3, NLMSG_ERROR, libc::ENOENT)])),
            ("refused behind a part", Some(vec![servers(3, 0, [1]), end(3, NLMSG_ERROR, libc::ENOMEM)])),
            ("disturbed", Some(vec![servers(3, NLM_F_DUMP_INTR, [1]), done(3)])),
            ("repeated", Some(vec![servers(3, 0, [1, 2]), servers(3, 0, [2, 3]), done(3)])),
            ("without an end", Some(long(3).collect())),
            ("senseless", Some(vec![servers(3, 0, [7]), end(3, FAMILY, 1), done(3)])),
            ("not asked", None),
        ];
        for (what, bad) in bad {
            let before = (0..3).map(good);
            let after = (4..60).map(|at| Some(long(at).chain([done(at)]).collect()));
            let answers = before.chain([bad]).chain(after).collect();
            assert_eq!(ports(answers), (vec![vec![1, 2]; 3], false), "{what}");
        }
    }
}
