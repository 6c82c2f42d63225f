//! Carries out command lines of ipvsadm.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;

use super::bag::parse;
use super::command::{Command, List, Services, Usage};
use super::kernel::{Errno, Kernel};
use super::restore::Input;
use super::{help, message};
use crate::ipvs::list::{
    Columns, Connection, Style, connection_heading, connection_line, daemon_line, destination_line, heading,
    service_line, sort_by_address, sort_services, timeout_line, version_line,
};
use crate::ipvs::text::{Names, Numeric, save_destination, save_service, service_options};
use crate::ipvs::{Change, Destination, DestinationListing, Forward, ServiceListing, Stats};

/// Output is handed on in pieces of this size, bytes.
const PIECE: usize = 32 * 1024;
/// A row of `/proc/net/ip_vs_conn` is shorter by far.
const LONGEST_ROW: u64 = 64 * 1024;

/// The kernel refused a change, or a line of `-R` could not be read, or there was no command.
pub(super) const REFUSED: u8 = 255;
const LISTING_FAILED: u8 = 1;

/// What command lines are carried out with.
///
/// ```no_run
/// use lvs::cli::{Shell, System};
/// use lvs::netlink::ipvs::Client;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// let mut shell = Shell {
///     program: b"ipvsadm",
///     strict: false,
///     kernel: &mut Client::open()?,
///     names: &mut System::default(),
///     out: &mut out,
///     err: &mut err,
/// };
/// let status = shell.run(&[b"-L", b"-n"], &mut std::io::empty());
/// println!("{status}: {}", String::from_utf8_lossy(&out));
/// # Ok(())
/// # }
/// ```
pub struct Shell<'a, K> {
    /// `argv[0]`, for messages.
    pub program: &'a [u8],
    /// `POSIXLY_CORRECT`: the first word that is no option ends the options.
    pub strict: bool,
    /// Who is asked to change and list.
    pub kernel: &'a mut K,
    /// Names of hosts and ports.
    pub names: &'a mut dyn Names,
    /// Standard output. That it cannot be written is ignored, as ipvsadm does.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut (dyn Write + Send),
}

impl<K: Kernel> Shell<'_, K> {
    /// One run of ipvsadm with these words behind `argv[0]`; the exit status. `input` is read for `-R`.
    pub fn run(&mut self, words: &[&[u8]], input: &mut dyn Input) -> u8 {
        if words.is_empty() {
            return self.list_services(&Services::default());
        }
        match parse(words, self.strict, self.names) {
            Err(usage) => self.complain(&usage),
            Ok(Command::Restore) => self.restore(input),
            Ok(command) => self.carry_out(&command),
        }
    }

    fn complain(&mut self, usage: &Usage) -> u8 {
        let _ = usage.write(self.program, self.err);
        usage.status()
    }

    /// Any command but `-R`.
    pub(super) fn carry_out(&mut self, command: &Command) -> u8 {
        match command {
            Command::Change(one) => {
                let one = std::slice::from_ref(one);
                tell(self.err, one, self.kernel.change(one))
            }
            Command::List(List::Services(services)) => self.list_services(services),
            Command::List(List::Connections { numeric, engines }) => self.list_connections(*numeric, *engines),
            Command::List(List::Timeouts) => {
                let Ok(timeouts) = self.kernel.timeouts() else { return LISTING_FAILED };
                let mut text = String::new();
                timeout_line(&mut text, timeouts);
                self.print(&text)
            }
            Command::List(List::Daemons) => {
                let Ok(daemons) = self.kernel.daemons() else { return LISTING_FAILED };
                let mut text = String::new();
                daemons.iter().for_each(|daemon| daemon_line(&mut text, daemon));
                self.print(&text)
            }
            Command::Save { numeric } => self.save(*numeric),
            Command::Help => {
                self.print(help::VERSION);
                let _ = self.out.write_all(&help::usage(self.program));
                0
            }
            Command::Version => self.print(help::VERSION),
            Command::Restore => self.complain(&Usage::TryHelp),
        }
    }

    fn print(&mut self, text: &str) -> u8 {
        let _ = self.out.write_all(text.as_bytes());
        0
    }

    fn listing_failed(&mut self, message: &str) -> u8 {
        let _ = writeln!(self.err, "{message}");
        LISTING_FAILED
    }

    fn list_services(&mut self, wanted: &Services) -> u8 {
        let Services { only, columns, unsorted, .. } = *wanted;
        let mut text = String::new();
        let services = if let Some(key) = only {
            match self.kernel.service(&key) {
                Ok(service) => vec![service],
                Err(errno) => return self.listing_failed(&message::listing_one(errno)),
            }
        } else {
            match self.kernel.info() {
                Ok(info) => version_line(&mut text, info),
                Err(errno) => return self.listing_failed(&message::general(errno)),
            }
            match self.services(unsorted) {
                Ok(services) => services,
                Err(errno) => {
                    self.print(&text);
                    return self.listing_failed(&message::general(errno));
                }
            }
        };
        heading(&mut text, columns);
        let listed = match columns {
            Columns::Plain | Columns::Tunnels => self.list_servers::<Plain>(&mut text, &services, wanted),
            Columns::Thresholds | Columns::Persistence => self.list_servers::<Connected>(&mut text, &services, wanted),
            Columns::Statistics | Columns::Rates => self.list_servers::<Counted>(&mut text, &services, wanted),
        };
        self.print(&text);
        match listed {
            Ok(()) => 0,
            Err(errno) => self.listing_failed(&message::general(errno)),
        }
    }

    /// The lines of services and their servers.
    fn list_servers<T: Shown>(
        &mut self,
        text: &mut String,
        services: &[ServiceListing],
        wanted: &Services,
    ) -> Result<(), Errno> {
        let Services { columns, exact, numeric, unsorted, .. } = *wanted;
        let style = Style { columns, exact };
        let counters = matches!(columns, Columns::Statistics | Columns::Rates);
        let names: &mut dyn Names = if numeric { &mut Numeric } else { &mut *self.names };
        let out = &mut *self.out;
        self.kernel.destinations_of(services, counters, T::of, |listing, mut servers| {
            let ServiceListing { key, service, stats, .. } = listing;
            if !unsorted {
                sort_by_address(&mut servers);
            }
            service_line(text, key, service, stats, style, names);
            for (at, kept) in &servers {
                destination_line(text, key, &kept.row(*at), style, names);
                hand_on(text, out);
            }
        })
    }

    fn services(&mut self, unsorted: bool) -> Result<Vec<ServiceListing>, Errno> {
        let mut services = self.kernel.services()?;
        if !unsorted {
            sort_services(&mut services);
        }
        Ok(services)
    }

    fn save(&mut self, numeric: bool) -> u8 {
        let services = match self.services(false) {
            Ok(services) => services,
            Err(errno) => return self.listing_failed(&message::general(errno)),
        };
        let (mut text, mut options) = (String::new(), String::new());
        let names: &mut dyn Names = if numeric { &mut Numeric } else { &mut *self.names };
        let out = &mut *self.out;
        let saved = self.kernel.destinations_of(
            &services,
            false,
            |row| row.destination,
            |listing, mut servers| {
                let ServiceListing { key, service, .. } = listing;
                sort_by_address(&mut servers);
                options.clear();
                service_options(&mut options, key, names);
                save_service(&mut text, &options, key, service);
                for (at, destination) in &servers {
                    save_destination(&mut text, &options, key, *at, destination, names);
                    hand_on(&mut text, out);
                }
            },
        );
        self.print(&text);
        match saved {
            Ok(()) => 0,
            Err(errno) => self.listing_failed(&message::general(errno)),
        }
    }

    fn list_connections(&mut self, numeric: bool, engines: bool) -> u8 {
        let Ok(mut rows) = self.kernel.connections() else {
            return self.listing_failed("cannot open file /proc/net/ip_vs_conn");
        };
        let (mut text, mut row) = (String::new(), Vec::new());
        connection_heading(&mut text, engines);
        let names: &mut dyn Names = if numeric { &mut Numeric } else { self.names };
        loop {
            row.clear();
            match (&mut rows).take(LONGEST_ROW).read_until(b'\n', &mut row) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if let Some(connection) = Connection::parse(&String::from_utf8_lossy(&row)) {
                connection_line(&mut text, &connection, engines, names);
                hand_on(&mut text, self.out);
            }
        }
        self.print(&text)
    }
}

/// A message for each change that the kernel refused; the status of the last.
pub(super) fn tell(err: &mut dyn Write, changes: &[Change], results: Vec<Result<(), Errno>>) -> u8 {
    let mut status = 0;
    for (change, result) in changes.iter().zip(results) {
        status = match result {
            Ok(()) => 0,
            Err(errno) => {
                let _ = writeln!(err, "{}", message::refusal(change, errno));
                REFUSED
            }
        };
    }
    status
}

fn hand_on(text: &mut String, out: &mut dyn Write) {
    if text.len() >= PIECE {
        let _ = out.write_all(text.as_bytes());
        text.clear();
    }
}

/// What columns show of a server, with as little as possible in memory: there may be many.
trait Shown {
    fn of(row: &DestinationListing) -> Self;

    /// The row again; what the columns do not show of it is 0.
    fn row(&self, at: SocketAddr) -> DestinationListing;
}

fn row(at: SocketAddr, destination: Destination) -> DestinationListing {
    let (active_connections, inactive_connections, persistent_connections) = (0, 0, 0);
    let stats = Stats::default();
    DestinationListing { at, destination, active_connections, inactive_connections, persistent_connections, stats }
}

/// Of the plain columns and those of tunnels.
struct Plain {
    forward: Forward,
    weight: u32,
    active: u32,
    inactive: u32,
}

impl Shown for Plain {
    fn of(row: &DestinationListing) -> Self {
        let Destination { forward, weight, .. } = row.destination;
        Self { forward, weight, active: row.active_connections, inactive: row.inactive_connections }
    }

    fn row(&self, at: SocketAddr) -> DestinationListing {
        let (active_connections, inactive_connections) = (self.active, self.inactive);
        let destination = Destination::new(self.forward, self.weight);
        DestinationListing { active_connections, inactive_connections, ..row(at, destination) }
    }
}

/// Of the columns with thresholds or persistent connections.
struct Connected {
    destination: Destination,
    connections: [u32; 3],
}

impl Shown for Connected {
    fn of(row: &DestinationListing) -> Self {
        let connections = [row.active_connections, row.inactive_connections, row.persistent_connections];
        Self { destination: row.destination, connections }
    }

    fn row(&self, at: SocketAddr) -> DestinationListing {
        let [active_connections, inactive_connections, persistent_connections] = self.connections;
        let row = row(at, self.destination);
        DestinationListing { active_connections, inactive_connections, persistent_connections, ..row }
    }
}

/// Of the columns with counters.
struct Counted(Stats);

impl Shown for Counted {
    fn of(row: &DestinationListing) -> Self {
        Self(row.stats)
    }

    fn row(&self, at: SocketAddr) -> DestinationListing {
        DestinationListing { stats: self.0, ..row(at, Destination::new(Forward::Gate, 0)) }
    }
}
