//! The fuzz targets on random input, for those who have no nightly compiler. A failure prints its seed.

#[path = "../../tests/fuzz/src/lib.rs"]
mod targets;

use proptest::collection::vec;
use proptest::prelude::*;

/// Words of ipvsadm's grammar, so that some lines mean something.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            "-A", "-E", "-D", "-a", "-e", "-d", "-C", "-L", "-n", "-S", "-Z", "-t", "-u", "-f", "-6", "-r", "-s", "-p",
            "-w", "-m", "-g", "-i", "-x", "-y", "-M", "-b", "-o", "-c", "--stats", "--rate", "--set", "--tun-type", "--pe",
            "--start-daemon", "--stop-daemon", "--", "ipvsadm", "-R",
        ])
        .prop_map(str::to_owned),
        4 => proptest::sample::select(vec![
            "192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "10.0.0.1", "10.0.0.2:80", "rr", "wlc", "sh", "1", "0", "7",
            "4294967295", "-1", "60", "sh-port", "gue", "master", "backup", "sip",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    vec(word(), 0..9).prop_map(|words| words.join(" "))
}

/// Attributes of netlink with lengths that mostly fit.
fn attributes(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let leaf = vec(any::<u8>(), 0..20);
    let value = if depth == 0 { leaf.boxed() } else { prop_oneof![leaf, attributes(depth - 1)].boxed() };
    let attribute = (0_u16..18, value, 0_u16..8).prop_map(|(kind, value, lie)| {
        let lie = if lie == 7 { 3 } else { 0 };
        let length = u16::try_from(4 + value.len()).expect("short") + lie;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    });
    vec(attribute, 0..10).prop_map(|attributes| attributes.concat()).boxed()
}

#[test]
fn the_longest_line_is_as_long_however_it_comes() {
    for length in [65_536, 65_537] {
        let line = format!("-C{}", " ".repeat(length - 2));
        targets::restore(format!("-A -t 192.0.2.1:80\n{line}\n-A -t 192.0.2.2:80\n").as_bytes());
    }
}

proptest! {
    #[test]
    fn dumps_of_any_bytes(data in vec(any::<u8>(), 0..400)) {
        targets::kernel_dump(&data);
    }

    #[test]
    fn dumps_of_any_attributes(parts in vec(attributes(2), 0..6)) {
        let mut data = vec![3];
        for part in parts {
            let part = &part[..part.len().min(255)];
            data.push(u8::try_from(part.len()).expect("at most 255"));
            data.extend_from_slice(part);
        }
        targets::kernel_dump(&data);
    }

    #[test]
    fn lines_to_restore(lines in vec(line(), 0..12), end in "[ \\r\\n\\t#]{0,3}") {
        targets::restore((lines.join("\n") + &end).as_bytes());
    }

    #[test]
    fn bytes_to_restore(data in vec(any::<u8>(), 0..400)) {
        targets::restore(&data);
    }

    #[test]
    fn command_lines(words in vec(word(), 0..9), strict in any::<bool>()) {
        let mut data = vec![u8::from(strict)];
        data.extend_from_slice(words.join("\0").as_bytes());
        targets::command_line(&data);
    }

    #[test]
    fn table_files(text in "(\\[\\[services?\\]\\]|address|tcp|=|\"10\\.0\\.0\\.1:80\"|\n| |[ -~]){0,60}") {
        targets::table_file(text.as_bytes());
    }

    #[test]
    fn socket_lines(line in "[{}\\[\\]\",:a-z0-9 -]{0,120}", op in "[a-z-]{0,12}") {
        targets::socket_line(line.as_bytes());
        targets::socket_line(format!("{{\"op\":\"{op}\",{line}}}").as_bytes());
    }

    #[test]
    fn rows_of_connections(rows in vec("(TCP|UDP|IP ) ([0-9A-F]{8} [0-9A-F]{4} ){3}[A-Z]{3,11} [0-9]{1,9}( sip .{0,9})?|.{0,60}", 0..60)) {
        targets::connections(rows.join("\n").as_bytes());
    }
}
