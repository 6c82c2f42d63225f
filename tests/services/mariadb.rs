//! MariaDB: mysql with `mysql_native_password`, in the clear and over TLS.

use std::process::Command;

use lab::{Attempt, Error, Result};

use crate::certificate::Authority;
use crate::place::Place;

const SETUP: &str = "CREATE DATABASE shop;\n\
                     CREATE TABLE shop.goods (id INT);\n\
                     INSERT INTO shop.goods VALUES (1), (2);\n\
                     CREATE TABLE shop.orders (id INT);\n\
                     CREATE USER probe@'%' IDENTIFIED BY 's3cret';\n\
                     GRANT SELECT ON shop.* TO probe@'%';\n\
                     CREATE USER stranger@'%' IDENTIFIED BY 's3cret';\n\
                     CREATE USER nameless@'%';\n\
                     GRANT SELECT ON shop.* TO nameless@'%';\n\
                     INSTALL SONAME 'auth_ed25519';\n\
                     CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('s3cret');\n";

/// An empty data directory, and the statements for the first start.
fn prepare(place: &Place) -> Result<[String; 5]> {
    let directory = place.directory().display();
    let data = format!("--datadir={directory}/data");
    let made = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", &data])
        .output()
        .attempt(|| "run mariadb-install-db".into())?;
    if !made.status.success() {
        return Err(Error::Senseless(format!("mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr))));
    }
    let setup = place.write("setup", SETUP)?;
    Ok([
        data,
        format!("--init-file={}", setup.display()),
        format!("--socket={directory}/socket"),
        format!("--pid-file={directory}/pid"),
        format!("--bind-address={}", place.address()),
    ])
}

fn asks(login: &str, password: &str, query: &str) -> String {
    // An empty password is a mistake; one without a password leaves the line out.
    let password = if password.is_empty() { String::new() } else { format!("passwd=\"{password}\"\n") };
    format!("service=mysql\nlogin=\"{login}\"\n{password}database=\"shop\"\nrequest=\"{query}\"")
}

#[test]
fn mysql_by_mariadb() -> Result<()> {
    let Some(place) = Place::new("mariadb", &["mariadbd", "mariadb-install-db"]) else { return Ok(()) };
    let prepared = prepare(&place)?;
    let mut command = vec!["mariadbd", "--no-defaults", "--user=root", "--skip-name-resolve"];
    command.extend(prepared.iter().map(String::as_str));
    let server = place.start(&command)?;
    place.await_tcp(&server, 3306)?;

    let mut checks = place.checks();
    let right = checks.add(3306, &asks("probe", "s3cret", "SELECT * FROM goods"));
    let nameless = checks.add(3306, &asks("nameless", "", "SELECT 1"));
    let many = checks.add(3306, &asks("probe", "s3cret", "SELECT seq, REPEAT('x', 200) FROM seq_1_to_20000"));
    let none = checks.add(3306, &asks("probe", "s3cret", "SELECT * FROM orders"));
    let missing = checks.add(3306, &asks("probe", "s3cret", "SELECT * FROM missing"));
    let wrong = checks.add(3306, &asks("probe", "wr0ng", "SELECT 1"));
    let stranger = checks.add(3306, &asks("stranger", "s3cret", "SELECT 1"));
    let modern = checks.add(3306, &asks("modern", "s3cret", "SELECT 1"));
    let bare = checks.add(3306, "service=mysql\nlogin=\"probe\"");
    let nobody = checks.add(3307, &asks("probe", "s3cret", "SELECT 1"));
    let watch = checks.start()?;

    for up in [right, nameless, many] {
        watch.up(up)?;
    }
    watch.down(none, "expected a row, got none")?;
    watch.down(missing, "expected a row, got error 1146 \"Table 'shop.missing' doesn't exist\"")?;
    watch.down(wrong, "expected a login, got error 1045 \"Access denied for user 'probe'@")?;
    watch.down(stranger, "expected a login, got error 1044 ")?;
    watch.down(modern, "a demand for the login method \"client_ed25519\", which is not known here")?;
    watch.down(bare, "Error: Must specify a login and request string for MySQL")?;
    watch.down(nobody, "Connection refused")?;

    server.hang()?;
    watch.down(right, "500 Timeout Alarm")?;
    server.go_on();
    watch.up(right)?;
    drop(server);
    watch.down(right, "Connection refused")?;
    watch.end(&["s3cret", "wr0ng"])
}

#[test]
fn mysql_by_a_mariadb_that_insists_on_tls() -> Result<()> {
    let programs = ["mariadbd", "mariadb-install-db", "openssl"];
    let Some(place) = Place::new("mariadb-tls", &programs) else { return Ok(()) };
    Authority::new(place.directory())?.certify("db.example.com")?;
    let prepared = prepare(&place)?;
    let file = |name: &str| place.directory().join(name).display().to_string();
    let certificate = format!("--ssl-cert={}", file("db.example.com.crt"));
    let key = format!("--ssl-key={}", file("db.example.com.key"));
    let mut command = vec!["mariadbd", "--no-defaults", "--user=root", "--skip-name-resolve", &certificate, &key];
    command.push("--require-secure-transport=ON");
    command.extend(prepared.iter().map(String::as_str));
    let server = place.start(&command)?;
    place.await_tcp(&server, 3306)?;

    let mut checks = place.checks();
    let right = checks.add(3306, &asks("probe", "s3cret", "SELECT * FROM goods"));
    let wrong = checks.add(3306, &asks("probe", "wr0ng", "SELECT * FROM goods"));
    let watch = checks.start()?;
    watch.up(right)?;
    watch.down(wrong, "expected a login, got error 1045")?;
    server.hang()?;
    watch.down(right, "500 Timeout Alarm")?;
    server.go_on();
    watch.up(right)?;
    watch.end(&["s3cret", "wr0ng"])
}
