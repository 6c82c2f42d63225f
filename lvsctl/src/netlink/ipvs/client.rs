//! One socket to the kernel's IPVS.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};

use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN, GENL_ID_CTRL};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::ahead::read_ahead;
use super::dump::{self, Keyed, Question, Row};
use super::newer::Newer;
use super::number::{FAMILY, command};
use super::packed::{self, BATCH, Packed};
use super::rows::Rows;
use super::{decode, encode};
use crate::ipvs::{
    Change, DestinationListing, Info, Refusal, ServiceKey, ServiceListing, SyncDaemon, Table, Timeouts, VirtualService,
};
use crate::netlink::RequestError;
use crate::netlink::attribute::{Value, Writer, find};
use crate::netlink::message::{Answer, direct, messages};
use crate::netlink::namespace::Namespace;
use crate::netlink::reading::{Arrival, Reading, Source};
use crate::netlink::socket::Socket;

/// From so many services on, another thread is worth its start.
const MANY: usize = 16;

/// Why there is no talking to IPVS. The messages say what to do.
///
/// ```no_run
/// use lvs::netlink::ipvs::{Client, OpenError};
///
/// match Client::open() {
///     Ok(_) => println!("ready"),
///     Err(OpenError::NoIpvs) => println!("this kernel cannot balance"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    /// The family is unknown, before and after an attempt to have the module loaded.
    #[error("this kernel has no IPVS: is ip_vs loaded? Try \"modprobe ip_vs\"")]
    NoIpvs,
    /// The caller lacks `CAP_NET_ADMIN` (in the initial user namespace, before Linux 6.x).
    #[error("IPVS needs root, or CAP_NET_ADMIN outside of any user namespace")]
    NotPermitted,
    /// There is no such network namespace, or no entering it, which needs `CAP_SYS_ADMIN`.
    #[error("cannot enter the network namespace")]
    Namespace(#[source] io::Error),
    /// The kernel answered, but not usefully.
    #[error("cannot ask the kernel about IPVS")]
    Asking(#[source] RequestError),
}

impl OpenError {
    /// The errno that ipvsadm would have seen (spec/ipvs.md A.1).
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Socket(source) | Self::Namespace(source) => source.raw_os_error().unwrap_or(libc::EINVAL),
            Self::NoIpvs => libc::ENOPROTOOPT,
            Self::NotPermitted => libc::EPERM,
            Self::Asking(source) => source.errno().unwrap_or(libc::EINVAL),
        }
    }
}

/// A connection to the IPVS of the network namespace in which it was opened.
///
/// Every method asks the kernel and returns with its answer; see [`crate::netlink`] on why
/// that does not block for long.
///
/// ```no_run
/// use lvs::ipvs::{Change, Destination, Forward, ServiceKey};
/// use lvs::netlink::ipvs::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::open()?;
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let changes = [
///     Change::AddService(web, Default::default()),
///     Change::AddDestination(web, "10.0.0.1:80".parse()?, Destination::new(Forward::Gate, 1)),
/// ];
/// for refusal in client.change(&changes).into_iter().filter_map(Result::err) {
///     eprintln!("{refusal}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    pub(super) socket: Socket,
    pub(super) family: u16,
    pub(super) newer: Newer,
}

/// The netlink socket, for socket options.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Client {
    /// Connects, having `ip_vs` loaded if need be.
    ///
    /// # Errors
    /// Each with what to do about it. A caller without the capability is told here, not at
    /// the first change.
    pub fn open() -> Result<Self, OpenError> {
        match Self::connect() {
            Err(OpenError::NoIpvs) if load_module() => Self::connect(),
            connected => connected,
        }
    }

    /// As [`Client::open`], but where the kernel does not load the module when it is asked, nobody else does.
    pub(crate) fn connect() -> Result<Self, OpenError> {
        let mut socket = Socket::open(NETLINK_GENERIC).map_err(OpenError::Socket)?;
        let family = find_family(&mut socket).map_err(|error| match error.errno() {
            Some(libc::ENOENT) => OpenError::NoIpvs,
            _ => OpenError::Asking(error),
        })?;
        let mut client = Self { socket, family, newer: Newer::default() };
        client.info().map_err(|error| match error.errno() {
            Some(libc::EPERM) => OpenError::NotPermitted,
            _ => OpenError::Asking(error),
        })?;
        Ok(client)
    }

    /// As [`Client::open`], in another network namespace than this thread's. The socket belongs to that one for
    /// good; this thread stays where it is.
    ///
    /// # Errors
    /// As [`Client::open`], and [`OpenError::Namespace`].
    pub fn open_in(namespace: &Namespace) -> Result<Self, OpenError> {
        namespace.within(Self::open).map_err(OpenError::Namespace)?
    }

    /// Version and table size.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn info(&mut self) -> Result<Info, RequestError> {
        let what = &"say which version of IPVS it has";
        self.ask(what, command::GET_INFO, |_| {}, decode::information)?
            .ok_or(RequestError::Malformed("no version in it"))
    }

    /// Connection timeouts, seconds.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn timeouts(&mut self) -> Result<Timeouts, RequestError> {
        let found = self.ask(&"show the timeouts", command::GET_CONFIG, |_| {}, |attrs| Ok(decode::timeouts(attrs)))?;
        found.ok_or(RequestError::Malformed("no timeouts in it"))
    }

    /// The sync daemons that run, master first.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, RequestError> {
        self.list(Question::Daemons)
    }

    /// All services with their counters, in the kernel's order, none of them twice; their servers are left
    /// out. One may be missing that existed throughout, if another was deleted while they were listed, be
    /// it in another network namespace (spec/ipvs.md B.4).
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn services(&mut self) -> Result<Vec<ServiceListing>, RequestError> {
        self.list(Question::Services)
    }

    /// One service with its counters and without its servers; `None` if there is none.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceListing>, RequestError> {
        let mut unknown = Vec::new();
        let what = format_args!("show {key}");
        let parse = |attrs: &[u8]| decode::service(attrs, &mut unknown);
        match self.ask(&what, command::GET_SERVICE, |w| encode::whose(w, key), parse) {
            Ok(found) => {
                self.newer.note_service(*key, &unknown);
                Ok(found)
            }
            Err(error) if error.errno() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The real servers of a service with their counters, newest first, none of them twice. A service
    /// that does not exist has none.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationListing>, RequestError> {
        self.list(Question::Destinations(*key))
    }

    /// What `keep` keeps of the real servers of a service, each behind its address and port, in the order of
    /// [`Client::destinations`]: for large services, of which only little is wanted.
    ///
    /// Without `counters` those are not read, and 0 in what `keep` sees; it takes a third of the time.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn destinations_as<T>(
        &mut self,
        key: &ServiceKey,
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
    ) -> Result<Vec<(SocketAddr, T)>, RequestError> {
        self.list_as(Question::servers(*key, counters), |row: DestinationListing| (row.at, keep(&row)))
    }

    /// The same of many services: `show` sees each in the order of `services`. From a few services on another thread asks for the
    /// servers of the next one meanwhile.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut client = lvs::netlink::ipvs::Client::open()?;
    /// let services = client.services()?;
    /// client.destinations_of(&services, true, |row| row.active_connections, |service, servers| {
    ///     println!("{}: {}", service.key, servers.iter().map(|(_, active)| active).sum::<u32>());
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read; `show` has seen the services before that one.
    pub fn destinations_of<T>(
        &mut self,
        services: &[ServiceListing],
        counters: bool,
        keep: impl Fn(&DestinationListing) -> T,
        mut show: impl FnMut(&ServiceListing, Vec<(SocketAddr, T)>),
    ) -> Result<(), RequestError> {
        let mut shown = 0;
        if services.len() >= MANY {
            let questions: Vec<_> = services.iter().map(|service| Question::servers(service.key, counters)).collect();
            let Self { socket, family, newer } = self;
            let (family, first) = (*family, socket.next_sequence());
            let ask = |socket: &mut Socket, question: &Question| start(socket, family, question).map(drop);
            let keep = |row: DestinationListing| (row.at, keep(&row));
            let show = |at: usize, servers| show(&services[at], servers);
            shown = read_ahead(socket, ask, newer, (family, first), &questions, keep, show);
        }
        // The rest one by one: a list that others disturbed is read again, and a family that has moved is looked up.
        for service in &services[shown..] {
            show(service, self.destinations_as(&service.key, counters, &keep)?);
        }
        Ok(())
    }

    /// The services one by one, without their servers.
    ///
    /// # Errors
    /// When the request does not reach the kernel.
    pub fn stream_services(&mut self) -> Result<Rows<'_, ServiceListing>, RequestError> {
        Rows::of(self, Question::Services)
    }

    /// The real servers of a service one by one, newest first.
    ///
    /// # Errors
    /// When the request does not reach the kernel.
    pub fn stream_destinations(&mut self, key: &ServiceKey) -> Result<Rows<'_, DestinationListing>, RequestError> {
        Rows::of(self, Question::Destinations(*key))
    }

    /// Everything with counters, in the kernel's order. Not a snapshot: others may change the
    /// table between two services (spec/ipvs.md B.4).
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn listing(&mut self) -> Result<Vec<ServiceListing>, RequestError> {
        let mut services = self.services()?;
        for service in &mut services {
            service.destinations = self.destinations(&service.key)?;
        }
        Ok(services)
    }

    /// Everything without counters.
    ///
    /// # Errors
    /// When the kernel refuses or its answer cannot be read.
    pub fn table(&mut self) -> Result<Table, RequestError> {
        let (services, mut table) = (self.services()?, Table::new());
        let destination = |row: &DestinationListing| row.destination;
        self.destinations_of(&services, false, destination, |ServiceListing { key, service, .. }, servers| {
            let destinations = servers.into_iter().collect();
            table.insert(*key, VirtualService { service: service.clone(), destinations });
        })?;
        Ok(table)
    }

    /// Carries out changes in their order, each with its own result in the same place. One
    /// that is refused does not keep the later ones from being tried.
    pub fn change(&mut self, changes: &[Change]) -> Vec<Result<(), Refusal>> {
        let mut results = Vec::with_capacity(changes.len());
        let mut messages = Vec::new();
        for batch in changes.chunks(BATCH) {
            messages.clear();
            batch.iter().for_each(|change| packed::ask_for(&mut messages, change, self.newer.of(change)));
            self.carry_out(batch, &mut messages, &mut results);
        }
        results
    }

    /// The same for changes whose messages are made already.
    pub fn change_packed(&mut self, packed: &mut Packed) -> Vec<Result<(), Refusal>> {
        // Whoever made the messages knows nothing of what a newer kernel says.
        if packed.changes().iter().any(|change| !self.newer.of(change).is_empty()) {
            return self.change(packed.changes());
        }
        let mut results = Vec::with_capacity(packed.changes().len());
        for (batch, messages) in packed.batches() {
            self.carry_out(batch, messages, &mut results);
        }
        results
    }

    /// Up to [`BATCH`] changes with the messages that ask for them.
    fn carry_out(&mut self, batch: &[Change], messages: &mut [u8], results: &mut Vec<Result<(), Refusal>>) {
        let mut errnos = self.send_batch(batch.len(), messages);
        // A module that was taken out and put in again has a new number, and the kernel
        // answers as for a missing scheduler: nothing of the batch was looked at.
        if errnos.iter().all(|&errno| errno == libc::ENOENT) && self.family_moved() {
            errnos = self.send_batch(batch.len(), messages);
        }
        results.extend(batch.iter().zip(errnos).map(|(change, errno)| match errno {
            0 => {
                self.newer.carried_out(change);
                Ok(())
            }
            errno => Err(Refusal::new(change.clone(), errno)),
        }));
    }

    /// Sends so many messages, the last to be acknowledged, and collects each one's errno.
    fn send_batch(&mut self, length: usize, batch: &mut [u8]) -> Vec<i32> {
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        let first = self.socket.reserve(count);
        let last = first.wrapping_add(count.wrapping_sub(1));
        direct(batch, self.family, first);
        let sent = self.socket.transmit(batch);
        if let Err(error) = sent {
            return vec![error.errno().unwrap_or(libc::EIO); length];
        }
        // Success is silent, but for the last one's.
        let mut errnos = vec![None; length];
        let mut unanswered = 0;
        loop {
            match self.socket.advance() {
                Ok(Arrival::Datagram) => {}
                Ok(Arrival::Overrun) => {
                    unanswered = libc::ENOBUFS;
                    continue;
                }
                // Which of the others were carried out, only a fresh look at the table tells.
                Ok(Arrival::Nothing) => {
                    unanswered = libc::ENOBUFS;
                    break;
                }
                Err(error) => {
                    unanswered = error.errno().unwrap_or(libc::EIO);
                    break;
                }
            }
            let mut finished = false;
            for message in messages(self.socket.current()) {
                let Some(errno) = errnos.get_mut(message.sequence.wrapping_sub(first) as usize) else { continue };
                match message.answer() {
                    Answer::Error(refused) => *errno = Some(refused),
                    Answer::Done => *errno = Some(0),
                    Answer::Part(..) | Answer::Nothing => continue,
                }
                finished |= message.sequence == last;
            }
            if finished {
                break;
            }
        }
        errnos.into_iter().map(|errno| errno.unwrap_or(unanswered)).collect()
    }

    /// One question with one answer.
    fn ask<T>(
        &mut self,
        what: &dyn fmt::Display,
        cmd: u8,
        attrs: impl Fn(&mut Writer),
        mut parse: impl FnMut(&[u8]) -> Result<T, RequestError>,
    ) -> Result<Option<T>, RequestError> {
        self.with_family(|Self { socket, family, .. }| {
            let family = *family;
            let mut found = None;
            let body = |out: &mut Vec<u8>| {
                encode::header(out, cmd);
                attrs(&mut Writer(out));
            };
            socket.request(what, family, 0, body, |kind, payload| {
                if kind == family {
                    found = Some(parse(payload.get(GENL_HDRLEN..).unwrap_or_default())?);
                }
                Ok(())
            })?;
            Ok(found)
        })
    }

    /// One list, whole.
    fn list<T: Row>(&mut self, question: Question) -> Result<Vec<T>, RequestError> {
        self.list_as(question, |row: T| row)
    }

    /// One list, of which only `keep` is held.
    fn list_as<R: Row, T: Keyed>(&mut self, question: Question, keep: impl Fn(R) -> T) -> Result<Vec<T>, RequestError> {
        self.with_family(|client| {
            dump::settle(|| {
                let reading = client.start(&question)?;
                dump::read(&mut client.socket, &mut client.newer, reading, client.family, &question, &keep)
            })
        })
    }

    /// Asks for a list.
    pub(super) fn start(&mut self, question: &Question) -> Result<Reading, RequestError> {
        start(&mut self.socket, self.family, question)
    }

    /// Throws away the rest of a list that nobody wants any more.
    pub(super) fn drain(&mut self) {
        self.socket.drain();
    }

    /// No question is answered with ENOENT by IPVS itself: the family has gone, or moved.
    fn with_family<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        match attempt(self) {
            Err(error) if error.errno() == Some(libc::ENOENT) && self.family_moved() => attempt(self),
            answer => answer,
        }
    }

    pub(super) fn family_moved(&mut self) -> bool {
        match find_family(&mut self.socket) {
            Ok(family) if family != self.family => {
                self.family = family;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Asks for a list.
fn start(socket: &mut Socket, family: u16, question: &Question) -> Result<Reading, RequestError> {
    socket.start_dump(family, |out| {
        encode::header(out, question.command());
        if let Some(key) = question.about() {
            encode::whose(&mut Writer(out), key);
        }
    })
}

/// Asks the controller for the number of the family (spec/ipvs.md B.1).
fn find_family(socket: &mut Socket) -> Result<u16, RequestError> {
    let question = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())] };
    let mut family = None;
    let body = |out: &mut Vec<u8>| {
        let message = GenlMessage::from_payload(question);
        let start = out.len();
        out.resize(start + message.buffer_len(), 0);
        message.emit(&mut out[start..]);
    };
    socket.request(&"look up the IPVS family", GENL_ID_CTRL, 0, body, |_, payload| {
        family = find(payload.get(GENL_HDRLEN..).unwrap_or_default(), CTRL_ATTR_FAMILY_ID).and_then(Value::u16);
        Ok(())
    })?;
    family.ok_or(RequestError::Malformed("a family without a number"))
}

/// Asking makes the kernel load the module; where that is switched off, modprobe by hand does.
fn load_module() -> bool {
    let modprobe = Command::new("/sbin/modprobe")
        .args(["--", "ip_vs"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    modprobe.is_ok_and(|status| status.success())
}
