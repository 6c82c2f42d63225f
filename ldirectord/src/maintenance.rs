//! The maintenance directory: files in it take real servers out of service (spec/ldirectord.md
//! 7.5).
//!
//! [`Posted`] says which server is meant by which file, and does no I/O. [`watch`] looks at the
//! directory each second; names of servers are looked up in the background, and only while a file
//! has a name that is no address.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// How often the directory is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// After so many looks, addresses that had no name are asked about again.
const ASK_AGAIN: u32 = 60;

/// Names that are looked up at the same time.
const LOOK_UPS: usize = 8;

/// A directory with more files is not one for maintenance; those beyond are not looked at.
const MAX_FILES: usize = 10_000;

/// The files that are there, and the names that addresses have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// File names.
    pub files: BTreeSet<String>,
    /// Names by reverse look-up.
    pub names: HashMap<IpAddr, String>,
}

impl Posted {
    /// The file that takes a server out, if there is one: `RIP:RPORT`, `RIP`, the same with its name,
    /// and with its name up to the first dot. IPv6 addresses are in brackets.
    #[must_use]
    pub fn file_for(&self, server: SocketAddr) -> Option<&str> {
        if self.files.is_empty() {
            return None;
        }
        let address = match server.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let full = self.names.get(&server.ip()).map(String::as_str);
        let short = full.and_then(short_name);
        [Some(address.as_str()), full, short].into_iter().flatten().find_map(|name| {
            let with_port = self.files.get(&format!("{name}:{}", server.port()));
            with_port.or_else(|| self.files.get(name)).map(String::as_str)
        })
    }

    /// Whether some file can only mean a server by its name.
    fn has_names(&self) -> bool {
        self.files.iter().any(|file| !is_address(file))
    }
}

/// Up to the first dot, if that is a letter and at least one letter, digit or hyphen behind it.
fn short_name(full: &str) -> Option<&str> {
    let short = full.split('.').next()?;
    let mut bytes = short.bytes();
    let begins = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let goes_on = short.len() > 1 && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (begins && goes_on).then_some(short)
}

fn is_address(file: &str) -> bool {
    let bracketed = file.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match bracketed {
        Some((address, _)) => address.parse::<IpAddr>().is_ok(),
        None => file.split(':').next().is_some_and(|address| address.parse::<IpAddr>().is_ok()),
    }
}

/// The names of the files in the directory.
///
/// # Errors
/// If it cannot be read.
pub fn files(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in directory.read_dir()?.take(MAX_FILES) {
        // A name that is not UTF-8 is no server's.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// Tells what is posted whenever that changes, for ever. `before` is what is known to whoever
/// listens; `addresses` are those of the real servers.
pub async fn watch(directory: PathBuf, addresses: Vec<IpAddr>, mut before: Posted, tell: impl Fn(Posted) -> bool) {
    let mut readable = true;
    let mut asked: HashMap<IpAddr, Option<String>> = HashMap::new();
    let mut looking: JoinSet<(IpAddr, Option<String>)> = JoinSet::new();
    let mut time = tokio::time::interval(INTERVAL);
    let mut looks: u32 = 0;
    loop {
        let mut posted = before.clone();
        tokio::select! {
            _ = time.tick() => {
                let path = directory.clone();
                let found = tokio::task::spawn_blocking(move || files(&path)).await;
                match found {
                    Ok(Ok(files)) => (posted.files, readable) = (files, true),
                    Ok(Err(error)) => {
                        posted.files.clear();
                        if std::mem::replace(&mut readable, false) && error.kind() != io::ErrorKind::NotFound {
                            log::warn!("cannot read the maintenance directory {}: {error}", directory.display());
                        }
                    }
                    // The program ends.
                    Err(_) => return,
                }
                looks += 1;
                if looks.is_multiple_of(ASK_AGAIN) {
                    asked.retain(|_, name| name.is_some());
                }
            }
            Some(Ok((address, name))) = looking.join_next() => {
                asked.insert(address, name);
            }
        }
        if posted.has_names() {
            for &address in &addresses {
                if looking.len() >= LOOK_UPS {
                    break;
                }
                if let std::collections::hash_map::Entry::Vacant(entry) = asked.entry(address) {
                    entry.insert(None);
                    looking.spawn_blocking(move || (address, name_of(address)));
                }
            }
            posted.names = asked.iter().filter_map(|(&at, name)| Some((at, name.clone()?))).collect();
        }
        if posted != before {
            if !tell(posted.clone()) {
                return;
            }
            before = posted;
        }
    }
}

fn name_of(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok()?;
    // Without a name there is the address again.
    name.parse::<IpAddr>().is_err().then_some(name)
}

/// Tells by a channel; ends when nobody listens any more.
pub fn by_channel<T>(channel: UnboundedSender<T>, wrap: impl Fn(Posted) -> T) -> impl Fn(Posted) -> bool {
    move |posted| channel.send(wrap(posted)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(files: &[&str]) -> Posted {
        let names =
            [("192.0.2.1", "web-1.example.net"), ("192.0.2.2", "X.example.net"), ("2001:db8::1", "six.example.net")];
        Posted {
            files: files.iter().map(ToString::to_string).collect(),
            names: names.iter().map(|(at, name)| (at.parse().expect("an address"), (*name).to_owned())).collect(),
        }
    }

    #[test]
    fn row_63_a_server_is_meant_by_address_or_name_with_or_without_its_port() {
        let file =
            |files: &[&str], server: &str| posted(files).file_for(server.parse().expect("a server")).map(str::to_owned);
        for name in ["192.0.2.1:80", "192.0.2.1", "web-1.example.net:80", "web-1.example.net", "web-1:80", "web-1"] {
            assert_eq!(file(&[name], "192.0.2.1:80").as_deref(), Some(name));
            assert_eq!(file(&[name], "192.0.2.3:80"), None, "{name}");
        }
        for name in ["192.0.2.1:81", "web-1:8", "web", "example.net", "192.0.2.10", ".192.0.2.1"] {
            assert_eq!(file(&[name], "192.0.2.1:80"), None, "{name}");
        }
        assert_eq!(file(&["X"], "192.0.2.2:80"), None, "a short name begins with a small letter");
        assert_eq!(file(&["[2001:db8::1]:80"], "[2001:db8::1]:80").as_deref(), Some("[2001:db8::1]:80"));
        assert_eq!(file(&["[2001:db8::1]"], "[2001:db8::1]:80").as_deref(), Some("[2001:db8::1]"));
        assert_eq!(file(&["2001:db8::1"], "[2001:db8::1]:80"), None);
        assert_eq!(file(&["six"], "[2001:db8::1]:0").as_deref(), Some("six"));
    }

    #[test]
    fn names_are_asked_for_only_if_some_file_has_one() {
        assert!(!posted(&["192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80"]).has_names());
        assert!(posted(&["192.0.2.1", "web-1"]).has_names());
    }

    #[test]
    fn a_file_is_told_when_it_comes_and_when_it_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let watching = tokio::spawn(watch(path.clone(), Vec::new(), Posted::default(), by_channel(tell, |p| p)));
            std::fs::write(path.join("192.0.2.1"), "").expect("written");
            let patience = Duration::from_secs(30);
            let next = tokio::time::timeout(patience, told.recv()).await.expect("in time").expect("told");
            assert_eq!(next.file_for("192.0.2.1:80".parse().expect("a server")), Some("192.0.2.1"));
            std::fs::remove_file(path.join("192.0.2.1")).expect("removed");
            let next = tokio::time::timeout(patience, told.recv()).await.expect("in time").expect("told");
            assert!(next.files.is_empty());
            watching.abort();
        });
    }
}
