//! `service=oracle`: Oracle's protocol is not public, so its own client is run, SQL*Plus of the
//! Instant Client. It has to be installed and called `sqlplus`.

use std::io::ErrorKind;
use std::time::Duration;

use super::reason;
use super::stage::quoted;
use crate::command::{Command, Ended, Outcome};
use crate::config::model::Sql;

/// The client.
const CLIENT: &str = "sqlplus";

/// Silent, one attempt to log in, no commands of the system or of other files, no login yet.
const ARGUMENTS: [&str; 5] = ["-S", "-L", "-R", "3", "/nolog"];

/// What is printed between login and query.
const LOGGED_IN: &str = "ldirectord is logged in";

/// Runs the client, which logs in and asks.
pub async fn check(sql: &Sql, timeout: Duration) -> Result<String, String> {
    check_by(CLIENT, sql, timeout).await
}

async fn check_by(client: &str, sql: &Sql, timeout: Duration) -> Result<String, String> {
    // By its standard input: command lines can be read by everybody.
    let script = script(sql)?.into_bytes();
    let outcome = Command::new(client, ARGUMENTS, timeout).reading(script).run().await;
    judge(sql, &outcome)
}

fn script(sql: &Sql) -> Result<String, String> {
    let Sql { at, login, database, query, .. } = sql;
    let password = login.password.reveal();
    for (what, text) in [("login", login.name.as_str()), ("passwd", password), ("database", database)] {
        if text.contains(|c: char| c == '"' || c.is_control()) {
            return Err(format!("{at}: {what} has a character that {CLIENT} cannot be told"));
        }
    }
    if query.contains(char::is_control) {
        return Err(format!("{at}: request has a character that {CLIENT} cannot be told"));
    }
    if database.contains(['(', ')']) {
        return Err(format!("{at}: database has a parenthesis"));
    }
    let query = query.trim().trim_end_matches(';');
    let (host, port) = (at.ip(), at.port());
    let place =
        format!("(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST={host})(PORT={port}))(CONNECT_DATA=(SID={database})))");
    Ok(format!(
        "WHENEVER OSERROR EXIT FAILURE\n\
         WHENEVER SQLERROR EXIT FAILURE\n\
         SET DEFINE OFF FEEDBACK OFF HEADING OFF PAGESIZE 0\n\
         SET NULL null\n\
         CONNECT {}/\"{password}\"@{place}\n\
         SELECT '{LOGGED_IN}' FROM DUAL;\n\
         {query};\n\
         EXIT\n",
        identifier(&login.name)
    ))
}

/// Quotes make a name case sensitive, so only where it needs them.
fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$#".contains(c));
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn judge(sql: &Sql, outcome: &Outcome) -> Result<String, String> {
    let at = sql.at;
    let complaint = || outcome.complaint().map_or_else(|| "nothing".to_owned(), |line| quoted(line.as_bytes()));
    match &outcome.ended {
        Ended::NotStarted(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!(
                "{at} cannot be checked: oracle checks run {CLIENT}, which is not installed (Oracle Instant Client, package SQL*Plus)"
            ));
        }
        Ended::NotStarted(error) => return Err(format!("{at} cannot be checked: {CLIENT}: {}", reason(error))),
        Ended::TimedOut => return Err(format!("500 Timeout Alarm: {at}: {CLIENT} has no answer yet")),
        Ended::Status(status) if !status.success() => {
            return Err(format!(
                "{at}: expected a row, got {} of {CLIENT}: {}",
                outcome.ended,
                error_line(outcome).unwrap_or_else(complaint)
            ));
        }
        Ended::Status(_) => {}
    }
    let mut lines = outcome.output.lines().map(str::trim).filter(|line| !line.is_empty());
    if !lines.by_ref().any(|line| line == LOGGED_IN) {
        return Err(format!("{at}: expected a login, got {}", error_line(outcome).unwrap_or_else(complaint)));
    }
    match lines.next() {
        // The client's own mistakes leave its exit status alone.
        Some(line) if line.starts_with("SP2-") => Err(format!("{at}: expected a row, got {}", quoted(line.as_bytes()))),
        Some(_) => Ok("a row".to_owned()),
        None => Err(format!("{at}: expected a row, got none")),
    }
}

/// The first line that is an error of the server or of the client.
fn error_line(outcome: &Outcome) -> Option<String> {
    let line = outcome.output.lines().find(|line| line.starts_with("ORA-") || line.starts_with("SP2-"))?;
    Some(quoted(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::scripted::{LONG, SHORT};
    use crate::check::testing::run;
    use crate::config::model::{Credentials, Secret, SqlEngine};
    use std::fs;

    fn sql(password: &str) -> Sql {
        Sql {
            engine: SqlEngine::Oracle,
            at: ([192, 0, 2, 1], 1521).into(),
            login: Credentials { name: "probe".to_owned(), password: Secret::new(password.to_owned()) },
            database: "ORCL".to_owned(),
            query: "SELECT 1 FROM DUAL;".to_owned(),
        }
    }

    /// What the check says about a client that is this shell script.
    async fn by(script: &str, timeout: Duration) -> Result<String, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let (source, client) = (directory.path().join("source"), directory.path().join("sqlplus"));
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).expect("written");
        // By another process: a descriptor for writing that a sibling test's child inherits for a
        // moment would make it "busy".
        let installed = std::process::Command::new("install").args(["-m", "755"]).args([&source, &client]).status();
        assert!(installed.expect("coreutils are there").success());
        check_by(client.to_str().expect("a name"), &sql("s3cret"), timeout).await
    }

    #[test]
    fn the_client_is_told_everything_by_its_standard_input() {
        run(async {
            let place = "@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=192.0.2.1)(PORT=1521))(CONNECT_DATA=(SID=ORCL)))";
            let script = format!(
                "test \"$*\" = '-S -L -R 3 /nolog' || exit 9\n\
                 said=$(cat)\n\
                 case $said in *'CONNECT probe/\"s3cret\"{place}'*'SELECT 1 FROM DUAL;'*EXIT*) ;; *) exit 8;; esac\n\
                 echo; echo '{LOGGED_IN}'; echo '         1'"
            );
            assert_eq!(by(&script, LONG).await, Ok("a row".to_owned()));
        });
    }

    #[test]
    fn every_other_end_is_down_and_told() {
        run(async {
            let logged_in = format!("cat >/dev/null; echo '{LOGGED_IN}'");
            for (script, wanted) in [
                (logged_in.clone(), "192.0.2.1:1521: expected a row, got none"),
                (format!("{logged_in}; echo 'SP2-0734: unknown command'"), "expected a row, got \"SP2-0734"),
                (format!("{logged_in}; echo 'ORA-00942: no table'; exit 1"), "exit status 1 of sqlplus: \"ORA-00942"),
                (
                    "cat >/dev/null; echo ERROR:; echo 'ORA-01017: invalid password'; echo 'SP2-0640: Not connected'"
                        .to_owned(),
                    "expected a login, got \"ORA-01017: invalid password\"",
                ),
                ("kill -9 $$".to_owned(), "killed by signal 9 of sqlplus: nothing"),
            ] {
                let why = by(&script, LONG).await.expect_err(wanted);
                assert!(why.contains(wanted) && !why.contains("s3cret"), "{why}");
            }
            let why = by("exec sleep 60", SHORT).await.expect_err("it hangs");
            assert_eq!(why, "500 Timeout Alarm: 192.0.2.1:1521: sqlplus has no answer yet");
        });
    }

    #[test]
    fn without_a_client_it_is_said_what_to_install() {
        run(async {
            let why = check_by("/no/such/sqlplus", &sql("x"), LONG).await.expect_err("no client");
            assert!(
                why.starts_with("192.0.2.1:1521 cannot be checked: oracle checks run sqlplus, which is not"),
                "{why}"
            );
        });
    }

    #[test]
    fn nothing_in_a_login_ends_its_quotes() {
        assert!(script(&sql("a\"b")).expect_err("a quote").contains("passwd has a character"));
        let odd = Sql { database: "X)(HOST=evil".to_owned(), ..sql("x") };
        assert!(script(&odd).is_err());
        assert_eq!(identifier("probe_1"), "probe_1");
        assert_eq!(identifier("1 Probe"), "\"1 Probe\"");
    }
}
