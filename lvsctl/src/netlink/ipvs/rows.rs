//! Lists that are handed on while they are read.

use std::collections::HashSet;
use std::fmt;
use std::iter::FusedIterator;

use super::Client;
use super::dump::{Question, Row};
use crate::netlink::RequestError;
use crate::netlink::reading::Reading;

/// A list of the kernel, entry by entry: [`Client::stream_services`], [`Client::stream_destinations`].
///
/// Held are the part that the kernel sent last, at most 32 KiB, and the keys of the entries so far: none is
/// given twice. Unlike a list that is read whole it cannot be read again when the table changes meanwhile, so
/// that entries may be missing. The client can do nothing else until this is dropped, which reads the rest.
///
/// After an error of the kernel or the socket there is nothing more; an entry that makes no sense is an error in
/// its place.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = lvs::netlink::ipvs::Client::open()?;
/// let web = lvs::ipvs::ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let mut connections = 0;
/// for server in client.stream_destinations(&web)? {
///     connections += u64::from(server?.active_connections);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Rows<'c, R: Row> {
    client: &'c mut Client,
    question: Question,
    reading: Option<Reading>,
    seen: HashSet<R::Key>,
    unknown: Vec<u8>,
}

impl<R: Row> fmt::Debug for Rows<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("question", &self.question).finish_non_exhaustive()
    }
}

impl<'c, R: Row> Rows<'c, R> {
    /// Asks.
    pub(super) fn of(client: &'c mut Client, question: Question) -> Result<Self, RequestError> {
        let reading = client.start(&question)?;
        question.forget(&mut client.newer);
        Ok(Self { client, question, reading: Some(reading), seen: HashSet::new(), unknown: Vec::new() })
    }

    fn read(&mut self) -> Result<Option<R>, RequestError> {
        let Self { client, question, reading: Some(reading), seen, unknown } = self else { return Ok(None) };
        loop {
            let Some((kind, payload)) = reading.part(&mut client.socket, question)? else { return Ok(None) };
            if kind != client.family {
                continue;
            }
            let row: R = question.entry(payload, unknown, &mut client.newer)?;
            if seen.insert(row.key()) {
                return Ok(Some(row));
            }
        }
    }
}

impl<R: Row> Iterator for Rows<'_, R> {
    type Item = Result<R, RequestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(row) => return row.map(Ok),
                // Nothing that IPVS lists is answered with ENOENT: the module was loaded anew.
                Err(error)
                    if error.errno() == Some(libc::ENOENT) && self.seen.is_empty() && self.client.family_moved() =>
                {
                    match self.client.start(&self.question) {
                        Ok(reading) => self.reading = Some(reading),
                        Err(error) => {
                            self.reading = None;
                            return Some(Err(error));
                        }
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<R: Row> FusedIterator for Rows<'_, R> {}

impl<R: Row> Drop for Rows<'_, R> {
    fn drop(&mut self) {
        if self.reading.as_ref().is_some_and(|reading| !reading.ended()) {
            self.client.drain();
        }
    }
}
