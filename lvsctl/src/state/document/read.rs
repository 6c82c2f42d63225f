//! From text to what is wanted, with every mistake told at its place.

use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::{server, service, written};
use crate::diag::{Diagnostic, Severity};
use crate::ipvs::{Family, SyncDaemon, SyncRole, Timeouts};
use crate::state::Wanted;
use crate::state::values::{MIXED_FAMILIES, names_interface, runs_daemon};

/// The kernel counts timeouts in ticks, of which there are 100 to 1000 in a second, in 31 bits.
const LONGEST_TIMEOUT: u32 = 0x7fff_ffff / 100;

/// What was read, and what is odd about it.
///
/// ```
/// use std::path::Path;
/// use lvs::state::document;
///
/// let reading = document::read(Path::new("table.toml"), "[timeouts]\nudp = 60\n").expect("no mistakes in it");
/// assert_eq!(reading.wanted.timeouts.udp, 60);
/// assert!(reading.warnings.is_empty());
/// ```
#[derive(Debug)]
pub struct Reading {
    /// What the file wants.
    pub wanted: Wanted,
    /// What the kernel takes although it can hardly be meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the TOML form.
///
/// # Errors
/// Every mistake; the first one only if it is about the form (an unknown name, a wrong kind of value).
pub fn read(path: &Path, text: &str) -> Result<Reading, Vec<Diagnostic>> {
    let file: written::File = toml::from_str(text).map_err(|error| vec![Diagnostic::toml(path, text, &error)])?;
    let mut reader = Reader { path, text, found: Vec::new() };
    let wanted = reader.file(file);
    let (mistakes, warnings): (Vec<_>, Vec<_>) =
        reader.found.into_iter().partition(|found| found.severity == Severity::Error);
    if mistakes.is_empty() { Ok(Reading { wanted, warnings }) } else { Err(mistakes) }
}

/// Where mistakes are collected.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.found.push(Diagnostic::in_text(self.path, self.text, at, message));
    }

    pub(super) fn wrong_but(&mut self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let mistake = Diagnostic::in_text(self.path, self.text, at, message);
        self.found.push(Diagnostic { help: Some(help.into()), ..mistake });
    }

    pub(super) fn odd(&mut self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let mistake = Diagnostic::in_text(self.path, self.text, at, message);
        self.found.push(Diagnostic { severity: Severity::Warning, help: Some(help.into()), ..mistake });
    }

    /// A number within its limits; `None` if it is not given or is wrong.
    pub(super) fn number<T>(&mut self, given: Option<&Spanned<i64>>, least: T, most: T) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let given = given?;
        match T::try_from(*given.get_ref()) {
            Ok(value) if value >= least && value <= most => Some(value),
            _ => {
                self.wrong(given.span(), format!("{} is not between {least} and {most}", given.get_ref()));
                None
            }
        }
    }

    fn file(&mut self, file: written::File) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.comments.whole = file.comment;
        if let Some(timeouts) = &file.timeouts {
            let mut seconds = |given| self.number(given, 1, LONGEST_TIMEOUT).unwrap_or(0);
            wanted.timeouts = Timeouts {
                tcp: seconds(timeouts.tcp.as_ref()),
                tcp_fin: seconds(timeouts.tcp_fin.as_ref()),
                udp: seconds(timeouts.udp.as_ref()),
            };
        }
        if let Some(sync) = &file.sync {
            let roles = [(SyncRole::Master, &sync.master), (SyncRole::Backup, &sync.backup)];
            let daemons = roles.into_iter().filter_map(|(role, daemon)| Some(self.daemon(role, daemon.as_ref()?)));
            wanted.daemons = Some(daemons.collect());
        }
        let daemon_runs = runs_daemon(&wanted);
        for written in file.service {
            let span = written.span();
            let written = written.into_inner();
            let Some((key, about)) = service::read(self, span.clone(), &written) else {
                // What its servers need to be judged is not known.
                continue;
            };
            if wanted.table.contains_key(&key) {
                self.wrong(service::named_at(&written).unwrap_or(span), format!("{key} is there already"));
                continue;
            }
            let mut destinations = std::collections::BTreeMap::new();
            for server in &written.server {
                let Some((at, destination)) = server::read(self, &key, server.get_ref()) else { continue };
                let place = server.get_ref().address.span();
                if daemon_runs && Family::of(at.ip()) != key.family() {
                    let help = "take [sync.master] and [sync.backup] out, or the server";
                    self.wrong_but(place.clone(), MIXED_FAMILIES, help);
                }
                if destinations.insert(at, destination).is_some() {
                    self.wrong(place, format!("{key} has the real server {at} already"));
                }
                if let Some(comment) = &server.get_ref().comment {
                    wanted.comments.entries.insert((key, Some(at)), comment.clone());
                }
            }
            if let Some(comment) = written.comment {
                wanted.comments.entries.insert((key, None), comment);
            }
            wanted.table.insert(key, crate::ipvs::VirtualService { service: about, destinations });
        }
        wanted
    }

    fn daemon(&mut self, role: SyncRole, daemon: &written::Daemon) -> SyncDaemon {
        let interface = daemon.interface.get_ref();
        if !names_interface(interface) {
            self.wrong(daemon.interface.span(), format!("{interface:?} is no name of an interface"));
        }
        let group = daemon.group.as_ref().and_then(|group| match group.get_ref().parse::<IpAddr>() {
            Ok(address) if address.is_multicast() => Some(address),
            Ok(address) => {
                self.wrong(group.span(), format!("{address} is not a multicast group"));
                None
            }
            Err(_) => {
                self.wrong(group.span(), format!("{:?} is not an address", group.get_ref()));
                None
            }
        });
        SyncDaemon {
            role,
            interface: interface.clone(),
            sync_id: self.number(daemon.id.as_ref(), 0, 255).unwrap_or(0),
            max_length: self.number(daemon.max_length.as_ref(), 1, 65507),
            group,
            port: self.number(daemon.port.as_ref(), 1, 65535),
            ttl: self.number(daemon.ttl.as_ref(), 1, 255),
        }
    }
}
