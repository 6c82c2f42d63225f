//! The command line, as the original takes it (spec/ldirectord.md chapter 1).

use std::ffi::{OsStr, OsString};

use lexopt::Arg;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `-h`, `-?`, `--help`.
    Help,
    /// `-v`, `--version`.
    Version,
    /// A verb for an instance.
    Verb {
        /// What to do.
        verb: Verb,
        /// `CONFIG` as given; `None` for the default instance.
        config: Option<OsString>,
        /// `-d`: in the foreground, everything to standard error, no pid file.
        debug: bool,
        /// Everything behind the options, for the log.
        arguments: Vec<OsString>,
        /// `status --json`: what the daemon knows, as one JSON object.
        json: bool,
    },
    /// `check`, which the original does not have: is this file right?
    Check {
        /// `CONFIG` as given; `None` for the default.
        config: Option<OsString>,
    },
}

/// What can be done with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Starts the daemon unless it runs.
    Start,
    /// Tells it to stop, and does not wait.
    Stop,
    /// Stops it, waits, and starts it.
    Restart,
    /// As restart, but only if it runs.
    TryRestart,
    /// Tells it to read its file again; `force-reload` is the same.
    Reload,
    /// Says whether it runs.
    Status,
}

impl Verb {
    /// The verb of that name.
    #[must_use]
    pub fn from_name(name: &OsStr) -> Option<Self> {
        match name.to_str()? {
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            "restart" => Some(Self::Restart),
            "try-restart" => Some(Self::TryRestart),
            "reload" | "force-reload" => Some(Self::Reload),
            "status" => Some(Self::Status),
            _ => None,
        }
    }

    /// Its name, for the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::TryRestart => "try-restart",
            Self::Reload => "reload",
            Self::Status => "status",
        }
    }
}

/// The command line makes no sense: usage on standard output, exit status 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// What the original says on standard error, if anything.
    pub complaint: Option<String>,
}

/// The first lines of `--version`. Scripts look at the first.
pub const VERSION: &str = concat!(
    "Linux Director v1.186-ha\n",
    "ldirectord ",
    env!("CARGO_PKG_VERSION"),
    ", compatible with Linux Director v1.186-ha\n"
);

/// Printed where the command line makes no sense.
pub const USAGE: &str = "\
Usage: ldirectord [-d|--debug] [--] [CONFIG] VERB
       ldirectord [CONFIG] status --json
       ldirectord check [CONFIG]
       ldirectord -h|-?|--help | -v|--version

VERB is start, stop, restart, try-restart, reload, force-reload or status.
";

/// What `--help` adds to [`USAGE`].
pub const HELP: &str = "
CONFIG is a file, looked for in /etc/ha.d, in /etc/ha.d/conf and as given.
Without it the file is ldirectord.cf and the instance is called ldirectord.

  start         check the file, start the daemon in the background
  stop          tell the daemon to stop
  restart       stop, wait until it has stopped, start
  try-restart   restart, but only if it runs
  reload        check the file, tell the daemon to read it again
  force-reload  the same
  status        tell whether it runs: exit status 0, 3 if stopped, 1 if it died;
                and what it knows of every server, with --json as one object
  check         check the file and do nothing else: exit status 0 or 2

  -d, --debug   start in the foreground and log to standard error
  -h, --help    this text; the manual is ldirectord(8)
  -v, --version the version
";

/// Reads the arguments behind the program's name.
///
/// # Errors
/// For what the original answers with its usage.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let (mut debug, mut help, mut version) = (false, false, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut positional = Vec::new();
    loop {
        // Options end at the first argument that is none.
        let argument = parser.next().map_err(|error| complaint(error.to_string()))?;
        match argument {
            None => break,
            Some(Arg::Short('d') | Arg::Long("debug")) => debug = true,
            Some(Arg::Short('h' | '?') | Arg::Long("help")) => help = true,
            Some(Arg::Short('v') | Arg::Long("version")) => version = true,
            Some(Arg::Short(option)) => return Err(complaint(format!("Unknown option: {option}"))),
            Some(Arg::Long(option)) => return Err(complaint(format!("Unknown option: {option}"))),
            Some(Arg::Value(first)) => {
                positional.push(first);
                let rest = parser.raw_args().map_err(|error| complaint(error.to_string()))?;
                positional.extend(rest);
                break;
            }
        }
    }
    if help {
        return Ok(Command::Help);
    }
    if version {
        return Ok(Command::Version);
    }
    verb(positional, debug)
}

fn complaint(text: String) -> UsageError {
    UsageError { complaint: Some(text) }
}

/// One argument is the verb; of more the first is the configuration.
fn verb(positional: Vec<OsString>, debug: bool) -> Result<Command, UsageError> {
    let json = |word: &OsString| word == "--json";
    let (config, word) = match positional.as_slice() {
        [] => return Err(UsageError { complaint: None }),
        [word] => (None, word),
        [word, option] if word == "status" && json(option) => (None, word),
        [config, word, ..] => (Some(config), word),
    };
    if let Some(verb) = Verb::from_name(word) {
        let json = verb == Verb::Status && positional.last().is_some_and(json);
        return Ok(Command::Verb { verb, config: config.cloned(), debug, json, arguments: positional });
    }
    match (config, word) {
        (config, word) if word == "check" => Ok(Command::Check { config: config.cloned() }),
        (Some(first), file) if first == "check" => Ok(Command::Check { config: Some(file.clone()) }),
        _ => Err(UsageError { complaint: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn verb_of(line: &str) -> (Verb, Option<String>, bool) {
        match parsed(line) {
            Ok(Command::Verb { verb, config, debug, .. }) => {
                (verb, config.map(|c| c.into_string().expect("ASCII")), debug)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn one_argument_is_the_verb_and_two_are_file_and_verb() {
        assert_eq!(verb_of("start"), (Verb::Start, None, false));
        assert_eq!(verb_of("web.cf stop"), (Verb::Stop, Some("web.cf".into()), false));
        assert_eq!(verb_of("/etc/lb/web.cf force-reload now"), (Verb::Reload, Some("/etc/lb/web.cf".into()), false));
        assert_eq!(verb_of("start stop"), (Verb::Stop, Some("start".into()), false));
    }

    #[test]
    fn options_may_be_bundled_and_end_at_the_first_argument() {
        assert_eq!(verb_of("-d start"), (Verb::Start, None, true));
        assert_eq!(verb_of("--debug web.cf start"), (Verb::Start, Some("web.cf".into()), true));
        assert_eq!(verb_of("-- web.cf start"), (Verb::Start, Some("web.cf".into()), false));
        assert_eq!(verb_of("web.cf start -d"), (Verb::Start, Some("web.cf".into()), false));
        assert_eq!(parsed("-dv start"), Ok(Command::Version));
        assert_eq!(parsed("-?"), Ok(Command::Help));
    }

    #[test]
    fn long_options_are_spelled_out() {
        assert_eq!(parsed("--deb status"), Err(complaint("Unknown option: deb".into())));
        assert_eq!(parsed("-f web.cf start"), Err(complaint("Unknown option: f".into())));
        assert_eq!(parsed("-dx start"), Err(complaint("Unknown option: x".into())));
    }

    #[test]
    fn no_argument_and_unknown_verbs_are_answered_with_the_usage() {
        for line in ["", "begin", "web.cf begin", "web.cf", "-d"] {
            assert_eq!(parsed(line), Err(UsageError { complaint: None }), "{line}");
        }
    }

    #[test]
    fn the_status_may_be_wanted_as_json() {
        let json = |line| match parsed(line) {
            Ok(Command::Verb { verb: Verb::Status, config, json, .. }) => (config.is_some(), json),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(json("status"), (false, false));
        assert_eq!(json("status --json"), (false, true));
        assert_eq!(json("web.cf status"), (true, false));
        assert_eq!(json("web.cf status --json"), (true, true));
    }

    #[test]
    fn check_takes_its_file_on_either_side() {
        let file = |name: &str| Ok(Command::Check { config: Some(name.into()) });
        assert_eq!(parsed("check"), Ok(Command::Check { config: None }));
        assert_eq!(parsed("check web.cf"), file("web.cf"));
        assert_eq!(parsed("web.cf check"), file("web.cf"));
        // A file may have that name.
        assert_eq!(verb_of("check start"), (Verb::Start, Some("check".into()), false));
    }

    #[test]
    fn the_first_line_of_the_version_is_the_one_that_scripts_know() {
        assert_eq!(VERSION.lines().next(), Some("Linux Director v1.186-ha"));
    }
}
