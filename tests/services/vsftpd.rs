//! vsftpd: a file fetched, a file that is not there, a login that is refused.

use lab::Result;

use crate::place::Place;

const WRONG: &str = "not-the-password";

#[test]
fn ftp_by_vsftpd() -> Result<()> {
    let Some(place) = Place::new("vsftpd", &["vsftpd"]) else { return Ok(()) };
    let (address, directory) = (place.address(), place.directory().display());
    place.write("public/file", "Test Page\n")?;
    place.directory_of("empty", "root", 0o755)?;
    let file = place.write(
        "vsftpd.conf",
        &format!(
            "listen=YES\nlisten_address={address}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n\
             anon_root={directory}/public\nsecure_chroot_dir={directory}/empty\npasv_address=192.0.2.99\n\
             isolate=NO\nisolate_network=NO\nxferlog_enable=NO\n"
        ),
    )?;
    let vsftpd = place.start(&["vsftpd", &file.to_string_lossy()])?;
    place.await_tcp(&vsftpd, 21)?;

    let mut checks = place.checks();
    let fetched = checks.add(21, "service=ftp\nrequest=\"file\"\nreceive=\"^Test Page$\"");
    let any = checks.add(21, "service=ftp\nrequest=\"file\"");
    let login = checks.add(21, "service=ftp");
    let other = checks.add(21, "service=ftp\nrequest=\"file\"\nreceive=\"another page\"");
    let missing = checks.add(21, "service=ftp\nrequest=\"nowhere\"");
    let joe = checks.add(21, &format!("service=ftp\nlogin=\"joe\"\npasswd=\"{WRONG}\"\nrequest=\"file\""));
    let nobody = checks.add(22, "service=ftp");
    let watch = checks.start()?;
    for check in [fetched, any, login] {
        watch.up(check)?;
    }
    watch.down(other, "\"another page\" is not in the file /file, which begins with \"Test Page\\n\"")?;
    watch.down(missing, "expected 1xx to RETR, got \"550 Failed to open file.\"")?;
    watch.down(joe, "got \"530 This FTP server is anonymous only.\"")?;
    watch.down(nobody, "(Connection refused)")?;
    vsftpd.hang()?;
    for check in [fetched, any, login] {
        watch.down(check, "500 Timeout Alarm")?;
    }
    vsftpd.go_on();
    watch.up(fetched)?;
    watch.end(&[WRONG])
}
