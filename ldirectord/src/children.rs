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

/// Tells one instance; what goes wrong is logged.
pub async fn tell(word: Word, config: &str) {
    let told = run(word.verb(), config).await;
    let told = match (word, told) {
        (Word::Reload, Err(_)) => run("start", config).await,
        (_, told) => told,
    };
    if let Err(why) = told {
        log::warn!("execute: cannot {} the instance of {config}: {why}", word.verb());
    }
}

async fn run(verb: &str, config: &str) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let outcome = Command::new(program, [config, verb], PATIENCE).run().await;
    if outcome.is_success() {
        return Ok(());
    }
    let complaint = outcome.complaint().map_or_else(String::new, |complaint| format!(": {complaint}"));
    Err(format!("{}{complaint}", outcome.ended))
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
