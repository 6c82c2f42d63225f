//! The process group of a script that is under way, to be found again by a later life of the daemon.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

use super::GRACE;

/// After it was killed: a process that waits for a disk ends when that answers.
const DYING: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A script under way. Its number alone may be another's later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its process, which leads a group of its own.
    leader: i32,
    /// When that was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
    since: u64,
}

impl Run {
    /// That of a script that was started just now; `None` if /proc does not say.
    #[must_use]
    pub fn of(leader: Pid) -> Option<Self> {
        let leader = leader.as_raw_nonzero().get();
        Some(Self { leader, since: Stat::of(leader)?.since })
    }

    /// Whether the script itself is still under way. What it has left running on purpose does not count.
    fn is_under_way(self) -> bool {
        Stat::of(self.leader)
            .is_some_and(|stat| stat.since == self.since && stat.group == self.leader && !stat.has_ended())
    }

    /// Ends it and what it has started, if the script is still under way: asks first, and kills a little later. False if
    /// something of it is there all the same.
    pub async fn end(self) -> bool {
        // What is read from a file may be any number.
        let leader = if self.leader > 1 { Pid::from_raw(self.leader) } else { None };
        let Some(leader) = leader.filter(|_| self.is_under_way()) else { return true };
        // Either may have ended by itself just now.
        _ = kill_process_group(leader, Signal::TERM);
        if !self.is_gone_within(leader, GRACE).await {
            _ = kill_process_group(leader, Signal::KILL);
            return self.is_gone_within(leader, DYING).await;
        }
        true
    }

    async fn is_gone_within(self, leader: Pid, patience: Duration) -> bool {
        // As long as one of the group is there its number is not given to another process.
        let is_gone = || {
            let is_anothers = Stat::of(self.leader).is_some_and(|stat| stat.since != self.since);
            is_anothers || test_kill_process_group(leader).is_err()
        };
        let gone = async {
            while !is_gone() {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        tokio::time::timeout(patience, gone).await.is_ok()
    }
}

/// What /proc/PID/stat says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: i32,
    since: u64,
}

impl Stat {
    fn of(process: i32) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{process}/stat")).ok()?))
    }

    /// Fields 3, 5 and 22.
    fn parse(text: &str) -> Option<Self> {
        // The second is the program's name in parentheses, and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let since = fields.nth(16)?.parse().ok()?;
        Some(Self { state, group, since })
    }

    /// Nobody has asked for its exit status yet.
    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::Command;

    fn block_on(body: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), body).await.expect("within a minute") });
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let text = "42 (a) S (b) S 1 43 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3\n";
        assert_eq!(Stat::parse(text), Some(Stat { state: 'S', group: 43, since: 98765 }));
        assert_eq!(Stat::parse("42 (a) S 1 43 7"), None);
    }

    #[test]
    fn a_script_that_does_not_heed_the_wish_to_end_is_killed_and_another_with_its_number_is_not() {
        block_on(async {
            let mut child = Command::new("sh")
                .args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
                .stdout(Stdio::piped())
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
            let run = Run::of(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap()).unwrap();
            assert!(Run { since: run.since + 1, ..run }.end().await);
            assert!(run.is_under_way());
            let (ended, status) = tokio::join!(run.end(), child.wait());
            assert!(ended);
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status.unwrap()), Some(9));
            assert!(!run.is_under_way() && run.end().await);
        });
    }
}
