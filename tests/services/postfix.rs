//! Postfix: smtp, submission and submissions, starttls, a server that takes no mail from us.

use lab::Result;

use crate::certificate::Authority;
use crate::place::Place;

fn main_cf(place: &Place) -> String {
    let directory = place.directory().display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {directory}/spool\ndata_directory = {directory}/data\n\
         myhostname = mail.example.com\ninet_interfaces = all\ninet_protocols = ipv4\nalias_maps =\n\
         alias_database =\nlocal_recipient_maps =\nmaillog_file_prefixes = /run\nmaillog_file = {directory}/mail.log\n\
         smtpd_delay_reject = no\nsmtpd_tls_security_level = may\n\
         smtpd_tls_cert_file = {directory}/mail.example.com.crt\n\
         smtpd_tls_key_file = {directory}/mail.example.com.key\n"
    )
}

/// Port 25 is open, 26 refuses everybody, 27 has no TLS.
fn master_cf(place: &Place) -> String {
    let services = [
        ("25", ""),
        ("587", "-o smtpd_tls_security_level=encrypt"),
        ("465", "-o smtpd_tls_wrappermode=yes"),
        ("26", "-o smtpd_client_restrictions=reject"),
        ("27", "-o smtpd_tls_security_level=none"),
    ];
    let ports = services.map(|(port, more)| format!("{}:{port} inet n - n - - smtpd {more}\n", place.address()));
    ports.concat()
        + "tlsmgr unix - - n 1000? 1 tlsmgr\nanvil unix - - n - 1 anvil\nrewrite unix - - n - - trivial-rewrite\n\
           proxymap unix - - n - - proxymap\ncleanup unix n - n - 0 cleanup\npickup unix n - n 60 1 pickup\n\
           qmgr unix n - n 300 1 qmgr\npostlog unix-dgram n - n - 1 postlogd\n"
}

#[test]
fn smtp_and_submission_by_postfix() -> Result<()> {
    let Some(place) = Place::new("postfix", &["/usr/lib/postfix/sbin/master", "openssl"]) else { return Ok(()) };
    Authority::new(place.directory())?.certify("mail.example.com")?;
    let main = place.write("etc/main.cf", &main_cf(&place))?;
    place.write("etc/master.cf", &master_cf(&place))?;
    place.write("spool/pid/.keep", "")?;
    place.directory_of("data", "postfix", 0o700)?;
    for queue in ["active", "defer", "deferred", "flush", "hold", "incoming", "private"] {
        place.directory_of(&format!("spool/{queue}"), "postfix", 0o700)?;
    }
    for (queue, mode) in [("maildrop", 0o730), ("public", 0o710)] {
        place.directory_of(&format!("spool/{queue}"), "postfix:postdrop", mode)?;
    }
    let etc = main.with_file_name("");
    let postfix = place.start(&["/usr/lib/postfix/sbin/master", "-d", "-c", &etc.to_string_lossy()])?;
    for port in [25, 26, 27, 465, 587] {
        place.await_tcp(&postfix, port)?;
    }

    let mut checks = place.checks();
    checks.trust(&place.directory().join("ca.crt"));
    let named = "verify=yes\nvirtualhost=mail.example.com";
    let up = [
        checks.add(25, "service=smtp"),
        checks.add(25, &format!("service=smtp\nstarttls=yes\n{named}")),
        checks.add(587, "service=submission"),
        checks.add(587, "service=submission\nstarttls=yes"),
        checks.add(465, "service=submissions"),
        checks.add(9, &format!("service=submissions\ncheckport=465\n{named}")),
    ];
    let refused = [
        (checks.add(26, "service=smtp"), "expected a greeting 2xx, got \"554 5.7.1"),
        (checks.add(27, "service=smtp\nstarttls=yes"), "expected 2xx to STARTTLS, got \"50"),
        (checks.add(25, "service=smtp\nstarttls=yes\nverify=yes"), "certificate not valid for name"),
        (checks.add(25, "service=submissions"), "expected a TLS handshake, got"),
        (checks.add(465, "service=smtp"), "500 Timeout Alarm"),
        (checks.add(29, "service=smtp"), "(Connection refused)"),
    ];
    let watch = checks.start()?;
    for check in up {
        watch.up(check)?;
    }
    for (check, why) in refused {
        watch.down(check, why)?;
    }
    postfix.hang()?;
    for check in up {
        watch.down(check, "500 Timeout Alarm")?;
    }
    postfix.go_on();
    for check in up {
        watch.up(check)?;
    }
    watch.end(&[])
}
