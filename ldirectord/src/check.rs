//! The checks: one file a protocol, one total deadline around each.
//!
//! A check is handed everything it needs to know ([`Check`] is complete) and says whether
//! the server works, or what went wrong, with which address, after how long
//! (spec/ldirectord.md chapter 8).

mod agent;
mod ber;
mod connect;
mod datagram;
mod dialogue;
mod dns;
mod external;
mod ftp;
mod grpc;
mod http;
mod imap;
mod ldap;
mod mysql;
mod nntp;
mod oracle;
mod pgsql;
mod ping;
mod pop;
mod radius;
#[cfg(test)]
mod scripted;
mod simpletcp;
mod sip;
mod smtp;
mod sql;
mod stage;
#[cfg(test)]
mod testing;
mod tls;
mod udp;
mod wire;

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::config::model::{Check, Negotiate, Probe};
pub use http::Web;
pub use pgsql::Keys;
pub use ping::Pinger;
pub use tls::Tls;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the server answered, or why it counts as down.
    pub result: Result<String, String>,
    /// From the start of the check to its end.
    pub took: Duration,
    /// What monitor files say about it, if it has words for them (spec chapter 11).
    pub words: Option<String>,
    /// What a good check says about the server's weight.
    pub advice: Option<Advice>,
}

/// What a check may say beyond up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// This weight.
    Weight(u32),
    /// So many per cent of the weight in the file.
    Percent(u32),
    /// No new connections.
    Drain,
}

/// What all checks share.
#[derive(Debug, Clone)]
pub struct Tools {
    /// How TLS is spoken.
    pub tls: Tls,
    /// Asks web servers.
    pub web: Web,
    /// The sockets for echo requests.
    pub pinger: Pinger,
    /// What passwords have become for PostgreSQL's servers.
    pub keys: Keys,
}

impl Tools {
    /// Tools for checks from this process. The sockets for echo requests are opened when they are
    /// first needed.
    #[must_use]
    pub fn new() -> Self {
        Self { tls: Tls::new(), web: Web::default(), pinger: Pinger::default(), keys: Keys::default() }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes one check. It ends when its deadline has passed at the latest, and leaves nothing
/// behind then.
///
/// Of a [`Check::Combined`] the negotiation is made: whose turn it is is not decided here.
pub async fn run(check: &Check, tools: &Tools) -> Report {
    let begin = Instant::now();
    let (mut words, mut advice) = (None, None);
    let result = match check {
        Check::On => Ok("not checked".to_owned()),
        Check::Off => Err("checktype=off: not checked".to_owned()),
        Check::Impossible(why) => Err((*why).to_owned()),
        Check::Connect(target) => {
            let silent = || format!("500 Timeout Alarm: {} does not answer to a connection attempt", target.at);
            within(target.timeout, silent, connect::check(target)).await
        }
        // Each attempt has its own deadline.
        Check::Ping(target) => ping::check(target, &tools.pinger).await,
        Check::Negotiate(negotiate) | Check::Combined { negotiate, .. } => converse(negotiate, tools, &mut words).await,
        // The program has its deadline, and is ended when it passes.
        Check::External(target) => external::check(target, &mut advice).await,
        Check::ExternalPerl(target) => external::check_perl(target).await,
        Check::Agent(target) => stage::within(target.timeout, target.at, agent::check).await,
    };
    let took = begin.elapsed();
    Report { result: result.map_err(|why| format!("{why}, after {}", Took(took))), took, words, advice }
}

async fn converse(
    Negotiate { probe, timeout }: &Negotiate,
    tools: &Tools,
    words: &mut Option<String>,
) -> Result<String, String> {
    match probe {
        Probe::None => Ok("nothing to negotiate".to_owned()),
        Probe::Http(request) => {
            let silent = || format!("500 Timeout Alarm: {} did not answer completely", request.at);
            *words = Some("500 Timeout Alarm".to_owned());
            within(*timeout, silent, http::check(request, &tools.web, &tools.tls, words)).await
        }
        Probe::HttpProxy(request) => {
            let silent = || format!("500 Timeout Alarm: {} did not answer completely", request.at);
            *words = Some("500 Timeout Alarm".to_owned());
            within(*timeout, silent, http::check_through(request, &tools.tls, words)).await
        }
        Probe::Smtp(smtp) => {
            stage::within(*timeout, smtp.at, async |stage| smtp::check(smtp, stage, &tools.tls).await).await
        }
        Probe::Pop(mailbox) => {
            stage::within(*timeout, mailbox.at, async |stage| pop::check(mailbox, stage, &tools.tls).await).await
        }
        Probe::Imap(mailbox) => {
            stage::within(*timeout, mailbox.at, async |stage| imap::check(mailbox, stage, &tools.tls).await).await
        }
        Probe::Ftp(ftp) => stage::within(*timeout, ftp.at, async |stage| ftp::check(ftp, stage).await).await,
        Probe::Nntp { at } => stage::within(*timeout, *at, nntp::check).await,
        Probe::Ldap(ldap) => {
            stage::within(*timeout, ldap.at, async |stage| ldap::check(ldap, stage, &tools.tls, words).await).await
        }
        Probe::Dns(dns) => {
            stage::within(*timeout, dns.at, async |stage| dns::check(dns, stage, random()?, words).await).await
        }
        Probe::Sip(sip) => stage::within(*timeout, sip.at, async |stage| sip::check(sip, stage, random()?).await).await,
        Probe::Radius(radius) => {
            stage::within(*timeout, radius.at, async |stage| radius::check(radius, stage, random()?).await).await
        }
        Probe::Udp(udp) => stage::within(*timeout, udp.at, async |stage| udp::check(udp, stage).await).await,
        Probe::SimpleTcp(simple) => {
            stage::within(*timeout, simple.at, async |stage| simpletcp::check(simple, stage).await).await
        }
        Probe::Sql(sql) => sql::check(sql, *timeout, &tools.tls, &tools.keys).await,
        Probe::Grpc(grpc) => stage::within(*timeout, grpc.at, async |stage| grpc::check(grpc, stage).await).await,
    }
}

/// Bytes that nobody can guess: what tells a question's answer from a forged one.
fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(length) if length == N => Ok(bytes),
        Ok(_) => Err("the kernel gave fewer random bytes than asked for".to_owned()),
        Err(error) => Err(format!("the kernel gives no random bytes ({})", reason(&error.into()))),
    }
}

/// The one deadline; `silent` says what it means that it has passed.
async fn within(
    limit: Duration,
    silent: impl FnOnce() -> String,
    check: impl Future<Output = Result<String, String>>,
) -> Result<String, String> {
    timeout(limit, check).await.unwrap_or_else(|_| Err(silent()))
}

/// A duration for people: `340 us`, `12 ms`, `5.0 s`.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_micros() {
            us @ 0..1_000 => write!(f, "{us} us"),
            us @ 1_000..1_000_000 => write!(f, "{} ms", us / 1_000),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

/// What the system said, without the number: `Connection refused`.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_owned())
}
