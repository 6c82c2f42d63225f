//! A small process that outlives the daemon by a moment, to take its virtual addresses off.
//!
//! It holds the reading end of a pipe and the list of addresses that came through it. When the
//! daemon dies, however that happens, the kernel closes the pipe, and the guard takes the
//! addresses off at once, before the peer can have taken over. A lease alone would end up to a
//! second or more later. Orderly stops dismiss the guard first.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, PipeWriter, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::str::FromStr;

use lvs::daemon::logging::{self, Facility, Sink};
use lvs::daemon::signals::Signals;
use lvs::netlink::address::Address;
use lvs::netlink::route::Client;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// The daemon starts itself with this argument to be its guard.
pub const ARGUMENT: &str = "guard";

/// What must not outlive the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// An address on an interface.
    Address {
        /// Index of the interface.
        interface: u32,
        /// The address.
        ip: IpAddr,
        /// Prefix length, bits.
        prefix: u8,
    },
    /// A virtual address that is kept from resetting connections ([`Client::silence`]).
    Silence(IpAddr),
}

/// A line of what the daemon says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Watch(Watched),
    Forget(Watched),
    Dismissed,
}

impl From<&Address> for Watched {
    fn from(address: &Address) -> Self {
        Self::Address { interface: address.interface, ip: address.ip, prefix: address.prefix }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { interface, ip, prefix } => write!(f, "{interface} {ip} {prefix}"),
            Self::Silence(ip) => write!(f, "silence {ip}"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(watched) => writeln!(f, "watch {watched}"),
            Self::Forget(watched) => writeln!(f, "forget {watched}"),
            Self::Dismissed => writeln!(f, "dismissed"),
        }
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        fn number<T: FromStr>(word: &str) -> Result<T, ()> {
            word.parse().map_err(|_| ())
        }
        fn watched(words: &[&str]) -> Result<Watched, ()> {
            match *words {
                ["silence", ip] => Ok(Watched::Silence(number(ip)?)),
                [interface, ip, prefix] => {
                    Ok(Watched::Address { interface: number(interface)?, ip: number(ip)?, prefix: number(prefix)? })
                }
                _ => Err(()),
            }
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["dismissed"] => Ok(Self::Dismissed),
            ["watch", ref what @ ..] => watched(what).map(Self::Watch),
            ["forget", ref what @ ..] => watched(what).map(Self::Forget),
            _ => Err(()),
        }
    }
}

/// The guard as the daemon has it.
#[derive(Debug)]
pub struct Guard {
    orders: PipeWriter,
    /// Kept, so that tokio waits for it when it ends.
    process: Child,
}

impl Guard {
    /// Starts this program once more, as `heartbeatd guard`. Needs a tokio runtime.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start() -> io::Result<Self> {
        // The file may have been replaced by a newer one since we were started.
        let mut command = Command::new("/proc/self/exe");
        // Whoever waits for the end of a start's messages must not wait for the guard.
        command.arg(ARGUMENT).stderr(Stdio::null());
        Self::of(command)
    }

    /// Starts the command as guard: what it does with its standard input is [`watch`]'s part.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn of(mut command: Command) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // A group of its own: what ends the daemon's group is what the guard is there for.
        let process = command.stdin(Stdio::from(reader)).stdout(Stdio::null()).process_group(0).spawn()?;
        // A guard that is stuck must not hold the daemon up.
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Self { orders: writer, process })
    }

    /// To be called before the address is put on, or the silence begun.
    ///
    /// # Errors
    /// The guard is gone or stuck: start another one.
    pub fn watch(&self, watched: impl Into<Watched>) -> io::Result<()> {
        self.say(Order::Watch(watched.into()))
    }

    /// To be called after the address was taken off, or the silence ended.
    ///
    /// # Errors
    /// The guard is gone or stuck.
    pub fn forget(&self, watched: impl Into<Watched>) -> io::Result<()> {
        self.say(Order::Forget(watched.into()))
    }

    /// Lets the guard go without it doing anything: for a restart that keeps the addresses.
    ///
    /// # Errors
    /// It is gone already.
    pub fn dismiss(self) -> io::Result<()> {
        self.say(Order::Dismissed)
    }

    /// Ends a guard that is stuck. Left alone it would find its orders at their end once it goes on,
    /// and take off addresses that another guard watches by then.
    pub fn kill(mut self) {
        // If it is gone already there is nothing to end.
        _ = self.process.start_kill();
    }

    fn say(&self, order: Order) -> io::Result<()> {
        let line = order.to_string();
        // Short enough for the pipe to take it whole or not at all.
        (&self.orders).write_all(line.as_bytes())
    }
}

/// The whole program of the guard: reads orders from standard input to their end.
///
/// # Errors
/// Standard input is no pipe, or the kernel's sockets cannot be had.
pub fn main() -> io::Result<()> {
    // Whoever ends the daemon by its name does not mean its guard.
    rustix::thread::set_name(c"heartbeat-guard")?;
    // Fails only in a process that has a log already.
    let _ = logging::install("heartbeatd", Sink::System(Facility::LOG_DAEMON), log::LevelFilter::Info);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Asked to end together with the daemon, it stays: until the pipe is closed there is something to guard.
        let _ignored = Signals::new()?;
        let input = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        watch(BufReader::new(input), &mut Client::open()?).await
    })
}

/// Follows the orders; at their end takes off what is still watched.
///
/// # Errors
/// The orders cannot be read; what is watched is taken off then too.
pub async fn watch(orders: impl AsyncBufRead + Unpin, kernel: &mut Client) -> io::Result<()> {
    let mut watched = BTreeSet::new();
    let mut lines = orders.lines();
    let ended = loop {
        match lines.next_line().await {
            Ok(Some(line)) => match line.parse() {
                Ok(Order::Watch(address)) => _ = watched.insert(address),
                Ok(Order::Forget(address)) => _ = watched.remove(&address),
                Ok(Order::Dismissed) => return Ok(()),
                Err(()) => log::error!("the guard does not understand {line:?}"),
            },
            Ok(None) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    for watched in watched {
        let done = match watched {
            Watched::Address { interface, ip, prefix } => kernel.delete_address(&Address::new(interface, ip, prefix)),
            Watched::Silence(ip) => kernel.unsilence(ip).map(|()| false),
        };
        match done {
            Ok(true) => log::warn!("heartbeatd died: took {watched} off"),
            Ok(false) => {}
            Err(e) => log::error!("heartbeatd died, and its address stays on: {}", lvs::diag::chain(&e)),
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_as_they_were_written() {
        let v4_ip = [10, 99, 0, 50].into();
        let v4 = Watched::Address { interface: 3, ip: v4_ip, prefix: 24 };
        let v6 = Watched::Address { interface: 12, ip: "2001:db8::50".parse().unwrap(), prefix: 64 };
        for order in [Order::Watch(v4), Order::Forget(v6), Order::Watch(Watched::Silence(v4_ip)), Order::Dismissed] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        for nonsense in ["", "watch", "watch x 10.0.0.1 24", "watch 1 10.0.0.1 24 more", "forget 1 10.0.0 24"] {
            assert_eq!(nonsense.parse::<Order>(), Err(()));
        }
    }
}
