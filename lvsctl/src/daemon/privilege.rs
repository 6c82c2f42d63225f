//! Users, and the capabilities that are kept.

use std::io;
use std::path::Path;

pub use landlock::RulesetError;
use landlock::{ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus};
use rustix::process::{Gid, Uid};
pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    CapabilitySets, capabilities, set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::file;

/// Most of a list of users or groups, bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A local user.
///
/// ```
/// use lvs::daemon::privilege::{User, user};
///
/// assert_eq!(user("root"), Some(User { uid: 0, gid: 0 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// The user of that name in /etc/passwd. Only the file is read: a directory service that does
/// not answer must not keep a failover daemon from starting.
#[must_use]
pub fn user(name: &str) -> Option<User> {
    let (uid, gid) = entry("/etc/passwd", name)?;
    Some(User { uid, gid: gid? })
}

/// The id of the group of that name in /etc/group.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    entry("/etc/group", name).map(|(gid, _)| gid)
}

/// The name of the user with that id in /etc/passwd.
#[must_use]
pub fn name_of(uid: u32) -> Option<String> {
    let text = file::read(Path::new("/etc/passwd"), LARGEST).ok()?;
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    text.lines().find_map(of)
}

fn entry(list: &str, name: &str) -> Option<(u32, Option<u32>)> {
    let text = file::read(Path::new(list), LARGEST).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let id = fields.nth(1)?.parse().ok()?;
        Some((id, fields.next().and_then(|field| field.parse().ok())))
    })
}

/// Becomes `user` for good (if one is given) and keeps only the capabilities in `keep`.
///
/// Acts on the calling thread: call it before any other thread is started.
///
/// # Errors
/// If the kernel refuses, for instance because the process is not privileged enough.
pub fn reduce(user: Option<User>, keep: CapabilitySet) -> io::Result<()> {
    let have = capabilities(None)?.permitted;
    let keep = keep & have;
    if let Some(User { uid, gid }) = user {
        set_keep_capabilities(true)?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_keep_capabilities(false)?;
    }
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    Ok(set_no_new_privs(true)?)
}

/// Writes, makes and removes no file from now on: of `removable`, which are directories, files may be removed, and
/// /dev/null may be written to. Root owns files that it needs no capability for. Whether the kernel sees to it;
/// before 5.13, and where Landlock is switched off, it does not.
///
/// Acts on the calling thread: call it before any other thread is started.
///
/// # Errors
/// If the kernel knows Landlock and refuses.
pub fn write_nothing(removable: &[&Path]) -> Result<bool, RulesetError> {
    write_only(&[], removable)
}

/// As [`write_nothing`], but for `writable`, directories in which files may be made and written: logs.
///
/// # Errors
/// As [`write_nothing`].
pub fn write_only(writable: &[&Path], removable: &[&Path]) -> Result<bool, RulesetError> {
    let mut rules = Ruleset::default().handle_access(AccessFs::from_write(ABI::V3))?.create()?;
    let writable = writable.iter().map(|&directory| (directory, AccessFs::WriteFile | AccessFs::MakeReg));
    let removable = removable.iter().map(|&directory| (directory, AccessFs::RemoveFile.into()));
    for (path, access) in writable.chain(removable).chain([(Path::new("/dev/null"), AccessFs::WriteFile.into())]) {
        // What is not there needs no leave.
        if let Ok(path) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(path, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Whether this process may do what the capability allows.
#[must_use]
pub fn may(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn root_is_found_and_nobody_of_another_name_is() {
        assert_eq!(user("root"), Some(User { uid: 0, gid: 0 }));
        assert_eq!(group("root"), Some(0));
        assert_eq!(user("no such user"), None);
        assert_eq!(name_of(0).as_deref(), Some("root"));
    }

    #[test]
    fn a_thread_that_may_write_nothing_removes_what_it_may() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (free, other) = (directory.path().join("free"), directory.path().join("other"));
        for directory in [&free, &other] {
            fs::create_dir(directory).expect("made");
            fs::write(directory.join("file"), "x").expect("written");
        }
        let thread = std::thread::spawn(move || {
            let held = write_nothing(&[&free]).expect("a kernel that does not know it does not refuse");
            let done = [
                fs::write("/dev/null", "x").is_ok(),
                fs::read(other.join("file")).is_ok(),
                fs::remove_file(free.join("file")).is_ok(),
                fs::write(free.join("new"), "x").is_err(),
                fs::write(other.join("file"), "y").is_err(),
                fs::remove_file(other.join("file")).is_err(),
            ];
            (held, done)
        });
        let (held, done) = thread.join().expect("no panic");
        assert_eq!(done, [true, true, true, held, held, held], "the kernel sees to it: {held}");
    }
}
