//! Lost messages: asking for the peer's, sending ours again (spec/heartbeat.md 5.8, 5.9).

use std::time::{Duration, Instant};

use crate::wire::{Body, NodeStatus};

use super::{Membership, millis};
use crate::core::Action;
use crate::core::notice::Notice;
use crate::core::peer::{Liveness, Peer};
use crate::core::seldom::Matter;

/// A lost message is not asked for before: the original sends neighbours in the wrong order (spec 4.9).
const REXMIT_AFTER: Duration = Duration::from_millis(50);

/// At most so many are sent again for one request, and asked for in one go (spec 5.8).
const AT_ONCE: usize = 50;

impl Membership {
    /// Acknowledgements and requests to send again. They carry no number, so anybody who
    /// recorded one can replay it: nothing about liveness follows from them.
    pub(super) fn heard_unsequenced(&mut self, now: Instant, at: usize, body: &Body, out: &mut Vec<Action>) {
        let highest = self.sent.highest();
        let Some(peer) = self.peers.get_mut(at) else { return };
        match *body {
            Body::Ack { seq, .. } if seq > highest => {
                self.tell_seldom(now, Matter::BadAck, Notice::BadAck { seq, highest }, out);
            }
            Body::Ack { seq, .. } => peer.acked = peer.acked.max(seq),
            Body::Rexmit { first, last, .. } => self.resend(now, at, first, last, out),
            Body::NakRexmit { seq, .. } => {
                if peer.missing.remove(&seq).is_some() {
                    let node = peer.name.clone();
                    out.push(Action::Notice(Notice::Irretrievable { node, seq }));
                }
            }
            Body::Status { .. }
            | Body::ReqNodes { .. }
            | Body::RepNodes { .. }
            | Body::Starting
            | Body::Resource { .. }
            | Body::AskResources { .. }
            | Body::HbTakeover { .. }
            | Body::IpRequest { .. }
            | Body::IpRequestResp { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => {}
        }
    }

    /// Spec 5.8, the sender's table.
    fn resend(&mut self, now: Instant, at: usize, first: u64, last: u64, out: &mut Vec<Action>) {
        let Some((node, uuid, acked)) = self.peers.get(at).map(|peer| (peer.name.clone(), peer.uuid, peer.acked))
        else {
            return;
        };
        let recently = self.settings.max_rexmit_delay.saturating_sub(Duration::from_millis(10));
        for seq in (first..=last).take(AT_ONCE) {
            if seq > self.sent.highest() {
                let highest = self.sent.highest();
                self.tell_seldom(now, Matter::ResendOfUnsent, Notice::ResendOfUnsent { seq, highest }, out);
                return;
            }
            if seq <= acked {
                continue;
            }
            match self.sent.get_mut(seq) {
                Some(Some(before)) if now.saturating_duration_since(*before) < recently => {}
                Some(resent) => {
                    *resent = Some(now);
                    // An old heartbeat takes what comes last for the last word, and would wait for ever for the end of a
                    // switch that has long been over.
                    let outdated = self.accounts.iter().skip(1).any(|account| *account == seq);
                    out.push(match self.account.as_ref().filter(|_| outdated) {
                        Some(account) => Action::SendInstead(self.outgoing(Some(seq), account.clone(), None, None)),
                        None => Action::Resend { seq },
                    });
                }
                None => {
                    let why = "seqno too low";
                    let notice = Notice::CannotResend { node: node.clone(), seq, why };
                    self.tell_seldom(now, Matter::CannotResend, notice, out);
                    self.send(Body::NakRexmit { dest: node.clone(), seq, info: why.into() }, uuid, None, out);
                }
            }
        }
    }

    pub(super) fn rexmit_delay(&mut self) -> Duration {
        let most = self.settings.max_rexmit_delay.max(REXMIT_AFTER);
        REXMIT_AFTER + Duration::from_millis(self.random.below(millis(most - REXMIT_AFTER) + 1))
    }

    pub(super) fn may_ask(&self, peer: &Peer) -> bool {
        // Of more than two nodes each status says all there is, and what a node has sent comes from the others as well.
        !self.is_many()
            && peer.liveness == Liveness::Alive
            && matches!(peer.status, NodeStatus::Up | NodeStatus::Active)
    }

    pub(super) fn ask_for_missing(&mut self, now: Instant, at: usize, out: &mut Vec<Action>) {
        let again = now + self.settings.max_rexmit_delay.max(REXMIT_AFTER);
        if !self.peers.get(at).is_some_and(|peer| self.may_ask(peer)) {
            return;
        }
        let Some(peer) = self.peers.get_mut(at) else { return };
        let due = peer.missing.iter_mut().filter(|(_, when)| **when <= now).take(AT_ONCE);
        let numbers: Vec<u64> = due
            .map(|(number, when)| {
                *when = again;
                *number
            })
            .collect();
        let (dest, uuid) = (peer.name.clone(), peer.uuid);
        for number in numbers {
            self.send(Body::Rexmit { dest: dest.clone(), first: number, last: number }, uuid, None, out);
        }
    }
}
