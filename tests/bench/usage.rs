//! What a program and its children cost, as the kernel counts it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Ticks of `/proc` in a second: USER_HZ, the same on every architecture of today.
const TICKS: f64 = 100.0;

/// Processor time and memory of one process and all that come from it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time, that of children that have ended included.
    pub processor: Duration,
    /// Resident, pages that several processes share counted for each, KiB.
    pub resident: u64,
    /// Processes.
    pub processes: usize,
}

/// A line of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    /// utime, stime, cutime and cstime, in ticks.
    ticks: u64,
}

impl Usage {
    /// What has been added since `before`, and how much memory and how many processes more there are.
    pub fn since(self, before: Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(before.processor),
            resident: self.resident.saturating_sub(before.resident),
            processes: self.processes.saturating_sub(before.processes),
        }
    }

    /// As it is now.
    pub fn of(root: u32) -> Self {
        let stats: BTreeMap<u32, Stat> = processes().filter_map(|pid| Some((pid, stat(pid)?))).collect();
        let mut usage = Self::default();
        let (mut ticks, mut next) = (0, vec![root]);
        while let Some(pid) = next.pop() {
            let Some(stat) = stats.get(&pid) else { continue };
            ticks += stat.ticks;
            usage.resident += resident(pid);
            usage.processes += 1;
            next.extend(stats.iter().filter(|(_, stat)| stat.parent == pid).map(|(&child, _)| child));
        }
        usage.processor = Duration::from_secs_f64(ticks as f64 / TICKS);
        usage
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have blanks and parentheses in it; the first field after it is the third, the state.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = (14..=17).map(number).sum::<Option<u64>>()?;
    Some(Stat { parent: number(4)?.try_into().ok()?, ticks })
}

fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
