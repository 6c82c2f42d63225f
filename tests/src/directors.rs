//! A pair of directors in front of two web servers, running the toolkit's own programs.

use crate::cluster::Cluster;
use crate::error::Result;
use crate::node::Node;
use crate::plan::{Plan, VIP};
use crate::process::Process;
use crate::{program, syslog, wait_until, web};
use std::time::Duration;

/// How long anything may take to start in an emulated guest that has other work.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The directors of the pair.
pub const DIRECTORS: [&str; 2] = ["lvs1", "lvs2"];

/// A daemon of a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// `lvsctl serve`.
    Helper,
    /// ldirectord.
    Ldirectord,
    /// heartbeatd.
    Heartbeatd,
}

impl Daemon {
    fn pid_file(self) -> &'static str {
        match self {
            Self::Helper => "/run/lvs/lvsctl.pid",
            Self::Ldirectord => "/var/run/ldirectord.ldirectord.cf.pid",
            Self::Heartbeatd => "/run/lvs/heartbeatd.pid",
        }
    }
}

/// What the directors' files say.
#[derive(Debug, Clone)]
pub struct Files {
    /// ha.cf.
    pub ha_cf: String,
    /// haresources.
    pub haresources: String,
    /// authkeys, mode 0600.
    pub authkeys: String,
    /// ldirectord.cf.
    pub ldirectord: String,
    /// lvs.toml.
    pub lvs: String,
}

impl Default for Files {
    /// The walkthrough's pair: 200 ms keepalive, 1 s deadtime, failback on, a check each second.
    fn default() -> Self {
        Self {
            ha_cf: "keepalive 200ms\ndeadtime 1\nwarntime 600ms\ninitdead 10\nudpport 694\nbcast eth0\n\
                    auto_failback on\nnode lvs1 lvs2\n"
                .to_owned(),
            haresources: format!("lvs1 LVSSyncDaemonSwap::master::eth0 {VIP}/24/eth0 ldirectord::ldirectord.cf\n"),
            authkeys: "auth 1\n1 sha1 a-secret-of-the-lab\n".to_owned(),
            ldirectord: format!(
                "logfile=\"daemon\"\nchecktimeout=3\nnegotiatetimeout=3\ncheckinterval=1\nquiescent=no\n\
                 virtual={VIP}:80\n\treal=192.168.60.132:80 gate\n\treal=192.168.60.144:80 gate\n\
                 \tfallback=127.0.0.1:80 gate\n\tservice=http\n\tscheduler=rr\n\tprotocol=tcp\n\
                 \tchecktype=negotiate\n\trequest=\"index.html\"\n\treceive=\"rs\"\n"
            ),
            lvs: String::new(),
        }
    }
}

/// The cluster with the real servers' part running.
pub struct Directors {
    /// The machines.
    pub cluster: Cluster,
    servers: Vec<(String, Process)>,
    logs: Vec<Process>,
}

impl Directors {
    /// Five machines: nginx and `realserver` on both back ends; on both directors the system log and the files. No
    /// daemon of a director runs yet.
    ///
    /// # Errors
    /// If something does not start.
    pub fn new(files: &Files) -> Result<Self> {
        let cluster = Cluster::new(Plan::direct_routing())?;
        let mut this = Self { cluster, servers: Vec::new(), logs: Vec::new() };
        for name in ["rs1", "rs2"] {
            let realserver = program("realserver")?;
            this.cluster.node(name).run(&[&realserver, "start", &VIP.to_string()])?;
            this.start_web_server(name)?;
        }
        for name in DIRECTORS {
            this.logs.push(syslog::start(this.cluster.node(name))?);
            this.write(name, files)?;
        }
        Ok(this)
    }

    /// A machine.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        self.cluster.node(name)
    }

    /// Writes a director's files.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, name: &str, files: &Files) -> Result<()> {
        let node = self.node(name);
        node.write("/etc/ha.d/ha.cf", &files.ha_cf)?;
        node.write("/etc/ha.d/haresources", &files.haresources)?;
        node.write_with_mode("/etc/ha.d/authkeys", &files.authkeys, 0o600)?;
        node.write("/etc/ha.d/ldirectord.cf", &files.ldirectord)?;
        node.write("/etc/ha.d/lvs.toml", &files.lvs)
    }

    /// Starts `lvsctl serve`, ldirectord and heartbeatd on a director, as its init scripts do.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start(&self, name: &str) -> Result<()> {
        [Daemon::Helper, Daemon::Ldirectord, Daemon::Heartbeatd]
            .into_iter()
            .try_for_each(|daemon| self.start_daemon(name, daemon))
    }

    /// Starts both directors and waits until lvs1 has the virtual address and the table holds both real servers.
    ///
    /// # Errors
    /// If it does not come to that.
    pub fn start_both(&self) -> Result<()> {
        let come_up = || {
            DIRECTORS.iter().try_for_each(|name| self.start(name))?;
            self.await_owner("lvs1")?;
            DIRECTORS.iter().try_for_each(|name| self.await_real_servers(name, 2))
        };
        come_up().inspect_err(|_| self.print_logs())
    }

    /// Prints both directors' system logs: what a story that failed leaves behind.
    pub fn print_logs(&self) {
        for name in DIRECTORS {
            let log = self.node(name).read("/var/log/all.log").unwrap_or_else(|e| e.to_string());
            println!("    --- system log of {name}\n{log}");
        }
    }

    /// Waits until exactly this director has the virtual address.
    ///
    /// # Errors
    /// [`crate::Error::Late`].
    pub fn await_owner(&self, name: &str) -> Result<()> {
        let what = format!("{name} to have {VIP}");
        wait_until(&what, START_LIMIT, || self.cluster.owners(&DIRECTORS, VIP) == [name]).map(|_| ())
    }

    /// Waits until a director's kernel table holds that many servers with a weight above 0.
    ///
    /// # Errors
    /// [`crate::Error::Late`].
    pub fn await_real_servers(&self, name: &str, count: usize) -> Result<()> {
        let what = format!("{count} real servers in the table of {name}");
        wait_until(&what, START_LIMIT, || self.real_servers(name).is_ok_and(|found| found.len() == count)).map(|_| ())
    }

    /// The addresses of the servers with a weight above 0 in a director's kernel table, from `/proc/net/ip_vs`.
    ///
    /// # Errors
    /// If the director is off.
    pub fn real_servers(&self, name: &str) -> Result<Vec<String>> {
        let table = self.node(name).run(&["cat", "/proc/net/ip_vs"])?;
        let row = |line: &str| {
            let mut words = line.trim_start().strip_prefix("-> ")?.split_ascii_whitespace();
            let (at, weight) = (words.next()?, words.nth(1)?);
            (weight != "0").then(|| at.to_owned())
        };
        // Three lines of headings.
        Ok(table.lines().skip(3).filter_map(row).collect())
    }

    /// Starts (again) the web server of a back end.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_web_server(&mut self, name: &str) -> Result<()> {
        let server = web::serve(self.cluster.node(name), name)?;
        self.servers.push((name.to_owned(), server));
        Ok(())
    }

    /// Stops the web server of a back end.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop_web_server(&mut self, name: &str) -> Result<()> {
        while let Some(at) = self.servers.iter().position(|(which, _)| which == name) {
            self.servers.swap_remove(at).1.stop(START_LIMIT)?;
        }
        Ok(())
    }

    /// `kill -9` of a daemon of a director, and of that process alone.
    ///
    /// # Errors
    /// If the director is off, or the daemon does not run.
    pub fn kill(&self, name: &str, daemon: Daemon) -> Result<()> {
        let command = format!("kill -9 $(cat {})", daemon.pid_file());
        self.node(name).run(&["sh", "-c", &command]).map(drop)
    }

    /// Starts one daemon of a director.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_daemon(&self, name: &str, daemon: Daemon) -> Result<()> {
        let node = self.node(name);
        match daemon {
            Daemon::Helper => node.run(&[&program("lvsctl")?, "serve", "--background"]),
            Daemon::Ldirectord => node.run(&[&program("ldirectord")?, "ldirectord.cf", "start"]),
            Daemon::Heartbeatd => node.run(&[&program("heartbeatd")?, "start"]),
        }
        .map(drop)
    }

    /// Switches a director on again and starts its system log; its daemons are not started.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn power_on(&mut self, name: &str) -> Result<()> {
        self.cluster.power_on(name)?;
        self.logs.push(syslog::start(self.cluster.node(name))?);
        Ok(())
    }
}
