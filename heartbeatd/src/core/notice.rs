//! What is worth telling, said once: the log line, the object on the watch socket and the
//! counters are renderings of it. The lines are heartbeat 3.0.6's wherever it has one
//! (spec/heartbeat.md 9.2), because people and scripts look for them.

use std::fmt;

use serde::Serialize;

use super::takeover::Why;

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The course of things.
    Info,
    /// Somebody should look, some time.
    Warn,
    /// Something did not work.
    Error,
    /// The service is at stake.
    Crit,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the line each variant is shown as says what it is")]
pub enum Notice {
    LocalStatus { status: &'static str },
    Generation { generation: u64 },
    LinkUp { node: String, link: String },
    LinkDead { node: String, link: String },
    PeerStatus { node: String, status: &'static str },
    PeerRestarted { node: String },
    PeerDead { node: String },
    PeerReturned { node: String },
    PeerLeft { node: String },
    GaveUp { node: String },
    NotFenced { node: String },
    Fencing { node: String },
    Fenced { node: String },
    KnownOff { node: String, by: String },
    MetNobody,
    FenceFailed { node: String },
    FencedButAlive { node: String },
    ConfirmedDead { node: String },
    Maintenance { on: bool },
    NothingTaken { node: String },
    LateHeartbeat { node: String, interval_ms: u64, deadtime_ms: u64 },
    Lost { node: String, count: u64, from: u64, to: u64 },
    LostALot { node: String },
    NoneMissing { node: String },
    Irretrievable { node: String, seq: u64 },
    CannotResend { node: String, seq: u64, why: &'static str },
    ResendOfUnsent { seq: u64, highest: u64 },
    BadAck { seq: u64, highest: u64 },
    FilesDiffer { node: String, files: Vec<&'static str> },
    Replay { node: String },
    WeakSignature { node: String },
    OldGeneration { node: String, generation: u64, known: u64 },
    GenerationWentBack { node: String, from: u64, to: u64 },
    UnknownNode { node: String },
    SameUuid { node: String },
    SameName { node: String },
    UuidChanged { node: String },
    UuidClash { node: String },
    NodesDiffer { node: String, theirs: Vec<String>, ours: Vec<String> },
    NoAnswerToReqnodes { node: String, seconds: u64 },
    CommunicationUp,
    Deaf,
    Listening,
    Protocol { node: String, heartbeatd: bool },
    PingCount { what: &'static str },
    PingGivesNothing { why: String },
    PlanDiffers { node: String },
    LegacyPeer { node: String },
    OldAmongMany { node: String },
    Paused { ms: u64 },
    Restarting,
    RemoteTransitionCompleted,
    LocalTransitionCompleted,
    LocalAcquisitionCompleted { none: bool },
    AcquiredFrom { node: String },
    TakingOver { group: String, why: Why },
    Started { group: String },
    StartFailed { group: String },
    Failed { group: String, resource: String },
    GivingUp { group: String, why: Why },
    Released { group: String },
    StopFailed { group: String },
    Stuck { group: String, again_s: u64 },
    Unstuck { group: String },
    PeerStuck { group: String, node: String },
    StuckReboots { group: String },
    StuckIsFenced { group: String },
    StuckUnfenced { group: String },
    BothOwn { group: String, keeper: String },
    CableOut { group: String },
    Withheld { group: String },
    Restored { group: String },
    WantsStandby { node: String, set: &'static str },
    WantsTakeover { node: String, set: &'static str },
    StandbyAccepted { node: String, set: &'static str },
    StandbyGiven { set: &'static str },
    StandbyTaking { node: String, set: &'static str },
    StandbyTaken { set: &'static str },
    StandbyCompleted { set: &'static str },
    StandbyNoReply,
    StandbyCancelled,
    StandbyIgnored { phase: &'static str, node: String, why: &'static str },
    StandbyWaitsForReady { node: String },
    Failback { group: String, node: String },
    SwitchCalledOff { group: String, node: String },
    Ready,
    NotReady,
    ShutdownDelayed,
    ShuttingDown,
    Relinquished,
    TakeoverCancelled,
    ShutdownComplete { node: String },
}

impl Notice {
    /// How loud.
    #[must_use]
    pub fn level(&self) -> Level {
        use Notice as N;
        match self {
            N::LocalStatus { .. }
            | N::Maintenance { on: false }
            | N::Generation { .. }
            | N::LinkUp { .. }
            | N::LinkDead { .. }
            | N::PeerStatus { .. }
            | N::PeerRestarted { .. }
            | N::PeerLeft { .. }
            | N::GaveUp { .. }
            | N::NoneMissing { .. }
            | N::CommunicationUp
            | N::Listening
            | N::PingCount { .. }
            | N::Protocol { .. }
            | N::RemoteTransitionCompleted
            | N::LocalTransitionCompleted
            | N::LocalAcquisitionCompleted { .. }
            | N::AcquiredFrom { .. }
            | N::TakingOver { .. }
            | N::Started { .. }
            | N::GivingUp { .. }
            | N::Released { .. }
            | N::Unstuck { .. }
            | N::WantsStandby { .. }
            | N::WantsTakeover { .. }
            | N::StandbyAccepted { .. }
            | N::StandbyGiven { .. }
            | N::StandbyTaking { .. }
            | N::StandbyTaken { .. }
            | N::StandbyCompleted { .. }
            | N::StandbyCancelled
            | N::StandbyWaitsForReady { .. }
            | N::Failback { .. }
            | N::Fencing { .. }
            | N::Fenced { .. }
            | N::KnownOff { .. }
            | N::Ready
            | N::Restarting
            | N::Restored { .. }
            | N::ShuttingDown
            | N::Relinquished
            | N::TakeoverCancelled
            | N::ShutdownComplete { .. } => Level::Info,
            N::PeerDead { .. }
            | N::Maintenance { on: true }
            | N::NothingTaken { .. }
            | N::NotFenced { .. }
            | N::ConfirmedDead { .. }
            | N::MetNobody
            | N::LateHeartbeat { .. }
            | N::Lost { .. }
            | N::ResendOfUnsent { .. }
            | N::BadAck { .. }
            | N::UuidChanged { .. }
            | N::NodesDiffer { .. }
            | N::FilesDiffer { .. }
            | N::NoAnswerToReqnodes { .. }
            | N::NotReady
            | N::CableOut { .. }
            | N::Withheld { .. }
            | N::StandbyNoReply
            | N::StandbyIgnored { .. }
            | N::SwitchCalledOff { .. }
            | N::ShutdownDelayed => Level::Warn,
            N::LostALot { .. }
            | N::Irretrievable { .. }
            | N::CannotResend { .. }
            | N::OldGeneration { .. }
            | N::Replay { .. }
            | N::WeakSignature { .. }
            | N::GenerationWentBack { .. }
            | N::UnknownNode { .. }
            | N::SameUuid { .. }
            | N::SameName { .. }
            | N::UuidClash { .. }
            | N::PingGivesNothing { .. }
            | N::PlanDiffers { .. }
            | N::LegacyPeer { .. }
            | N::OldAmongMany { .. }
            | N::FenceFailed { .. }
            | N::StuckUnfenced { .. }
            | N::StopFailed { .. } => Level::Error,
            N::FencedButAlive { .. }
            | N::PeerReturned { .. }
            | N::Paused { .. }
            | N::StartFailed { .. }
            | N::Failed { .. }
            | N::Stuck { .. }
            | N::PeerStuck { .. }
            | N::StuckReboots { .. }
            | N::Deaf
            | N::StuckIsFenced { .. }
            | N::BothOwn { .. } => Level::Crit,
        }
    }
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Vacant => "nobody has it",
        Why::PeerDead => "the other node is dead",
        Why::PeerLeft => "the other node has left",
        Why::Failback => "failback",
        Why::Standby => "standby",
        Why::Takeover => "takeover",
        Why::Stop => "shutdown",
        Why::Conflict => "the other node keeps it",
        Why::Restart => "restart",
        Why::Unreachable => "no interface of it has a carrier here",
        Why::Failed => "it does not run any more",
        Why::Stuck => "once more, because it could not be stopped",
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Notice as N;
        match self {
            N::LocalStatus { status } => write!(f, "Local status now set to: '{status}'"),
            N::Generation { generation } => write!(f, "Heartbeat generation: {generation}"),
            N::LinkUp { node, link } => write!(f, "Link {node}:{link} up."),
            N::LinkDead { node, link } => write!(f, "Link {node}:{link} dead."),
            N::PeerStatus { node, status } => write!(f, "Status update for node {node}: status {status}"),
            N::PeerRestarted { node } => write!(f, "Heartbeat restart on node {node}"),
            N::PeerDead { node } => write!(f, "node {node}: is dead"),
            N::PeerReturned { node } => write!(
                f,
                "Cluster node {node} returning after partition. If this repeats, deadtime is too short for this \
                 network or this load"
            ),
            N::PeerLeft { node } => write!(f, "Received shutdown notice from '{node}'."),
            N::GaveUp { node } => write!(f, "Dead node {node} gave up resources."),
            N::NotFenced { node } => {
                write!(
                    f,
                    "No STONITH device configured. Shared disks are not protected: {node} may still be using them. \
                     This is not told again"
                )
            }
            N::Fencing { node } => {
                write!(f, "Resetting node {node}: nothing of it is taken before it is known to be off")
            }
            N::Fenced { node } => write!(f, "node {node} now reset."),
            N::KnownOff { node, by } => write!(f, "node {node} is off, says {by}"),
            N::MetNobody => f.write_str(
                "no other node was heard since this one started: nothing is taken and nobody is switched off before one \
                 is heard, or an administrator says of each that it is off (\"lvsctl confirm-dead NODE\")",
            ),
            N::FenceFailed { node } => write!(f, "STONITH of {node} failed.  Retrying..."),
            N::FencedButAlive { node } => write!(
                f,
                "the fencing device said that {node} was reset, and {node} is heard as if nothing had happened: the \
                 device resets another machine, or none"
            ),
            N::ConfirmedDead { node } => write!(f, "an administrator says that {node} is off"),
            N::Maintenance { on: true } => f.write_str(
                "maintenance is on: this node keeps what it has, and takes and gives nothing by itself, until \
                 \"lvsctl maintenance off\"",
            ),
            N::Maintenance { on: false } => f.write_str("maintenance is over"),
            N::NothingTaken { node } => write!(
                f,
                "maintenance is on: nothing of {node} is taken before \"lvsctl maintenance off\" or \"lvsctl takeover\""
            ),
            N::LateHeartbeat { node, interval_ms, deadtime_ms } => {
                let over = if interval_ms > deadtime_ms { " (> deadtime)" } else { "" };
                write!(f, "Late heartbeat: Node {node}: interval {interval_ms} ms{over}")
            }
            N::Lost { node, count, from, to } => write!(f, "{count} lost packet(s) for [{node}] [{from}:{to}]"),
            N::LostALot { node } => write!(f, "lost a lot of packets! Following {node} anew"),
            N::NoneMissing { node } => write!(f, "No pkts missing from {node}!"),
            N::Irretrievable { node, seq } => write!(f, "Irretrievably lost packet: node {node} seq {seq}"),
            N::CannotResend { node, seq, why } => write!(f, "Cannot rexmit pkt {seq} for {node}: {why}"),
            N::ResendOfUnsent { seq, highest } => write!(f, "Rexmit of seq {seq} requested. {highest} is max."),
            N::BadAck { seq, highest } => write!(f, "corrupted ackseq {seq} ignored: highest sent is {highest}"),
            N::FilesDiffer { node, files } => write!(
                f,
                "{} on {node} differs from ours: copy the file that is right to the other node",
                files.join(" and ")
            ),
            N::Replay { node } => write!(
                f,
                "message of {node} refused: it answers what this node said before its last start, so it is a recording"
            ),
            N::WeakSignature { node } => write!(
                f,
                "message of {node} refused: {node} runs heartbeatd, and this is not signed with HMAC-SHA-256 as its messages are"
            ),
            N::OldGeneration { node, generation, known } => write!(
                f,
                "message of {node} from an earlier life refused (generation {generation}, known is {known}): a \
                 replay, or its state directory was restored. Followed if it goes on after deadtime"
            ),
            N::GenerationWentBack { node, from, to } => write!(
                f,
                "node {node} lives under generation {to} after {from}: its hb_generation was lost or restored from \
                 a copy. Accepted, because nobody lives under the other any more"
            ),
            N::UnknownNode { node } => {
                write!(
                    f,
                    "bad node [{node}] in message: add \"node {node}\" to ha.cf on all nodes, or give that cluster another port or key"
                )
            }
            N::SameUuid { node } => write!(
                f,
                "{node} has the same UUID as this node and is refused: it was copied. Remove its hb_uuid file and \
                 start it again"
            ),
            N::SameName { node } => write!(f, "another machine sends as {node}, our own name, and is refused"),
            N::UuidChanged { node } => write!(f, "node {node} changed its uuid"),
            N::UuidClash { node } => {
                write!(f, "message of {node} refused: its UUID belongs to another node, or two machines use its name")
            }
            N::NodesDiffer { node, theirs, ours } => write!(
                f,
                "node lists differ: {node} knows [{}], ha.cf here says [{}]; ours is kept",
                theirs.join(" "),
                ours.join(" ")
            ),
            N::NoAnswerToReqnodes { node, seconds } => {
                write!(f, "{node} has not answered reqnodes for {seconds} s, going on with our own node list")
            }
            N::CommunicationUp => f.write_str("Comm_now_up(): updating status to active"),
            N::Deaf => f.write_str(
                "no medium of ha.cf is open, so no other node can be heard: nobody is declared dead and nothing is taken \
                 before one is. \"heartbeatd status\" says what each waits for",
            ),
            N::Listening => f.write_str("the first medium is open: from now on nodes that are not heard are waited for"),
            N::Protocol { node, heartbeatd: true } => write!(f, "{node} is another heartbeatd"),
            N::Protocol { node, heartbeatd: false } => {
                write!(f, "{node} is heartbeat 3.0.6 or older: using its protocol")
            }
            N::PingCount { what } => f.write_str(what),
            N::PingGivesNothing { why } => {
                write!(f, "groups stay here although more ping nodes answer the other node: {why}")
            }
            N::PlanDiffers { node } => {
                write!(f, "haresources on {node} differs from ours: groups that only one node knows cannot move")
            }
            N::LegacyPeer { node } => {
                write!(f, "{node} has auto_failback legacy, which cannot be mixed with on or off: change it there")
            }
            N::OldAmongMany { node } => write!(
                f,
                "{node} runs heartbeat 3.0.6, which cannot be one of more than two nodes: while it is heard nothing is taken \
                 over. Replace it by heartbeatd, or stop it"
            ),
            N::Paused { ms } => write!(
                f,
                "this program was not run for {ms} ms, longer than deadtime: letting go of everything and coming back as after a restart"
            ),
            N::Restarting => f.write_str("Heartbeat restart triggered."),
            N::RemoteTransitionCompleted => f.write_str("remote resource transition completed."),
            N::LocalTransitionCompleted => f.write_str("local resource transition completed."),
            N::LocalAcquisitionCompleted { none } => {
                write!(f, "Local Resource acquisition completed.{}", if *none { " (none)" } else { "" })
            }
            N::AcquiredFrom { node } => write!(f, "Resources being acquired from {node}."),
            N::TakingOver { group, why: reason } => {
                write!(f, "Taking over resource group {group} ({})", why(*reason))
            }
            N::Started { group } => write!(f, "resource group {group} runs here"),
            N::StartFailed { group } => write!(f, "Giving up resources due to failure of {group}"),
            N::Failed { group, resource } => {
                write!(f, "{resource} of resource group {group} does not run any more, says its script")
            }
            N::GivingUp { group, why: reason } => write!(f, "Releasing resource group {group} ({})", why(*reason)),
            N::Released { group } => write!(f, "resource group {group} released"),
            N::StopFailed { group } => write!(f, "resource group {group} could not be stopped in good order"),
            N::Stuck { group, again_s } => write!(
                f,
                "resource group {group} cannot be stopped and still runs here, so no other node may start it. It is tried \
                 again in {again_s} s; \"lvsctl standby\" tries it at once"
            ),
            N::Unstuck { group } => {
                write!(f, "resource group {group} has been stopped at last and may be started again")
            }
            N::PeerStuck { group, node } => write!(
                f,
                "resource group {group} cannot be stopped on {node} and still runs there: it is not started here before \
                 {node} has stopped it"
            ),
            N::StuckReboots { group } => write!(
                f,
                "rebooting this machine (stop_failure in lvs.toml): resource group {group} cannot be stopped, and the \
                 other node is to have it"
            ),
            N::StuckIsFenced { group } => write!(
                f,
                "letting go of the rest and falling silent, to be fenced by the other node (stop_failure in lvs.toml): \
                 resource group {group} cannot be stopped"
            ),
            N::StuckUnfenced { group } => write!(
                f,
                "no other node says that it has a fencing device, so this one does not fall silent to be fenced \
                 (stop_failure in lvs.toml): resource group {group} stays where it cannot be stopped"
            ),
            N::BothOwn { group, keeper } => write!(f, "Both machines own {group}! {keeper} keeps it"),
            N::CableOut { group } => {
                write!(
                    f,
                    "no interface of {group} has a carrier: nobody can reach it here, so it is not taken here before one has"
                )
            }
            N::Withheld { group } => {
                write!(
                    f,
                    "{group}: no carrier, and no other node is heard, so one may have taken it: its addresses are off until a \
                     carrier is back"
                )
            }
            N::Restored { group } => write!(f, "{group}: a carrier is back, and it is still ours: its addresses are on again"),
            N::WantsStandby { node, set } => write!(f, "{node} wants to go standby [{set}]"),
            N::WantsTakeover { node, set } => write!(f, "{node} wants to take over [{set}]"),
            N::StandbyAccepted { node, set } => write!(f, "standby: {node} can take our {set} resources"),
            N::StandbyGiven { set } => write!(f, "Local standby process completed [{set}]."),
            N::StandbyTaking { node, set } => write!(f, "standby: acquire [{set}] resources from {node}"),
            N::StandbyTaken { set } => write!(f, "Standby resource acquisition done [{set}]."),
            N::StandbyCompleted { set } => write!(f, "Other node completed standby takeover of {set} resources."),
            N::StandbyNoReply => f.write_str("No reply to standby request.  Standby request cancelled."),
            N::StandbyCancelled => f.write_str("Cancelling pending standby operation"),
            N::StandbyIgnored { phase, node, why } => {
                write!(f, "standby message [{phase}] from {node} ignored.  {why}.")
            }
            N::StandbyWaitsForReady { node } => {
                write!(f, "standby: {node} waits until our ldirectord has finished its first round of checks")
            }
            N::Failback { group, node } => write!(f, "{group} goes home to {node} (auto_failback)"),
            N::SwitchCalledOff { group, node } => write!(f, "{group} stays here: {node} has not taken it"),
            N::Ready => f.write_str("ready to serve: the first round of checks is done"),
            N::NotReady => f.write_str("not ready to serve"),
            N::ShutdownDelayed => f.write_str("Shutdown delayed until current resource activity finishes."),
            N::ShuttingDown => f.write_str("Heartbeat shutdown in progress. Giving up all HA resources."),
            N::Relinquished => f.write_str("All HA resources relinquished."),
            N::TakeoverCancelled => f.write_str("Resource takeover cancelled - shutdown in progress."),
            N::ShutdownComplete { node } => write!(f, "{node} Heartbeat shutdown complete."),
        }
    }
}
