//! Commands that a change of state asks for: `fallbackcommand` (spec/ldirectord.md 7.1).

use super::{Farm, Held};
use crate::config::model::Virtual;
use crate::notice::ServiceName;
use lvs::ipvs::ServiceKey;

/// Which way a virtual service turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// The last server is gone: the fallback command is told `start`.
    ToFallback,
    /// A server serves: `stop`.
    ToServers,
}

impl Turned {
    /// As the command is told.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ToFallback => "start",
            Self::ToServers => "stop",
        }
    }
}

/// A command to run, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// For which service; the errands of one service are run one after the other.
    pub service: ServiceName,
    /// The shell command.
    pub command: String,
    /// `start` or `stop`, address or mark (B18), protocol.
    pub words: [String; 3],
}

impl Farm {
    /// The commands to run now; to be asked after each turn.
    #[must_use]
    pub fn errands(&mut self) -> Vec<Errand> {
        if !std::mem::take(&mut self.disturbed) {
            return Vec::new();
        }
        self.virtuals.iter_mut().filter_map(Held::errand).collect()
    }
}

impl Farm {
    /// The commands to run as the program stops: where `stopfallback` asks for it, a fallback command
    /// that was told `start` last is told `stop` (B23).
    #[must_use]
    pub fn last_errands(&self) -> Vec<Errand> {
        let on = |held: &&Held| held.service.extensions.stop_fallback && held.told == Some(Turned::ToFallback);
        let errand = |held: &Held| {
            let command = held.service.fallback_command.clone()?;
            Some(Errand { service: held.name.clone(), command, words: words(&held.service, Turned::ToServers) })
        };
        self.virtuals.iter().filter(on).filter_map(errand).collect()
    }
}

impl Held {
    /// Once for each change of what it is told.
    fn errand(&mut self) -> Option<Errand> {
        let command = self.service.fallback_command.as_ref()?;
        let turned = if self.servers.iter().any(|server| server.verdict.serves()) {
            Turned::ToServers
        } else if self.fallback_waits() {
            return None;
        } else {
            Turned::ToFallback
        };
        if self.told.replace(turned) == Some(turned) {
            return None;
        }
        Some(Errand { service: self.name.clone(), command: command.clone(), words: words(&self.service, turned) })
    }
}

fn words(service: &Virtual, turned: Turned) -> [String; 3] {
    let protocol = match service.key {
        ServiceKey::Address { protocol, .. } => protocol.to_string(),
        ServiceKey::Mark { .. } => "fwm".to_owned(),
    };
    [turned.word().to_owned(), service.name(), protocol]
}
