//! `service=pop` and `pops` (spec/ldirectord.md 8.2, B6; RFC 1939, RFC 2449, RFC 2595).

use super::dialogue::{Dialogue, shown};
use super::stage::Stage;
use super::tls::Tls;
use crate::config::model::{Credentials, Encryption, Mailbox};

/// Logs in if there is a login; without one the server has to greet and to know what it can do, or to say that it does not.
pub async fn check(mailbox: &Mailbox, stage: &Stage, tls: &Tls) -> Result<String, String> {
    converse(Dialogue::connect(stage).await?, mailbox, tls).await
}

async fn converse<'s>(mut dialogue: Dialogue<'s>, mailbox: &'s Mailbox, tls: &Tls) -> Result<String, String> {
    let encryption = mailbox.encryption.as_ref();
    dialogue = dialogue.begin(encryption, tls).await?;
    let greeting = ok(&mut dialogue, "a greeting +OK").await?;
    capabilities(&mut dialogue).await?;
    if let Some(encryption) = Encryption::by_command(encryption) {
        dialogue.say("STLS\r\n").await?;
        ok(&mut dialogue, "+OK to STLS").await?;
        dialogue = dialogue.encrypt(encryption, tls).await?;
    }
    if let Some(login) = &mailbox.login {
        dialogue.conceal(login);
        // The original tries twice, and servers that are busy with the mailbox refuse once.
        if let Err(first) = log_in(&mut dialogue, login).await? {
            log_in(&mut dialogue, login).await.map_err(|_| first.clone())?.map_err(|_| first)?;
        }
        dialogue.say("STAT\r\n").await?;
        dialogue.line("an answer to STAT").await?;
    }
    dialogue.farewell("QUIT\r\n").await;
    Ok(shown(&greeting))
}

async fn ok(dialogue: &mut Dialogue<'_>, expected: &'static str) -> Result<String, String> {
    let line = dialogue.line(expected).await?;
    if line.starts_with("+OK") { Ok(line) } else { Err(dialogue.unexpected(&line)) }
}

/// Asks what the server can do, and hears it out. Old servers refuse to tell.
async fn capabilities(dialogue: &mut Dialogue<'_>) -> Result<(), String> {
    dialogue.say("CAPA\r\n").await?;
    let first = dialogue.line("+OK or -ERR to CAPA").await?;
    if first.starts_with("+OK") {
        while dialogue.line("the end of the answer to CAPA").await? != "." {}
    } else if !first.starts_with("-ERR") {
        return Err(dialogue.unexpected(&first));
    }
    Ok(())
}

/// Whether the server took the login; the outer error is a conversation that broke.
async fn log_in(dialogue: &mut Dialogue<'_>, login: &Credentials) -> Result<Result<(), String>, String> {
    for (command, word, expected) in
        [("USER", login.name.as_str(), "+OK to USER"), ("PASS", login.password.reveal(), "+OK to PASS")]
    {
        dialogue.say(&format!("{command} {word}\r\n")).await?;
        let line = dialogue.line(expected).await?;
        if line.starts_with("-ERR") {
            dialogue.remember(&line);
            return Ok(Err(dialogue.unexpected(&line)));
        }
        if !line.starts_with("+OK") {
            return Err(dialogue.unexpected(&line));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests;
