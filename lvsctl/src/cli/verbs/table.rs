//! What `save`, `diff`, `apply` and `restore` share: the kernel's state, and files that say what it should be.

mod carry;
pub(super) mod lines;
mod show;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(super) use show::{changes_as_json, print_changes};

use super::complain;
use crate::cli::names::System;
use crate::diag::{Diagnostic, chain};
use crate::ipvs::{Change, Refusal};
use crate::netlink::RequestError;
use crate::netlink::ipvs::{Client, OpenError};
use crate::state::{self, State, Wanted, document};

/// A table of a hundred thousand servers is a tenth of this, bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// The file or the kernel's state cannot be read.
pub(super) const TROUBLE: u8 = 2;

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {LARGEST_FILE} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}", list(.0))]
    Mistakes(Vec<Diagnostic>),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Kernel(#[from] RequestError),
}

impl Error {
    /// Tells it; the exit status.
    pub(super) fn tell(&self) -> u8 {
        match self {
            Self::Mistakes(_) => complain(self),
            _ => complain(&format_args!("lvsctl: {}", chain(self))),
        }
        TROUBLE
    }
}

fn list(mistakes: &[Diagnostic]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a file of either form; what is only odd about it is told.
pub(super) fn read_file(path: &Path) -> Result<Wanted, Error> {
    let text = text(path)?;
    if lines::are_in(&text) {
        return lines::read(path, &text, &mut System::default()).map_err(Error::Mistakes);
    }
    let reading = document::read(path, &text).map_err(Error::Mistakes)?;
    reading.warnings.iter().for_each(|warning| complain(warning));
    Ok(reading.wanted)
}

fn text(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let limit = LARGEST_FILE + 1;
    let count = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).map_err(failed)?.take(limit).read_to_string(&mut text)
    };
    if u64::try_from(count.map_err(failed)?).is_ok_and(|count| count > LARGEST_FILE) {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    // Some editors mark a file as UTF-8.
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

/// What the kernel holds now.
pub(super) fn state_of(kernel: &mut Client) -> Result<State, RequestError> {
    Ok(State { table: kernel.table()?, timeouts: kernel.timeouts()?, daemons: kernel.daemons()? })
}

/// What has to be done, and to what.
pub(super) struct Plan {
    kernel: Client,
    before: State,
    pub(super) changes: Vec<Change>,
    /// Those that were made.
    done: Vec<Change>,
}

impl Plan {
    /// Compares with the kernel. Call it with a file that was read without a mistake: with one, the
    /// kernel should not even be asked.
    pub(super) fn towards(wanted: &Wanted) -> Result<Self, Error> {
        let mut kernel = Client::open()?;
        let before = state_of(&mut kernel)?;
        let changes = state::plan(&before, wanted);
        Ok(Self { kernel, before, changes, done: Vec::new() })
    }

    /// Makes the changes, all that can be made or all up to the first that is refused; those that were refused.
    pub(super) fn carry_out(&mut self, keep_going: bool) -> Vec<Refusal> {
        if keep_going {
            return self.kernel.change(&self.changes).into_iter().filter_map(Result::err).collect();
        }
        let carried = carry::until_refused(&self.changes, |batch| self.kernel.change(batch));
        self.done = carried.done;
        carried.refusals
    }

    /// Takes back the changes that were made, and leaves alone what somebody else has changed since; whether
    /// everything is as it was.
    ///
    /// # Errors
    /// In words, what could not be put back.
    pub(super) fn go_back(&mut self) -> Result<bool, String> {
        let now = state_of(&mut self.kernel).map_err(|error| chain(&error))?;
        let (changes, behind) = carry::undo(&self.before, &self.done, now);
        let results = self.kernel.change(&changes);
        let refusals: Vec<String> =
            results.into_iter().filter_map(Result::err).map(|refusal| refusal.to_string()).collect();
        if refusals.is_empty() { Ok(behind.is_as(&self.before)) } else { Err(refusals.join("; ")) }
    }

    /// What there was before.
    pub(super) fn before(&self) -> &State {
        &self.before
    }
}
