//! Large tables: lvsctl beside the real ipvsadm, in turn, on one kernel.

use crate::median::median;
use lab::{Cluster, LAN, Node, Plan, Result};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many services, and servers of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape(u32, u32);

pub const SHAPES: [Shape; 3] = [Shape(100, 100), Shape(1, 10_000), Shape(1000, 10)];

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.0, self.1)
    }
}

impl Shape {
    /// What `-R` reads.
    fn lines(self) -> String {
        let mut text = String::new();
        for service in 0..self.0 {
            let [_, _, a, b] = service.to_be_bytes();
            let _ = writeln!(text, "-A -t 10.200.{a}.{b}:80 -s rr");
            for server in 0..self.1 {
                let [_, _, c, d] = server.to_be_bytes();
                let _ = writeln!(text, "-a -t 10.200.{a}.{b}:80 -r 10.{}.{c}.{d}:80 -m -w 1", 1 + service % 50);
            }
        }
        text
    }
}

const RANDOMIZE: &str = "/proc/sys/kernel/randomize_va_space";

/// Lines of the input with which each program does everything once before it is measured.
const REHEARSED: usize = 1000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    Restore,
    List,
    /// `lvsctl apply` of the table with one weight changed, beside `ipvsadm -Ln`.
    Apply,
    /// Peak memory of `-Ln`, KiB.
    Memory,
}

/// Seconds, or KiB: ours and theirs, in the order of the runs.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<(Work, Shape), [Vec<f64>; 2]>);

impl Figures {
    fn note(&mut self, work: Work, shape: Shape, whose: usize, figure: f64) {
        self.0.entry((work, shape)).or_default()[whose].push(figure);
    }
}

/// The kernel's mitigations of processor vulnerabilities, on which the time of a system call depends.
pub fn mitigations() -> String {
    let said = |name| {
        let path = format!("/sys/devices/system/cpu/vulnerabilities/{name}");
        fs::read_to_string(path).map_or_else(|_| format!("{name}: unknown\n"), |state| format!("{name}: {state}"))
    };
    ["meltdown", "spectre_v2"].map(said).concat()
}

/// Measures everything once.
pub fn run(ours: &str, theirs: &str, figures: &mut Figures) -> Result<()> {
    for shape in SHAPES {
        let machines = Plan::default().plug("ours", LAN, &["192.168.60.130/24"]);
        let machines = machines.plug("theirs", LAN, &["192.168.60.131/24"]);
        let machines = machines.plug("rehearsal", LAN, &["192.168.60.132/24"]);
        let cluster = Cluster::new(machines.plug("rehearsal2", LAN, &["192.168.60.133/24"]))?;
        let (input, changed, few) =
            (Path::new("/tmp/bulk"), Path::new("/tmp/bulk.changed"), Path::new("/tmp/bulk.few"));
        let lines = shape.lines();
        let last = lines.trim_end().strip_suffix('1').unwrap_or(&lines);
        write(input, &lines)?;
        write(changed, &format!("{last}2\n"))?;
        write(few, &lines.split_inclusive('\n').take(REHEARSED).collect::<String>())?;
        let whose = [("ours", "rehearsal", ours), ("theirs", "rehearsal2", theirs)];
        for (whose, (node, rehearsal, program)) in whose.into_iter().enumerate() {
            // The scheduler's module, the program from disk, and what an emulator has to translate once.
            let rehearsal = cluster.node(rehearsal);
            timed(rehearsal, program, &["-R"], Some(few))?;
            timed(rehearsal, program, &["-Ln"], None)?;
            let node = cluster.node(node);
            let restored = timed(node, program, &["-R"], Some(input))?;
            figures.note(Work::Restore, shape, whose, restored.as_secs_f64());
            let listed = timed(node, program, &["-Ln"], None)?.as_secs_f64();
            figures.note(Work::List, shape, whose, listed);
            figures.note(Work::Memory, shape, whose, peak(node, program)?);
            if whose == 0 {
                timed(rehearsal, program, &["apply", "/tmp/bulk.few"], None)?;
                let applied = timed(node, program, &["apply", "/tmp/bulk.changed"], None)?;
                figures.note(Work::Apply, shape, 0, applied.as_secs_f64());
                // Against our own listing.
                figures.note(Work::Apply, shape, 1, listed);
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| failed(&format!("write {}", path.display()), source))
}

fn failed(what: &str, source: io::Error) -> lab::Error {
    lab::Error::Io { what: what.to_owned(), source }
}

/// From the start of the program to its end.
fn timed(node: &Node, program: &str, arguments: &[&str], input: Option<&Path>) -> Result<Duration> {
    let what = format!("run {program} {}", arguments.join(" "));
    let ran = node.in_network(|| -> io::Result<(Duration, bool)> {
        let input = input.map_or(Ok(Stdio::null()), |path| File::open(path).map(Stdio::from))?;
        let mut command = Command::new(program);
        // Both are called what people call it, but for the verbs that only one has.
        if arguments.first().is_some_and(|word| word.starts_with('-')) {
            command.arg0("ipvsadm");
        }
        command.args(arguments).stdin(input).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        // "apply" says with 3 that it has changed something.
        Ok((start.elapsed(), matches!(status.code(), Some(0 | 3))))
    })?;
    match ran {
        Ok((took, true)) => Ok(took),
        Ok((_, false)) => Err(failed(&what, io::Error::other("it failed"))),
        Err(error) => Err(failed(&what, error)),
    }
}

/// The most memory that `-Ln` had at a time, KiB, as time(1) is told by the kernel. With addresses at random, as everywhere
/// but in the lab: which pages of its file a program touches depends on where they are.
fn peak(node: &Node, program: &str) -> Result<f64> {
    let what = "measure the memory of -Ln";
    let usual = fs::read_to_string(RANDOMIZE).map_err(|source| failed(what, source))?;
    let changed = usual.trim() != "2";
    if changed {
        write(Path::new(RANDOMIZE), "2")?;
    }
    let output = node.in_network(|| {
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M", program, "-Ln"]).stdin(Stdio::null()).stdout(Stdio::null()).output()
    });
    if changed {
        write(Path::new(RANDOMIZE), &usual)?;
    }
    let said = output?.map_err(|error| failed(what, error))?.stderr;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    said.parse().map_err(|_| failed(what, io::Error::other(said)))
}

/// What should be reached, as a ratio, and what counts as better.
fn target(work: Work, shape: Shape) -> Option<(f64, &'static str)> {
    match (work, shape) {
        (Work::Restore, Shape(100, 100)) => Some((15.0, "at least 15")),
        (Work::Restore, Shape(1, _)) => Some((3.0, "at least 3")),
        (Work::List, Shape(100, 100) | Shape(1000, 10)) => Some((2.5, "at least 2.5")),
        (Work::Apply, _) => Some((0.5, "more than 0.5")),
        (Work::Memory, Shape(1, _)) => Some((1.0, "at least 1")),
        _ => None,
    }
}

/// Medians as a table in Markdown.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| Work | Table | lvsctl | ipvsadm 1.31 | ipvsadm to lvsctl | Wanted |\n|---|---|---|---|---|---|"
        )?;
        for (&(work, shape), [ours, theirs]) in &self.0 {
            let (Some(ours), Some(theirs)) = (median(ours.iter().copied()), median(theirs.iter().copied())) else {
                continue;
            };
            let (name, unit) = match work {
                Work::Restore => ("`-R`", "s"),
                Work::List => ("`-Ln`", "s"),
                Work::Apply => ("`apply` of one change beside lvsctl's own `-Ln`", "s"),
                Work::Memory => ("peak memory of `-Ln`", "KiB"),
            };
            let digits = if unit == "s" { 3 } else { 0 };
            let ratio = theirs / ours;
            let wanted = match target(work, shape) {
                Some((least, words)) if ratio < least => format!("{words}: missed"),
                Some((_, words)) => words.to_owned(),
                None => String::new(),
            };
            writeln!(
                f,
                "| {name} | {shape} | {ours:.digits$} {unit} | {theirs:.digits$} {unit} | {ratio:.2} | {wanted} |"
            )?;
        }
        Ok(())
    }
}
