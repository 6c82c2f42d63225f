//! sn, a small news server: nntp. It speaks on its standard streams; socat listens for it.

use std::fs;

use lab::{Attempt, Result};

use crate::place::Place;

#[test]
fn nntp_by_sn() -> Result<()> {
    let Some(place) = Place::new("sn", &["snntpd", "socat"]) else { return Ok(()) };
    let spool = place.directory_of("spool", "news:news", 0o755)?;
    let listen = format!("TCP-LISTEN:119,bind={},fork,reuseaddr", place.address());
    let root = format!("SNROOT={}", spool.display());
    let sn = place.start(&["env", &root, "socat", &listen, "EXEC:snntpd"])?;
    place.await_tcp(&sn, 119)?;
    let mut checks = place.checks();
    let news = checks.add(119, "service=nntp");
    let nobody = checks.add(120, "service=nntp");
    let watch = checks.start()?;
    assert!(watch.up(news)?.starts_with("200 "));
    watch.down(nobody, "(Connection refused)")?;
    // Its way to be closed for maintenance.
    let closed = place.write("spool/.noservice", "closed until Monday\n")?;
    watch.down(news, "expected a greeting 2xx, got \"400 Service going down: closed until Monday")?;
    fs::remove_file(closed).attempt(|| "open the news server again".into())?;
    watch.up(news)?;
    sn.hang()?;
    watch.down(news, "500 Timeout Alarm")?;
    sn.go_on();
    watch.up(news)?;
    watch.end(&[])
}
