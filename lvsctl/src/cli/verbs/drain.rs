//! `lvsctl drain` and `lvsctl undrain`: through ldirectord where it runs, else in the kernel's table.

mod direct;
mod report;

use std::net::{IpAddr, SocketAddr};

use serde::de::IgnoredAny;

use super::cluster::{self, Where};
use super::fail;
use crate::control::ldirectord::{self, Request};
use crate::drain::Target;
use crate::state::ServiceName;

#[derive(Debug, clap::Args)]
#[command(override_usage = "lvsctl drain [OPTIONS] [SERVICE] <SERVER>")]
pub(super) struct Drain {
    #[command(flatten)]
    which: Which,
    /// Wait at most this long, then delete the server with the connections that are left
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Return at once; the server keeps weight 0 and is not deleted
    #[arg(long, conflicts_with_all = ["timeout", "wait"])]
    no_wait: bool,
    /// With ldirectord too, wait until nothing is left
    #[arg(long)]
    wait: bool,
    /// Do not delete the server when nothing is left
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "lvsctl undrain [OPTIONS] [SERVICE] <SERVER>")]
pub(super) struct Undrain {
    #[command(flatten)]
    which: Which,
    /// The weight to give, instead of the one from before; without ldirectord
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(crate::ipvs::MAX_WEIGHT)))]
    weight: Option<u32>,
}

/// Which real server, and who is to do it.
#[derive(Debug, clap::Args)]
struct Which {
    /// The virtual service, if not all are meant (tcp:192.168.60.200:80, fwm:7), and the real server: address and
    /// port, or the address alone for each of its ports (192.168.60.132:80)
    #[arg(value_name = "SERVICE SERVER", num_args = 1..=2, required = true)]
    names: Vec<String>,
    /// The virtual service, before the real server as a word of its own
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Change the kernel's table even if ldirectord runs
    #[arg(long)]
    direct: bool,
    /// The ldirectord instance, if there are several
    #[arg(long, value_name = "NAME", conflicts_with = "direct")]
    instance: Option<String>,
    /// Tell what happens as JSON objects, one in a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// What is meant, in words.
struct Named {
    service: Option<String>,
    server: String,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the virtual service is named twice: {0} and {1}")]
    Twice(String, String),
    #[error("{0} names several virtual services: {1}")]
    Several(String, String),
    #[error("ldirectord runs and gives weights back as its file says: --weight needs --direct")]
    Weight,
    #[error("ldirectord will not; --direct changes the table without it")]
    Refused(#[source] cluster::Error),
    #[error("ldirectord cannot be asked; --direct changes the table without it")]
    Ask(#[source] cluster::Error),
}

impl Which {
    fn named(&self) -> Result<Named, Error> {
        match (&self.service, self.names.as_slice()) {
            (Some(option), [word, _]) => Err(Error::Twice(option.clone(), word.clone())),
            (None, [service, server]) => Ok(Named { service: Some(service.clone()), server: server.clone() }),
            (service, names) => Ok(Named { service: service.clone(), server: names.concat() }),
        }
    }

    /// Asks ldirectord, if it runs; the servers that are meant, with the weights that they had before.
    fn ask_ldirectord(
        &self,
        named: &Named,
        request: fn(String, Option<String>) -> Request,
    ) -> Result<Option<Vec<(Target, u32)>>, Error> {
        if self.direct {
            return Ok(None);
        }
        let instance = self.instance.as_deref();
        let status = cluster::checker(&self.at, instance);
        // An instance that is asked for by name has to be there.
        let status: ldirectord::Status = match (cluster::if_running(status), instance) {
            (Ok(Some(status)), _) => status,
            (Ok(None), None) => return Ok(None),
            (Ok(None), Some(_)) => cluster::checker(&self.at, instance).map_err(Error::Ask)?,
            (Err(error), _) => return Err(Error::Ask(error)),
        };
        let ids: Vec<&str> = status.virtuals.iter().map(|service| service.id.as_str()).collect();
        let service = named.service.as_ref().map(|service| id_of(service, &ids)).transpose()?;
        let meant = meant(&status, service.as_deref(), &named.server);
        let request = request(named.server.clone(), service);
        cluster::ask::<IgnoredAny>(&self.at, ldirectord::SPEAKS, instance, &request).map_err(Error::Refused)?;
        Ok(Some(meant))
    }
}

/// The servers that ldirectord means by a name, with their weights; 0 for one that is not in the table.
fn meant(status: &ldirectord::Status, service: Option<&str>, server: &str) -> Vec<(Target, u32)> {
    let mut found = Vec::new();
    for virtual_service in status.virtuals.iter().filter(|it| service.is_none_or(|service| it.id == service)) {
        let Ok(ServiceName::Key(key)) = virtual_service.id.parse() else { continue };
        for real in &virtual_service.reals {
            let Ok(at) = real.real.parse::<SocketAddr>() else { continue };
            let named = match (server.parse::<SocketAddr>(), server.parse::<IpAddr>()) {
                (Ok(whole), _) => whole == at,
                (_, Ok(ip)) => ip == at.ip(),
                _ => false,
            };
            if named {
                found.push((Target { service: key, server: at }, real.weight.unwrap_or(0)));
            }
        }
    }
    found
}

/// What ldirectord calls a service: for an address without a protocol the one that it has there.
fn id_of(service: &str, ids: &[&str]) -> Result<String, Error> {
    let Ok(name) = service.parse::<ServiceName>() else {
        return Ok(service.to_owned());
    };
    let ServiceName::At(at) = name else {
        return Ok(name.to_string());
    };
    let at_address = |id: &&&str| id.split_once(':').is_some_and(|(_, rest)| rest == at.to_string());
    let found: Vec<&str> = ids.iter().filter(at_address).copied().collect();
    match found.as_slice() {
        [] => Ok(service.to_owned()),
        [id] => Ok((*id).to_owned()),
        several => Err(Error::Several(service.to_owned(), several.join(", "))),
    }
}

pub(super) fn drain(arguments: &Drain) -> u8 {
    let Drain { which, timeout, no_wait, wait, keep } = arguments;
    let asked = which.named().and_then(|named| {
        let asked = which.ask_ldirectord(&named, |real, service| Request::Drain { real, service })?;
        Ok((named, asked))
    });
    let (named, ldirectord) = match asked {
        Ok(asked) => asked,
        Err(error) => return fail(&error),
    };
    let returns_at_once = if ldirectord.is_some() { !*wait && timeout.is_none() } else { *no_wait };
    let mut report = report::Report::new(which.json);
    for &(target, weight) in ldirectord.iter().flatten() {
        report.tell(&report::Event::Draining { target, weight, remembered: weight });
    }
    let order = direct::Order {
        named: &named,
        timeout: timeout.map(std::time::Duration::from_secs),
        // What ldirectord wants in the table is not ours to delete: it would be put back.
        delete: ldirectord.is_none() && !keep && !returns_at_once,
        follow: !returns_at_once,
        ldirectord: ldirectord.is_some(),
    };
    direct::drain(&order, &mut report)
}

pub(super) fn undrain(Undrain { which, weight }: &Undrain) -> u8 {
    let asked = which.named().and_then(|named| {
        let asked = which.ask_ldirectord(&named, |real, service| Request::Undrain { real, service })?;
        if asked.is_some() && weight.is_some() { Err(Error::Weight) } else { Ok((named, asked)) }
    });
    match asked {
        Ok((_, Some(_))) => 0,
        Ok((named, None)) => direct::undrain(&named, *weight, which.json),
        Err(error) => fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        drain: Drain,
    }

    fn named(words: &[&str]) -> Result<(Option<String>, String), String> {
        let line = Line::try_parse_from([&["drain"], words].concat()).map_err(|error| error.kind().to_string())?;
        let Named { service, server } = line.drain.which.named().map_err(|error| error.to_string())?;
        Ok((service, server))
    }

    #[test]
    fn the_service_is_a_word_or_an_option() {
        let both = Ok((Some("tcp:10.0.0.1:80".to_owned()), "10.1.0.1:80".to_owned()));
        assert_eq!(named(&["tcp:10.0.0.1:80", "10.1.0.1:80"]), both);
        assert_eq!(named(&["--service", "tcp:10.0.0.1:80", "10.1.0.1:80"]), both);
        assert_eq!(named(&["10.1.0.1", "--timeout", "30"]), Ok((None, "10.1.0.1".to_owned())));
        let twice = named(&["--service", "a", "b", "c"]).expect_err("two services");
        assert_eq!(twice, "the virtual service is named twice: a and b");
        assert!(named(&[]).is_err());
        assert!(named(&["a", "b", "c"]).is_err());
    }

    #[test]
    fn what_ldirectord_drains_is_told_with_the_weight_that_it_had() {
        let real =
            |real: &str, weight| serde_json::json!({"real": real, "state": "up", "weight": weight, "failures": 0});
        let service = |id: &str| {
            let reals = [real("10.1.0.1:80", Some(3)), real("10.1.0.1:81", None), real("10.1.0.2:80", Some(1))];
            serde_json::json!({"id": id, "scheduler": "rr", "fallback_active": false, "reals": reals})
        };
        let virtuals = [service("tcp:10.0.0.1:80"), service("fwm:7")];
        let status = serde_json::json!({"config": "x", "ready": true, "ipvs": "helper", "virtuals": virtuals});
        let status: ldirectord::Status = serde_json::from_value(status).expect("a status");
        let told = |service, server| -> Vec<String> {
            let meant = meant(&status, service, server).into_iter();
            meant.map(|(target, weight)| format!("{target}: {weight}")).collect()
        };
        assert_eq!(
            told(Some("tcp:10.0.0.1:80"), "10.1.0.1"),
            ["real server 10.1.0.1:80 of tcp 10.0.0.1:80: 3", "real server 10.1.0.1:81 of tcp 10.0.0.1:80: 0"]
        );
        assert_eq!(told(None, "10.1.0.2:80").len(), 2);
        assert_eq!(told(None, "web"), [""; 0]);
    }

    #[test]
    fn an_address_is_the_service_that_ldirectord_has_there() {
        let ids = ["tcp:10.0.0.1:80", "udp:10.0.0.2:53", "tcp:10.0.0.2:53", "fwm:7"];
        assert_eq!(id_of("10.0.0.1:80", &ids).expect("one"), "tcp:10.0.0.1:80");
        assert_eq!(id_of("tcp 10.0.0.1:80", &ids).expect("a name"), "tcp:10.0.0.1:80");
        assert_eq!(id_of("10.0.0.9:80", &ids).expect("ldirectord says that it has none"), "10.0.0.9:80");
        assert!(matches!(id_of("10.0.0.2:53", &ids), Err(Error::Several(..))));
    }
}
