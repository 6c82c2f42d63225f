//! The lines of the log (spec/ldirectord.md chapter 10), to the byte, as the program itself writes them: to a file, to
//! standard output, and to the system's log.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use lab::{Attempt, Error, Result, keeper, wait_for};
use lvs::control::ldirectord::RealState;
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::script;
use crate::confinement::ldirectord;
use crate::place::Place;

const SOON: Duration = Duration::from_secs(30);

/// `Fri Nov 20 09:47:06 2026`, and what is behind it.
fn after_time(text: &str) -> Option<&str> {
    let (time, rest) = text.split_at_checked("Fri Nov 20 09:47:06 2026".len())?;
    let day = matches!(&time[..4], "Mon " | "Tue " | "Wed " | "Thu " | "Fri " | "Sat " | "Sun ");
    let shaped = time.bytes().zip("aaa aaa .0 00:00:00 0000".bytes()).all(|(found, wanted)| match wanted {
        b'a' => found.is_ascii_alphabetic(),
        b'0' => found.is_ascii_digit(),
        // The day's number is padded with a blank.
        b'.' => found == b' ' || found.is_ascii_digit(),
        other => found == other,
    });
    (day && shaped).then_some(rest)
}

/// The message of a line of a file.
fn message(line: &str) -> Option<(&str, &str, &str)> {
    let (head, message) = after_time(line.strip_prefix('[')?)?.strip_prefix('|')?.split_once("] ")?;
    let (instance, pid) = head.split_once('|')?;
    pid.bytes().all(|byte| byte.is_ascii_digit()).then_some((instance, pid, message))
}

/// Waits for a message of the log; one that ends in dots goes on in our own words.
fn await_message(log: &Path, wanted: &str) -> Result<()> {
    wait_for(&format!("{wanted:?} in the log"), SOON, || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let is_it = |found: &str| match wanted.strip_suffix("...") {
            Some(begin) => found.starts_with(begin),
            None => found == wanted,
        };
        if text.lines().filter_map(message).any(|(_, _, found)| is_it(found)) { Ok(()) } else { Err(text) }
    })
}

#[test]
fn a_file_has_the_lines_of_the_original() -> Result<()> {
    let Some(place) = Place::new("lines", &["sh"]) else { return Ok(()) };
    let _ = keeper::table();
    let (vip, address, log) = (place.virtual_address(), place.address(), place.directory().join("log"));
    let hanging = script(&place, "hanging", "sleep 100\n")?;
    let file = place.directory().join("lines.cf");
    let write = |autoreload: &str, fallback: &str| -> Result<()> {
        let external = |port: u16, program: &str| {
            format!(
                "virtual={vip}:{port}\n\treal={address}:{port} masq\n\tprotocol=tcp\n\tchecktype=external\n\tcheckcommand={program}\n"
            )
        };
        let text = format!(
            "checkinterval=1\nchecktimeout=1\nlogfile=\"{}\"\nautoreload={autoreload}\nquiescent=no\n\
             virtual={vip}:80\n\treal={address}:81 masq 7\n\tfallback=127.0.0.1:80 {fallback}\n\tservice=none\n\tchecktype=connect\n\
             \tprotocol=tcp\n{}{}",
            log.display(),
            external(82, &hanging.display().to_string()),
            external(83, "/no/such/program"),
        );
        let new = place.write("new.cf", &text)?;
        fs::rename(new, &file).attempt(|| "put the configuration in place".into())
    };
    let settings = place.write("lvs.toml", "ipvs = \"helper\"\n")?;
    let nobody = place.write("nobody.toml", "ipvs = \"helper\"\n[ldirectord]\nuser = \"no-such-user\"\n")?;
    let heard = |line: &str| await_message(&log, line);
    write("no", "gate")?;

    assert_eq!(ldirectord(&nobody, None, &file, "start")?.status.code(), Some(1));
    heard("Exiting with exit_status 1: Initialisation Error: ...")?;

    assert_eq!(ldirectord(&settings, None, &file, "start")?.status.code(), Some(0));
    let program = std::env::var("LVS_LDIRECTORD").unwrap_or_default();
    heard(&format!("Invoking ldirectord invoked as: {program} {} start ", file.display()))?;
    heard("Starting Linux Director v1.186-ha as daemon")?;
    heard(&format!("Added virtual server: {vip}:80"))?;
    heard(&format!("Added fallback server: 127.0.0.1:80 ({vip}:80) (Weight set to 1)"))?;
    let arguments = |port: u16| format!("{vip} {port} {address} {port}");
    heard(&format!("system_timeout(1, {} {}) timed out, kill -TERM child", hanging.display(), arguments(82)))?;
    let missing = format!("exec(/no/such/program {}) failed: No such file or directory", arguments(83));
    heard(&format!("Exiting with exit_status 127: {missing}"))?;

    // A server comes and goes.
    let server = TcpListener::bind(place.at(81)).attempt(|| "listen".into())?;
    heard(&format!("Added real server: {address}:81 ({vip}:80) (Weight set to 7)"))?;
    heard(&format!("Deleted fallback server: 127.0.0.1:80 ({vip}:80)"))?;
    drop(server);
    heard(&format!("Deleted real server: {address}:81 ({vip}:80)"))?;

    // The file changes; nobody reads it, then somebody does.
    write("yes", "masq")?;
    heard(&format!("Configuration file '{}' has changed on disk", file.display()))?;
    heard(" - ignore new configuration")?;
    assert_eq!(ldirectord(&settings, None, &file, "reload")?.status.code(), Some(0));
    heard("Reloading Linux Director Daemon config on signal")?;
    heard(&format!("Restored fallback server: 127.0.0.1:80 ({vip}:80) (Weight set to 1)"))?;
    write("yes", "gate")?;
    heard(" - reread new configuration")?;
    let pid = fs::read_to_string("/run/ldirectord.lines.cf.pid").attempt(|| "read the pid".into())?;
    let pid = pid.trim();
    fs::remove_file(&file).attempt(|| "remove the file".into())?;
    heard(&format!("Warning [{pid}]: can not open file {} for checking", file.display()))?;

    let process = pid.parse().ok().and_then(Pid::from_raw).ok_or(Error::Senseless(format!("no pid: {pid}")))?;
    kill_process(process, Signal::TERM).attempt(|| "end it".into())?;
    heard(&format!("Purged virtual server (stop): {vip}:80"))?;
    heard("Linux Director Daemon terminated on signal: TERM")?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    let strange: Vec<_> = text.lines().filter(|line| message(line).is_none_or(|found| found.0 != "lines.cf")).collect();
    assert_eq!(strange, [""; 0], "every line has its time, instance and pid");
    Ok(())
}

#[test]
fn row_71_a_supervised_daemon_writes_its_lines_to_standard_output() -> Result<()> {
    let Some(place) = Place::new("stdout", &["sh"]) else { return Ok(()) };
    let mut checks = place.checks();
    let check = checks.add(81, "service=none\nchecktype=on");
    let watch = checks.start()?;
    watch.seen(check, RealState::Up, Some(1))?;
    let pid = watch.pid();
    watch.end(&[])?;
    let text = fs::read_to_string(place.directory().join("ldirectord.out")).unwrap_or_default();
    let messages: Option<Vec<_>> =
        text.lines().map(|line| after_time(line.strip_prefix('[')?)?.strip_prefix("] ")).collect();
    let messages = messages.ok_or_else(|| Error::Senseless(format!("not all lines have a time: {text}")))?;
    let service = format!("{}:4000", place.virtual_address());
    for wanted in [
        format!("Starting Linux Director v1.186-ha with pid: {pid}"),
        format!("Added virtual server: {service}"),
        format!("Added real server: {} ({service}) (Weight set to 1)", place.at(81)),
        format!("Purged real server (stop): {} ({service})", place.at(81)),
        format!("Purged virtual server (stop): {service}"),
        "Linux Director Daemon terminated on signal: TERM".to_owned(),
    ] {
        assert!(messages.contains(&wanted.as_str()), "{wanted} is not in {text}");
    }
    Ok(())
}

#[test]
fn row_72_a_facility_takes_the_lines_to_the_systems_log() -> Result<()> {
    let Some(place) = Place::new("facility", &["sh"]) else { return Ok(()) };
    let _ = keeper::table();
    let devices = place.directory_of("dev", "root", 0o755)?;
    let socket = place.directory().join("log");
    let system = UnixDatagram::bind(&socket).attempt(|| "listen in place of the system's log".into())?;
    system.set_read_timeout(Some(SOON)).attempt(|| "bound the wait".into())?;
    std::os::unix::fs::symlink(&socket, devices.join("log")).attempt(|| "lead to it".into())?;
    let settings = place.write("lvs.toml", "ipvs = \"helper\"\n")?;
    let service = SocketAddr::from((place.virtual_address(), 80));
    let text = format!(
        "logfile=\"local3\"\nvirtual={service}\n\treal={} masq\n\tchecktype=on\n\tprotocol=tcp\n",
        place.at(81)
    );
    let file = place.write("facility.cf", &text)?;
    let told = ldirectord(&settings, Some(&devices), &file, "start")?;
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let pid = fs::read_to_string("/run/ldirectord.facility.cf.pid").attempt(|| "read the pid".into())?;
    // local3.info, and the time as "Nov 20 09:59:30".
    let (wanted, mut lines) = (format!(" ldirectord[{}]: Added virtual server: {service}", pid.trim()), Vec::new());
    loop {
        let mut room = [0; 4096];
        let length = system.recv(&mut room).attempt(|| format!("hear {wanted:?}; there was {lines:?}"))?;
        let line = String::from_utf8_lossy(&room[..length]).trim_end_matches(['\n', '\0']).to_owned();
        assert!(line.starts_with("<158>") || line.starts_with("<156>") || line.starts_with("<155>"), "{line}");
        if line.starts_with("<158>") && line.get("<158>Nov 20 09:59:30".len()..) == Some(&wanted) {
            break;
        }
        lines.push(line);
    }
    assert_eq!(ldirectord(&settings, Some(&devices), &file, "stop")?.status.code(), Some(0));
    Ok(())
}
