//! What the kernel's table cannot tell the next ldirectord: which servers an order has drained, and which their agents
//! have taken out. Weight 0 may also mean that a server was down.
//!
//! It is one small file beside the socket, gone after a reboot as the table is. It is opened while the privileges for
//! that are there and written in place, because a daemon that has given them up can make no other. So it outlives a
//! restart, a stop, and a daemon that is killed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent;

/// Ten thousand servers are a tenth of this, bytes. What is behind is not looked at.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The servers of which something is to be remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In the order of the configuration.
    pub servers: Vec<Remembered>,
}

/// What is to be remembered of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its service: [`crate::config::model::Virtual::id`].
    pub service: String,
    /// Its address in the kernel's table.
    pub real: SocketAddr,
    /// An order to drain it holds.
    #[serde(default)]
    pub drained: bool,
    /// How its agent has taken it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Withdrawn>,
}

/// What an agent said and has not taken back. Percentages are not among it: the table tells the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The agent's port: another agent is another's word.
    pub port: u16,
    /// It said that the server does not work.
    pub down: bool,
    /// Its last order.
    pub order: agent::Order,
}

/// The file of the instance whose socket, in this directory, has this name.
#[must_use]
pub fn path(sockets: &Path, socket_name: &str) -> PathBuf {
    sockets.join(format!("{socket_name}.memory.json"))
}

/// The file.
#[derive(Debug, Default)]
pub struct Keeper {
    file: Option<File>,
    path: PathBuf,
    written: Memory,
    /// It was told that the file cannot be written.
    broken: bool,
}

impl Keeper {
    /// Opens or makes the file, and reads it. Without it a daemon works as well, and forgets at its end.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let (file, text) = match read(path) {
            Ok((file, text)) => (Some(file), text),
            Err(error) => {
                log::warn!("orders to drain end with this ldirectord: cannot open {}: {error}", path.display());
                (None, String::new())
            }
        };
        // Behind the first line is what is left of a longer text from before.
        let line = text.lines().next().unwrap_or_default();
        let memory = if line.is_empty() { Ok(Memory::default()) } else { serde_json::from_str(line) };
        let written = memory.unwrap_or_else(|error| {
            log::warn!("orders to drain from before are not known: {}: {error}", path.display());
            Memory::default()
        });
        Self { file, path: path.to_owned(), written, broken: false }
    }

    /// What is in the file.
    #[must_use]
    pub fn known(&self) -> &Memory {
        &self.written
    }

    /// Writes what has changed. That it cannot be written is told once.
    pub fn keep(&mut self, memory: Memory) {
        let Some(file) = &self.file else { return };
        if memory == self.written {
            return;
        }
        match write(file, &memory) {
            Ok(()) => (self.written, self.broken) = (memory, false),
            Err(error) if !std::mem::replace(&mut self.broken, true) => {
                log::warn!("orders to drain end with this ldirectord: cannot write {}: {error}", self.path.display());
            }
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> io::Result<(File, String)> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
    let mut text = Vec::new();
    (&file).take(LARGEST).read_to_end(&mut text)?;
    Ok((file, String::from_utf8_lossy(&text).into_owned()))
}

fn write(file: &File, memory: &Memory) -> io::Result<()> {
    let text = serde_json::to_string(memory)? + "\n";
    // The new text first: whoever is killed between the two leaves a whole first line.
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn memory(servers: u8) -> Memory {
        let server = |n| Remembered {
            service: "tcp:198.51.100.1:80".into(),
            real: ([192, 0, 2, n], 80).into(),
            drained: true,
            agent: Some(Withdrawn { port: 9707, down: false, order: agent::Order::Maintenance }),
        };
        Memory { servers: (0..servers).map(server).collect() }
    }

    #[test]
    fn what_is_kept_is_there_for_the_next_one_and_for_nobody_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lvs/ldirectord.memory.json");
        let mut keeper = Keeper::open(&path);
        assert_eq!(*keeper.known(), Memory::default());
        keeper.keep(memory(200));
        keeper.keep(memory(2));
        assert_eq!(*Keeper::open(&path).known(), memory(2), "without the end of the longer one");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        keeper.keep(Memory::default());
        assert_eq!(*Keeper::open(&path).known(), Memory::default());
    }

    #[test]
    fn a_daemon_that_was_killed_while_it_wrote_leaves_the_new_or_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("memory.json");
        let text = |servers| serde_json::to_string(&memory(servers)).expect("text") + "\n";
        fs::write(&path, text(1) + &text(9)[text(1).len()..]).expect("written");
        assert_eq!(*Keeper::open(&path).known(), memory(1));
        fs::write(&path, &text(9)[..300]).expect("written");
        let mut keeper = Keeper::open(&path);
        assert_eq!(*keeper.known(), Memory::default());
        keeper.keep(memory(3));
        assert_eq!(*Keeper::open(&path).known(), memory(3));
    }

    #[test]
    fn a_file_that_cannot_be_had_is_no_reason_not_to_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        let mut keeper = Keeper::open(&link);
        assert_eq!(*keeper.known(), Memory::default());
        keeper.keep(memory(1));
        assert_eq!(fs::read_to_string(&target).expect("there"), "", "a link is not followed");
    }
}
