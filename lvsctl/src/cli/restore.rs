//! `ipvsadm -R`: one command a line, all in one process (spec/ipvs.md A.11).
//!
//! Changes are made ready, kept back and sent to the kernel together, at the latest when input has to be waited for;
//! whoever writes a line and waits sees it carried out. What is printed, and in which order, is as if
//! each line had been run by itself.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, scope};

use super::bag::parse;
use super::command::{Command, Usage};
use super::kernel::Kernel;
use super::run::{Shell, tell};
use crate::ipvs::text::Names;
use crate::netlink::ipvs::Packed;

const READ_AT_ONCE: usize = 64 * 1024;
/// Changes that are handed over together: eight sends. Fewer wake the other thread too often.
const PIECE: usize = 512;
/// The first: one send, for which it does not wait long.
const FIRST_PIECE: usize = 64;
/// Pieces that may wait for the other thread, so that it never waits for the next one.
const WAITING: usize = 2;
/// What is longer is several tokens, bytes (spec/ipvs.md A.11).
const LONGEST_TOKEN: usize = 4096;
/// Longest line, bytes. No command comes near it.
const LONGEST_LINE: usize = 64 * 1024;

/// What `-R` reads.
///
/// ```
/// use std::io::{self, Cursor, Read};
///
/// struct Lines(Cursor<Vec<u8>>);
///
/// impl Read for Lines {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         self.0.read(buffer)
///     }
/// }
///
/// impl lvs::cli::Input for Lines {
///     fn give_back(&mut self, count: usize) {
///         self.0.set_position(self.0.position() - count as u64);
///     }
/// }
/// ```
pub trait Input: Read {
    /// The last so many bytes are behind the line that ended the run: whoever reads on begins with them.
    fn give_back(&mut self, _count: usize) {}
}

impl Input for &[u8] {}

impl Input for io::Empty {}

/// Standard input, which a program that is started later may go on reading if it is a file.
pub(super) struct StandardInput;

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

impl Input for StandardInput {
    fn give_back(&mut self, count: usize) {
        // What is no file keeps no place: the rest is lost there, as with the original.
        let back = i64::try_from(count).map_or(0, |count| -count);
        let _ = rustix::fs::seek(rustix::stdio::stdin(), rustix::fs::SeekFrom::Current(back));
    }
}

impl<K: Kernel> Shell<'_, K> {
    /// Runs the lines of `input` until its end, or until one ends the run; the exit status.
    ///
    /// Of a long input the kernel works on one piece while the next is parsed.
    pub(super) fn restore(&mut self, input: &mut dyn Input) -> u8 {
        let hands = Mutex::new(Hands { kernel: &mut *self.kernel, err: &mut *self.err });
        let (program, strict) = (self.program, self.strict);
        let (names, out) = (&mut *self.names, &mut *self.out);
        scope(|scope| {
            let (pending, helper, status, over) = (Packed::default(), None, 0, false);
            let mut run = Run { program, strict, names, out, scope, hands: &hands, helper, pending, status, over };
            let behind = run.read(input);
            if behind > 0 {
                input.give_back(behind);
            }
            run.status
        })
    }
}

/// What only one at a time can have.
struct Hands<'a, K> {
    kernel: &'a mut K,
    err: &'a mut (dyn Write + Send),
}

impl<K: Kernel> Hands<'_, K> {
    fn carry_out(&mut self, changes: &mut Packed) -> u8 {
        let results = self.kernel.change_packed(changes);
        tell(self.err, changes.changes(), results)
    }
}

/// Another thread, which carries out piece after piece until nobody hands it any more.
struct Helper {
    work: SyncSender<Packed>,
    /// The status of the last change of each piece, and the memory it was in.
    done: Receiver<(u8, Packed)>,
    /// Pieces handed over and not yet seen done.
    under_way: usize,
}

impl Helper {
    /// `None` if no thread is to be had.
    fn start<'scope, 'env, K: Kernel>(
        scope: &'scope Scope<'scope, 'env>,
        hands: &'env Mutex<Hands<'env, K>>,
    ) -> Option<Self> {
        let (work, pieces) = sync_channel::<Packed>(WAITING);
        let (report, done) = channel();
        let carry_out = move || {
            for mut piece in pieces {
                let status = lock(hands).carry_out(&mut piece);
                piece.clear();
                if report.send((status, piece)).is_err() {
                    break;
                }
            }
        };
        Builder::new().spawn_scoped(scope, carry_out).ok()?;
        Some(Self { work, done, under_way: 0 })
    }
}

struct Run<'scope, 'env, 'a, K> {
    program: &'a [u8],
    strict: bool,
    names: &'a mut dyn Names,
    out: &'a mut dyn Write,
    scope: &'scope Scope<'scope, 'env>,
    hands: &'env Mutex<Hands<'env, K>>,
    /// Started for the first whole piece.
    helper: Option<Helper>,
    /// Changes read and not yet handed over.
    pending: Packed,
    /// Of the last line.
    status: u8,
    over: bool,
}

impl<'env, K: Kernel> Run<'_, 'env, '_, K> {
    /// How many bytes were read that are behind the end of the run.
    fn read(&mut self, input: &mut dyn Input) -> usize {
        let mut buffer = vec![0; READ_AT_ONCE];
        let (mut start, mut end) = (0, 0);
        while !self.over {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            if buffer.len() < end + READ_AT_ONCE {
                buffer.resize(end + READ_AT_ONCE, 0);
            }
            let count = match input.read(&mut buffer[end..end + READ_AT_ONCE]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(count) => count,
                Err(_) => 0,
            };
            if count == 0 {
                let line = &buffer[..end];
                // ipvsadm loses a last line that ends in two blanks.
                let blanks = line.iter().rev().take_while(|b| is_blank(**b)).count();
                if blanks < 2 {
                    self.line(line);
                }
                self.flush();
                self.over = true;
            }
            // As much as a pipe holds, too: whoever wrote it is not waiting for an answer.
            let full = count == READ_AT_ONCE;
            let mut fresh = end;
            end += count;
            while let Some(length) = buffer[fresh..end].iter().position(|&byte| byte == b'\n') {
                self.line(&buffer[start..fresh + length]);
                fresh += length + 1;
                start = fresh;
                if self.over {
                    return end - start;
                }
            }
            if end - start > LONGEST_LINE {
                self.too_long();
            } else if full {
                self.hand_over();
            } else {
                self.flush();
            }
        }
        // Of a line without an end nothing is kept.
        0
    }

    fn too_long(&mut self) {
        self.complain(&Usage::from("line of standard input is too long"));
        self.over = true;
    }

    fn line(&mut self, line: &[u8]) {
        if line.len() > LONGEST_LINE {
            return self.too_long();
        }
        let words = words(line);
        if words.is_empty() {
            return;
        }
        match parse(&words, self.strict, self.names) {
            Ok(Command::Change(change)) => {
                self.pending.push(change);
                let piece = if self.helper.is_none() { FIRST_PIECE } else { PIECE };
                if self.pending.changes().len() == piece {
                    self.hand_over();
                }
            }
            Ok(command) => {
                self.flush();
                self.status = {
                    let mut hands = self.hands();
                    let Hands { kernel, err, .. } = &mut *hands;
                    let (kernel, err): (&mut K, &mut (dyn Write + Send)) = (kernel, err);
                    let (names, out) = (&mut *self.names, &mut *self.out);
                    Shell { program: self.program, strict: self.strict, kernel, names, out, err }.carry_out(&command)
                };
                let ended = matches!(command, Command::Help | Command::Version | Command::Restore);
                self.over = ended || self.status != 0;
            }
            Err(usage) => {
                self.complain(&usage);
                self.over = !matches!(usage, Usage::Option { .. });
            }
        }
    }

    fn complain(&mut self, usage: &Usage) {
        self.flush();
        let _ = usage.write(self.program, self.hands().err);
        self.status = usage.status();
    }

    /// Has what is pending carried out while more input is read.
    fn hand_over(&mut self) {
        if self.pending.changes().is_empty() {
            return;
        }
        if self.helper.is_none() {
            self.helper = Helper::start(self.scope, self.hands);
        }
        let Some(helper) = &mut self.helper else { return self.flush() };
        let mut spare = Packed::default();
        while let Ok((status, piece)) = helper.done.try_recv() {
            helper.under_way -= 1;
            (self.status, spare) = (status, piece);
        }
        match helper.work.send(std::mem::replace(&mut self.pending, spare)) {
            Ok(()) => helper.under_way += 1,
            // It has panicked, which the end of the scope does as well.
            Err(_) => self.over = true,
        }
    }

    /// Carries out what is pending, after all that was handed over.
    fn flush(&mut self) {
        self.settle();
        if !self.pending.changes().is_empty() {
            self.status = lock(self.hands).carry_out(&mut self.pending);
            self.pending.clear();
        }
    }

    /// Waits for what was handed over.
    fn settle(&mut self) {
        let Some(helper) = &mut self.helper else { return };
        while helper.under_way > 0 {
            match helper.done.recv() {
                Ok((status, _)) => self.status = status,
                Err(_) => return self.over = true,
            }
            helper.under_way -= 1;
        }
    }

    fn hands(&self) -> MutexGuard<'env, Hands<'env, K>> {
        lock(self.hands)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tokens of a line but for `ipvsadm`.
fn words(line: &[u8]) -> Vec<&[u8]> {
    // A line of a saved table has seven to nine.
    let mut words = Vec::with_capacity(10);
    let mut start = 0;
    for (at, &byte) in line.iter().enumerate() {
        if is_blank(byte) {
            add(&mut words, &line[start..at]);
            start = at + 1;
        }
    }
    add(&mut words, &line[start..]);
    words
}

/// Adds what ipvsadm makes of a token: pieces, if it is long, of which each ends at a NUL.
fn add<'a>(words: &mut Vec<&'a [u8]>, token: &'a [u8]) {
    if token.len() > LONGEST_TOKEN {
        return token.chunks(LONGEST_TOKEN).for_each(|piece| add(words, piece));
    }
    let word = if token.contains(&0) { token.split(|&byte| byte == 0).next().unwrap_or_default() } else { token };
    // Of a token that begins with a NUL an empty word is left.
    if !token.is_empty() && word != b"ipvsadm" {
        words.push(word);
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}
