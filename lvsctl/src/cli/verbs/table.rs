//! `lvsctl save`, `lvsctl diff` and `lvsctl apply`: the kernel's table and a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::file;
use crate::cli::names::System;
use crate::diag::{Diagnostic, chain};
use crate::ipvs::text::command_line;
use crate::ipvs::{self, Change, Table};
use crate::netlink::RequestError;
use crate::netlink::ipvs::{Client, OpenError};

/// A table of a hundred thousand servers is a tenth of this, bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// `apply`: the table is another one than before.
const CHANGED: u8 = 3;
/// `apply`: the kernel refused something. `diff`: there is something to change.
const DIFFERS: u8 = 1;
/// The file or the kernel's table cannot be read.
const TROUBLE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The wanted table as "ipvsadm -Sn" prints it; "-" is standard input
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// The wanted table as "ipvsadm -Sn" prints it; "-" is standard input
    file: PathBuf,
    /// Only show what would be changed
    #[arg(long)]
    dry_run: bool,
    /// When the kernel refuses a change, keep the others instead of going back to the table from before
    #[arg(long)]
    keep_going: bool,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
enum Error {
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

fn list(mistakes: &[Diagnostic]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What leads from nothing to the table: thresholds and large marks, which ipvsadm loses, are in it.
pub(super) fn save() -> u8 {
    let table = Client::open().map_err(Error::from).and_then(|mut kernel| Ok(kernel.table()?));
    match table {
        Ok(table) => {
            show(&ipvs::diff(&Table::new(), &table));
            0
        }
        Err(error) => trouble(&error),
    }
}

pub(super) fn diff(arguments: &Diff) -> u8 {
    match plan(&arguments.file) {
        Ok(Plan { changes, .. }) => {
            show(&changes);
            if changes.is_empty() { 0 } else { DIFFERS }
        }
        Err(error) => trouble(&error),
    }
}

pub(super) fn apply(arguments: &Apply) -> u8 {
    let Apply { file, dry_run, keep_going } = arguments;
    match plan(file) {
        Ok(Plan { changes, .. }) if changes.is_empty() => 0,
        Ok(Plan { changes, .. }) if *dry_run => {
            show(&changes);
            CHANGED
        }
        Ok(plan) => carry_out(plan, *keep_going),
        Err(error) => trouble(&error),
    }
}

struct Plan {
    kernel: Client,
    before: Table,
    changes: Vec<Change>,
}

fn plan(path: &Path) -> Result<Plan, Error> {
    // The file comes first: with a mistake in it the kernel is not even asked.
    let wanted = file::read(path, &text(path)?, &mut System::default()).map_err(Error::Mistakes)?;
    let mut kernel = Client::open()?;
    let before = kernel.table()?;
    let changes = ipvs::diff(&before, &wanted);
    Ok(Plan { kernel, before, changes })
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
    Ok(text)
}

fn carry_out(plan: Plan, keep_going: bool) -> u8 {
    let Plan { mut kernel, before, changes } = plan;
    let refusals: Vec<_> = kernel.change(&changes).into_iter().filter_map(Result::err).collect();
    if refusals.is_empty() {
        return CHANGED;
    }
    refusals.iter().for_each(|refusal| eprintln!("lvsctl: {refusal}"));
    if !keep_going {
        match go_back(&mut kernel, &before) {
            Ok(()) => eprintln!("lvsctl: the table is as it was before"),
            Err(why) => eprintln!("lvsctl: the table could not be put back as it was: {why}"),
        }
    }
    DIFFERS
}

fn go_back(kernel: &mut Client, before: &Table) -> Result<(), String> {
    let now = kernel.table().map_err(|error| chain(&error))?;
    let results = kernel.change(&ipvs::diff(&now, before));
    let refusals: Vec<String> =
        results.into_iter().filter_map(Result::err).map(|refusal| refusal.to_string()).collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals.join("; ")) }
}

fn show(changes: &[Change]) {
    let text: String = changes.iter().map(|change| command_line(change) + "\n").collect();
    let _ = io::stdout().write_all(text.as_bytes());
}

fn trouble(error: &Error) -> u8 {
    match error {
        Error::Mistakes(_) => eprintln!("{error}"),
        _ => eprintln!("lvsctl: {}", chain(error)),
    }
    TROUBLE
}
