//! `lvsctl save`: everything the kernel holds, for `restore` and `apply`.

use std::io::Write;
use std::path::PathBuf;

use super::table::{Error, TROUBLE, lines, read_file, state_of};
use super::{complain, fail};
use crate::netlink::ipvs::Client;
use crate::state::document::{to_json, to_toml};
use crate::state::{Comments, Wanted};

/// The lines of ipvsadm cannot say everything that the kernel holds.
const LOST: u8 = 1;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As lvs-table(5) describes
    #[default]
    Toml,
    /// Lines that "ipvsadm -R" reads
    Ipvsadm,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// One JSON object, with the same names as in TOML
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Take over the comments of this file about what is still there; the kernel has no place for them
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
}

pub(super) fn run(Arguments { format, json, merge }: &Arguments) -> u8 {
    let wanted = match read(merge.as_ref()) {
        Ok(wanted) => wanted,
        Err(error) => return error.tell(),
    };
    let (text, lost) = match format {
        _ if *json => (format!("{:#}\n", to_json(&wanted)), Vec::new()),
        Format::Toml => (to_toml(&wanted), Vec::new()),
        Format::Ipvsadm => lines::write(&wanted),
    };
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        fail(&error);
        return TROUBLE;
    }
    lost.iter().for_each(|what| complain(&format_args!("lvsctl: not saved: {what}; --format toml can")));
    if lost.is_empty() { 0 } else { LOST }
}

fn read(merge: Option<&PathBuf>) -> Result<Wanted, Error> {
    let comments = merge.map_or(Ok(Comments::default()), |path| Ok::<_, Error>(read_file(path)?.comments))?;
    let state = state_of(&mut Client::open()?)?;
    let comments = comments.about(&state.table);
    Ok(Wanted { comments, ..state.into() })
}
