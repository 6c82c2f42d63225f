//! What `status` shows: the cluster as this node sees it.

use lvs::control::heartbeatd::{GroupStatus, LinkStatus, NodeStatus, Status};

use super::membership::millis;
use super::{Node, State};

impl Node {
    /// The snapshot for `status` and `watch`. What only the driver knows is left empty:
    /// trouble with media, refused datagrams, addresses that others have as well.
    #[must_use]
    pub fn report(&self) -> Status {
        let stable = self.is_stable();
        let me = self.membership.me();
        let settings = self.membership.settings();
        let nodes = settings.nodes.iter().map(|name| {
            let at = self.membership.peers().iter().position(|peer| peer.name == *name);
            let peer = at.and_then(|at| self.membership.peers().get(at));
            NodeStatus {
                name: name.clone(),
                status: peer.map_or(self.membership.status(), |peer| peer.status).as_str().to_owned(),
                links: peer.map_or(Vec::new(), |peer| {
                    let named = peer.links.iter().zip(&settings.links);
                    named.map(|(link, name)| LinkStatus { name: name.clone(), up: link.up, trouble: None }).collect()
                }),
                heartbeatd: peer.map_or(Some(true), |peer| peer.native),
                differs: at.map_or(Vec::new(), |at| {
                    self.takeover.differing_files(at).into_iter().map(str::to_owned).collect()
                }),
                ping: false,
                fencing: at.and_then(|at| self.takeover.unfenced(at)),
                maintenance: at.map_or(self.takeover.is_maintained(), |at| self.takeover.is_peer_maintained(at)),
            }
        });
        let pings = self.pings.each().map(|(name, alive)| NodeStatus {
            name: name.to_owned(),
            status: if alive { "ping" } else { "dead" }.to_owned(),
            links: vec![LinkStatus { name: name.to_owned(), up: alive, trouble: None }],
            heartbeatd: None,
            differs: Vec::new(),
            ping: true,
            fencing: None,
            maintenance: false,
        });
        let groups = settings.plan.iter().map(|(id, group)| {
            let ours = matches!(self.takeover.state(id), Some(State::Held | State::Offering));
            let holder = if ours { Some(me.name.as_str()) } else { self.takeover.holder(id) };
            GroupStatus {
                name: group.key.clone(),
                home: group.home.clone(),
                holder: holder.map(str::to_owned),
                duplicates: Vec::new(),
                failed: self.takeover.failed(id).then(|| "could not be started here".to_owned()),
                stuck: self.takeover.stuck_at(id).map(str::to_owned),
                no_carrier: self.cables.is_out(id),
                withheld: self.is_withheld(id),
            }
        });
        Status {
            node: me.name.clone(),
            holds: if stable { self.holds() } else { "transition" }.to_owned(),
            stable,
            nodes: nodes.chain(pings).collect(),
            groups: groups.collect(),
            longest_gap_ms: millis(self.longest_gap),
            refused: std::collections::BTreeMap::new(),
            ipfail: self.pings.acts(),
            maintenance: self.takeover.is_maintained(),
            deaf: !self.membership.is_listening(),
        }
    }

    /// In the words of `cl_status rscstatus`.
    fn holds(&self) -> &'static str {
        let me = &self.membership.me().name;
        let plan = &self.membership.settings().plan;
        let all_held = |home: bool| {
            let mut bag = plan.iter().filter(|(_, group)| (group.home == *me) == home).peekable();
            bag.peek().is_some() && bag.all(|(id, _)| self.takeover.state(id) == Some(State::Held))
        };
        match (all_held(true), all_held(false)) {
            (true, true) => "all",
            (true, false) => "local",
            (false, true) => "foreign",
            (false, false) => "none",
        }
    }
}
