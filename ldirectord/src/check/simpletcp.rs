//! `service=simpletcp` (spec/ldirectord.md 8.2, T6): something is said, and one of the lines heard has to match.

use super::datagram;
use super::dialogue::{Dialogue, MAX_HEARD, shown};
use super::stage::{Stage, quoted};
use crate::config::Pattern;
use crate::config::model::{SimpleTcp, Transport};

/// Longest datagram.
const DATAGRAM: usize = 65_535;

const ANYTHING: &str = "an answer";
const A_LINE: &str = "a line that matches";

/// Says its text and listens.
pub async fn check(simple: &SimpleTcp, stage: &Stage) -> Result<String, String> {
    match simple.transport {
        Transport::Tcp => converse(Dialogue::connect(stage).await?, simple, stage).await,
        Transport::Udp => {
            let socket = datagram::socket(stage).await?;
            stage.expect(expectation(simple.receive.as_ref()));
            let judge = |answer: &[u8]| {
                let mut lines = answer.split_inclusive(|&byte| byte == b'\n');
                // An empty datagram is an answer as well.
                let first = lines.next().unwrap_or_default();
                for line in [first].into_iter().chain(lines) {
                    if let Some(line) = found(simple, line)? {
                        return Ok(line);
                    }
                }
                Err(quoted(answer))
            };
            datagram::ask(stage, &socket, simple.request.as_bytes(), DATAGRAM, judge).await
        }
    }
}

fn expectation(receive: Option<&Pattern>) -> &'static str {
    if receive.is_some() { A_LINE } else { ANYTHING }
}

async fn converse(mut dialogue: Dialogue<'_>, simple: &SimpleTcp, stage: &Stage) -> Result<String, String> {
    stage.expect(expectation(simple.receive.as_ref()));
    // A server that answers and closes without having listened is heard as well.
    let said = dialogue.say(&simple.request).await;
    let said = said.and(dialogue.finish().await);
    let mut last = Vec::new();
    loop {
        let line = dialogue.raw_line(MAX_HEARD).await.map_err(|why| said.clone().err().unwrap_or(why))?;
        if line.is_empty() {
            return Err(stage.wrong(match last.as_slice() {
                [] => "the end of the connection".to_owned(),
                last => format!("{} as the last line", quoted(last)),
            }));
        }
        if let Some(line) = found(simple, &line).map_err(|why| stage.wrong(why))? {
            return Ok(line);
        }
        stage.heard(quoted(&line));
        last = line;
    }
}

/// The line, if it is what was waited for.
fn found(simple: &SimpleTcp, line: &[u8]) -> Result<Option<String>, String> {
    let text = String::from_utf8_lossy(line);
    let matches = match &simple.receive {
        Some(pattern) => pattern.matches(&text).map_err(|error| error.to_string())?,
        None => true,
    };
    Ok(matches.then(|| shown(text.trim_end())))
}

#[cfg(test)]
mod tests;
