//! `service=ldap` and `ldaps` (spec/ldirectord.md 8.2, RFC 4511): a simple bind, and a search for one entry;
//! an extension is TLS by StartTLS (RFC 4511 4.14) before that.

mod message;

use tokio::io::{AsyncRead, AsyncWrite};

use self::message::{Outcome, Reply};
use super::stage::{Stage, quoted};
use super::tls::Tls;
use super::wire::Wire;
use crate::config::model::{Encryption, Ldap};

/// Most replies to one search that are looked at; there should be two.
const MAX_REPLIES: usize = 16;

const BIND: u8 = 1;
const SEARCH: u8 = 2;
const START_TLS: u8 = 3;

/// Encrypts if that is asked for, binds and searches. `words` are for the monitor file (spec chapter 11): at any
/// time what is to be said if it ends there.
pub async fn check(ldap: &Ldap, stage: &Stage, tls: &Tls, words: &mut Option<String>) -> Result<String, String> {
    let mut say = |text: &str| *words = Some(text.to_owned());
    say("Connection failed");
    let mut wire = Wire::new(stage.connect().await?);
    let Some(Encryption { starttls, name, verify }) = &ldap.encryption else {
        return converse(ldap, stage, wire, &mut say).await;
    };
    if *starttls {
        stage.expect("the answer to StartTLS");
        wire.say(stage, &message::start_tls(START_TLS)).await?;
        match reply(stage, &mut wire, START_TLS).await? {
            Reply::Extended(outcome) => outcome.success().map_err(|why| stage.wrong(why))?,
            other => return Err(stage.wrong(other.name())),
        }
    }
    // Whatever came before the handshake came from anybody.
    let stream = wire.into_stream(stage)?;
    let encrypted = tls.begin(stage, stream, name.as_deref(), *verify).await?;
    converse(ldap, stage, Wire::new(encrypted), &mut say).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    ldap: &Ldap,
    stage: &Stage,
    mut wire: Wire<S>,
    say: &mut impl FnMut(&str),
) -> Result<String, String> {
    say("Bind failed");
    stage.expect("the answer to the bind");
    let (name, password) = ldap.bind.as_ref().map_or(("", ""), |bind| (&bind.name, bind.password.reveal()));
    wire.say(stage, &message::bind(BIND, name, password)).await?;
    match reply(stage, &mut wire, BIND).await? {
        Reply::Bound(outcome) => outcome.success().map_err(|why| stage.wrong(why))?,
        other => return Err(stage.wrong(other.name())),
    }
    say("No answer received");
    stage.expect("the answer to the search");
    wire.say(stage, &message::search(SEARCH, &ldap.base)).await?;
    let mut found = Vec::new();
    for _ in 0..MAX_REPLIES {
        match reply(stage, &mut wire, SEARCH).await? {
            Reply::Entry(name) => found.push(name),
            Reply::Reference | Reply::Intermediate => {}
            Reply::Done(outcome) => {
                stage.expect("exactly one entry");
                outcome.success().map_err(|why| stage.wrong(why))?;
                return judge(ldap, stage, &found, say);
            }
            other => return Err(stage.wrong(other.name())),
        }
    }
    Err(stage.wrong(format!("more than {MAX_REPLIES} replies")))
}

fn judge(ldap: &Ldap, stage: &Stage, found: &[Vec<u8>], say: &mut impl FnMut(&str)) -> Result<String, String> {
    let [name] = found else { return Err(stage.wrong(format!("{} entries", found.len()))) };
    if let Some(pattern) = &ldap.receive {
        let matches = pattern.matches(&String::from_utf8_lossy(name)).map_err(|error| error.to_string())?;
        if !matches {
            say("Response mismatch");
            stage.expect("another entry");
            let why = format!("{}, which does not match \"{}\"", quoted(name), pattern.as_str());
            return Err(stage.wrong(why));
        }
    }
    say("Success");
    Ok(format!("found {}", quoted(name)))
}

async fn reply<S: AsyncRead + AsyncWrite + Unpin>(stage: &Stage, wire: &mut Wire<S>, id: u8) -> Result<Reply, String> {
    let packet = wire.packet(stage, message::size).await?;
    message::reply(&packet, id).map_err(|why| stage.wrong(why))
}

impl Outcome {
    fn success(self) -> Result<(), String> {
        if self.code == 0 {
            return Ok(());
        }
        let told = if self.message.is_empty() { String::new() } else { format!(" {}", quoted(&self.message)) };
        Err(format!("{}{told}", self.words()))
    }
}

#[cfg(test)]
mod tests;
