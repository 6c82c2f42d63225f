//! Which configuration an instance has, and where it leaves its pid (spec chapter 1).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where things are on this machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where configurations are looked for, before the name as given.
    pub config_directories: Vec<PathBuf>,
    /// Directory of the pid files.
    pub run: PathBuf,
    /// The log until a configuration names another.
    pub log: PathBuf,
    /// `lvs.toml`.
    pub settings: PathBuf,
}

impl Places {
    /// The usual ones.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            config_directories: vec!["/etc/ha.d".into(), "/etc/ha.d/conf".into()],
            run: "/var/run".into(),
            log: "/var/log/ldirectord.log".into(),
            settings: lvs::settings::PATH.into(),
        }
    }
}

/// An instance: a configuration that was found, and the name it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Last component of the configuration's name, suffix included; `ldirectord` if none was
    /// given. Instances are told apart by nothing else (T17).
    pub name: String,
    /// The configuration as found, for messages.
    pub config: PathBuf,
    /// The same from the root, for a daemon that has left the caller's directory (B20).
    pub absolute: PathBuf,
    /// `/var/run/ldirectord.NAME.pid`.
    pub pid_file: PathBuf,
}

/// There is no such configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Config file {} not found", Path::new(.0).display())]
pub struct NotFound(pub OsString);

impl Instance {
    /// Looks for a configuration. `started_in` is the directory that relative names begin in.
    ///
    /// # Errors
    /// If none of the places has such a file.
    pub fn find(config: Option<&OsStr>, places: &Places, started_in: &Path) -> Result<Self, NotFound> {
        let given = config.unwrap_or(OsStr::new("ldirectord.cf"));
        // As the original: an absolute name is tried below the directories first, too.
        let below = |directory: &PathBuf| {
            let mut path = directory.clone().into_os_string();
            path.push("/");
            path.push(given);
            PathBuf::from(path)
        };
        let mut candidates = places.config_directories.iter().map(below).chain([PathBuf::from(given)]);
        let config_path =
            candidates.find(|path| started_in.join(path).is_file()).ok_or_else(|| NotFound(given.into()))?;
        let name = match config {
            None => "ldirectord".to_owned(),
            Some(given) => Path::new(given).file_name().unwrap_or(given).to_string_lossy().into_owned(),
        };
        Ok(Self {
            pid_file: places.run.join(format!("ldirectord.{name}.pid")),
            absolute: started_in.join(&config_path),
            config: config_path,
            name,
        })
    }

    /// The name of its socket (spec of the sockets: several instances are `ldirectord.NAME`).
    #[must_use]
    pub fn socket_name(&self) -> String {
        lvs::control::ldirectord::socket_name(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn machine() -> (TempDir, Places) {
        let root = TempDir::new().expect("a directory");
        for directory in ["ha.d/conf", "home"] {
            fs::create_dir_all(root.path().join(directory)).expect("made");
        }
        let places = Places {
            config_directories: vec![root.path().join("ha.d"), root.path().join("ha.d/conf")],
            run: "/var/run".into(),
            log: root.path().join("log"),
            settings: root.path().join("lvs.toml"),
        };
        (root, places)
    }

    #[test]
    fn the_first_of_the_three_places_counts() {
        let (root, places) = machine();
        let home = root.path().join("home");
        let find = || Instance::find(Some("web.cf".as_ref()), &places, &home).map(|i| (i.config, i.absolute));
        assert_eq!(find(), Err(NotFound("web.cf".into())));
        fs::write(home.join("web.cf"), "").expect("written");
        assert_eq!(find(), Ok(("web.cf".into(), home.join("web.cf"))));
        fs::write(root.path().join("ha.d/conf/web.cf"), "").expect("written");
        assert_eq!(find().expect("found").0, root.path().join("ha.d/conf/web.cf"));
        fs::create_dir(root.path().join("ha.d/web.cf")).expect("a directory is no file");
        assert_eq!(find().expect("found").0, root.path().join("ha.d/conf/web.cf"));
    }

    #[test]
    fn the_default_instance_and_its_file_have_different_pid_files() {
        let (root, places) = machine();
        fs::write(root.path().join("ha.d/ldirectord.cf"), "").expect("written");
        let pid_file = |config: Option<&str>| {
            Instance::find(config.map(OsStr::new), &places, Path::new("/")).expect("found").pid_file
        };
        assert_eq!(pid_file(None), Path::new("/var/run/ldirectord.ldirectord.pid"));
        assert_eq!(pid_file(Some("ldirectord.cf")), Path::new("/var/run/ldirectord.ldirectord.cf.pid"));
        let absolute = root.path().join("ha.d/ldirectord.cf");
        assert_eq!(pid_file(absolute.to_str()), Path::new("/var/run/ldirectord.ldirectord.cf.pid"));
    }

    #[test]
    fn a_missing_file_is_named_as_it_was_given() {
        let (_root, places) = machine();
        let error = Instance::find(Some("nofile.cf".as_ref()), &places, Path::new("/")).expect_err("not there");
        assert_eq!(error.to_string(), "Config file nofile.cf not found");
    }
}
