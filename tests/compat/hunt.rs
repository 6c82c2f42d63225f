//! Looks for differences between two programs: both are run on generated command lines, in turn and on the
//! same empty table, and must answer alike to the byte.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lvs::ipvs::{Change, SyncRole, Timeouts};
use lvs::netlink::ipvs::Client;

use crate::Failure;
use crate::generate::{Attempt, Sequence, Source, sequence};

/// Exit status or negative signal, standard output, standard error.
type Answer = (i32, Vec<u8>, Vec<u8>);

/// A program under test; the directory of its wrappers if those are programs of their own.
pub struct Program<'a> {
    pub path: &'a Path,
    pub wrappers: Option<&'a Path>,
}

/// So many sequences that differ are told of.
const ENOUGH: u64 = 10;

/// Compares sequences from the seed `first` on for so long, in the namespaces of this process; the number that differ.
pub fn hunt(original: &Program<'_>, ours: &Program<'_>, first: u64, time: Duration) -> Result<u64, Failure> {
    let end = Instant::now() + time;
    let mut kernel = Client::open()?;
    let (mut differ, mut runs, mut seed) = (0, 0, first);
    while seed == first || Instant::now() < end {
        let found = sequence(seed);
        if differ == ENOUGH {
            return Err(format!("{ENOUGH} sequences differ; those from seed {seed} on were not tried").into());
        }
        runs += found.len();
        if compare(original, ours, &found, &mut kernel)?.is_some() {
            differ += 1;
            let least = minimise(original, ours, found, &mut kernel)?;
            let shown = compare(original, ours, &least, &mut kernel)?;
            println!("=== seed {seed}\n{}", shown.unwrap_or_else(|| "gone when it was looked at again\n".to_owned()));
        }
        seed += 1;
    }
    println!(
        "{} passed, {differ} failed, 0 skipped: sequences of {runs} runs, beside the real ipvsadm",
        seed - first - differ
    );
    Ok(differ)
}

/// The first run that is answered differently, with those before it.
fn compare(
    original: &Program<'_>,
    ours: &Program<'_>,
    sequence: &Sequence,
    kernel: &mut Client,
) -> Result<Option<String>, Failure> {
    let expected = answers(original, sequence, kernel)?;
    let got = answers(ours, sequence, kernel)?;
    let Some(at) = (0..sequence.len()).find(|&at| expected[at] != got[at]) else { return Ok(None) };
    let mut text = String::new();
    for attempt in &sequence[..=at] {
        show(&mut text, attempt);
    }
    for (whose, (status, out, err)) in [("original", &expected[at]), ("ours", &got[at])] {
        let (out, err) = (out.escape_ascii(), err.escape_ascii());
        let lines = format!("--- {whose}: {status}\n{out}\n-\n{err}\n").replace("\\n", "\n");
        text.push_str(&lines);
    }
    Ok(Some(text))
}

fn show(text: &mut String, attempt: &Attempt) {
    let Attempt { name, words, input, strict } = attempt;
    let words: Vec<String> = words.iter().map(|word| format!("'{}'", word.escape_ascii())).collect();
    let strict = if *strict { "POSIXLY_CORRECT=1 " } else { "" };
    let _ = write!(text, "$ {strict}{name} {}", words.join(" "));
    let _ = match input {
        Source::Before => writeln!(text, " <before"),
        Source::Text(input) if input.is_empty() => writeln!(text),
        Source::Text(input) => {
            writeln!(text, " <<\n    {}", input.escape_ascii().to_string().replace("\\n", "\\n\n    "))
        }
    };
}

/// Runs a sequence on an empty table, and leaves one.
fn answers(program: &Program<'_>, sequence: &Sequence, kernel: &mut Client) -> Result<Vec<Answer>, Failure> {
    let mut answers: Vec<Answer> = Vec::new();
    for attempt in sequence {
        let before = answers.last().map_or(b"".as_slice(), |(_, out, _)| out);
        let input = match &attempt.input {
            Source::Before => before,
            Source::Text(text) => text,
        };
        let answer = answer(program, attempt, input)?;
        answers.push(answer);
    }
    let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
    let (master, backup) = (Change::StopDaemon(SyncRole::Master), Change::StopDaemon(SyncRole::Backup));
    let done = kernel.change(&[Change::Flush, Change::SetTimeouts(timeouts), master, backup]);
    // Daemons are mostly not there to be stopped.
    done.into_iter().take(2).collect::<Result<Vec<()>, _>>().map_err(|refusal| format!("not reset: {refusal:?}"))?;
    Ok(answers)
}

fn answer(program: &Program<'_>, attempt: &Attempt, input: &[u8]) -> Result<Answer, Failure> {
    let Attempt { name, words, strict, .. } = attempt;
    let mut command = match program.wrappers {
        Some(wrappers) if *name != "ipvsadm" => Command::new(wrappers.join(name)),
        _ => Command::new(program.path),
    };
    let arg0 = if *name == "ipvsadm" { "ipvsadm".to_owned() } else { format!("/usr/sbin/{name}") };
    command.arg0(arg0).args(words.iter().map(|word| OsStr::from_bytes(word)));
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    if *strict {
        command.env("POSIXLY_CORRECT", "1");
    }
    let mut file = tempfile::tempfile()?;
    file.write_all(input)?;
    file.rewind()?;
    let output = command.stdin(Stdio::from(file)).output()?;
    let status = output.status.code().or(output.status.signal().map(|signal| -signal)).unwrap_or(i32::MIN);
    Ok((status, output.stdout, output.stderr))
}

/// A shorter sequence that differs too: runs, lines and words are left out one by one.
fn minimise(
    original: &Program<'_>,
    ours: &Program<'_>,
    found: Sequence,
    kernel: &mut Client,
) -> Result<Sequence, Failure> {
    let mut least = found;
    let mut at = 0;
    while at < least.len() {
        let fewer = [&least[..at], &least[at + 1..]].concat();
        if compare(original, ours, &fewer, kernel)?.is_some() { least = fewer } else { at += 1 }
    }
    for run in 0..least.len() {
        let Source::Text(text) = &least[run].input else { continue };
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        let mut at = 0;
        while at < lines.len() {
            let fewer = [&lines[..at], &lines[at + 1..]].concat();
            let mut tried = least.clone();
            tried[run].input = Source::Text(fewer.concat());
            if compare(original, ours, &tried, kernel)?.is_some() {
                (least, lines) = (tried, fewer);
            } else {
                at += 1;
            }
        }
    }
    Ok(least)
}
