//! `service=dns` (spec/ldirectord.md 8.2, B13): asks for a name's addresses, or for an address's
//! name.
//!
//! A records are asked for first, as ever; AAAA records only where no A record will do.

mod message;

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::message::{Answer, Kind, Name};
use super::datagram;
use super::stage::{Stage, quoted};
use crate::config::model::{Dns, Transport};

/// Most of a datagram: without EDNS, which is not offered, it is 512.
const MOST: usize = 4096;

/// How many of the addresses that do not match are told.
const TOLD: usize = 4;

/// Asks until something in an answer matches.
///
/// `seed` is hard to guess, and so are the questions' ids. `words` are for the monitor file (spec chapter 11).
pub async fn check(dns: &Dns, stage: &Stage, seed: [u8; 2], words: &mut Option<String>) -> Result<String, String> {
    *words = Some("Connection timed out".to_owned());
    let mut heard = Vec::new();
    let mut id = u16::from_be_bytes(seed);
    for (text, name, kinds) in questions(dns) {
        let name =
            name.ok_or_else(|| format!("{} is not a domain name to ask {} for", quoted(text.as_bytes()), stage.at()))?;
        for &kind in kinds {
            let answer = ask(dns.transport, stage, id, &name, kind).await?;
            id = id.wrapping_add(1);
            if let Some(found) = matching(dns, &answer)? {
                *words = Some("Success".to_owned());
                return Ok(format!("{text} {kind} {found}"));
            }
            if !answer.data.is_empty() {
                *words = Some("Response mismatch".to_owned());
            }
            heard.push(format!("{} for {text} {kind}", what(&answer)));
            if answer.code != 0 {
                break;
            }
        }
    }
    let wanted = dns.receive.as_ref().map_or(String::new(), |pattern| format!(" matching \"{}\"", pattern.as_str()));
    Err(format!("{}: expected a record{wanted}, got {}", stage.at(), heard.join(", ")))
}

/// What is asked, one after the other: a short name in the domains of the search list first.
fn questions(dns: &Dns) -> Vec<(String, Option<Name>, &'static [Kind])> {
    let asked = &dns.question;
    if let Ok(address) = asked.parse::<IpAddr>() {
        return vec![(asked.clone(), Some(Name::reverse(address)), &[Kind::Ptr])];
    }
    let searched = dns.search.iter().filter(|_| !asked.contains('.')).map(|domain| format!("{asked}.{domain}"));
    let addresses: &[Kind] = &[Kind::A, Kind::Aaaa];
    searched.chain([asked.clone()]).map(|text| (text.clone(), Name::new(&text), addresses)).collect()
}

async fn ask(transport: Transport, stage: &Stage, id: u16, name: &Name, kind: Kind) -> Result<Answer, String> {
    let question = message::question(id, name, kind);
    let judge = |bytes: &[u8]| message::answer(bytes, id, name, kind).map_err(str::to_owned);
    if transport == Transport::Udp {
        stage.expect("an answer");
        let socket = datagram::socket(stage).await?;
        let answer = datagram::ask(stage, &socket, &question, MOST, judge).await?;
        if !answer.truncated {
            return Ok(answer);
        }
    }
    stage.expect("an answer over TCP");
    let reply = exchange(stage, &question).await?;
    judge(&reply).map_err(|why| stage.wrong(why))
}

/// One question over TCP, each message with its length before it (RFC 1035 4.2.2).
async fn exchange(stage: &Stage, question: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = stage.connect().await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    let framed = [&length.to_be_bytes(), question].concat();
    stream.write_all(&framed).await.map_err(|error| stage.broken(&error))?;
    let length = stream.read_u16().await.map_err(|error| stage.broken(&error))?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.map_err(|error| stage.broken(&error))?;
    Ok(reply)
}

/// The first record that will do.
fn matching<'a>(dns: &Dns, answer: &'a Answer) -> Result<Option<&'a str>, String> {
    for found in &answer.data {
        let matches = dns.receive.as_ref().map_or(Ok(true), |pattern| pattern.matches(found));
        if matches.map_err(|error| error.to_string())? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn what(answer: &Answer) -> String {
    let code = match answer.code {
        0 if answer.data.is_empty() => "no record",
        0 => {
            let dots = if answer.data.len() > TOLD { " ..." } else { "" };
            return answer.data.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(" ") + dots;
        }
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return format!("error {other}"),
    };
    code.to_owned()
}

#[cfg(test)]
mod tests;
