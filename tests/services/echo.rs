//! socat as an echo, over TCP and UDP: simpletcp.

use lab::Result;

use crate::place::Place;

#[test]
fn simpletcp_by_an_echo() -> Result<()> {
    let Some(place) = Place::new("echo", &["socat"]) else { return Ok(()) };
    let address = place.address();
    let tcp = place.start(&["socat", &format!("TCP-LISTEN:7,bind={address},fork,reuseaddr"), "PIPE"])?;
    let udp = place.start(&["socat", &format!("UDP-LISTEN:7,bind={address},fork,reuseaddr"), "PIPE"])?;
    // Takes what is said and closes.
    let mute = place.start(&["socat", "-u", &format!("TCP-LISTEN:9,bind={address},fork,reuseaddr"), "/dev/null"])?;
    place.await_tcp(&tcp, 7)?;
    place.await_udp(&udp, 7)?;
    place.await_tcp(&mute, 9)?;
    let mut checks = place.checks();
    let lines = "service=simpletcp\nrequest=\"PING 1\\nPING 2\\n\"\n";
    let second = checks.add(7, &format!("{lines}receive=\"^PING 2$\""));
    let any = checks.add(7, lines);
    let other = checks.add(7, &format!("{lines}receive=\"PONG\""));
    let datagram = checks.add(7, &format!("protocol=udp\n{lines}receive=\"^PING 2$\""));
    let silent = checks.add(9, lines);
    let nobody = checks.add(8, lines);
    let watch = checks.start()?;
    for check in [second, any, datagram] {
        watch.up(check)?;
    }
    watch.down(other, "expected a line that matches, got \"PING 2\\n\" as the last line")?;
    watch.down(silent, "expected an answer, got the end of the connection")?;
    watch.down(nobody, "(Connection refused)")?;
    for (server, check) in [(&tcp, any), (&udp, datagram)] {
        server.hang()?;
        watch.down(check, "500 Timeout Alarm")?;
        server.go_on();
        watch.up(check)?;
    }
    watch.end(&[])
}
