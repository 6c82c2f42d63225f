//! Kamailio: SIP over UDP and TCP.

use lab::Result;

use crate::place::Place;

fn configuration(place: &Place) -> String {
    let address = place.address();
    format!(
        "debug=1\nlog_stderror=yes\nchildren=1\ntcp_children=1\n\
         listen=udp:{address}:5060\nlisten=tcp:{address}:5060\n\
         loadmodule \"sl.so\"\n\
         request_route {{\n\
         if (method == \"OPTIONS\" && uri =~ \"^sip:probe@\") {{ sl_send_reply(\"200\", \"OK\"); exit; }}\n\
         sl_send_reply(\"404\", \"Not here\");\n\
         }}\n"
    )
}

#[test]
fn sip_by_kamailio() -> Result<()> {
    let Some(place) = Place::new("kamailio", &["kamailio"]) else { return Ok(()) };
    let file = place.write("kamailio.cfg", &configuration(&place))?;
    let directory = place.directory().to_string_lossy().into_owned();
    let pid = place.directory().join("pid");
    let server = place.start(&[
        "kamailio",
        "-DD",
        "-E",
        "-m",
        "8",
        "-M",
        "2",
        "-Y",
        &directory,
        "-P",
        &pid.to_string_lossy(),
        "-f",
        &file.to_string_lossy(),
    ])?;
    place.await_udp(&server, 5060)?;
    place.await_tcp(&server, 5060)?;

    let mut checks = place.checks();
    let udp = checks.add(5060, "service=sip\nprotocol=udp\nlogin=\"probe@example.com\"");
    let tcp = checks.add(5060, "service=sip\nlogin=\"probe@example.com\"");
    let udp_unknown = checks.add(5060, "service=sip\nprotocol=udp\nlogin=\"nobody@example.com\"");
    let tcp_unknown = checks.add(5060, "service=sip\nlogin=\"nobody@example.com\"");
    let any = checks.add(5060, "service=udp\nprotocol=udp\nrequest=\"nonsense\"");
    let udp_nobody = checks.add(5061, "service=sip\nprotocol=udp");
    let tcp_nobody = checks.add(5061, "service=sip");
    let refused = checks.add(5061, "service=udp\nprotocol=udp\nrequest=\"nonsense\"");
    let watch = checks.start()?;

    for up in [udp, tcp, any] {
        watch.up(up)?;
    }
    for unknown in [udp_unknown, tcp_unknown] {
        watch.down(unknown, "got \"SIP/2.0 404 Not here\"")?;
    }
    for nobody in [udp_nobody, tcp_nobody, refused] {
        watch.down(nobody, "Connection refused")?;
    }

    server.hang()?;
    for hung in [udp, tcp] {
        watch.down(hung, "500 Timeout Alarm")?;
    }
    server.go_on();
    for up in [udp, tcp] {
        watch.up(up)?;
    }
    drop(server);
    watch.down(tcp, "Connection refused")?;
    watch.end(&[])
}
