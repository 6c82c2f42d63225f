//! Does another machine answer for an address that is on here (RFC 5227, RFC 4862)?
//!
//! Asked after the address was announced, on a thread beside the loop: a takeover waits for no answer. Who is told by it is
//! the administrator; of two heartbeatd that both have a group one lets go by itself, so what is found here is a machine
//! that nobody reckoned with, or an old owner that hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs::netlink::announce::holders;
use serde::Serialize;
use tokio::sync::mpsc;

/// After the address was announced: a planned switch is over by then, and so is what is left of the lease of an owner that
/// hangs, at the last of them in any case.
const ROUNDS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];
/// For as long as somebody else answers.
const AGAIN: Duration = Duration::from_secs(10);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// A hardware address.
pub type Mac = [u8; 6];

/// Where an address is here: on which interface, with which hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub ip: IpAddr,
    /// The interface's index.
    pub interface: u32,
    /// The interface's own.
    pub mac: Mac,
}

/// What was found, told when it changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Finding {
    /// Others answer.
    #[error(
        "{ip} is on here, and {} answers for it too: two machines have it. Look which one that is (\"ip neigh\" of a third \
         machine, the switch), and take the address off there", macs.join(" and ")
    )]
    Duplicate {
        /// The address.
        ip: IpAddr,
        /// Their hardware addresses.
        macs: Vec<String>,
    },
    /// They do not any longer.
    #[error("nobody else answers for {ip} any more")]
    Alone {
        /// The address.
        ip: IpAddr,
    },
}

/// When to ask, and what is known.
#[derive(Debug, Default)]
struct Questions {
    asked: BTreeMap<IpAddr, Asked>,
}

#[derive(Debug)]
struct Asked {
    since: Instant,
    rounds: usize,
    /// `None`: no more.
    next: Option<Instant>,
    others: BTreeSet<Mac>,
}

impl Questions {
    /// The address was announced. What was found before stays known until the next answer.
    fn begin(&mut self, now: Instant, ip: IpAddr) {
        let others = self.asked.remove(&ip).map(|asked| asked.others).unwrap_or_default();
        self.asked.insert(ip, Asked { since: now, rounds: 0, next: Some(now + ROUNDS[0]), others });
    }

    fn due(&self, now: Instant) -> Vec<IpAddr> {
        let due = self.asked.iter().filter(|(_, asked)| asked.next.is_some_and(|next| next <= now));
        due.map(|(ip, _)| *ip).collect()
    }

    /// One round is over.
    fn answered(&mut self, now: Instant, ip: IpAddr, others: BTreeSet<Mac>) -> Option<Finding> {
        let asked = self.asked.get_mut(&ip)?;
        asked.rounds += 1;
        asked.next = match ROUNDS.get(asked.rounds) {
            Some(after) => Some((asked.since + *after).max(now)),
            None if others.is_empty() => None,
            None => Some(now + AGAIN),
        };
        if asked.others == others {
            return None;
        }
        asked.others = others;
        if asked.others.is_empty() {
            return Some(Finding::Alone { ip });
        }
        Some(Finding::Duplicate { ip, macs: asked.others.iter().map(shown).collect() })
    }
}

/// The answers of one round.
type Round = Vec<(IpAddr, BTreeSet<Mac>)>;

/// Asks for the addresses that are on here.
#[derive(Debug)]
pub struct Probe {
    questions: Questions,
    under_way: bool,
    rounds: (mpsc::Sender<Round>, mpsc::Receiver<Round>),
}

impl Default for Probe {
    fn default() -> Self {
        Self { questions: Questions::default(), under_way: false, rounds: mpsc::channel(1) }
    }
}

impl Probe {
    /// The address was announced.
    pub fn begin(&mut self, now: Instant, ip: IpAddr) {
        self.questions.begin(now, ip);
    }

    /// Who else answered last for an address that is still on.
    pub fn others(&self, ip: IpAddr) -> Vec<String> {
        self.questions.asked.get(&ip).map_or_else(Vec::new, |asked| asked.others.iter().map(shown).collect())
    }

    /// When [`Self::turn`] next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        self.questions.asked.values().filter_map(|asked| asked.next).min()
    }

    /// Addresses that are not `on` any more are forgotten.
    pub fn keep(&mut self, on: impl Fn(IpAddr) -> bool) {
        self.questions.asked.retain(|ip, _| on(*ip));
    }

    /// The addresses to ask for now, if nobody is asked yet.
    pub fn due(&self, now: Instant) -> Vec<IpAddr> {
        if self.under_way { Vec::new() } else { self.questions.due(now) }
    }

    /// Asks for the addresses that are due, where they are now; one without a place has nobody to ask. `ours`: hardware
    /// addresses of this machine, whose other interfaces may answer. Needs a tokio runtime.
    pub fn ask(&mut self, due: Vec<IpAddr>, places: Vec<Place>, ours: Vec<Mac>) {
        self.under_way = true;
        let done = self.rounds.0.clone();
        tokio::task::spawn_blocking(move || {
            // The loop may have ended meanwhile.
            let _ = done.blocking_send(round(due, &places, &ours));
        });
    }

    /// What the round that was asked has found, when it is over. Cancel-safe.
    pub async fn answers(&mut self) -> Vec<Finding> {
        match self.rounds.1.recv().await {
            Some(round) => {
                self.under_way = false;
                let now = Instant::now();
                round.into_iter().filter_map(|(ip, others)| self.questions.answered(now, ip, others)).collect()
            }
            // The sender is here as well.
            None => std::future::pending().await,
        }
    }
}

fn round(due: Vec<IpAddr>, places: &[Place], ours: &[Mac]) -> Round {
    let mut interfaces: Vec<(u32, Mac)> = places.iter().map(|place| (place.interface, place.mac)).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let mut found: BTreeMap<IpAddr, BTreeSet<Mac>> = BTreeMap::new();
    for (interface, mac) in interfaces {
        let ips: Vec<IpAddr> =
            places.iter().filter(|place| place.interface == interface).map(|place| place.ip).collect();
        match holders(interface, mac, &ips, PATIENCE) {
            Ok(answers) => found.extend(answers),
            // Its cable may be out, which is told by others.
            Err(e) => log::debug!("cannot ask who else has {ips:?}: {e}"),
        }
    }
    let others =
        |ip: &IpAddr| found.remove(ip).unwrap_or_default().into_iter().filter(|mac| !ours.contains(mac)).collect();
    let mut others = others;
    due.into_iter().map(|ip| (ip, others(&ip))).collect()
}

fn shown(mac: &Mac) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 60, 200));
    const FIRST: Mac = [2, 0, 0, 0, 0, 1];
    const SECOND: Mac = [2, 0, 0, 0, 0, 0xab];

    /// Asked at each deadline and answered by these; what was told, and when in ms.
    fn told(answers: &[&[Mac]]) -> (Vec<String>, Vec<u128>) {
        let start = Instant::now();
        let mut questions = Questions::default();
        questions.begin(start, VIP);
        let (mut told, mut times) = (Vec::new(), Vec::new());
        for others in answers {
            let Some(next) = questions.asked[&VIP].next else { break };
            assert!(questions.due(next - Duration::from_millis(1)).is_empty());
            assert_eq!(questions.due(next), [VIP]);
            times.push((next - start).as_millis());
            told.extend(questions.answered(next, VIP, others.iter().copied().collect()).map(|found| found.to_string()));
        }
        (told, times)
    }

    #[test]
    fn where_nobody_else_answers_it_is_asked_three_times() {
        assert_eq!(told(&[&[], &[], &[], &[]]), (vec![], vec![500, 2000, 6000]));
    }

    #[test]
    fn every_machine_that_answers_is_named_and_asked_for_until_it_stops() {
        let (told, times) = told(&[&[], &[], &[SECOND, FIRST], &[SECOND, FIRST], &[FIRST], &[], &[]]);
        assert_eq!(times, [500, 2000, 6000, 16_000, 26_000, 36_000]);
        assert!(told[0].contains("192.168.60.200 is on here, and 02:00:00:00:00:01 and 02:00:00:00:00:ab answers"));
        assert!(told[1].contains("and 02:00:00:00:00:01 answers"), "{told:?}");
        assert_eq!(told[2..], ["nobody else answers for 192.168.60.200 any more"]);
    }

    #[test]
    fn an_answer_for_an_address_that_has_gone_off_is_nobodys() {
        let mut probe = Probe::default();
        probe.begin(Instant::now(), VIP);
        assert!(probe.deadline().is_some());
        probe.keep(|_| false);
        assert_eq!(probe.deadline(), None);
        assert_eq!(probe.questions.answered(Instant::now(), VIP, BTreeSet::from([FIRST])), None);
        assert!(probe.others(VIP).is_empty());
    }
}
