//! `cl_status` (spec/heartbeat.md 7.7): its words and its exit statuses, answered by heartbeatd.

use std::fmt::Write;

use lvs::control::heartbeatd::{NodeStatus, Status};

/// The answer is good.
pub const GOOD: u8 = 0;
/// The answer is no, or an ordinary failure.
pub const NO: u8 = 1;
/// Wrong arguments.
pub const BAD_PARAMETER: u8 = 11;
/// Something else is wrong.
pub const FAILURE: u8 = 13;

/// Why nobody answers, in the words that scripts may look for.
const NO_SOCKET: &str = "hb_api_signon: Can't initiate connection to heartbeat";

/// Shown without arguments, and for `-h`.
pub const USAGE: &str = "\
Usage: cl_status <sub-command> [<options>] [<parameters>]

Sub-commands, each with -m for whole sentences:
hbstatus [-v]                            whether this node's heartbeatd runs; -v: and the nodes
listnodes [-n|-p|-v]                     the nodes; -n: without ping nodes, -p: only those, -v: with type, status and links
nodestatus <node-name>                   active, up, init, dead or ping
nodetype <node-name>                     normal or ping
nodeweight <node-name>                   always 100
nodesite <node-name>                     always empty
listhblinks [-v] <node-name>             the links to a node; -v: and whether it is heard there
hblinkstatus <node-name> <link-name>     up or dead
clientstatus <node-name> <client> [<ms>] whether ipfail is at work on a node
rscstatus                                none, local, foreign, all or transition
hbparameter -p <parameter-name>          a directive of ha.cf as written, or its default";

/// A sub-command with its options and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    verb: Verb,
    sentences: bool,
    verbose: bool,
    only: Option<bool>,
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Running,
    ListNodes,
    NodeStatus,
    NodeType,
    NodeWeight,
    NodeSite,
    ListLinks,
    LinkStatus,
    ClientStatus,
    Resources,
    Parameter,
}

/// What to print and how to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// For standard output, or, a complaint, for standard error.
    pub text: String,
    /// Which of the two.
    pub complaint: bool,
    /// Exit status.
    pub status: u8,
}

fn reply(status: u8, text: impl Into<String>) -> Reply {
    Reply { text: text.into(), complaint: status >= BAD_PARAMETER, status }
}

fn error(status: u8, text: &str) -> Reply {
    Reply { complaint: true, ..reply(status, format!("cl_status: ERROR: {text}")) }
}

impl Question {
    /// Reads a command line.
    ///
    /// # Errors
    /// The reply to one that makes no sense, or that asks for the usage.
    pub fn read(arguments: &[String]) -> Result<Self, Reply> {
        let [verb, arguments @ ..] = arguments else { return Err(reply(GOOD, USAGE)) };
        let (verb, options) = match verb.as_str() {
            "-h" | "--help" => return Err(reply(GOOD, USAGE)),
            "hbstatus" => (Verb::Running, "mv"),
            "listnodes" => (Verb::ListNodes, "mnpv"),
            "nodestatus" => (Verb::NodeStatus, "m"),
            "nodetype" => (Verb::NodeType, "m"),
            "nodeweight" => (Verb::NodeWeight, "m"),
            "nodesite" => (Verb::NodeSite, "m"),
            "listhblinks" => (Verb::ListLinks, "mv"),
            "hblinkstatus" => (Verb::LinkStatus, "m"),
            "clientstatus" => (Verb::ClientStatus, "m"),
            "rscstatus" => (Verb::Resources, "m"),
            "hbparameter" => (Verb::Parameter, "mp"),
            other => return Err(error(BAD_PARAMETER, &format!("{other}: invalid sub-command."))),
        };
        let mut this = Self { verb, sentences: false, verbose: false, only: None, words: Vec::new() };
        for argument in arguments {
            let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                this.words.push(argument.clone());
                continue;
            };
            for letter in letters.chars() {
                match letter {
                    'm' => this.sentences = true,
                    'v' if options.contains('v') => this.verbose = true,
                    'n' if options.contains('n') => this.only = Some(false),
                    // The name of a parameter is the only word there can be.
                    'p' if verb == Verb::Parameter => {}
                    'p' if options.contains('p') => this.only = Some(true),
                    other => return Err(error(BAD_PARAMETER, &format!("invalid option -- '{other}'"))),
                }
            }
        }
        let (wanted, complaint) = match verb {
            Verb::Running | Verb::ListNodes | Verb::Resources => (0, ""),
            Verb::NodeStatus | Verb::NodeWeight | Verb::NodeSite => (1, "Not enough parameters."),
            Verb::NodeType | Verb::ListLinks => (1, "No enough parameter."),
            Verb::LinkStatus | Verb::ClientStatus => (2, "No enough parameter."),
            Verb::Parameter => (1, "cl_status: ERROR: parameter name required"),
        };
        if this.words.len() < wanted { Err(reply(BAD_PARAMETER, complaint)) } else { Ok(this) }
    }

    /// The name of the parameter that is asked for: the one question that ha.cf answers.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        (self.verb == Verb::Parameter).then(|| self.word(0))
    }

    /// Whether only `hbstatus` is asked, to which a node that does not run has an answer.
    #[must_use]
    pub fn is_about_running(&self) -> bool {
        self.verb == Verb::Running
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// The answer where no node runs here.
    #[must_use]
    pub fn not_running(&self) -> Reply {
        if self.is_about_running() {
            let why = if self.verbose { format!("\n({NO_SOCKET})") } else { String::new() };
            return reply(NO, format!("Heartbeat is stopped on this machine.{why}"));
        }
        error(NO, &format!("Cannot signon with heartbeat\ncl_status: ERROR: REASON: {NO_SOCKET}"))
    }

    /// The answer to `hbparameter`.
    #[must_use]
    pub fn parameter_reply(&self, value: Option<&str>) -> Reply {
        let name = self.word(0);
        match value {
            None => error(NO, &format!("Cannot get parameter {name}'s value")),
            Some(value) if self.sentences => reply(GOOD, format!("Heartbeat parameter {name}'s value: {value}")),
            Some(value) => reply(GOOD, value),
        }
    }

    /// The answer of a running node.
    #[must_use]
    pub fn answer(&self, status: &Status) -> Reply {
        let name = self.word(0);
        // Names of nodes are in lower case, whatever was asked (fault 20).
        let node = status.nodes.iter().find(|node| node.name.eq_ignore_ascii_case(name));
        let say = |bare: &str, sentence: String| if self.sentences { sentence } else { bare.to_owned() };
        match self.verb {
            Verb::Running => {
                let mut text = "Heartbeat is running on this machine.".to_owned();
                if self.verbose {
                    let version = super::heartbeat::VERSION;
                    let heading = if self.sentences {
                        format!("Heartbeat version {version}\nResources controlled by \"haresources\"")
                    } else {
                        format!("version:\t{version}\nmanaged by:\t\"haresources\"")
                    };
                    text = format!("{heading}\n{}", self.nodes(status));
                }
                reply(GOOD, text)
            }
            Verb::ListNodes => {
                let heading = if self.sentences { "The nodes are as follow:\n" } else { "" };
                reply(GOOD, format!("{heading}{}", self.nodes(status)))
            }
            Verb::ListLinks => match node {
                Some(node) => reply(GOOD, self.links(status, node, self.verbose)),
                None => error(FAILURE, "Cannot start heartbeat link interface walk."),
            },
            Verb::LinkStatus => {
                let link = self.word(1);
                let up = node.and_then(|node| links(status, node).into_iter().find(|(name, _)| *name == link));
                match up {
                    None => error(FAILURE, "Cannot get heartbeat link status"),
                    Some((_, up)) => {
                        let state = up_or_dead(up);
                        let text = say(state, format!("The node {name}'s heartbeat link {link} is {state}"));
                        reply(u8::from(!up), text)
                    }
                }
            }
            Verb::ClientStatus => match node {
                Some(node) => {
                    let online = self.word(1) == "ipfail" && status.ipfail && node.name == status.node;
                    reply(u8::from(!online), if online { "online" } else { "offline" })
                }
                None => error(FAILURE, &format!("Cannot get heartbeat client {}'s status", self.word(1))),
            },
            Verb::Resources => {
                let holds = &status.holds;
                let sentence = if holds == "transition" {
                    "This node is in transition.".to_owned()
                } else {
                    format!("This node is holding {holds} resources.")
                };
                reply(GOOD, say(holds, sentence))
            }
            Verb::Parameter => self.parameter_reply(None),
            Verb::NodeStatus | Verb::NodeType | Verb::NodeWeight | Verb::NodeSite => {
                let Some(node) = node else {
                    let text = match self.verb {
                        Verb::NodeWeight => "Error. Maybe due to incorrect node name.",
                        _ => "Error. May be due to incorrect node name",
                    };
                    return reply(BAD_PARAMETER, text);
                };
                match self.verb {
                    Verb::NodeType => reply(GOOD, say(kind(node), format!("The node {name}'s type: {}", kind(node)))),
                    Verb::NodeWeight => {
                        reply(GOOD, say("100", format!("The weight of the cluster node {name} is 100")))
                    }
                    Verb::NodeSite => reply(GOOD, say("\n", format!("The site of the cluster node {name} is "))),
                    _ => {
                        let good = ["active", "up", "ping"].contains(&node.status.as_str());
                        let text = say(&node.status, format!("The cluster node {name} is {}", node.status));
                        reply(u8::from(!good), text)
                    }
                }
            }
        }
    }

    /// One line a node, the last of ha.cf first, as the original walks its table.
    fn nodes(&self, status: &Status) -> String {
        let mut out = String::new();
        for node in status.nodes.iter().rev().filter(|node| self.only.is_none_or(|pings| node.ping == pings)) {
            // Writing to a string does not fail.
            let _ = if self.verbose {
                let links = self.links(status, node, true);
                writeln!(out, "\n{}\t{}\t(nodetype: {})\n{links}", node.name, node.status, kind(node))
            } else {
                writeln!(out, "{}", node.name)
            };
        }
        out.trim_end_matches('\n').to_owned()
    }

    fn links(&self, status: &Status, node: &NodeStatus, verbose: bool) -> String {
        let heading = self.sentences.then(|| "\tthis node has the following heartbeat links:".to_owned());
        let lines = links(status, node)
            .into_iter()
            .map(|(name, up)| if verbose { format!("\t{name}\t{}", up_or_dead(up)) } else { format!("\t{name}") });
        heading.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }
}

fn kind(node: &NodeStatus) -> &'static str {
    if node.ping { "ping" } else { "normal" }
}

fn up_or_dead(up: bool) -> &'static str {
    if up { "up" } else { "dead" }
}

/// The links to a node; this node's own are those to the others, up while their media work.
fn links<'a>(status: &'a Status, node: &'a NodeStatus) -> Vec<(&'a str, bool)> {
    let of = |node: &'a NodeStatus, own: bool| {
        let up = move |link: &lvs::control::heartbeatd::LinkStatus| if own { link.trouble.is_none() } else { link.up };
        node.links.iter().map(move |link| (link.name.as_str(), up(link))).collect()
    };
    if node.name != status.node {
        return of(node, false);
    }
    status.nodes.iter().find(|node| node.name != status.node && !node.ping).map_or(Vec::new(), |peer| of(peer, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs::control::heartbeatd::LinkStatus;

    fn status() -> Status {
        let node = |name: &str, status: &str, links: &[(&str, bool)], ping| NodeStatus {
            name: name.into(),
            status: status.into(),
            links: links.iter().map(|&(name, up)| LinkStatus { name: name.into(), up, trouble: None }).collect(),
            heartbeatd: None,
            differs: Vec::new(),
            ping,
            fencing: None,
            maintenance: false,
        };
        Status {
            node: "node1".into(),
            holds: "local".into(),
            stable: true,
            nodes: vec![
                node("node1", "active", &[], false),
                node("node2", "dead", &[("hb0", false), ("hb1", true)], false),
                node("10.0.0.1", "ping", &[("10.0.0.1", true)], true),
            ],
            groups: Vec::new(),
            longest_gap_ms: 0,
            refused: std::collections::BTreeMap::new(),
            ipfail: true,
            maintenance: false,
            deaf: false,
        }
    }

    fn ask(line: &str) -> (u8, String) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let reply = match Question::read(&words) {
            Ok(question) => question.answer(&status()),
            Err(reply) => reply,
        };
        (reply.status, reply.text)
    }

    #[test]
    fn where_nothing_runs_the_answers_are_the_originals_too() {
        let ask = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let reply = Question::read(&words).unwrap().not_running();
            (reply.status, reply.text)
        };
        let stopped = "Heartbeat is stopped on this machine.";
        let why = "hb_api_signon: Can't initiate connection to heartbeat";
        assert_eq!(ask("hbstatus -m"), (1, stopped.into()));
        assert_eq!(ask("hbstatus -v"), (1, format!("{stopped}\n({why})")));
        let error = "cl_status: ERROR: ";
        assert_eq!(ask("rscstatus"), (1, format!("{error}Cannot signon with heartbeat\n{error}REASON: {why}")));
    }

    #[test]
    fn answers_are_the_originals() {
        let table: &[(&str, u8, &str)] = &[
            ("hbstatus", 0, "Heartbeat is running on this machine."),
            ("listnodes", 0, "10.0.0.1\nnode2\nnode1"),
            ("listnodes -n", 0, "node2\nnode1"),
            ("listnodes -p", 0, "10.0.0.1"),
            ("nodestatus node1", 0, "active"),
            ("nodestatus node2 -m", 1, "The cluster node node2 is dead"),
            ("nodestatus 10.0.0.1", 0, "ping"),
            ("nodestatus NODE1", 0, "active"),
            ("hblinkstatus Node2 hb1", 0, "up"),
            ("nodestatus nosuch", 11, "Error. May be due to incorrect node name"),
            ("nodestatus", 11, "Not enough parameters."),
            ("nodetype 10.0.0.1", 0, "ping"),
            ("listhblinks node1", 0, "\thb0\n\thb1"),
            ("listhblinks -v node2", 0, "\thb0\tdead\n\thb1\tup"),
            ("hblinkstatus node2 hb0", 1, "dead"),
            ("hblinkstatus node1 hb0", 0, "up"),
            ("hblinkstatus node2 hb9", 13, "cl_status: ERROR: Cannot get heartbeat link status"),
            ("clientstatus node1 ipfail", 0, "online"),
            ("clientstatus node2 ipfail", 1, "offline"),
            ("rscstatus", 0, "local"),
            ("rscstatus -m", 0, "This node is holding local resources."),
            ("frob", 11, "cl_status: ERROR: frob: invalid sub-command."),
            ("-m hbstatus", 11, "cl_status: ERROR: -m: invalid sub-command."),
            ("hbparameter", 11, "cl_status: ERROR: parameter name required"),
        ];
        for (line, code, text) in table {
            assert_eq!(ask(line), (*code, (*text).to_owned()), "{line}");
        }
        let version = concat!("3.0.6 (node: heartbeatd ", env!("CARGO_PKG_VERSION"), ")");
        let nodes = ask("listnodes -v").1;
        assert_eq!(ask("hbstatus -v").1, format!("version:\t{version}\nmanaged by:\t\"haresources\"\n{nodes}"));
        let nodes =
            ask("listnodes -v").1.replace("normal)\n", "normal)\n\tthis node has the following heartbeat links:\n");
        let nodes = nodes.replace("ping)\n", "ping)\n\tthis node has the following heartbeat links:\n");
        let sentences = format!("Heartbeat version {version}\nResources controlled by \"haresources\"\n{nodes}");
        assert_eq!(ask("hbstatus -v -m").1, sentences);
        assert_eq!(
            ask("listnodes -v -n").1,
            "\nnode2\tdead\t(nodetype: normal)\n\thb0\tdead\n\thb1\tup\n\nnode1\tactive\t(nodetype: normal)\n\thb0\tup\n\thb1\tup"
        );
    }
}
