//! `lvsctl apply`, `diff`, `save` and `restore` against the real kernel.

use lab::{Cluster, LAN, Node, Plan, Result, program};

const FILE: &str = "/etc/ha.d/table.toml";

/// Something of everything that a file can say.
const TABLE: &str = r#"comment = "of the lab"

[timeouts]
tcp = 600
tcp-fin = 60
udp = 30

[sync]

[sync.master]
interface = "eth0"
id = 7
max-length = 1400
group = "224.0.0.82"
port = 9000
ttl = 2

[[service]]
tcp = "192.0.2.1:80"
scheduler = "sh"
scheduler-flags = ["sh-fallback", "sh-port"]
persistent = 300
netmask = "255.255.255.0"
comment = "the shop"
server = [
  { address = "10.0.0.1:8080", forward = "masquerade", weight = 3, upper-threshold = 20, lower-threshold = 10 },
  { address = "10.0.0.2:80", forward = "gue", tunnel-port = 6080, tunnel-checksum = "remote", weight = 0, comment = "rack 3" },
]

[[service]]
udp = "192.0.2.1:53"
scheduler = "rr"
one-packet = true
server = [
  { address = "10.0.0.3:53", forward = "direct", weight = 1 },
]

[[service]]
mark = 4000000000
scheduler = "wlc"
persistent = 600
engine = "sip"

[[service]]
mark = 7
family = "ipv6"
scheduler = "wlc"
server = [
  { address = "[2001:db8::2]:0", forward = "gre", tunnel-checksum = "full", weight = 1 },
]
"#;

fn director() -> Result<Cluster> {
    Cluster::new(Plan::default().plug("director", LAN, &["192.168.60.130/24", "2001:db8::130/64"]))
}

/// `lvsctl VERB FILE`, the status and what it said.
fn lvsctl(node: &Node, arguments: &[&str]) -> Result<(i32, String)> {
    let program = program("lvsctl")?;
    node.try_run(&[&[program.as_str()], arguments].concat())
}

#[test]
fn a_table_file_is_applied_saved_and_restored_whole() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("director");
    node.write(FILE, TABLE)?;
    assert_eq!(lvsctl(node, &["apply", FILE])?, (3, String::new()), "changed");
    assert_eq!(lvsctl(node, &["apply", FILE])?.0, 0, "nothing is left to change");
    assert_eq!(lvsctl(node, &["diff", FILE])?, (0, String::new()));
    let saved = lvsctl(node, &["save", "--merge", FILE])?;
    assert_eq!(saved, (0, TABLE.to_owned()), "the comments are in it, because the old file was given");
    let lines = lvsctl(node, &["save", "--format", "ipvsadm", "--merge", FILE])?.1;
    assert!(lines.contains("\n# rack 3\n-a -t 192.0.2.1:80 -r 10.0.0.2:80 -i -w 0 --tun-type gue"), "{lines}");

    for spoil in [
        &["ipvsadm", "-C"][..],
        &["ipvsadm", "-A", "-t", "192.0.2.9:80"],
        &["ipvsadm", "--set", "1", "2", "3"],
        &["ipvsadm", "--stop-daemon", "master"],
        &["ipvsadm", "--start-daemon", "backup", "--mcast-interface", "eth0"],
    ] {
        node.run(spoil)?;
    }
    for (name, text) in [("/etc/ha.d/saved.toml", &saved.1), ("/etc/ha.d/saved.lines", &lines)] {
        node.write(name, text)?;
        assert_eq!(lvsctl(node, &["restore", name])?.0, 3, "{name}");
        assert_eq!(lvsctl(node, &["save", "--merge", FILE])?.1, TABLE, "{name}");
        node.run(&["ipvsadm", "-C"])?;
    }
    // A file that speaks of nothing leaves nothing over, and "apply" of it leaves what is no service.
    node.write("/etc/ha.d/empty", "")?;
    assert_eq!(lvsctl(node, &["apply", "/etc/ha.d/empty"])?.0, 0);
    assert!(node.run(&["ipvsadm", "-L", "--daemon"])?.contains("syncid=7"));
    assert_eq!(lvsctl(node, &["restore", "/etc/ha.d/empty"])?.0, 3);
    assert_eq!(node.run(&["ipvsadm", "-L", "--daemon"])?, "");
    assert_eq!(node.run(&["ipvsadm", "-L", "--timeout"])?, "Timeout (tcp tcpfin udp): 900 120 300\n");
    Ok(())
}

#[test]
fn what_the_kernel_refuses_is_taken_back_and_what_is_wrong_is_never_tried() -> Result<()> {
    let cluster = director()?;
    let node = cluster.node("director");
    let before = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n";
    node.write("/etc/ha.d/before", before)?;
    assert_eq!(lvsctl(node, &["apply", "/etc/ha.d/before"])?.0, 3);
    let now = || node.run(&["ipvsadm", "-Sn"]);

    let refused = "[[service]]\ntcp = \"192.0.2.1:80\"\nscheduler = \"rr\"\nserver = [{ address = \"10.0.0.2\" }]\n\
                   [[service]]\nudp = \"192.0.2.1:53\"\nscheduler = \"nosuch\"\n";
    node.write(FILE, refused)?;
    let (status, plan) = lvsctl(node, &["diff", FILE])?;
    assert_eq!((status, plan.lines().count()), (1, 3), "{plan}");
    let (status, said) = lvsctl(node, &["apply", FILE])?;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("the kernel has no module ip_vs_nosuch"), "{said}");
    assert!(said.contains("the table is as it was before"), "{said}");
    assert_eq!(now()?, before);
    let (status, said) = lvsctl(node, &["apply", "--keep-going", "--json", FILE])?;
    let said: serde_json::Value =
        serde_json::from_str(said.split("\nlvsctl").next().unwrap_or_default()).expect("JSON");
    assert_eq!((status, &said["result"], &said["others"]), (1, &"refused".into(), &"kept".into()));
    assert!(now()?.contains("10.0.0.2:80"));

    node.write(FILE, "[[service]]\ntcp = \"192.0.2.1:80\"\nserver = [{ address = \"web\" }]\n")?;
    let (status, said) = lvsctl(node, &["apply", FILE])?;
    assert_eq!(status, 2, "{said}");
    assert!(said.starts_with("/etc/ha.d/table.toml:3:23: \"web\" is not an address"), "{said}");
    assert!(now()?.contains("10.0.0.2:80"));
    Ok(())
}
