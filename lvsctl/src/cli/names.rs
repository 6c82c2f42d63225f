//! The system's name service: `/etc/hosts`, DNS, `/etc/services`, or whatever `nsswitch.conf` says.
//!
//! Safe Rust can turn a name into addresses, in an order of its own, but has no way back, and knows nothing of
//! service names; the four calls into the C library are all the unsafe code in here.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use socket2::SockAddr;

use crate::ipvs::Protocol;
use crate::ipvs::text::Names;

/// Longest host name of `getnameinfo` with its NUL (`NI_MAXHOST`).
const LONGEST_HOST: usize = 1025;

/// Asks the C library, once for each question.
///
/// ```
/// use std::net::Ipv4Addr;
/// use lvs::cli::System;
/// use lvs::ipvs::text::Names;
///
/// assert_eq!(System::default().address("127.0.0.1"), Some(Ipv4Addr::LOCALHOST));
/// ```
#[derive(Debug, Default)]
pub struct System {
    hosts: HashMap<IpAddr, Option<String>>,
    services: HashMap<(u16, Protocol), Option<String>>,
    addresses: HashMap<String, Option<Ipv4Addr>>,
    ports: HashMap<(String, Protocol), Option<u16>>,
}

impl Names for System {
    fn host(&mut self, address: IpAddr) -> Option<String> {
        self.hosts.entry(address).or_insert_with(|| host(address)).clone()
    }

    fn service(&mut self, port: u16, protocol: Protocol) -> Option<String> {
        self.services.entry((port, protocol)).or_insert_with(|| service(port, protocol)).clone()
    }

    fn address(&mut self, host: &str) -> Option<Ipv4Addr> {
        if let Some(&known) = self.addresses.get(host) {
            return known;
        }
        let address = address(host);
        self.addresses.insert(host.to_owned(), address);
        address
    }

    fn port(&mut self, service: &str, protocol: Protocol) -> Option<u16> {
        let question = (service.to_owned(), protocol);
        *self.ports.entry(question).or_insert_with_key(|(service, protocol)| port(service, *protocol))
    }
}

#[expect(unsafe_code, reason = "in no crate that is used")]
mod resolver {
    unsafe extern "C" {
        /// `netdb.h`. Asked, not `getaddrinfo`: that one sorts addresses by what it thinks of their nearness, and
        /// does not take `::1` of `/etc/hosts` for 127.0.0.1.
        pub(super) fn gethostbyname(name: *const libc::c_char) -> *const libc::hostent;
    }
}

#[expect(unsafe_code, reason = "no safe interface to gethostbyname")]
fn address(host: &str) -> Option<Ipv4Addr> {
    let host = CString::new(host).ok()?;
    let _one_at_a_time = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `host` ends in NUL. What comes back is null or an entry whose list of addresses ends in null,
    // each of them of `h_length` bytes; it is read before the lock is given up, and this module makes the only
    // calls that overwrite it.
    let octets: [u8; 4] = unsafe {
        let entry = resolver::gethostbyname(host.as_ptr()).as_ref()?;
        let first = entry.h_addr_list.as_ref()?.cast::<[u8; 4]>();
        if entry.h_addrtype != libc::AF_INET || entry.h_length != 4 || first.is_null() {
            return None;
        }
        first.read_unaligned()
    };
    Some(octets.into())
}

#[expect(unsafe_code, reason = "no safe interface to getnameinfo")]
fn host(address: IpAddr) -> Option<String> {
    let at = SockAddr::from(SocketAddr::new(address, 0));
    let mut name = [0_u8; LONGEST_HOST];
    let length = libc::socklen_t::try_from(name.len()).ok()?;
    // SAFETY: `at` is a valid address of `at.len()` bytes, `name` has room for `length` bytes, and no
    // service name is asked for. Nothing is kept after the call.
    let failed = unsafe {
        libc::getnameinfo(
            at.as_ptr().cast(),
            at.len(),
            name.as_mut_ptr().cast(),
            length,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    (failed == 0).then(|| name.to_string_lossy().into_owned())
}

/// Three of the calls answer in memory that the next call overwrites.
static ANSWERS: Mutex<()> = Mutex::new(());

fn protocol_name(protocol: Protocol) -> Option<&'static CStr> {
    match protocol {
        Protocol::Tcp => Some(c"tcp"),
        Protocol::Udp => Some(c"udp"),
        Protocol::Sctp => Some(c"sctp"),
        Protocol::Other(_) => None,
    }
}

#[expect(unsafe_code, reason = "no safe interface to getservbyport")]
fn service(port: u16, protocol: Protocol) -> Option<String> {
    let protocol = protocol_name(protocol)?;
    let _one_at_a_time = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `protocol` ends in NUL. What comes back is null or an entry whose name ends in NUL; it is
    // read before the lock is given up, and this module makes the only calls that overwrite it.
    let name = unsafe {
        let entry = libc::getservbyport(port.to_be().into(), protocol.as_ptr());
        entry.as_ref().map(|entry| CStr::from_ptr(entry.s_name))?
    };
    Some(name.to_string_lossy().into_owned())
}

#[expect(unsafe_code, reason = "no safe interface to getservbyname")]
fn port(service: &str, protocol: Protocol) -> Option<u16> {
    let (service, protocol) = (CString::new(service).ok()?, protocol_name(protocol)?);
    let _one_at_a_time = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: both strings end in NUL. What comes back is null or an entry; it is read before the lock is
    // given up, and this module makes the only calls that overwrite it.
    let port = unsafe {
        let entry = libc::getservbyname(service.as_ptr(), protocol.as_ptr());
        entry.as_ref().map(|entry| entry.s_port)?
    };
    u16::try_from(port).ok().map(u16::from_be)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_has_a_name_and_back() {
        let mut names = System::default();
        assert_eq!(names.address("localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(names.host(Ipv4Addr::LOCALHOST.into()).as_deref(), Some("localhost"));
        assert_eq!(names.port("a service nobody has", Protocol::Tcp), None);
        assert_eq!(names.service(80, Protocol::Other(47)), None);
    }
}
