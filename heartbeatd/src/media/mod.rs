//! Bytes to the cables and back (spec/heartbeat.md 4.1).
//!
//! Whatever arrives is handed on unread: nothing is believed before [`crate::wire::Keys::open`] has
//! seen it. A failed send is counted and forgotten, the next one is at most a keepalive away. A
//! medium that cannot be opened waits and is tried again at every [`Media::refresh`]; when an
//! interface comes back under another number or with another broadcast address, its sockets follow.

pub(crate) mod interface;
mod ping;
mod refused;
mod udp;

use std::fmt;
use std::task::Poll;

pub use interface::Interfaces;
pub use ping::Pinger;
pub use refused::{Reason, Refused};
pub use udp::OpenError;
use udp::Port;

use crate::config::Medium;
use crate::wire::MAX_DATAGRAM;

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
    received: u64,
    sent: u64,
    send_errors: u64,
}

#[derive(Debug)]
enum State {
    Closed,
    Open(Port),
    Waiting(OpenError),
}

/// How the last send went.
#[derive(Debug, PartialEq, Eq)]
enum Sending {
    Works,
    Fails(String),
}

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
    },
}

impl Notice {
    /// Whether it is good news.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Opened { .. } | Self::SendWorks { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { medium } => write!(f, "{medium}: open"),
            Self::Waiting { medium, why } => write!(f, "{medium}: {why}"),
            Self::SendFails { medium, why } => write!(f, "{medium}: cannot send: {why}"),
            Self::SendWorks { medium } => write!(f, "{medium}: sending works again"),
        }
    }
}

impl Link {
    /// Its line in ha.cf.
    #[must_use]
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Name of the link (spec 5.7): the interface. Several media may share it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.medium.interface()
    }

    /// What is wrong with it here, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match (&self.state, &self.sending) {
            (State::Waiting(why), _) => Some(lvs::diag::chain(why)),
            (State::Open(_), Sending::Fails(why)) => Some(format!("cannot send: {why}")),
            (State::Open(_) | State::Closed, _) => None,
        }
    }

    /// Datagrams that have arrived, believed or not.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Datagrams handed to the kernel.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams the kernel did not take.
    #[must_use]
    pub fn send_errors(&self) -> u64 {
        self.send_errors
    }

    fn refresh(&mut self, interfaces: &Interfaces) -> Option<Notice> {
        let medium = self.medium.to_string();
        if let State::Open(port) = &self.state
            && port.is_current(&self.medium, interfaces)
        {
            return None;
        }
        match Port::open(&self.medium, interfaces) {
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

    fn send(&mut self, datagram: &[u8]) -> Option<Notice> {
        let State::Open(port) = &self.state else { return None };
        match port.send(datagram) {
            Ok(()) => {
                self.sent += 1;
                let failed = std::mem::replace(&mut self.sending, Sending::Works) != Sending::Works;
                failed.then(|| Notice::SendWorks { medium: self.medium.to_string() })
            }
            Err(e) => {
                self.send_errors += 1;
                let worked = self.sending == Sending::Works;
                self.sending = Sending::Fails(e.to_string());
                worked.then(|| Notice::SendFails { medium: self.medium.to_string(), why: e.to_string() })
            }
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

    /// Opens what is not open and reopens what has changed below. To be called at start, at
    /// every event about interfaces and about once a second. Needs a tokio runtime.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Vec<Notice> {
        self.links.iter_mut().filter_map(|link| link.refresh(interfaces)).collect()
    }

    /// Sends on every open medium, without ever waiting.
    pub fn send(&mut self, datagram: &[u8]) -> Vec<Notice> {
        self.links.iter_mut().filter_map(|link| link.send(datagram)).collect()
    }

    /// Waits until something has arrived. May be dropped at any point: nothing is lost. With no open
    /// medium it waits for ever.
    pub async fn readable(&self) {
        std::future::poll_fn(|context| {
            let ready = self.links.iter().any(|link| match &link.state {
                // Every socket is asked until one is ready, so that all of them wake us. An error is
                // for `take` to see.
                State::Open(port) => port.receive.poll_recv_ready(context).is_ready(),
                State::Closed | State::Waiting(_) => false,
            });
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Hands over what has arrived with the place of its link in [`Media::links`], at most `budget`
    /// datagrams, taken in turn from each link. If
    /// more has arrived [`Media::readable`] returns at once the next time: in between the caller
    /// looks at its timers, and no flood can keep it from them.
    pub fn take(&mut self, budget: usize, mut each: impl FnMut(usize, &[u8])) {
        let count = self.links.len();
        let mut taken = 0;
        let mut dry = 0;
        let mut turn = 0;
        // Each link in turn until all of them had nothing, one after the other.
        while taken < budget && dry < count {
            let at = (self.first + turn) % count;
            turn += 1;
            let link = &mut self.links[at];
            let got = match &link.state {
                State::Open(port) => port.receive.try_recv(&mut self.buffer).ok(),
                State::Closed | State::Waiting(_) => None,
            };
            match got {
                Some(len) => {
                    dry = 0;
                    taken += 1;
                    link.received += 1;
                    each(at, &self.buffer[..len]);
                }
                None => dry += 1,
            }
        }
        if count > 0 {
            self.first = (self.first + turn) % count;
        }
    }
}
