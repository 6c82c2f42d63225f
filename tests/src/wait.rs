//! Waiting for events, with a limit and a word about what is waited for.

use crate::clock;
use crate::error::{Error, Result};
use std::fmt::Display;
use std::thread;
use std::time::Duration;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// After this long the reader is told what takes so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until `condition` holds and returns how long that took.
///
/// # Errors
/// [`Error::Late`] when `limit` has passed.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    let from = clock::now();
    wait_for(what, limit, || if condition() { Ok(()) } else { Err("") }).map(|()| clock::now() - from)
}

/// Waits until `look` finds something and returns that; what it found instead goes into the error.
///
/// # Errors
/// [`Error::Late`] when `limit` has passed.
pub fn wait_for<T, D: Display>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, D>) -> Result<T> {
    let from = clock::now();
    let mut told = false;
    loop {
        let instead = match look() {
            Ok(found) => return Ok(found),
            Err(instead) => instead.to_string(),
        };
        let passed = clock::now() - from;
        if passed >= limit {
            let detail = if instead.is_empty() { instead } else { format!("; there was {instead}") };
            return Err(Error::Late { what: what.to_owned(), limit, detail });
        }
        if !told && passed >= PATIENCE {
            println!("    ... waiting for {what}, at most {} s", limit.as_secs());
            told = true;
        }
        thread::sleep(LOOK);
    }
}
