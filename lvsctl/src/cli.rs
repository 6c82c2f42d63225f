//! The command line: ipvsadm's, byte for byte, and verbs of our own.
//!
//! Which of them is meant is told by `argv[0]`: `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore` are
//! what they are called. Under any other name a first argument that begins with `-` is ipvsadm's
//! grammar, and anything else is a verb.
//!
//! ipvsadm's part is pure down to [`Shell`]: words become a [`Command`], a command asks a [`Kernel`], and
//! what the kernel says becomes text. So it is tested without a kernel.

mod address;
mod bag;
mod check;
mod command;
mod help;
mod kernel;
mod message;
mod names;
mod number;
mod options;
mod output;
mod popt;
mod restore;
mod run;
mod verbs;

pub use bag::parse;
pub use command::{Command, List, Services, Usage};
pub use kernel::{Errno, Kernel};
pub use names::System;
pub use restore::Input;
pub use run::Shell;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{self, ExitCode};

use socket2::{Domain, Socket, Type};

use crate::ipvs::Change;
use crate::netlink::ipvs::{Client, OpenError};
use output::{Output, Pipe};
use restore::StandardInput;

/// The largest input of `ipvsadm-restore`, bytes: it is read whole before the table is flushed.
const LARGEST_INPUT: u64 = 256 * 1024 * 1024;
/// The kernel has no IPVS, or we may not talk to it.
const NO_IPVS: u8 = 2;

/// Runs the program under the name and with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&[u8]> = arguments.iter().map(|word| word.as_bytes()).collect();
    let (&program, words) = words.split_first().unwrap_or((&b"ipvsadm".as_slice(), &[]));
    let status = match (base_name(program), words.first()) {
        (b"ipvsadm", _) => ipvsadm(program, |shell| shell.run(words, &mut StandardInput)),
        (b"ipvsadm-save", _) => save(program, words),
        (b"ipvsadm-restore", _) => restore(),
        (_, Some(word)) if word.starts_with(b"-") => ipvsadm(program, |shell| shell.run(words, &mut StandardInput)),
        _ => verbs::run(&arguments),
    };
    ExitCode::from(status)
}

fn base_name(program: &[u8]) -> &[u8] {
    program.rsplit(|&b| b == b'/').next().unwrap_or(program)
}

/// Opens the kernel interface, which comes before everything else, and does what is asked with it.
fn ipvsadm(program: &[u8], run: impl FnOnce(&mut Shell<'_, Client>) -> u8) -> u8 {
    let (mut out, mut err) = (Output::standard(), Pipe(io::stderr()));
    let mut kernel = match open() {
        Ok(kernel) => kernel,
        Err(errno) => {
            let text = message::general(errno);
            let _ = writeln!(err, "Can't initialize ipvs: {text}");
            let _ = writeln!(err, "Are you sure that IP Virtual Server is built in the kernel or as module?");
            return NO_IPVS;
        }
    };
    let strict = ["POSIXLY_CORRECT", "POSIX_ME_HARDER"].into_iter().any(|name| std::env::var_os(name).is_some());
    let names = &mut System::default();
    let status = run(&mut Shell { program, strict, kernel: &mut kernel, names, out: &mut out, err: &mut err });
    let _ = out.flush();
    status
}

/// Whatever the first attempt fails for, modprobe is run once, and says itself why it cannot help. Who may not open
/// a raw socket, the older interface, is told that, and not that there is no IPVS.
fn open() -> Result<Client, Errno> {
    let error = match Client::connect() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let loaded = process::Command::new("/sbin/modprobe").args(["--", "ip_vs"]).status();
    if loaded.is_ok_and(|status| status.success()) {
        return Client::connect().map_err(|error| error.errno());
    }
    if !matches!(error, OpenError::NoIpvs) {
        return Err(error.errno());
    }
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(libc::IPPROTO_RAW.into()));
    Err(raw.err().and_then(|error| error.raw_os_error()).unwrap_or(error.errno()))
}

/// `ipvsadm-save [-n]`.
fn save(program: &[u8], words: &[&[u8]]) -> u8 {
    if words.iter().any(|word| word.starts_with(b"-") && *word != b"-n") {
        let _ = Pipe(io::stderr()).write_all(&help::save(base_name(program)));
        return 1;
    }
    let numeric = words.contains(&b"-n".as_slice());
    ipvsadm(b"ipvsadm", |shell| shell.carry_out(&Command::Save { numeric }))
}

fn unread(why: &str) -> u8 {
    let _ = writeln!(io::stderr(), "ipvsadm-restore: {why}; nothing was changed");
    NO_IPVS
}

/// `ipvsadm-restore`: the table is flushed, then the lines that do not begin with `#` are run.
fn restore() -> u8 {
    let mut input = Vec::new();
    match io::stdin().lock().take(LARGEST_INPUT + 1).read_to_end(&mut input) {
        Ok(count) if u64::try_from(count).is_ok_and(|count| count <= LARGEST_INPUT) => {}
        Ok(_) => {
            let why = format!("standard input is larger than {LARGEST_INPUT} bytes");
            return unread(&why);
        }
        Err(error) => {
            return unread(&format!("cannot read standard input: {error}"));
        }
    }
    if let Some(at) = input.iter().position(|&b| b == 0) {
        // The script flushes the table all the same, since its grep gives it nothing of such a file.
        let line = 1 + input[..at].iter().filter(|&&b| b == b'\n').count();
        return unread(&format!("standard input is no saved table: line {line} has a zero byte"));
    }
    let lines = input.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#"));
    let mut kept = lines.collect::<Vec<_>>().join(&b'\n');
    kept.push(b'\n');
    // Two runs, as of the script that this stands for: each says by itself why it cannot do anything.
    ipvsadm(b"ipvsadm", |shell| shell.carry_out(&Command::Change(Change::Flush)));
    ipvsadm(b"ipvsadm", |shell| shell.run(&[b"-R"], &mut kept.as_slice()))
}
