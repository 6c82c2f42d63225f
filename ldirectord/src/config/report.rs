//! Diagnostics as ldirectord prints and logs them (spec chapter 2, error output).

use lvs::diag::{Diagnostic, Severity};

/// The line log watchers know, then the place in the file.
///
/// ```text
/// Error [4711] reading file /etc/ha.d/ldirectord.cf at line 7: invalid check timeout
///     7 |     checktimeout=never
///       |                  ^^^^^
///       = a number is needed
/// ```
#[must_use]
pub fn rendered(diagnostic: &Diagnostic, pid: u32) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let Diagnostic { path, line, message, .. } = diagnostic;
    let text = diagnostic.to_string();
    let place = text.split_once('\n').map_or("", |(_, place)| place);
    format!("{kind} [{pid}] reading file {} at line {line}: {message}\n{place}", path.display())
}
