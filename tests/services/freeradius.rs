//! FreeRADIUS, which insists on signed requests.

use lab::Result;

use crate::place::Place;

fn configuration(place: &Place) -> String {
    let (address, directory) = (place.address(), place.directory().display());
    format!(
        "prefix = /usr\n\
         libdir = /usr/lib/freeradius\n\
         logdir = {directory}\n\
         run_dir = {directory}\n\
         security {{\n max_attributes = 200\n reject_delay = 0\n status_server = no\n allow_vulnerable_openssl = yes\n }}\n\
         client here {{\n ipaddr = 127.0.0.0/8\n secret = xyzzy5461\n require_message_authenticator = yes\n }}\n\
         thread pool {{\n start_servers = 1\n max_servers = 2\n min_spare_servers = 1\n max_spare_servers = 1\n }}\n\
         modules {{\n pap {{ }}\n files {{\n filename = {directory}/users\n }}\n }}\n\
         server default {{\n\
         listen {{\n type = auth\n ipaddr = {address}\n port = 1812\n }}\n\
         authorize {{\n files\n pap\n }}\n\
         authenticate {{\n Auth-Type PAP {{\n pap\n }}\n }}\n\
         }}\n"
    )
}

#[test]
fn radius_by_freeradius() -> Result<()> {
    let Some(place) = Place::new("freeradius", &["freeradius"]) else { return Ok(()) };
    let long = "x".repeat(40);
    let users = format!("probe Cleartext-Password := \"s3cret\"\nlong Cleartext-Password := \"{long}\"\n");
    place.write("users", &users)?;
    place.write("dictionary", "")?;
    place.write("radiusd.conf", &configuration(&place))?;
    let directory = place.directory().to_string_lossy().into_owned();
    let server = place.start(&["freeradius", "-f", "-l", "stdout", "-d", &directory])?;
    place.await_udp(&server, 1812)?;

    let mut checks = place.checks();
    let who = |login: &str, password: &str, secret: &str| {
        format!("service=radius\nprotocol=udp\nlogin=\"{login}\"\npasswd=\"{password}\"\nsecret=\"{secret}\"")
    };
    let right = checks.add(1812, &who("probe", "s3cret", "xyzzy5461"));
    let blocks = checks.add(1812, &who("long", &long, "xyzzy5461"));
    let wrong = checks.add(1812, &who("probe", "wr0ng", "xyzzy5461"));
    let stranger = checks.add(1812, &who("probe", "s3cret", "an0ther"));
    let nobody = checks.add(1813, &who("probe", "s3cret", "xyzzy5461"));
    let watch = checks.start()?;

    watch.up(right)?;
    watch.up(blocks)?;
    watch.down(wrong, "expected Access-Accept, got Access-Reject")?;
    // It says nothing to a request that is not signed with its secret.
    watch.down(stranger, "500 Timeout Alarm")?;
    watch.down(nobody, "Connection refused")?;

    server.hang()?;
    watch.down(right, "500 Timeout Alarm")?;
    server.go_on();
    watch.up(right)?;
    drop(server);
    watch.down(right, "Connection refused")?;
    watch.end(&["s3cret", "wr0ng", "xyzzy5461", "an0ther"])
}
