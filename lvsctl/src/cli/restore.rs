//! `ipvsadm -R`: one command a line, all in one process (spec/ipvs.md A.11).
//!
//! Changes are kept back and sent to the kernel together, at the latest before more input is waited for;
//! whoever writes a line and waits sees it carried out. What is printed, and in which order, is as if
//! each line had been run by itself.

use std::io::Read;

use super::command::{Command, Usage};
use super::kernel::Kernel;
use super::run::Shell;
use crate::ipvs::Change;

const READ_AT_ONCE: usize = 64 * 1024;
/// What is longer is several tokens, bytes (spec/ipvs.md A.11).
const LONGEST_TOKEN: usize = 4096;
/// Longest line, bytes. No command comes near it.
const LONGEST_LINE: usize = 64 * 1024;

impl<K: Kernel> Shell<'_, K> {
    /// Runs the lines of `input` until its end, or until one ends the run; the exit status.
    pub(super) fn restore(&mut self, input: &mut dyn Read) -> u8 {
        let mut run = Run { pending: Vec::new(), status: 0, over: false };
        let mut buffer = vec![0; READ_AT_ONCE];
        let (mut start, mut end) = (0, 0);
        while !run.over {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            if buffer.len() < end + READ_AT_ONCE {
                buffer.resize(end + READ_AT_ONCE, 0);
            }
            self.flush(&mut run);
            let count = match input.read(&mut buffer[end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Ok(count) => count,
                Err(_) => 0,
            };
            if count == 0 {
                let line = &buffer[..end];
                // ipvsadm loses a last line that ends in two blanks.
                let blanks = line.iter().rev().take_while(|b| is_blank(**b)).count();
                if blanks < 2 {
                    self.line(line, &mut run);
                }
                self.flush(&mut run);
                run.over = true;
            }
            let fresh = end..end + count;
            end += count;
            let newlines = buffer[fresh.clone()].iter().zip(fresh).filter(|&(&b, _)| b == b'\n').map(|(_, at)| at);
            for newline in newlines {
                self.line(&buffer[start..newline], &mut run);
                start = newline + 1;
                if run.over {
                    break;
                }
            }
            if end - start > LONGEST_LINE {
                self.flush(&mut run);
                run.status = self.complain(&Usage::from("line of standard input is too long"));
                run.over = true;
            }
        }
        run.status
    }

    fn line(&mut self, line: &[u8], run: &mut Run) {
        let tokens = line.split(|&b| is_blank(b)).flat_map(|token| token.chunks(LONGEST_TOKEN));
        // To ipvsadm a token ends at a NUL.
        let tokens = tokens.map(|token| token.split(|&b| b == 0).next().unwrap_or_default());
        let words: Vec<&[u8]> = tokens.filter(|token| !token.is_empty() && *token != b"ipvsadm").collect();
        if words.is_empty() {
            return;
        }
        match self.parse(&words) {
            Ok(Command::Change(change)) => run.pending.push(change),
            Ok(command) => {
                self.flush(run);
                run.status = self.carry_out(&command);
                let ended = matches!(command, Command::Help | Command::Version | Command::Restore);
                run.over = ended || run.status != 0;
            }
            Err(usage) => {
                self.flush(run);
                run.status = self.complain(&usage);
                run.over = !matches!(usage, Usage::Option { .. });
            }
        }
    }

    fn flush(&mut self, run: &mut Run) {
        if !run.pending.is_empty() {
            run.status = self.change(&run.pending);
            run.pending.clear();
        }
    }
}

struct Run {
    /// Changes read and not yet sent.
    pending: Vec<Change>,
    /// Of the last line.
    status: u8,
    over: bool,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}
