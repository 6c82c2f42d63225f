//! `lvsctl diff`: what `apply` would do.

use std::path::PathBuf;

use serde_json::json;

use super::print_json;
use super::table::{Plan, changes_as_json, print_changes, read_file};

/// There is something to change.
const DIFFERS: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The wanted table, in TOML or as "ipvsadm -Sn" prints it; "-" is standard input
    file: PathBuf,
    /// One JSON object instead of ipvsadm's options
    #[arg(long)]
    json: bool,
}

pub(super) fn run(Arguments { file, json }: &Arguments) -> u8 {
    let plan = match read_file(file).and_then(|wanted| Plan::towards(&wanted)) {
        Ok(plan) => plan,
        Err(error) => return error.tell(),
    };
    if *json {
        print_json(&json!({"changes": changes_as_json(&plan.changes)}));
    } else {
        print_changes(plan.before(), &plan.changes);
    }
    if plan.changes.is_empty() { 0 } else { DIFFERS }
}
