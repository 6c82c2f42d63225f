//! `service=nntp` (spec/ldirectord.md 8.2).

use super::dialogue::{Dialogue, shown};
use super::stage::{Stage, quoted};

/// What is looked at, bytes.
const MOST: usize = 64;

/// Reads the greeting, which has to begin with a 2.
pub async fn check(stage: &Stage) -> Result<String, String> {
    converse(Dialogue::connect(stage).await?, stage).await
}

async fn converse(mut dialogue: Dialogue<'_>, stage: &Stage) -> Result<String, String> {
    stage.expect("a greeting 2xx");
    let heard = dialogue.first_bytes(MOST).await?;
    if heard.is_empty() {
        return Err(stage.wrong("the end of the connection"));
    }
    if !heard.starts_with(b"2") {
        return Err(stage.wrong(quoted(&heard)));
    }
    dialogue.farewell("QUIT\r\n").await;
    Ok(shown(String::from_utf8_lossy(&heard).lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
