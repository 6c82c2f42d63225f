//! Standard output and error as a C program has them.

use std::io::{self, IsTerminal, Write};

use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

/// What glibc collects for a file or a pipe before it writes, bytes.
const BLOCK: usize = 4096;

/// Ends the process with the signal when nobody reads any more. Rust's programs begin with the signal
/// ignored, and a shell with `pipefail` would see a success.
pub(super) struct Pipe<W>(pub(super) W);

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(end)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(end)
    }
}

fn end(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // It cannot fail for a signal that there is, and if it did the error would be ignored like any other.
        let _ = emulate_default_handler(SIGPIPE);
    }
}

/// Standard output: by lines to a terminal, else in whole blocks and the rest at the end. So it is seen
/// whether a message on standard error comes before or behind what is listed.
pub(super) struct Output<W: Write> {
    to: Pipe<W>,
    /// Less than a block; `None` for a terminal.
    rest: Option<Vec<u8>>,
}

/// Standard output without std's buffer, which cuts a listing at the last end of a line.
pub(super) struct Standard;

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output<Standard> {
    pub(super) fn standard() -> Self {
        let terminal = io::stdout().is_terminal();
        let rest = if terminal { None } else { Some(Vec::with_capacity(BLOCK)) };
        Self { to: Pipe(Standard), rest }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(rest) = &mut self.rest else { return self.to.write(bytes) };
        if rest.len() + bytes.len() <= BLOCK {
            rest.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let (first, behind) = bytes.split_at(BLOCK - rest.len());
        rest.extend_from_slice(first);
        let (blocks, last) = behind.split_at(behind.len() - behind.len() % BLOCK);
        // What cannot be written is lost: the listing goes on, and ends well.
        let _ = self.to.write_all(rest).and_then(|()| self.to.write_all(blocks)).and_then(|()| self.to.flush());
        rest.clear();
        rest.extend_from_slice(last);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(rest) = &mut self.rest {
            let written = self.to.write_all(rest);
            rest.clear();
            written?;
        }
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each write by itself.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_is_kept_back_until_a_block_is_full() {
        let mut output = Output { to: Pipe(Writes::default()), rest: Some(Vec::new()) };
        let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        for piece in [&text[..100], &text[100..4096], &text[4096..4097], &text[4097..9999], &text[9999..]] {
            output.write_all(piece).expect("nothing fails");
        }
        let lengths = |output: &Output<Writes>| output.to.0.0.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&output), [4096, 4096], "nothing before there is more than a block");
        output.flush().expect("nothing fails");
        assert_eq!(lengths(&output), [4096, 4096, 1808]);
        assert_eq!(output.to.0.0.concat(), text);
    }
}
