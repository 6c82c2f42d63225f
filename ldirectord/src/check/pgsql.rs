//! `service=pgsql`: PostgreSQL's own protocol, version 3.
//!
//! As its client library does by default, TLS is asked for and done without where the server has
//! none; where the server lets nobody in over TLS, it is tried once more without.

mod login;
mod message;
mod scram;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use self::login::{Login, Next};
use self::message::Message;
pub use self::scram::Keys;
use super::sql::End;
use super::stage::{Stage, quoted};
use super::tls::Tls;
use super::wire::Wire;
use crate::config::model::Sql;

/// Most messages from the client's first word to the end of the login: parameters and notices.
const MAX_LOGIN: usize = 256;

/// Most messages to a query that are looked at. After so many of them without an error the
/// server works.
const MAX_RESULT: usize = 1000;

/// `invalid_authorization_specification`: nobody is let in this way.
const NOT_THIS_WAY: &[u8] = b"28000";

/// Logs in and asks. `nonce` is unpredictable.
pub async fn check(sql: &Sql, stage: &Stage, tls: &Tls, keys: &Keys, nonce: [u8; 18]) -> Result<String, String> {
    let result = match attempt(sql, stage, Some(tls), keys, nonce).await {
        Err(End::OtherWay(_)) => attempt(sql, stage, None, keys, nonce).await,
        result => result,
    };
    result.map_err(End::why)
}

async fn attempt(sql: &Sql, stage: &Stage, tls: Option<&Tls>, keys: &Keys, nonce: [u8; 18]) -> Result<String, End> {
    stage.expect("a connection");
    let mut stream = stage.connect().await?;
    let login = Login::new(sql, nonce);
    if let Some(tls) = tls {
        stage.expect("an answer whether it speaks TLS");
        stream.write_all(message::TLS_REQUEST).await.map_err(|error| stage.broken(&error))?;
        // One byte and not more: what follows belongs to TLS.
        match stream.read_u8().await.map_err(|error| stage.broken(&error))? {
            b'S' => {
                let stream = tls.begin(stage, stream, None, false).await?;
                return converse(sql, stage, Wire::new(stream), login, keys, true).await;
            }
            b'N' => {}
            // One that has no room for us, or is of before TLS.
            b'E' => return Err(stage.wrong("an error").into()),
            other => return Err(stage.wrong(quoted(&[other])).into()),
        }
    }
    converse(sql, stage, Wire::new(stream), login, keys, false).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    sql: &Sql,
    stage: &Stage,
    mut wire: Wire<S>,
    mut login: Login<'_>,
    keys: &Keys,
    encrypted: bool,
) -> Result<String, End> {
    stage.expect("a login");
    wire.say(stage, &message::startup(&sql.login.name, &sql.database)).await?;
    for turn in 0.. {
        if turn == MAX_LOGIN {
            return Err(stage.wrong(format!("more than {MAX_LOGIN} messages")).into());
        }
        match login.hear(&hear(stage, &mut wire).await?, keys).await {
            Next::Say(message) => wire.say(stage, &message).await?,
            Next::Wait => {}
            Next::Ready => break,
            Next::Refused(refusal) if encrypted && refusal.code == NOT_THIS_WAY => {
                return Err(End::OtherWay(stage.wrong(refusal)));
            }
            Next::Refused(refusal) => return Err(stage.wrong(refusal).into()),
            Next::Lost(why) => return Err(stage.wrong(why).into()),
        }
    }
    let answer = ask(sql, stage, &mut wire).await?;
    // It has answered; whether it hears the farewell does not matter.
    let _ = wire.say(stage, &message::terminate()).await;
    Ok(answer)
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    sql: &Sql,
    stage: &Stage,
    wire: &mut Wire<S>,
) -> Result<String, String> {
    stage.expect("a row");
    wire.say(stage, &message::query(&sql.query)).await?;
    let (mut rows, mut refused) = (0, None);
    for _ in 0..MAX_RESULT {
        match hear(stage, wire).await? {
            Message::Row => rows += 1,
            Message::LongRow => return Ok("a long row".to_owned()),
            // Rows that a statement has changed.
            Message::Done(count) => rows = rows.max(count),
            Message::Refused(refusal) => refused = Some(refusal),
            // After an error nothing else follows but this.
            Message::Ready => match (refused, rows) {
                (Some(refusal), _) => return Err(stage.wrong(refusal)),
                (None, 0) => return Err(stage.wrong("none")),
                (None, rows) => return Ok(format!("{rows} rows")),
            },
            Message::Noise => {}
            other => return Err(stage.wrong(other.name())),
        }
    }
    match (refused, rows) {
        (None, 1..) => Ok("rows".to_owned()),
        _ => Err(stage.wrong(format!("more than {MAX_RESULT} messages"))),
    }
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(stage: &Stage, wire: &mut Wire<S>) -> Result<Message, String> {
    let packet = wire.packet(stage, message::size).await?;
    message::read(&packet).map_err(|why| stage.wrong(why))
}

#[cfg(test)]
mod tests;
