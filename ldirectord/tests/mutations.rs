//! No text panics the reader, and what it says about a text is consistent.

use std::collections::HashSet;
use std::path::Path;

use ldirectord::config::{self, Fixed, Services};
use lvs::diag::Severity;
use proptest::prelude::*;

fn seeds() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ldirectord");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "cf")).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One slip of the finger.
#[derive(Debug, Clone)]
enum Slip {
    Remove { at: usize, bytes: usize },
    Insert { at: usize, text: Vec<u8> },
    Swap { one: usize, other: usize },
    RepeatLine { at: usize },
}

fn slip() -> impl Strategy<Value = Slip> {
    let place = 0_usize..4096;
    let words: Vec<&str> = vec![
        "\"",
        "#",
        "\t",
        "    ",
        "\n",
        "\r\n",
        "->",
        "[::1]",
        ":",
        ",",
        "=",
        "ü",
        "\u{feff}",
        "\0",
        "4294967296",
        "l:",
        "u:9",
        "virtual=",
        "\n\treal=",
        "\n\treceive=\"(",
        "\n\tservice=sip\n",
        "fwm",
        "192.0.2.1->192.0.2.99",
        "none",
        "\\",
    ];
    prop_oneof![
        (place.clone(), 1_usize..20).prop_map(|(at, bytes)| Slip::Remove { at, bytes }),
        (place.clone(), prop::sample::select(words)).prop_map(|(at, w)| Slip::Insert { at, text: w.into() }),
        (place.clone(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, text)| Slip::Insert { at, text }),
        (place.clone(), place.clone()).prop_map(|(one, other)| Slip::Swap { one, other }),
        place.prop_map(|at| Slip::RepeatLine { at }),
    ]
}

fn made(text: &mut Vec<u8>, slip: &Slip) {
    let within = |at: &usize| at % (text.len() + 1);
    match slip {
        Slip::Remove { at, bytes } => {
            let from = within(at);
            text.drain(from..(from + bytes).min(text.len()));
        }
        Slip::Insert { at, text: new } => {
            let at = within(at);
            text.splice(at..at, new.iter().copied());
        }
        Slip::Swap { one, other } if !text.is_empty() => {
            let (one, other) = (one % text.len(), other % text.len());
            text.swap(one, other);
        }
        Slip::Swap { .. } => {}
        Slip::RepeatLine { at } => {
            let lines: Vec<Vec<u8>> = text.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
            if !lines.is_empty() {
                text.extend(&lines[at % lines.len()]);
            }
        }
    }
}

fn consistent(text: &[u8]) -> Result<(), TestCaseError> {
    let machine = Fixed {
        hosts: [("localhost".to_owned(), vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()])].into(),
        services: Services::parse("http 80/tcp www\nhttps 443/tcp\ndomain 53/udp\n"),
        ..Fixed::default()
    };
    let lines = String::from_utf8_lossy(text).lines().count().max(1);
    let found = match config::load(Path::new("t.cf"), text, &machine) {
        Ok(config::Loaded { config, warnings }) => {
            prop_assert!(warnings.iter().all(|d| d.severity == Severity::Warning));
            let mut keys = HashSet::new();
            for v in &config.virtuals {
                prop_assert!(keys.insert(v.key), "{} twice", v.id());
                let mut places = HashSet::new();
                for real in &v.reals {
                    prop_assert!(places.insert(real.at), "{} twice in {}", real.at, v.id());
                    prop_assert_eq!(real.at.is_ipv4(), v.key.family() == lvs::ipvs::Family::Inet);
                }
            }
            warnings
        }
        Err(found) => {
            prop_assert!(found.iter().any(|d| d.severity == Severity::Error));
            found
        }
    };
    prop_assert!(found.is_sorted_by_key(|d| (d.line, d.columns.start)));
    for d in &found {
        prop_assert!(d.line >= 1 && d.line <= lines, "line {} of {lines}", d.line);
        let length = d.source.chars().count();
        prop_assert!(1 <= d.columns.start && d.columns.start <= d.columns.end && d.columns.end <= length + 1, "{d:?}");
        let shown = config::rendered(d, 1);
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\t' && c != '\n'), "{shown:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn slips_in_recorded_files_are_told_and_panic_nothing(
        seed in prop::sample::select(seeds()),
        slips in prop::collection::vec(slip(), 1..12),
    ) {
        let mut text = seed;
        slips.iter().for_each(|slip| made(&mut text, slip));
        consistent(&text)?;
    }

    #[test]
    fn any_bytes_panic_nothing(text in prop::collection::vec(any::<u8>(), 0..300)) {
        consistent(&text)?;
    }

    #[test]
    fn any_values_of_known_directives_panic_nothing(
        lines in prop::collection::vec(
            "(    )?(virtual6?|real6?|fallback6?|service|checktype|request|receive|login|passwd|netmask|persistent\
             |schedflags|emailalertstatus|virtualhost|checkport|protocol) ?= ?[ -~\u{e4}\t]{0,30}",
            0..12,
        ),
    ) {
        consistent(lines.join("\n").as_bytes())?;
    }
}
