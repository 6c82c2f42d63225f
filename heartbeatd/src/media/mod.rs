//! Bytes to the cables and back (spec/heartbeat.md 4.1).
//!
//! Whatever arrives is handed on unread: nothing is believed before [`crate::wire::Keys::open`] has
//! seen it. A failed send is counted and forgotten, the next one is at most a keepalive away. A
//! medium that cannot be opened waits and is tried again at [`Media::refresh`]; when an
//! interface comes back under another number or with another broadcast address, its sockets follow.
//! A serial line takes what it can, the rest waits, and of too much the oldest is given up.

mod error;
pub(crate) mod interface;
mod outbox;
mod ping;
mod refused;
mod serial;
mod udp;

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub use error::OpenError;
pub use interface::Interfaces;
pub use ping::Pinger;
pub use refused::{Reason, Refused};
use serial::{Got, Left, Opening, Patience};

use crate::config::{Line, Medium, Udp};
use crate::wire::MAX_DATAGRAM;

/// A line that has dropped nothing for so long works again. One that takes nothing still fills up again and again.
const CALM: Duration = Duration::from_secs(60);

/// A signed message, as each kind of cable takes it.
#[derive(Debug, Clone)]
pub struct Packet {
    /// For the network.
    pub datagram: Vec<u8>,
    /// Classic text, for serial lines; needed only where there are any.
    pub text: Option<Vec<u8>>,
}

/// All media of ha.cf.
#[derive(Debug)]
pub struct Media {
    links: Vec<Link>,
    buffer: Vec<u8>,
    /// Which link is served first next time, so that a busy one does not starve the others.
    first: usize,
}

/// One medium on this node.
#[derive(Debug)]
pub struct Link {
    medium: Medium,
    state: State,
    sending: Sending,
    patience: Patience,
    /// Its interface has no carrier.
    unplugged: bool,
    received: u64,
    sent: u64,
    send_errors: u64,
}

#[derive(Debug)]
enum State {
    Closed,
    /// Again, if it could not be used before.
    Opening(Opening, Option<OpenError>),
    Open(Port),
    Waiting(OpenError),
}

#[derive(Debug)]
enum Port {
    Udp(udp::Port),
    Serial(serial::Port),
}

impl Port {
    fn poll_ready(&self, context: &mut Context) -> bool {
        match self {
            // An error is for `take` to see.
            Self::Udp(port) => port.receive.poll_recv_ready(context).is_ready(),
            Self::Serial(port) => port.poll_ready(context),
        }
    }
}

/// How sending goes.
#[derive(Debug, PartialEq, Eq)]
enum Sending {
    Works,
    Fails {
        why: String,
        /// What had failed before.
        before: u64,
        /// Of a line: what had failed when it was looked at last, and since when it is no more.
        calm: Option<(u64, Instant)>,
    },
}

const NO_CARRIER: &str = "its interface has no carrier: the cable is out, or what is at its other end is off";

const TAKES_NO_MORE: &str = "it takes no more: no cable, too slow, or nobody listens at the other end";

/// A change worth telling; each is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The medium carries heartbeats from now on.
    Opened {
        /// Such as `ucast hb0 10.99.0.2`.
        medium: String,
    },
    /// The medium cannot be used and is tried again.
    Waiting {
        /// Such as `bcast hb0`.
        medium: String,
        /// Such as "waiting for interface hb0".
        why: String,
    },
    /// Its interface has no carrier.
    Unplugged {
        /// Such as `bcast hb0`.
        medium: String,
    },
    /// It has one again.
    PluggedIn {
        /// Such as `bcast hb0`.
        medium: String,
    },
    /// Sends have begun to fail; they are tried all the same.
    SendFails {
        /// Such as `bcast hb0`.
        medium: String,
        /// The kernel's reason.
        why: String,
    },
    /// Sends work again.
    SendWorks {
        /// Such as `bcast hb0`.
        medium: String,
        /// So many heartbeats did not leave.
        lost: u64,
    },
}

impl Notice {
    /// Whether it is good news.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Opened { .. } | Self::PluggedIn { .. } | Self::SendWorks { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { medium } => write!(f, "{medium}: open"),
            Self::Waiting { medium, why } => write!(f, "{medium}: {why}"),
            Self::Unplugged { medium } => write!(f, "{medium}: {NO_CARRIER}"),
            Self::PluggedIn { medium } => write!(f, "{medium}: its interface has a carrier again"),
            Self::SendFails { medium, why } => write!(f, "{medium}: cannot send: {why}"),
            Self::SendWorks { medium, lost } => {
                write!(f, "{medium}: sending works again; {lost} heartbeats did not leave")
            }
        }
    }
}

impl Link {
    /// Its line in ha.cf.
    #[must_use]
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Name of the link (spec 5.7): the interface, which several media may share, or the device.
    #[must_use]
    pub fn name(&self) -> &str {
        self.medium.link()
    }

    /// What is wrong with it here, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match (&self.state, &self.sending) {
            (State::Waiting(why) | State::Opening(_, Some(why)), _) => Some(lvs::diag::chain(why)),
            (State::Open(_), _) if self.unplugged => Some(NO_CARRIER.to_owned()),
            (State::Open(_), Sending::Fails { why, .. }) => Some(format!("cannot send: {why}")),
            (State::Open(_) | State::Opening(_, None) | State::Closed, _) => None,
        }
    }

    /// Messages that have arrived, believed or not.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Messages handed to the kernel.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages the kernel did not take.
    #[must_use]
    pub fn send_errors(&self) -> u64 {
        self.send_errors
    }

    /// What is new about the carrier. What else a medium waits for has been told.
    fn look_at_carrier(&mut self, interfaces: &Interfaces) -> Option<Notice> {
        if !matches!(self.state, State::Open(_)) {
            return None;
        }
        let running = interfaces.find(self.name())?.link.running;
        if std::mem::replace(&mut self.unplugged, !running) != running {
            return None;
        }
        let medium = self.medium.to_string();
        Some(if running { Notice::PluggedIn { medium } } else { Notice::Unplugged { medium } })
    }

    fn refresh(&mut self, interfaces: &Interfaces, now: Instant) -> Option<Notice> {
        match self.medium.clone() {
            Medium::Udp(udp) => self.refresh_sockets(&udp, interfaces),
            Medium::Serial(line) => self.refresh_line(&line, now),
        }
    }

    fn refresh_sockets(&mut self, udp: &Udp, interfaces: &Interfaces) -> Option<Notice> {
        if let State::Open(Port::Udp(port)) = &self.state
            && port.is_current(udp, interfaces)
        {
            return None;
        }
        let port = udp::Port::open(udp, interfaces).map(Port::Udp);
        self.opened(port)
    }

    fn refresh_line(&mut self, line: &Line, now: Instant) -> Option<Notice> {
        match &mut self.state {
            State::Open(Port::Serial(port)) => match port.keep_moving(now) {
                Ok(left) => self.account(left).or_else(|| self.calm_down(now)),
                Err(e) => self.hung_up(e),
            },
            State::Opening(opening, _) => {
                let port = opening.ended(&line.device)?;
                self.opened(port.map(Port::Serial))
            }
            State::Open(Port::Udp(_)) | State::Waiting(_) | State::Closed => {
                if self.patience.is_over(now) {
                    self.patience.tried(now);
                    let before = match std::mem::replace(&mut self.state, State::Closed) {
                        State::Waiting(why) => Some(why),
                        State::Open(_) | State::Opening(..) | State::Closed => None,
                    };
                    self.state = State::Opening(Opening::begin(line), before);
                }
                None
            }
        }
    }

    fn opened(&mut self, port: Result<Port, OpenError>) -> Option<Notice> {
        let medium = self.medium.to_string();
        match port {
            Ok(port) => {
                self.state = State::Open(port);
                self.sending = Sending::Works;
                Some(Notice::Opened { medium })
            }
            Err(why) => {
                let before = self.trouble();
                self.state = State::Waiting(why);
                let why = self.trouble();
                (why != before).then(|| Notice::Waiting { medium, why: why.unwrap_or_default() })
            }
        }
    }

    /// A line has ended.
    fn hung_up(&mut self, error: io::Error) -> Option<Notice> {
        self.opened(Err(serial::hung_up(self.medium.link())(error)))
    }

    fn send(&mut self, packet: &Packet) -> Option<Notice> {
        let State::Open(port) = &mut self.state else { return None };
        match port {
            Port::Udp(port) => match port.send(&packet.datagram) {
                Ok(()) => {
                    self.sent += 1;
                    self.works()
                }
                Err(e) => self.fails(e.to_string(), 1),
            },
            Port::Serial(port) => match port.send(packet.text.as_deref()?) {
                Ok(left) => self.account(left),
                Err(e) => self.hung_up(e),
            },
        }
    }

    fn account(&mut self, left: Left) -> Option<Notice> {
        self.sent += left.sent;
        if left.dropped == 0 { None } else { self.fails(TAKES_NO_MORE.to_owned(), left.dropped) }
    }

    fn fails(&mut self, why: String, lost: u64) -> Option<Notice> {
        let before = self.send_errors;
        self.send_errors += lost;
        match &mut self.sending {
            Sending::Fails { why: last, .. } => {
                *last = why;
                None
            }
            Sending::Works => {
                self.sending = Sending::Fails { why: why.clone(), before, calm: None };
                Some(Notice::SendFails { medium: self.medium.to_string(), why })
            }
        }
    }

    fn works(&mut self) -> Option<Notice> {
        match std::mem::replace(&mut self.sending, Sending::Works) {
            Sending::Works => None,
            Sending::Fails { before, .. } => {
                Some(Notice::SendWorks { medium: self.medium.to_string(), lost: self.send_errors - before })
            }
        }
    }

    fn calm_down(&mut self, now: Instant) -> Option<Notice> {
        let Sending::Fails { calm, .. } = &mut self.sending else { return None };
        match calm {
            Some((errors, since)) if *errors == self.send_errors => {
                if now.saturating_duration_since(*since) >= CALM {
                    self.works()
                } else {
                    None
                }
            }
            _ => {
                *calm = Some((self.send_errors, now));
                None
            }
        }
    }

    /// What waits to leave, as far as it can now.
    fn flush(&mut self) -> Option<Notice> {
        let State::Open(Port::Serial(port)) = &mut self.state else { return None };
        match port.flush() {
            Ok(left) => self.account(left),
            Err(e) => self.hung_up(e),
        }
    }
}

impl Media {
    /// All media, none of them open yet: call [`Media::refresh`].
    #[must_use]
    pub fn new(media: &[Medium]) -> Self {
        let link = |medium: &Medium| Link {
            medium: medium.clone(),
            state: State::Closed,
            sending: Sending::Works,
            patience: Patience::new(),
            unplugged: false,
            received: 0,
            sent: 0,
            send_errors: 0,
        };
        // One byte more than is taken, so that what is too long can be told from what just fits.
        Self { links: media.iter().map(link).collect(), buffer: vec![0; MAX_DATAGRAM + 1], first: 0 }
    }

    /// The links, in the order of ha.cf.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether [`Packet::text`] is needed.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.links.iter().any(|link| matches!(link.medium, Medium::Serial(_)))
    }

    /// Opens what is not open and reopens what has changed below. To be called at start, at
    /// every event about interfaces and about once a second. Needs a tokio runtime. A serial line is open at one of
    /// the calls after the first.
    pub fn refresh(&mut self, interfaces: &Interfaces, now: Instant) -> Vec<Notice> {
        let told = |link: &mut Link| [link.refresh(interfaces, now), link.look_at_carrier(interfaces)];
        self.links.iter_mut().flat_map(told).flatten().collect()
    }

    /// Whether any is open.
    #[must_use]
    pub fn is_any_open(&self) -> bool {
        self.links.iter().any(|link| matches!(link.state, State::Open(_)))
    }

    /// Whether any is being opened for the first time.
    #[must_use]
    pub fn is_any_opening(&self) -> bool {
        self.links.iter().any(|link| matches!(link.state, State::Opening(_, None)))
    }

    /// Sends on every open medium, without ever waiting.
    pub fn send(&mut self, packet: &Packet) -> Vec<Notice> {
        self.links.iter_mut().filter_map(|link| link.send(packet)).collect()
    }

    /// Sends what came in on the link with this place. Not on the same line: at its other end is who has it already.
    pub fn pass_on(&mut self, from: usize, packet: &Packet) -> Vec<Notice> {
        let others = self.links.iter_mut().enumerate();
        let others = others.filter(|(at, link)| *at != from || matches!(link.medium, Medium::Udp(_)));
        others.filter_map(|(_, link)| link.send(packet)).collect()
    }

    /// Lets what waits for serial lines leave before the end, of each for so long at most.
    pub async fn drain(&mut self, limit: Duration) {
        for link in &mut self.links {
            if let State::Open(Port::Serial(port)) = &mut link.state {
                // A line that takes nothing keeps nobody.
                let _ = tokio::time::timeout(limit, port.drain()).await;
            }
        }
    }

    /// Waits until something has arrived, or a line has room for what waits. May be dropped at any point: nothing is
    /// lost. With no open medium it waits for ever.
    pub async fn ready(&self) {
        std::future::poll_fn(|context| {
            // Every one is asked until one is ready, so that all of them wake us.
            let ready = self.links.iter().any(|link| match &link.state {
                State::Open(port) => port.poll_ready(context),
                State::Closed | State::Opening(..) | State::Waiting(_) => false,
            });
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Hands over what has arrived with the place of its link in [`Media::links`], at most `budget`
    /// messages, taken in turn from each link, and sends what lines have room for. If
    /// more has arrived [`Media::ready`] returns at once the next time: in between the caller
    /// looks at its timers, and no flood can keep it from them.
    pub fn take(&mut self, budget: usize, mut each: impl FnMut(usize, &[u8])) -> Vec<Notice> {
        let mut notices: Vec<Notice> = self.links.iter_mut().filter_map(Link::flush).collect();
        let count = self.links.len();
        let mut taken = 0;
        let mut dry = 0;
        let mut turn = 0;
        // Each link in turn until all of them had nothing, one after the other.
        while taken < budget && dry < count {
            let at = (self.first + turn) % count;
            turn += 1;
            let link = &mut self.links[at];
            let got = match &mut link.state {
                State::Open(Port::Udp(port)) => match port.receive.try_recv(&mut self.buffer) {
                    Ok(len) => {
                        link.received += 1;
                        each(at, &self.buffer[..len]);
                        true
                    }
                    Err(_) => false,
                },
                State::Open(Port::Serial(port)) => match port.read(&mut self.buffer) {
                    Ok(Got::Piece(piece)) => {
                        link.received += 1;
                        link.patience.renew();
                        each(at, &piece);
                        true
                    }
                    Ok(Got::Part) => true,
                    Ok(Got::Nothing) => false,
                    Err(e) => {
                        notices.extend(link.hung_up(e));
                        false
                    }
                },
                State::Closed | State::Opening(..) | State::Waiting(_) => false,
            };
            if got {
                dry = 0;
                taken += 1;
            } else {
                dry += 1;
            }
        }
        if count > 0 {
            self.first = (self.first + turn) % count;
        }
        notices
    }
}
