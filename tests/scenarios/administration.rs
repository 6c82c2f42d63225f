//! `lvsctl drain`, `top`, `sync status` and `doctor` against the real kernel and real neighbours.

use lab::directors::{Daemon, Directors, Files};
use lab::{Cluster, LAN, Node, Plan, Result, VIP, program, wait_until, web};
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const SERVICE: &str = "192.168.60.200:80";
const RS1: &str = "192.168.60.132:80";

fn lvsctl(node: &Node, arguments: &[&str]) -> Result<(i32, String)> {
    let program = program("lvsctl")?;
    node.try_run(&[&[program.as_str()], arguments].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A connection of the client's that stays open.
fn connect(client: &Node) -> Result<TcpStream> {
    let at = SocketAddr::new(VIP, 80);
    client.in_network(|| TcpStream::connect_timeout(&at, Duration::from_secs(10)).expect("the service answers"))
}

#[test]
fn a_server_is_drained_in_the_table_and_comes_back_as_it_was() -> Result<()> {
    let cluster = Cluster::new(
        Plan::default().plug("client", LAN, &["192.168.60.10/24"]).plug("lvs1", LAN, &["192.168.60.130/24"]).plug(
            "rs1",
            LAN,
            &["192.168.60.132/24"],
        ),
    )?;
    let _server = web::serve(cluster.node("rs1"), "rs1")?;
    cluster.node("rs1").run(&[&program("realserver")?, "start", &VIP.to_string()])?;
    let node = cluster.node("lvs1");
    node.ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    let table =
        format!("--set 900 2 300\n-A -t {SERVICE} -s wrr -p 300\n-a -t {SERVICE} -r {RS1} -g -w 3 -x 100 -y 50\n");
    node.write("/etc/ha.d/table", &table)?;
    assert_eq!(lvsctl(node, &["apply", "/etc/ha.d/table"])?.0, 3);

    let open = connect(cluster.node("client"))?;
    let drain = node.start("drain", &[&program("lvsctl")?, "drain", "tcp:192.168.60.200:80", RS1])?;
    wait_until("the connection to be counted", SOON, || drain.output().contains("left: 1 active, 0 inactive"))?;
    let said = drain.output();
    assert!(said.contains("its weight was 3"), "{said}");
    assert!(said.contains("expire_quiescent_template is 0"), "{said}");
    assert!(drain.is_running(), "it waits");
    let top = json(&lvsctl(node, &["top", "--json", "--interval", "0.2"])?.1);
    assert_eq!((&top["rows"][1]["weight"], &top["rows"][1]["active"]), (&0.into(), &1.into()), "{top}");
    drop(open);
    wait_until("the server to be deleted", SOON, || !drain.is_running())?;
    assert!(drain.output().contains("is empty and deleted"), "{}", drain.output());
    assert!(!node.run(&["ipvsadm", "-Sn"])?.contains(RS1));

    assert_eq!(lvsctl(node, &["undrain", "192.168.60.132"])?.0, 0);
    assert_eq!(lvsctl(node, &["diff", "/etc/ha.d/table"])?, (0, String::new()), "thresholds and all");
    assert_eq!(
        lvsctl(node, &["undrain", RS1])?.1.trim(),
        format!("real server {RS1} of tcp {SERVICE} has a weight already")
    );

    let _open = connect(cluster.node("client"))?;
    let (status, said) = lvsctl(node, &["drain", "--service", SERVICE, RS1, "--timeout", "1", "--json"])?;
    let last = json(said.lines().last().unwrap_or_default());
    assert_eq!((status, &last["event"]), (0, &"deleted".into()), "{said}");
    assert_eq!(last["left"]["active"], 1, "{said}");

    assert_eq!(lvsctl(node, &["drain", RS1])?.0, 1, "it is not there any more");
    node.run(&["ipvsadm", "--start-daemon", "backup", "--mcast-interface", "eth0", "--syncid", "7"])?;
    let sync = json(&lvsctl(node, &["sync", "status", "--json"])?.1);
    assert_eq!(sync["daemons"][0]["sync_id"], 7, "{sync}");
    assert!(sync["connections"]["local"].as_u64().is_some_and(|count| count > 0), "{sync}");
    Ok(())
}

#[test]
fn where_ldirectord_runs_it_drains() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    let node = pair.node("lvs1");
    pair.start_daemon("lvs1", Daemon::Helper)?;
    pair.start_daemon("lvs1", Daemon::Ldirectord)?;
    pair.await_real_servers("lvs1", 2)?;
    // The first look comes before the table is programmed, or after it.
    let (status, said) = lvsctl(node, &["drain", SERVICE, RS1, "--wait"])?;
    assert!(status == 0 && said.contains("gets no new connections; its weight was 1"), "{status} {said}");
    assert!(said.contains("is empty and stays with weight 0"), "{said}");
    pair.await_real_servers("lvs1", 1)?;
    let (status, said) = lvsctl(node, &["drain", SERVICE, RS1])?;
    assert!(status == 0 && said.contains("has weight 0 already"), "{status} {said}");
    assert!(node.run(&["ipvsadm", "-Sn"])?.contains(&format!("-r {RS1} -g -w 0")), "it is not deleted");
    assert_eq!(lvsctl(node, &["undrain", SERVICE, "192.168.60.132"])?.0, 0);
    pair.await_real_servers("lvs1", 2)?;
    let (status, said) = lvsctl(node, &["drain", RS1.replace("132", "133").as_str()])?;
    assert!(status == 1 && said.contains("there is no real server") && said.contains("--direct"), "{said}");
    Ok(())
}

#[test]
fn servers_that_leave_by_a_reload_or_a_failure_keep_their_connections_for_a_while() -> Result<()> {
    let only = |real: &str| {
        let text = format!("checkinterval=1\nvirtual={SERVICE}\n\treal={real} gate\n\tchecktype=connect\n");
        Files { ldirectord: text + "\tdraintimeout=120\n", ..Files::default() }
    };
    const RS2: &str = "192.168.60.144:80";
    let mut pair = Directors::new(&only(RS1))?;
    pair.node("lvs1").ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    pair.node("lvs1").run(&["ipvsadm", "--set", "900", "2", "300"])?;
    pair.start_daemon("lvs1", Daemon::Helper)?;
    pair.start_daemon("lvs1", Daemon::Ldirectord)?;
    pair.await_real_servers("lvs1", 1)?;
    let open = connect(pair.node("client"))?;
    pair.write("lvs1", &only(RS2))?;
    let ldirectord = program("ldirectord")?;
    pair.node("lvs1").run(&[&ldirectord, "ldirectord.cf", "reload"])?;
    let says =
        |pair: &Directors, what: &str| pair.node("lvs1").run(&["ipvsadm", "-Sn"]).is_ok_and(|it| it.contains(what));
    wait_until("the other server to serve", SOON, || says(&pair, &format!("-r {RS2} -g -w 1")))?;
    assert!(says(&pair, &format!("-r {RS1} -g -w 0")), "its connection is open");
    drop(open);
    wait_until("the server of the old file to be deleted", SOON, || !says(&pair, RS1))?;

    let _open = connect(pair.node("client"))?;
    pair.stop_web_server("rs2")?;
    wait_until("weight 0", SOON, || says(&pair, &format!("-r {RS2} -g -w 0")))?;
    pair.start_web_server("rs2")?;
    wait_until("the server to be back", SOON, || says(&pair, &format!("-r {RS2} -g -w 1")))?;
    Ok(())
}

/// What a finding is called, and the commands that fix it.
type Finding = (String, Vec<String>);

/// The doctor's exit status and findings.
fn examined(node: &Node) -> Result<(i32, Vec<Finding>)> {
    let (status, said) = lvsctl(node, &["doctor", "--json"])?;
    // With a status other than 0 standard error follows; there is none.
    let findings = json(&said)["findings"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fixes = |finding: &Value| finding["fix"].as_array().into_iter().flatten().map(text).collect();
    Ok((status, findings.iter().map(|finding| (text(&finding["id"]), fixes(finding))).collect()))
}

#[test]
fn the_doctor_finds_mistakes_and_its_commands_end_them() -> Result<()> {
    let plan =
        Plan::direct_routing().plug("lvs1", "inside", &["10.9.0.254/24"]).plug("rs3", "inside", &["10.9.0.1/24"]);
    let cluster = Cluster::new(plan)?;
    let node = cluster.node("lvs1");
    // rs1 answers for the virtual address, rs2 does not have it; nothing is forwarded to rs3.
    cluster.node("rs1").ip(&format!("address add {VIP}/32 dev lo\n"))?;
    node.ip(&format!("address add {VIP}/32 dev eth0\n"))?;
    node.run(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=0", "net.ipv4.vs.conn_reuse_mode=0"])?;
    let table = format!(
        "-A -t {VIP}:80 -s rr -p 300\n-a -t {VIP}:80 -r 192.168.60.132 -g\n-a -t {VIP}:80 -r 192.168.60.144 -g\n\
         -A -u {VIP}:53 -s rr\n-a -u {VIP}:53 -r 10.9.0.1 -m\n"
    );
    node.write("/etc/ha.d/table", &table)?;
    assert_eq!(lvsctl(node, &["apply", "/etc/ha.d/table"])?.0, 3);

    let (status, findings) = examined(node)?;
    let ids: Vec<&str> = findings.iter().map(|(id, _)| id.as_str()).collect();
    for expected in [
        "arp-flux",
        "vip-not-on-server",
        "ip-forward",
        "conn-reuse-mode",
        "expire-nodest-conn",
        "expire-quiescent-template",
    ] {
        assert!(ids.contains(&expected), "{expected} is not among {ids:?}");
    }
    assert_eq!(status, 2, "errors");

    let names = [("192.168.60.132", "rs1"), ("192.168.60.144", "rs2")];
    // A server that gets the virtual address answers for it, which is found only then.
    for _ in 0..3 {
        for (_, fixes) in examined(node)?.1 {
            let fix = fixes.first().map(String::as_str).unwrap_or_default();
            let (place, command) = match fix.strip_prefix("on ").and_then(|rest| rest.split_once(": ")) {
                Some((ip, command)) => {
                    let name = names.iter().find(|(its, _)| *its == ip).map_or("lvs1", |(_, name)| name);
                    (cluster.node(name), command)
                }
                None => (node, fix),
            };
            place.run(&command.split(' ').collect::<Vec<_>>())?;
        }
    }
    let (status, findings) = examined(node)?;
    assert_eq!((status, findings), (0, vec![]));
    let (status, said) = lvsctl(node, &["doctor"])?;
    assert_eq!((status, said.as_str()), (0, "looked at a director: nothing is wrong\n"));
    Ok(())
}
