//! The farm as the status tells it.

use std::time::Instant;

use lvs::control::ldirectord::{RealStatus, VirtualStatus};

use super::{Farm, Held};

/// How many bytes of JSON a page of servers has at most; a line of the socket has room for more.
const PAGE: usize = 48 * 1024;

/// The most that is told of why a check failed, characters.
const MAX_WHY: usize = 300;

/// A part of the farm.
#[derive(Debug)]
pub struct Page {
    /// The virtual services in the file's order; the first and the last may be incomplete.
    pub virtuals: Vec<VirtualStatus>,
    /// Where the next page begins, if there is one.
    pub next: Option<usize>,
}

impl Farm {
    /// How many times a file was put in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Every virtual service in the file's order.
    #[must_use]
    pub fn status(&self, now: Instant) -> Vec<VirtualStatus> {
        self.virtuals
            .iter()
            .map(|held| VirtualStatus {
                reals: (0..held.servers.len()).map(|r| held.server(now, r)).collect(),
                ..held.head()
            })
            .collect()
    }

    /// As much of it as fits on a page, beginning at `from`: each server is a place, and a service
    /// without servers is one, too.
    #[must_use]
    pub fn page(&self, now: Instant, from: usize) -> Page {
        let (mut virtuals, mut place, mut size) = (Vec::new(), 0, 0);
        for held in &self.virtuals {
            let places = held.servers.len().max(1);
            if place + places <= from {
                place += places;
                continue;
            }
            let mut status = held.head();
            size += length(&status);
            for r in from.saturating_sub(place)..places {
                let server = (r < held.servers.len()).then(|| held.server(now, r));
                size += server.as_ref().map_or(0, length);
                if size > PAGE && place + r > from {
                    if !status.reals.is_empty() {
                        virtuals.push(status);
                    }
                    return Page { virtuals, next: Some(place + r) };
                }
                status.reals.extend(server);
            }
            virtuals.push(status);
            place += places;
        }
        Page { virtuals, next: None }
    }
}

fn length(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len() + 1)
}

impl Held {
    fn server(&self, now: Instant, r: usize) -> RealStatus {
        let server = &self.servers[r];
        let last = server.last.as_ref();
        RealStatus {
            real: self.real(r).name(),
            state: server.verdict.state(),
            drained: server.verdict.is_drained(),
            maintenance: server.maintenance.clone(),
            agent: server.agent_line().map(|line| line.chars().take(MAX_WHY).collect()),
            weight: self.target(r).weight(),
            failures: server.verdict.failures(),
            last_check_seconds_ago: last
                .map(|last| thousandths(now.saturating_duration_since(last.ended).as_secs_f64())),
            took_ms: last.map(|last| thousandths(last.report.took.as_secs_f64() * 1e3)),
            why: last.map(|last| {
                let (Ok(text) | Err(text)) = &last.report.result;
                text.chars().take(MAX_WHY).collect()
            }),
        }
    }

    /// Without its servers.
    fn head(&self) -> VirtualStatus {
        VirtualStatus {
            id: self.name.id().to_owned(),
            scheduler: self.service.service.scheduler.to_string(),
            fallback: self.service.fallback.as_ref().map(|fallback| fallback.name()),
            fallback_active: self.service.fallback.is_some() && self.fallback_serves,
            // The first few say what is wrong with the rest.
            pending: self.refusals.iter().take(5).map(ToString::to_string).collect(),
            reals: Vec::new(),
        }
    }
}

/// Longer numbers say nothing more and fill the line.
fn thousandths(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Fixed};
    use std::collections::BTreeSet;

    #[test]
    fn ten_thousand_servers_are_told_page_by_page_and_each_once() {
        let mut text = String::from("virtual=10.0.0.1:80\n\tchecktype=connect\n\treal=10.1.0.0->10.1.19.255:80 gate\n");
        text += "virtual=10.0.0.2:80\n\tchecktype=on\nvirtual=10.0.0.3:80\n\treal=10.2.0.0->10.2.19.135:80 masq\n\tchecktype=connect\n\n";
        let config = config::load("t.cf".as_ref(), text.as_bytes(), &Fixed::default()).expect("a good file").config;
        let now = Instant::now();
        let (mut farm, _) = Farm::new(now, config);
        let why = "\u{1}\"".repeat(5000);
        for order in farm.due(now) {
            let report = crate::check::Report {
                result: Err(why.clone()),
                took: std::time::Duration::ZERO,
                words: None,
                advice: None,
            };
            drop(farm.heard(now, order.id, &report));
        }
        let (mut seen, mut services, mut from) = (BTreeSet::new(), BTreeSet::new(), Some(0));
        let mut count = 0;
        while let Some(place) = from {
            let page = farm.page(now, place);
            assert!(length(&page.virtuals) < 60 * 1024, "a line of the socket has 64 KiB");
            for service in &page.virtuals {
                services.insert(service.id.clone());
                count += service.reals.len();
                seen.extend(service.reals.iter().map(|real| real.real.clone()));
            }
            assert!(page.next.is_none_or(|next| next > place));
            from = page.next;
        }
        assert_eq!((seen.len(), count, services.len()), (10_120, 10_120, 3));
        assert_eq!(farm.page(now, 20_000).virtuals, []);
    }
}
