//! The whole of what the kernel's IPVS holds in a network namespace: the table, the timeouts and the sync
//! daemons; and the files that say what it should hold.
//!
//! Two forms of file are read and written: TOML ([`document`], `lvs-table(5)`) and the lines of `ipvsadm -S`
//! with what those lose ([`lines`] writes them). Nothing here does I/O.

mod address;
mod comments;
pub mod document;
pub mod lines;
pub(crate) mod values;

pub use address::{ServiceName, ServiceNameError};
pub use comments::Comments;

use crate::ipvs::{self, Change, SyncDaemon, SyncRole, Table, Timeouts};

/// What a kernel has that was never told otherwise (spec/ipvs.md B.8).
pub const DEFAULT_TIMEOUTS: Timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };

/// What the kernel holds.
///
/// ```
/// use lvs::ipvs::Timeouts;
/// use lvs::state::{DEFAULT_TIMEOUTS, State};
///
/// let fresh = State { timeouts: DEFAULT_TIMEOUTS, ..State::default() };
/// assert!(!fresh.is_as(&State { timeouts: Timeouts { udp: 60, ..DEFAULT_TIMEOUTS }, ..State::default() }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Services and their servers.
    pub table: Table,
    /// Connection timeouts.
    pub timeouts: Timeouts,
    /// The sync daemons that run, at most one of each role.
    pub daemons: Vec<SyncDaemon>,
}

impl State {
    /// Whether both are the same; the order of the daemons has no meaning.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.table == other.table
            && self.timeouts == other.timeouts
            && self.daemons.len() == other.daemons.len()
            && self.daemons.iter().all(|daemon| other.daemons.contains(daemon))
    }
}

/// What a file says the kernel should hold.
///
/// ```
/// use lvs::ipvs::{Change, Timeouts};
/// use lvs::state::{DEFAULT_TIMEOUTS, State, Wanted, plan};
///
/// let live = State { timeouts: DEFAULT_TIMEOUTS, ..State::default() };
/// let wanted = Wanted { timeouts: Timeouts { udp: 60, ..Timeouts::default() }, ..Wanted::default() };
/// assert_eq!(plan(&live, &wanted), [Change::SetTimeouts(wanted.timeouts)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Every service and its servers: what is not in it should not be in the kernel.
    pub table: Table,
    /// Timeouts in seconds; 0 where the file does not say.
    pub timeouts: Timeouts,
    /// The sync daemons that should run; `None` if the file does not speak of them.
    pub daemons: Option<Vec<SyncDaemon>>,
    /// What people wrote beside the entries. The kernel has no place for it.
    pub comments: Comments,
}

impl Wanted {
    /// The same with the kernel's own defaults where the file says nothing: nothing that was there before
    /// is left over.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.timeouts = self.timeouts.over(DEFAULT_TIMEOUTS);
        self.daemons.get_or_insert_default();
        self
    }
}

/// A state that is wanted back.
impl From<State> for Wanted {
    fn from(State { table, timeouts, daemons }: State) -> Self {
        Self { table, timeouts, daemons: Some(daemons), comments: Comments::default() }
    }
}

/// The changes that make the kernel hold what is wanted, and nothing more.
///
/// Sync daemons that have to go stop first and new ones start last: while one runs the kernel takes no
/// server of another family than its service's. Between them the order is that of [`ipvs::diff`].
#[must_use]
pub fn plan(live: &State, wanted: &Wanted) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut starts = Vec::new();
    if let Some(daemons) = &wanted.daemons {
        let stays = |runs: &SyncDaemon| daemons.iter().any(|wanted| runs.satisfies(wanted));
        changes.extend(live.daemons.iter().filter(|runs| !stays(runs)).map(|runs| Change::StopDaemon(runs.role)));
        let missing = daemons.iter().filter(|wanted| !live.daemons.iter().any(|runs| runs.satisfies(wanted)));
        starts.extend(missing.cloned().map(Change::StartDaemon));
    }
    let change_of = |wanted: u32, live: u32| if wanted == live { 0 } else { wanted };
    let timeouts = Timeouts {
        tcp: change_of(wanted.timeouts.tcp, live.timeouts.tcp),
        tcp_fin: change_of(wanted.timeouts.tcp_fin, live.timeouts.tcp_fin),
        udp: change_of(wanted.timeouts.udp, live.timeouts.udp),
    };
    if timeouts != Timeouts::default() {
        changes.push(Change::SetTimeouts(timeouts));
    }
    changes.extend(ipvs::diff(&live.table, &wanted.table));
    changes.append(&mut starts);
    changes
}

/// `master` or `backup`.
pub(crate) fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Service, ServiceKey, VirtualService};

    fn daemon(role: SyncRole, sync_id: u8) -> SyncDaemon {
        let interface = "eth0".to_owned();
        SyncDaemon { role, interface, sync_id, max_length: None, group: None, port: None, ttl: None }
    }

    fn runs(role: SyncRole, sync_id: u8) -> SyncDaemon {
        let group = Some([224, 0, 0, 81].into());
        SyncDaemon { max_length: Some(1472), group, port: Some(8848), ttl: Some(1), ..daemon(role, sync_id) }
    }

    #[test]
    fn what_a_file_does_not_speak_of_stays() {
        let timeouts = Timeouts { tcp: 60, tcp_fin: 10, udp: 20 };
        let live = State { timeouts, daemons: vec![runs(SyncRole::Backup, 7)], ..State::default() };
        assert_eq!(plan(&live, &Wanted::default()), []);
        let wanted = Wanted { timeouts: Timeouts { tcp: 900, ..Timeouts::default() }, ..Wanted::default() };
        assert_eq!(
            plan(&live, &wanted),
            [Change::SetTimeouts(Timeouts { tcp: 900, ..Timeouts::default() })],
            "the other two are kept"
        );
    }

    #[test]
    fn restoring_leaves_nothing_over() {
        let timeouts = Timeouts { tcp: 60, tcp_fin: 120, udp: 300 };
        let live = State { timeouts, daemons: vec![runs(SyncRole::Backup, 7)], ..State::default() };
        assert_eq!(
            plan(&live, &Wanted::default().complete()),
            [Change::StopDaemon(SyncRole::Backup), Change::SetTimeouts(Timeouts { tcp: 900, ..Timeouts::default() }),]
        );
    }

    #[test]
    fn a_daemon_that_is_as_wanted_goes_on_and_another_one_is_started_anew() {
        use SyncRole::{Backup, Master};
        let live = State { daemons: vec![runs(Master, 7), runs(Backup, 7)], ..State::default() };
        let wanted = |daemons| Wanted { daemons: Some(daemons), ..Wanted::default() };
        assert_eq!(plan(&live, &wanted(vec![daemon(Backup, 7), daemon(Master, 7)])), []);
        let other = SyncDaemon { port: Some(9000), ..daemon(Master, 7) };
        assert_eq!(
            plan(&live, &wanted(vec![other.clone(), daemon(Backup, 7)])),
            [Change::StopDaemon(Master), Change::StartDaemon(other)]
        );
        assert_eq!(plan(&live, &live.clone().into()), [], "what is there is what is there");
    }

    #[test]
    fn a_daemon_whose_length_the_kernel_bounds_is_as_wanted() {
        let long = |max_length, of| SyncDaemon { max_length: Some(max_length), ..of };
        let six =
            |of| SyncDaemon { group: Some(std::net::Ipv6Addr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x81]).into()), ..of };
        let (master, backup) = (|| runs(SyncRole::Master, 7), || runs(SyncRole::Backup, 7));
        for (wanted, made, of) in [
            (500, 1024, backup()),
            (1025, 1025, backup()),
            (65_535, 65_507, backup()),
            (500, 500, master()),
            (65_507, 65_507, master()),
            (65_507, 65_487, six(master())),
        ] {
            assert!(long(made, of.clone()).satisfies(&long(wanted, of.clone())), "{wanted} of {of:?}");
            assert!(!long(made + 1, of.clone()).satisfies(&long(wanted, of.clone())), "{wanted} of {of:?}");
        }
    }

    #[test]
    fn daemons_stop_before_the_table_changes_and_start_after_it() {
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let service = VirtualService { service: Service::default(), destinations: [].into() };
        let live = State { daemons: vec![runs(SyncRole::Master, 1)], ..State::default() };
        let wanted = Wanted {
            table: [(key, service)].into(),
            daemons: Some(vec![daemon(SyncRole::Backup, 1)]),
            ..Wanted::default()
        };
        let order: Vec<String> = plan(&live, &wanted).iter().map(ToString::to_string).collect();
        let expected = [
            "stop the master sync daemon",
            "add virtual service tcp 10.0.0.1:80",
            "start the backup sync daemon on eth0",
        ];
        assert_eq!(order, expected);
    }
}
