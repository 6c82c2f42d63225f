//! A table file in the words of `ipvsadm -S`: `-A` and `-a` lines, `--set`, `--start-daemon`, and `#` for comments.
//!
//! Unlike `-R` it is read whole before anything is done, and every mistake is told with its line.

use std::path::Path;

use crate::cli::bag::parse;
use crate::cli::command::Command;
use crate::diag::{Diagnostic, Severity};
use crate::ipvs::text::{Names, Numeric};
use crate::ipvs::{Change, apply_to};
use crate::state::lines::{changes, options, to_lines, unspeakable};
use crate::state::values::{self, MIXED_FAMILIES};
use crate::state::{Wanted, role_name};

/// Whether the text is in this form: its first word outside of comments is an option, or `ipvsadm`.
pub(super) fn are_in(text: &str) -> bool {
    let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with('-') || line.split_ascii_whitespace().next() == Some("ipvsadm"))
}

/// Reads a table; what is not in it should not be in the kernel either.
///
/// # Errors
/// Every line that cannot be used.
pub(super) fn read(path: &Path, text: &str, names: &mut dyn Names) -> Result<Wanted, Vec<Diagnostic>> {
    let mut wanted = Wanted::default();
    let mut mistakes = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    // Servers that are wrong only if a daemon is spoken of, be it further down.
    let mut mixed = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        if let Some(comment) = trimmed.strip_prefix('#') {
            above.push(comment.strip_prefix(' ').unwrap_or(comment));
            continue;
        }
        let comment = (!above.is_empty()).then(|| std::mem::take(&mut above).join("\n"));
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        let words = words.strip_prefix(&[b"ipvsadm".as_slice()]).unwrap_or(&words);
        if words.is_empty() {
            // A comment with nothing right below it is about the whole, if it is the first thing in the file.
            if wanted == Wanted::default() {
                wanted.comments.whole = comment;
            }
            continue;
        }
        match add(&mut wanted, words, comment, names) {
            Ok(change) if values::mixes_families(&change) => mixed.push((number, line)),
            Ok(_) => {}
            Err(message) => mistakes.push(mistake(path, number, line, message)),
        }
    }
    if values::runs_daemon(&wanted) {
        let mixed = mixed.into_iter();
        mistakes.extend(mixed.map(|(number, line)| mistake(path, number, line, MIXED_FAMILIES.to_owned())));
        mistakes.sort_by_key(|mistake| mistake.line);
    }
    if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) }
}

fn mistake(path: &Path, number: usize, line: &str, message: String) -> Diagnostic {
    let from = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
    let to = line.trim_end().chars().count() + 1;
    Diagnostic {
        severity: Severity::Error,
        path: path.to_owned(),
        line: number,
        columns: from..to,
        source: line.to_owned(),
        message,
        help: None,
    }
}

/// Takes a line's change into what is wanted.
fn add(wanted: &mut Wanted, words: &[&[u8]], comment: Option<String>, names: &mut dyn Names) -> Result<Change, String> {
    let command = parse(words, false, names).map_err(|usage| usage.text())?;
    if let Command::Change(change) = &command {
        values::check(change)?;
    }
    let change = match command {
        Command::Change(change @ (Change::AddService(..) | Change::AddDestination(..))) => change,
        Command::Change(Change::SetTimeouts(timeouts)) => {
            wanted.timeouts = timeouts.over(wanted.timeouts);
            return Ok(Change::SetTimeouts(timeouts));
        }
        Command::Change(Change::StartDaemon(daemon)) => {
            let daemons = wanted.daemons.get_or_insert_default();
            if daemons.iter().any(|other| other.role == daemon.role) {
                return Err("at most one daemon of each role can run".to_owned());
            }
            daemons.push(daemon.clone());
            return Ok(Change::StartDaemon(daemon));
        }
        _ => return Err("a table is made of -A and -a lines, --set and --start-daemon".to_owned()),
    };
    apply_to(&mut wanted.table, &change).map_err(|refusal| match (&change, refusal.0) {
        (Change::AddService(key, _), _) => format!("{key} is there already"),
        (Change::AddDestination(key, at, _), libc::EEXIST) => format!("{key} has the real server {at} already"),
        (Change::AddDestination(key, ..), _) => format!("no line above this one adds {key}"),
        (other, errno) => format!("cannot {other}: {}", std::io::Error::from_raw_os_error(errno)),
    })?;
    let about = match &change {
        Change::AddService(key, _) => Some((*key, None)),
        Change::AddDestination(key, at, _) => Some((*key, Some(*at))),
        _ => None,
    };
    wanted.comments.entries.extend(about.zip(comment));
    Ok(change)
}

/// The lines of a table, and what would not come back from them as it is, a sentence for each entry. What `-R` would end at is
/// left out.
pub fn write(wanted: &Wanted) -> (String, Vec<String>) {
    let (mut written, mut lost, mut missing) = (Vec::new(), Vec::new(), None);
    for (change, comment) in changes(wanted) {
        let back = match change {
            Change::AddDestination(key, ..) if missing == Some(key) => {
                Back::Never("ipvsadm does not take its service".to_owned())
            }
            _ => comes_back(&change),
        };
        if let Back::Never(why) | Back::Other(why) = &back {
            lost.push(format!("{}: {why}", about(&change)));
        }
        match (back, &change) {
            (Back::Never(_), Change::AddService(key, _)) => missing = Some(*key),
            (Back::Never(_), _) => {}
            (Back::Same | Back::Other(_), _) => written.push((change, comment)),
        }
    }
    (to_lines(wanted.comments.whole.as_deref(), &written), lost)
}

fn about(change: &Change) -> String {
    match change {
        Change::AddService(key, _) => key.to_string(),
        Change::AddDestination(key, at, _) => format!("real server {at} of {key}"),
        Change::SetTimeouts(_) => "the timeouts".to_owned(),
        Change::StartDaemon(daemon) => format!("the {} sync daemon", role_name(daemon.role)),
        other => other.to_string(),
    }
}

/// What becomes of a change that is written as a line and read again.
enum Back {
    Same,
    /// Something else, in words.
    Other(String),
    /// Nothing, in words: the line is an error.
    Never(String),
}

fn comes_back(change: &Change) -> Back {
    let line = options(change);
    let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
    let no_option = unspeakable(change).map(|what| format!("ipvsadm has no option for {what}"));
    match parse(&words, false, &mut Numeric) {
        Ok(Command::Change(back)) if back == *change => match values::check(&back) {
            Ok(()) => Back::Same,
            Err(why) => Back::Never(why),
        },
        Ok(Command::Change(back)) => {
            Back::Other(no_option.unwrap_or_else(|| format!("ipvsadm would read it as \"{}\"", options(&back))))
        }
        Ok(_) => Back::Never(format!("ipvsadm takes \"{line}\" for something else")),
        Err(usage) => Back::Never(no_option.unwrap_or_else(|| format!("ipvsadm does not take it: {}", usage.text()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{
        Destination, Family, Forward, Netmask, Persistence, Protocol, Service, ServiceKey, SyncRole, Timeouts,
        VirtualService,
    };

    #[test]
    fn a_table_is_read_with_its_comments() {
        let text = "# web\n-A -t 10.0.0.1:80 -s rr\n\n  ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1 -m -w 3\n";
        let wanted = read(Path::new("table"), text, &mut Numeric).expect("nothing is wrong");
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let service = &wanted.table[&key];
        assert_eq!(service.service.scheduler.as_str(), "rr");
        let weights: Vec<_> = service.destinations.iter().map(|(at, d)| (at.to_string(), d.weight)).collect();
        assert_eq!(weights, [("10.1.0.1:80".to_owned(), 3)]);
        assert_eq!(wanted.comments.service(&key), Some("web"));
    }

    #[test]
    fn what_is_saved_is_read_back_whole() {
        let text = "\
# of lvs1
# since spring

--set 900 0 300
# the shop
-A -t 10.0.0.1:80 -s sh -p 300 -M 255.255.255.0 -b sh-port
-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 3 -x 20 -y 10
# rack 3
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -i -w 0 --tun-type gue --tun-port 6080 --tun-csum
-A -f 4000000000 -6 -s rr -o
--start-daemon master --mcast-interface eth0 --syncid 7 --mcast-group 224.0.0.81
";
        let wanted = read(Path::new("table"), text, &mut Numeric).expect("nothing is wrong");
        assert_eq!(wanted.comments.whole.as_deref(), Some("of lvs1\nsince spring"));
        assert_eq!(wanted.timeouts, Timeouts { tcp: 900, tcp_fin: 0, udp: 300 });
        assert_eq!(wanted.daemons.as_ref().expect("it speaks of them")[0].role, SyncRole::Master);
        assert_eq!(write(&wanted), (text.to_owned(), vec![]));
    }

    #[test]
    fn what_the_lines_cannot_say_is_told() {
        let web = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let (every, kept) = (ServiceKey::tcp(([10, 0, 0, 1], 0).into()), ServiceKey::tcp(([10, 0, 0, 2], 80).into()));
        let every_port = [(([10, 1, 0, 5], 0).into(), Destination::new(Forward::Masq, 1))];
        let protocol_47 = ServiceKey::Address { protocol: Protocol::Other(47), at: ([10, 0, 0, 1], 0).into() };
        let server = |last, port, forward| (([10, 1, 0, last], port).into(), Destination::new(forward, 1));
        let limits = Destination { upper_threshold: u32::MAX, ..Destination::new(Forward::Masq, 1) };
        let servers = [
            server(1, 80, Forward::Bypass),
            server(2, 80, Forward::Gate),
            server(3, 8080, Forward::Gate),
            (([10, 1, 0, 4], 80).into(), limits),
        ];
        let of = |service: Service| VirtualService { service, destinations: [].into() };
        let persistence = Some(Persistence { timeout: 3_000_000, netmask: Netmask::host(Family::Inet) });
        let table = [
            (web, VirtualService { destinations: servers.into(), ..of(Service::default()) }),
            (every, VirtualService { destinations: every_port.into(), ..of(Service::default()) }),
            (kept, of(Service { persistence, ..Service::default() })),
            (protocol_47, of(Service::default())),
        ];
        let timeouts = Timeouts { tcp: 3_000_000, tcp_fin: 120, udp: 300 };
        let (lines, told) = write(&Wanted { table: table.into(), timeouts, ..Wanted::default() });
        let expected = [
            "the timeouts: ipvsadm does not take it: invalid timeout value `3000000' specified",
            "tcp 10.0.0.1:0: ipvsadm does not take it: Zero port specified for non-persistent service",
            "real server 10.1.0.5:0 of tcp 10.0.0.1:0: ipvsadm does not take its service",
            "real server 10.1.0.1:80 of tcp 10.0.0.1:80: ipvsadm has no option for the method \"bypass\"",
            "real server 10.1.0.3:8080 of tcp 10.0.0.1:80: ipvsadm would read it as \
             \"-a -t 10.0.0.1:80 -r 10.1.0.3:80 -g -w 1\"",
            "real server 10.1.0.4:80 of tcp 10.0.0.1:80: ipvsadm does not take it: illegal u_threshold specified",
            "tcp 10.0.0.2:80: ipvsadm does not take it: invalid timeout value `3000000' specified",
            "protocol-47 10.0.0.1:0: ipvsadm has no option for its protocol",
        ];
        assert_eq!(told, expected);
        let rest = "\
-A -t 10.0.0.1:80 -s wlc
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 1
-a -t 10.0.0.1:80 -r 10.1.0.3:8080 -g -w 1
";
        assert_eq!(lines, rest, "what is left can be read");
    }

    #[test]
    fn comments_come_back_as_they_were() {
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let service = VirtualService { service: Service::default(), destinations: [].into() };
        for comment in ["", " x ", "one\n\ntwo", "ends with a line\n", "\n"] {
            let mut wanted = Wanted { table: [(key, service.clone())].into(), ..Wanted::default() };
            wanted.comments.entries.insert((key, None), comment.to_owned());
            assert_eq!(read(Path::new("table"), &write(&wanted).0, &mut Numeric), Ok(wanted), "{comment:?}");
        }
    }

    #[test]
    fn timeouts_that_a_later_line_leaves_alone_stay() {
        let text = "--set 900 60 0\n--set 0 120 0\n";
        let wanted = read(Path::new("table"), text, &mut Numeric).expect("nothing is wrong");
        assert_eq!(wanted.timeouts, Timeouts { tcp: 900, tcp_fin: 120, udp: 0 });
    }

    #[test]
    fn the_form_is_told_by_the_first_word() {
        for text in ["# x\n\n -A -t 10.0.0.1:80", "ipvsadm -A -t 10.0.0.1:80", "--set 1 2 3"] {
            assert!(are_in(text), "{text}");
        }
        for text in ["", "# -A\n", "[[service]]\n", "ipvsadm-table = 1"] {
            assert!(!are_in(text), "{text}");
        }
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
                "4:1..3 a table is made of -A and -a lines, --set and --start-daemon",
                "5:1..11 illegal virtual server address[:port] specified",
                "6:1..4 this is no command of ipvsadm",
                "7:1..6 -q: unknown option",
            ]
        );
    }

    #[test]
    fn what_every_kernel_refuses_is_told_with_its_line() {
        let text = "\
-A -t 10.0.0.1:80
-a -t 10.0.0.1:80 -r 10.1.0.1 -x 5 -y 9
-a -t 10.0.0.1:80 -r 224.0.0.1
-a -t 10.0.0.1:80 -r 0.0.0.0
-a -t 10.0.0.1:80 -r [fe80::1]:80 -i
-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -i
--start-daemon master --mcast-interface eth/0
--start-daemon backup --mcast-interface eth0
";
        let told = |text: &str| -> Vec<String> {
            let mistakes = read(Path::new("table"), text, &mut Numeric).err().unwrap_or_default();
            mistakes.iter().map(|m| format!("{} {}", m.line, m.message)).collect()
        };
        assert_eq!(
            told(text),
            [
                "2 the lower threshold 9 is above the upper one, 5",
                "3 224.0.0.1 cannot be a real server: the kernel takes unicast only",
                "4 0.0.0.0 cannot be a real server: the kernel takes unicast only",
                "5 fe80::1 cannot be a real server: the kernel takes unicast only",
                "6 a sync daemon runs only where all families agree",
                "7 \"eth/0\" is no name of an interface",
            ]
        );
        let without_daemon = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -i\n";
        assert_eq!(told(without_daemon), [""; 0]);
    }
}
