//! Changes of links and addresses as they happen.

use std::collections::VecDeque;
use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::address::AddressState;
use super::link::Link;
use super::message::{Answer, messages};
use super::route::parse;

const GROUPS: [u32; 3] = [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR];
const READ: usize = 64 * 1024;
/// More datagrams than the receive buffer has room for.
const MOST_QUEUED: usize = 64 * 1024;

/// What happened.
///
/// ```
/// use lvs::netlink::watch::Event;
///
/// /// Whether everything has to be listed again.
/// fn start_over(event: &Event) -> bool {
///     matches!(event, Event::Missed)
/// }
/// # assert!(start_over(&Event::Missed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interface is new, or something about it has changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(Link),
    /// An address is new, or something about it has changed.
    Address(AddressState),
    /// An address is gone.
    AddressGone(AddressState),
    /// Too much happened at once and some of it is lost: list everything again.
    Missed,
}

/// Hears of every change in the network namespace in which it was opened. Needs no privilege.
///
/// ```no_run
/// use lvs::netlink::watch::{Event, Watch};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut watch = Watch::open()?;
/// if let Event::LinkGone(link) = watch.next().await? {
///     println!("{} is gone", link.name);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Watch {
    socket: TokioSocket,
    events: VecDeque<Event>,
    buffer: Vec<u8>,
}

impl Watch {
    /// Listens from now on. Open it before the first listing, so that nothing falls between.
    ///
    /// # Errors
    /// If there is no room for a socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let inner = socket.socket_mut();
        inner.bind_auto()?;
        // Only the kernel is heard.
        inner.connect(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            inner.add_membership(group)?;
        }
        Ok(Self { socket, events: VecDeque::new(), buffer: Vec::with_capacity(READ) })
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// If the socket fails; open another one.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer).await {
                Ok(()) if self.buffer.len() == self.buffer.capacity() => return Ok(Event::Missed),
                Ok(()) => self.events.extend(messages(&self.buffer).filter_map(|message| match message.answer() {
                    Answer::Part(kind, payload) => event(parse(kind, payload)?),
                    Answer::Done | Answer::Error(_) | Answer::Nothing => None,
                })),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => {
                        self.forget();
                        return Ok(Event::Missed);
                    }
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl Watch {
    /// Throws away what was queued before something was lost: it is older than the listing that
    /// the caller makes now.
    fn forget(&mut self) {
        let socket = self.socket.socket_ref();
        for _ in 0..MOST_QUEUED {
            self.buffer.clear();
            if socket.recv(&mut self.buffer, libc::MSG_DONTWAIT).is_err() {
                return;
            }
        }
    }
}

fn event(message: RouteNetlinkMessage) -> Option<Event> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Some(Event::Link(Link::of(link))),
        RouteNetlinkMessage::DelLink(link) => Some(Event::LinkGone(Link::of(link))),
        RouteNetlinkMessage::NewAddress(address) => AddressState::of(address).map(Event::Address),
        RouteNetlinkMessage::DelAddress(address) => AddressState::of(address).map(Event::AddressGone),
        _ => None,
    }
}
