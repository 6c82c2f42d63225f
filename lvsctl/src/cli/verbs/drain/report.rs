//! What `lvsctl drain` says while it goes on: a line that is rewritten on a terminal, a line for each change
//! elsewhere, a JSON object for each event for programs.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use crate::diag::counted;
use crate::drain::{Left, Target};
use crate::ipvs::{Change, Destination, ServiceKey};

/// Something that happened.
#[derive(Debug)]
pub(super) enum Event {
    /// It gets no new connections from now on; it had this weight, and what is remembered is given back by "undrain".
    Draining { target: Target, weight: u32, remembered: u32 },
    /// Something that will be in the way.
    Warning { service: ServiceKey, warning: String },
    /// What is left after so many seconds.
    Left { servers: BTreeMap<Target, Left>, seconds: u64 },
    /// Nothing is left, or its time is over.
    Ended { target: Target, deleted: bool, left: Left },
    /// Somebody else deleted it.
    Gone { target: Target },
    /// Somebody else gave it a weight.
    Revived { target: Target, weight: u32 },
    /// ldirectord has the order and has not programmed it.
    Unchanged { target: Target, weight: u32 },
    /// ldirectord has the order, and the table cannot be read here: why.
    Unseen { why: String },
    /// It serves again; no change if it did already.
    Undrained { target: Target, change: Option<Change> },
}

/// Where it is said.
#[derive(Debug)]
pub(super) struct Report {
    form: Form,
    /// The last line about what is left, so that it is not said twice.
    last: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Terminal,
    Lines,
    Json,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        let form = match (json, io::stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Terminal,
            (false, false) => Form::Lines,
        };
        Self { form, last: String::new() }
    }

    pub(super) fn tell(&mut self, event: &Event) {
        let text = self.text(event);
        // Whoever does not listen any more wants the server drained all the same.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    }

    fn text(&mut self, event: &Event) -> String {
        if self.form == Form::Json {
            return format!("{}\n", object(event));
        }
        let line = words(event);
        let counts = matches!(event, Event::Left { .. });
        if counts && line == self.last && self.form == Form::Lines {
            return String::new();
        }
        let over = if self.form == Form::Terminal && !self.last.is_empty() { "\r\u{1b}[K" } else { "" };
        self.last = if counts { line.clone() } else { String::new() };
        match (self.form, counts) {
            (Form::Terminal, true) => {
                let Event::Left { seconds, .. } = event else { return String::new() };
                format!("{over}{line} ({seconds} s)")
            }
            _ => format!("{over}{line}\n"),
        }
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Draining { target, weight: 0, remembered: 0 } => format!("{target} has weight 0 already"),
        Event::Draining { target, weight: 0, remembered } => {
            format!("{target} has weight 0 already; its weight was {remembered}, \"lvsctl undrain\" gives it back")
        }
        Event::Draining { target, weight, .. } => {
            format!("{target} gets no new connections; its weight was {weight}, \"lvsctl undrain\" gives it back")
        }
        Event::Warning { warning, .. } => format!("warning: {warning}"),
        Event::Left { servers, .. } => {
            let (mut active, mut inactive, mut persistent) = (0, 0, 0);
            for left in servers.values() {
                active += u64::from(left.active);
                inactive += u64::from(left.inactive);
                persistent += u64::from(left.persistent);
            }
            let servers = if servers.len() == 1 { String::new() } else { format!(" at {} servers", servers.len()) };
            let clients = counted(persistent, "client");
            let kept = if persistent > 0 { format!("; {clients} kept by persistence") } else { String::new() };
            format!("left: {active} active, {inactive} inactive connections{servers}{kept}")
        }
        Event::Ended { target, deleted: true, left } if left.connections() > 0 => {
            format!("{target} is deleted, with {} connections that were left", left.connections())
        }
        Event::Ended { target, deleted: true, .. } => format!("{target} is empty and deleted"),
        Event::Ended { target, deleted: false, left } if left.connections() > 0 => {
            format!("{target} stays with weight 0; {} connections are left", left.connections())
        }
        Event::Ended { target, deleted: false, .. } => format!("{target} is empty and stays with weight 0"),
        Event::Gone { target } => format!("{target} was deleted by somebody else"),
        Event::Revived { target, weight } => {
            format!("{target} was given weight {weight} by somebody else, and is left alone")
        }
        Event::Unchanged { target, weight } => {
            format!("{target} still has weight {weight}, although ldirectord has the order: see its log")
        }
        Event::Unseen { why } => {
            format!(
                "ldirectord drains it; what is left, and whether persistence is in the way, is not seen here: {why}"
            )
        }
        Event::Undrained { target, change: None } => format!("{target} has a weight already"),
        Event::Undrained { target, change: Some(change) } => match weight(change) {
            Some(weight) => format!("{target} has weight {weight} again"),
            None => format!("{target} serves again"),
        },
    }
}

fn weight(change: &Change) -> Option<u32> {
    match change {
        Change::EditDestination(.., Destination { weight, .. })
        | Change::AddDestination(.., Destination { weight, .. }) => Some(*weight),
        _ => None,
    }
}

fn object(event: &Event) -> Value {
    let about =
        |name: &str, target: &Target| json!({"event": name, "service": target.service, "server": target.server});
    let with = |mut object: Value, name: &str, value: Value| {
        object[name] = value;
        object
    };
    match event {
        Event::Draining { target, weight, remembered } => {
            let event = with(about("draining", target), "weight", json!(weight));
            with(event, "remembered", json!(remembered))
        }
        Event::Warning { service, warning } => json!({"event": "warning", "service": service, "text": warning}),
        Event::Left { servers, seconds } => {
            let one = |(target, left): (&Target, &Left)| json!({"service": target.service, "server": target.server, "left": left});
            json!({"event": "left", "seconds": seconds, "servers": servers.iter().map(one).collect::<Vec<_>>()})
        }
        Event::Ended { target, deleted, left } => {
            let name = if *deleted { "deleted" } else { "kept" };
            with(about(name, target), "left", json!(left))
        }
        Event::Gone { target } => about("gone", target),
        Event::Revived { target, weight } => with(about("revived", target), "weight", json!(weight)),
        Event::Unchanged { target, weight } => with(about("unchanged", target), "weight", json!(weight)),
        Event::Unseen { why } => json!({"event": "unseen", "text": why}),
        Event::Undrained { target, change } => {
            with(about("undrained", target), "weight", json!(change.as_ref().and_then(weight)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { service: ServiceKey::tcp(([10, 0, 0, 1], 80).into()), server: ([10, 1, 0, 1], 80).into() }
    }

    fn left(active: u32, seconds: u64) -> Event {
        let left = Left { active, inactive: 2, persistent: 1 };
        Event::Left { servers: [(target(), left)].into(), seconds }
    }

    fn told(form: Form) -> String {
        let mut report = Report { form, last: String::new() };
        let end = Event::Ended { target: target(), deleted: true, left: Left::default() };
        let events =
            [Event::Draining { target: target(), weight: 3, remembered: 3 }, left(5, 0), left(5, 1), left(4, 2), end];
        events.iter().map(|event| report.text(event)).collect()
    }

    #[test]
    fn a_pipe_gets_a_line_for_each_change() {
        let expected = "\
real server 10.1.0.1:80 of tcp 10.0.0.1:80 gets no new connections; its weight was 3, \"lvsctl undrain\" gives it back
left: 5 active, 2 inactive connections; 1 client kept by persistence
left: 4 active, 2 inactive connections; 1 client kept by persistence
real server 10.1.0.1:80 of tcp 10.0.0.1:80 is empty and deleted
";
        assert_eq!(told(Form::Lines), expected);
    }

    #[test]
    fn who_drains_again_is_told_what_is_remembered() {
        let mut report = Report { form: Form::Lines, last: String::new() };
        let mut again = |remembered| report.text(&Event::Draining { target: target(), weight: 0, remembered });
        let told = [again(0), again(5)];
        let expected = [
            "real server 10.1.0.1:80 of tcp 10.0.0.1:80 has weight 0 already\n",
            "real server 10.1.0.1:80 of tcp 10.0.0.1:80 has weight 0 already; its weight was 5, \"lvsctl undrain\" gives it \
             back\n",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_terminal_gets_one_line_that_is_rewritten() {
        let text = told(Form::Terminal);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(text.contains("persistence (1 s)\r\u{1b}[Kleft: 4 active"), "{text:?}");
        assert!(text.contains("(2 s)\r\u{1b}[Kreal server"), "{text:?}");
    }

    #[test]
    fn programs_get_every_event_as_an_object() {
        let text = told(Form::Json);
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(objects.len(), 5);
        assert_eq!((&objects[0]["event"], &objects[0]["weight"]), (&json!("draining"), &json!(3)));
        assert_eq!(objects[3]["servers"][0]["left"]["active"], 4);
        assert_eq!(objects[4]["event"], "deleted");
    }
}
