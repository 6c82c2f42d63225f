//! `lvsctl serve` on the real kernel: who may do what, and what happens when it dies.

use std::fs;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use lab::{Cluster, LAN, Node, Plan, Process, Result, wait_until};
use lvs::control::lvsctl::{Applied, Counters, Entry, Notice, Outcome, Request, SPEAKS, Status};
use lvs::daemon::privilege::{self, CapabilitySet, User};
use lvs::ipc::{CallError, Client, Fault, MAX_CONNECTIONS};
use lvs::ipvs::{Change, Destination, Forward, Service, ServiceKey, SyncDaemon, SyncRole, Table, VirtualService};
use lvs::programmer::{Kernel, Programmer, Remote, apply};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(20);
const SOCKET: &str = "/run/lvs/lvsctl.sock";
/// Debian's users that own nothing; the first plays ldirectord.
const PROGRAMMER: User = User { uid: 1, gid: 1 };
const STRANGER: User = User { uid: 2, gid: 2 };

fn director() -> Result<Cluster> {
    let cluster = Cluster::new(Plan::default().plug("lvs1", LAN, &["192.168.60.130/24"]))?;
    cluster.node("lvs1").write("/etc/ha.d/lvs.toml", "[ldirectord]\nuser = \"daemon\"\n")?;
    Ok(cluster)
}

fn start(node: &Node) -> Result<Process> {
    let process = node.start("lvsctl", &[&lab::program("lvsctl")?, "serve", "--debug"])?;
    let socket = node.path(SOCKET)?;
    // It greets after it has given up its privileges, not when its socket appears.
    wait_until("the helper", SOON, || block_on(Client::connect(&socket, SPEAKS)).is_ok())?;
    Ok(process)
}

/// Does something as another user. File permissions do not count, so that only the helper's own judgement does.
fn as_user<T: Send>(user: User, story: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            privilege::reduce(Some(user), CapabilitySet::DAC_OVERRIDE).expect("root may become anybody");
            block_on(story)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn block_on<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}

async fn connect(socket: &Path) -> Client {
    Client::connect(socket, SPEAKS).await.expect("the helper listens")
}

fn web() -> ServiceKey {
    ServiceKey::tcp(SocketAddr::from(([192, 168, 60, 200], 80)))
}

fn server(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], number))
}

fn table_with(servers: impl IntoIterator<Item = u16>) -> Table {
    let destinations = servers.into_iter().map(|n| (server(n), Destination::new(Forward::Masq, 1))).collect();
    [(web(), VirtualService { service: Service::default(), destinations })].into()
}

fn in_kernel(node: &Node) -> Result<Table> {
    node.in_network(|| block_on(async { Kernel::open().expect("IPVS").table().await.expect("a table") }))
}

#[test]
fn the_programmer_may_change_the_table_and_a_stranger_may_only_look() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    as_user(PROGRAMMER, async {
        let mut programmer = Remote::new(&socket);
        let wanted = table_with(1..=3);
        let done = apply(&mut programmer, &wanted).await.expect("the helper is there");
        assert!(done.len() == 4 && done.iter().all(|(_, result)| result.is_ok()), "{done:?}");
        assert_eq!(programmer.table().await.expect("the helper is there"), wanted);
        let refused = programmer.change(&[Change::AddService(web(), Service::default())]).await.expect("an answer");
        let refusal = refused[0].clone().expect_err("it is there");
        assert_eq!((refusal.errno, refusal.explanation.as_str()), (libc::EEXIST, "the service already exists"));
    });
    as_user(STRANGER, async {
        let mut client = connect(&socket).await;
        let status: Status = client.call(&Request::Status {}).await.expect("anybody may look");
        assert_eq!((status.services, status.real_servers), (1, 3));
        assert_eq!((status.changes_done, status.changes_refused), (4, 1));
        let daemon = Request::SyncDaemon { role: SyncRole::Master, run: None };
        let services = vec![web()];
        for forbidden in [
            Request::Change { changes: vec![Change::Flush] },
            Request::Apply { services: vec![] },
            Request::Remove { services },
            daemon,
        ] {
            match client.call::<serde_json::Value>(&forbidden).await {
                Err(CallError::Refused(Fault { code, message })) => {
                    assert_eq!(code, "not-permitted");
                    assert!(message.contains("uid 2"), "{message}");
                }
                other => panic!("{forbidden:?}: {other:?}"),
            }
        }
    });
    assert_eq!(in_kernel(node)?, table_with(1..=3));
    Ok(())
}

#[test]
fn silent_connections_of_others_keep_neither_root_nor_the_programmer_out() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let silent: Vec<UnixStream> = as_user(STRANGER, async {
        (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(&socket).expect("the helper listens")).collect()
    });
    as_user(STRANGER, async { assert!(Client::connect(&socket, SPEAKS).await.is_err(), "no place is left") });
    as_user(PROGRAMMER, async {
        apply(&mut Remote::new(&socket), &table_with(1..=2)).await.expect("there is a place");
    });
    block_on(async { connect(&socket).await.call::<Status>(&Request::Status {}).await.expect("an answer") });
    drop(silent);
    assert_eq!(in_kernel(node)?, table_with(1..=2));
    Ok(())
}

#[test]
fn a_helper_that_reads_its_settings_again_serves_another_user() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let tell = |text: &str, answer: &str| -> Result<()> {
        node.write("/etc/ha.d/lvs.toml", text)?;
        for pid in node.processes("lvsctl")? {
            lab::kill(pid, Signal::HUP);
        }
        wait_until("the settings are read", SOON, || helper.output().contains(answer))?;
        Ok(())
    };
    let may = |user| {
        as_user(user, async {
            let changes = vec![Change::Flush];
            connect(&socket).await.call::<Vec<Outcome>>(&Request::Change { changes }).await.is_ok()
        })
    };
    assert_eq!((may(PROGRAMMER), may(STRANGER)), (true, false));
    tell("[ldirectord]\nuser = \"bin\"\n", "uid 2 and root may program the table")?;
    assert_eq!((may(PROGRAMMER), may(STRANGER)), (false, true));
    tell("[ldirectord]\nuser = \"nobody-of-that-name\"\n", "there is no user \"nobody-of-that-name\"")?;
    assert_eq!((may(PROGRAMMER), may(STRANGER)), (false, true));
    Ok(())
}

#[test]
fn the_helper_keeps_one_capability_and_gains_no_other() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let pid = node.processes("lvsctl")?.pop().expect("the helper runs").as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    };
    // CAP_NET_ADMIN is number 12.
    for set in ["CapPrm:", "CapEff:"] {
        assert_eq!(u64::from_str_radix(&value(set), 16), Ok(1 << 12), "{status}");
    }
    assert_eq!((value("CapInh:").trim_matches('0'), value("NoNewPrivs:").as_str()), ("", "1"), "{status}");
    Ok(())
}

#[test]
fn a_helper_that_is_killed_leaves_the_table_and_its_successor_goes_on() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let mut programmer = Remote::new(&socket);
    block_on(apply(&mut programmer, &table_with(1..=2))).expect("the helper is there");
    for pid in node.processes("lvsctl")? {
        lab::kill(pid, Signal::KILL);
    }
    helper.wait(SOON)?;
    assert_eq!(in_kernel(node)?, table_with(1..=2));
    assert!(block_on(programmer.table()).is_err());

    let _successor = start(node)?;
    let done = block_on(apply(&mut programmer, &table_with(2..=3))).expect("the successor is there");
    assert_eq!(done.len(), 2, "{done:?}");
    assert_eq!(in_kernel(node)?, table_with(2..=3));
    Ok(())
}

#[test]
fn a_second_helper_does_not_start_and_a_stopped_one_leaves_nothing_behind() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let helper = start(node)?;
    let (status, said) = node.try_run(&[&lab::program("lvsctl")?, "serve"])?;
    assert_eq!(status, 1);
    assert!(said.contains("already running with pid"), "{said}");
    for pid in node.processes("lvsctl")? {
        lab::kill(pid, Signal::TERM);
    }
    assert_eq!(helper.wait(SOON)?, 0, "{}", helper.output());
    assert_eq!(fs::read_dir(node.path("/run/lvs")?).expect("a directory").count(), 0);
    Ok(())
}

#[test]
fn a_large_table_goes_through_the_socket_whole() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let wanted = table_with(1..=1500);
    block_on(async {
        let mut programmer = Remote::new(&socket);
        let done = apply(&mut programmer, &wanted).await.expect("the helper is there");
        assert!(done.len() == 1501 && done.iter().all(|(_, result)| result.is_ok()));
        assert_eq!(programmer.table().await.expect("the helper is there"), wanted);
        let mut client = connect(&socket).await;
        let (mut after, mut counted) = (None, Vec::new());
        loop {
            let page: Counters =
                client.call(&Request::Stats { service: web(), after }).await.expect("anybody may look");
            counted.extend(page.service.destinations.iter().map(|listing| listing.at));
            after = page.more;
            if after.is_none() {
                break;
            }
        }
        assert!(counted.iter().eq(wanted[&web()].destinations.keys()));
    });
    assert_eq!(in_kernel(node)?, wanted);
    Ok(())
}

/// One answer has no room for more: whoever applies asks until nothing is left.
#[test]
fn applying_much_takes_several_requests() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let wanted = table_with(1..=250);
    let other = ServiceKey::udp(SocketAddr::from(([192, 168, 60, 200], 53)));
    block_on(async {
        let mut client = connect(&socket).await;
        let change = Request::Change { changes: vec![Change::AddService(other, Service::default())] };
        client.call::<Vec<Outcome>>(&change).await.expect("root may");
        let VirtualService { service, destinations } = wanted[&web()].clone();
        let request = Request::Apply { services: vec![Entry { key: web(), service, destinations }] };
        let mut sizes = Vec::new();
        loop {
            let applied: Applied = client.call(&request).await.expect("root may");
            sizes.push(applied.outcomes.len());
            if !applied.more {
                break;
            }
        }
        assert_eq!(sizes, [100, 100, 51]);
        let again: Applied = client.call(&request).await.expect("root may");
        assert_eq!(again, Applied { outcomes: vec![], more: false });
        let gone = Request::Remove { services: vec![other, other, ServiceKey::udp(server(9))] };
        let outcomes: Vec<Outcome> = client.call(&gone).await.expect("root may");
        assert_eq!(outcomes, [Outcome { change: Change::DeleteService(other), refused: None }]);
    });
    assert_eq!(in_kernel(node)?, wanted);
    Ok(())
}

#[test]
fn watchers_hear_of_every_change_and_every_refusal() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let changes = vec![Change::AddService(web(), Service::default()); 2];
    let (watching, watched) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            as_user(STRANGER, async {
                let mut client = connect(&socket).await;
                let snapshot: Status = client.call(&Request::Watch {}).await.expect("anybody may look");
                assert_eq!(snapshot.services, 0);
                watching.send(()).expect("the other half waits");
                let mut heard = Vec::new();
                for _ in 0..2 {
                    let next = tokio::time::timeout(SOON, client.next_notice::<Notice>()).await;
                    heard.push(next.expect("a notice").expect("no failure"));
                }
                heard
            })
        });
        watched.recv().expect("the watcher watches");
        as_user(PROGRAMMER, async {
            Remote::new(&socket).change(&changes).await.expect("the helper is there");
        });
        let heard = watcher.join().expect("the watcher has heard");
        assert_eq!(heard[0], Notice::Changed { change: changes[0].clone(), uid: 1 });
        assert!(matches!(&heard[1], Notice::Refused { refusal, uid: 1 } if refusal.errno == libc::EEXIST), "{heard:?}");
    });
    Ok(())
}

#[test]
fn clients_that_vanish_or_talk_nonsense_disturb_nobody() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let rude: [&[u8]; 6] = [
        b"",
        b"{\"op\":\"change\",\"changes\":[{\"fl",
        b"{\"op\":\"table\"}\n",
        b"{\"op\":\"watch\"}\n",
        b"\xff\xfe\n{}\n[]\n",
        b"{\"op\":\"change\",\"changes\":[\"flush\"],\"and\":1}\n",
    ];
    for _ in 0..20 {
        for words in rude {
            let mut stream = UnixStream::connect(&socket).expect("the helper listens");
            stream.write_all(words).expect("room");
        }
        // The helper has one place back for each that has gone.
        block_on(async {
            let mut client = connect(&socket).await;
            let _: Status = client.call(&Request::Status {}).await.expect("an answer");
        });
    }
    block_on(async {
        let mut client = connect(&socket).await;
        let too_many = Request::Change { changes: vec![Change::Flush; 101] };
        match client.call::<Vec<Outcome>>(&too_many).await {
            Err(CallError::Refused(Fault { code, .. })) => assert_eq!(code, "bad-request"),
            other => panic!("{other:?}"),
        }
    });
    Ok(())
}

#[test]
fn the_sync_daemon_is_what_was_asked_for_last() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("lvs1");
    let _helper = start(node)?;
    let socket = node.path(SOCKET)?;
    let daemon = |sync_id| SyncDaemon {
        role: SyncRole::Master,
        interface: "eth0".into(),
        sync_id,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    block_on(async {
        let mut client = connect(&socket).await;
        let mut ask = async |role, run| {
            let outcomes: Vec<Outcome> = client.call(&Request::SyncDaemon { role, run }).await.expect("root may");
            assert!(outcomes.iter().all(|outcome| outcome.refused.is_none()), "{outcomes:?}");
            let status: Status = client.call(&Request::Status {}).await.expect("an answer");
            let running: Vec<_> = status.sync_daemons.iter().map(|d| (d.role, d.sync_id)).collect();
            (outcomes.len(), running)
        };
        let (master, backup) = (SyncRole::Master, SyncRole::Backup);
        assert_eq!(ask(backup, Some(daemon(7))).await, (1, vec![(backup, 7)]));
        // Takeover: from backup to master.
        assert_eq!(ask(backup, None).await, (1, vec![]));
        assert_eq!(ask(master, Some(daemon(7))).await, (1, vec![(master, 7)]));
        assert_eq!(ask(master, Some(daemon(7))).await, (0, vec![(master, 7)]));
        assert_eq!(ask(master, Some(daemon(8))).await, (2, vec![(master, 8)]));
        assert_eq!(ask(backup, None).await, (0, vec![(master, 8)]));
    });
    Ok(())
}
