//! ha.cf: whether what the lines say makes sense together (spec/heartbeat.md 1.4).

use std::time::Duration;

use super::Surroundings;
use super::fence::{Device, Fence};
use super::hacf::{Failback, Written};
use super::medium::Medium;
use super::model::HaCf;
use super::source::Source;
use super::value::{is_short_form, shown};

const KEEPALIVE: Duration = Duration::from_secs(1);
const DEADTIME: Duration = Duration::from_secs(30);
const MOST_MEDIA: usize = 64;
/// Some 400 bytes as another heartbeatd gets it, with room for other messages, of ten bits each on a serial line.
const BITS_OF_A_STATUS: usize = 4800;
/// Switches with spanning tree forward nothing for longer than this after a start.
const SHORT_INITDEAD: Duration = Duration::from_secs(10);
/// Below this the original had false deaths under ordinary load (spec 11).
const RISKY_DEADTIME: Duration = Duration::from_millis(100);

/// The model, or `None` where the source has errors.
pub(super) fn check(written: Written, source: &mut Source, around: &Surroundings) -> Option<HaCf> {
    let end = source.end();
    let keepalive = written.keepalive.as_ref().map_or(KEEPALIVE, |(time, _)| *time);
    let (deadtime, dead_at) = written.deadtime.clone().unwrap_or((DEADTIME, end.clone()));
    let at_keepalive = written.keepalive.as_ref().map(|(_, place)| place);
    if deadtime <= keepalive * 2 {
        let message = format!("deadtime {} is not more than twice keepalive {}", shown(deadtime), shown(keepalive));
        let help = format!("one lost packet would be a death: above {}", shown(keepalive * 2));
        let place = if written.deadtime.is_some() { &dead_at } else { at_keepalive.unwrap_or(&end) };
        source.error(place, message, help);
    } else if deadtime < RISKY_DEADTIME {
        source.warn(&dead_at, "a living node may be declared dead under load", "watch for late heartbeats in the log");
    }

    let warntime = match &written.warntime {
        None => deadtime / 2,
        Some((warntime, place)) => {
            if *warntime >= deadtime {
                source.warn(place, "the warning would come after the death", "half of deadtime is usual");
            }
            *warntime
        }
    };
    let initdead = match &written.initdead {
        None => initdead(deadtime),
        Some((initdead, place)) => {
            if *initdead < deadtime {
                let message = format!("initdead {} is less than deadtime {}", shown(*initdead), shown(deadtime));
                source.error(place, message, "a starting node must be given more time, not less");
            } else if *initdead < SHORT_INITDEAD {
                let help = "it accounts for slow networks at boot: 10 s at least is advised";
                source.warn(place, format!("initdead {} may be too short", shown(*initdead)), help);
            }
            *initdead
        }
    };

    if written.media.is_empty() && written.broken_media == 0 {
        source.error(&end, "no medium for heartbeats", "a line such as \"ucast eth0 10.0.0.2\" or \"bcast eth1\"");
    }
    check_lines(&written, keepalive, source);
    if let Some((_, place)) = written.media.get(MOST_MEDIA) {
        source.error(place, format!("more than {MOST_MEDIA} media"), None);
    }

    let (auto_failback, legacy) = match &written.failback {
        Some((Failback::On, _)) => (true, false),
        Some((Failback::Off, _)) => (false, false),
        Some((Failback::Legacy, place)) => {
            let help = "write on: with another heartbeatd it is the same, and a peer that runs heartbeat switches without a gap only then";
            source.warn(place, "auto_failback legacy is an old protocol without standby and takeover", help);
            (true, true)
        }
        None => {
            let help = "write \"auto_failback on\" or \"auto_failback off\", on both nodes";
            source.warn(&end, "no auto_failback: legacy, so groups go home when their node returns", help);
            (true, true)
        }
    };

    let deadping = match &written.deadping {
        Some((deadping, place)) if *deadping <= keepalive * 2 => {
            let message =
                format!("deadping {} is not more than twice keepalive {}", shown(*deadping), shown(keepalive));
            source.error(place, message, format!("one lost reply would be a loss: above {}", shown(keepalive * 2)));
            *deadping
        }
        Some((deadping, _)) => *deadping,
        None => deadtime,
    };
    match (&written.ipfail, written.pings.first()) {
        (Some(place), None) => {
            source.warn(place, "ipfail without ping nodes does nothing", "add \"ping ADDRESS\" of a gateway")
        }
        (None, Some((_, place))) => {
            let help = "to have groups moved when a node reaches fewer of them: \"respawn hacluster /usr/lib/heartbeat/ipfail\"";
            source.warn(place, "ping nodes are shown and nothing else without ipfail", help);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some((ping, place)) =
        written.pings.iter().find(|(ping, _)| written.nodes.iter().any(|node| node.text == ping.name))
    {
        source.error(place, format!("{:?} is a node and cannot be a ping node", ping.name), None);
    }

    for host in written.devices.iter().filter_map(|device| device.host.as_ref()) {
        if !written.nodes.iter().any(|node| node.text == host.text.to_ascii_lowercase()) {
            let help = "the node that may use the device, or * for all";
            source.error(&host.place, format!("{:?} is not a node", host.text), help);
        }
    }
    if written.nodes.len() > 2 {
        only_for_two(&written, source);
    }
    check_hosts(&written, source);
    let local = local_node(&written, source, around);
    if let Some(local) = &local {
        check_cover(&written, local, source);
    }
    if source.has_errors() {
        return None;
    }
    let local = local?;
    let fences =
        written.devices.into_iter().filter(|device| is_of(device, &local)).map(|device| device.fence).collect();
    Some(HaCf {
        local,
        fences,
        helpers: written.helpers,
        nodes: written.nodes.into_iter().map(|node| node.text).collect(),
        keepalive,
        deadtime,
        warntime,
        initdead,
        media: written.media.into_iter().map(|(medium, _)| medium).collect(),
        pings: written.pings.into_iter().map(|(ping, _)| ping).collect(),
        deadping,
        ipfail: written.ipfail.is_some(),
        auto_failback,
        legacy,
        hopfudge: written.hopfudge,
        max_rexmit_delay: written.max_rexmit_delay,
        generation: written.generation,
        uuid: written.uuid,
        form: written.form,
        debug: written.debug,
        watchdog: written.watchdog,
        facility: written.facility,
        environment: written.environment,
    })
}

/// What of serial lines depends on the rest.
fn check_lines(written: &Written, keepalive: Duration, source: &mut Source) {
    // A node sends its own status, and passes on those of all but the one at the other end.
    let statuses = written.nodes.len().saturating_sub(1).max(1);
    let slow = written.media.iter().find_map(|(medium, place)| match medium {
        Medium::Serial(line) => {
            let bits = keepalive.as_secs_f64() * f64::from(line.baud);
            (((statuses * BITS_OF_A_STATUS) as f64) > bits).then_some((line, place))
        }
        Medium::Udp(_) => None,
    });
    if let Some((line, place)) = slow {
        let message = format!("a line of {} baud does not carry heartbeats every {}", line.baud, shown(keepalive));
        source.warn(place, message, "raise baud, or keepalive: what is too much is dropped, and links go up and down");
    }
}

/// What compares or guards two nodes is refused where there are more, rather than left undone.
fn only_for_two(written: &Written, source: &mut Source) {
    if let Some(place) = &written.ipfail {
        let help = "leave the line out: groups move when a node dies, cannot start them, or is told to give them";
        source.error(place, "ipfail compares two nodes, and there are more", help);
    }
}

/// Whether this node may use a device.
fn is_of(device: &Device, local: &str) -> bool {
    device.host.as_ref().is_none_or(|host| host.text.eq_ignore_ascii_case(local))
}

/// Which nodes a device switches off: of more than two it has to say so, since the one behind it may be any.
fn check_hosts(written: &Written, source: &mut Source) {
    for Device { fence, place, .. } in &written.devices {
        let Fence::Agent(agent) = fence else { continue };
        if let Some(host) = agent.hosts.iter().find(|host| !written.nodes.iter().any(|node| node.text == **host)) {
            let help = "the nodes that the device switches off, as the node lines name them";
            source.error(place, format!("{host:?} is not a node"), help);
        } else if agent.hosts.is_empty() && written.nodes.len() > 2 {
            let help = "name them: pcmk_host_list=lvs1,lvs2, or with their plugs pcmk_host_map=lvs1:1;lvs2:2";
            source.error(place, "which of more than two nodes this device switches off is not said", help);
        }
    }
}

/// Whoever fences must be able to fence each of the others: what cannot be known to be off is never taken.
fn check_cover(written: &Written, local: &str, source: &mut Source) {
    let ours: Vec<&Device> = written.devices.iter().filter(|device| is_of(device, local)).collect();
    let Some(Device { place, .. }) = ours.first() else { return check_bare(written, local, source) };
    let others = written.nodes.iter().filter(|node| node.text != local);
    for node in others.filter(|node| !ours.iter().any(|device| device.fence.is_for(&node.text))) {
        let help = "a device for each of the other nodes, or \"stonith_host * meatware\"";
        source.error(place, format!("no device of this node switches {:?} off", node.text), help);
    }
}

/// This node has no device, and others may: it takes what it likes while they wait until it is off.
fn check_bare(written: &Written, local: &str, source: &mut Source) {
    let Some(Device { place, .. }) = written.devices.first() else { return };
    let message = format!("no device is for {local:?}: it can switch nobody off, and others can");
    let help = "\"stonith_host *\" for a device that all nodes may use, or \"stonith_host NODE meatware\" for this one";
    if written.nodes.len() > 2 {
        source.error(place, message, help);
    } else {
        source.warn(place, message, help);
    }
}

/// What `initdead` is when it is absent.
pub(super) fn initdead(deadtime: Duration) -> Duration {
    match deadtime.as_secs_f64() {
        long if long > 10.0 => deadtime,
        short if short < 6.0 => Duration::from_secs(12),
        _ => deadtime * 2,
    }
}

/// Finds this node among those of the file: by its whole name, or by the short form of
/// either (fault 27: the usual stumbling block).
fn local_node(written: &Written, source: &mut Source, around: &Surroundings) -> Option<String> {
    let end = source.end();
    let name = around.node_name.to_ascii_lowercase();
    if let Some(node) = written.nodes.iter().find(|node| node.text == name) {
        return Some(node.text.clone());
    }
    let Some(first) = written.nodes.first() else {
        source.error(&end, "no nodes", format!("one line for each, such as \"node {name}\""));
        return None;
    };
    let mut matches = written.nodes.iter().filter(|node| is_short_form(&node.text, &name));
    match (matches.next(), matches.next()) {
        (Some(node), None) => {
            let message =
                format!("this node is called {name:?} ({}) and is taken to be {:?}", around.name_from, node.text);
            source.warn(&node.place, message, "a first line in nodeinfo says so for certain");
            Some(node.text.clone())
        }
        _ => {
            let message = format!("this node, {name:?} ({}), is not among the nodes", around.name_from);
            let help = format!("declare it with \"node {name}\", or put the name to use into the file nodeinfo");
            source.error(&first.place, message, help);
            None
        }
    }
}
