//! Looks for configurations that the original ldirectord and ours judge differently. Started by tests/compat/ldirectord/run.
//!
//! Both read each file to the end of what they look at: the original by `status`, ours by `check`. A file is accepted or
//! refused, and where the original names the line of its first mistake, ours has to name the same one.

mod deviations;
mod generate;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use deviations::Deviation;

/// So many files that are judged differently are shown.
const ENOUGH: usize = 10;

/// The signal of a clock that original.pl sets.
const ALARM: i32 = -14;

/// What was said about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Its mistakes; none if it was accepted. The original tells only one.
    pub refused: Option<Vec<Mistake>>,
    /// The program was still at it when its time was over.
    pub endless: bool,
}

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its line from 1, if it was named.
    pub line: Option<usize>,
    /// What was said about it.
    pub words: String,
}

impl Judgement {
    fn agrees(&self, ours: &Self) -> bool {
        if self.endless || ours.endless {
            return false;
        }
        match (&self.refused, &ours.refused) {
            (None, None) => true,
            (Some(theirs), Some(own)) => match (theirs.first(), own.first()) {
                // It does not name a line for what it finds after the last one.
                (Some(Mistake { line: Some(line), .. }), Some(own)) => own.line == Some(*line),
                _ => true,
            },
            _ => false,
        }
    }
}

/// The two programs and where their file is.
struct Judges {
    original: Original,
    ours: PathBuf,
    file: PathBuf,
}

/// The original, its modules loaded once.
struct Original {
    program: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Original {
    fn start(program: &str) -> Result<Self, String> {
        let mut command = Command::new("perl");
        command.args(["-e", include_str!("original.pl")]).env("LC_ALL", "C").env("HOSTNAME", "lvs1");
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("perl: {error}"))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("perl has no pipes".to_owned());
        };
        Ok(Self { program: program.to_owned(), child, questions, answers: BufReader::new(answers) })
    }

    /// Exit status and standard error of `FILE status`.
    fn ask(&mut self, file: &Path) -> Result<(i32, String), String> {
        let asked = writeln!(self.questions, "{} {}", self.program, file.display());
        asked.map_err(|error| format!("{}: {error}", self.program))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| format!("{}: {error}", self.program))?;
        let code = answer.strip_prefix("exit: ").and_then(|code| code.trim().parse().ok());
        let said = fs::read(file.with_extension("cf.err")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((code.ok_or_else(|| format!("{} said {answer:?}: {said}", self.program))?, said))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Judges {
    fn judge(&mut self, text: &[u8]) -> Result<[Judgement; 2], String> {
        fs::write(&self.file, text).map_err(|error| format!("{}: {error}", self.file.display()))?;
        let original = self.original.ask(&self.file)?;
        let mut command = Command::new(&self.ours);
        command.arg("check").arg(&self.file).stdin(Stdio::null()).env("LC_ALL", "C").env("HOSTNAME", "lvs1");
        let output = command.output().map_err(|error| format!("{}: {error}", self.ours.display()))?;
        let ours = (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned());
        // The original says 3 when it does not run, which it does not.
        Ok([judgement(original, 3)?, judgement(ours, 0)?])
    }

    /// How they differ on this file, if they do, and whether they are allowed to.
    fn differ(&mut self, text: &[u8]) -> Result<Option<Difference>, String> {
        let [original, ours] = self.judge(text)?;
        if original.agrees(&ours) {
            return Ok(None);
        }
        let deviation = deviations::find(text, &original, &ours);
        Ok(Some(Difference { original, ours, deviation }))
    }

    /// The least of its lines that are judged as differently and as unexpectedly.
    fn minimise(&mut self, text: &[u8]) -> Result<Vec<u8>, String> {
        let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let mut at = 0;
        while at < lines.len() {
            let without = [&lines[..at], &lines[at + 1..]].concat();
            let differ = self.differ(&without.concat())?;
            if differ.is_some_and(|difference| difference.deviation.is_none()) {
                lines = without;
            } else {
                at += 1;
            }
        }
        Ok(lines.concat())
    }
}

struct Difference {
    original: Judgement,
    ours: Judgement,
    deviation: Option<&'static Deviation>,
}

/// Exit status, or the negative number of a signal, and standard error; given the status of a file that is right.
fn judgement((code, said): (i32, String), right: i32) -> Result<Judgement, String> {
    match code {
        2 => Ok(Judgement { refused: Some(mistakes(&said)), endless: false }),
        ALARM => Ok(Judgement { refused: None, endless: true }),
        code if code == right => Ok(Judgement { refused: None, endless: false }),
        other => Err(format!("exit status {other}: {said}")),
    }
}

/// The lines `Error [4711] reading file X at line 7: invalid check timeout`.
fn mistakes(said: &str) -> Vec<Mistake> {
    let lines = said.lines().filter(|line| line.starts_with("Error ["));
    let mistake = |line: &str| {
        let after = line.split_once(" at line ").map_or(line, |(_, rest)| rest);
        match after.split_once(": ") {
            Some((number, words)) if number.parse::<usize>().is_ok() => {
                Mistake { line: number.parse().ok(), words: words.to_owned() }
            }
            _ => Mistake { line: None, words: line.to_owned() },
        }
    };
    lines.map(mistake).collect()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers =
        words.get(2).zip(words.get(3)).and_then(|(seed, time)| Some((seed.parse().ok()?, time.parse().ok()?)));
    let ([original, ours, ..], Some((seed, seconds))) = (&words[..], numbers) else {
        eprintln!("usage: hunt-ldirectord ORIGINAL OURS SEED SECONDS");
        return ExitCode::from(64);
    };
    let file = PathBuf::from("/etc/ha.d/hunt.cf");
    let hunted = Original::start(original).and_then(|original| {
        let mut judges = Judges { original, ours: ours.into(), file };
        hunt(&mut judges, seed, Duration::from_secs(seconds))
    });
    match hunted {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            println!("breaks off: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Goes through seeds until the time is over; how many files were judged differently.
fn hunt(judges: &mut Judges, first: u64, time: Duration) -> Result<usize, String> {
    let end = Instant::now() + time;
    let (mut seed, mut differ) = (first, 0);
    let mut accepted: BTreeMap<&str, u64> = BTreeMap::new();
    while differ < ENOUGH && (seed == first || Instant::now() < end) {
        let text = generate::file(seed);
        match judges.differ(&text)? {
            None => {}
            Some(Difference { deviation: Some(deviation), .. }) => *accepted.entry(deviation.name).or_default() += 1,
            Some(_) => {
                differ += 1;
                let least = judges.minimise(&text)?;
                println!("=== seed {seed}\n{}", String::from_utf8_lossy(&least));
                if let Some(Difference { original, ours, .. }) = judges.differ(&least)? {
                    println!("--- original: {original:?}\n--- ours: {ours:?}");
                }
            }
        }
        seed += 1;
    }
    for (name, count) in accepted {
        println!("    {count} by the accepted deviation \"{name}\": {}", deviations::reason(name));
    }
    let files = seed - first;
    println!("{} passed, {differ} failed, 0 skipped: files judged by both", files - differ as u64);
    Ok(differ)
}
