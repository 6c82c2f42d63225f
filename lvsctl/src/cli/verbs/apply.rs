//! `lvsctl apply` and `lvsctl restore`: the kernel becomes what a file says.

use std::path::PathBuf;

use serde_json::json;

use super::table::{Plan, changes_as_json, print_changes, read_file};
use super::{complain, print_json};
use crate::ipvs::Refusal;
use crate::state::Wanted;

/// It is another state than before.
const CHANGED: u8 = 3;
/// The kernel refused something.
const REFUSED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The wanted table, in TOML or as "ipvsadm -Sn" prints it; "-" is standard input
    file: PathBuf,
    /// Only show what would be changed
    #[arg(long)]
    dry_run: bool,
    /// When the kernel refuses a change, make no further ones and take back those that were made; this is the default
    #[arg(long, conflicts_with = "keep_going")]
    rollback: bool,
    /// When the kernel refuses a change, keep the others
    #[arg(long)]
    keep_going: bool,
    /// Tell what was done as one JSON object
    #[arg(long)]
    json: bool,
}

/// How it went.
enum Outcome {
    Unchanged,
    WouldChange,
    Changed,
    /// With what became of the other changes.
    Refused(Vec<Refusal>, Others),
}

enum Others {
    Kept,
    TakenBack,
    /// But for what somebody else has changed in the meantime.
    TakenBackInPart,
    /// Something of them is still there: what, in words.
    Left(String),
}

/// `lvsctl apply`: what the file does not speak of stays as it is.
pub(super) fn apply(arguments: &Arguments) -> u8 {
    run(arguments, |wanted| wanted)
}

/// `lvsctl restore`: what the file does not speak of becomes what a kernel starts with.
pub(super) fn restore(arguments: &Arguments) -> u8 {
    run(arguments, Wanted::complete)
}

fn run(arguments: &Arguments, whole: impl Fn(Wanted) -> Wanted) -> u8 {
    let mut plan = match read_file(&arguments.file).and_then(|wanted| Plan::towards(&whole(wanted))) {
        Ok(plan) => plan,
        Err(error) => return error.tell(),
    };
    let outcome = if plan.changes.is_empty() {
        Outcome::Unchanged
    } else if arguments.dry_run {
        Outcome::WouldChange
    } else {
        carry_out(&mut plan, arguments.keep_going)
    };
    if arguments.json {
        tell_programs(&plan, &outcome);
    } else {
        tell_people(&plan, &outcome);
    }
    match outcome {
        Outcome::Unchanged => 0,
        Outcome::WouldChange | Outcome::Changed => CHANGED,
        Outcome::Refused(..) => REFUSED,
    }
}

fn carry_out(plan: &mut Plan, keep_going: bool) -> Outcome {
    let refusals = plan.carry_out(keep_going);
    if refusals.is_empty() {
        return Outcome::Changed;
    }
    if keep_going {
        return Outcome::Refused(refusals, Others::Kept);
    }
    let others = match plan.go_back() {
        Ok(true) => Others::TakenBack,
        Ok(false) => Others::TakenBackInPart,
        Err(why) => Others::Left(why),
    };
    Outcome::Refused(refusals, others)
}

fn tell_people(plan: &Plan, outcome: &Outcome) {
    match outcome {
        Outcome::Unchanged | Outcome::Changed => {}
        Outcome::WouldChange => print_changes(plan.before(), &plan.changes),
        Outcome::Refused(refusals, others) => {
            refusals.iter().for_each(|refusal| complain(&format_args!("lvsctl: {refusal}")));
            match others {
                Others::Kept => {}
                Others::TakenBack => complain(&"lvsctl: the table is as it was before"),
                Others::TakenBackInPart => complain(
                    &"lvsctl: what was done is taken back, but for what others have changed in the meantime; \
                      \"lvsctl diff\" shows what is left",
                ),
                Others::Left(why) => {
                    complain(&format_args!("lvsctl: the table could not be put back as it was: {why}"));
                }
            }
        }
    }
}

fn tell_programs(plan: &Plan, outcome: &Outcome) {
    let changes = changes_as_json(&plan.changes);
    let others = |words: &str| Some(json!(words));
    let (result, refused, others) = match outcome {
        Outcome::Unchanged => ("unchanged", None, None),
        Outcome::WouldChange => ("would-change", None, None),
        Outcome::Changed => ("changed", None, None),
        Outcome::Refused(refusals, Others::Kept) => ("refused", Some(refusals), others("kept")),
        Outcome::Refused(refusals, Others::TakenBack) => ("refused", Some(refusals), others("taken-back")),
        Outcome::Refused(refusals, Others::TakenBackInPart) => {
            ("refused", Some(refusals), others("taken-back-in-part"))
        }
        Outcome::Refused(refusals, Others::Left(why)) => ("refused", Some(refusals), Some(json!({"left": why}))),
    };
    let mut object = json!({"result": result, "changes": changes});
    if let (Some(refused), Some(others)) = (refused, others) {
        object["refused"] = json!(refused);
        object["others"] = others;
    }
    print_json(&object);
}
