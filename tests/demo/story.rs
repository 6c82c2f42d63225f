//! The story, chapter by chapter.

use crate::figures::Figures;
use crate::stage::{Log, chapter, run, run_on_each};
use lab::{Cluster, Node, Probe, Process, Result, VIP, clock, probe, syslog, wait_until};
use std::collections::BTreeMap;
use std::time::Duration;

const LDIRECTORD: &str = "/var/log/lvs/ldirectord.log";
const HEARTBEATD: &str = "/var/log/lvs/heartbeatd.log";
const RS1: &str = "192.168.60.132:80";
const RS2: &str = "192.168.60.144:80";
const FALLBACK: &str = "127.0.0.1:80";
const WEB: &str = "nginx -c /run/web/nginx.conf";
const STOP_WEB: &str = "nginx -c /run/web/nginx.conf -s stop";
const LIST: &str = "lvsctl -L -n";
const RELOAD: &str = "ldirectord ldirectord.cf reload";

/// What is waited for comes much sooner, or not at all.
const PATIENCE: Duration = Duration::from_secs(40);
/// checkinterval, and twice as much for an emulated processor that starts and stops programs meanwhile.
const NOTICED: Duration = Duration::from_secs(3);
/// deadtime and 100 ms.
const TAKEN_OVER: Duration = Duration::from_millis(1100);
/// What is not answered at once has failed: well below the second after which a lost SYN is sent again, or a request
/// from the middle of an outage is answered at its end.
const AT_ONCE: Duration = Duration::from_millis(300);
/// A client waits for a retransmission.
const A_WHILE: Duration = Duration::from_millis(900);

/// Tells it and notes what came of each step.
///
/// # Errors
/// Where the story cannot go on.
pub fn tell(cluster: &Cluster, figures: &mut Figures) -> Result<()> {
    let [client, lvs1, lvs2, rs1, rs2] = ["client", "lvs1", "lvs2", "rs1", "rs2"].map(|name| cluster.node(name));
    let mut story = Story { cluster, figures, client, lvs1, lvs2, rs1, rs2, system_logs: Vec::new() };
    story.real_servers()?;
    let mut log = story.directors()?;
    story.twelve_requests()?;
    story.deleted(&mut log)?;
    story.quiesced(&mut log)?;
    story.fallback(&mut log)?;
    story.takeover()?;
    story.failback()
}

struct Story<'a> {
    cluster: &'a Cluster,
    figures: &'a mut Figures,
    client: &'a Node,
    lvs1: &'a Node,
    lvs2: &'a Node,
    rs1: &'a Node,
    rs2: &'a Node,
    /// The directors' rsyslogd, which run as long as this lives.
    system_logs: Vec<Process>,
}

impl<'a> Story<'a> {
    fn real_servers(&mut self) -> Result<()> {
        chapter("Two real servers: the virtual address on lo, no ARP for it, and a web server");
        for node in [self.rs1, self.rs2] {
            web_pages(node, node.name())?;
        }
        run_on_each(&[self.rs1, self.rs2], &["realserver start 192.168.60.200", WEB])
    }

    fn directors(&mut self) -> Result<Log<'a>> {
        chapter("Two directors: both check and keep their tables ready, lvs1 gets the virtual address");
        let directors = [self.lvs1, self.lvs2];
        for node in directors {
            configure(node)?;
        }
        run(self.lvs1, "tail -n +1 /etc/ha.d/ldirectord.cf /etc/ha.d/ha.cf /etc/ha.d/haresources")?;
        let mut log = Log::follow(self.lvs1, LDIRECTORD)?;
        let from = clock::now();
        self.start_directors(&directors)?;
        self.await_owner("lvs1")?;
        let took = clock::now() - from;
        log.await_lines(&["Added virtual server: 192.168.60.200:80", &added(RS1), &added(RS2)], PATIENCE)?;
        let tables = [self.table(self.lvs1)?, self.table(self.lvs2)?];
        let owners = self.cluster.owners(&["lvs1", "lvs2"], VIP);
        let figure = format!("{} after {:.1} s", owners.join(" and "), took.as_secs_f64());
        self.figures.note("who has 192.168.60.200", figure, "lvs1", owners == ["lvs1"]);
        let good = tables.iter().all(|table| *table == weights(&[(RS1, 1), (RS2, 1)]));
        let figure = if good { "both real servers, weight 1" } else { "another table" };
        self.figures.note("tables of both directors", figure, "both real servers, weight 1", good);
        Ok(log)
    }

    fn twelve_requests(&mut self) -> Result<()> {
        chapter("Twelve requests");
        let answers = self.ask(12)?;
        let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
        let (first, second) = (count("rs1"), count("rs2"));
        let alternating = answers.windows(2).all(|pair| pair[0] != pair[1]);
        let figure = format!("rs1 {first}, rs2 {second}{}", if alternating { ", in turn" } else { "" });
        self.figures.note(
            "twelve requests",
            figure,
            "rs1 6, rs2 6, in turn",
            (first, second, alternating) == (6, 6, true),
        );
        Ok(())
    }

    fn deleted(&mut self, log: &mut Log) -> Result<()> {
        chapter("The web server of .132 stops; quiescent=no: it is deleted");
        let from = clock::now();
        run(self.rs1, STOP_WEB)?;
        let took = log.await_lines(&[&format!("Deleted real server: {RS1}")], PATIENCE)?.saturating_sub(from);
        let table = self.table(self.lvs1)?;
        self.noticed(".132 stops, quiescent=no", "deleted", took, table == weights(&[(RS2, 1)]));
        let answers = self.ask(4)?;
        let others = answers.iter().filter(|answer| *answer == "rs2").count();
        self.figures.note("four requests then", format!("rs2 {others}"), "rs2 4", others == 4);

        println!("\nIt comes back.\n");
        run(self.rs1, WEB)?;
        let from = clock::now();
        let took = log.await_lines(&[&added(RS1)], PATIENCE)?.saturating_sub(from);
        let table = self.table(self.lvs1)?;
        self.noticed(".132 comes back", "added", took, table == weights(&[(RS1, 1), (RS2, 1)]));
        Ok(())
    }

    fn quiesced(&mut self, log: &mut Log) -> Result<()> {
        chapter("Another ldirectord.cf, read again on SIGHUP; quiescent=yes: a server that stops gets weight 0");
        let before = self.table(self.lvs1)?;
        let edit = "sed -i s/^quiescent.*/quiescent=yes/ /etc/ha.d/ldirectord.cf";
        run_on_each(&[self.lvs1, self.lvs2], &[edit, RELOAD])?;
        log.await_lines(&["Reloaded the configuration"], PATIENCE)?;
        let same = before == self.table(self.lvs1)?;
        let figure = if same { "table as before" } else { "another table" };
        self.figures.note("another ldirectord.cf, HUP", figure, "table as before", same);
        let from = clock::now();
        run(self.rs1, STOP_WEB)?;
        let took = log.await_lines(&[&format!("Quiescent real server: {RS1}")], PATIENCE)?.saturating_sub(from);
        let table = self.table(self.lvs1)?;
        self.noticed(".132 stops, quiescent=yes", "weight 0", took, table == weights(&[(RS1, 0), (RS2, 1)]));
        Ok(())
    }

    fn fallback(&mut self, log: &mut Log) -> Result<()> {
        chapter("The web server of .144 stops as well: the page of the director itself");
        let from = clock::now();
        run(self.rs2, STOP_WEB)?;
        let added = format!("Added fallback server: {FALLBACK}");
        let took = log.await_lines(&[&format!("Quiescent real server: {RS2}"), &added], PATIENCE)?.saturating_sub(from);
        let table = self.table(self.lvs1)?;
        let good = table == weights(&[(RS1, 0), (RS2, 0), (FALLBACK, 1)]);
        self.noticed(".144 stops as well", "fallback added", took, good);
        let answers = self.ask(1)?;
        let page = page_of(self.lvs1);
        self.figures.note("the page then", answers.join(", "), page.clone(), answers == [page]);

        println!("\nBoth come back.\n");
        run_on_each(&[self.rs1, self.rs2], &[WEB])?;
        let from = clock::now();
        let back = [RS1, RS2].map(|real| format!("Restored real server: {real}"));
        let deleted = format!("Deleted fallback server: {FALLBACK}");
        let took = log.await_lines(&[&back[0], &back[1], &deleted], PATIENCE)?.saturating_sub(from);
        let table = self.table(self.lvs1)?;
        self.noticed("both come back", "weight 1, fallback deleted", took, table == weights(&[(RS1, 1), (RS2, 1)]));
        Ok(())
    }

    fn takeover(&mut self) -> Result<()> {
        chapter("The power of lvs1 fails, while a client asks fifty times a second");
        let mut log = Log::follow(self.lvs2, HEARTBEATD)?;
        let probe = self.probe(AT_ONCE)?;
        probe.await_answer(PATIENCE)?;
        println!("(everything in lvs1 is killed and its cable pulled)");
        self.cluster.power_off("lvs1")?;
        probe.await_answer(PATIENCE)?;
        log.await_lines(&["runs here"], PATIENCE)?;
        run(self.lvs2, "heartbeatd status")?;
        let report = probe.stop()?;
        println!("\n(the client: {report})");
        let outage = report.longest_outage();
        let owners = self.cluster.owners(&["lvs1", "lvs2"], VIP);
        let good = report.outages.len() == 1 && outage <= TAKEN_OVER && owners == ["lvs2"];
        let figure = format!("{} took over, outage {} ms", owners.join(" and "), outage.as_millis());
        let expected = format!("lvs2, at most {} ms", TAKEN_OVER.as_millis());
        self.figures.note("power off lvs1", figure, expected, good);
        Ok(())
    }

    fn failback(&mut self) -> Result<()> {
        chapter("lvs1 returns: auto_failback, as soon as its ldirectord has checked everything");
        let mut log = Log::follow(self.lvs1, HEARTBEATD)?;
        let probe = self.probe(A_WHILE)?;
        probe.await_answer(PATIENCE)?;
        println!("(lvs1 is switched on)");
        let from = clock::now();
        self.cluster.power_on("lvs1")?;
        self.start_directors(&[self.lvs1])?;
        self.await_owner("lvs1")?;
        let took = clock::now() - from;
        log.await_lines(&["runs here"], PATIENCE)?;
        run(self.lvs1, "heartbeatd status")?;
        let so_far = probe.records().len();
        wait_until("a hundred requests more", PATIENCE, || probe.records().len() >= so_far + 100)?;
        let report = probe.stop()?;
        println!("\n(the client: {report})");
        let owners = self.cluster.owners(&["lvs1", "lvs2"], VIP);
        let figure = format!("{} after {:.1} s", owners.join(" and "), took.as_secs_f64());
        self.figures.note("lvs1 returns", figure, "lvs1", owners == ["lvs1"]);
        let lost = format!("{} of {}", report.failed(), report.requests);
        self.figures.note("requests lost in failback", lost, "0", report.failed() == 0);
        Ok(())
    }

    fn start_directors(&mut self, directors: &[&Node]) -> Result<()> {
        for node in directors {
            web_pages(node, &page_of(node))?;
            self.system_logs.push(syslog::start(node)?);
        }
        let starts = ["lvsctl serve --background", WEB, "ldirectord ldirectord.cf start", "heartbeatd start"];
        run_on_each(directors, &starts)
    }

    fn await_owner(&self, name: &str) -> Result<()> {
        let owns = || self.cluster.owners(&["lvs1", "lvs2"], VIP) == [name];
        wait_until(&format!("192.168.60.200 on {name}"), PATIENCE, owns).map(drop)
    }

    /// A client that asks fifty times a second.
    fn probe(&self, timeout: Duration) -> Result<Probe> {
        Probe::start(self.client, &probe::Spec::new((VIP, 80).into()).timeout(timeout))
    }

    /// New connections one after the other, which is what HTTP 1.0 makes of them, and who answered.
    fn ask(&self, count: usize) -> Result<Vec<String>> {
        let answers = run(self.client, &format!("curl -s --http1.0 http://192.168.60.200/page[1-{count}]"))?;
        Ok(answers.lines().map(str::to_owned).collect())
    }

    fn table(&self, node: &Node) -> Result<BTreeMap<String, u32>> {
        Ok(destinations(&run(node, LIST)?))
    }

    fn noticed(&mut self, step: &'static str, what: &str, took: Duration, good: bool) {
        let what = if good { what } else { "another table" };
        let figure = format!("{what} after {} ms", took.as_millis());
        self.figures.note(step, figure, format!("at most {} ms", NOTICED.as_millis()), good && took <= NOTICED);
    }
}

/// The files that the administrator has written.
fn configure(node: &Node) -> Result<()> {
    node.write("/etc/ha.d/ha.cf", include_str!("etc/ha.cf"))?;
    node.write("/etc/ha.d/haresources", include_str!("etc/haresources"))?;
    node.write("/etc/ha.d/ldirectord.cf", include_str!("etc/ldirectord.cf"))?;
    node.write_with_mode("/etc/ha.d/authkeys", include_str!("etc/authkeys"), 0o600)
}

/// What the web server of this machine says.
fn web_pages(node: &Node, page: &str) -> Result<()> {
    // nginx looks for it before it has read anything.
    node.write("/var/log/nginx/error.log", "")?;
    node.write("/run/web/nginx.conf", &include_str!("etc/nginx.conf").replace("@PAGE@", page))
}

fn page_of(director: &Node) -> String {
    format!("sorry, says {}", director.name())
}

fn added(real: &str) -> String {
    format!("Added real server: {real}")
}

fn weights(expected: &[(&str, u32)]) -> BTreeMap<String, u32> {
    expected.iter().map(|&(at, weight)| (at.to_owned(), weight)).collect()
}

/// Destinations and their weights, from lines as `  -> 192.168.60.132:80  Route  1  0  0`.
fn destinations(listing: &str) -> BTreeMap<String, u32> {
    listing
        .lines()
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["->", at, _, weight, ..] => Some((at.to_owned(), weight.parse().ok()?)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_from_the_listing_and_not_from_its_head() {
        let listing = "IP Virtual Server version 1.2.1 (size=4096)\n\
                       Prot LocalAddress:Port Scheduler Flags\n  \
                       -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
                       TCP  192.168.60.200:80 rr\n  \
                       -> 192.168.60.132:80            Route   0      0          6\n  \
                       -> 127.0.0.1:80                 Local   1      0          0\n";
        assert_eq!(destinations(listing), weights(&[(RS1, 0), (FALLBACK, 1)]));
    }
}
