//! PostgreSQL: SCRAM, MD5 and cleartext, with TLS and without.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::{Attempt, Error, Result};

use crate::certificate::Authority;
use crate::place::Place;

const SETUP: &str = "CREATE DATABASE shop;\n\
                     CREATE ROLE probe LOGIN PASSWORD 's3cret';\n\
                     CREATE ROLE plain LOGIN PASSWORD 's3cret';\n\
                     CREATE ROLE clear LOGIN PASSWORD 's3cret';\n\
                     CREATE ROLE banned LOGIN PASSWORD 's3cret';\n\
                     CREATE ROLE accented LOGIN PASSWORD U&'s\\00E9cret\\2168';\n\
                     SET password_encryption = 'md5';\n\
                     CREATE ROLE old LOGIN PASSWORD 's3cret';\n";

/// Who may come how: `plain` without TLS only, `banned` not at all.
const ACCESS: &str = "hostnossl all plain 127.0.0.0/8 scram-sha-256\n\
                      host all clear 127.0.0.0/8 password\n\
                      host all old 127.0.0.0/8 md5\n\
                      host all banned 127.0.0.0/8 reject\n\
                      hostssl all probe,accented 127.0.0.0/8 scram-sha-256\n";

/// Where the server's programs are: in a directory named after the version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).find(|bin| bin.join("postgres").is_file())
}

/// Runs one of them as the user it insists on.
fn run(place: &Place, program: &Path, arguments: &[&str], input: &str) -> Result<()> {
    let name = program.display().to_string();
    let mut child = Command::new("runuser")
        .args(["-u", "postgres", "--"])
        .arg(program)
        .args(arguments)
        .current_dir(place.directory())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .attempt(|| format!("start {name}"))?;
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).attempt(|| format!("tell {name}"))?;
    drop(stdin);
    let output = child.wait_with_output().attempt(|| format!("wait for {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && !said.contains("ERROR:") {
        return Ok(());
    }
    Err(Error::Senseless(format!("{name}: {said}")))
}

fn asks(login: &str, password: &str, query: &str) -> String {
    format!("service=pgsql\nlogin=\"{login}\"\npasswd=\"{password}\"\ndatabase=\"shop\"\nrequest=\"{query}\"")
}

#[test]
fn pgsql_by_postgresql() -> Result<()> {
    let Some(place) = Place::new("postgresql", &["pg_ctlcluster", "runuser", "openssl"]) else { return Ok(()) };
    let bin = programs().ok_or_else(|| Error::Senseless("pg_ctlcluster is there and no server".to_owned()))?;
    Authority::new(place.directory())?.certify("db.example.com")?;
    let directory = place.directory().display().to_string();
    let owned = Command::new("chown").args(["-R", "postgres", &directory]).status();
    assert!(owned.attempt(|| "run chown".into())?.success(), "root may");
    let data = format!("{directory}/data");
    run(&place, &bin.join("initdb"), &["-D", &data, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"], "")?;
    place.write("data/pg_hba.conf", ACCESS)?;
    run(&place, &bin.join("postgres"), &["--single", "-D", &data, "postgres"], SETUP)?;
    let certificate = format!("ssl_cert_file={directory}/db.example.com.crt");
    let key = format!("ssl_key_file={directory}/db.example.com.key");
    let (program, address) = (bin.join("postgres").display().to_string(), place.address().to_string());
    let server = place.start(&[
        "runuser",
        "-u",
        "postgres",
        "--",
        &program,
        "-D",
        &data,
        "-k",
        &directory,
        "-h",
        &address,
        "-c",
        "ssl=on",
        "-c",
        &certificate,
        "-c",
        &key,
        "-c",
        "fsync=off",
    ])?;
    place.await_tcp(&server, 5432)?;

    let mut checks = place.checks();
    let scram = checks.add(5432, &asks("probe", "s3cret", "SELECT 1"));
    let prepared = checks.add(5432, &asks("accented", "se\u{301}cretIX", "SELECT 1"));
    let md5 = checks.add(5432, &asks("old", "s3cret", "SELECT 1"));
    let clear = checks.add(5432, &asks("clear", "s3cret", "SELECT 1"));
    let plain = checks.add(5432, &asks("plain", "s3cret", "SELECT 1"));
    let many = checks.add(5432, &asks("probe", "s3cret", "SELECT repeat('x', 200) FROM generate_series(1, 20000)"));
    let none = checks.add(5432, &asks("probe", "s3cret", "SELECT 1 WHERE false"));
    let missing = checks.add(5432, &asks("probe", "s3cret", "SELECT * FROM missing"));
    let refused = [("probe", "28P01"), ("old", "28P01"), ("clear", "28P01"), ("banned", "28000"), ("nobody", "28000")]
        .map(|(login, code)| (checks.add(5432, &asks(login, "wr0ng", "SELECT 1")), code));
    let nobody = checks.add(5433, &asks("probe", "s3cret", "SELECT 1"));
    let watch = checks.start()?;

    for up in [scram, prepared, md5, clear, plain, many] {
        watch.up(up)?;
    }
    watch.down(none, "expected a row, got none")?;
    watch.down(missing, "expected a row, got error 42P01 \"relation \\\"missing\\\" does not exist\"")?;
    for (login, code) in refused {
        watch.down(login, &format!("expected a login, got error {code} "))?;
    }
    watch.down(nobody, "Connection refused")?;

    server.hang()?;
    watch.down(scram, "500 Timeout Alarm")?;
    server.go_on();
    watch.up(scram)?;
    drop(server);
    watch.down(scram, "Connection refused")?;
    watch.end(&["s3cret", "wr0ng"])
}
