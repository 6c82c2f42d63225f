//! Fencing devices: `stonith` and `stonith_host` (spec/heartbeat.md 1.3, 7.4).
//!
//! A device is a fence agent, as Debian's package fence-agents has them: a program that is told on its standard input, a
//! line KEY=VALUE each, what to do to which node. The plugins of cluster-glue, which heartbeat loads, are another thing;
//! of them there is only `meatware`, an administrator.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Surroundings;
use super::directive;
use super::medium::Mistake;
use super::source::{Place, Source, Word};
use super::value::{self, Wrong};

/// Agents wait for a machine to go off, which takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_PATIENCE: u32 = 3600;

/// What switches the other node off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// A program.
    Agent(Agent),
    /// An administrator, who says when it is done (`meatware`).
    Manual,
}

/// A program with the interface of fence agents.
#[derive(Clone, PartialEq, Eq)]
pub struct Agent {
    /// As ha.cf names it: `fence_ipmilan`.
    pub name: String,
    /// The executable file.
    pub program: PathBuf,
    /// Switch off, and not off and on again.
    pub off: bool,
    /// The nodes that it switches off; empty: every one.
    pub hosts: Vec<String>,
    /// What a node is called there, where it has another name.
    pub plugs: Vec<(String, String)>,
    /// What it is told besides what to do, among it secrets; in the order of the file.
    pub options: Vec<(String, String)>,
    /// How long one call may take.
    pub patience: Duration,
}

impl Fence {
    /// Whether it is a way to have this node off.
    #[must_use]
    pub fn is_for(&self, node: &str) -> bool {
        match self {
            Self::Agent(agent) => agent.is_for(node),
            Self::Manual => true,
        }
    }
}

impl Agent {
    /// Whether it switches this node off.
    #[must_use]
    pub fn is_for(&self, node: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|host| host == node)
    }

    /// What the device calls a node; `None` where the parameters say so for every one.
    #[must_use]
    pub fn plug<'a>(&'a self, node: &'a str) -> Option<&'a str> {
        let mapped = self.plugs.iter().find(|(host, _)| host == node).map(|(_, plug)| plug.as_str());
        let fixed = self.options.iter().any(|(key, _)| matches!(key.as_str(), "plug" | "port"));
        mapped.or((!fixed).then_some(node))
    }
}

impl fmt::Debug for Agent {
    /// Without the values of its options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.options.iter().map(|(key, _)| key.as_str()).collect();
        write!(f, "Agent({}, off: {}, {}, ..)", self.name, self.off, keys.join(" "))
    }
}

/// A device and which node may use it.
#[derive(Debug)]
pub(super) struct Device {
    /// `None`: all.
    pub(super) host: Option<Word>,
    pub(super) fence: Fence,
    pub(super) place: Place,
}

fn mistake<T>(word: &Word, message: impl Into<String>, help: &str) -> Result<T, Mistake> {
    Err((word.clone(), Wrong { message: message.into(), help: Some(help.to_owned()) }))
}

/// Whether a word can only be a device: a program or plugin, and neither a node nor a parameter.
fn is_device(word: &str) -> bool {
    word.starts_with("fence_") || word.contains('/')
}

/// The line as it may be shown: of a fencing device, or what seems to be meant as one, its node and its program, since
/// all that follows may be a password. What is hidden leaves stars, so that columns stay right.
pub(super) fn shown(line: &str) -> String {
    let Some(first) = line.split_whitespace().next() else { return line.to_owned() };
    let directive = first.to_lowercase();
    let meant = lvs::diag::nearest(&directive, ["stonith", "stonith_host"]);
    let mut rest: usize = match meant {
        Some("stonith_host") => 3,
        Some(_) => 2,
        None if directive.contains("stonith") => 2,
        // What was meant to go on with the line above.
        None if first.split_once('=').is_some_and(|(key, _)| is_key(key)) && !is_directive(first, line) => 0,
        None => return line.to_owned(),
    };
    let mut out = String::with_capacity(line.len());
    for piece in line.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let clear = word.is_empty() || rest > 0 && !word.contains('=');
        out.extend(piece.chars().map(|c| if clear || c.is_whitespace() { c } else { '*' }));
        if !word.is_empty() {
            // Behind the device, wherever it stands, nothing is shown; nor behind the first parameter.
            rest = if is_device(word) || word.contains('=') { 0 } else { rest.saturating_sub(1) };
        }
    }
    out
}

/// Whether a line seems to be a directive with a `=` behind it, and nothing that could be a parameter of a device.
fn is_directive(first: &str, line: &str) -> bool {
    let name = first.split('=').next().unwrap_or_default();
    directive::find(name).is_some() && line.matches('=').count() == 1
}

/// Whether a parameter of that name is likely to be a secret, and not the script that says it.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("script") && ["pass", "secret", "token", "community"].iter().any(|part| key.contains(part))
}

/// One line: `words` behind `stonith_host`, or `stonith`, of which there is at least one.
pub(super) fn read(
    for_a_host: bool,
    words: &[Word],
    source: &mut Source,
    around: &Surroundings,
) -> Result<Device, Mistake> {
    let example = "as in \"stonith_host * fence_ipmilan ip=10.0.0.9 username=admin password=...\"";
    if for_a_host {
        let [host, kind, parameters @ ..] = words else {
            return mistake(&words[0], "the device is missing", example);
        };
        if is_device(&host.text) || host.text.contains('=') {
            return mistake(host, "the node that may use the device is missing", example);
        }
        let fence = device(kind, parameters, around)?;
        let mut keys = parameters.iter().filter_map(|word| Some((word, word.text.split_once('=')?.0)));
        if let Some((word, key)) = keys.find(|(_, key)| source.readable && is_secret(key)) {
            let help = "make its mode 600, or put the parameters into a file of that mode: \"stonith AGENT FILE\"";
            source.warn(&word.place, format!("others than its owner may read this file, and with it {key}"), help);
        }
        let host = Some(host).filter(|host| host.text != "*").cloned();
        return Ok(Device { host, fence, place: kind.place.clone() });
    }
    let [kind, file] = words else {
        let last = words.get(2).unwrap_or(&words[0]);
        let message = if words.len() < 2 { "the file with its parameters is missing" } else { "too many words" };
        return mistake(last, message, "device and file, as in \"stonith fence_ipmilan /etc/ha.d/fence\"");
    };
    let (text, readable) = match (around.parameters)(Path::new(&file.text)) {
        Ok(found) => found,
        Err(e) => {
            // A parameter that stands where the file belongs is not repeated.
            let is_path = file.text.starts_with('/') && !file.text.contains('=');
            let name = if is_path { file.text.as_str() } else { "the file with the parameters" };
            return mistake(file, format!("cannot read {name}: {e}"), "a line KEY=VALUE for each parameter");
        }
    };
    if readable {
        let help = format!("run \"chmod 600 {}\": there may be a password in it", file.text);
        source.warn(&file.place, format!("others than its owner may read {}", file.text), help);
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    // Their mistakes are shown where the file is named; its text is not.
    let parameters: Vec<Word> = lines
        .flat_map(str::split_whitespace)
        .map(|text| Word { text: text.to_owned(), place: file.place.clone() })
        .collect();
    Ok(Device { host: None, fence: device(kind, &parameters, around)?, place: kind.place.clone() })
}

fn device(kind: &Word, parameters: &[Word], around: &Surroundings) -> Result<Fence, Mistake> {
    let file_name = kind.text.rsplit('/').next().unwrap_or_default();
    match kind.text.as_str() {
        "meatware" => return Ok(Fence::Manual),
        text if text.contains('=') => {
            return mistake(
                kind,
                "this is a parameter, and the device is missing",
                "the device stands before its parameters",
            );
        }
        "null" => return mistake(kind, "null fences nobody", "a fence agent, or meatware, or no such line"),
        _ if !file_name.starts_with("fence_") && !kind.text.starts_with('/') => {
            let help = "name a fence agent: \"stonith_host * fence_ipmilan ip=10.0.0.9 username=admin password=...\" \
                        (package fence-agents), a program by its path, or meatware";
            return mistake(kind, format!("{:?} is a plugin of cluster-glue, which is not available", kind.text), help);
        }
        _ => {}
    }
    let Some(program) = (around.program)(&kind.text) else {
        let help = "the package fence-agents has the usual ones; a path is taken as well";
        return mistake(kind, format!("{:?} is not installed", kind.text), help);
    };
    let mut agent = Agent {
        name: file_name.to_owned(),
        program,
        off: false,
        hosts: Vec::new(),
        plugs: Vec::new(),
        options: Vec::new(),
        patience: PATIENCE,
    };
    for word in parameters {
        let Some((key, value)) = word.text.split_once('=').filter(|(key, _)| is_key(key)) else {
            return mistake(word, "this parameter is not KEY=VALUE", "as on the agent's standard input: ip=10.0.0.9");
        };
        match (key, value) {
            ("action", "off") => agent.off = true,
            ("action", "reboot") => agent.off = false,
            ("action", _) => return mistake(word, "the action is neither off nor reboot", "what is done to the node"),
            ("agent_timeout", seconds) => {
                let seconds = value::number(seconds, 1, MOST_PATIENCE).map_err(|wrong| (word.clone(), wrong))?;
                agent.patience = Duration::from_secs(seconds.into());
            }
            ("pcmk_host_list", nodes) => agent.hosts.extend(nodes.to_ascii_lowercase().split(',').map(str::to_owned)),
            ("pcmk_host_map", pairs) => {
                for pair in pairs.split(';') {
                    let Some((host, plug)) = pair.split_once(':') else {
                        let help = "as in pcmk_host_map=lvs1:1;lvs2:2";
                        return mistake(word, "the nodes and their plugs are not NODE:PLUG", help);
                    };
                    agent.hosts.push(host.to_ascii_lowercase());
                    agent.plugs.push((host.to_ascii_lowercase(), plug.to_owned()));
                }
            }
            (key, value) => agent.options.push((key.to_owned(), value.to_owned())),
        }
    }
    Ok(Fence::Agent(agent))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
