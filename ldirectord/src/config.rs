//! `ldirectord.cf`: from text to a model that cannot be wrong (spec/ldirectord.md
//! chapters 2 to 5).
//!
//! Three steps with three types: [`lines`] with their places, the file as [`written`], the
//! [`model`]. Each goes on behind a mistake, so that one reading reports all of them.

mod address;
mod build;
mod checks;
mod lines;
pub mod model;
pub mod pattern;
mod read;
mod report;
mod resolve;
mod section;
mod span;
mod surroundings;
mod value;
mod written;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lvs::diag::{Diagnostic, Severity};

pub use model::Config;
pub use pattern::Pattern;
pub use report::rendered;
pub use surroundings::{Fixed, Services, Surroundings, System};

use span::{Findings, Span};

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What the administrator should know, in the file's order.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration's text; no more than [`load`] would take, and a little, so that it can tell.
///
/// # Errors
/// If the file cannot be read.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// No configuration is longer, bytes; a disk image given by mistake is.
const LONGEST: usize = 16 << 20;

/// Reads a configuration. `path` is only named in diagnostics.
///
/// # Errors
/// Everything that is wrong, warnings included, in the file's order.
pub fn load(path: &Path, text: &[u8], surroundings: &dyn Surroundings) -> Result<Loaded, Vec<Diagnostic>> {
    let mut findings = Findings::new(path);
    if text.len() > LONGEST {
        findings.error(Span::whole(1, ""), format!("the file is longer than {LONGEST} bytes"));
        return Err(findings.into_sorted());
    }
    let text = String::from_utf8_lossy(text);
    let rows = lines::rows(&text);
    if let std::borrow::Cow::Owned(_) = text {
        not_utf8(&rows, &mut findings);
    }
    let written = read::read(&rows, &mut findings);
    let config = build::build(&written, surroundings, &mut findings);
    let found = findings.into_sorted();
    let usable = found.iter().all(|d| d.severity == Severity::Warning);
    if usable { Ok(Loaded { config, warnings: found }) } else { Err(found) }
}

/// Comments may be in any encoding; in values it makes a difference.
fn not_utf8(rows: &[lines::Row<'_>], findings: &mut Findings) {
    for row in rows {
        let (lines::Row::Global(span) | lines::Row::Section(span) | lines::Row::Open { value: span, .. }) = row else {
            continue;
        };
        if let Some(replaced) = span.first_run(|c| c == char::REPLACEMENT_CHARACTER) {
            findings.warning(replaced, "the line is not UTF-8; the characters in question are replaced");
        }
    }
}
