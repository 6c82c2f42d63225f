use std::net::Ipv4Addr;
use std::path::Path;

use lvs::diag::{Diagnostic, Severity};
use proptest::prelude::*;

use super::super::source::Source;
use super::super::{Group, Resource, ResourceKind, Surroundings, SyncRole, VipSpec, haresources};
use super::{around, told};

fn parse(text: &str) -> (Vec<Group>, Vec<Diagnostic>) {
    parse_for(&["lvs1", "lvs2"], text)
}

fn parse_for(nodes: &[&str], text: &str) -> (Vec<Group>, Vec<Diagnostic>) {
    let mut source = Source::new(Path::new("haresources"), text);
    let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
    let groups = haresources::read(&mut source, &nodes, &around("lvs1"));
    (groups, source.found)
}

fn one(resource: &str) -> Result<ResourceKind, String> {
    let (mut groups, found) = parse(&format!("lvs1 {resource}"));
    match found.first() {
        Some(found) if found.severity == Severity::Error => Err(found.message.clone()),
        _ => Ok(groups.remove(0).resources.remove(0).kind),
    }
}

fn vip(resource: &str) -> VipSpec {
    match one(resource) {
        Ok(ResourceKind::Address(vip)) => vip,
        other => panic!("{resource}: {other:?}"),
    }
}

#[test]
fn groups_come_in_the_order_of_the_file_with_their_first_resource_as_key() {
    let text = "\
# who is home to what
LVS1 192.168.77.50/24/lan0 LogRsc::a \\
     LogRsc::b   # one group

lvs2\tldirectord::x.cf 192.168.77.51
";
    let (groups, found) = parse(text);
    assert_eq!(told(&found), [""; 0]);
    let shown: Vec<_> = groups.iter().map(|g| (g.home.as_str(), g.key(), g.resources.len())).collect();
    assert_eq!(shown, [("lvs1", "192.168.77.50/24/lan0", 3), ("lvs2", "ldirectord::x.cf", 2)]);
    assert_eq!(groups[0].resources[2].written, "LogRsc::b");
}

#[test]
fn a_group_may_name_its_homes_in_order_where_there_are_more_than_two_nodes() {
    let three = ["lvs1", "lvs2", "lvs3"];
    let (groups, found) = parse_for(&three, "LVS1,lvs3 10.0.0.1\nlvs2 10.0.0.2\n");
    assert_eq!(told(&found), [""; 0]);
    let homes: Vec<_> = groups.iter().map(|group| (group.home.as_str(), group.then.as_slice())).collect();
    assert_eq!(homes, [("lvs1", &["lvs3".to_owned()][..]), ("lvs2", &[])]);
    let (_, found) = parse_for(&three, "lvs1,lvs4,lvs1 10.0.0.1\n");
    assert_eq!(
        told(&found),
        ["! 1:6-10 \"lvs4\" is not a node of ha.cf", "! 1:11-15 \"lvs1\" twice among the homes of a group"]
    );
    let (_, found) = parse("lvs1,lvs2 10.0.0.1\n");
    assert_eq!(told(&found), ["! 1:1-10 a list of homes for two nodes"]);
}

#[test]
fn a_node_may_have_its_short_name_in_one_file_and_its_whole_one_in_the_other() {
    let homes = |nodes: [&str; 2], text: &str| {
        let (groups, found) = parse_for(&nodes, text);
        (groups.into_iter().map(|group| group.home).collect::<Vec<_>>(), told(&found))
    };
    let (home, found) = homes(["lvs1.example.com", "lvs2.example.com"], "LVS1 10.0.0.1\n");
    assert_eq!(home, ["lvs1.example.com"]);
    assert_eq!(found, ["1:1-5 \"LVS1\" is taken to be \"lvs1.example.com\" of ha.cf"]);
    assert_eq!(homes(["lvs1", "lvs2"], "lvs2.example.com 10.0.0.1\n").0, ["lvs2"]);
    // Another domain is another node, and of two that could be meant neither is.
    for (nodes, name) in [(["lvs1.a", "lvs2.a"], "lvs1.b"), (["lvs1.a", "lvs1.b"], "lvs1")] {
        let (_, found) = homes(nodes, &format!("{name} 10.0.0.1\n"));
        assert!(found[0].starts_with("! ") && found[0].contains("is not a node of ha.cf"), "{found:?}");
    }
}

#[test]
fn ipaddr_with_an_ipv6_address_is_told_what_to_write() {
    let (_, found) = parse("lvs1 IPaddr2::2001:db8::1/64/lo\n");
    assert_eq!(told(&found), ["! 1:6-13 IPaddr2 is for IPv4"]);
    assert_eq!(found[0].help.as_deref(), Some("write IPv6addr, or the address alone"));
}

#[test]
fn an_address_is_read_in_all_its_forms() {
    let address = |last| Ipv4Addr::new(192, 168, 77, last).into();
    let plain = VipSpec { address: address(50), prefix: None, interface: None, label: None, broadcast: None };
    assert_eq!(vip("192.168.77.50"), plain);
    assert_eq!(vip("IPaddr::192.168.77.50"), plain);
    let whole = VipSpec {
        prefix: Some(24),
        interface: Some("lan0".into()),
        broadcast: Some(Ipv4Addr::new(192, 168, 77, 255)),
        ..plain.clone()
    };
    assert_eq!(vip("192.168.77.50/24/lan0/192.168.77.255"), whole);
    assert_eq!(vip("IPaddr2::192.168.77.50/255.255.255.0/lan0/192.168.77.255"), whole);
    assert_eq!(vip("192.168.77.50/24/192.168.77.255"), VipSpec { interface: None, ..whole.clone() });
    let label = vip("IPaddr2::192.168.77.50/24/lan0:web");
    assert_eq!((label.interface.as_deref(), label.label.as_deref()), (Some("lan0"), Some("lan0:web")));
    assert_eq!(vip("192.168.77.50//lan0").interface.as_deref(), Some("lan0"));
    let v6 = VipSpec {
        address: "2001:db8::50".parse().unwrap(),
        prefix: Some(64),
        interface: Some("lan0".into()),
        label: None,
        broadcast: None,
    };
    assert_eq!(vip("IPv6addr::2001:db8::50/64/lan0"), v6);
    assert_eq!(vip("2001:db8::50/64/lan0"), v6);
}

#[test]
fn the_resources_of_a_director_are_carried_out_without_scripts() {
    assert_eq!(one("ldirectord"), Ok(ResourceKind::Ldirectord { config: "ldirectord.cf".into() }));
    assert_eq!(one("ldirectord::/etc/x.cf"), Ok(ResourceKind::Ldirectord { config: "/etc/x.cf".into() }));
    let sync = |role, interface: &str, id| Ok(ResourceKind::SyncDaemon { role, interface: interface.into(), id });
    assert_eq!(one("LVSSyncDaemonSwap::master"), sync(SyncRole::Master, "eth0", 0));
    assert_eq!(one("LVSSyncDaemonSwap::backup::hb0::7"), sync(SyncRole::Backup, "hb0", 7));
    let script = ResourceKind::Script { name: "LogRsc".into(), args: vec!["a".into(), "b".into()] };
    assert_eq!(one("LogRsc::a::b"), Ok(script));
}

#[test]
fn every_short_form_stands_in_one_file() {
    let text = "\
lvs1 192.168.77.50 IPaddr::192.168.77.51/24 IPaddr2::192.168.77.52/24/lan0/192.168.77.255 \\
     IPaddr2::192.168.77.53/32/lan0:web IPsrcaddr::192.168.77.50 \\
     MailTo::ops@example.com,boss@example.com::Web SendArp::192.168.77.50/lan0
lvs2 IPv6addr::2001:db8::50/64/lan0 2001:db8::51/64/lan0 LVSSyncDaemonSwap::master::hb0::7 ldirectord LogRsc
";
    let (groups, found) = parse(text);
    // Those scripts are not on the machine of this test.
    assert!(found.iter().all(|found| found.message.contains("there is no resource script")), "{found:?}");
    let kinds = |at: usize| -> String {
        let kind = |resource: &Resource| match &resource.kind {
            ResourceKind::Address(_) => "A".to_owned(),
            ResourceKind::SyncDaemon { .. } => "S".to_owned(),
            ResourceKind::Ldirectord { .. } => "L".to_owned(),
            ResourceKind::Script { name, args } => format!("{name}({})", args.join(" ")),
        };
        groups[at].resources.iter().map(kind).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        kinds(0),
        "A A A A IPsrcaddr(192.168.77.50) MailTo(ops@example.com,boss@example.com Web) SendArp(192.168.77.50/lan0)"
    );
    assert_eq!(kinds(1), "A A S L LogRsc()");
    let overlaps = |at: usize| groups[at].resources.iter().all(|resource| resource.kind.overlaps());
    assert_eq!((overlaps(0), overlaps(1)), (true, false));
}

#[test]
fn every_mistake_has_its_place() {
    let text = "\
lvs3 LogRsc::a
lvs1
lvs1 192.168.77.300 192.168.77.50/33 192.168.77.50/255.0.255.0
lvs2 IPaddr2 IPaddr2::x::y LVSSyncDaemonSwap::both ldirectord::a::b
lvs2 ../evil ::x 224.0.0.1 10.0.0.1/24/x/y 2001:db8::1/129 10.0.0.2/24/averyverylonginterface
lvs2 IPv6addr::10.0.0.9
";
    let (_, found) = parse(text);
    assert_eq!(
        told(&found),
        [
            "! 1:1-5 \"lvs3\" is not a node of ha.cf",
            "! 2:1-5 a node without resources",
            "! 3:6-20 \"192.168.77.300\" is not an address",
            "! 3:35-37 \"33\" is not a number from 0 to 32",
            "! 3:52-63 255.0.255.0 is not a netmask",
            "! 4:6-13 IPaddr2 takes one argument",
            "! 4:14-21 IPaddr2 takes one argument",
            "! 4:47-51 \"both\" is not a role",
            "! 4:67-68 ldirectord takes one argument",
            "! 5:6-13 \"../evil\" is not the name of a script",
            "! 5:14-17 a resource without a name",
            "! 5:18-27 224.0.0.1 cannot be a virtual address",
            "! 5:42-43 too many parts",
            "! 5:56-59 \"129\" is not a number from 0 to 128",
            "! 5:72-94 \"averyverylonginterface\" cannot be an interface",
            "! 6:16-24 not an IPv6 address",
        ]
    );
}

#[test]
fn an_address_stands_in_one_group_only_however_it_is_written() {
    let (_, found) = parse("lvs1 10.0.0.1/24\nlvs2 IPaddr2::10.0.0.1 LogRsc::a LogRsc::a\n");
    assert_eq!(told(&found), ["! 2:6-23 \"IPaddr2::10.0.0.1\" a second time", "2:34-43 \"LogRsc::a\" a second time"]);
}

#[test]
fn a_group_is_named_by_its_first_resource_and_no_two_are_named_alike() {
    let (_, found) = parse("lvs1 LogRsc::a\nlvs2 LogRsc::b LogRsc::a\nlvs2 LogRsc::a LogRsc::c\n");
    assert_eq!(
        told(&found),
        [
            "2:16-25 \"LogRsc::a\" a second time",
            "3:6-15 \"LogRsc::a\" a second time",
            "! 3:6-15 a second group \"LogRsc::a\"",
        ]
    );
}

#[test]
fn a_script_that_is_not_installed_is_told() {
    let (groups, found) = parse("lvs1 Nosuch::x");
    assert_eq!(told(&found), ["1:6-15 there is no resource script \"Nosuch\""]);
    assert_eq!(groups.len(), 1);
}

#[test]
fn an_empty_file_is_legal() {
    assert_eq!(parse("# nothing\n\n \\\n"), (vec![], vec![]));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(lvs[12] |[0-9./:]{0,12}|IPaddr2::|IPv6addr::|\\\\\n|[ -~\u{e4}\n]{0,9}){0,20}") {
        for found in parse(&text).1 {
            _ = found.to_string();
        }
    }
}

#[test]
fn a_script_whose_name_reads_like_the_beginning_of_an_address_is_a_script() {
    let parsed = |has_script: &dyn Fn(&str) -> bool| {
        let mut source = Source::new(Path::new("haresources"), "lvs1 db2::dba fe80::2");
        let around = Surroundings { has_script, ..around("lvs1") };
        let kinds = haresources::read(&mut source, &["lvs1".into(), "lvs2".into()], &around).remove(0).resources;
        kinds.into_iter().map(|resource| matches!(resource.kind, ResourceKind::Script { .. })).collect::<Vec<_>>()
    };
    assert_eq!(parsed(&|name| name == "db2"), [true, false]);
    assert_eq!(parsed(&|_| false), [false, false]);
}

#[test]
fn a_second_sync_daemon_that_is_not_used_is_told() {
    let first = "lvs1 10.0.0.1 LVSSyncDaemonSwap::master::eth1::1\n";
    for (second, warnings) in [("eth1::1", 0), ("eth2::1", 1), ("eth1::2", 1), ("eth1", 1)] {
        let (_, found) = parse(&format!("{first}lvs2 10.0.0.2 LVSSyncDaemonSwap::backup::{second}\n"));
        let told: Vec<_> = found.iter().filter(|found| found.message.contains("is not used")).collect();
        assert_eq!(told.len(), warnings, "{second}: {found:?}");
        assert!(told.iter().all(|told| told.line == 2 && told.severity == Severity::Warning));
    }
}
