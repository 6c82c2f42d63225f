//! The command line against recorded runs of the real ipvsadm, with a kernel in memory.
//!
//! What only a real kernel can answer is left to `tests/compat/run`, which replays all cases in the lab.

mod files;
mod model;
mod vectors;

use std::path::Path;
use std::process::Command;

use lvs::cli::Shell;
use model::{Files, Model};
use vectors::{Case, Input, Step, cases, difference, transcript};

/// Interfaces, addresses and traffic are what a model has not.
fn needs_a_machine(case: &Case) -> bool {
    let shell = |step: &Step| match step {
        Step::SetUp(command) => ["ip ", "nc ", "/dev/udp"].iter().any(|word| command.contains(word)),
        Step::Run(_) => false,
    };
    case.bare || case.steps.iter().any(shell)
}

struct Replay<'a> {
    kernel: Model,
    names: Files,
    directory: &'a Path,
}

impl Replay<'_> {
    fn ipvsadm(&mut self, words: &[Vec<u8>], mut input: &[u8]) -> (u8, Vec<u8>, Vec<u8>) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut shell = Shell {
            program: b"ipvsadm",
            strict: false,
            kernel: &mut self.kernel,
            names: &mut self.names,
            out: &mut out,
            err: &mut err,
        };
        let status = shell.run(&words, &mut input);
        (status, out, err)
    }

    /// Set-up lines that run ipvsadm run it here; the others are the shell's.
    fn set_up(&mut self, command: &str) {
        if let Some(pipe) = command.strip_prefix("ipvsadm -Sn ") {
            let (_, saved, _) = self.ipvsadm(&[b"-Sn".to_vec()], b"");
            match pipe.split_once(' ') {
                Some((">", file)) => std::fs::write(self.directory.join(file), saved).expect("it can be written"),
                Some(("|", "cmp - saved")) => {
                    let before = std::fs::read(self.directory.join("saved")).expect("it was saved");
                    assert_eq!(String::from_utf8_lossy(&saved), String::from_utf8_lossy(&before));
                }
                _ => panic!("no such set-up: {command}"),
            }
        } else {
            let status = Command::new("bash").args(["-c", command]).current_dir(self.directory).status();
            assert!(status.expect("bash runs").success(), "{command}");
        }
    }

    fn case(mut self, case: &Case) -> String {
        let mut text = String::new();
        for step in &case.steps {
            match step {
                Step::SetUp(command) => self.set_up(command),
                Step::Run(run) => {
                    let input = match &run.input {
                        Input::Text(text) => text.clone(),
                        Input::File(file) => std::fs::read(self.directory.join(file)).expect("it was written"),
                    };
                    let (status, out, err) = self.ipvsadm(&run.words, &input);
                    text += &transcript(&run.line, status.into(), &out, &err);
                }
            }
        }
        text
    }
}

#[test]
fn ipvsadm_answers_as_recorded() {
    let (lab, here): (Vec<Case>, Vec<Case>) = cases().into_iter().partition(needs_a_machine);
    assert_eq!((here.len(), lab.len()), (65, 14), "a case was added or lost");
    let differences = here.iter().filter_map(|case| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let replay = Replay { kernel: Model::new(), names: Files::new(), directory: directory.path() };
        difference(&case.expected, &replay.case(case)).map(|text| format!("=== {}\n{text}", case.name))
    });
    let differences: Vec<String> = differences.collect();
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), here.len(), differences.concat());
}

#[test]
fn a_difference_is_found_and_shown() {
    let expected = "$ -L\nexit 0\nout|a\n$ -S\nexit 0\n";
    assert_eq!(difference(expected, expected), None);
    let got = "$ -L\nexit 0\nout|a \n$ -S\nexit 0\n";
    let shown = "--- expected\n$ -L\nexit 0\nout|a\n--- got\n$ -L\nexit 0\nout|a \n";
    assert_eq!(difference(expected, got).as_deref(), Some(shown));
}

#[test]
fn connections_are_compared_without_their_order_and_time() {
    let rows = "IPVS connection entries\nheading\nUDP 04:59  b 10.0.0.1:80\nIP  119:58 a\n";
    let stable =
        "$ -Lc\nexit 0\nout|IPVS connection entries\nout|heading\nout|IP  000:00 a\nout|UDP 00:00  b 10.0.0.1:80\n";
    assert_eq!(transcript("-Lc", 0, rows.as_bytes(), b""), stable);
}
