//! The programs that check, with the same servers each.

use super::server::Manner;
use crate::usage::Usage;
use lab::{Attempt, Error, Result, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where everything is written: the namespaces' own.
const DIRECTORY: &str = "/run/bench";
/// How long a program may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Servers of one virtual service.
const SERVERS: usize = 100;

/// Who checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// This toolkit's.
    Ours,
    /// Debian's 2.2.7.
    Keepalived,
    /// Debian's, in Perl, with `fork=yes`.
    Original,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ldirectord",
            Self::Keepalived => "keepalived 2.2.7",
            Self::Original => "the original",
        })
    }
}

/// What is checked each second.
#[derive(Debug, Clone, Copy)]
pub struct Farm {
    /// How many real servers.
    pub servers: usize,
    /// Their port.
    pub port: u16,
    /// How they are checked.
    pub manner: Manner,
}

impl Farm {
    /// The address of the n-th real server.
    pub fn server(self, n: usize) -> Ipv4Addr {
        let [.., a, b] = n.to_be_bytes();
        Ipv4Addr::new(127, 10, a, b)
    }

    /// The address of the n-th virtual service.
    fn service(n: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + u32::try_from(n).unwrap_or_default())
    }

    fn services(self) -> impl Iterator<Item = (Ipv4Addr, Vec<Ipv4Addr>)> {
        let servers: Vec<_> = (0..self.servers).map(|n| self.server(n)).collect();
        let services: Vec<Vec<_>> = servers.chunks(SERVERS).map(<[_]>::to_vec).collect();
        services.into_iter().enumerate().map(|(n, servers)| (Self::service(n), servers))
    }

    /// `first` is a section before all others.
    fn ldirectord_cf(self, fork: bool, first: &str) -> String {
        let mut text = format!(
            "checkinterval=1\nchecktimeout=3\nnegotiatetimeout=3\nquiescent=yes\nsupervised=yes\nfork={}\n\
             logfile=\"{DIRECTORY}/ldirectord.log\"\n\n{first}",
            if fork { "yes" } else { "no" }
        );
        for (service, servers) in self.services() {
            let _ = writeln!(text, "\nvirtual={service}:80");
            for server in servers {
                let _ = writeln!(text, "\treal={server}:{} masq", self.port);
            }
            text += match self.manner {
                Manner::Http => {
                    "\tservice=http\n\tchecktype=negotiate\n\trequest=\"index.html\"\n\treceive=\"works\"\n\tprotocol=tcp\n"
                }
                Manner::Accept => "\tservice=none\n\tchecktype=connect\n\tprotocol=tcp\n",
            };
        }
        text
    }

    fn keepalived_conf(self) -> String {
        let check = match self.manner {
            Manner::Http => {
                "HTTP_GET {\n            url {\n                path /index.html\n                status_code 200\n            \
                 }\n            connect_timeout 3\n        }"
            }
            Manner::Accept => "TCP_CHECK {\n            connect_timeout 3\n        }",
        };
        let mut text = "global_defs {\n    router_id bench\n}\n".to_owned();
        for (service, servers) in self.services() {
            let _ = writeln!(
                text,
                "virtual_server {service} 80 {{\n    delay_loop 1\n    lvs_sched wrr\n    lvs_method NAT\n    protocol TCP"
            );
            for server in servers {
                let port = self.port;
                let _ = writeln!(text, "    real_server {server} {port} {{\n        weight 1\n        {check}\n    }}");
            }
            text += "}\n";
        }
        text
    }
}

/// One of them at work; killed when this value goes.
pub struct Running {
    contender: Contender,
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts one. The peers program a kernel that says yes to everything (`ipvs_says_yes.c`); ours programs a table in
    /// memory over its socket. `first` is the first section of ldirectord's file; `core` is the only processor it may use.
    pub fn start(contender: Contender, farm: Farm, first: &str, core: Option<usize>) -> Result<Self> {
        fs::create_dir_all(DIRECTORY).attempt(|| format!("make {DIRECTORY}"))?;
        let file = Path::new(DIRECTORY).join(match contender {
            Contender::Keepalived => "keepalived.conf",
            Contender::Ours | Contender::Original => "ldirectord.cf",
        });
        let text = match contender {
            Contender::Ours => farm.ldirectord_cf(false, first),
            Contender::Keepalived => farm.keepalived_conf(),
            Contender::Original => farm.ldirectord_cf(true, first),
        };
        fs::write(&file, text).attempt(|| format!("write {}", file.display()))?;
        let program = match contender {
            Contender::Ours => lab::program("ldirectord")?,
            Contender::Keepalived => "keepalived".to_owned(),
            Contender::Original => "/usr/sbin/ldirectord".to_owned(),
        };
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string(), &program]);
                command
            }
            None => Command::new(&program),
        };
        match contender {
            Contender::Ours | Contender::Original => command.arg(&file).arg("start"),
            Contender::Keepalived => command
                .args(["--check", "--dont-fork", "--log-console", "--use-file"])
                .arg(&file)
                .args(["--pid", "/run/keepalived.pid", "--checkers_pid", "/run/checkers.pid"]),
        };
        if contender != Contender::Ours {
            command.env("LD_PRELOAD", says_yes()?);
        }
        let output = Path::new(DIRECTORY).join("output");
        let streams = File::create(&output).attempt(|| format!("make {}", output.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(streams.try_clone().attempt(|| "share an output file".into())?)
            .stderr(streams)
            .spawn()
            .attempt(|| format!("start {program}"))?;
        Ok(Self { contender, child, output })
    }

    /// What it has cost so far.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// The last lines of what it wrote.
    pub fn tail(&self) -> String {
        let written = fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&written).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).attempt(|| format!("end {}", self.contender))?;
        wait_for(&format!("the end of {}", self.contender), END_LIMIT, || match self.child.try_wait() {
            Ok(Some(_)) => Ok(()),
            _ => Err("still running"),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Compiles what keeps the peers from asking a kernel that may have no IPVS, and says where it is.
fn says_yes() -> Result<PathBuf> {
    let (source, library) = (Path::new(DIRECTORY).join("yes.c"), Path::new(DIRECTORY).join("yes.so"));
    if library.is_file() {
        return Ok(library);
    }
    fs::write(&source, include_str!("ipvs_says_yes.c")).attempt(|| format!("write {}", source.display()))?;
    let mut command = Command::new("cc");
    let compiled = command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    if compiled.attempt(|| "start cc".into())?.success() {
        return Ok(library);
    }
    Err(Error::Senseless(format!("cc does not compile {}", source.display())))
}
