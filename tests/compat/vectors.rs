//! The recorded cases in `tests/vectors/ipvsadm`, whose format is in the README there, and those in `cases` beside
//! this file, which were recorded later.

use std::path::{Path, PathBuf};

/// One case: a list of runs in a network namespace of its own.
pub struct Case {
    /// `05-service-add-delete`.
    pub name: String,
    /// The namespace's `lo` stays down.
    pub bare: bool,
    /// From top to bottom.
    pub steps: Vec<Step>,
    /// What the original answered.
    pub expected: String,
}

/// One line of a case.
pub enum Step {
    /// A shell command whose output is not compared.
    SetUp(String),
    /// A run of ipvsadm.
    Run(Run),
}

/// A run of ipvsadm.
pub struct Run {
    /// As it stands in the file.
    pub line: String,
    /// The arguments.
    pub words: Vec<Vec<u8>>,
    /// Standard input.
    pub input: Input,
}

/// Standard input of a run.
pub enum Input {
    /// Nothing at all, or the lines that followed.
    Text(Vec<u8>),
    /// A file that an earlier set-up line wrote.
    File(String),
}

/// Where the cases are, below this package.
const DIRECTORIES: [&str; 2] = ["vectors/ipvsadm", "compat/cases"];

/// All cases, in the order of their numbers.
pub fn cases() -> Vec<Case> {
    let list = |directory: &str| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        std::fs::read_dir(directory).expect("the cases are part of the repository")
    };
    let paths = DIRECTORIES.into_iter().flat_map(list).map(|file| file.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "cmds")).collect();
    paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    paths.iter().map(|path| case(path)).collect()
}

fn case(path: &Path) -> Case {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (text, expected) = (read(path), read(&path.with_extension("expected")));
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("! ") {
            steps.push(Step::SetUp(command.to_owned()));
        } else if !line.is_empty() && !line.starts_with('#') {
            let (arguments, input) = match line.rsplit_once('<') {
                Some((arguments, tag)) if tag.starts_with('%') || arguments.ends_with('<') => {
                    let (escapes, tag) = (tag.starts_with('%'), tag.trim_start_matches('%'));
                    let text: Vec<&str> = lines.by_ref().take_while(|line| *line != tag).collect();
                    (arguments.trim_end_matches('<'), Input::Text(here(&text, escapes)))
                }
                Some((arguments, file)) => (arguments, Input::File(file.to_owned())),
                None => (line, Input::Text(Vec::new())),
            };
            let words = if line == "." { Vec::new() } else { split(arguments) };
            steps.push(Step::Run(Run { line: line.to_owned(), words, input }));
        }
    }
    Case { name, bare: text.starts_with("#!bare-netns"), steps, expected }
}

fn here(lines: &[&str], escapes: bool) -> Vec<u8> {
    if !escapes {
        return lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into();
    }
    lines.join("\n").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").into()
}

/// Splits like a shell: quotes and backslashes, nothing else.
fn split(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(mark), letter) if letter == mark => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words.into_iter().map(String::into_bytes).collect()
}

/// A run as it is recorded: the line, the exit status and both outputs.
pub fn transcript(line: &str, status: i32, out: &[u8], err: &[u8]) -> String {
    let mut text = format!("$ {line}\nexit {status}\n");
    text += &stream("out", &stable(&String::from_utf8_lossy(out)));
    text += &stream("err", &String::from_utf8_lossy(err));
    text
}

fn stream(name: &str, output: &str) -> String {
    let line = |line: &str| match line.strip_suffix('\n') {
        Some(line) => format!("{name}|{line}\n"),
        None => format!("{name}\\{line}\n"),
    };
    output.split_inclusive('\n').map(line).collect()
}

/// Rows of connections come in the order of a hash, with the time that happens to be left.
fn stable(output: &str) -> String {
    if !output.starts_with("IPVS connection entries\n") {
        return output.to_owned();
    }
    let mut lines: Vec<String> = output.split_inclusive('\n').map(str::to_owned).collect();
    for row in lines.iter_mut().skip(2) {
        let time = row.find(' ').map_or(0, |at| at + 1);
        let time = row[time..].find(|c: char| c != ' ').map_or(time, |at| time + at);
        let end = row[time..].find(' ').map_or(row.len(), |at| time + at);
        let zeros = row[time..end].replace(|c: char| c.is_ascii_digit(), "0");
        row.replace_range(time..end, &zeros);
    }
    lines[2..].sort();
    lines.concat()
}

/// The runs whose record differs, the expected one above the other; `None` if there are none.
pub fn difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let runs = |text: &str| -> Vec<String> {
        let mut runs: Vec<String> = Vec::new();
        for line in text.split_inclusive('\n') {
            match runs.last_mut() {
                Some(run) if !line.starts_with("$ ") => run.push_str(line),
                Some(_) | None => runs.push(line.to_owned()),
            }
        }
        runs
    };
    let (expected, got) = (runs(expected), runs(got));
    let mut text = String::new();
    for at in 0..expected.len().max(got.len()) {
        let side = |runs: &[String]| runs.get(at).cloned().unwrap_or_else(|| "(no such run)\n".to_owned());
        let (expected, got) = (side(&expected), side(&got));
        if expected != got {
            text += &format!("--- expected\n{expected}--- got\n{got}");
        }
    }
    Some(text)
}
