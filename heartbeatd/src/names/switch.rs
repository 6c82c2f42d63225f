//! `hb_standby` and `hb_takeover` (spec/heartbeat.md 7.8).

use lvs::control::heartbeatd::{Request, Set};

/// What is asked of the running node, or what to say instead; both with heartbeat's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `Going standby [SET].` and the request; no such line with a takeover.
    Ask {
        /// The set as the administrator named it, `failback` being `foreign`.
        announced: Option<String>,
        /// The request.
        request: Request,
    },
    /// To standard output, then the usage to standard error; exit status 1.
    Refuse(Option<String>),
}

/// Reads a command line of `hb_standby`, or of `hb_takeover`. `program` is `argv[0]`.
#[must_use]
pub fn read(program: &str, standby: bool, arguments: &[String]) -> Order {
    let word = match arguments {
        [] => "all",
        [word] => word.as_str(),
        _ => return Order::Refuse(Some(format!("{program}: too many arguments"))),
    };
    let set = match (word, standby) {
        ("all", _) => Set::All,
        ("local", _) => Set::Local,
        ("foreign", _) => Set::Foreign,
        // Whoever wants things back where they belong gives what is the other's, or takes what is his: the original's
        // hb_takeover moves everything (fault 5).
        ("failback", true) => Set::Foreign,
        ("failback", false) => Set::Local,
        ("--help", _) => return Order::Refuse(None),
        _ => return Order::Refuse(Some(format!("{program}: wrong resources({word})."))),
    };
    if standby {
        let announced = Some(if word == "failback" { "foreign" } else { word }.to_owned());
        Order::Ask { announced, request: Request::Standby { set, group: None } }
    } else {
        Order::Ask { announced: None, request: Request::Takeover { set, group: None } }
    }
}

/// The usage line of that program.
#[must_use]
pub fn usage(program: &str) -> String {
    format!("{program} [all|foreign|local|failback]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(standby: bool, line: &str) -> Order {
        read("hb", standby, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn failback_puts_things_where_they_belong() {
        let announced = Some("foreign".to_owned());
        let request = Request::Standby { set: Set::Foreign, group: None };
        assert_eq!(order(true, "failback"), Order::Ask { announced, request });
        let request = Request::Takeover { set: Set::Local, group: None };
        assert_eq!(order(false, "failback"), Order::Ask { announced: None, request });
    }

    #[test]
    fn other_words_are_refused_in_heartbeats_words() {
        assert_eq!(order(true, "bogus"), Order::Refuse(Some("hb: wrong resources(bogus).".into())));
        assert_eq!(order(true, "a b"), Order::Refuse(Some("hb: too many arguments".into())));
        assert_eq!(order(false, "--help"), Order::Refuse(None));
    }
}
