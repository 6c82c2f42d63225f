//! The original's verdicts on the recorded configurations (tests/vectors/ldirectord).

use std::path::{Path, PathBuf};

use ldirectord::config::{self, Fixed, Services};
use lvs::diag::{Diagnostic, Severity};

/// Where ours deliberately accepts what the original refuses (the README beside the vectors).
const ACCEPTED_HERE: [&str; 3] =
    ["16-reject-blank-line-in-section", "19-reject-bare-virtual-at-eof", "20-reject-hash-inside-quotes"];

/// Where ours deliberately refuses what the original takes for something else.
const REFUSED_HERE: [&str; 1] = ["13-vip-without-port-is-a-mark"];

fn vectors() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ldirectord");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "cf"))
        .collect();
    files.sort();
    files
}

/// What the vectors' README says the machine must know.
fn machine() -> Fixed {
    let services = "http 80/tcp www\nhttps 443/tcp\ndomain 53/tcp\ndomain 53/udp\nsip 5060/tcp\nsip 5060/udp\n\
                    http-alt 8080/tcp\ntftp 69/udp\n";
    Fixed {
        hosts: [("localhost".to_owned(), vec!["127.0.0.1".parse().unwrap()])].into(),
        services: Services::parse(services),
        host_name: "lvs1".to_owned(),
        search_domains: Vec::new(),
        missing: Vec::new(),
    }
}

fn errors(found: &[Diagnostic]) -> Vec<&Diagnostic> {
    found.iter().filter(|d| d.severity == Severity::Error).collect()
}

#[test]
fn every_vector_is_accepted_or_refused_as_by_the_original_and_at_the_same_line() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 25);
    for path in vectors {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let expected = std::fs::read_to_string(path.with_extension("expected")).unwrap();
        let mut expected = expected.lines();
        let accepted = expected.next() == Some("exit: 0");
        let result = config::load(&path, &std::fs::read(&path).unwrap(), &machine());
        if REFUSED_HERE.contains(&name) {
            assert_eq!(errors(&result.expect_err(name)).len(), 1, "{name}");
        } else if accepted || ACCEPTED_HERE.contains(&name) {
            assert!(result.is_ok(), "{name}: {}", result.unwrap_err()[0]);
        } else {
            let found = result.expect_err(name);
            let [error] = errors(&found)[..] else { panic!("{name}: {found:#?}") };
            let ours = format!("at line {}: {}", error.line, error.message);
            let theirs = expected.next().unwrap();
            assert!(ours.starts_with(theirs), "{name}:\n  {ours}\n  {theirs}");
        }
    }
}
