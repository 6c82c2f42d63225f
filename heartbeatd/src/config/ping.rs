//! Ping nodes: what is asked whether it answers (spec/heartbeat.md 1.3, 7.1).

use std::net::IpAddr;

use super::Surroundings;
use super::medium::Mistake;
use super::model::PingNode;
use super::source::Word;
use super::value::Wrong;

/// What kind of ping node a directive declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Four,
    Six,
    Group,
}

fn mistake<T>(word: &Word, message: String, help: &str) -> Result<T, Mistake> {
    Err((word.clone(), Wrong { message, help: Some(help.to_owned()) }))
}

impl Kind {
    pub(super) fn of(directive: &str) -> Option<Self> {
        Some(match directive {
            "ping" => Self::Four,
            "ping6" => Self::Six,
            "ping_group" => Self::Group,
            _ => return None,
        })
    }

    /// The ping nodes of one line: `words` behind the directive, of which there is at least one.
    pub(super) fn read(self, words: &[Word], around: &Surroundings) -> Vec<Result<PingNode, Mistake>> {
        match (self, words) {
            (Self::Group, [name]) => {
                vec![mistake(
                    name,
                    format!("group {:?} has no hosts", name.text),
                    "as in \"ping_group routers 10.0.0.1 10.0.0.2\"",
                )]
            }
            (Self::Group, [name, hosts @ ..]) => {
                let hosts: Result<Vec<_>, _> =
                    hosts.iter().map(|word| host(word, IpAddr::is_ipv4, "IPv4", around)).collect();
                vec![hosts.map(|hosts| PingNode { name: name.text.clone(), hosts })]
            }
            (Self::Four | Self::Six, words) => {
                let (fits, family): (fn(&IpAddr) -> bool, _) =
                    if self == Self::Six { (IpAddr::is_ipv6, "IPv6") } else { (IpAddr::is_ipv4, "IPv4") };
                let node = |word: &Word| {
                    host(word, fits, family, around).map(|host| PingNode { name: word.text.clone(), hosts: vec![host] })
                };
                words.iter().map(node).collect()
            }
            (Self::Group, []) => Vec::new(),
        }
    }
}

fn host(word: &Word, fits: fn(&IpAddr) -> bool, family: &str, around: &Surroundings) -> Result<IpAddr, Mistake> {
    let found = match word.text.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => match (around.resolve)(&word.text) {
            Ok(addresses) => addresses,
            Err(e) => {
                let help = "write the address itself: what is pinged should not depend on a name service";
                return mistake(word, format!("cannot resolve {:?}: {e}", word.text), help);
            }
        },
    };
    match found.into_iter().find(fits) {
        Some(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        Some(_) => mistake(word, format!("{:?} is not one host", word.text), "usually the gateway of the clients"),
        None => mistake(word, format!("{:?} has no {family} address", word.text), "ping is for IPv4, ping6 for IPv6"),
    }
}
