//! Network namespaces other than one's own.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace. It exists at least as long as this does.
///
/// ```no_run
/// use lvs::netlink::Namespace;
/// use lvs::netlink::ipvs::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut blue = Client::open_in(&Namespace::named("blue")?)?;
/// let mut container = Client::open_in(&Namespace::of_process(4711)?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A namespace with a name: `ip netns add NAME`.
    ///
    /// # Errors
    /// If there is none, or the name is no file name.
    pub fn named(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a network namespace"));
        }
        Self::at(&Path::new("/run/netns").join(name))
    }

    /// The namespace in which a process is now.
    ///
    /// # Errors
    /// If there is no such process, or it may not be looked at.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::at(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace behind a file, such as `/proc/1/ns/net`.
    ///
    /// # Errors
    /// If it cannot be opened. That it is something else is told when it is entered.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?.into()))
    }

    /// Runs `work` on a thread that is in the namespace, and waits for it. Sockets that it opens belong to the
    /// namespace for good. This thread stays where it is.
    ///
    /// # Errors
    /// If the namespace cannot be entered, which needs `CAP_SYS_ADMIN`, or there is no room for a thread.
    ///
    /// # Panics
    /// If `work` does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let inside = || {
            move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, inside)?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A namespace that somebody else has opened.
impl From<OwnedFd> for Namespace {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn work_is_done_inside_and_this_thread_stays() {
        let here = || std::fs::metadata("/proc/thread-self/ns/net").expect("a namespace").ino();
        let own = Namespace::of_process(std::process::id()).expect("our own");
        // Without the capability the refusal is an error, not a run in the wrong place.
        match own.within(here) {
            Ok(inside) => assert_eq!(inside, here()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
        let no_namespace = Namespace::at(Path::new("/dev/null")).expect("a file");
        assert!(no_namespace.within(|| ()).is_err());
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        for name in ["", ".", "..", "../../proc/1/ns/net"] {
            assert!(Namespace::named(name).is_err(), "{name}");
        }
    }
}
