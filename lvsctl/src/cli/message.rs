//! The kernel's refusals in ipvsadm's words (spec/ipvs.md A.12).

use super::kernel::Errno;
use crate::ipvs::Change;

/// The message for a change that the kernel refused.
pub(super) fn refusal(change: &Change, errno: Errno) -> String {
    use Change::{
        AddDestination, AddService, DeleteDestination, DeleteService, EditDestination, EditService, StartDaemon,
        StopDaemon, Zero,
    };
    let known = match (change, errno) {
        (AddService(..), libc::EEXIST) => "Service already exists",
        (AddService(..) | EditService(..), libc::ENOENT) => "Scheduler or persistence engine not found",
        (EditService(..) | DeleteService(_) | Zero(_), libc::ESRCH) => "No such service",
        (AddDestination(..) | EditDestination(..) | DeleteDestination(..), libc::ESRCH) => "Service not defined",
        (AddDestination(..), libc::EEXIST) => "Destination already exists",
        (EditDestination(..) | DeleteDestination(..), libc::ENOENT) => "No such destination",
        (StartDaemon(_), libc::EEXIST) => "Daemon has already run",
        (StopDaemon(_), libc::ESRCH) => "No daemon is running",
        _ => return general(errno),
    };
    known.to_owned()
}

/// The message for a service that could not be listed.
pub(super) fn listing_one(errno: Errno) -> String {
    if errno == libc::ESRCH { "No such service".to_owned() } else { general(errno) }
}

/// The message for whatever has none of its own.
pub(super) fn general(errno: Errno) -> String {
    let known = match errno {
        libc::EPERM => "Permission denied (you must be root)",
        libc::EINVAL => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        libc::ENOPROTOOPT => "Protocol not available",
        libc::ENOMEM => "Memory allocation problem",
        libc::EOPNOTSUPP => "Operation not supported with IPv6",
        libc::EAFNOSUPPORT => "Operation not supported with specified address family",
        libc::EMSGSIZE => "Module is wrong version",
        _ => return text(errno),
    };
    known.to_owned()
}

/// The C library's text, without the number that Rust puts behind it.
fn text(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.strip_suffix(&format!(" (os error {errno})")).map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_without_a_message_of_their_own_have_the_c_librarys() {
        assert_eq!(refusal(&Change::Flush, libc::ERANGE), "Numerical result out of range");
        assert_eq!(refusal(&Change::Flush, libc::ENODEV), "No such device");
        assert_eq!(refusal(&Change::Flush, libc::ESRCH), "No such process");
        assert_eq!(refusal(&Change::Zero(None), libc::ESRCH), "No such service");
    }
}
