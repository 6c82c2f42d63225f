//! Does another machine answer for an address that is on here (RFC 5227, RFC 4862)?
//!
//! Asked after the address was announced, on a thread beside the loop: a takeover waits for no answer. Who is told by it is
//! the administrator; of two heartbeatd that both have a group one lets go by itself, so what is found here is a machine
//! that nobody reckoned with, or an old owner that hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
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
/// After a question that could not be asked.
const UNASKED: Duration = Duration::from_secs(2);
/// Between two findings of others about one address: anybody can answer, each time from another hardware address.
const SELDOM: Duration = Duration::from_secs(60);
/// So many hardware addresses are told of one address.
const TOLD: usize = 8;
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

/// The addresses to be asked for. What is neither at a place nor alone cannot be asked for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    /// Those with neighbours to ask.
    pub places: Vec<Place>,
    /// Those on interfaces without neighbours: nobody can answer for them.
    pub alone: Vec<IpAddr>,
    /// Hardware addresses of this machine, whose other interfaces may answer.
    pub ours: Vec<Mac>,
}

/// What was found, told when it changes; that others answer, at most once a minute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Finding {
    /// Others answer.
    #[error(
        "{ip} is on here, and {}{} answers for it too: two machines have it. Look which one that is (\"ip neigh\" of a third \
         machine, the switch), and take the address off there", macs.join(" and "), and_more(*more)
    )]
    Duplicate {
        /// The address.
        ip: IpAddr,
        /// Their hardware addresses, at most eight.
        macs: Vec<String>,
        /// How many more there are.
        more: usize,
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
    /// By the last answer.
    others: BTreeSet<Mac>,
    /// By what was told last, and when others were last told of.
    told: (BTreeSet<Mac>, Option<Instant>),
}

impl Questions {
    /// The address was announced. What was found before stays known until the next answer.
    fn begin(&mut self, now: Instant, ip: IpAddr) {
        let (others, told) = self.asked.remove(&ip).map(|asked| (asked.others, asked.told)).unwrap_or_default();
        self.asked.insert(ip, Asked { since: now, rounds: 0, next: Some(now + ROUNDS[0]), others, told });
    }

    fn due(&self, now: Instant) -> Vec<IpAddr> {
        let due = self.asked.iter().filter(|(_, asked)| asked.next.is_some_and(|next| next <= now));
        due.map(|(ip, _)| *ip).collect()
    }

    /// One round is over. `None`: nobody could be asked, which is neither an answer nor a round.
    fn answered(&mut self, now: Instant, ip: IpAddr, others: Option<BTreeSet<Mac>>) -> Option<Finding> {
        let asked = self.asked.get_mut(&ip)?;
        let Some(others) = others else {
            asked.next = Some(now + UNASKED);
            return None;
        };
        asked.rounds += 1;
        asked.others = others;
        let finding = asked.news(now, ip);
        asked.next = match ROUNDS.get(asked.rounds) {
            Some(after) => Some((asked.since + *after).max(now)),
            None if asked.others.is_empty() && asked.told.0.is_empty() => None,
            None => Some(now + AGAIN),
        };
        finding
    }
}

impl Asked {
    /// What is known, if it has not been told and may be by now.
    fn news(&mut self, now: Instant, ip: IpAddr) -> Option<Finding> {
        let (told, at) = &mut self.told;
        if *told == self.others {
            return None;
        }
        if self.others.is_empty() {
            // Good news is told at once, and no more often than the bad.
            told.clear();
            return Some(Finding::Alone { ip });
        }
        if at.is_some_and(|at| now < at + SELDOM) {
            return None;
        }
        self.told = (self.others.clone(), Some(now));
        Some(Finding::Duplicate { ip, macs: self.shown(), more: self.others.len().saturating_sub(TOLD) })
    }

    fn shown(&self) -> Vec<String> {
        self.others.iter().take(TOLD).map(shown).collect()
    }
}

/// The answers of one round; `None` where nobody could be asked.
type Round = Vec<(IpAddr, Option<BTreeSet<Mac>>)>;

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

    /// Who else answered last for an address that is still on, at most eight of them.
    pub fn others(&self, ip: IpAddr) -> Vec<String> {
        self.questions.asked.get(&ip).map_or_else(Vec::new, Asked::shown)
    }

    /// When somebody is next [`Self::due`] to be asked about; nobody is while a round is under way.
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

    /// Asks for the addresses that are due. Needs a tokio runtime.
    pub fn ask(&mut self, due: Vec<IpAddr>, around: Neighbourhood) {
        self.under_way = true;
        let done = self.rounds.0.clone();
        tokio::task::spawn_blocking(move || {
            let ask = |interface, mac, ips: &[IpAddr]| holders(interface, mac, ips, PATIENCE);
            // The loop may have ended meanwhile.
            let _ = done.blocking_send(round(due, &around, ask));
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

/// The other holders of each address, asked for on an interface with this hardware address.
type Answers = BTreeMap<IpAddr, BTreeSet<Mac>>;

fn round(due: Vec<IpAddr>, around: &Neighbourhood, ask: impl Fn(u32, Mac, &[IpAddr]) -> io::Result<Answers>) -> Round {
    // Each family by itself: an error of one says nothing of the other.
    let mut links: BTreeMap<(u32, Mac, bool), Vec<IpAddr>> = BTreeMap::new();
    for Place { ip, interface, mac } in &around.places {
        links.entry((*interface, *mac, ip.is_ipv4())).or_default().push(*ip);
    }
    let mut found: Answers = around.alone.iter().map(|ip| (*ip, BTreeSet::new())).collect();
    for ((interface, mac, _), ips) in links {
        match ask(interface, mac, &ips) {
            Ok(mut answers) => found.extend(ips.into_iter().map(|ip| {
                let mut others = answers.remove(&ip).unwrap_or_default();
                others.retain(|mac| !around.ours.contains(mac));
                (ip, others)
            })),
            // Its cable may be out, which is told by others.
            Err(e) => log::debug!("cannot ask who else has {ips:?}: {e}"),
        }
    }
    due.into_iter().map(|ip| (ip, found.remove(&ip))).collect()
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
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
    const NOBODY: Option<&[Mac]> = Some(&[]);

    /// Asked at each deadline and answered by these, `None` if it could not be asked; what was told, and when in ms.
    fn told(answers: &[Option<&[Mac]>]) -> (Vec<String>, Vec<u128>) {
        let start = Instant::now();
        let mut questions = Questions::default();
        questions.begin(start, VIP);
        let (mut told, mut times) = (Vec::new(), Vec::new());
        for others in answers {
            let Some(next) = questions.asked[&VIP].next else { break };
            assert!(questions.due(next - Duration::from_millis(1)).is_empty());
            assert_eq!(questions.due(next), [VIP]);
            times.push((next - start).as_millis());
            let others = others.map(|others| others.iter().copied().collect());
            told.extend(questions.answered(next, VIP, others).map(|found| found.to_string()));
        }
        (told, times)
    }

    #[test]
    fn where_nobody_else_answers_it_is_asked_three_times() {
        assert_eq!(told(&[NOBODY; 4]), (vec![], vec![500, 2000, 6000]));
    }

    #[test]
    fn a_question_that_could_not_be_asked_is_neither_an_answer_nor_a_round() {
        let unasked = [None, None, NOBODY, NOBODY, NOBODY, NOBODY];
        assert_eq!(told(&unasked), (vec![], vec![500, 2500, 4500, 4500, 6000]));
        let mut questions = Questions::default();
        let start = Instant::now();
        questions.begin(start, VIP);
        assert!(questions.answered(start, VIP, Some(BTreeSet::from([FIRST]))).is_some());
        for seconds in [70, 140, 210, 280] {
            assert_eq!(questions.answered(start + Duration::from_secs(seconds), VIP, None), None);
            assert_eq!(questions.asked[&VIP].shown(), ["02:00:00:00:00:01"]);
            assert_eq!(questions.asked[&VIP].next, Some(start + Duration::from_secs(seconds) + UNASKED));
        }
    }

    #[test]
    fn every_machine_that_answers_is_named_and_asked_for_until_it_stops() {
        let both: Option<&[Mac]> = Some(&[SECOND, FIRST]);
        let mut answers = vec![NOBODY, NOBODY, both, both, Some(&[FIRST])];
        answers.resize(20, NOBODY);
        let (told, times) = told(&answers);
        // That it is one machine less at 26 s would be told a minute after the first finding.
        assert_eq!(times, [500, 2000, 6000, 16_000, 26_000, 36_000]);
        assert!(told[0].contains("192.168.60.200 is on here, and 02:00:00:00:00:01 and 02:00:00:00:00:ab answers"));
        assert_eq!(told[1..], ["nobody else answers for 192.168.60.200 any more"]);
    }

    #[test]
    fn answers_from_ever_other_hardware_addresses_are_told_once_a_minute_and_eight_of_them() {
        let forged: Vec<Vec<Mac>> = (0..30).map(|round| (0..20).map(|at| [2, 0, 0, 0, round, at]).collect()).collect();
        let answers: Vec<Option<&[Mac]>> = forged.iter().map(|macs| Some(macs.as_slice())).collect();
        let (told, times) = told(&answers);
        assert_eq!((times.len(), times[29] / 60_000), (30, 4));
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[0].contains("02:00:00:00:00:07 and 12 more answers"), "{}", told[0]);
        assert!(!told[0].contains("02:00:00:00:00:08"), "{}", told[0]);
    }

    #[test]
    fn an_error_of_one_family_or_interface_leaves_the_answers_of_the_others() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (six, lonely, unknown, elsewhere) = (ip("fd00::200"), ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3"));
        let place = |ip, interface| Place { ip, interface, mac: [2, 0, 0, 0, 0, 9] };
        let around = Neighbourhood {
            places: vec![place(VIP, 1), place(six, 1), place(elsewhere, 2)],
            alone: vec![lonely],
            ours: vec![SECOND],
        };
        let ask = |interface, _, ips: &[IpAddr]| {
            if interface == 2 || ips.iter().any(IpAddr::is_ipv6) {
                return Err(io::Error::other("the network is down"));
            }
            Ok(ips.iter().map(|ip| (*ip, BTreeSet::from([FIRST, SECOND]))).collect())
        };
        let found = round(vec![VIP, six, lonely, unknown, elsewhere], &around, ask);
        let nobody = Some(BTreeSet::new());
        let first = Some(BTreeSet::from([FIRST]));
        assert_eq!(found, [(VIP, first), (six, None), (lonely, nobody), (unknown, None), (elsewhere, None)]);
    }

    #[test]
    fn an_answer_for_an_address_that_has_gone_off_is_nobodys() {
        let mut probe = Probe::default();
        probe.begin(Instant::now(), VIP);
        assert!(probe.deadline().is_some());
        probe.keep(|_| false);
        assert_eq!(probe.deadline(), None);
        assert_eq!(probe.questions.answered(Instant::now(), VIP, Some(BTreeSet::from([FIRST]))), None);
        assert!(probe.others(VIP).is_empty());
    }
}
