//! `checktype=ping`: ICMP and ICMPv6 echo (spec/ldirectord.md 8.1, B25).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::Type;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::time::timeout;

use super::reason;
use crate::config::model::Ping;

/// Type of an echo reply in ICMP, and in ICMPv6.
const ECHO_REPLY: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;

/// The sockets that echo requests leave by, one a family, opened when first needed.
#[derive(Clone, Default)]
pub struct Pinger {
    v4: Arc<Mutex<Option<Client>>>,
    v6: Arc<Mutex<Option<Client>>>,
    /// Sequence numbers differ between all checks: an unprivileged socket has no other way to
    /// tell whose answer came.
    sequence: Arc<AtomicU16>,
}

impl std::fmt::Debug for Pinger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinger").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Pinger {
    fn client(&self, address: IpAddr) -> Result<Client, String> {
        let (slot, kind, family) = match address {
            IpAddr::V4(_) => (&self.v4, ICMP::V4, "ICMP"),
            IpAddr::V6(_) => (&self.v6, ICMP::V6, "ICMPv6"),
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        // A raw socket first; without the right to one, the kernel's unprivileged echo socket.
        let config = Config::builder().kind(kind).sock_type_hint(Type::RAW).build();
        let client = Client::new(&config).map_err(|error| {
            let what = "it needs CAP_NET_RAW, or the process's group in net.ipv4.ping_group_range";
            format!("cannot open an {family} socket ({}); {what}", reason(&error))
        })?;
        Ok(slot.insert(client).clone())
    }
}

/// Sends up to as many requests as the check allows; one answer is enough.
pub async fn check(target: &Ping, pinger: &Pinger) -> Result<String, String> {
    let client = pinger.client(target.address)?;
    let identifier = PingIdentifier(u16::try_from(std::process::id() & 0xffff).unwrap_or_default());
    let payload: Vec<u8> = (0..64).collect();
    let mut why = String::new();
    for _ in 0..target.attempts.get() {
        let mut attempt = client.pinger(target.address, identifier).await;
        attempt.timeout(target.timeout);
        let sequence = PingSequence(pinger.sequence.fetch_add(1, Ordering::Relaxed));
        // The library's own timeout begins when the request has left.
        why = match timeout(target.timeout, attempt.ping(sequence, &payload)).await {
            Ok(Ok((packet, took))) if is_reply(&packet) => return Ok(format!("echo reply in {}", super::Took(took))),
            Ok(Ok(_)) => format!("{} is unreachable", target.address),
            Err(_) | Ok(Err(SurgeError::Timeout { .. })) => format!("no echo reply from {}", target.address),
            Ok(Err(SurgeError::IOError(error))) => format!("cannot ping {} ({})", target.address, reason(&error)),
            Ok(Err(error)) => format!("cannot ping {} ({error})", target.address),
        };
    }
    Err(why)
}

fn is_reply(packet: &IcmpPacket) -> bool {
    match packet {
        IcmpPacket::V4(packet) => packet.get_icmp_type().0 == ECHO_REPLY,
        IcmpPacket::V6(packet) => packet.get_icmpv6_type().0 == ECHO_REPLY_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{report, run};
    use crate::config::model::{Check, Ping};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::num::NonZeroU32;
    use std::time::Duration;

    fn ping(address: impl Into<IpAddr>, attempts: u32, timeout: Duration) -> Check {
        let attempts = NonZeroU32::new(attempts).expect("at least one");
        Check::Ping(Ping { address: address.into(), attempts, timeout })
    }

    /// Without root, CAP_NET_RAW and a permissive ping_group_range there is no socket to test with;
    /// then the error has to say so.
    fn answered_or_told_why(result: Result<String, String>) {
        match result {
            Ok(answer) => assert!(answer.starts_with("echo reply in "), "{answer}"),
            Err(why) => {
                assert!(!rustix::process::geteuid().is_root(), "{why}");
                assert!(why.contains("CAP_NET_RAW"), "{why}");
            }
        }
    }

    #[test]
    fn this_machine_answers_over_ipv4_and_ipv6() {
        run(async {
            let second = Duration::from_secs(1);
            answered_or_told_why(report(&ping(Ipv4Addr::LOCALHOST, 1, second)).await);
            if std::path::Path::new("/proc/net/if_inet6").exists() {
                answered_or_told_why(report(&ping(Ipv6Addr::LOCALHOST, 1, second)).await);
            }
        });
    }

    #[test]
    fn an_address_that_cannot_be_pinged_is_down_with_the_systems_reason() {
        run(async {
            // The kernel refuses to send to it: no packet leaves this machine.
            let why = report(&ping(Ipv4Addr::BROADCAST, 2, Duration::from_millis(50))).await.expect_err("broadcast");
            let told = why.starts_with("cannot ping 255.255.255.255 (Permission denied), after ");
            assert!(told || why.contains("CAP_NET_RAW"), "{why}");
        });
    }
}
