//! Once it runs, ldirectord writes in the directories of its log and its monitor files, and below them, and nowhere
//! else, where the kernel has Landlock. What was opened before, as [`crate::memory`] is, can be written all the same.
//!
//! What is forbidden to a process is forbidden to whatever it starts, for good. So nothing is forbidden where the
//! configuration starts programs: what they write is theirs to know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lvs::daemon::privilege;

use crate::config::Config;
use crate::config::model::{Check, LogTarget, Negotiate, Probe, SqlEngine, Virtual};

/// The directive by which a configuration starts programs, if it has one.
pub fn starts_programs(config: &Config) -> Option<&'static str> {
    let globals = &config.globals;
    let global = [(globals.callback.is_some(), "callback"), (!globals.execute.is_empty(), "execute")];
    let global = global.into_iter().find_map(|(there, name)| there.then_some(name));
    global.or_else(|| config.virtuals.iter().find_map(of_virtual))
}

fn of_virtual(service: &Virtual) -> Option<&'static str> {
    let local_mail = service.alert.as_ref().is_some_and(|alert| alert.smtp.is_none());
    let own = [
        (service.fallback_command.is_some(), "fallbackcommand"),
        (service.extensions.notify.is_some(), "notify"),
        (local_mail, "emailalert without smtp"),
    ];
    let own = own.into_iter().find_map(|(there, name)| there.then_some(name));
    own.or_else(|| service.reals.iter().find_map(|real| of_check(&real.check)))
}

fn of_check(check: &Check) -> Option<&'static str> {
    match check {
        Check::External(_) => Some("checktype=external"),
        Check::ExternalPerl(_) => Some("checktype=external-perl"),
        Check::Negotiate(negotiate) | Check::Combined { negotiate, .. } => match negotiate {
            Negotiate { probe: Probe::Sql(sql), .. } if sql.engine == SqlEngine::Oracle => Some("service=oracle"),
            _ => None,
        },
        Check::On | Check::Off | Check::Impossible(_) | Check::Connect(_) | Check::Ping(_) | Check::Agent(_) => None,
    }
}

/// The directories of its log and monitor files: those are opened for each line, and rotated.
pub fn written(config: &Config) -> BTreeSet<PathBuf> {
    let log = match &config.globals.log {
        LogTarget::File(file) if !config.globals.supervised => Some(file),
        _ => None,
    };
    let monitors = config.virtuals.iter().filter_map(|service| service.monitor_file.as_ref());
    log.into_iter().chain(monitors).filter_map(|file| Some(file.parent()?.to_owned())).collect()
}

/// What holds for this process from now on.
#[derive(Debug)]
pub struct Confined {
    directories: BTreeSet<PathBuf>,
}

impl Confined {
    /// Forbids what the configuration does not ask for; `ours` are directories of files that are removed at the end.
    /// `None` if nothing was forbidden, because the configuration starts programs or the kernel has no Landlock.
    ///
    /// Acts on the calling thread: call it before any other thread is started.
    ///
    /// # Errors
    /// If the kernel has Landlock and refuses.
    pub fn to(config: &Config, ours: &[&Path]) -> Result<Option<Self>, privilege::RulesetError> {
        if let Some(directive) = starts_programs(config) {
            log::debug!("files may be written: the configuration starts programs ({directive})");
            return Ok(None);
        }
        let directories = written(config);
        let writable: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
        let held = privilege::write_only(&writable, ours)?;
        if !held {
            log::debug!("this kernel has no Landlock to keep files from being written");
        }
        Ok(held.then_some(Self { directories }))
    }

    /// What a configuration that was read later asks for and does not get, for the log.
    pub fn missing(&self, config: &Config) -> Option<String> {
        let directive = starts_programs(config)?;
        Some(format!(
            "programs started by {directive} cannot write files: ldirectord was started on a configuration without any; \
             start it again"
        ))
    }

    /// A mistake in a configuration that was read later, with what the reader cannot know: that files may be written
    /// elsewhere, and by this process not any more.
    pub fn explained(&self, mut mistake: String) -> String {
        if mistake.contains("unable to open ") {
            let known: Vec<_> = self.directories.iter().map(|it| it.display().to_string()).collect();
            let known = if known.is_empty() { "no directory".to_owned() } else { known.join(", ") };
            mistake.push_str("\n      = since its start ldirectord writes in ");
            mistake.push_str(&known);
            mistake.push_str(" and nowhere else; for other files start it again");
        }
        mistake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::Appended;
    use crate::config::{self, Fixed};
    use std::fs;

    fn load(text: &str) -> Config {
        config::load("t.cf".as_ref(), text.as_bytes(), &Fixed::default())
            .unwrap_or_else(|found| panic!("{found:?}"))
            .config
    }

    fn section(lines: &str) -> Config {
        load(&format!("virtual=10.0.0.1:80\n\treal=10.1.0.1:80 masq\n{lines}\n"))
    }

    #[test]
    fn every_directive_that_starts_programs_is_known() {
        assert_eq!(starts_programs(&section("\tservice=http\n\trequest=\"x\"\n\tagentport=9")), None);
        assert_eq!(starts_programs(&load("emailalert=a@b\nsmtp=mail\nvirtual=10.0.0.1:80\n")), None);
        for (directive, config) in [
            ("callback", load("callback=\"/bin/c\"\n")),
            ("execute", load("execute=other.cf\n")),
            ("fallbackcommand", section("\tfallbackcommand=/bin/f")),
            ("notify", section("\tnotify=/bin/n")),
            ("emailalert without smtp", section("\temailalert=a@b")),
            ("checktype=external", section("\tchecktype=external\n\tcheckcommand=/bin/c")),
            ("checktype=external-perl", section("\tchecktype=external-perl\n\tcheckcommand=/c.pl")),
            ("service=oracle", section("\tservice=oracle\n\tcheckport=1521")),
            ("service=oracle", section("\tchecktype=3\n\tservice=oracle\n\tcheckport=1521")),
        ] {
            assert_eq!(starts_programs(&config), Some(directive));
        }
    }

    #[test]
    fn logs_are_written_and_rotated_and_nothing_else_is() {
        let place = tempfile::tempdir().expect("a directory");
        let (logs, monitors, other) =
            (place.path().join("logs"), place.path().join("monitors"), place.path().join("other"));
        for directory in [&logs, &monitors, &other] {
            fs::create_dir(directory).expect("made");
        }
        let mut config = section("");
        config.globals.log = LogTarget::File(logs.join("log"));
        config.virtuals[0].monitor_file = Some(monitors.join("monitor"));
        let path = logs.join("log");
        let mut log = Appended::open(&path).expect("opened");
        fs::rename(&path, logs.join("log.1")).expect("rotated by somebody else, before");
        let thread = std::thread::spawn(move || {
            let confined = Confined::to(&config, &[]).expect("a kernel that does not know it does not refuse");
            assert!(log.append("x").is_ok() && path.exists(), "the rotated log is begun anew");
            assert!(fs::write(monitors.join("monitor"), "x").is_ok());
            assert!(std::process::Command::new("true").status().is_ok_and(|status| status.success()));
            assert_eq!(fs::write(other.join("file"), "x").is_err(), confined.is_some());
            assert_eq!(fs::remove_file(&path).is_err(), confined.is_some());
            let Some(confined) = confined else { return };
            assert_eq!(confined.missing(&config), None);
            let mut later = config.clone();
            let text = format!("virtual=10.0.0.1:80\n\tmonitorfile={}\n", other.join("monitor").display());
            let refused =
                config::load("t.cf".as_ref(), text.as_bytes(), &config::System::new()).expect_err("not there");
            let told = confined.explained(config::rendered(&refused[0], 1));
            assert!(
                told.contains("unable to open monitorfile") && told.contains("/monitors and nowhere else"),
                "{told}"
            );
            assert_eq!(confined.explained("another mistake".into()), "another mistake");
            later.globals.callback = Some("/bin/c".into());
            assert!(confined.missing(&later).is_some_and(|why| why.contains("callback cannot write files")));
        });
        thread.join().expect("no assertion failed");
    }
}
