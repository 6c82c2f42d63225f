//! Where a test has its files and addresses.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use lab::{Attempt, Error, Result, wait_for};
use tempfile::TempDir;

use crate::server::Server;
use crate::watch::Checks;

/// `PROGRAM PACKAGE` a line.
const PACKAGES: &str = include_str!("packages");

/// How long a server may take until it listens, on a machine that has other work.
const START_LIMIT: Duration = Duration::from_secs(40);

/// A directory and addresses that no other test has.
pub struct Place {
    name: &'static str,
    number: u8,
    directory: TempDir,
}

impl Place {
    /// A place for the test `name`; `None` if one of the programs it calls is not on this machine. Then the test is
    /// reported as skipped and has nothing to do.
    ///
    /// # Panics
    /// Outside of `tests/services/run`, where servers would be seen by others.
    pub fn new(name: &'static str, programs: &[&str]) -> Option<Self> {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        assert!(env::var_os("LVS_SERVICES").is_some(), "started by tests/services/run and not by itself");
        if let Some(program) = programs.iter().find(|program| !is_installed(program)) {
            let package = package_of(program).unwrap_or("?");
            skip(&format!("services {name}: the package {package} is not installed (make test-services does that)"));
            return None;
        }
        let directory = tempfile::Builder::new().prefix(&format!("{name}.")).tempdir_in("/run").expect("a directory");
        // Servers become other users.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("its owner may");
        Some(Self { name, number: NUMBER.fetch_add(1, Ordering::Relaxed), directory })
    }

    /// Reports the test as skipped.
    pub fn skip(&self, why: &str) {
        skip(&format!("services {}: {why}", self.name));
    }

    /// What the test is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its directory; gone after the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its own address, where every port is free.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 50, self.number, 1)
    }

    /// A port of it.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.address(), port).into()
    }

    /// The address of its virtual services.
    pub fn virtual_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.number)
    }

    /// The same for services of IPv6.
    pub fn virtual_address6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number.into())
    }

    /// Writes a file below its directory, mode 0644, and says where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory().join(file);
        let what = || format!("write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&path)).attempt(what)?;
        fs::write(&path, text).attempt(what)?;
        Ok(path)
    }

    /// Makes a directory of the place that belongs to somebody (`postfix:postdrop`), and says where it is.
    ///
    /// # Errors
    /// If there is no such user.
    pub fn directory_of(&self, name: &str, owner: &str, mode: u32) -> Result<PathBuf> {
        let path = self.directory().join(name);
        let what = || format!("make {} for {owner}", path.display());
        fs::create_dir_all(&path).attempt(what)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).attempt(what)?;
        let given = Command::new("chown").arg(owner).arg(&path).status().attempt(what)?;
        if given.success() { Ok(path) } else { Err(Error::Senseless(format!("there is no {owner} on this machine"))) }
    }

    /// Starts a server, which has to stay in the foreground. Its working directory is the place's.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, command: &[&str]) -> Result<Server> {
        Server::start(self.directory(), command)
    }

    /// Waits until the server listens on a TCP port of the place's address.
    ///
    /// # Errors
    /// If it does not, or ends, with what it wrote.
    pub fn await_tcp(&self, server: &Server, port: u16) -> Result<()> {
        // Listening is state 0A, and 07 for UDP.
        self.await_socket(server, "/proc/net/tcp", "0A", port)
    }

    /// Waits until the server has a UDP port of the place's address.
    ///
    /// # Errors
    /// If it does not get it, or ends, with what it wrote.
    pub fn await_udp(&self, server: &Server, port: u16) -> Result<()> {
        self.await_socket(server, "/proc/net/udp", "07", port)
    }

    fn await_socket(&self, server: &Server, table: &str, state: &str, port: u16) -> Result<()> {
        // As the kernel prints it: the address's bytes as a number of this machine.
        let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes(self.address().octets()));
        wait_for(&format!("{} on {}", self.name, self.at(port)), START_LIMIT, || {
            let sockets = fs::read_to_string(table).unwrap_or_default();
            let is_it = |line: &str| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&state)
            };
            if sockets.lines().any(is_it) { Ok(()) } else { Err(server.output()) }
        })
    }

    /// What ldirectord will check.
    pub fn checks(&self) -> Checks<'_> {
        Checks::new(self)
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    Path::new(program).is_file() || env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn package_of(program: &str) -> Option<&'static str> {
    let lines = PACKAGES.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .find(|(first, _)| *first == program)
        .map(|(_, package)| package.trim())
}

/// As `tests/run` asks for it.
fn skip(line: &str) {
    println!("skipped: {line}");
    if let Some(list) = env::var_os("LVS_SKIPPED") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        writeln!(list, "{line}").expect("the list can be written");
    }
}
