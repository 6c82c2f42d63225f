//! Other instances that start and stop with this one (`execute`, spec/ldirectord.md 7.6 to 7.8).

use std::time::Duration;

use crate::command::Command;

/// How long another instance may take to start, or to be told something.
const PATIENCE: Duration = Duration::from_secs(60);

/// What another instance is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// To start.
    Start,
    /// To stop.
    Stop,
    /// To read its configuration again; to start if it does not run.
    Reload,
}

impl Word {
    fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
        }
    }
}

/// What the other instances are told when the list of them changes.
#[must_use]
pub fn orders(before: &[String], after: &[String]) -> Vec<(Word, String)> {
    let gone = before.iter().filter(|config| !after.contains(config)).map(|config| (Word::Stop, config.clone()));
    let there = after.iter().map(|config| {
        let word = if before.contains(config) { Word::Reload } else { Word::Start };
        (word, config.clone())
    });
    gone.chain(there).collect()
}

/// Tells one instance: begun at once, with the privileges of this moment. What goes wrong is logged.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn tell(word: Word, config: String) -> impl Future<Output = ()> + Send {
    let told = run(word.verb(), &config);
    async move {
        let told = match (word, told.await) {
            (Word::Reload, Err(_)) => run("start", &config).await,
            (_, told) => told,
        };
        if let Err(why) = told {
            log::warn!("execute: cannot {} the instance of {config}: {why}", word.verb());
        }
    }
}

fn run(verb: &str, config: &str) -> impl Future<Output = Result<(), String>> + Send + use<> {
    let program = std::env::current_exe().map_err(|error| error.to_string());
    let begun = program.map(|program| Command::new(program, [config, verb], PATIENCE).begin());
    async move {
        let outcome = begun?.await;
        if outcome.is_success() {
            return Ok(());
        }
        let complaint = outcome.complaint().map_or_else(String::new, |complaint| format!(": {complaint}"));
        Err(format!("{}{complaint}", outcome.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_stops_what_stays_reads_again_and_what_is_new_starts() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let told = orders(&list(&["a.cf", "b.cf"]), &list(&["b.cf", "c.cf"]));
        let expected = [(Word::Stop, "a.cf"), (Word::Reload, "b.cf"), (Word::Start, "c.cf")];
        assert_eq!(told, expected.map(|(word, config)| (word, config.to_owned())));
    }
}
