//! The classic mistakes of a director and of a real server, found in what the kernel says.
//!
//! [`examine`] looks at [`Facts`] and nothing else; `lvsctl doctor` gathers them. A finding has its evidence, what
//! it means, and the commands that end it (spec/ipvs.md C.6, spec/what-users-ask.md).

mod facts;
mod finding;
mod rules;

pub use facts::{Answer, Facts, Probes, Way, virtual_address};
pub use finding::{Evidence, Finding, Severity};

/// Everything that is wrong, the worst first.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    rules::all(facts, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}
