//! Dovecot: imap, imaps, pop and pops, logins, starttls.

use lab::Result;

use crate::certificate::Authority;
use crate::place::Place;

const PASSWORD: &str = "open-sesame \\ 7";
const WRONG: &str = "not-the-password";

fn configuration(place: &Place) -> String {
    let (address, directory) = (place.address(), place.directory().display());
    format!(
        "listen = {address}\nbase_dir = {directory}/run\nprotocols = imap pop3\nlog_path = /dev/stderr\n\
         ssl = yes\nssl_cert = <{directory}/mail.example.com.crt\nssl_key = <{directory}/mail.example.com.key\n\
         disable_plaintext_auth = no\nauth_failure_delay = 0\nmail_location = maildir:{directory}/mail\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\n\
         service imap-login {{\n  inet_listener other {{\n    port = 1143\n  }}\n}}\n\
         passdb {{\n  driver = passwd-file\n  args = {directory}/users\n}}\n\
         userdb {{\n  driver = static\n  args = uid=mail gid=mail home={directory}/mail\n}}\n"
    )
}

#[test]
fn imap_and_pop_by_dovecot() -> Result<()> {
    let programs = ["dovecot", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "openssl"];
    let Some(place) = Place::new("dovecot", &programs) else { return Ok(()) };
    Authority::new(place.directory())?.certify("mail.example.com")?;
    place.write("users", &format!("joe:{{PLAIN}}{PASSWORD}\n"))?;
    place.directory_of("mail", "mail:mail", 0o700)?;
    let file = place.write("dovecot.conf", &configuration(&place))?;
    let dovecot = place.start(&["dovecot", "-F", "-c", &file.to_string_lossy()])?;
    for port in [110, 143, 993, 995, 1143] {
        place.await_tcp(&dovecot, port)?;
    }

    let mut checks = place.checks();
    checks.trust(&place.directory().join("ca.crt"));
    let right = format!("login=\"joe\"\npasswd=\"{PASSWORD}\"\n");
    let wrong = format!("login=\"joe\"\npasswd=\"{WRONG}\"\n");
    let named = "verify=yes\nvirtualhost=mail.example.com";
    let up = [
        checks.add(143, "service=imap"),
        checks.add(143, &format!("service=imap\n{right}")),
        checks.add(143, &format!("service=imap\nstarttls=yes\n{named}\n{right}")),
        // B8: where it listens, and not where imap usually does.
        checks.add(1143, &format!("service=imap\n{right}")),
        checks.add(9, &format!("service=imaps\ncheckport=993\n{right}")),
        checks.add(993, &format!("service=imaps\n{named}\n{right}")),
        checks.add(110, "service=pop"),
        checks.add(110, &format!("service=pop\n{right}")),
        checks.add(110, &format!("service=pop\nstarttls=yes\n{named}\n{right}")),
        checks.add(995, &format!("service=pops\n{right}")),
    ];
    let refused = [
        (checks.add(143, &format!("service=imap\n{wrong}")), "expected OK to LOGIN, got \"0 NO [AUTHENTICATIONFAILED]"),
        (
            checks.add(993, &format!("service=imaps\n{wrong}")),
            "expected OK to LOGIN, got \"0 NO [AUTHENTICATIONFAILED]",
        ),
        (
            checks.add(110, &format!("service=pop\n{wrong}")),
            "expected +OK to PASS, got \"-ERR [AUTH] Authentication failed",
        ),
        (
            checks.add(995, &format!("service=pops\n{wrong}")),
            "expected +OK to PASS, got \"-ERR [AUTH] Authentication failed",
        ),
        (checks.add(995, "service=pops\nverify=yes\nvirtualhost=pop.example.com"), "certificate not valid for name"),
        (checks.add(110, "service=imap"), "expected a greeting * OK or * PREAUTH, got \"+OK"),
        (checks.add(143, "service=pop"), "expected a greeting +OK, got \"* OK"),
        (checks.add(143, "service=imaps"), "expected a TLS handshake, got"),
        (checks.add(993, "service=imap"), "500 Timeout Alarm"),
        (checks.add(111, "service=pop"), "(Connection refused)"),
    ];
    let watch = checks.start()?;
    for check in up {
        watch.up(check)?;
    }
    for (check, why) in refused {
        watch.down(check, why)?;
    }
    dovecot.hang()?;
    for check in up {
        watch.down(check, "500 Timeout Alarm")?;
    }
    dovecot.go_on();
    for check in up {
        watch.up(check)?;
    }
    watch.end(&[PASSWORD, WRONG])
}
