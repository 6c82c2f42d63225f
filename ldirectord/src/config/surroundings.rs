//! What a configuration depends on besides its text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use lvs::ipvs::{Family, Protocol};

/// Names, services and files, as the configuration's reader asks for them. The program asks
/// the system ([`System`]), tests a table.
pub trait Surroundings {
    /// The first address of this family that a host name has. Never asked about literal addresses.
    fn host(&self, name: &str, family: Family) -> Option<IpAddr>;

    /// The port of a service by its name or alias; `None` for the protocol takes any.
    fn port(&self, name: &str, protocol: Option<Protocol>) -> Option<u16>;

    /// This machine's name, for default probe logins (spec chapter 1, environment).
    fn host_name(&self) -> String;

    /// The domains in which short names are looked for (resolv.conf(5)).
    fn search_domains(&self) -> Vec<String>;

    /// Whether lines can be appended to a file, which is created if need be.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn try_append(&self, path: &Path) -> io::Result<()>;

    /// Whether a directory exists.
    fn is_directory(&self, path: &Path) -> bool;
}

/// The machine this program runs on. Answers are remembered, so take a new one for each reading.
#[derive(Debug)]
pub struct System {
    services: Services,
    hosts: RefCell<HashMap<(String, Family), Option<IpAddr>>>,
    touch_files: bool,
}

impl System {
    /// Reads `/etc/services`; without one no service has a name.
    #[must_use]
    pub fn new() -> Self {
        Self { services: Services::parse(&text_of("/etc/services")), hosts: RefCell::default(), touch_files: true }
    }

    /// The same, but every file is taken to be there and writable: for looking at a
    /// configuration without being the user, or on the machine, that it is for.
    #[must_use]
    pub fn without_files() -> Self {
        Self { touch_files: false, ..Self::new() }
    }
}

/// What is in a file of the system, if there is one.
fn text_of(path: &str) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        // Generous: Debian's list of services has 13 KiB.
        let read = file.take(1 << 22).read_to_end(&mut text);
        if let Err(error) = read {
            log::warn!("cannot read {path}: {error}");
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The domains that resolv.conf(5) names: the last line with any counts.
fn search_list(text: &str) -> Vec<String> {
    let mut domains = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if matches!(words.next(), Some("search" | "domain")) {
            // An argument of `.` is the root: nothing is searched.
            domains = words.map(|domain| domain.trim_end_matches('.').to_owned()).collect();
        }
    }
    domains.retain(|domain| !domain.is_empty());
    domains
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Surroundings for System {
    fn host(&self, name: &str, family: Family) -> Option<IpAddr> {
        let look_up = || {
            let mut addresses = (name, 0).to_socket_addrs().ok()?;
            addresses.find(|at| Family::of(at.ip()) == family).map(|at| at.ip())
        };
        *self.hosts.borrow_mut().entry((name.to_owned(), family)).or_insert_with(look_up)
    }

    fn port(&self, name: &str, protocol: Option<Protocol>) -> Option<u16> {
        self.services.port(name, protocol)
    }

    fn host_name(&self) -> String {
        let node = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(node)
    }

    fn search_domains(&self) -> Vec<String> {
        search_list(&text_of("/etc/resolv.conf"))
    }

    fn try_append(&self, path: &Path) -> io::Result<()> {
        if self.touch_files {
            OpenOptions::new().append(true).create(true).open(path)?;
        }
        Ok(())
    }

    fn is_directory(&self, path: &Path) -> bool {
        !self.touch_files || path.is_dir()
    }
}

/// A machine out of a table, for tests: what it does not hold does not exist. Files are all
/// writable and directories all there, but for those named.
#[derive(Debug, Default)]
pub struct Fixed {
    /// Addresses of host names.
    pub hosts: HashMap<String, Vec<IpAddr>>,
    /// `/etc/services`.
    pub services: Services,
    /// The machine's name.
    pub host_name: String,
    /// Domains for short names.
    pub search_domains: Vec<String>,
    /// Files that cannot be opened, and directories that do not exist.
    pub missing: Vec<PathBuf>,
}

impl Surroundings for Fixed {
    fn host(&self, name: &str, family: Family) -> Option<IpAddr> {
        self.hosts.get(name)?.iter().copied().find(|&address| Family::of(address) == family)
    }

    fn port(&self, name: &str, protocol: Option<Protocol>) -> Option<u16> {
        self.services.port(name, protocol)
    }

    fn host_name(&self) -> String {
        self.host_name.clone()
    }

    fn search_domains(&self) -> Vec<String> {
        self.search_domains.clone()
    }

    fn try_append(&self, path: &Path) -> io::Result<()> {
        if self.is_directory(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn is_directory(&self, path: &Path) -> bool {
        !self.missing.iter().any(|missing| missing == path)
    }
}

/// `/etc/services`: names and aliases by protocol.
#[derive(Debug, Default)]
pub struct Services {
    ports: HashMap<(String, String), u16>,
    any: HashMap<String, u16>,
}

impl Services {
    /// Reads lines of `NAME PORT/PROTOCOL ALIAS...`; others are skipped. The first line of
    /// those that name a service counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|w| w.split_once('/')))
            else {
                continue;
            };
            let Ok(port) = port.parse() else { continue };
            for name in std::iter::once(name).chain(words) {
                services.ports.entry((name.to_owned(), protocol.to_owned())).or_insert(port);
                services.any.entry(name.to_owned()).or_insert(port);
            }
        }
        services
    }

    /// The port of a service; `None` for the protocol takes any.
    #[must_use]
    pub fn port(&self, name: &str, protocol: Option<Protocol>) -> Option<u16> {
        match protocol {
            Some(protocol) => self.ports.get(&(name.to_owned(), protocol.to_string())).copied(),
            None => self.any.get(name).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_aliases_and_protocols() {
        let services = Services::parse("# x\nhttp\t80/tcp\twww # web\ntftp 69/udp\nbad line\nodd 99999/tcp\n");
        assert_eq!(services.port("www", Some(Protocol::Tcp)), Some(80));
        assert_eq!(services.port("http", Some(Protocol::Udp)), None);
        assert_eq!(services.port("tftp", None), Some(69));
        assert_eq!(services.port("odd", None), None);
    }

    #[test]
    fn the_last_list_of_domains_counts() {
        let text =
            "# search no.example\ndomain one.example\nnameserver 192.0.2.1\nsearch two.example. three.example .\n";
        assert_eq!(search_list(text), ["two.example", "three.example"]);
        assert_eq!(search_list("nameserver 192.0.2.1\n"), [""; 0]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_told_unless_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (missing, good) = (directory.path().join("no/such"), directory.path().join("log"));
        assert!(System::new().try_append(&missing).is_err());
        assert!(System::without_files().try_append(&missing).is_ok());
        assert!(System::new().try_append(&good).is_ok());
        assert!(good.exists());
    }
}
