//! New files and restarts of ldirectord under load, and checks of real servers to the end: into the kernel's table.

use lab::directors::{Daemon, Directors, Files};
use lab::{Node, Probe, Process, Result, VIP, probe, program, wait_for, wait_until, web};
use lvs::control::lvsctl::{Notice, Request, SPEAKS, Status};
use lvs::ipc::Client;
use lvs::ipvs::Change;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::Duration;

const FILE: &str = "/etc/ha.d/ldirectord.cf";
const LOG: &str = "/var/log/all.log";
const SOON: Duration = Duration::from_secs(30);
const RS1: &str = "192.168.60.132:80";
const RS2: &str = "192.168.60.144:80";

/// The walkthrough's service, with these lines before it and in it.
fn file(globals: &str, lines: &str) -> String {
    format!(
        "logfile=\"daemon\"\nchecktimeout=3\nnegotiatetimeout=3\ncheckinterval=1\n{globals}\
         virtual={VIP}:80\n\treal=192.168.60.132:80 gate\n\treal=192.168.60.144:80 gate\n\
         \tservice=http\n\tscheduler=rr\n\tprotocol=tcp\n\tchecktype=negotiate\n\
         \trequest=\"index.html\"\n\treceive=\"rs\"\n{lines}"
    )
}

/// lvs1 alone, with the virtual address, the helper and ldirectord.
fn director(ldirectord: String) -> Result<Directors> {
    let pair = Directors::new(&Files { ldirectord, ..Files::default() })?;
    let come_up = || {
        pair.node("lvs1").ip(&format!("address add {VIP}/32 dev eth0\n"))?;
        pair.start_daemon("lvs1", Daemon::Helper)?;
        pair.start_daemon("lvs1", Daemon::Ldirectord)?;
        pair.await_real_servers("lvs1", 2)
    };
    come_up().inspect_err(|_| pair.print_logs())?;
    Ok(pair)
}

/// Every change of the table from now on.
fn changes(node: &Node) -> Result<Receiver<Change>> {
    let socket: PathBuf = node.path("/run/lvs/lvsctl.sock")?;
    let (tell, changes) = mpsc::channel();
    let (watching, watched) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut client = Client::connect(&socket, SPEAKS).await.expect("the helper listens");
            let _: Status = client.call(&Request::Watch {}).await.expect("anybody may look");
            watching.send(()).expect("the story waits");
            // Until the machine goes, or the story is over.
            while let Ok(notice) = client.next_notice().await {
                if let Notice::Changed { change, .. } = notice
                    && tell.send(change).is_err()
                {
                    return;
                }
            }
        });
    });
    watched.recv().expect("the watcher watches");
    Ok(changes)
}

fn ldirectord(node: &Node, verb: &str) -> Result<String> {
    node.run(&[&program("ldirectord")?, "ldirectord.cf", verb])
}

/// The lines of the log so far with this text in them.
fn count(node: &Node, text: &str) -> Result<usize> {
    Ok(node.read(LOG)?.matches(text).count())
}

fn await_count(node: &Node, text: &str, wanted: usize) -> Result<()> {
    wait_until(&format!("\"{text}\" {wanted} times in the log"), SOON, || {
        count(node, text).is_ok_and(|found| found >= wanted)
    })
    .map(drop)
}

/// The weight that a server has in the kernel's table, if it is there.
fn weight(node: &Node, server: &str) -> Result<Option<u32>> {
    let table = node.run(&["ipvsadm", "-Sn"])?;
    let line = table.lines().find(|line| line.contains(&format!(" -r {server} ")));
    Ok(line.and_then(|line| line.rsplit_once("-w ")?.1.split_whitespace().next()?.parse().ok()))
}

fn await_weight(node: &Node, server: &str, wanted: Option<u32>) -> Result<()> {
    wait_for(&format!("{server} to have weight {wanted:?}"), SOON, || match weight(node, server) {
        Ok(found) if found == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn new_files_and_restarts_under_load_lose_no_request_and_touch_no_healthy_server() -> Result<()> {
    let pair = director(file("quiescent=no\n", ""))?;
    let node = pair.node("lvs1");
    let heard = changes(node)?;
    let spec = probe::Spec::new((VIP, 80).into()).timeout(Duration::from_secs(2));
    let probe = Probe::start(pair.node("client"), &spec)?;
    probe.await_answer(SOON)?;

    // A signal, without a new file; and again while it is being read.
    ldirectord(node, "reload")?;
    ldirectord(node, "reload")?;
    await_count(node, "Reloading Linux Director Daemon config on signal", 1)?;
    sleep(Duration::from_secs(2));
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [], "nothing differs");

    // Another file: one more service, and another check of the old one.
    let other = format!("virtual={VIP}:8080\n\treal={RS1} gate\n\tchecktype=on\n\tprotocol=tcp\n")
        .replace(RS1, "192.168.60.132:8080");
    node.write(FILE, &file("quiescent=no\nautoreload=yes\n", &format!("\tvirtualhost=www.example.com\n{other}")))?;
    ldirectord(node, "reload")?;
    await_weight(node, "192.168.60.132:8080", Some(1))?;
    let changed: Vec<Change> = heard.try_iter().collect();
    let old = |change: &&Change| format!("{change:?}").contains(":80\"") || format!("{change:?}").contains(":80,");
    assert!(
        changed.iter().all(|change| matches!(change, Change::AddService(..) | Change::AddDestination(..))),
        "{changed:?}"
    );
    assert_eq!(changed.iter().filter(old).count(), 0, "{changed:?}");

    // Read by itself, as the file says; the service goes again.
    sleep(Duration::from_millis(1100));
    node.write(FILE, &file("quiescent=no\nautoreload=yes\n", "\tvirtualhost=www.example.org\n"))?;
    await_count(node, "has changed on disk", 1)?;
    await_weight(node, "192.168.60.132:8080", None)?;
    let changed: Vec<Change> = heard.try_iter().collect();
    assert!(matches!(changed[..], [Change::DeleteService(_)]), "{changed:?}");

    // A restart, with a service that the new file does not have any more.
    node.write(FILE, &file("quiescent=no\n", &other))?;
    ldirectord(node, "reload")?;
    await_weight(node, "192.168.60.132:8080", Some(1))?;
    // What is heard of that may come after it is seen in the table.
    sleep(Duration::from_secs(1));
    drop(heard.try_iter().collect::<Vec<_>>());
    node.write(FILE, &file("quiescent=no\n", ""))?;
    let before = node.processes("ldirectord")?;
    ldirectord(node, "restart")?;
    await_count(node, "Linux Director Daemon terminated: handed over, the table stays as it is", 1)?;
    let after = node.processes("ldirectord")?;
    assert!(!after.is_empty() && after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    sleep(Duration::from_secs(4));
    let changed: Vec<Change> = heard.try_iter().collect();
    assert!(matches!(changed[..], [Change::DeleteService(_)]), "{changed:?}");
    assert_eq!(pair.real_servers("lvs1")?.len(), 2);

    let report = probe.stop()?;
    println!("    {report}");
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.answers.len() == 2, "both servers answered: {report}");
    Ok(())
}

#[test]
fn a_wrong_new_file_leaves_the_old_one_running() -> Result<()> {
    let mut pair = director(file("quiescent=no\nautoreload=yes\n", ""))?;
    let node = pair.node("lvs1");
    let heard = changes(node)?;
    let spec = probe::Spec::new((VIP, 80).into()).timeout(Duration::from_secs(2));
    let probe = Probe::start(pair.node("client"), &spec)?;
    probe.await_answer(SOON)?;
    node.write(FILE, &file("quiescent=no\nautoreload=yes\n", "\tfailurecount=never\n"))?;
    // By itself, on a signal, and as a restart, which stops nothing.
    await_count(node, "invalid failure count", 1)?;
    let (status, said) = node.try_run(&[&program("ldirectord")?, "ldirectord.cf", "restart"])?;
    assert!(
        status == 2 && said.contains("ldirectord.cf at line") && said.contains("invalid failure count"),
        "{status} {said}"
    );
    assert!(!node.processes("ldirectord")?.is_empty(), "it runs");
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), []);
    let report = probe.stop()?;
    assert_eq!(report.failed(), 0, "{report}");
    // And it checks as before.
    pair.stop_web_server("rs1")?;
    await_weight(pair.node("lvs1"), RS1, None)?;
    pair.start_web_server("rs1")?;
    await_weight(pair.node("lvs1"), RS1, Some(1))
}

#[test]
fn a_file_for_maintenance_and_an_order_to_drain_each_hold_by_itself() -> Result<()> {
    let pair = director(file("quiescent=yes\nmaintenancedir=/etc/ha.d/maintenance\n", ""))?;
    let node = pair.node("lvs1");
    let lvsctl = |verb: &str| node.run(&[&program("lvsctl")?, verb, &format!("{VIP}:80"), RS1]);
    let status = || ldirectord(node, "status");
    node.write("/etc/ha.d/maintenance/192.168.60.132", "")?;
    await_weight(node, RS1, Some(0))?;
    assert!(status()?.contains("maintenance"), "{}", status()?);
    // Both; the file goes, the order holds.
    lvsctl("drain")?;
    std::fs::remove_file(node.path("/etc/ha.d/maintenance/192.168.60.132")?).expect("it was there");
    wait_until("the status to say drained", SOON, || status().is_ok_and(|said| said.contains("drained")))?;
    sleep(Duration::from_secs(2));
    assert_eq!((weight(node, RS1)?, weight(node, RS2)?), (Some(0), Some(1)));
    lvsctl("undrain")?;
    await_weight(node, RS1, Some(1))?;
    // The other way round: the order goes, the file holds.
    lvsctl("drain")?;
    await_weight(node, RS1, Some(0))?;
    node.write("/etc/ha.d/maintenance/192.168.60.132:80", "")?;
    wait_until("the status to say maintenance", SOON, || status().is_ok_and(|said| said.contains("maintenance")))?;
    lvsctl("undrain")?;
    sleep(Duration::from_secs(2));
    assert_eq!((weight(node, RS1)?, weight(node, RS2)?), (Some(0), Some(1)));
    std::fs::remove_file(node.path("/etc/ha.d/maintenance/192.168.60.132:80")?).expect("it was there");
    await_weight(node, RS1, Some(1))
}

#[test]
fn a_wrong_page_takes_a_web_server_out_and_the_right_one_brings_it_back() -> Result<()> {
    let mut pair = director(file("quiescent=yes\n", ""))?;
    pair.stop_web_server("rs1")?;
    await_weight(pair.node("lvs1"), RS1, Some(0))?;
    // It listens and answers 200, with another page.
    let broken = web::serve(pair.node("rs1"), "broken")?;
    let why = |pair: &Directors| ldirectord(pair.node("lvs1"), "status");
    wait_until("the reason", SOON, || why(&pair).is_ok_and(|said| said.contains("is not in the body")))?;
    assert_eq!(weight(pair.node("lvs1"), RS1)?, Some(0));
    broken.stop(SOON)?;
    pair.start_web_server("rs1")?;
    await_weight(pair.node("lvs1"), RS1, Some(1))?;
    let at = SocketAddr::new(VIP, 80);
    let probe = Probe::start(pair.node("client"), &probe::Spec::new(at))?;
    probe.await_answer_from(|name| name == "rs1", SOON)?;
    Ok(())
}

/// Postfix on a back end, taking connections up, with one setting more for its server.
fn postfix(node: &Node, more: &str) -> Result<Process> {
    let main = "compatibility_level = 3.6\nqueue_directory = /run/postfix/spool\ndata_directory = /run/postfix/data\n\
                myhostname = mail.example.com\ninet_interfaces = all\ninet_protocols = ipv4\nalias_maps =\nalias_database =\n\
                local_recipient_maps =\nmaillog_file_prefixes = /run\nmaillog_file = /run/postfix/mail.log\n\
                smtpd_delay_reject = no\n";
    let master = format!(
        "25 inet n - n - - smtpd {more}\nanvil unix - - n - 1 anvil\nrewrite unix - - n - - trivial-rewrite\n\
         proxymap unix - - n - - proxymap\ncleanup unix n - n - 0 cleanup\npostlog unix-dgram n - n - 1 postlogd\n"
    );
    node.write("/run/postfix/etc/main.cf", main)?;
    node.write("/run/postfix/etc/master.cf", &master)?;
    let make = "install -d /run/postfix/spool/pid && install -d -o postfix -m 700 /run/postfix/data && \
                cd /run/postfix/spool && install -d -o postfix -m 700 active incoming private && \
                install -d -o postfix -g postdrop -m 730 maildrop && install -d -o postfix -g postdrop -m 710 public";
    node.run(&["sh", "-c", make])?;
    let words = ["/usr/lib/postfix/sbin/master", "-d", "-c", "/run/postfix/etc"];
    let process = node.start("postfix", &words)?;
    node.await_listener(25, SOON)?;
    Ok(process)
}

#[test]
fn a_mail_server_that_takes_no_mail_from_us_is_out_until_it_does() -> Result<()> {
    let lines = format!(
        "virtual={VIP}:25\n\treal=192.168.60.132:25 gate\n\treal=192.168.60.144:25 gate\n\tservice=smtp\n\
         \tscheduler=rr\n\tprotocol=tcp\n\tchecktype=negotiate\n"
    );
    let pair = director(file("quiescent=yes\n", &lines))?;
    let (node, mail) = (pair.node("lvs1"), "192.168.60.132:25");
    await_weight(node, mail, Some(0))?;
    let server = postfix(pair.node("rs1"), "")?;
    await_weight(node, mail, Some(1))?;
    server.stop(SOON)?;
    await_weight(node, mail, Some(0))?;
    let refusing = postfix(pair.node("rs1"), "-o smtpd_client_restrictions=reject")?;
    let said = || ldirectord(node, "status");
    wait_until("the refusal", SOON, || said().is_ok_and(|said| said.contains("554 5.7.1")))?;
    assert_eq!(weight(node, mail)?, Some(0));
    refusing.stop(SOON)?;
    let _server = postfix(pair.node("rs1"), "")?;
    await_weight(node, mail, Some(1))?;
    assert_eq!(weight(node, "192.168.60.144:25")?, Some(0), "nobody listens there");
    Ok(())
}
