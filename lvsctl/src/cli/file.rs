//! A table as a file, in the words of `ipvsadm -S`: `-A` and `-a` lines, and `#` for comments.
//!
//! Unlike `-R` it is read whole before anything is done, and every mistake is told with its line.

use std::path::Path;

use super::bag::parse;
use super::command::Command;
use crate::diag::{Diagnostic, Severity};
use crate::ipvs::text::Names;
use crate::ipvs::{Change, Table, apply_to};

/// Reads a table; what is not in it should not be in the kernel either.
///
/// # Errors
/// Every line that cannot be used.
pub(super) fn read(path: &Path, text: &str, names: &mut dyn Names) -> Result<Table, Vec<Diagnostic>> {
    let mut table = Table::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        let words = words.strip_prefix(&[b"ipvsadm".as_slice()]).unwrap_or(&words);
        if words.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if let Err(message) = add(&mut table, words, names) {
            let from = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
            let to = line.trim_end().chars().count() + 1;
            mistakes.push(Diagnostic {
                severity: Severity::Error,
                path: path.to_owned(),
                line: number,
                columns: from..to,
                source: line.to_owned(),
                message,
                help: None,
            });
        }
    }
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}

fn add(table: &mut Table, words: &[&[u8]], names: &mut dyn Names) -> Result<(), String> {
    let command = parse(words, false, names).map_err(|usage| usage.text())?;
    let Command::Change(change @ (Change::AddService(..) | Change::AddDestination(..))) = command else {
        return Err("a table is made of -A and -a lines".to_owned());
    };
    apply_to(table, &change).map_err(|refusal| match (&change, refusal.0) {
        (Change::AddService(key, _), _) => format!("{key} is there already"),
        (Change::AddDestination(key, at, _), libc::EEXIST) => format!("{key} has the real server {at} already"),
        (Change::AddDestination(key, ..), _) => format!("no line above this one adds {key}"),
        (other, errno) => format!("cannot {other}: {}", std::io::Error::from_raw_os_error(errno)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::ServiceKey;
    use crate::ipvs::text::Numeric;

    #[test]
    fn a_table_is_read_with_its_comments() {
        let text = "# web\n-A -t 10.0.0.1:80 -s rr\n\n  ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1 -m -w 3\n";
        let table = read(Path::new("table"), text, &mut Numeric).expect("nothing is wrong");
        let service = &table[&ServiceKey::tcp(([10, 0, 0, 1], 80).into())];
        assert_eq!(service.service.scheduler.as_str(), "rr");
        let weights: Vec<_> = service.destinations.iter().map(|(at, d)| (at.to_string(), d.weight)).collect();
        assert_eq!(weights, [("10.1.0.1:80".to_owned(), 3)]);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text =
            "-A -t 10.0.0.1:80\n -A -t 10.0.0.1:80 \n-a -t 10.0.0.2:80 -r 10.1.0.1\n-C\n-A -t x:80\nfoo\n-A -q\n";
        let mistakes = read(Path::new("table"), text, &mut Numeric).expect_err("six lines are wrong");
        let told: Vec<_> = mistakes.iter().map(|m| format!("{}:{:?} {}", m.line, m.columns, m.message)).collect();
        assert_eq!(
            told,
            [
                "2:2..19 tcp 10.0.0.1:80 is there already",
                "3:1..30 no line above this one adds tcp 10.0.0.2:80",
                "4:1..3 a table is made of -A and -a lines",
                "5:1..11 illegal virtual server address[:port] specified",
                "6:1..4 this is no command of ipvsadm",
                "7:1..6 -q: unknown option",
            ]
        );
    }
}
