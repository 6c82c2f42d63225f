//! The address of an interface for frames of one's own making.
//!
//! Unsafe, because no safe crate makes an AF_PACKET address.
#![allow(unsafe_code)]

use std::io;

use socket2::{SockAddr, SockAddrStorage};

/// A link-layer address to send a frame to, or to bind to.
pub fn packet_address(interface: u32, protocol: u16, mac: [u8; 6]) -> io::Result<SockAddr> {
    let interface = libc::c_int::try_from(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is plain integers, valid for any bit pattern, and
    // `SockAddrStorage` is at least as large and as aligned as any sockaddr.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as libc::sa_family_t;
    link.sll_protocol = protocol.to_be();
    link.sll_ifindex = interface;
    link.sll_halen = 6;
    link.sll_addr[..6].copy_from_slice(&mac);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the first `length` bytes were initialised above as an AF_PACKET address.
    Ok(unsafe { SockAddr::new(storage, length) })
}
