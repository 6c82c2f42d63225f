//! What goes wrong with machines, network and clocks, and what the operator asks for.

use std::rc::Rc;

use heartbeatd::core::{Event, GroupId, Heard, Plan, Ticket};

use super::{Flaw, Item, TICKETS, World};
use crate::profile::{Crash, Disturbance, Lost, MS, NAMES, Time, around};

impl World {
    pub(super) fn disturb(&mut self, what: Disturbance) {
        self.tell(|| format!("-- {what:?}"));
        self.check.disturbed(self.now);
        match what {
            Disturbance::Crash { node, how, back_after, ready_after, lost } => {
                if self.machines[node].node.is_none() {
                    return;
                }
                if self.flaw == Flaw::Ghost {
                    self.raise_ghost(node);
                }
                self.down(node);
                if how == Crash::Power {
                    self.machines[node].scripts.iter_mut().for_each(|runs| *runs = false);
                }
                if how != Crash::Unguarded {
                    self.machines[node].address.iter_mut().for_each(|address| *address = None);
                }
                self.look_at_leases(node);
                self.machines[node].ready_after = ready_after;
                self.loses(node, lost);
                self.push(self.now + back_after, Item::Start { node });
            }
            Disturbance::ClockLeap { node, by } => {
                if self.runs(node) {
                    self.machines[node].ahead += by;
                    self.check.leaps(node, by, self.now);
                    self.turn(node, |core, now| core.tick(now));
                }
            }
            Disturbance::Flap { ways, length, times } => {
                for nth in 0..times {
                    let at = self.now + nth * 2 * length;
                    self.push(at, Item::Disturb(Disturbance::Cut { ways, length }));
                }
            }
            Disturbance::Replay { node } => self.replay(node),
            Disturbance::Pause { node, length } => {
                if !self.runs(node) {
                    return;
                }
                self.machines[node].paused = true;
                self.machines[node].paused_since = self.now;
                self.check.pauses(node, self.now);
                self.look_at_leases(node);
                let life = self.machines[node].life;
                self.push(self.now + length, Item::Resume { node, life });
            }
            Disturbance::Cut { ways, length } => {
                self.nth_cut += 1;
                self.each_way(&ways, |cuts| *cuts += 1);
                self.push(self.now + length, Item::Heal { ways, nth: self.nth_cut });
            }
            Disturbance::Unplug { node, length, heard } => {
                if !heard {
                    self.each_way(&around(node, true, true), |cuts| *cuts += 1);
                }
                self.machines[node].unplugged += 1;
                let sight = self.sight();
                self.check.unplugged(node, heard, self.now, &sight);
                self.tell_reach(node);
                self.push(self.now + length, Item::Plug { node, heard });
            }
            Disturbance::Standby { node, which } => {
                self.ask(node, |ticket| Event::Standby { which, ticket });
            }
            Disturbance::Takeover { node, which } => {
                self.ask(node, |ticket| Event::Takeover { which, ticket });
            }
            Disturbance::Stop { node, back_after, ready_after } => {
                if !self.runs(node) {
                    return;
                }
                self.check.stopping(node, self.now);
                self.machines[node].back_after = Some((back_after, ready_after));
                self.turn(node, |core, now| core.handle(now, Event::Stop));
            }
            Disturbance::Maintenance { node, on } => self.maintain(node, on),
            Disturbance::ConfirmDead { node } => self.confirm(node),
            Disturbance::Unready { node, length } => {
                let life = self.machines[node].life;
                self.push(self.now, Item::Ready { node, life, ready: false });
                self.push(self.now + length, Item::Ready { node, life, ready: true });
            }
        }
    }

    pub(super) fn plug(&mut self, node: usize, heard: bool) {
        self.tell(|| format!("-- the cable of {} is in again", NAMES[node]));
        self.check.disturbed(self.now);
        if !heard {
            self.each_way(&around(node, true, true), |cuts| *cuts -= 1);
        }
        self.machines[node].unplugged -= 1;
        if self.machines[node].unplugged > 0 {
            return;
        }
        let sight = self.sight();
        self.check.plugged(node, self.now, &sight);
        self.tell_reach(node);
        if self.runs(node) && self.flaw != Flaw::UnseenCable {
            self.turn(node, |core, now| core.handle(now, Event::CableBack));
        }
    }

    /// Whether its cable is in, as its kernel says it.
    pub(super) fn tell_reach(&mut self, node: usize) {
        if !self.runs(node) || self.flaw == Flaw::UnseenCable {
            return;
        }
        let reachable = self.machines[node].unplugged == 0;
        for group in (0..self.profile.groups.len()).map(GroupId) {
            self.turn(node, |core, now| core.handle(now, Event::Reach { group, reachable }));
        }
    }

    pub(super) fn loses(&mut self, node: usize, lost: Lost) {
        let machine = &mut self.machines[node];
        match lost {
            Lost::Nothing => return,
            Lost::Generations(count) => machine.generation -= count.min(machine.generation),
            Lost::Everything => {
                machine.generation = 500 + self.chance.below(1_000);
                machine.uuid += self.profile.start.len() as u8;
            }
        }
        self.check.forgets(node);
    }

    /// The last messages of a node once more, as somebody would send them who has recorded them. Those of a
    /// node that heard nobody cannot be told from those of one that hears nobody: they are left out.
    fn replay(&mut self, node: usize) {
        const LAST: u64 = 25;
        let sent = &self.machines[node].sent;
        let from = sent.lowest().max(sent.highest().saturating_sub(LAST));
        let recorded = (from..=sent.highest()).filter_map(|seq| sent.get(seq).cloned());
        let recorded: Vec<Rc<Heard>> = recorded.collect();
        for to in self.others(node) {
            let answers = |heard: &&Rc<Heard>| {
                heard.word.as_ref().is_none_or(|word| word.answers(Plan::mark(NAMES[to])).is_some())
            };
            let recorded: Vec<Rc<Heard>> = recorded.iter().filter(answers).cloned().collect();
            self.check.replays(self.now + recorded.len() as Time * self.profile.keepalive);
            for (nth, heard) in recorded.into_iter().enumerate() {
                let at = self.now + nth as Time * self.profile.keepalive;
                self.push(at, Item::Deliver { to, heard, said: 0, passed: false });
            }
        }
    }

    fn raise_ghost(&mut self, node: usize) {
        let machine = &self.machines[node];
        let life = machine.life + 1;
        let last = (machine.sent.lowest()..=machine.sent.highest()).rev().filter_map(|seq| machine.sent.get(seq));
        if let Some(heard) = last.clone().find(|heard| heard.word.is_some()).cloned() {
            let mut heard = (*heard).clone();
            heard.header.seq = Some(machine.sent.highest());
            self.push(self.now + MS, Item::Ghost { node, life, heard: Rc::new(heard) });
        }
    }

    fn ask(&mut self, node: usize, event: impl FnOnce(Ticket) -> Event) {
        if !self.runs(node) {
            return;
        }
        self.check.operator(node, self.now);
        self.order(node, event);
    }

    pub(super) fn order(&mut self, node: usize, event: impl FnOnce(Ticket) -> Event) {
        self.next_ticket += TICKETS;
        let ticket = Ticket(self.next_ticket + node as u64);
        self.tickets.insert(ticket, self.now);
        let event = event(ticket);
        self.turn(node, |core, now| core.handle(now, event));
    }

    /// While nobody renews them, leases end unseen: look then.
    pub(super) fn look_at_leases(&mut self, node: usize) {
        for end in self.machines[node].address.clone().into_iter().flatten() {
            if end < Time::MAX && end > self.now {
                self.push(end, Item::Look);
            }
        }
    }
}
