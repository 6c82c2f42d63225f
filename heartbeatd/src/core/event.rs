//! What a node is told, and what it wants done.

use super::message::Outgoing;
use super::notice::Notice;
use super::plan::GroupId;
use super::takeover::{Files, Refusal, Ticket, Which, Why};

/// What happens to a node besides messages and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// [`Action::Acquire`] has ended. Not `ok`: what had been started is stopped again and
    /// the addresses are off.
    Acquired {
        /// Which.
        group: GroupId,
        /// Everything runs, the addresses are on.
        ok: bool,
    },
    /// [`Action::Release`] has ended; the addresses are off in any case.
    Released {
        /// Which.
        group: GroupId,
        /// Every part stopped in good order.
        ok: bool,
    },
    /// The work of [`Action::Acquire`] or [`Action::Release`] has ended, but something of the group could not be stopped and
    /// still runs here: it is given to nobody. In place of the two above.
    Stuck {
        /// Which.
        group: GroupId,
    },
    /// The first medium since the program started is open, or none is and none is about to be. Until one is, nobody is
    /// declared dead and nothing is taken. May come before the start.
    Listening(bool),
    /// Something of a group that runs here does not run any more.
    Failed {
        /// Which.
        group: GroupId,
        /// What, as haresources has it.
        resource: String,
    },
    /// An earlier life of this program has left something of the group running, which is being stopped: answered like
    /// [`Action::Release`]. Comes before the start.
    Stopping {
        /// Which.
        group: GroupId,
    },
    /// Whether this node could serve at once: its ldirectord has done a full round of
    /// checks. True from the start where no group needs ldirectord.
    Ready(bool),
    /// Whether anybody can reach a group here: it has no address, or one on an interface with a carrier.
    Reach {
        /// Which.
        group: GroupId,
        /// Whether.
        reachable: bool,
    },
    /// The interface of a medium has its carrier again.
    CableBack,
    /// The ping node with this index of [`Settings::pings`](super::Settings::pings) has answered.
    PingAnswered(usize),
    /// The operator gives groups to the other node. Answered by [`Action::Answer`].
    Standby {
        /// Which, seen from here.
        which: Which,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// The operator takes groups. Answered by [`Action::Answer`].
    Takeover {
        /// Which, seen from here.
        which: Which,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// An attempt to switch a node off has ended: the answer to [`Action::Fence`].
    Fenced {
        /// The number it was ordered with; the end of an earlier one changes nothing.
        attempt: u64,
        /// It is off.
        ok: bool,
    },
    /// The operator says that a node is off. Answered by [`Action::Answer`].
    ConfirmDead {
        /// Which.
        node: String,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// The administrator begins or ends maintenance: nothing is taken or given but by hand. May come before the start.
    Maintenance(bool),
    /// The files were read again, and keys taken over from them.
    FilesRead(Files),
    /// Orderly stop; ends with [`Action::Stopped`].
    Stop,
}

/// What is to be done, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Sign and send on every medium; if it has a number, keep the bytes in a [`History`](super::History).
    Send(Outgoing),
    /// The same under a number that has left before with what is no longer true: what was kept for it is replaced.
    SendInstead(Outgoing),
    /// Send the kept bytes once more, unchanged, on every medium.
    Resend {
        /// Of the message.
        seq: u64,
    },
    /// Send the datagram just heard on every medium, as it is: where there are more than two nodes, one that does not hear
    /// its sender hears us.
    PassOn,
    /// Start every resource of the group, left to right, addresses with a lease.
    Acquire {
        /// Which.
        group: GroupId,
        /// For log lines and scripts.
        why: Why,
    },
    /// Stop every resource of the group, right to left, addresses first thing off, and no more announcements.
    Release {
        /// Which.
        group: GroupId,
        /// For log lines and scripts.
        why: Why,
    },
    /// Tell the neighbours that the group's addresses are here: at once, and repeated as
    /// spec 8 has it. A repetition that is running starts over.
    Announce {
        /// Which.
        group: GroupId,
    },
    /// Take the group's addresses off for the time being, and nothing else: another node may be serving them.
    Withhold {
        /// Which.
        group: GroupId,
    },
    /// Put them on again, and tell the neighbours.
    Restore {
        /// Which.
        group: GroupId,
    },
    /// Connections are served here (synchronisation daemon: master) or on the other node (backup).
    Serve(bool),
    /// Switch the node off; answered by [`Event::Fenced`], once, however long it takes, unless it is stopped. Nothing of
    /// the node is taken before. An earlier attempt that is still under way is stopped.
    Fence {
        /// Its name.
        node: String,
        /// Comes back with the answer; never the same twice.
        attempt: u64,
    },
    /// Stop the attempt under way at once, with every program of it: no further device may be started.
    StopFencing {
        /// The node that was to be switched off.
        node: String,
    },
    /// Reboot this machine at once, without writing anything back: that group cannot be stopped, and another node is to
    /// have it. Asked for again if the machine is still there.
    Reboot {
        /// Its name.
        group: String,
    },
    /// Store the generation before anything is sent under it.
    SaveGeneration(u64),
    /// To the log and to watchers.
    Notice(Notice),
    /// To whoever made the request.
    Answer {
        /// The request's.
        ticket: Ticket,
        /// Done, or why not.
        result: Result<(), Refusal>,
    },
    /// Nothing is left here and the peer knows: the program may end.
    Stopped,
}
