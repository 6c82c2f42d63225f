//! Configurations: the recorded ones with slips of the finger, and new ones of directives and values that fit, nearly fit
//! or do not fit.

/// Numbers that look like chance: SplitMix64 by Steele, Lea and Flood.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// The recorded configurations.
const RECORDED: [&str; 25] = [
    include_str!("../../vectors/ldirectord/01-basic-masq.cf"),
    include_str!("../../vectors/ldirectord/02-all-globals.cf"),
    include_str!("../../vectors/ldirectord/03-range-and-service-names.cf"),
    include_str!("../../vectors/ldirectord/04-fwmark.cf"),
    include_str!("../../vectors/ldirectord/05-fwmark-both-families.cf"),
    include_str!("../../vectors/ldirectord/06-ipv6-normalised.cf"),
    include_str!("../../vectors/ldirectord/07-udp-defaults-and-ops.cf"),
    include_str!("../../vectors/ldirectord/08-tcp-and-udp-same-vip.cf"),
    include_str!("../../vectors/ldirectord/09-off-without-quiescent.cf"),
    include_str!("../../vectors/ldirectord/10-off-quiescent-override.cf"),
    include_str!("../../vectors/ldirectord/11-off-readdquiescent.cf"),
    include_str!("../../vectors/ldirectord/12-direct-routing-port-is-forced.cf"),
    include_str!("../../vectors/ldirectord/13-vip-without-port-is-a-mark.cf"),
    include_str!("../../vectors/ldirectord/14-comments-and-spacing.cf"),
    include_str!("../../vectors/ldirectord/15-lenient-values.cf"),
    include_str!("../../vectors/ldirectord/16-reject-blank-line-in-section.cf"),
    include_str!("../../vectors/ldirectord/17-reject-shallow-indent.cf"),
    include_str!("../../vectors/ldirectord/18-reject-duplicate-virtual.cf"),
    include_str!("../../vectors/ldirectord/19-reject-bare-virtual-at-eof.cf"),
    include_str!("../../vectors/ldirectord/20-reject-hash-inside-quotes.cf"),
    include_str!("../../vectors/ldirectord/21-reject-trailing-blank-after-yes.cf"),
    include_str!("../../vectors/ldirectord/22-reject-family-mismatch.cf"),
    include_str!("../../vectors/ldirectord/23-reject-reversed-range.cf"),
    include_str!("../../vectors/ldirectord/24-reject-unquoted-request.cf"),
    include_str!("../../vectors/ldirectord/25-reject-alert-status-mix.cf"),
];

/// What a directive takes.
#[derive(Clone, Copy)]
enum Takes {
    Number,
    YesNo,
    Quoted,
    Word(&'static [&'static str]),
    Fallback,
    Real,
    Mail,
}

const SERVICES: &[&str] = &[
    "dns",
    "ftp",
    "http",
    "https",
    "http_proxy",
    "imap",
    "imaps",
    "ldap",
    "ldaps",
    "nntp",
    "mysql",
    "none",
    "oracle",
    "pop",
    "pops",
    "radius",
    "pgsql",
    "sip",
    "smtp",
    "submission",
    "simpletcp",
    "www",
    "HTTP",
    "",
];
const CHECKS: &[&str] = &[
    "connect",
    "negotiate",
    "ping",
    "off",
    "on",
    "external",
    "external-perl",
    "3",
    "0",
    "N",
    "offf",
    "Connect",
    "-2",
    "",
];
const SCHEDULERS: &[&str] = &["rr", "wrr", "lc", "wlc", "lblc", "sh", "RR", "mh", ""];
const STATUS: &[&str] =
    &["all", "none", "running", "starting,running", "starting, stopping", "all,running", "often", ""];

/// Directives that are allowed before the first section and in it, before it only, and in it only.
const BOTH: &[(&str, Takes)] = &[
    ("checktimeout", Takes::Number),
    ("negotiatetimeout", Takes::Number),
    ("checkcount", Takes::Number),
    ("failurecount", Takes::Number),
    ("checkinterval", Takes::Number),
    ("fallback", Takes::Fallback),
    ("fallback6", Takes::Fallback),
    ("fallbackcommand", Takes::Quoted),
    ("quiescent", Takes::YesNo),
    ("cleanstop", Takes::YesNo),
    ("emailalert", Takes::Mail),
    ("emailalertfreq", Takes::Number),
    ("emailalertstatus", Takes::Word(STATUS)),
    ("smtp", Takes::Word(&["mail.example.com", "192.0.2.25", "\"mail\"", "[::1]", ""])),
    ("timeout", Takes::Number),
    ("connecttimeout", Takes::Number),
];
const GLOBAL: &[(&str, Takes)] = &[
    ("autoreload", Takes::YesNo),
    ("callback", Takes::Quoted),
    ("emailalertfrom", Takes::Mail),
    ("execute", Takes::Word(&["other.cf", "a b", ""])),
    ("fork", Takes::YesNo),
    ("supervised", Takes::YesNo),
    ("supervised", Takes::Word(&["", " "])),
    ("readdquiescent", Takes::YesNo),
    ("maintenancedir", Takes::Word(&["/tmp", "/no/such/directory", ""])),
];
const SECTION: &[(&str, Takes)] = &[
    ("real", Takes::Real),
    ("real", Takes::Real),
    ("real6", Takes::Real),
    ("checktype", Takes::Word(CHECKS)),
    ("service", Takes::Word(SERVICES)),
    ("checkcommand", Takes::Quoted),
    ("checkport", Takes::Number),
    ("request", Takes::Quoted),
    ("receive", Takes::Quoted),
    ("httpmethod", Takes::Word(&["GET", "HEAD", "get", "POST", "\"GET\"", ""])),
    ("virtualhost", Takes::Quoted),
    ("login", Takes::Quoted),
    ("passwd", Takes::Quoted),
    ("database", Takes::Quoted),
    ("secret", Takes::Quoted),
    ("load", Takes::Quoted),
    ("scheduler", Takes::Word(SCHEDULERS)),
    ("schedflags", Takes::Word(&["sh-port", "sh-fallback,sh-port", "flag-1", ""])),
    ("persistent", Takes::Number),
    ("netmask", Takes::Word(&["255.255.255.255", "255.255.255.0", "24", "64", "128", "129", "0", "255.255.255", ""])),
    ("protocol", Takes::Word(&["tcp", "udp", "fwm", "sctp", "TCP", ""])),
    ("ops", Takes::YesNo),
    ("servicename", Takes::Quoted),
    ("comment", Takes::Quoted),
];

const VIRTUALS: &[&str] = &[
    "192.0.2.1:80",
    "192.0.2.1:http",
    "192.0.2.2:53",
    "192.0.2.2:domain",
    "192.0.2.3:65535",
    "192.0.2.3:65536",
    "192.0.2.3:0",
    "localhost:8080",
    "no-such-host.invalid:80",
    "192.0.2.4:nosuchservice",
    "192.0.2.300:80",
    "7",
    "4294967295",
    "4294967296",
    "[2001:db8::1]:80",
    "[2001:db8::g]:80",
    "2001:db8::1:80",
    "1 2",
    "",
];
const REALS: &[&str] = &[
    "192.0.2.10:80 gate",
    "192.0.2.11:80 masq 5",
    "192.0.2.12 ipip",
    "192.0.2.13:http masq 0",
    "192.0.2.14->192.0.2.16:80 masq",
    "192.0.2.16->192.0.2.14:80 masq",
    "192.0.2.9->192.0.2.10 gate 3",
    "localhost->localhost:80 masq",
    "192.0.2.17:80 masq \"index.html\", \"works\"",
    "192.0.2.17:80 masq 3 \"index.html\"",
    "192.0.2.18:80 gate l:3 u:9",
    "192.0.2.18:80 gate 2 u:9 l:3",
    "192.0.2.19:80",
    "192.0.2.19:80 nat",
    "192.0.2.19:80 gate x",
    "192.0.2.19:80 gate -1",
    "192.0.2.19:80 gate 65536",
    "no-such-host.invalid:80 gate",
    "192.0.2.19:nosuchservice gate",
    "192.0.2.19:0 gate",
    "192.0.2.19:65536 masq",
    "[2001:db8::10]:80 gate",
    "[2001:db8::10] masq 2",
    "[2001:db8::10->2001:db8::12]:80 masq",
    "[2001:db8::g]:80 masq",
    "",
];

/// A file. The same for the same seed.
pub fn file(seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed);
    if chance.one_in(2) { slipped(&mut chance) } else { composed(&mut chance) }
}

fn value(takes: Takes, chance: &mut Chance) -> String {
    let number = ["1", "10", "0", "-1", "", "5s", "1.5", "070", "65535", "65536", "99999999999", " 3", "3 ", "x"];
    let quoted =
        ["\"index.html\"", "index.html", "\"\"", "\"a b\"", "\"a", "a\"", "\"a\" b", "'a'", "\"^(x|y)$\"", "\"#\"", ""];
    match takes {
        // Mostly one that is right, or files would be refused at their first line.
        Takes::Number if !chance.one_in(4) => (1 + chance.below(20)).to_string(),
        Takes::Number => chance.pick(&number).to_owned(),
        Takes::YesNo if !chance.one_in(4) => chance.pick(&["yes", "no"]).to_owned(),
        Takes::YesNo => chance.pick(&["YES", "true", "", "yes ", " no", "\"yes\"", "yes no", "n"]).to_owned(),
        Takes::Quoted if !chance.one_in(3) => chance.pick(&quoted[..1]).to_owned(),
        Takes::Quoted => chance.pick(&quoted).to_owned(),
        Takes::Word(words) if !chance.one_in(3) => words[chance.below(words.len().min(2))].to_owned(),
        Takes::Word(words) => chance.pick(words).to_owned(),
        Takes::Fallback => {
            let more = [
                "127.0.0.1:80 gate",
                "127.0.0.1",
                "127.0.0.1:80 masq",
                "[::1]:80",
                "[::1]",
                "localhost:80",
                "127.0.0.1:80 x",
                "",
            ];
            chance.pick(&more).to_owned()
        }
        Takes::Real if !chance.one_in(3) => chance.pick(&REALS[..5]).to_owned(),
        Takes::Real => chance.pick(REALS).to_owned(),
        Takes::Mail => {
            let more = ["\"admin@example.com\"", "admin@example.com", "a@x.y, b@x.y", "admin", "\"admin\"", "a b", ""];
            chance.pick(&more).to_owned()
        }
    }
}

fn directive(of: &[(&str, Takes)], chance: &mut Chance) -> String {
    let (name, takes) = of[chance.below(of.len())];
    let value = value(takes, chance);
    let equals = if chance.one_in(12) { chance.pick(&[" = ", "= ", " =", " ", ""]) } else { "=" };
    format!("{name}{equals}{value}")
}

fn composed(chance: &mut Chance) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..chance.below(4) {
        let of = if chance.one_in(2) { BOTH } else { GLOBAL };
        // A directive of sections, once in a while.
        let of = if chance.one_in(15) { SECTION } else { of };
        text += &directive(of, chance);
        text.push('\n');
    }
    for _ in 0..chance.below(3) {
        let six = if chance.one_in(6) { "6" } else { "" };
        let at = if chance.one_in(3) { chance.pick(VIRTUALS) } else { chance.pick(&VIRTUALS[..3]) };
        text += &format!("virtual{six}={at}\n");
        for _ in 0..=chance.below(5) {
            let indent = if chance.one_in(15) { chance.pick(&["  ", "    ", "     ", " \t", "   "]) } else { "\t" };
            let of = if chance.one_in(3) { BOTH } else { SECTION };
            let of = if chance.one_in(20) { GLOBAL } else { of };
            text += &format!("{indent}{}\n", directive(of, chance));
        }
        if chance.one_in(3) {
            text += chance.pick(&["\n", "# comment\n", "\t# comment\n", " \n"]);
        }
    }
    text.into_bytes()
}

/// A recorded file with a few slips.
fn slipped(chance: &mut Chance) -> Vec<u8> {
    let mut lines: Vec<String> = chance.pick(&RECORDED).lines().map(str::to_owned).collect();
    for _ in 0..=chance.below(2) {
        let at = chance.below(lines.len());
        match chance.below(6) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other: Vec<&str> = chance.pick(&RECORDED).lines().collect();
                lines.insert(at, chance.pick(&other).to_owned());
            }
            3 => lines.insert(at, format!("\t{}", directive(if chance.one_in(2) { BOTH } else { SECTION }, chance))),
            4 => {
                if let Some((name, _)) = lines[at].split_once('=') {
                    let known = BOTH.iter().chain(GLOBAL).chain(SECTION).find(|(known, _)| *known == name.trim());
                    let takes = known.map_or(Takes::Number, |(_, takes)| *takes);
                    lines[at] = format!("{name}={}", value(takes, chance));
                }
            }
            _ => lines[at] = misspelt(&lines[at], chance),
        }
        if lines.is_empty() {
            break;
        }
    }
    let end = if chance.one_in(10) { "" } else { "\n" };
    (lines.join("\n") + end).into_bytes()
}

/// One character too many, too few, or another.
fn misspelt(line: &str, chance: &mut Chance) -> String {
    let mut characters: Vec<char> = line.chars().collect();
    let at = chance.below(characters.len() + 1);
    let other = *[' ', '\t', '"', '=', ':', '#', '-', '0', 'x', ',', '.'].get(chance.below(11)).unwrap_or(&'x');
    match chance.below(3) {
        0 => characters.insert(at, other),
        1 if at < characters.len() => drop(characters.remove(at)),
        _ => {
            if let Some(character) = characters.get_mut(at) {
                *character = other;
            }
        }
    }
    characters.into_iter().collect()
}
