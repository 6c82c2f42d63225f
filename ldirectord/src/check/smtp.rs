//! `service=smtp`, `submission` and, an extension, `submissions` (spec/ldirectord.md 8.2; RFC 5321, RFC 3207).

use super::dialogue::Dialogue;
use super::stage::Stage;
use super::tls::Tls;
use crate::config::model::{Encryption, Smtp};

const GREETING: &str = "a greeting 2xx";
const ACCEPTED: &str = "2xx to EHLO";

/// Greets, encrypts if that is asked for, and takes its leave.
pub async fn check(smtp: &Smtp, stage: &Stage, tls: &Tls) -> Result<String, String> {
    converse(Dialogue::connect(stage).await?, smtp.encryption.as_ref(), tls).await
}

async fn converse(mut dialogue: Dialogue<'_>, encryption: Option<&Encryption>, tls: &Tls) -> Result<String, String> {
    dialogue = dialogue.begin(encryption, tls).await?;
    let greeting = dialogue.good_reply(2, GREETING).await?.to_string();
    hello(&mut dialogue).await?;
    if let Some(encryption) = Encryption::by_command(encryption) {
        dialogue.say("STARTTLS\r\n").await?;
        dialogue.good_reply(2, "2xx to STARTTLS").await?;
        dialogue = dialogue.encrypt(encryption, tls).await?;
        hello(&mut dialogue).await?;
    }
    dialogue.farewell("QUIT\r\n").await;
    Ok(greeting)
}

/// The name is the original's, which mail servers' filters know.
async fn hello(dialogue: &mut Dialogue<'_>) -> Result<(), String> {
    dialogue.say("EHLO localhost.localdomain\r\n").await?;
    let answer = dialogue.reply(ACCEPTED).await?;
    match answer.class() {
        2 => Ok(()),
        // A server that is older than EHLO.
        5 => {
            dialogue.say("HELO localhost.localdomain\r\n").await?;
            dialogue.good_reply(2, "2xx to HELO").await.map(drop)
        }
        _ => Err(dialogue.unexpected(answer.first_line())),
    }
}

#[cfg(test)]
mod tests;
