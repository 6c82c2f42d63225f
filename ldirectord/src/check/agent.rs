//! `agentport`: an agent on the real server is asked how it is (an extension; [`crate::agent`] has the words).
//!
//! Nothing is said to it. It writes one line and most close the connection behind it.

use tokio::io::AsyncReadExt;

use super::stage::{Stage, quoted};
use crate::agent::{LONGEST, Said};

/// The first line that the agent writes, without its end.
pub async fn check(stage: &Stage) -> Result<String, String> {
    let mut stream = stage.connect().await?;
    stage.expect("a line of the agent");
    let mut heard = Vec::new();
    let mut piece = [0; 256];
    loop {
        let length = stream.read(&mut piece).await.map_err(|error| stage.broken(&error))?;
        heard.extend_from_slice(&piece[..length]);
        let end = heard.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        // One that closes without a line end has said what it wanted to say.
        let end = end.or((length == 0).then_some(heard.len()));
        if let Some(end) = end.filter(|&end| end <= LONGEST) {
            if end == 0 && length == 0 {
                return Err(stage.wrong("the end of the connection"));
            }
            let line = String::from_utf8_lossy(&heard[..end]).into_owned();
            return Said::parse(&line).map(|_| line).map_err(|why| stage.wrong(why));
        }
        if heard.len() > LONGEST {
            return Err(stage.wrong(format!("more than {LONGEST} bytes without an end: {}", quoted(&heard))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{SHORT, Step, tcp};
    use super::super::testing::{closed_port, report, run};
    use crate::config::model::{AgentCheck, Check};
    use std::net::SocketAddr;
    use std::time::Duration;

    async fn asked(at: SocketAddr, timeout: Duration) -> Result<String, String> {
        report(&Check::Agent(AgentCheck { at, timeout })).await
    }

    async fn says(pieces: &[&[u8]]) -> Result<String, String> {
        let at = tcp(pieces.iter().map(|piece| Step::Say(piece.to_vec())).collect()).await;
        asked(at, super::super::scripted::LONG).await
    }

    #[test]
    fn the_first_line_counts_with_or_without_an_end_and_in_pieces() {
        run(async {
            for (pieces, line) in [
                (&[&b"up\n"[..]][..], "up"),
                (&[b"75% ready\r\nmaint\n"], "75% ready"),
                (&[b"dr", b"ain", b"\n"], "drain"),
                (&[b"down # no end"], "down # no end"),
            ] {
                assert_eq!(says(pieces).await, Ok(line.to_owned()));
            }
        });
    }

    #[test]
    fn what_is_no_answer_says_what_it_is() {
        run(async {
            let silent = says(&[]).await.expect_err("nothing was said");
            assert!(silent.contains("expected a line of the agent, got the end of the connection"), "{silent}");
            let strange = says(&[b"SSH-2.0-OpenSSH_9.2\r\n"]).await.expect_err("another service");
            assert!(strange.contains("got no known word in \"SSH-2.0-OpenSSH_9.2\""), "{strange}");
            assert!(says(&[b"\nup\n"]).await.is_err(), "the first line is empty");
            let endless = says(&[&[b'x'; 5000]]).await.expect_err("no end");
            assert!(endless.contains("more than 1024 bytes"), "{endless}");
            let at = tcp(vec![Step::Say(b"up".to_vec()), Step::Hang]).await;
            let hung = asked(at, SHORT).await.expect_err("no end of the line");
            assert!(hung.starts_with("500 Timeout Alarm"), "{hung}");
            let refused = asked(closed_port().await, SHORT).await.expect_err("nobody listens");
            assert!(refused.contains("Connection refused"), "{refused}");
        });
    }
}
