//! `service=radius` (spec/ldirectord.md 8.2, RFC 2865): may this user in?

mod packet;

use self::packet::{Request, Verdict};
use super::datagram;
use super::stage::{Stage, quoted};
use crate::config::model::Radius;

/// Most of a packet (RFC 2865 section 3).
const MOST: usize = 4096;

/// Asks; `random` is unpredictable: an id, then the request's authenticator.
pub async fn check(radius: &Radius, stage: &Stage, random: [u8; 17]) -> Result<String, String> {
    let socket = datagram::socket(stage).await?;
    let from = socket.local_addr().map_err(|error| stage.broken(&error))?.ip();
    let [id, authenticator @ ..] = random;
    let request = Request {
        id,
        authenticator,
        name: radius.login.name.as_bytes(),
        password: radius.login.password.reveal().as_bytes(),
        // IPv4 in IPv6's clothes is IPv4 to a RADIUS server.
        from: from.to_canonical(),
        secret: radius.secret.reveal().as_bytes(),
    };
    let question = request.emit().map_err(|why| format!("{}: cannot ask: {why}", stage.at()))?;
    stage.expect("Access-Accept");
    let judge = |bytes: &[u8]| request.verdict(bytes).map_err(str::to_owned);
    match datagram::ask(stage, &socket, &question, MOST, judge).await? {
        verdict @ Verdict::Accept => Ok(verdict.name()),
        Verdict::Reject(message) if !message.is_empty() => {
            Err(stage.wrong(format!("Access-Reject {}", quoted(&message))))
        }
        verdict => Err(stage.wrong(verdict.name())),
    }
}

#[cfg(test)]
mod tests;
