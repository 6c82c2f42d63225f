//! `ipvsadm-restore` by name, on input that is no saved table; and what is told of files before the kernel is asked.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn input_with_a_zero_byte_is_refused_before_anything_is_flushed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsctl"));
    command.arg0("ipvsadm-restore").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let input = b"# saved\n-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 192.0.2.2\0 -m\n";
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("line 3 has a zero byte; nothing was changed"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_table() {
    let told = |text: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvsctl"));
        command.args(["apply", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (text, expected) in [
        ("\u{feff}-A -t 192.0.2.1:80 -q\n", "-:1:1: -q: unknown option"),
        ("\u{feff}[[service]]\ntcp = \"192.0.2.1:80\"\nfoo = 1\n", "-:3:1: unknown field `foo`"),
    ] {
        assert!(told(text).starts_with(expected), "{}", told(text));
    }
}
