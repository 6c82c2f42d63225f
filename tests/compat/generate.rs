//! Command lines that nobody wrote down, from a seed: most of them make sense, some nearly do.

mod options;
mod values;

use std::net::{IpAddr, Ipv4Addr};

use lvs::cli::Command;
use lvs::ipvs::Protocol;
use lvs::ipvs::text::Names;

use crate::chance::Chance;
use options::*;
use values::{JUNK, choose, value};

/// A few runs that follow one another on one table.
pub type Sequence = Vec<Attempt>;

/// One run of the program.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Under which of its names.
    pub name: &'static str,
    /// The arguments; none has a NUL in it.
    pub words: Vec<Vec<u8>>,
    /// Standard input.
    pub input: Source,
    /// `POSIXLY_CORRECT` is set.
    pub strict: bool,
}

/// Where standard input comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Text(Vec<u8>),
    /// What the run before wrote to standard output.
    Before,
}

struct Piece {
    spelling: Spelling,
    value: Option<Vec<u8>>,
}

/// What comes back again and again within a sequence, so that something is found when it is changed.
struct Habits {
    services: Vec<(Spelling, Vec<u8>, bool)>,
    servers: Vec<Vec<u8>>,
    /// Every line is one that `-R` does not end at.
    tame: bool,
}

/// The sequence of a seed.
pub fn sequence(seed: u64) -> Sequence {
    let chance = &mut Chance::new(seed);
    let services = (0..chance.between((1, 4))).map(|_| service(chance)).collect();
    let servers = (0..chance.between((1, 5))).map(|_| value(Takes::Server, 3, chance)).collect();
    let habits = Habits { services, servers, tame: chance.percent(70) };
    let mut sequence = Sequence::new();
    if chance.percent(80) {
        // Something to change and to list.
        let text = setting_up(&habits, chance);
        sequence.push(Attempt { input: Source::Text(text), ..plain(&["-R"]) });
    }
    for _ in 0..chance.between((2, 7)) {
        let attempt = attempt(&habits, chance);
        sequence.push(attempt);
    }
    sequence.push(plain(&[*chance.pick(&["-Ln", "-Ln --nosort", "-Sn", "-L --tun-info", "-L", "-S"])]));
    if chance.percent(30) {
        sequence.push(plain(&[*chance.pick(&["-L --daemon", "-L --timeout", "-Ln --thresholds", "-C"])]));
        if chance.percent(50) {
            sequence.push(Attempt { input: Source::Before, ..plain(&["-R"]) });
            sequence.push(plain(&["-Ln --persistent-conn"]));
        }
    }
    sequence
}

/// Lines that add each of the usual services with some of the usual servers.
fn setting_up(habits: &Habits, chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    for service in &habits.services {
        for server in std::iter::once(None).chain(habits.servers.iter().map(Some)) {
            let words = accepted(chance, |chance| {
                let mut pieces = vec![bare(if server.is_none() { ADD } else { ADD_SERVER })];
                pieces.push(Piece { spelling: service.0, value: Some(service.1.clone()) });
                pieces.extend(service.2.then_some(bare(SIX)));
                let options = if let Some(server) = server {
                    pieces.push(Piece { spelling: SERVER, value: Some(server.clone()) });
                    pieces.push(bare(*chance.pick(&METHODS)));
                    OF_SERVERS.as_slice()
                } else {
                    &OF_SERVICES
                };
                for &option in options {
                    if chance.percent(30) {
                        pieces.push(with(option, chance));
                    }
                }
                spelled(pieces, chance)
            });
            text.extend(words.join(&b' '));
            text.push(b'\n');
        }
    }
    text
}

/// What `make` makes until it is a command line that makes sense, or not after many times.
fn accepted(chance: &mut Chance, make: impl Fn(&mut Chance) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for _ in 0..40 {
        let words = make(chance);
        let view: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let command = lvs::cli::parse(&view, false, &mut AnyName);
        if command.is_ok_and(|command| !matches!(command, Command::Help | Command::Version | Command::Restore)) {
            return words;
        }
    }
    make(chance)
}

/// A name service that knows every name.
struct AnyName;

impl Names for AnyName {
    fn host(&mut self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&mut self, _: u16, _: Protocol) -> Option<String> {
        None
    }

    fn address(&mut self, _: &str) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::LOCALHOST)
    }

    fn port(&mut self, _: &str, _: Protocol) -> Option<u16> {
        Some(80)
    }
}

fn plain(line: &[&str]) -> Attempt {
    let words = line.iter().flat_map(|words| words.split(' ')).map(|word| word.as_bytes().to_vec()).collect();
    Attempt { name: "ipvsadm", words, input: Source::Text(Vec::new()), strict: false }
}

fn attempt(habits: &Habits, chance: &mut Chance) -> Attempt {
    let strict = chance.percent(4);
    let (name, words, input) = match chance.below(100) {
        0..45 => ("ipvsadm", words(habits, chance), Source::Text(Vec::new())),
        45..88 => {
            let words = if chance.percent(90) { vec![b"-R".to_vec()] } else { spelled(vec![bare(RESTORE)], chance) };
            ("ipvsadm", words, Source::Text(lines(habits, chance)))
        }
        88..92 => ("ipvsadm", plain(&["-S -n"]).words, Source::Text(Vec::new())),
        92..94 => ("ipvsadm", plain(&["-R"]).words, Source::Before),
        94..96 => (
            "ipvsadm-save",
            plain(&[*chance.pick(&["-n", "-n x", "x", "-x", "-n -n"])]).words,
            Source::Text(Vec::new()),
        ),
        96..98 => {
            // Of a file with a zero byte the original flushes the table and restores nothing; ours refuses it.
            let text = lines(habits, chance).into_iter().filter(|&byte| byte != 0);
            ("ipvsadm-restore", Vec::new(), Source::Text(text.collect()))
        }
        _ => ("ipvsadm", Vec::new(), Source::Text(Vec::new())),
    };
    Attempt { name, words, input, strict }
}

/// Input of `-R`.
fn lines(habits: &Habits, chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..chance.between((1, 12)) {
        let mut words =
            if habits.tame { accepted(chance, |chance| words(habits, chance)) } else { words(habits, chance) };
        if chance.percent(5) {
            words.insert(0, b"ipvsadm".to_vec());
        }
        if !habits.tame && chance.percent(2) {
            words.push(b"#".to_vec());
        }
        let odd = !habits.tame && chance.percent(3);
        for word in words {
            text.extend((odd && chance.percent(20)).then_some(0));
            text.extend(word);
            text.extend(odd.then(|| *chance.pick(b"\0\x0b\x0c\"'")));
            text.extend(if chance.percent(95) { " " } else { *chance.pick(&["\t", "  ", "\r", " \t"]) }.bytes());
        }
        if chance.percent(60) {
            text.pop();
        }
        text.extend(
            if chance.percent(95) { "\n" } else { *chance.pick(&["\r\n", "\n\n", "", " \n", "\n#\n", "\n \n"]) }
                .bytes(),
        );
    }
    if chance.percent(10) {
        text.pop();
    }
    text
}

fn bare(spelling: Spelling) -> Piece {
    Piece { spelling, value: None }
}

fn with(spelling: Spelling, chance: &mut Chance) -> Piece {
    let left_out = spelling.2 == Takes::Nothing || spelling.2 == Takes::Seconds && chance.percent(30);
    Piece { spelling, value: if left_out { None } else { Some(value(spelling.2, 8, chance)) } }
}

/// One command line behind `argv[0]`.
fn words(habits: &Habits, chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut pieces = command(habits, chance);
    let mut junk = None;
    if chance.percent(18) {
        for _ in 0..chance.between((1, 2)) {
            let at = chance.below(pieces.len() as u64 + 1) as usize;
            match chance.below(5) {
                0 if !pieces.is_empty() => drop(pieces.remove(at.min(pieces.len() - 1))),
                1 if !pieces.is_empty() => {
                    let from = &pieces[at.min(pieces.len() - 1)];
                    let copy = Piece { spelling: from.spelling, value: from.value.clone() };
                    pieces.push(copy);
                }
                2 | 3 => {
                    let other = any(chance);
                    pieces.insert(at, with(other, chance));
                }
                _ => junk = Some(choose(JUNK, chance).into()),
            }
        }
    }
    let mut words = spelled(pieces, chance);
    if let Some(junk) = junk {
        words.insert(chance.below(words.len() as u64 + 1) as usize, junk);
    }
    if !words.is_empty() && !habits.tame && chance.percent(6) {
        let word = chance.below(words.len() as u64) as usize;
        garble(&mut words[word], chance);
    }
    words
}

/// Changes one byte, adds one or takes one away.
fn garble(word: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(word.len() as u64 + 1) as usize;
    let byte = *chance.pick(b"-=:[],. 0129aAx/%\\'#\t\xe9\xff");
    match chance.below(3) {
        0 => word.insert(at, byte),
        1 if at < word.len() => word[at] = byte,
        _ if at < word.len() => drop(word.remove(at)),
        _ => word.push(byte),
    }
}

fn any(chance: &mut Chance) -> Spelling {
    let commands = [
        ADD,
        EDIT,
        DELETE,
        CLEAR,
        LIST,
        LIST_TOO,
        ZERO,
        ADD_SERVER,
        EDIT_SERVER,
        DELETE_SERVER,
        SAVE,
        RESTORE,
        SET,
        START,
        STOP,
        HELP,
        VERSION,
        SERVER,
        SIX,
    ];
    let all: [&[Spelling]; 8] =
        [&commands, &SERVICES, &OF_SERVICES, &METHODS, &OF_SERVERS, &OF_TUNNELS, &OF_LISTINGS, &OF_DAEMONS];
    let some = *chance.pick(&all);
    *chance.pick(some)
}

fn command(habits: &Habits, chance: &mut Chance) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let verb = match chance.below(100) {
        0..24 => ADD,
        24..32 => EDIT,
        32..36 => DELETE,
        36..58 => ADD_SERVER,
        58..66 => EDIT_SERVER,
        66..70 => DELETE_SERVER,
        70..80 => *chance.pick(&[LIST, LIST_TOO]),
        80..83 => SAVE,
        83..86 => ZERO,
        86..89 => SET,
        89..94 => START,
        94..96 => STOP,
        96..98 => CLEAR,
        _ => *chance.pick(&[HELP, VERSION, CLEAR, RESTORE]),
    };
    let some = |options: &[Spelling], percent, pieces: &mut Vec<Piece>, chance: &mut Chance| {
        for &option in options {
            if chance.percent(percent) {
                pieces.push(with(option, chance));
            }
        }
    };
    match verb.1 {
        "add-service" | "edit-service" => {
            same_service(habits, &mut pieces, chance);
            some(&OF_SERVICES, 22, &mut pieces, chance);
        }
        "delete-service" => same_service(habits, &mut pieces, chance),
        "add-server" | "edit-server" => {
            same_service(habits, &mut pieces, chance);
            same_server(habits, &mut pieces, chance);
            let method = *chance.pick(&METHODS);
            if chance.percent(75) {
                pieces.push(bare(method));
            }
            some(&OF_SERVERS, 25, &mut pieces, chance);
            if chance.percent(if method == IPIP { 70 } else { 2 }) {
                tunnel(&mut pieces, chance);
            }
        }
        "delete-server" => {
            same_service(habits, &mut pieces, chance);
            same_server(habits, &mut pieces, chance);
        }
        "list" => {
            if chance.percent(20) {
                same_service(habits, &mut pieces, chance);
            }
            some(&OF_LISTINGS[1..2], 60, &mut pieces, chance);
            some(&OF_LISTINGS, 9, &mut pieces, chance);
        }
        "save" => some(&[NUMERIC], 60, &mut pieces, chance),
        "zero" if chance.percent(50) => same_service(habits, &mut pieces, chance),
        "start-daemon" => {
            if chance.percent(85) {
                pieces.push(with(OF_DAEMONS[0], chance));
            }
            some(&OF_DAEMONS[1..], 25, &mut pieces, chance);
        }
        "stop-daemon" => some(&OF_DAEMONS[..2], 20, &mut pieces, chance),
        _ => {}
    }
    if chance.percent(15) {
        for at in (1..pieces.len()).rev() {
            pieces.swap(at, chance.below(at as u64 + 1) as usize);
        }
    }
    pieces.insert(0, with(verb, chance));
    if verb == SET {
        // Words that are no options are its arguments.
        let count = if chance.percent(90) { 3 } else { chance.below(5) };
        for _ in 0..count {
            let seconds = value(Takes::Seconds, 10, chance);
            pieces.push(Piece { spelling: ("", "", Takes::Seconds), value: Some(seconds) });
        }
    }
    pieces
}

fn service(chance: &mut Chance) -> (Spelling, Vec<u8>, bool) {
    let spelling = SERVICES[[0, 0, 0, 1, 1, 2, 3][chance.below(7) as usize]];
    (spelling, value(spelling.2, 3, chance), spelling.2 == Takes::Mark && chance.percent(40))
}

fn same_service(habits: &Habits, pieces: &mut Vec<Piece>, chance: &mut Chance) {
    let (spelling, value, six) =
        if chance.percent(92) { chance.pick(&habits.services).clone() } else { service(chance) };
    pieces.push(Piece { spelling, value: Some(value) });
    if six {
        pieces.push(bare(SIX));
    }
}

fn same_server(habits: &Habits, pieces: &mut Vec<Piece>, chance: &mut Chance) {
    let server =
        if chance.percent(90) { chance.pick(&habits.servers).clone() } else { value(Takes::Server, 10, chance) };
    pieces.push(Piece { spelling: SERVER, value: Some(server) });
}

/// Mostly what belongs together.
fn tunnel(pieces: &mut Vec<Piece>, chance: &mut Chance) {
    let kind = value(Takes::Tunnel, 4, chance);
    let gue = kind == b"gue";
    let checksum = *chance.pick(if gue { &OF_TUNNELS[2..] } else { &OF_TUNNELS[2..4] });
    let plain = kind == b"ipip";
    pieces.push(Piece { spelling: OF_TUNNELS[0], value: Some(kind) });
    if chance.percent(if gue { 95 } else { 4 }) {
        pieces.push(with(OF_TUNNELS[1], chance));
    }
    if chance.percent(if plain { 4 } else { 70 }) {
        pieces.push(bare(checksum));
    }
    if chance.percent(4) {
        let more = *chance.pick(&OF_TUNNELS);
        pieces.push(with(more, chance));
    }
}

/// Options as popt takes them, in any of their forms.
fn spelled(pieces: Vec<Piece>, chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    // Whether the last word is letters that more can be put behind.
    let mut open = false;
    for Piece { spelling: (short, long, _), value } in pieces {
        let was_open = std::mem::take(&mut open);
        if long.is_empty() {
            words.extend(value);
            continue;
        }
        let brief = !short.is_empty() && chance.percent(75);
        match (brief, was_open && chance.percent(40), words.last_mut()) {
            (true, true, Some(cluster)) => cluster.extend(short.bytes()),
            (true, ..) => words.push([b"-", short.as_bytes()].concat()),
            (false, ..) => words.push([b"--", long.as_bytes()].concat()),
        }
        let Some(value) = value else {
            open = brief;
            if chance.percent(1) {
                words.last_mut().expect("one was added").extend(*b"=1");
            }
            continue;
        };
        match chance.below(10) {
            0 if brief => words.last_mut().expect("one was added").extend(value),
            1 | 2 => words.last_mut().expect("one was added").extend([b"=".as_slice(), &value].concat()),
            _ => words.push(value),
        }
    }
    words
}
