//! What the four programs share: the IPVS model and its netlink client, the
//! sockets they talk over, and the plumbing of a daemon.

pub mod cli;
pub mod control;
pub mod daemon;
pub mod diag;
pub mod doctor;
pub mod drain;
pub mod ipc;
pub mod ipvs;
pub mod netlink;
pub mod programmer;
pub mod serve;
pub mod settings;
pub mod state;
pub mod top;

#[cfg(doctest)]
#[doc = include_str!("../../docs/from-ipvsadm-to-the-library.md")]
struct FromIpvsadmToTheLibrary;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Modules whose types nobody can name outside of this library.
    const INSIDE: [&str; 5] = [
        "netlink/attribute.rs",
        "netlink/message.rs",
        "netlink/reading.rs",
        "netlink/ipvs/dump.rs",
        "netlink/ipvs/newer.rs",
    ];

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(directory).expect("the sources are there").map(|entry| entry.expect("listed").path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The public types of a file without an example in their documentation.
    fn without_example(text: &str) -> Vec<&str> {
        let kinds = ["pub struct ", "pub enum ", "pub trait ", "pub type ", "pub union "];
        let (mut example, mut found) = (false, Vec::new());
        for line in text.lines() {
            if !example && kinds.iter().any(|kind| line.starts_with(kind)) {
                found.push(line);
            }
            example = line.starts_with("/// ```") || example && (line.starts_with("///") || line.starts_with("#["));
        }
        found
    }

    #[test]
    fn every_public_type_has_an_example() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files: Vec<PathBuf> = sources(&source);
        assert!(files.len() > INSIDE.len(), "there are sources");
        for file in files {
            let name = file.strip_prefix(&source).expect("it is below").to_str().expect("a name in ASCII");
            let text = fs::read_to_string(&file).expect("it can be read");
            let bare = without_example(&text);
            assert!(bare.is_empty() || INSIDE.contains(&name), "{name}: {bare:?}");
        }
    }
}
