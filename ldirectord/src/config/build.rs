//! Third step: the file as written to a model that cannot be wrong. Names are looked up,
//! defaults applied, values derived (spec chapters 4 and 5).

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use lvs::diag::nearest;
use lvs::ipvs::{Destination, Family, Netmask, Persistence, SchedulerFlags, Service, ServiceKey};

use super::checks::{Plan, Server};
use super::model::{Agent, Alert, AlertDuring, Check, Config, Extensions, Globals, Line, LogTarget, Real, Virtual};
use super::resolve::{FallbackServer, Servers, fallback_server, mapped_port, servers, service_key};
use super::span::{At, Findings};
use super::surroundings::Surroundings;
use super::written::{self, CheckType, Once, Section, ServiceName, Written};

/// A whole file has no more real servers than this; a slip in a range makes millions.
const MOST_SERVERS: usize = 262_144;

/// Between two questions to an agent, as HAProxy's.
const AGENT_INTERVAL: Duration = Duration::from_secs(2);

/// The model, whole if `findings` has no error.
pub fn build(written: &Written<'_>, surroundings: &dyn Surroundings, findings: &mut Findings) -> Config {
    let host_name = surroundings.host_name();
    let global = &written.globals;
    let mut builder = Builder { global, host_name: &host_name, surroundings, findings };
    let globals = builder.globals();
    let fallbacks = builder.global_fallbacks();
    let mut virtuals = Vec::new();
    let mut keys: HashMap<ServiceKey, usize> = HashMap::new();
    let mut count = 0;
    for section in &written.sections {
        let Some(built) = builder.section(section, fallbacks, &mut count) else { continue };
        if let Some(first) = keys.insert(built.key, section.header.line) {
            // The original names the line that ended the section.
            let help = format!("{} is defined in line {first} and again in line {}", built.id(), section.header.line);
            builder.findings.error_with_help(section.closed_by, "duplicate virtual server", help);
        }
        virtuals.push(built);
    }
    Config { globals, virtuals }
}

struct Builder<'b, 'a> {
    global: &'b written::Globals<'a>,
    host_name: &'b str,
    surroundings: &'b dyn Surroundings,
    findings: &'b mut Findings,
}

/// `fallback` and `fallback6` of the global level.
#[derive(Clone, Copy)]
struct GlobalFallbacks {
    inet: Option<FallbackServer>,
    inet6: Option<FallbackServer>,
}

fn seconds(value: &Once<'_, NonZeroU32>) -> Option<Duration> {
    value.as_ref().map(|at| Duration::from_secs(at.value.get().into()))
}

fn yes(value: &Once<'_, bool>) -> bool {
    value.as_ref().is_some_and(|at| at.value)
}

fn extensions(section: &Section<'_>, check_timeout: Duration) -> Extensions {
    let some = |value: &Once<'_, u32>| {
        let seconds = value.as_ref().map(|at| at.value).filter(|&seconds| seconds > 0);
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    };
    let interval = seconds(&section.agent_interval).unwrap_or(AGENT_INTERVAL);
    let agent = |port| Agent { port, interval, timeout: interval.min(check_timeout) };
    Extensions {
        rise: cloned(section.rise.as_ref()),
        jitter: cloned(section.jitter.as_ref()).unwrap_or(0),
        slow_start: some(&section.slow_start),
        notify: cloned(section.notify.as_ref()),
        stop_fallback: yes(&section.stop_fallback),
        agent: cloned(section.agent_port.as_ref()).map(agent),
        drain_timeout: some(&section.drain_timeout),
    }
}

/// The section's value, else the global one.
fn either<'w, 'a, T>(section: &'w Once<'a, T>, global: &'w Once<'a, T>) -> Option<&'w At<'a, T>> {
    section.as_ref().or(global.as_ref())
}

fn cloned<T: Clone>(value: Option<&At<'_, T>>) -> Option<T> {
    value.map(|at| at.value.clone())
}

impl<'a> Builder<'_, 'a> {
    fn globals(&mut self) -> Globals {
        let global = self.global;
        if let Some(At { value, span }) = &global.maintenance_directory
            && !self.surroundings.is_directory(value)
        {
            self.findings.warning(*span, "maintenance directory does not exist");
        }
        if let Some(log) = &global.log {
            self.log_target(log);
        }
        Globals {
            check_interval: seconds(&global.shared.check_interval).unwrap_or(Duration::from_secs(10)),
            log: cloned(global.log.as_ref()).unwrap_or_else(|| LogTarget::File("/var/log/ldirectord.log".into())),
            fork: yes(&global.fork),
            supervised: yes(&global.supervised),
            readd_quiescent: yes(&global.readd_quiescent),
            auto_reload: yes(&global.auto_reload),
            callback: cloned(global.callback.as_ref()),
            execute: global.execute.iter().map(|at| at.value.clone()).collect(),
            maintenance_directory: cloned(global.maintenance_directory.as_ref()),
        }
    }

    fn log_target(&mut self, log: &At<'a, LogTarget>) {
        /// syslog(3).
        const FACILITIES: [&str; 20] = [
            "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
            "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ];
        match &log.value {
            LogTarget::File(path) => {
                if let Err(error) = self.surroundings.try_append(path) {
                    let message = format!("unable to open logfile: {}", path.display());
                    self.findings.error_with_help(log.span, message, error.to_string());
                }
            }
            LogTarget::Facility(name) if !FACILITIES.contains(&name.as_str()) => {
                let help = nearest(name, FACILITIES).map_or_else(
                    || "write an absolute path, or a facility such as local0".to_owned(),
                    |near| format!("did you mean \"{near}\"?"),
                );
                self.findings.warning_with_help(log.span, format!("unknown syslog facility \"{name}\""), help);
            }
            LogTarget::Facility(_) => {}
        }
    }

    fn global_fallbacks(&mut self) -> GlobalFallbacks {
        let (inet, inet6) = (&self.global.shared.fallback, &self.global.fallback6);
        let mut look_up =
            |line: &Once<'a, _>, family| fallback_server(line.as_ref()?, family, self.surroundings, self.findings);
        GlobalFallbacks { inet: look_up(inet, Family::Inet), inet6: look_up(inet6, Family::Inet6) }
    }

    /// One section; `None` if its service could not be identified, which was reported.
    fn section(&mut self, section: &Section<'a>, fallbacks: GlobalFallbacks, count: &mut usize) -> Option<Virtual> {
        let lines: Vec<Servers<'_, 'a>> = section
            .reals
            .iter()
            .filter_map(|line| servers(line, section.family, self.surroundings, self.findings))
            .collect();
        let own_fallback = section.shared.fallback.as_ref();
        let own_fallback =
            own_fallback.and_then(|line| fallback_server(line, section.family, self.surroundings, self.findings));
        let key = service_key(section, self.surroundings, self.findings);
        let service = self.service(section, key.as_ref());
        let shared = &section.shared;
        let global = &self.global.shared;

        *count += lines.iter().map(|line| line.addresses.len()).sum::<usize>();
        if *count > MOST_SERVERS {
            self.findings.error(section.header, format!("more than {MOST_SERVERS} real servers"));
            return None;
        }
        let key = key?;
        let plan = self.plan(section, key);
        self.encryption(section, plan.service);
        if let (Some(at), None) = (&section.agent_interval, &section.agent_port) {
            self.findings.warning(at.span, "agentinterval has no effect without agentport");
        }
        let reals = self.reals(&plan, &lines);
        let fallback = own_fallback.or(match key.family() {
            Family::Inet => fallbacks.inet,
            Family::Inet6 => fallbacks.inet6,
        });
        let monitor_file = cloned(section.monitor_file.as_ref());
        if let Some(At { value, span }) = &section.monitor_file
            && let Err(error) = self.surroundings.try_append(value)
        {
            let message = format!("unable to open monitorfile {}: {error}", value.display());
            self.findings.error(*span, message);
        }
        let built = Virtual {
            key,
            service,
            check_interval: self.check_interval(section),
            failure_count: cloned(section.fall.as_ref().or(either(&shared.failure_count, &global.failure_count)))
                .unwrap_or(NonZeroU32::MIN),
            quiescent: cloned(either(&shared.quiescent, &global.quiescent)).unwrap_or(false),
            clean_stop: cloned(either(&shared.clean_stop, &global.clean_stop)).unwrap_or(true),
            fallback: fallback.map(|server| server.for_service(&key)),
            fallback_command: cloned(either(&shared.fallback_command, &global.fallback_command)),
            alert: self.alert(section),
            monitor_file,
            service_name: cloned(section.service_name.as_ref()),
            comment: cloned(section.comment.as_ref()),
            reals,
            extensions: extensions(section, plan.check_timeout),
            line: Line(section.header.line),
        };
        if let Some(at) = &section.shared.check_interval
            && !yes(&self.global.fork)
        {
            let message = format!("checkinterval in virtual service {} ignored when fork=no", built.id());
            self.findings.warning(at.span, message);
        }
        Some(built)
    }

    /// Scheduler and persistence.
    fn service(&mut self, section: &Section<'a>, key: Option<&ServiceKey>) -> Service {
        let udp = matches!(key, Some(ServiceKey::Address { protocol: lvs::ipvs::Protocol::Udp, .. }));
        if let Some(at) = section.one_packet.as_ref().filter(|at| at.value && !udp) {
            self.findings.warning(at.span, "ops has no effect unless the protocol is udp");
        }
        let persistent = section.persistent.as_ref();
        if let Some(at) = persistent.filter(|at| at.value == 0) {
            self.findings.warning_with_help(at.span, "persistent=0 means no persistence", "leave the line out");
        }
        let persistence = persistent.filter(|at| at.value > 0).map(|at| Persistence {
            timeout: at.value,
            netmask: section.netmask.as_ref().map_or(Netmask::host(section.family), |mask| mask.value),
        });
        if let (Some(mask), None) = (&section.netmask, persistence) {
            self.findings.warning(mask.span, "netmask has no effect without persistent");
        }
        if let (Some(ServiceKey::Address { at, .. }), None) = (key, persistence)
            && at.port() == 0
        {
            let message = "the kernel refuses a service on port 0 without persistence";
            self.findings.warning_with_help(section.header, message, "add a line persistent=300");
        }
        Service {
            scheduler: section
                .scheduler
                .as_ref()
                .map_or_else(|| "wrr".parse().expect("three letters are a name"), |at| at.value.clone()),
            scheduler_flags: self.scheduler_flags(section),
            persistence,
            one_packet: udp && yes(&section.one_packet),
            engine: None,
        }
    }

    /// ipvsadm's names (spec/ipvs.md A, `-b`): two of them belong to one scheduler each.
    fn scheduler_flags(&mut self, section: &Section<'a>) -> SchedulerFlags {
        let mut flags = SchedulerFlags::default();
        let Some(At { value, span }) = &section.scheduler_flags else { return flags };
        let scheduler = section.scheduler.as_ref().map_or("wrr", |at| at.value.as_str());
        for word in value.split(',') {
            match (word, scheduler) {
                ("flag-1", _) | ("sh-fallback", "sh") | ("mh-fallback", "mh") => flags.flag_1 = true,
                ("flag-2", _) | ("sh-port", "sh") | ("mh-port", "mh") => flags.flag_2 = true,
                ("flag-3", _) => flags.flag_3 = true,
                _ => {
                    let help = "flags are flag-1, flag-2, flag-3; with scheduler=sh sh-fallback and sh-port; with \
                                scheduler=mh mh-fallback and mh-port";
                    self.findings.error_with_help(*span, "invalid sched-flags", help);
                    break;
                }
            }
        }
        flags
    }

    fn check_interval(&self, section: &Section<'a>) -> Duration {
        let own = seconds(&section.shared.check_interval).filter(|_| yes(&self.global.fork));
        own.or(seconds(&self.global.shared.check_interval)).unwrap_or(Duration::from_secs(10))
    }

    fn alert(&self, section: &Section<'a>) -> Option<Alert> {
        const ALWAYS: AlertDuring = AlertDuring { starting: true, running: true, stopping: true, reloading: true };
        let (own, global) = (&section.shared, &self.global.shared);
        let frequency = cloned(either(&own.email_alert_frequency, &global.email_alert_frequency));
        Some(Alert {
            to: cloned(either(&own.email_alert, &global.email_alert))?,
            from: cloned(self.global.email_alert_from.as_ref()),
            remind_after: frequency.filter(|&s| s > 0).map(|s| Duration::from_secs(s.into())),
            during: cloned(either(&own.email_alert_status, &global.email_alert_status)).unwrap_or(ALWAYS),
            smtp: cloned(either(&own.smtp, &global.smtp)),
        })
    }

    /// What the section's checks have in common (spec 5.1, 5.2).
    fn plan<'w>(&self, section: &'w Section<'a>, key: ServiceKey) -> Plan<'w, 'a> {
        let (own, global) = (&section.shared, &self.global.shared);
        let check = [&own.check_timeout, &own.negotiate_timeout, &global.check_timeout, &global.negotiate_timeout];
        let negotiate = [&own.negotiate_timeout, &own.check_timeout, &global.negotiate_timeout, &global.check_timeout];
        let first = |order: [&Once<'a, NonZeroU32>; 4], default| {
            order.into_iter().find_map(seconds).unwrap_or(Duration::from_secs(default))
        };
        let inferred = || key.port().map_or(ServiceName::None, ServiceName::usually_on);
        Plan {
            section,
            key,
            check_type: section.check_type.as_ref().map_or(CheckType::Negotiate, |at| at.value),
            service: section.service.as_ref().map_or_else(inferred, |at| at.value),
            check_timeout: first(check, 5),
            negotiate_timeout: first(negotiate, 30),
            check_count: cloned(either(&own.check_count, &global.check_count)).unwrap_or(NonZeroU32::MIN),
            host_name: self.host_name.to_owned(),
        }
    }

    /// A check that is meant to be encrypted and is not would go unnoticed for ever.
    fn encryption(&mut self, section: &Section<'a>, service: ServiceName) {
        if let Some(at) = section.starttls.as_ref().filter(|at| at.value && !service.has_starttls()) {
            let message = format!("there is no starttls with service={}", service.name());
            let help = "it is for smtp, submission, pop, imap and ldap";
            self.findings.error_with_help(at.span, message, help);
        }
        let encrypted = service.is_encrypted() || (service.has_starttls() && yes(&section.starttls));
        if let Some(at) = section.verify.as_ref().filter(|at| at.value && !encrypted) {
            let message = format!("there is no certificate to verify with service={}", service.name());
            let help = "verify is for https, submissions, pops, imaps, ldaps, and for what has starttls=yes";
            self.findings.error_with_help(at.span, message, help);
        }
    }

    /// The servers, each address and port once: of several lines the last counts, as it does
    /// for its weight in the original.
    fn reals(&mut self, plan: &Plan<'_, 'a>, lines: &[Servers<'_, 'a>]) -> Vec<Real> {
        let mut reals: Vec<Real> = Vec::new();
        let mut places = HashMap::new();
        let mut warned = HashSet::new();
        for Servers { line, addresses, port } in lines {
            for &address in addresses {
                let forward = line.value.forward;
                let at = (address, mapped_port(&plan.key, forward, *port)).into();
                let server = Server { line: &line.value, at, configured_port: *port };
                let mut warn = |text: String, help: &str, findings: &mut Findings| {
                    if warned.insert((line.span.line, help.to_owned())) {
                        findings.warning_with_help(line.span, text, help);
                    }
                };
                let check = plan.check(&server, self.surroundings, self.findings);
                if let Check::Impossible(why) = check {
                    warn(format!("the server can never be up: {why}"), "add a line checkport=PORT", self.findings);
                }
                if at.port() == 0 && plan.key.port().is_some_and(|port| port > 0) {
                    let text = "masq without a port sends the traffic to port 0".to_owned();
                    warn(text, "write the server's port", self.findings);
                }
                let real = Real {
                    at,
                    configured_port: *port,
                    destination: Destination {
                        upper_threshold: line.value.upper_threshold,
                        lower_threshold: line.value.lower_threshold,
                        ..Destination::new(forward, line.value.weight)
                    },
                    weight_as_written: line.value.weight_as_written.to_owned(),
                    check_identity: plan.identity(&server),
                    check,
                    line: Line(line.span.line),
                };
                match places.get(&at) {
                    None => {
                        places.insert(at, reals.len());
                        reals.push(real);
                    }
                    Some(&place) => {
                        let earlier = std::mem::replace(&mut reals[place], real);
                        let text = format!("{at} is listed again; this line counts, line {} does not", earlier.line);
                        warn(text, "remove one of the two", self.findings);
                    }
                }
            }
        }
        reals
    }
}
