//! Two machines and a cable, in network namespaces of this machine's kernel.
//!
//! A test that wants them runs its own program again inside `unshare -rn`, which an ordinary user
//! may do as well. Where that is not permitted the test is skipped, says so, and is counted: its
//! name goes to the file `$LVS_SKIPPED`.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const INSIDE: &str = "LVS_INSIDE_A_NAMESPACE";
const PROBE: &str = "ip link set lo up && ip link add name near type veth peer name far && ip link del near && \
                     echo 0 >/proc/sys/net/ipv4/conf/lo/arp_ignore";

/// Runs `body` as the test `name` in a network of its own.
pub fn in_a_network_of_its_own(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut why = String::new();
    // Root may lack user namespaces and does not need them.
    for flags in ["-rn", "-n"] {
        let probe = command("unshare").args([flags, "sh", "-c", PROBE]).output();
        match probe {
            Ok(probe) if probe.status.success() => return run_inside(flags, name),
            Ok(probe) => why = String::from_utf8_lossy(&probe.stderr).trim().replace('\n', "; "),
            Err(error) => why = format!("cannot run unshare: {error}"),
        }
    }
    let line = format!("realserver {name}: needs network namespaces (unshare -rn): {why}");
    println!("skipped: {line}");
    if let Some(list) = std::env::var_os("LVS_SKIPPED") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        writeln!(list, "{line}").expect("the list can be written");
    }
}

fn run_inside(flags: &str, name: &str) {
    let this = std::env::current_exe().expect("a test has a program");
    let inside = command("unshare")
        .arg(flags)
        .arg(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare can be run, as it could a moment ago");
    let said = String::from_utf8_lossy(&inside.stdout) + String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success() && said.contains("1 passed"), "inside the namespace:\n{said}");
}

/// A command that finds `ip` without root's PATH.
pub fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

/// The back end in a namespace beside ours; this test is its neighbour, 192.168.60.1 and fd00:60::1.
pub struct BackEnd {
    life: Child,
    directory: TempDir,
}

impl BackEnd {
    /// 192.168.60.132 and fd00:60::132, a cable away.
    pub fn new() -> Self {
        let mut life = command("unshare")
            .args(["-n", "sh", "-c", "echo ready; exec sleep 300"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a namespace");
        let mut line = String::new();
        BufReader::new(life.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
        let back_end = Self { life, directory: TempDir::new().expect("a directory") };
        let pid = back_end.life.id().to_string();
        here(&format!(
            "ip link set lo up; ip link add name near type veth peer name eth0 netns {pid}; ip link set near up; \
             ip addr add 192.168.60.1/24 dev near; ip addr add fd00:60::1/64 dev near nodad; \
             echo 200 >/proc/sys/net/ipv4/neigh/near/retrans_time_ms; \
             echo 200 >/proc/sys/net/ipv6/neigh/near/retrans_time_ms"
        ));
        back_end.there(
            "ip link set lo up; ip link set eth0 up; ip addr add 192.168.60.132/24 dev eth0; \
             ip addr add fd00:60::132/64 dev eth0 nodad",
        );
        back_end
    }

    /// Runs a shell line on the back end and returns what it printed.
    pub fn there(&self, line: &str) -> String {
        let done = self.enter("sh").args(["-ec", line]).output().expect("nsenter");
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// `realserver` on the back end, with files of its own.
    pub fn realserver(&self, arguments: &[&str]) -> Command {
        let mut command = self.enter(env!("CARGO_BIN_EXE_realserver"));
        for (option, file) in [("--config", "toml"), ("--state", "state"), ("--socket", "sock"), ("--pidfile", "pid")] {
            command.arg(option).arg(file);
        }
        command.current_dir(self.directory.path());
        command.args(arguments);
        command
    }

    /// Runs it to its end: exit status and standard output.
    pub fn done(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.realserver(arguments).output().expect("nsenter");
        let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        (status.code().expect("no signal"), text.into_owned())
    }

    /// Writes its configuration.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.directory.path().join("toml"), text).expect("written");
    }

    /// Whether it has left a state behind.
    pub fn remembers(&self) -> bool {
        self.directory.path().join("state").exists()
    }

    /// `all.arp_ignore all.arp_announce lo.arp_ignore lo.arp_announce`
    pub fn arp_settings(&self) -> String {
        self.there(
            "cd /proc/sys/net/ipv4/conf; echo $(cat all/arp_ignore all/arp_announce lo/arp_ignore lo/arp_announce)",
        )
    }

    /// Stops the daemon that its pid file names, and waits until it is gone.
    pub fn stop_by_pid_file(&self) {
        let pid = self.directory.path().join("pid");
        let pid = std::fs::read_to_string(pid).expect("a pid file");
        here(&format!("kill {0}; while kill -0 {0} 2>/dev/null; do sleep 0.05; done", pid.trim()));
    }

    fn enter(&self, program: &str) -> Command {
        let mut command = command("nsenter");
        command.args(["-t", &self.life.id().to_string(), "-n", program]);
        command
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.life.kill();
        let _ = self.life.wait();
    }
}

/// Runs a shell line at the neighbour's and returns what it printed.
pub fn here(line: &str) -> String {
    let done = command("sh").args(["-ec", line]).output().expect("a shell");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
