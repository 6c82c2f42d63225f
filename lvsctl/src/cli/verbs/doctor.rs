//! `lvsctl doctor`: what is wrong with this director or real server, and what to do.
//!
//! The exit statuses are those of monitoring plugins.

mod gather;
mod probe;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde_json::json;
use std::io::Write;

use super::cluster::Where;
use super::print_json;
use crate::diag::counted;
use crate::doctor::{Finding, Severity, examine};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A table file that is going to be applied: its schedulers are looked for, too
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Ask no neighbour: nothing is sent
    #[arg(long)]
    no_probe: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// It cannot be told whether something is wrong.
pub(super) const UNKNOWN: u8 = 3;

pub(super) fn run(Arguments { table, no_probe, json, at }: &Arguments) -> u8 {
    let gathered = match gather::facts(table.as_deref(), at) {
        Ok(gathered) => gathered,
        Err(error) => {
            error.tell();
            return UNKNOWN;
        }
    };
    let (mut facts, role) = gathered;
    if !no_probe {
        facts.probes = probe::ask(&facts);
    }
    let findings = examine(&facts);
    let worst = findings.iter().map(|finding| finding.severity).max();
    if *json {
        print_json(&json!({"looked-at": role, "worst": worst, "findings": findings}));
    } else {
        let _ = anstream::stdout().write_all(told(role, &findings).as_bytes());
    }
    match worst {
        Some(Severity::Error) => 2,
        Some(Severity::Warning) => 1,
        Some(Severity::Note) | None => 0,
    }
}

fn told(role: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("looked at {role}: nothing is wrong\n");
    }
    let mut text = String::new();
    for finding in findings {
        let colour = match finding.severity {
            Severity::Error => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
            Severity::Note => AnsiColor::Cyan,
        };
        let style = Style::new().fg_color(Some(colour.into())).bold();
        let shown = finding.to_string();
        let (severity, rest) = shown.split_once(':').unwrap_or(("", &shown));
        text += &format!("{style}{severity}{style:#}:{rest}\n");
    }
    let count =
        |severity, what| counted(findings.iter().filter(|finding| finding.severity == severity).count() as u64, what);
    text + &format!(
        "looked at {role}: {}, {}, {}\n",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note")
    )
}
