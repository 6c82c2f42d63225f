//! `service=udp`, an extension: any protocol of one question and one answer.
//!
//! With a pattern, an answer has to match it. Without one, nobody has to answer: the server is
//! down if it says that nobody listens on the port.

use std::time::Duration;

use tokio::time::timeout;

use super::datagram;
use super::stage::{Stage, quoted};
use crate::config::model::Udp;

/// Most of an answer that is looked at, bytes.
const MOST: usize = 4096;

/// How long a server that need not answer may take to say that nobody listens.
const REFUSES_WITHIN: Duration = Duration::from_secs(1);

/// Sends the request, and waits for an answer or a refusal.
pub async fn check(udp: &Udp, stage: &Stage) -> Result<String, String> {
    let socket = datagram::socket(stage).await?;
    let Some(pattern) = &udp.receive else {
        stage.expect("no refusal");
        let heard = datagram::ask(stage, &socket, &udp.request, MOST, |bytes| Ok(bytes.len()));
        return match timeout(REFUSES_WITHIN, heard).await {
            Ok(answered) => answered.map(|length| format!("{length} bytes")),
            Err(_) => Ok("not refused".to_owned()),
        };
    };
    stage.expect("a matching answer");
    let judge = |bytes: &[u8]| match pattern.matches(&String::from_utf8_lossy(bytes)) {
        Ok(true) => Ok(Ok(format!("{} bytes", bytes.len()))),
        Ok(false) => Ok(Err(format!("{}, which does not match \"{}\"", quoted(bytes), pattern.as_str()))),
        Err(error) => Ok(Err(error.to_string())),
    };
    let answered = datagram::ask(stage, &socket, &udp.request, MOST, judge).await?;
    answered.map_err(|got| stage.wrong(got))
}

#[cfg(test)]
mod tests;
