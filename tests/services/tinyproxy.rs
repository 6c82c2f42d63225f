//! tinyproxy in front of nginx: http_proxy.

use lab::Result;

use crate::place::Place;

#[test]
fn http_proxy_by_tinyproxy() -> Result<()> {
    let Some(place) = Place::new("tinyproxy", &["tinyproxy", "nginx"]) else { return Ok(()) };
    let (address, directory) = (place.address(), place.directory().display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {directory}/{kind}; "))
        .concat();
    let origin = place.write(
        "nginx.conf",
        &format!(
            "daemon off; pid {directory}/pid; error_log stderr; events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type text/plain; {temporary}\n\
             server {{ listen {address}:80; location /page {{ return 200 \"Test Page\\n\"; }}\n\
             location / {{ return 404; }} }} }}\n"
        ),
    )?;
    let nginx = place.start(&["nginx", "-e", "stderr", "-c", &origin.to_string_lossy()])?;
    let proxy = place.write(
        "tinyproxy.conf",
        &format!("Port 3128\nListen {address}\nTimeout 60\nMaxClients 50\nAllow 127.0.0.0/8\nLogLevel Warning\n"),
    )?;
    let tinyproxy = place.start(&["tinyproxy", "-d", "-c", &proxy.to_string_lossy()])?;
    place.await_tcp(&nginx, 80)?;
    place.await_tcp(&tinyproxy, 3128)?;

    let mut checks = place.checks();
    let mut through = |url: &str, receive: &str| {
        checks.add(3128, &format!("service=http_proxy\nrequest=\"http://{address}{url}\"\nreceive=\"{receive}\""))
    };
    let page = through("/page", "^Test Page$");
    let other = through("/page", "another page");
    let missing = through("/nowhere", "Test");
    // The proxy works and what is behind it does not.
    let nothing = through(":81/", "Test");
    let nobody = checks.add(3129, &format!("service=http_proxy\nrequest=\"http://{address}/page\""));
    let watch = checks.start()?;
    watch.up(page)?;
    watch.down(other, "200 OK, but \"another page\" is not in the body \"Test Page")?;
    watch.down(missing, "404 Not Found")?;
    watch.down(nothing, "500 ")?;
    watch.down(nobody, "(Connection refused)")?;
    tinyproxy.hang()?;
    watch.down(page, "500 Timeout Alarm")?;
    tinyproxy.go_on();
    watch.up(page)?;
    // A page of the proxy's own is not the page that was asked for.
    drop(nginx);
    watch.down(page, "500 ")?;
    watch.end(&[])
}
