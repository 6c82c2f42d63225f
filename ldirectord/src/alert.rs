//! Mail about changes of state (spec/ldirectord.md chapter 9): which notices become letters, and
//! when somebody is reminded.
//!
//! Pure: notices and the time come in, [`Letter`]s go out. [`post`] sends them.

pub mod post;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::config::model::Alert;
use crate::notice::{Notice, ServerName, ServiceName};

/// What the daemon is doing, as mails tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Until every server was checked once.
    Starting,
    /// Afterwards.
    Running,
    /// From a reload until every server was checked once more.
    Reloading,
    /// While it stops.
    Stopping,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
        })
    }
}

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `emailalert` as written: addresses, comma-separated.
    pub to: String,
    /// `emailalertfrom`; the daemon's own address without.
    pub from: Option<String>,
    /// The relay; the local mail system without.
    pub relay: Option<String>,
    /// The line that it is about.
    pub text: String,
    /// Subject.
    pub subject: String,
    /// Everything below the headers.
    pub body: String,
}

/// Who wants mail about what.
#[derive(Debug)]
pub struct Alerts {
    host: String,
    services: BTreeMap<String, Subscription>,
    /// Servers that are down, by service and server.
    down: BTreeMap<(String, String), Reminder>,
}

#[derive(Debug)]
struct Subscription {
    alert: Alert,
    service_name: Option<String>,
    comment: Option<String>,
}

#[derive(Debug)]
struct Reminder {
    text: String,
    at: Instant,
}

/// What a notice means to whoever waits for a server.
enum Meaning {
    /// It went down.
    Down,
    /// It is back, or nobody's any more.
    Settled,
    /// Nothing: it is about a fallback.
    Nothing,
}

impl Alerts {
    /// The mails that a configuration asks for; `host` is this machine's name.
    #[must_use]
    pub fn of(config: &Config, host: &str) -> Self {
        let mut alerts = Self { host: host.to_owned(), services: BTreeMap::new(), down: BTreeMap::new() };
        alerts.follow(config);
        alerts
    }

    /// Another configuration is in force. Who waits for a server of both goes on waiting.
    pub fn follow(&mut self, config: &Config) {
        let subscriptions = config.virtuals.iter().filter_map(|v| {
            let subscription = Subscription {
                alert: v.alert.clone()?,
                service_name: v.service_name.clone(),
                comment: v.comment.clone(),
            };
            Some((v.id(), subscription))
        });
        self.services = subscriptions.collect();
        let listed = |(service, real): &(String, String)| {
            config.virtuals.iter().any(|v| v.id() == *service && v.reals.iter().any(|r| r.name() == *real))
        };
        let services = &self.services;
        self.down.retain(|key, _| services.get(&key.0).is_some_and(|s| s.alert.remind_after.is_some()) && listed(key));
    }

    /// The letter for a notice, if somebody wants one.
    #[must_use]
    pub fn note(&mut self, now: Instant, phase: Phase, notice: &Notice) -> Option<Letter> {
        if let Notice::RealDown { service, real, .. } = notice {
            // A server that was never in the table leaves it without a line, and is missed all the same.
            self.wait_for(now, service, real, false);
            return None;
        }
        let (service, real, text, meaning) = mailed(notice)?;
        match meaning {
            Meaning::Down => self.wait_for(now, service, real, true),
            Meaning::Settled => {
                self.down.remove(&(service.id().to_owned(), real.to_string()));
            }
            Meaning::Nothing => {}
        }
        self.letter(service.id(), phase, text)
    }

    fn wait_for(&mut self, now: Instant, service: &ServiceName, real: &ServerName, again: bool) {
        let Some(after) = self.services.get(service.id()).and_then(|s| s.alert.remind_after) else { return };
        let reminder = Reminder { text: format!("Inaccessible real server: {real} ({service})"), at: now + after };
        let key = (service.id().to_owned(), real.to_string());
        if again {
            self.down.insert(key, reminder);
        } else {
            self.down.entry(key).or_insert(reminder);
        }
    }

    /// The reminders that are due.
    #[must_use]
    pub fn due(&mut self, now: Instant, phase: Phase) -> Vec<Letter> {
        let mut due = Vec::new();
        for ((service, _), reminder) in self.down.iter_mut().filter(|(_, reminder)| reminder.at <= now) {
            let again = self.services.get(service).and_then(|s| s.alert.remind_after);
            reminder.at = now + again.unwrap_or(Duration::from_secs(3600));
            due.push((service.clone(), reminder.text.clone()));
        }
        due.into_iter().filter_map(|(service, text)| self.letter(&service, phase, text)).collect()
    }

    /// When [`Alerts::due`] is to be asked again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.down.values().map(|reminder| reminder.at).min()
    }

    fn letter(&self, service: &str, phase: Phase, text: String) -> Option<Letter> {
        let Subscription { alert, service_name, comment } = self.services.get(service)?;
        let wanted = match phase {
            Phase::Starting => alert.during.starting,
            Phase::Running => alert.during.running,
            Phase::Reloading => alert.during.reloading,
            Phase::Stopping => alert.during.stopping,
        };
        if !wanted {
            return None;
        }
        let subject = service_name.as_ref().map_or_else(|| text.clone(), |name| format!("[{name}] {text}"));
        let mut body = format!("ldirectord host: {}\nLog-Message: {subject}\nDaemon-Status: {phase}\n", self.host);
        if service_name.is_some() || comment.is_some() {
            body.push('\n');
            body.extend(service_name.iter().map(|name| format!("Service name: {name}\n")));
            body.extend(comment.iter().map(|comment| format!("Comment: {comment}\n")));
            body.push('\n');
        }
        let Alert { to, from, smtp, .. } = alert;
        Some(Letter { to: to.clone(), from: from.clone(), relay: smtp.clone(), text, subject, body })
    }
}

/// The notices that are mailed (those marked M in spec 10.2), and the text.
fn mailed(notice: &Notice) -> Option<(&ServiceName, &ServerName, String, Meaning)> {
    let line = notice.to_string();
    Some(match notice {
        Notice::RealAdded { service, real, .. } | Notice::RealRestored { service, real, .. } => {
            (service, real, line, Meaning::Settled)
        }
        Notice::RealPurged { service, real, .. } => (service, real, line, Meaning::Settled),
        Notice::RealQuiescent { service, real, .. } => {
            // The mail does not say that it was put there for that.
            let text = line.strip_prefix("Readd ").unwrap_or(&line).to_owned();
            (service, real, text, Meaning::Down)
        }
        Notice::RealDeleted { service, real } => (service, real, line, Meaning::Down),
        Notice::FallbackAdded { service, real }
        | Notice::FallbackRestored { service, real }
        | Notice::FallbackDeleted { service, real } => (service, real, line, Meaning::Nothing),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Fixed};
    use crate::notice::Occasion;

    const HOST: &str = "lvs1";
    const SECOND: Duration = Duration::from_secs(1);

    fn alerts(lines: &str) -> (Alerts, ServiceName, ServerName) {
        let text = format!("virtual=10.0.0.1:80\n{lines}\n\tchecktype=on\n\treal=192.0.2.1:80 masq\n");
        let surroundings = Fixed::default();
        let config = config::load("t.cf".as_ref(), text.as_bytes(), &surroundings).expect("a good file").config;
        let service = ServiceName::of(&config.virtuals[0]);
        let real = ServerName::real(&config.virtuals[0].reals[0]);
        (Alerts::of(&config, HOST), service, real)
    }

    #[test]
    fn row_65_a_letter_has_the_line_and_what_the_file_says_about_the_service() {
        let (mut alerts, service, real) = alerts(
            "\temailalert=\"a@x.net, b@x.net\"\n\tservicename=Web\n\tcomment=5 disks\n\tsmtp=mail.x.net\n\temailalertfreq=3",
        );
        let now = Instant::now();
        let down = Notice::RealQuiescent { service: service.clone(), real: real.clone(), again: true };
        let letter = alerts.note(now, Phase::Starting, &down).expect("a letter");
        assert_eq!(letter.to, "a@x.net, b@x.net");
        assert_eq!(letter.relay.as_deref(), Some("mail.x.net"));
        assert_eq!(letter.subject, "[Web] Quiescent real server: 192.0.2.1:80 (10.0.0.1:80) (Weight set to 0)");
        let body = "ldirectord host: lvs1\n\
            Log-Message: [Web] Quiescent real server: 192.0.2.1:80 (10.0.0.1:80) (Weight set to 0)\n\
            Daemon-Status: starting\n\nService name: Web\nComment: 5 disks\n\n";
        assert_eq!(letter.body, body);
        assert_eq!(alerts.deadline(), Some(now + 3 * SECOND));
        assert_eq!(alerts.due(now + 2 * SECOND, Phase::Running), []);
        let [reminder] = &alerts.due(now + 4 * SECOND, Phase::Running)[..] else { panic!("one reminder") };
        assert_eq!(reminder.subject, "[Web] Inaccessible real server: 192.0.2.1:80 (10.0.0.1:80)");
        assert_eq!(alerts.deadline(), Some(now + 7 * SECOND), "the time counts from the reminder");
        let up = Notice::RealRestored { service, real, weight: "1".into() };
        assert!(alerts.note(now + 5 * SECOND, Phase::Running, &up).is_some());
        assert_eq!(alerts.deadline(), None);
    }

    #[test]
    fn row_66_only_the_states_that_were_asked_for_are_mailed() {
        let (mut alerts, service, real) = alerts("\temailalert=root\n\temailalertstatus=stopping");
        let now = Instant::now();
        let deleted = Notice::RealDeleted { service: service.clone(), real: real.clone() };
        for phase in [Phase::Starting, Phase::Running, Phase::Reloading] {
            assert_eq!(alerts.note(now, phase, &deleted), None, "{phase}");
        }
        let purged = Notice::RealPurged { service, real, occasion: Occasion::Stop };
        let letter = alerts.note(now, Phase::Stopping, &purged).expect("a letter");
        assert_eq!(letter.subject, "Purged real server (stop): 192.0.2.1:80 (10.0.0.1:80)");
        assert!(letter.body.ends_with("Daemon-Status: stopping\n"), "{}", letter.body);
    }

    #[test]
    fn without_a_frequency_nobody_is_reminded_and_without_an_address_nobody_is_told() {
        let now = Instant::now();
        let (mut told, service, real) = alerts("\temailalert=root");
        let deleted = Notice::RealDeleted { service, real };
        assert!(told.note(now, Phase::Running, &deleted).is_some());
        assert_eq!(told.deadline(), None);
        let (mut silent, ..) = alerts("\temailalertfreq=3");
        assert_eq!(silent.note(now, Phase::Running, &deleted), None);
        assert_eq!(silent.deadline(), None);
    }

    #[test]
    fn a_server_that_was_down_from_the_beginning_is_reminded_of() {
        let (mut alerts, service, real) = alerts("\temailalert=root\n\temailalertfreq=60");
        let now = Instant::now();
        let down = Notice::RealDown { service: service.clone(), real: real.clone(), why: "refused".into() };
        assert_eq!(alerts.note(now, Phase::Starting, &down), None);
        assert_eq!(alerts.due(now + 60 * SECOND, Phase::Running).len(), 1);
        let fallback = Notice::FallbackDeleted { service, real };
        assert!(alerts.note(now, Phase::Running, &fallback).is_some());
        assert_eq!(alerts.deadline(), Some(now + 120 * SECOND), "a fallback that goes reminds of nothing");
    }
}
