//! OpenLDAP: ldap and ldaps.

use std::process::Command;

use lab::{Attempt, Error, Result};

use crate::certificate::Authority;
use crate::place::Place;

fn configuration(place: &Place) -> String {
    let directory = place.directory().display();
    format!(
        "include /etc/ldap/schema/core.schema\n\
         pidfile {directory}/pid\nargsfile {directory}/args\n\
         modulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         TLSCertificateFile {directory}/ldap.example.com.crt\nTLSCertificateKeyFile {directory}/ldap.example.com.key\n\
         database mdb\nmaxsize 10485760\nsuffix \"dc=example,dc=com\"\n\
         rootdn \"cn=admin,dc=example,dc=com\"\nrootpw s3cret\ndirectory {directory}/db\n\
         access to dn.base=\"cn=hidden,dc=example,dc=com\" by users read by * none\n\
         access to * by * read\n"
    )
}

const ENTRIES: &str = "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n\
                       dn: cn=hidden,dc=example,dc=com\nobjectClass: organizationalRole\ncn: hidden\n";

#[test]
fn ldap_and_ldaps_by_slapd() -> Result<()> {
    let Some(place) = Place::new("slapd", &["slapd", "slapadd", "openssl"]) else { return Ok(()) };
    Authority::new(place.directory())?.certify("ldap.example.com")?;
    let file = place.write("slapd.conf", &configuration(&place))?;
    place.write("db/empty", "")?;
    let entries = place.write("entries", ENTRIES)?;
    let added = Command::new("slapadd").arg("-f").arg(&file).arg("-l").arg(&entries).output();
    let added = added.attempt(|| "run slapadd".into())?;
    if !added.status.success() {
        return Err(Error::Senseless(format!("slapadd: {}", String::from_utf8_lossy(&added.stderr))));
    }
    let address = place.address();
    let ports = format!("ldap://{address}:389 ldaps://{address}:636");
    let slapd = place.start(&["slapd", "-d", "0", "-f", &file.to_string_lossy(), "-h", &ports])?;
    place.await_tcp(&slapd, 636)?;
    let directory = place.directory().display();
    let bare = format!("pidfile {directory}/bare.pid\nargsfile {directory}/bare.args\n");
    let bare = place.write("bare.conf", &bare)?;
    let port = format!("ldap://{address}:3389");
    let without_tls = place.start(&["slapd", "-d", "0", "-f", &bare.to_string_lossy(), "-h", &port])?;
    place.await_tcp(&without_tls, 3389)?;

    let mut checks = place.checks();
    checks.trust(&place.directory().join("ca.crt"));
    let hidden = "request=\"cn=hidden,dc=example,dc=com\"\nlogin=\"cn=admin,dc=example,dc=com\"";
    let anonymous = checks.add(389, "service=ldap\nrequest=\"dc=example,dc=com\"\nreceive=\"^dc=\"");
    let bound = checks.add(389, &format!("service=ldap\n{hidden}\npasswd=\"s3cret\""));
    let encrypted = checks.add(636, &format!("service=ldaps\n{hidden}\npasswd=\"s3cret\"\nreceive=\"hidden\""));
    let starttls = checks.add(389, &format!("service=ldap\nstarttls=yes\n{hidden}\npasswd=\"s3cret\""));
    let named = "request=\"dc=example,dc=com\"\nverify=yes\nvirtualhost";
    let verified = checks.add(389, &format!("service=ldap\nstarttls=yes\n{named}=ldap.example.com"));
    let verified_at_once = checks.add(636, &format!("service=ldaps\n{named}=ldap.example.com"));
    let misnamed = checks.add(389, &format!("service=ldap\nstarttls=yes\n{named}=other.example.com"));
    let no_starttls = checks.add(3389, "service=ldap\nstarttls=yes\nrequest=\"dc=example,dc=com\"");
    let missing = checks.add(389, "service=ldap\nrequest=\"cn=missing,dc=example,dc=com\"");
    let unseen = checks.add(389, "service=ldap\nrequest=\"cn=hidden,dc=example,dc=com\"");
    let other = checks.add(636, "service=ldaps\nrequest=\"dc=example,dc=com\"\nreceive=\"^dc=other\"");
    let wrong = checks.add(389, &format!("service=ldap\n{hidden}\npasswd=\"wr0ng\""));
    let odd = checks.add(389, "service=ldap\nrequest=\"no name\"");
    let plain = checks.add(389, "service=ldaps\nrequest=\"dc=example,dc=com\"");
    let nobody = checks.add(390, "service=ldap\nrequest=\"dc=example,dc=com\"");
    let watch = checks.start()?;

    for up in [anonymous, bound, encrypted, starttls, verified, verified_at_once] {
        watch.up(up)?;
    }
    for unknown in [missing, unseen] {
        watch.down(unknown, "expected exactly one entry, got no such object (32)")?;
    }
    watch.down(other, "got \"dc=example,dc=com\", which does not match \"^dc=other\"")?;
    watch.down(wrong, "expected the answer to the bind, got invalid credentials (49)")?;
    watch.down(odd, "got invalid name (34)")?;
    watch.down(misnamed, "expected a TLS handshake, got invalid peer certificate")?;
    watch.down(no_starttls, "expected the answer to StartTLS, got ")?;
    watch.down(plain, "expected a TLS handshake")?;
    watch.down(nobody, "Connection refused")?;

    slapd.hang()?;
    for hung in [anonymous, encrypted, starttls] {
        watch.down(hung, "500 Timeout Alarm")?;
    }
    slapd.go_on();
    for up in [anonymous, encrypted, starttls] {
        watch.up(up)?;
    }
    drop(slapd);
    watch.down(encrypted, "Connection refused")?;
    watch.end(&["s3cret", "wr0ng"])
}
