//! `service=mysql`: MySQL's and MariaDB's own protocol.
//!
//! The connection is not encrypted, as with the original's client library, unless the server
//! refuses who comes so. No password crosses it in the clear: the methods prove that it is known,
//! or encrypt it with the server's key.

mod login;
mod packet;
mod public_key;
mod result;

use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use self::login::{Login, Next};
use self::packet::Packet;
use self::result::{Progress, Rows};
use super::sql::End;
use super::stage::Stage;
use super::tls::Tls;
use super::wire::Wire;
use crate::config::model::Sql;

/// Most turns from the client's first word to the end of the login.
const MAX_TURNS: usize = 8;

/// Logs in and asks. `seed` is unpredictable.
pub async fn check(sql: &Sql, stage: &Stage, tls: &Tls, seed: [u8; 20]) -> Result<String, String> {
    let result = match attempt(sql, stage, None, seed).await {
        Err(End::OtherWay(_)) => attempt(sql, stage, Some(tls), seed).await,
        result => result,
    };
    result.map_err(End::why)
}

async fn attempt(sql: &Sql, stage: &Stage, tls: Option<&Tls>, seed: [u8; 20]) -> Result<String, End> {
    stage.expect("a connection");
    let mut wire = Wire::new(stage.connect().await?);
    stage.expect("a MySQL greeting");
    let greeting = match hear(stage, &mut wire).await?.greeting() {
        Some(Ok(greeting)) => greeting,
        Some(Err(refusal)) => return Err(stage.wrong(refusal).into()),
        None => return Err(stage.wrong("another packet").into()),
    };
    let login = Login::new(sql, greeting, tls.is_some(), seed);
    let Some(tls) = tls else { return converse(sql, stage, wire, login).await };
    wire.say(stage, &login.tls_request()).await?;
    let stream = tls.begin(stage, wire.into_stream(stage)?, None, false).await?;
    converse(sql, stage, Wire::new(stream), login).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    sql: &Sql,
    stage: &Stage,
    mut wire: Wire<S>,
    mut login: Login<'_>,
) -> Result<String, End> {
    stage.expect("a login");
    wire.say(stage, &login.begin()).await?;
    for turn in 0.. {
        if turn == MAX_TURNS {
            return Err(stage.wrong(format!("more than {MAX_TURNS} questions")).into());
        }
        match login.hear(&hear(stage, &mut wire).await?) {
            Next::Say(packet) => wire.say(stage, &packet).await?,
            Next::Wait => {}
            Next::In => break,
            Next::NeedsTls(why) => return Err(End::OtherWay(stage.wrong(why))),
            Next::Refused(why) => return Err(stage.wrong(why).into()),
        }
    }
    let answer = ask(sql, stage, &mut wire).await?;
    // It has answered; whether it hears the farewell does not matter.
    let _ = wire.say(stage, &packet::emit(0, &[packet::QUIT])).await;
    Ok(answer)
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    sql: &Sql,
    stage: &Stage,
    wire: &mut Wire<S>,
) -> Result<String, String> {
    stage.expect("a row");
    let query = Zeroizing::new([&[packet::QUERY], sql.query.as_bytes()].concat());
    wire.say(stage, &packet::emit(0, &query)).await?;
    let mut rows = Rows::default();
    loop {
        match rows.hear(&hear(stage, wire).await?) {
            Progress::More => {}
            Progress::Done(0) => return Err(stage.wrong("none")),
            Progress::Done(count) => return Ok(format!("{count} rows")),
            Progress::Enough => return Ok("rows".to_owned()),
            Progress::Failed(why) => return Err(stage.wrong(why)),
        }
    }
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(stage: &Stage, wire: &mut Wire<S>) -> Result<Packet, String> {
    wire.packet(stage, packet::size).await.map(|bytes| Packet::new(&bytes))
}

#[cfg(test)]
mod tests;
