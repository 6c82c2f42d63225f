//! `service=ftp` (spec/ldirectord.md 8.2, B7; RFC 959, RFC 2428).
//!
//! The data connection is passive, to the address that was asked: what a server behind NAT says of its own address is
//! of no use, and a check must not be sent elsewhere.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::dialogue::{Dialogue, MAX_HEARD, shown};
use super::reason;
use super::stage::{Stage, quoted};
use crate::config::model::Ftp;

/// Logs in and fetches the file, if the request names one.
pub async fn check(ftp: &Ftp, stage: &Stage) -> Result<String, String> {
    converse(Dialogue::connect(stage).await?, ftp, stage).await
}

async fn converse<'s>(mut dialogue: Dialogue<'s>, ftp: &'s Ftp, stage: &Stage) -> Result<String, String> {
    dialogue.conceal(&ftp.login);
    let greeting = loop {
        let reply = dialogue.reply("a greeting 2xx").await?;
        match reply.class() {
            // "Ready in nnn minutes", and then the greeting.
            1 => {}
            2 => break reply,
            _ => return Err(dialogue.unexpected(reply.first_line())),
        }
    };
    log_in(&mut dialogue, ftp).await?;
    if ftp.path != "/" || ftp.receive.is_some() {
        fetch(&mut dialogue, ftp, stage).await?;
    }
    dialogue.farewell("QUIT\r\n").await;
    Ok(shown(greeting.first_line()))
}

async fn log_in(dialogue: &mut Dialogue<'_>, ftp: &Ftp) -> Result<(), String> {
    dialogue.say(&format!("USER {}\r\n", ftp.login.name)).await?;
    let user = dialogue.reply("2xx or 331 to USER").await?;
    match user.class() {
        2 => Ok(()),
        3 => {
            dialogue.say(&format!("PASS {}\r\n", ftp.login.password.reveal())).await?;
            dialogue.good_reply(2, "2xx to PASS").await.map(drop)
        }
        _ => Err(dialogue.unexpected(user.first_line())),
    }
}

async fn fetch(dialogue: &mut Dialogue<'_>, ftp: &Ftp, stage: &Stage) -> Result<(), String> {
    // Servers answer in different ways to both, and RETR tells what matters.
    for (command, expected) in [("CWD /\r\n", "a reply to CWD"), ("TYPE I\r\n", "a reply to TYPE")] {
        dialogue.say(command).await?;
        dialogue.reply(expected).await?;
    }
    let data = data_address(dialogue, ftp.at).await?;
    stage.expect("a data connection");
    let data = TcpStream::connect(data).await;
    let data = data.map_err(|error| stage.wrong(reason(&error)))?;
    dialogue.say(&format!("RETR {}\r\n", ftp.path)).await?;
    dialogue.good_reply(1, "1xx to RETR").await?;
    stage.expect("the file");
    let mut file = Vec::new();
    data.take(MAX_HEARD as u64).read_to_end(&mut file).await.map_err(|error| stage.broken(&error))?;
    // Of a longer file the rest is not waited for; the server will complain, and that means nothing.
    if file.len() < MAX_HEARD {
        dialogue.good_reply(2, "2xx at the end of the file").await?;
    }
    let Some(pattern) = &ftp.receive else { return Ok(()) };
    match pattern.matches(&String::from_utf8_lossy(&file)) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let (at, pattern, path) = (ftp.at, pattern.as_str(), &ftp.path);
            Err(format!("{at}: \"{pattern}\" is not in the file {path}, which begins with {}", quoted(&file)))
        }
        Err(error) => Err(format!("{}: {error}", ftp.at)),
    }
}

/// Where the server listens for the data connection.
async fn data_address(dialogue: &mut Dialogue<'_>, at: SocketAddr) -> Result<SocketAddr, String> {
    let (command, expected, port): (_, _, fn(&str) -> Option<u16>) = match at {
        SocketAddr::V4(_) => ("PASV\r\n", "227 to PASV", passive_port),
        SocketAddr::V6(_) => ("EPSV\r\n", "229 to EPSV", extended_port),
    };
    dialogue.say(command).await?;
    let reply = dialogue.good_reply(2, expected).await?;
    let port = port(reply.first_line()).ok_or_else(|| dialogue.unexpected(reply.first_line()))?;
    Ok(SocketAddr::new(at.ip(), port))
}

/// `227 Entering Passive Mode (192,0,2,1,195,80).`: the last two of six numbers. Not every server writes the
/// parentheses.
fn passive_port(line: &str) -> Option<u16> {
    let begin = line.get(4..)?.find(|c: char| c.is_ascii_digit())? + 4;
    let numbers = line[begin..].split(|c: char| !c.is_ascii_digit() && c != ',').next()?;
    let numbers: Vec<u8> = numbers.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [_, _, _, _, high, low] = numbers[..] else { return None };
    Some(u16::from_be_bytes([high, low])).filter(|&port| port > 0)
}

/// `229 Entering Extended Passive Mode (|||50000|)`, with any character for the bar.
fn extended_port(line: &str) -> Option<u16> {
    let inner = line.split_once('(')?.1.split_once(')')?.0;
    let bar = inner.chars().next()?;
    let mut fields = inner.split(bar);
    fields.nth(3)?.parse().ok().filter(|&port| port > 0)
}

#[cfg(test)]
mod tests;
