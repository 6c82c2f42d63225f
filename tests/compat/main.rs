//! The command line against recorded runs of the real ipvsadm, with a kernel in memory.
//!
//! What only a real kernel can answer is left to `tests/compat/run`, which replays all cases in the lab.

mod files;
mod model;
mod vectors;

use std::cell::RefCell;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use lvs::cli::{self, Shell};
use lvs::ipvs::ServiceKey;
use proptest::collection::vec;
use proptest::prelude::*;

use model::{Files, Model};
use vectors::{Case, Input, Step, cases, difference, transcript};

/// Interfaces, addresses and traffic are what a model has not.
fn needs_a_machine(case: &Case) -> bool {
    let shell = |step: &Step| match step {
        Step::SetUp(command) => ["ip ", "nc ", "/dev/udp", "ipvsadm -R;"].iter().any(|word| command.contains(word)),
        Step::Run(_) => false,
    };
    case.bare || case.steps.iter().any(shell)
}

struct Replay<'a> {
    kernel: Model,
    names: Files,
    directory: &'a Path,
    /// Standard input comes in pieces of this size, bytes.
    piece: usize,
}

struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl cli::Input for Pieces<'_> {}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.size.min(buffer.len());
        self.rest.read(&mut buffer[..size])
    }
}

impl Replay<'_> {
    fn ipvsadm(&mut self, words: &[Vec<u8>], input: &[u8]) -> (u8, Vec<u8>, Vec<u8>) {
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
        let status = shell.run(&words, &mut Pieces { rest: input, size: self.piece });
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

fn all(piece: usize) {
    let (lab, here): (Vec<Case>, Vec<Case>) = cases().into_iter().partition(needs_a_machine);
    assert_eq!((here.len(), lab.len()), (77, 17), "a case was added or lost");
    let differences = here.iter().filter_map(|case| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let replay = Replay { kernel: Model::new(), names: Files::new(), directory: directory.path(), piece };
        difference(&case.expected, &replay.case(case)).map(|text| format!("=== {}\n{text}", case.name))
    });
    let differences: Vec<String> = differences.collect();
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), here.len(), differences.concat());
}

#[test]
fn ipvsadm_answers_as_recorded() {
    all(usize::MAX);
}

#[test]
fn it_does_not_matter_how_standard_input_arrives() {
    all(1);
    all(7);
}

/// Counts what the kernel is asked, and looks at what is there before more input comes.
#[test]
fn a_line_is_carried_out_before_the_next_is_waited_for() {
    struct Conversation<'a> {
        lines: Vec<&'a [u8]>,
        seen: &'a RefCell<Vec<usize>>,
        changes: &'a AtomicUsize,
    }
    impl cli::Input for Conversation<'_> {}
    impl Read for Conversation<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.seen.borrow_mut().push(self.changes.load(Ordering::Relaxed));
            if self.lines.is_empty() { Ok(0) } else { self.lines.remove(0).read(buffer) }
        }
    }
    let changes = AtomicUsize::new(0);
    let seen = RefCell::new(Vec::new());
    let mut kernel = model::Counting { model: Model::new(), changes: &changes, requests: 0 };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let lines: Vec<&[u8]> = vec![
        b"-A -t 10.0.0.1:80\n",
        b"-a -t 10.0.0.1:80 -r 10.1.0.1\n-a -t 10.0.0.1:80 -r 10.1.0.2\n-a -t 10.0.0.1:",
        b"80 -r 10.1.0.3\n",
    ];
    let mut shell = Shell {
        program: b"ipvsadm",
        strict: false,
        kernel: &mut kernel,
        names: &mut Files::new(),
        out: &mut out,
        err: &mut err,
    };
    let status = shell.run(&[b"-R"], &mut Conversation { lines, seen: &seen, changes: &changes });
    assert_eq!((status, seen.take(), kernel.requests), (0, vec![0, 1, 3, 4], 3));
}

/// What came before the service whose servers the kernel does not list is shown, and nothing behind it.
#[test]
fn a_listing_ends_where_the_kernel_breaks_it_off() {
    let mut kernel = Model::new();
    let mut run = |words: &[&[u8]], mut input: &[u8]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let names = &mut Files::new();
        let kernel = &mut kernel;
        let mut shell = Shell { program: b"ipvsadm", strict: false, kernel, names, out: &mut out, err: &mut err };
        let status = shell.run(words, &mut input);
        kernel.unlisted = Some(ServiceKey::tcp(([10, 0, 0, 20], 80).into()));
        (status, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    };
    let line = |n| format!("-A -t 10.0.0.{n}:80\n-a -t 10.0.0.{n}:80 -r 10.1.0.{n}\n");
    let table: String = (1..=40).map(line).collect();
    assert_eq!(run(&[b"-R"], table.as_bytes()), (0, String::new(), String::new()));
    for words in [[b"-L".as_slice(), b"-n"], [b"-S", b"-n"]] {
        let (status, out, err) = run(&words, b"");
        assert_eq!((status, err.as_str()), (1, "Memory allocation problem\n"));
        assert!(
            out.contains("10.1.0.19:80") && !out.contains("10.0.0.21:80") && !out.contains("10.1.0.20:80"),
            "{out}"
        );
    }
}

/// While the kernel works on one piece of a long input the next is read. What is told, and in which order, is as if
/// each line came by itself.
#[test]
fn a_long_input_is_carried_out_as_if_it_came_line_by_line() {
    let servers = |from: u16, to: u16| -> String {
        let line = |port| format!("-a -t 10.0.0.1:80 -r 10.1.0.1:{port} -m\n");
        (from..to).map(line).collect()
    };
    // The kernel refuses a thousand servers, and ten more behind a listing. Then a line that ends the run, and more.
    let twice = servers(1, 4000) + &servers(3000, 6000);
    let input =
        format!("-A -t 10.0.0.1:80\n{twice}-L -n\n{}-a -t nonsense\n{}", servers(5990, 7000), servers(7000, 9000));
    let run = |piece| {
        let directory = Path::new("/nonexistent");
        let mut replay = Replay { kernel: Model::new(), names: Files::new(), directory, piece };
        let told = replay.ipvsadm(&[b"-R".to_vec()], input.as_bytes());
        (told, replay.ipvsadm(&[b"-Sn".to_vec()], b""))
    };
    let (at_once, in_pieces) = (run(usize::MAX), run(50));
    assert!(at_once == in_pieces, "it matters how a long input arrives");
    let ((_, _, complaints), (_, table, _)) = at_once;
    let count = |text: &[u8]| text.split(|&byte| byte == b'\n').count() - 1;
    assert_eq!(
        (count(&complaints), count(&table)),
        (1000 + 10 + 1, 1 + 6999),
        "{}",
        String::from_utf8_lossy(&complaints)
    );
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(
        words in vec(prop_oneof!["-[a-zA-Z6]{1,3}", "--[a-z-]{2,16}(=[a-z0-9]{0,3})?", "[0-9:.\\[\\]a-f/,]{0,12}", ".*"], 0..7),
        input in prop_oneof![
            vec(any::<u8>(), 0..80),
            "((-[AaEeDdLSZCR])( -[turfspMbwxygimno6](( |=)?[0-9:.a-f,-]{0,12})?){0,4}[ \t\r\n]){0,6}".prop_map(String::into_bytes),
        ],
    ) {
        let directory = Path::new("/nonexistent");
        let mut replay = Replay { kernel: Model::new(), names: Files::new(), directory, piece: 16 };
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        for words in [words, vec![b"-R".to_vec()]] {
            let (status, ..) = replay.ipvsadm(&words, &input);
            prop_assert!([0, 1, 2, 255].contains(&status));
        }
    }
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
