//! `service=imap` and `imaps` (spec/ldirectord.md 8.2, B8; RFC 3501).

use super::dialogue::{Dialogue, shown};
use super::stage::Stage;
use super::tls::Tls;
use crate::config::model::{Credentials, Encryption, Mailbox};

/// Logs in if there is a login; without one a greeting is enough.
pub async fn check(mailbox: &Mailbox, stage: &Stage, tls: &Tls) -> Result<String, String> {
    converse(Dialogue::connect(stage).await?, mailbox, tls).await
}

async fn converse<'s>(mut dialogue: Dialogue<'s>, mailbox: &'s Mailbox, tls: &Tls) -> Result<String, String> {
    let encryption = mailbox.encryption.as_ref();
    dialogue = dialogue.begin(encryption, tls).await?;
    let greeting = dialogue.line("a greeting * OK or * PREAUTH").await?;
    let preauthenticated = says(&greeting, "*", "PREAUTH");
    if !preauthenticated && !says(&greeting, "*", "OK") {
        return Err(dialogue.unexpected(&greeting));
    }
    if let Some(encryption) = Encryption::by_command(encryption) {
        dialogue.say("s STARTTLS\r\n").await?;
        completed(&mut dialogue, "s", "OK to STARTTLS").await?;
        dialogue = dialogue.encrypt(encryption, tls).await?;
    }
    if let Some(login) = &mailbox.login {
        dialogue.conceal(login);
        dialogue.say(&log_in(login)).await?;
        completed(&mut dialogue, "0", "OK to LOGIN").await?;
    }
    dialogue.farewell("1 LOGOUT\r\n").await;
    Ok(shown(&greeting))
}

/// The name as it is where that is possible, the password always quoted.
fn log_in(login: &Credentials) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let is_atom = |c: char| c.is_ascii_graphic() && !"(){%*\"\\".contains(c);
    let name = if login.name.chars().all(is_atom) { login.name.clone() } else { quoted(&login.name) };
    format!("0 LOGIN {name} {}\r\n", quoted(login.password.reveal()))
}

/// Passes over what the server tells without being asked, up to the answer to the command with this tag.
async fn completed(dialogue: &mut Dialogue<'_>, tag: &str, expected: &'static str) -> Result<(), String> {
    loop {
        let line = dialogue.line(expected).await?;
        let is_other = line.starts_with("* ") && !says(&line, "*", "BYE");
        if says(&line, tag, "OK") {
            return Ok(());
        } else if !is_other {
            return Err(dialogue.unexpected(&line));
        }
    }
}

/// Whether a line begins with this tag and this word. Words may be in any case.
fn says(line: &str, tag: &str, word: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some(tag) && words.next().is_some_and(|second| second.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
