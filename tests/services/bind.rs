//! BIND: name service over UDP and TCP, IPv4 and IPv6.

use std::net::{Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use lab::{Attempt, Result};

use crate::place::Place;

fn configuration(place: &Place) -> String {
    let (address, directory) = (place.address(), place.directory().display());
    format!(
        "options {{ directory \"{directory}\"; pid-file \"{directory}/pid\"; session-keyfile \"{directory}/key\";\n\
         listen-on {{ {address}; }}; listen-on-v6 {{ ::1; }}; recursion no; dnssec-validation no; }};\n\
         controls {{ }};\n\
         zone \"example.com\" {{ type primary; file \"forward\"; }};\n\
         zone \"2.0.192.in-addr.arpa\" {{ type primary; file \"reverse\"; }};\n"
    )
}

const FORWARD: &str = "$TTL 60\n\
                       @ IN SOA ns hostmaster 1 3600 600 86400 60\n\
                       @ IN NS ns\n\
                       ns IN A 192.0.2.53\n\
                       www IN A 192.0.2.10\n\
                       www IN AAAA 2001:db8::10\n\
                       alias IN CNAME www\n\
                       v6 IN AAAA 2001:db8::66\n";

const REVERSE: &str = "$TTL 60\n\
                       @ IN SOA ns.example.com. hostmaster.example.com. 1 3600 600 86400 60\n\
                       @ IN NS ns.example.com.\n\
                       10 IN PTR www.example.com.\n";

#[test]
fn dns_by_bind() -> Result<()> {
    let Some(place) = Place::new("bind", &["named"]) else { return Ok(()) };
    // It listens on addresses that an interface has, and nowhere else.
    let address = format!("{}/32", place.address());
    let added = Command::new("ip").args(["address", "add", &address, "dev", "lo"]).status();
    assert!(added.attempt(|| "run ip".into())?.success(), "the namespace is ours");
    place.write("forward", FORWARD)?;
    place.write("reverse", REVERSE)?;
    let file = place.write("named.conf", &configuration(&place))?;
    let named = place.start(&["named", "-g", "-c", &file.to_string_lossy()])?;
    place.await_tcp(&named, 53)?;

    let mut checks = place.checks();
    let udp = |words: &str| format!("service=dns\nprotocol=udp\n{words}");
    let alias = checks.add(53, &udp("request=\"alias.example.com\"\nreceive=\"^192\\.0\\.2\\.10$\""));
    let v6 = checks.add(53, &udp("request=\"v6.example.com\"\nreceive=\"::66$\""));
    let reverse = checks.add(53, &udp("request=\"192.0.2.10\"\nreceive=\"^www\\.example\\.com$\""));
    let any = checks.add(53, "service=dns\nrequest=\"www.example.com\"");
    let transport = SocketAddr::from((Ipv6Addr::LOCALHOST, 53));
    let over_ipv6 = checks.add_at(transport, &udp("request=\"www.example.com\"\nreceive=\"db8::10\""));
    let other = checks.add(53, &udp("request=\"www.example.com\"\nreceive=\"^10\\.\""));
    let missing = checks.add(53, "service=dns\nrequest=\"no.example.com\"\nreceive=\".\"");
    let elsewhere = checks.add(53, &udp("request=\"www.example.org\"\nreceive=\".\""));
    let nobody = checks.add(54, &udp("request=\"www.example.com\""));
    let watch = checks.start()?;

    for up in [alias, v6, reverse, any, over_ipv6] {
        watch.up(up)?;
    }
    let both = "got 192.0.2.10 for www.example.com A, 2001:db8::10 for www.example.com AAAA";
    watch.down(other, both)?;
    watch.down(missing, "got NXDOMAIN for no.example.com A")?;
    watch.down(elsewhere, "got REFUSED for www.example.org A")?;
    watch.down(nobody, "got Connection refused")?;

    named.hang()?;
    for hung in [alias, any, over_ipv6] {
        watch.down(hung, "500 Timeout Alarm")?;
        assert!(watch.age(nobody)? < Duration::from_secs(2), "hung servers hold up the others");
    }
    named.go_on();
    watch.up(alias)?;
    watch.up(any)?;
    drop(named);
    watch.down(alias, "Connection refused")?;
    watch.end(&[])
}
