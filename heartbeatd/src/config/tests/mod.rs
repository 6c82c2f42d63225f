//! The three grammars, by whole files.

mod authkeys;
mod hacf;
mod haresources;
mod index;
mod load;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lvs::diag::{Diagnostic, Severity};

use super::source::Source;
use super::{HaCf, Surroundings, check};

/// A machine called `name`, with one resource script, and one host name to be found.
fn around(name: &str) -> Surroundings<'static> {
    Surroundings {
        node_name: name.into(),
        name_from: "uname -n",
        port: 694,
        resolve: &|host| match host {
            "lvs2" => Ok(vec![IpAddr::from([10, 99, 0, 2])]),
            _ => Err(io::Error::other("name not known")),
        },
        user: &|name| match name {
            "root" => Some((0, 0)),
            "hacluster" => Some((90, 91)),
            _ => None,
        },
        group: &|name| name == "haclient",
        program: &|name| {
            ["/usr/bin/true", "/usr/libexec/heartbeat/dopd", "/usr/local/bin/dopd"]
                .contains(&name)
                .then(|| name.into())
                .or_else(|| name.contains("fence_fake").then(|| PathBuf::from("/usr/sbin/fence_fake")))
        },
        parameters: &|path| match path.to_str() {
            Some("/etc/ha.d/fence") => Ok(("# secret\nip=10.0.0.9 password=hush\n".into(), true)),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        },
        is_device: &|path| match path.to_str() {
            Some("/dev/ttyS0" | "/dev/ttyS1" | "/dev/watchdog") => Ok(true),
            Some("/etc/passwd") => Ok(false),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        },
        service: &|port| (port == 53).then(|| "domain".to_owned()),
        has_script: &|script| script == "LogRsc",
    }
}

/// A sound ha.cf of two nodes with more lines.
pub(super) fn model(more: &str) -> HaCf {
    let text = format!("node lvs1 lvs2\nbcast hb0\n{more}");
    let around = around("lvs1");
    let mut source = Source::new(Path::new("ha.cf"), &text);
    let written = super::hacf::read(&mut source, &around);
    check::check(written, &mut source, &around).expect("a sound file")
}

/// "12:3-6 message" of each, errors marked with an exclamation mark.
fn told(found: &[Diagnostic]) -> Vec<String> {
    let one = |found: &Diagnostic| {
        let mark = if found.severity == Severity::Error { "! " } else { "" };
        format!("{mark}{}:{}-{} {}", found.line, found.columns.start, found.columns.end, found.message)
    };
    found.iter().map(one).collect()
}
