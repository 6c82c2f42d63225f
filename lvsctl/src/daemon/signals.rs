//! Signals as a stream of what they mean.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_core::Stream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/// What a daemon is told by signal.
///
/// ```
/// use lvs::daemon::signals::Signal;
///
/// fn ends(signal: Signal) -> bool {
///     matches!(signal, Signal::Stop(_))
/// }
/// assert!(ends(Signal::Stop("TERM")) && !ends(Signal::Reload));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop in good order; the name is for the log.
    Stop(&'static str),
    /// Read the files again: SIGHUP.
    Reload,
    /// Say more: SIGUSR1.
    Louder,
    /// Say less: SIGUSR2.
    Quieter,
}

/// The signals of this process. SIGPIPE is ignored by the Rust runtime already.
///
/// ```no_run
/// use lvs::daemon::signals::{Signal, Signals};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut signals = Signals::new()?;
/// loop {
///     match signals.next().await {
///         Signal::Stop(name) => break println!("stopped by {name}"),
///         Signal::Reload => println!("the files are read again"),
///         Signal::Louder | Signal::Quieter => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Signals {
    stream: signal_hook_tokio::Signals,
}

impl Signals {
    /// Takes SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 and SIGUSR2 from now on.
    ///
    /// # Errors
    /// If the kernel refuses a handler.
    pub fn new() -> io::Result<Self> {
        let stream = signal_hook_tokio::Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2])?;
        Ok(Self { stream })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            let number = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context)).await;
            return match number {
                Some(SIGTERM) => Signal::Stop("TERM"),
                Some(SIGINT) => Signal::Stop("INT"),
                Some(SIGQUIT) => Signal::Stop("QUIT"),
                Some(SIGHUP) => Signal::Reload,
                Some(SIGUSR1) => Signal::Louder,
                Some(SIGUSR2) => Signal::Quieter,
                Some(_) => continue,
                // The stream ends only with its handle, which lives in it.
                None => std::future::pending().await,
            };
        }
    }
}
