//! `meatclient` of cluster-glue: an administrator says that a node is off.

/// What it says when it is called in another way.
pub const USAGE: &str = "usage: meatclient -c node [-w]";
/// Its exit status then.
pub const WRONG: u8 = 1;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The node that is off, in lower case.
    pub node: String,
    /// Wait until it is one whose end is waited for.
    pub wait: bool,
}

/// Reads the command line; `None` if it is none.
#[must_use]
pub fn read(arguments: &[String]) -> Option<Order> {
    let (mut node, mut wait) = (None, false);
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-w" => wait = true,
            "-c" => node = Some(words.next()?),
            "-wc" => (node, wait) = (Some(words.next()?), true),
            _ => node = Some(word.strip_prefix("-c").filter(|name| !name.is_empty())?),
        }
    }
    Some(Order { node: node?.to_lowercase(), wait })
}

/// What is to be answered with y.
#[must_use]
pub fn warning(node: &str) -> String {
    format!(
        "\nWARNING!\n\nIf node \"{node}\" has not been switched off or disconnected from the clients and from shared \
         storage, two nodes will serve\nat the same time when this is confirmed.\n\nDo you want to proceed? [yN] "
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_meatclients() {
        let read = |line: &str| read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let order = |wait| Some(Order { node: "lvs2".into(), wait });
        for (line, wanted) in [
            ("-c LVS2", order(false)),
            ("-clvs2", order(false)),
            ("-w -c lvs2", order(true)),
            ("-c lvs2 -w", order(true)),
            ("-wc lvs2", order(true)),
            ("", None),
            ("-w", None),
            ("-c", None),
            ("lvs2", None),
        ] {
            assert_eq!(read(line), wanted, "{line}");
        }
    }
}
