//! What runs inside a machine of a cluster, as a process of its own: the program `lab-inside`.
//!
//! Stories start it; nobody else calls it.

mod hold;
mod probe;

use crate::error::{Attempt, Error, Result};
use std::path::PathBuf;

/// Runs the part that `arguments` names.
///
/// # Errors
/// Whatever kept the part from doing its work; [`Error::Senseless`] for arguments that are none of the lab's.
pub fn main(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["hold", name, directory, forwards] => hold::run(name, directory, forwards == "forwards"),
        ["probe", spec] => {
            let spec = serde_json::from_str(spec).map_err(|error| Error::Senseless(format!("probe: {error}")))?;
            probe::run(&spec)
        }
        _ => Err(Error::Senseless("usage: lab-inside hold NAME DIRECTORY forwards|ends, lab-inside probe SPEC".into())),
    }
}

/// Where the program is: beside the caller's, or one level above, where cargo puts programs and tests.
pub(crate) fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().attempt(|| "find this program's file".into())?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("lab-inside"))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Senseless(format!("there is no lab-inside near {}; cargo build it", own.display())))
}
