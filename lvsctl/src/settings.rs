//! `/etc/ha.d/lvs.toml`: the little that all daemons of the toolkit have to agree on.
//!
//! ```toml
//! ipvs = "auto"            # how ldirectord reaches the IPVS table: auto, helper, direct
//! sockets = "/run/lvs"     # where the daemons' sockets are
//!
//! [ldirectord]
//! user = "ldirectord"      # whom it becomes after start, if there is such a user
//!
//! [heartbeatd]
//! repairs = 3              # a minute, of an address that somebody takes off
//! monitor = 30             # seconds between questions whether scripts still run
//! script_timeout = 300     # seconds that a start or stop may take
//!
//! [heartbeatd.announce."192.0.2.1"]
//! refresh = 60             # seconds
//! ```

pub mod announce;
pub mod notify;
mod scripts;
mod stop_failure;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::control::SOCKET_DIRECTORY;
use crate::daemon::file;
use crate::daemon::privilege::{self, User};
use crate::diag::Diagnostic;
pub use stop_failure::StopFailure;

/// Where the settings are.
pub const PATH: &str = "/etc/ha.d/lvs.toml";

/// What is read of it at most, bytes.
const MOST: u64 = 64 * 1024;

/// Whom ldirectord becomes unless the file names another, if there is such a user.
const USER: &str = "ldirectord";

/// The user as whom ldirectord keeps everything.
const ROOT: &str = "root";

/// The file. Without one every value has its default.
///
/// ```
/// use lvs::settings::{IpvsAccess, Settings};
///
/// let settings: Settings = toml::from_str("ipvs = \"helper\"\n[ldirectord]\nuser = \"lb\"\n")?;
/// assert_eq!(settings.ipvs, IpvsAccess::Helper);
/// assert_eq!(settings.sockets, std::path::Path::new("/run/lvs"));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How ldirectord reaches the IPVS table.
    pub ipvs: IpvsAccess,
    /// Directory of the daemons' sockets.
    pub sockets: PathBuf,
    /// ldirectord's own.
    pub ldirectord: Ldirectord,
    /// heartbeatd's own.
    pub heartbeatd: Heartbeatd,
}

/// How ldirectord reaches the IPVS table.
///
/// ```
/// use lvs::settings::{IpvsAccess, Settings};
///
/// assert_eq!(Settings::default().ipvs, IpvsAccess::Auto);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvsAccess {
    /// The helper if its socket is there, else the kernel if CAP_NET_ADMIN is held.
    #[default]
    Auto,
    /// `lvsctl serve`, and nothing else.
    Helper,
    /// The kernel, and nothing else.
    Direct,
}

/// Settings of heartbeatd that its files have no place for, which a heartbeat may read as well.
///
/// ```
/// use lvs::settings::Settings;
/// use lvs::settings::announce::Of;
///
/// let settings: Settings = toml::from_str("[heartbeatd.announce.all]\ncount = 5\n")?;
/// assert_eq!(settings.heartbeatd.announce[&Of::All].count, Some(5));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Heartbeatd {
    /// How often within a minute an address that somebody has taken off is put back, before its group is given to
    /// another node.
    pub repairs: u16,
    /// How often the scripts of groups that run here are asked whether they still do; never unless it is set.
    #[serde(deserialize_with = "scripts::interval")]
    pub monitor: Option<Duration>,
    /// How long the start or the stop of a resource script may take before it is killed. A status may take a minute at
    /// most.
    #[serde(rename = "script_timeout", deserialize_with = "scripts::timeout")]
    pub script_timeout: Duration,
    /// How virtual addresses are announced.
    pub announce: announce::Announcements,
    /// What is done about a resource group that cannot be stopped.
    #[serde(rename = "stop_failure")]
    pub stop_failure: StopFailure,
    /// Who is told of each change.
    pub notify: Option<notify::Notify>,
}

impl Default for Heartbeatd {
    fn default() -> Self {
        let announce = announce::Announcements::default();
        let script_timeout = scripts::TIMEOUT;
        Self { repairs: 3, monitor: None, script_timeout, announce, stop_failure: StopFailure::default(), notify: None }
    }
}

/// Settings of ldirectord that `ldirectord.cf` has no place for.
///
/// ```
/// use lvs::settings::Ldirectord;
///
/// assert!(Ldirectord { user: Some("root".to_owned()) }.stays_root());
/// assert!(!Ldirectord::default().stays_root());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ldirectord {
    /// The user it becomes; `lvsctl serve` lets that user program the table.
    pub user: Option<String>,
}

impl Ldirectord {
    /// Whether it stays root, with all privileges.
    #[must_use]
    pub fn stays_root(&self) -> bool {
        self.user.as_deref() == Some(ROOT)
    }

    /// The user that an ldirectord started by root becomes, and that may therefore program the table: the one of the
    /// file, else `ldirectord` if there is such a user. None if it stays root.
    ///
    /// # Errors
    /// If there is no user of that name.
    pub fn becomes(&self) -> Result<Option<User>, NoUser> {
        match self.user.as_deref() {
            Some(ROOT) => Ok(None),
            Some(name) => privilege::user(name).map(Some).ok_or_else(|| NoUser(name.to_owned())),
            None => Ok(privilege::user(USER)),
        }
    }
}

/// The settings name a user that is not known here.
///
/// ```
/// use lvs::settings::Ldirectord;
///
/// let ldirectord = Ldirectord { user: Some("nobody of that name".to_owned()) };
/// let error = ldirectord.becomes().expect_err("there is no such user");
/// assert!(error.to_string().contains("correct [ldirectord] user in lvs.toml"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no user {0:?} for ldirectord; correct [ldirectord] user in lvs.toml, or add the user")]
pub struct NoUser(String);

impl Default for Settings {
    fn default() -> Self {
        Self {
            ipvs: IpvsAccess::Auto,
            sockets: SOCKET_DIRECTORY.into(),
            ldirectord: Ldirectord::default(),
            heartbeatd: Heartbeatd::default(),
        }
    }
}

/// The settings cannot be used.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::settings::{PATH, Settings, SettingsError};
///
/// match Settings::read(Path::new(PATH)) {
///     Ok(settings) => println!("sockets in {}", settings.sockets.display()),
///     Err(SettingsError::Invalid(mistake)) => println!("{mistake}"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is there and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It says something that is not known.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
}

impl Settings {
    /// Reads the settings; no file means the defaults.
    ///
    /// # Errors
    /// If the file cannot be read, or says something that is not known.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        match file::read(path, MOST) {
            Ok(text) => {
                toml::from_str(&text).map_err(|e| SettingsError::Invalid(Box::new(Diagnostic::toml(path, &text, &e))))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(SettingsError::Read { path: path.to_owned(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;
    use tempfile::TempDir;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("lvs.toml");
        fs::write(&path, text).expect("written");
        Settings::read(&path)
    }

    #[test]
    fn without_a_file_everything_has_its_default() {
        let settings = Settings::read(Path::new("/nonexistent/lvs.toml")).expect("absent is fine");
        assert_eq!((settings.ipvs, settings.sockets.to_str()), (IpvsAccess::Auto, Some("/run/lvs")));
        assert_eq!(read("").expect("empty is fine"), settings);
    }

    #[test]
    fn what_is_written_counts() {
        let settings = read("ipvs = \"direct\"\nsockets = \"/tmp/s\"\n[ldirectord]\nuser = \"lb\"\n").expect("good");
        assert_eq!((settings.ipvs, settings.sockets.to_str()), (IpvsAccess::Direct, Some("/tmp/s")));
        assert_eq!((settings.ldirectord.user.as_deref(), settings.heartbeatd.repairs), (Some("lb"), 3));
        assert_eq!(read("[heartbeatd]\nrepairs = 0\n").expect("good").heartbeatd.repairs, 0);
        assert!(read("[heartbeatd]\nrepairs = -1\n").is_err() && read("[heartbeatd]\nrepairs = \"3\"\n").is_err());
    }

    #[test]
    fn what_heartbeatd_does_beside_its_files_is_off_unless_it_is_written() {
        let heartbeatd = |text| read(text).map(|settings| settings.heartbeatd);
        let off = heartbeatd("").expect("good");
        assert_eq!((off.stop_failure, off.notify, off.monitor), (StopFailure::Freeze, None, None));
        assert_eq!(off.script_timeout, Duration::from_secs(300));
        let text = "[heartbeatd]\nmonitor = 1.5\nscript_timeout = 900\nstop_failure = \"reboot\"\n[heartbeatd.notify]\ncommand = \"/bin/tell\"\ntimeout = 2.5\n";
        let on = heartbeatd(text).expect("good");
        let notify = on.notify.expect("written");
        assert_eq!((on.stop_failure, on.monitor), (StopFailure::Reboot, Some(Duration::from_millis(1500))));
        assert_eq!(on.script_timeout, Duration::from_secs(900));
        assert_eq!((notify.command.as_str(), notify.timeout), ("/bin/tell", Duration::from_millis(2500)));
        for wrong in [
            "[heartbeatd]\nstop_failure = \"hope\"\n",
            "[heartbeatd]\nmonitor = 0\n",
            "[heartbeatd]\nmonitor = \"30\"\n",
            "[heartbeatd]\nscript_timeout = 0\n",
            "[heartbeatd.notify]\ntimeout = 1\n",
            "[heartbeatd.notify]\ncommand = \"\"\n",
            "[heartbeatd.notify]\ncommand = \"x\"\ntimeout = 0\n",
            "[heartbeatd.notify]\ncommand = \"x\"\ntimeout = 1e300\n",
        ] {
            assert!(heartbeatd(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ldirectord_and_its_helper_agree_on_the_user() {
        let becomes = |text| read(text).expect("good").ldirectord.becomes();
        assert_eq!(becomes(""), Ok(privilege::user("ldirectord")));
        assert_eq!(becomes("[ldirectord]\nuser = \"nobody\"\n"), Ok(privilege::user("nobody")));
        assert!(privilege::user("nobody").is_some(), "this machine has no nobody");
        assert_eq!(becomes("[ldirectord]\nuser = \"root\"\n"), Ok(None));
        assert_eq!(becomes("[ldirectord]\nuser = \"no-such\"\n"), Err(NoUser("no-such".to_owned())));
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let error = Settings::read(Path::new("/dev/zero")).expect_err("endless");
        assert!(crate::diag::chain(&error).ends_with("longer than 65536 bytes"), "{error:?}");
    }

    #[test]
    fn a_misspelt_setting_is_shown_with_its_place() {
        for (text, place) in [("ipsv = \"auto\"\n", ":1:1: "), ("ipvs = \"maybe\"\n", ":1:8: ")] {
            let error = read(text).expect_err("not a setting").to_string();
            assert!(error.contains(place) && error.contains(text.trim_end()), "{error}");
        }
    }
}
