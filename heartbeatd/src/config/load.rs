//! Reads the three files from their folder.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lvs::daemon::{file, privilege};
use lvs::diag::Diagnostic;
use zeroize::Zeroizing;

use super::model::Config;
use super::source::Source;
use super::{Surroundings, authkeys, check, hacf, haresources};
use crate::wire::Keys;

/// The registered port of heartbeat (IANA: ha-cluster).
const PORT: u16 = 694;
const SERVICE: &str = "ha-cluster";
/// No file of an administrator is larger.
const LARGEST: u64 = 1024 * 1024;

/// What was read, and what the administrator should know about it.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The model.
    pub value: T,
    /// Mistakes that do not matter enough to refuse the file.
    pub warnings: Vec<Diagnostic>,
}

/// Why a file is refused; each is shown in one or more lines.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file is not there, or not to be read by us.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or write authkeys.
    #[error("{path} has mode {mode:04o}: others may read the keys; run \"chmod 600 {path}\"", path = path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A mistake with its place; warnings are among them, for the whole picture.
    #[error("{0}")]
    Mistake(Diagnostic),
}

/// Reads `ha.cf`, `haresources` and `authkeys` from the folder, usually /etc/ha.d.
///
/// Names of hosts in ha.cf are looked up, which can take as long as the name service does: not to be
/// called on the thread that sends heartbeats.
///
/// # Errors
/// Every problem of all three files.
pub fn load(folder: &Path) -> Result<Loaded<Config>, Vec<Problem>> {
    let (node_name, name_from) = node_name(folder);
    let services = text(Path::new("/etc/services")).unwrap_or_default();
    let has_script = |name: &str| crate::act::script::locate(folder, name).is_some();
    let around = Surroundings {
        node_name,
        name_from,
        port: registered(&services, |(name, _)| name == SERVICE).map_or(PORT, |(_, port)| port),
        resolve: &resolve,
        user: &|name| privilege::user(name).map(|user| (user.uid, user.gid)),
        group: &|name| privilege::group(name).is_some(),
        program: &program,
        parameters: &parameters,
        is_device: &|path| Ok(fs::metadata(path)?.file_type().is_char_device()),
        service: &|port| {
            registered(&services, |(name, at)| at == port && name != SERVICE).map(|(name, _)| name.to_owned())
        },
        has_script: &has_script,
    };

    let mut problems = Vec::new();
    let ha_cf = file_of(folder, "ha.cf", &mut problems);
    let haresources = file_of(folder, "haresources", &mut problems);
    let keys = load_keys(folder);
    judge(folder, [ha_cf, haresources], keys, &around, problems)
}

/// The three files by their contents, to be judged as those of the machine that [`Surroundings`] describe.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// ha.cf.
    pub ha_cf: &'a str,
    /// haresources.
    pub haresources: &'a str,
    /// authkeys.
    pub authkeys: &'a [u8],
}

/// Judges files that are not in their folder, or not yet; nothing is read. They are shown under the names that they would
/// have there.
///
/// # Errors
/// Every problem of all three files.
pub fn read(folder: &Path, texts: &Texts<'_>, around: &Surroundings) -> Result<Loaded<Config>, Vec<Problem>> {
    let file = |name: &str, text: &str| Some(Text { path: folder.join(name), text: text.to_owned(), readable: false });
    let files = [file("ha.cf", texts.ha_cf), file("haresources", texts.haresources)];
    judge(folder, files, keys_of(&folder.join("authkeys"), texts.authkeys), around, Vec::new())
}

/// A file that was read.
struct Text {
    path: PathBuf,
    text: String,
    /// Others than its owner may read it.
    readable: bool,
}

/// `problems` are those that there are already.
fn judge(
    folder: &Path,
    [ha_cf, haresources]: [Option<Text>; 2],
    keys: Result<Loaded<Keys>, Vec<Problem>>,
    around: &Surroundings,
    mut problems: Vec<Problem>,
) -> Result<Loaded<Config>, Vec<Problem>> {
    let mut warnings = Vec::new();
    let mut take = |mut found: Vec<Diagnostic>, refused: bool, problems: &mut Vec<Problem>| {
        if refused {
            problems.extend(found.drain(..).map(Problem::Mistake));
        }
        warnings.append(&mut found);
    };
    let ha_cf = ha_cf.and_then(|Text { path, text, readable }| {
        let mut source = Source::new(&path, &text);
        source.readable = readable;
        let written = hacf::read(&mut source, around);
        let model = check::check(written, &mut source, around);
        take(source.found, model.is_none(), &mut problems);
        model
    });
    let groups = haresources.and_then(|Text { path, text, .. }| {
        let mut source = Source::new(&path, &text);
        let nodes = ha_cf.as_ref().map(|ha_cf| ha_cf.nodes.as_slice()).unwrap_or_default();
        let groups = haresources::read(&mut source, nodes, around);
        let refused = source.has_errors();
        take(source.found, refused, &mut problems);
        (!refused).then_some(groups)
    });
    let keys = match keys {
        Ok(Loaded { value, warnings }) => {
            take(warnings, false, &mut problems);
            Some(value)
        }
        Err(mut found) => {
            problems.append(&mut found);
            None
        }
    };
    match (ha_cf, groups, keys) {
        (Some(ha_cf), Some(groups), Some(keys)) if problems.is_empty() => {
            Ok(Loaded { value: Config { directory: folder.to_owned(), ha_cf, groups, keys }, warnings })
        }
        _ => Err(problems),
    }
}

/// Reads `authkeys` alone, at reload.
///
/// # Errors
/// Every problem of the file.
pub fn load_keys(folder: &Path) -> Result<Loaded<Keys>, Vec<Problem>> {
    keys(&folder.join("authkeys"), true)
}

/// Reads a file of keys to look at packets with. Who else may read it is not asked: nothing is
/// believed or sent on the strength of it.
///
/// # Errors
/// Every problem of the file.
pub fn load_keys_to_decode(path: &Path) -> Result<Loaded<Keys>, Vec<Problem>> {
    keys(path, false)
}

fn keys(path: &Path, private: bool) -> Result<Loaded<Keys>, Vec<Problem>> {
    let unreadable = |source| vec![Problem::Unreadable { path: path.to_owned(), source }];
    // The mode is asked of the opened file: the name could be another file a moment later.
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        return Err(vec![Problem::Permissions { path: path.to_owned(), mode }]);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file::append(&file, LARGEST, &mut bytes).map_err(unreadable)?;
    keys_of(path, &bytes)
}

fn keys_of(path: &Path, bytes: &[u8]) -> Result<Loaded<Keys>, Vec<Problem>> {
    let text = authkeys::text(bytes);
    let shown = authkeys::shown(&text);
    let mut source = Source::new(path, &shown);
    match authkeys::read(&mut source, &text) {
        Some(value) => Ok(Loaded { value, warnings: source.found }),
        None => Err(source.found.into_iter().map(Problem::Mistake).collect()),
    }
}

/// The text of a file that may be in any encoding, comments in it for example.
pub(super) fn text(path: &Path) -> io::Result<String> {
    text_and_mode(path).map(|(text, _)| text)
}

fn text_and_mode(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file::append(&file, LARGEST, &mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), mode))
}

fn file_of(folder: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<Text> {
    let path = folder.join(name);
    match text_and_mode(&path) {
        Ok((text, mode)) => Some(Text { path, text, readable: mode & 0o077 != 0 }),
        Err(source) => {
            problems.push(Problem::Unreadable { path, source });
            None
        }
    }
}

/// First line of `nodeinfo`, else `uname -n` (spec 5.1).
fn node_name(folder: &Path) -> (String, &'static str) {
    let from_file = text(&folder.join("nodeinfo")).ok();
    let line = from_file.as_deref().and_then(|text| text.lines().next()).map(str::trim).filter(|line| !line.is_empty());
    match line {
        Some(name) => (name.to_owned(), "nodeinfo"),
        None => (lvs::daemon::node_name(), "uname -n"),
    }
}

/// The first service over UDP in the text of /etc/services that is asked for, with its port.
fn registered(services: &str, is_it: impl Fn((&str, u16)) -> bool) -> Option<(&str, u16)> {
    let mut services = services.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?, words.next()?.strip_suffix("/udp")?.parse().ok()?))
    });
    services.find(|service| is_it(*service))
}

/// Where fence agents and the like are installed.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

fn program(name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute() && is_program(path));
    }
    PROGRAMS.iter().map(|folder| Path::new(folder).join(name)).find(is_program)
}

fn parameters(path: &Path) -> io::Result<(String, bool)> {
    text_and_mode(path).map(|(text, mode)| (text, mode & 0o077 != 0))
}

fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    (host, 0).to_socket_addrs().map(|addresses| addresses.map(|address| address.ip()).collect())
}
