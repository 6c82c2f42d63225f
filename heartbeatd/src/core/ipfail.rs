//! Ping nodes, and what follows from reaching fewer of them than the other node does (spec/heartbeat.md 7.1, 7.2):
//! heartbeat's ipfail, built in, with its messages.

use std::time::{Duration, Instant};

use crate::core::notice::Notice;
use crate::core::takeover::Which;
use crate::wire::ClientWord;

/// How long a node is given up to go on with the switch that must wait for stability.
const AGAIN: Duration = Duration::from_secs(1);

/// While a ping node is missing the count is repeated, so that a node that started meanwhile learns it.
const REPEAT: Duration = Duration::from_secs(10);

/// The client's name under which heartbeat knows it.
pub(crate) const CLIENT: &str = "ipfail";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Say(ClientWord),
    Note(Notice),
    /// Give these groups to the other node; what came of it goes to [`Pings::given`].
    Give(Which),
}

#[derive(Debug)]
struct Ping {
    name: String,
    answered_at: Option<Instant>,
    /// `None` until it has answered or was given time enough to.
    alive: Option<bool>,
}

/// The ping nodes of ha.cf as this node reaches them.
#[derive(Debug)]
pub(crate) struct Pings {
    nodes: Vec<Ping>,
    /// ipfail is asked for in ha.cf.
    acts: bool,
    auto_failback: bool,
    deadping: Duration,
    /// Two keepalives: for the other node to find out the same.
    patience: Duration,
    since: Instant,
    peer_is_there: bool,
    give_at: Option<(Instant, Which)>,
    repeat_at: Option<Instant>,
    /// The other node has said that it reaches fewer.
    ahead: bool,
}

impl Pings {
    pub fn new(
        names: &[String],
        acts: bool,
        auto_failback: bool,
        deadping: Duration,
        keepalive: Duration,
        now: Instant,
    ) -> Self {
        let nodes = names.iter().map(|name| Ping { name: name.clone(), answered_at: None, alive: None });
        Self {
            nodes: nodes.collect(),
            acts: acts && !names.is_empty(),
            auto_failback,
            deadping,
            patience: keepalive * 2,
            since: now,
            peer_is_there: false,
            give_at: None,
            repeat_at: None,
            ahead: false,
        }
    }

    /// Name and whether it answers, in ha.cf's order.
    pub fn each(&self) -> impl Iterator<Item = (&str, bool)> {
        self.nodes.iter().map(|ping| (ping.name.as_str(), ping.alive == Some(true)))
    }

    /// Whether a lost ping node moves groups.
    pub fn acts(&self) -> bool {
        self.acts
    }

    fn count(&self) -> u64 {
        self.each().filter(|(_, alive)| *alive).count() as u64
    }

    /// The ping node with this index has answered.
    pub fn answered(&mut self, now: Instant, index: usize, steps: &mut Vec<Step>) {
        let Some(ping) = self.nodes.get_mut(index) else { return };
        ping.answered_at = Some(now);
        if ping.alive.replace(true) != Some(true) {
            steps.push(Step::Note(Notice::PeerStatus { node: ping.name.clone(), status: "ping" }));
            self.tell(now, steps);
        }
    }

    /// The other node has become active, or is no more.
    pub fn peer(&mut self, now: Instant, is_there: bool, steps: &mut Vec<Step>) {
        if std::mem::replace(&mut self.peer_is_there, is_there) == is_there {
            return;
        }
        self.give_at = None;
        self.ahead = false;
        if is_there {
            self.tell(now, steps);
        }
    }

    fn tell(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.acts && self.peer_is_there {
            self.repeat_at = (self.count() < self.nodes.len() as u64).then_some(now + REPEAT);
            steps.push(Step::Say(ClientWord::PingNodes { count: self.count() }));
        }
    }

    /// A word of the other node's ipfail, or of a client there that asks for ours.
    pub fn said(&mut self, now: Instant, word: &ClientWord, steps: &mut Vec<Step>) {
        let note = |what| Step::Note(Notice::PingCount { what });
        match word {
            ClientWord::Query { client, from } => {
                let online = self.acts && client == CLIENT;
                let (client, to) = (client.clone(), from.clone());
                steps.push(Step::Say(ClientWord::Answer { client, to, online }));
            }
            _ if !self.acts => {}
            ClientWord::PingNodes { count } => {
                let (mine, theirs) = (self.count(), *count);
                if mine > theirs {
                    self.ahead = true;
                    steps.push(note("Telling other node that we have more visible ping nodes."));
                    steps.push(Step::Say(ClientWord::YouAreDead));
                } else if mine < theirs {
                    steps.push(note("Giving up because we have less visible ping nodes."));
                    self.give_up(now);
                } else {
                    self.balanced(now, steps);
                    steps.push(Step::Say(ClientWord::Balanced));
                }
            }
            ClientWord::YouAreDead => {
                steps.push(note("Giving up because we were told that we have less ping nodes."));
                self.give_up(now);
            }
            ClientWord::Balanced => self.give_at = self.give_at.filter(|(_, which)| *which != Which::All),
            ClientWord::Answer { .. } => {}
        }
    }

    fn give_up(&mut self, now: Instant) {
        if !matches!(self.give_at, Some((_, Which::All))) {
            self.give_at = Some((now + self.patience, Which::All));
        }
    }

    /// Only what came here because the other node reached fewer goes home again: what an administrator has
    /// moved stays, unlike with the original.
    fn balanced(&mut self, now: Instant, steps: &mut Vec<Step>) {
        steps.push(Step::Note(Notice::PingCount { what: "Ping node count is balanced." }));
        self.give_at = None;
        if std::mem::take(&mut self.ahead) && self.auto_failback {
            steps.push(Step::Note(Notice::PingCount { what: "Giving up foreign resources (auto_failback)." }));
            self.give_at = Some((now + self.patience, Which::Foreign));
        }
    }

    /// What came of [`Step::Give`]: under way or pointless, or to be tried again.
    pub fn given(&mut self, now: Instant, which: Which, again: bool) {
        self.give_at = again.then_some((now + AGAIN, which));
    }

    /// What time brings.
    pub fn tick(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let mut changed = false;
        for ping in &mut self.nodes {
            let silent = ping.answered_at.unwrap_or(self.since) + self.deadping <= now;
            if silent && ping.alive != Some(false) {
                ping.alive = Some(false);
                changed = true;
                steps.push(Step::Note(Notice::PeerDead { node: ping.name.clone() }));
            }
        }
        if changed || self.repeat_at.is_some_and(|at| at <= now) {
            self.tell(now, steps);
        }
        if let Some((at, which)) = self.give_at
            && at <= now
        {
            self.give_at = None;
            steps.push(Step::Give(which));
        }
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let alive = self.nodes.iter().filter(|ping| ping.alive != Some(false));
        let deaths = alive.map(|ping| ping.answered_at.unwrap_or(self.since) + self.deadping);
        let repeat = self.repeat_at.filter(|_| self.peer_is_there);
        deaths.chain(repeat).chain(self.give_at.map(|(at, _)| at)).min()
    }

    /// This program was not run: the silence is ours.
    pub fn excuse(&mut self, late: Duration, now: Instant) {
        for ping in &mut self.nodes {
            ping.answered_at = ping.answered_at.map(|at| (at + late).min(now));
        }
        self.since = (self.since + late).min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(200);
    const DEADPING: Duration = Duration::from_secs(2);

    fn pings(auto_failback: bool) -> (Pings, Instant) {
        let now = Instant::now();
        let mut pings = Pings::new(&["gateway".into()], true, auto_failback, DEADPING, BEAT, now);
        let mut steps = Vec::new();
        pings.answered(now, 0, &mut steps);
        pings.peer(now, true, &mut steps);
        assert_eq!(steps.last(), Some(&Step::Say(ClientWord::PingNodes { count: 1 })));
        (pings, now)
    }

    fn said(pings: &mut Pings, now: Instant, word: ClientWord) -> Vec<Step> {
        let mut steps = Vec::new();
        pings.said(now, &word, &mut steps);
        steps.retain(|step| !matches!(step, Step::Note(_)));
        steps
    }

    fn tick(pings: &mut Pings, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        pings.tick(now, &mut steps);
        steps.retain(|step| !matches!(step, Step::Note(_)));
        steps
    }

    #[test]
    fn who_loses_the_ping_node_gives_up_when_told_to() {
        let (mut pings, now) = pings(true);
        let dead = now + DEADPING;
        assert_eq!(tick(&mut pings, dead - BEAT), []);
        assert_eq!(tick(&mut pings, dead), [Step::Say(ClientWord::PingNodes { count: 0 })]);
        assert_eq!(said(&mut pings, dead, ClientWord::YouAreDead), []);
        assert_eq!(tick(&mut pings, dead + BEAT), []);
        assert_eq!(tick(&mut pings, dead + BEAT * 2), [Step::Give(Which::All)]);
        // The other node was in flux.
        pings.given(dead + BEAT * 2, Which::All, true);
        assert_eq!(tick(&mut pings, dead + BEAT * 2 + AGAIN), [Step::Give(Which::All)]);
    }

    #[test]
    fn a_count_that_is_balanced_again_stops_it() {
        let (mut pings, now) = pings(true);
        said(&mut pings, now, ClientWord::YouAreDead);
        said(&mut pings, now + BEAT, ClientWord::Balanced);
        assert_eq!(tick(&mut pings, now + BEAT * 3), []);
    }

    #[test]
    fn who_reaches_more_says_so_and_gives_back_what_came_for_that_reason() {
        for (auto_failback, gives) in [(true, vec![Step::Give(Which::Foreign)]), (false, vec![])] {
            let (mut pings, now) = pings(auto_failback);
            let lost = ClientWord::PingNodes { count: 0 };
            assert_eq!(said(&mut pings, now, lost), [Step::Say(ClientWord::YouAreDead)]);
            let found = ClientWord::PingNodes { count: 1 };
            assert_eq!(said(&mut pings, now, found), [Step::Say(ClientWord::Balanced)]);
            assert_eq!(tick(&mut pings, now + BEAT * 2), gives);
        }
    }

    #[test]
    fn what_an_administrator_moved_stays_when_counts_are_told() {
        let (mut pings, now) = pings(true);
        said(&mut pings, now, ClientWord::PingNodes { count: 1 });
        assert_eq!(tick(&mut pings, now + BEAT * 3), []);
    }

    #[test]
    fn ping_nodes_alone_move_nothing() {
        let now = Instant::now();
        let mut pings = Pings::new(&["gateway".into()], false, true, DEADPING, BEAT, now);
        pings.peer(now, true, &mut Vec::new());
        assert_eq!(tick(&mut pings, now + DEADPING), []);
        assert_eq!(said(&mut pings, now, ClientWord::YouAreDead), []);
        assert_eq!(tick(&mut pings, now + DEADPING * 2), []);
        let (client, from) = (CLIENT.to_owned(), "73".to_owned());
        let answer = ClientWord::Answer { client: client.clone(), to: from.clone(), online: false };
        assert_eq!(said(&mut pings, now, ClientWord::Query { client, from }), [Step::Say(answer)]);
    }

    #[test]
    fn time_we_were_stopped_is_not_the_gateways_silence() {
        let (mut pings, now) = pings(true);
        pings.excuse(Duration::from_secs(5), now + Duration::from_secs(5));
        assert_eq!(tick(&mut pings, now + Duration::from_secs(6)), []);
    }
}
