//! What runs on the directors.

use lab::{Daemon, Directors, Files, Process, Result, VIP, program};
use std::fmt;
use std::time::Duration;

/// How long keepalived may take to end; it takes its virtual services down first.
const END_LIMIT: Duration = Duration::from_secs(20);

/// One way to run a pair of directors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// This toolkit as in the walkthrough: keepalive 200 ms, deadtime 1 s.
    Walkthrough,
    /// This toolkit detecting about as fast as keepalived with `advert_int 0.1`: keepalive 100 ms, deadtime 300 ms.
    Fast,
    /// keepalived with `advert_int 0.1`: a backup takes over 361 ms after the last advertisement.
    Keepalived,
}

impl Contender {
    /// In the order of the table's columns.
    pub const ALL: [Self; 3] = [Self::Walkthrough, Self::Fast, Self::Keepalived];

    /// The directors' files. keepalived reads none of them.
    pub fn files(self) -> Files {
        let files = Files::default();
        if self != Self::Fast {
            return files;
        }
        let ha_cf = "keepalive 100ms\ndeadtime 300ms\nwarntime 250ms\ninitdead 10\nudpport 694\nbcast eth0\n\
                     auto_failback on\nnode lvs1 lvs2\n";
        Files { ha_cf: ha_cf.to_owned(), ..files }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Walkthrough => "200 ms / 1 s",
            Self::Fast => "100 ms / 300 ms",
            Self::Keepalived => "keepalived, 100 ms",
        })
    }
}

/// The programs of one contender on both directors.
pub struct Programs {
    contender: Contender,
    /// keepalived by the name of its director; this toolkit's daemons go to the background by themselves.
    keepalived: Vec<(String, Process)>,
}

impl Programs {
    /// None runs yet.
    pub fn new(contender: Contender) -> Self {
        Self { contender, keepalived: Vec::new() }
    }

    /// Starts what a director runs.
    pub fn start(&mut self, pair: &Directors, name: &str) -> Result<()> {
        if self.contender != Contender::Keepalived {
            return [Daemon::Helper, Daemon::Ldirectord, Daemon::Heartbeatd]
                .into_iter()
                .try_for_each(|daemon| pair.start_daemon(name, daemon));
        }
        let node = pair.node(name);
        node.write("/etc/ha.d/keepalived.conf", &keepalived_conf(name))?;
        let words = "keepalived --dont-fork --log-console --use-file /etc/ha.d/keepalived.conf \
                     --pid /run/keepalived.pid --vrrp_pid /run/vrrp.pid --checkers_pid /run/checkers.pid";
        let words: Vec<&str> = words.split_whitespace().collect();
        self.keepalived.retain(|(which, _)| which != name);
        self.keepalived.push((name.to_owned(), node.start("keepalived", &words)?));
        Ok(())
    }

    /// Gives up what lvs1 has, as an administrator does before work on it.
    pub fn give_up(&self, pair: &Directors) -> Result<()> {
        if self.contender != Contender::Keepalived {
            return pair.node("lvs1").run(&[&program("lvsctl")?, "standby"]).map(drop);
        }
        // It knows no order to stand by: its administrators stop it.
        self.keepalived
            .iter()
            .filter(|(which, _)| which == "lvs1")
            .try_for_each(|(_, process)| process.stop(END_LIMIT).map(drop))
    }

    /// Undoes [`Programs::give_up`].
    pub fn take_back(&mut self, pair: &Directors) -> Result<()> {
        if self.contender == Contender::Keepalived {
            return self.start(pair, "lvs1");
        }
        pair.node("lvs1").run(&[&program("lvsctl")?, "takeover"]).map(drop)
    }

    /// What keepalived has said, for a measurement that broke off.
    pub fn print_output(&self) {
        for (name, process) in &self.keepalived {
            println!("    --- keepalived of {name}\n{}", process.output());
        }
    }
}

/// VRRP version 3, for advertisements more often than one a second; the same servers and the same check each second.
fn keepalived_conf(name: &str) -> String {
    let (state, priority) = if name == "lvs1" { ("MASTER", 150) } else { ("BACKUP", 100) };
    let server = |address: &str| {
        format!(
            "    real_server {address} 80 {{\n        weight 1\n        HTTP_GET {{\n            url {{\n                \
             path /index.html\n                status_code 200\n            }}\n            connect_timeout 3\n        \
             }}\n    }}\n"
        )
    };
    format!(
        "global_defs {{\n    router_id {name}\n    vrrp_version 3\n}}\n\
         vrrp_instance pair {{\n    state {state}\n    interface eth0\n    virtual_router_id 51\n    \
         priority {priority}\n    advert_int 0.1\n    virtual_ipaddress {{\n        {VIP}/24 dev eth0\n    }}\n}}\n\
         virtual_server {VIP} 80 {{\n    delay_loop 1\n    lvs_sched rr\n    lvs_method DR\n    protocol TCP\n{}{}}}\n",
        server("192.168.60.132"),
        server("192.168.60.144"),
    )
}
