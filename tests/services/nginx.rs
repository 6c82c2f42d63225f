//! nginx: http and https, hosts told apart by name.

use std::time::Duration;

use lab::Result;

use crate::certificate::Authority;
use crate::place::Place;

/// Answers by host and path; the TLS hosts have names and certificates of their own, and whoever says no name is
/// refused.
fn configuration(place: &Place) -> String {
    let (address, directory) = (place.address(), place.directory().display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {directory}/{kind};\n"))
        .concat();
    let host = |name: &str| {
        format!(
            "server {{ listen {address}:443 ssl; server_name {name};\n\
             ssl_certificate {directory}/{name}.crt; ssl_certificate_key {directory}/{name}.key;\n\
             location / {{ return 200 \"this is {name}\\n\"; }} }}\n"
        )
    };
    format!(
        "daemon off; pid {directory}/pid; error_log stderr; worker_processes 1;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; default_type text/plain;\n{temporary}\
         server {{ listen {address}:80 default_server; server_name _;\n\
           location /page {{ return 200 \"Test Page\\n\"; }}\n\
           location /moved {{ return 302 /page; }}\n\
           location /broken {{ return 500; }}\n\
           location / {{ return 404; }} }}\n\
         server {{ listen {address}:80; server_name www.example.com;\n\
           location / {{ return 200 \"this is www.example.com\\n\"; }} }}\n\
         server {{ listen {address}:443 ssl default_server; ssl_reject_handshake on; }}\n\
         {}{} }}\n",
        host("www.example.com"),
        host("shop.example.com"),
    )
}

#[test]
fn http_and_https_by_nginx() -> Result<()> {
    let Some(place) = Place::new("nginx", &["nginx", "openssl"]) else { return Ok(()) };
    let authority = Authority::new(place.directory())?;
    for name in ["www.example.com", "shop.example.com"] {
        authority.certify(name)?;
    }
    place.write("nginx.conf", &configuration(&place))?;
    let file = place.directory().join("nginx.conf");
    let nginx = place.start(&["nginx", "-e", "stderr", "-c", &file.to_string_lossy()])?;
    place.await_tcp(&nginx, 443)?;
    // Another server in the same file, which has to be checked as if nothing were wrong with this one.
    let bystander = std::net::TcpListener::bind(place.at(7)).expect("a port of the place's own");

    let mut checks = place.checks();
    let page = checks.add(80, "service=http\nrequest=\"page\"\nreceive=\"Test P[a-z]ge\"");
    let head = checks.add(80, "service=http\nrequest=\"page\"\nhttpmethod=HEAD");
    let moved = checks.add(80, "service=http\nrequest=\"moved\"\nreceive=\"Test Page\"");
    let host = checks.add(80, "service=http\nvirtualhost=www.example.com\nreceive=\"^this is www\"");
    let other = checks.add(80, "service=http\nrequest=\"page\"\nreceive=\"another page\"");
    let broken = checks.add(80, "service=http\nrequest=\"broken\"");
    let missing = checks.add(80, "service=http\nrequest=\"nowhere\"");
    let named = checks.add(443, "service=https\nvirtualhost=shop.example.com\nreceive=\"this is shop\"");
    let nameless = checks.add(443, "service=https");
    let elsewhere = checks.add(443, "service=https\nvirtualhost=other.example.com");
    let nobody = checks.add(81, "service=http");
    let beside = checks.add(7, "checktype=connect");
    let watch = checks.start()?;

    for up in [page, head, moved, host, named, beside] {
        watch.up(up)?;
    }
    watch.down(other, "200 OK, but \"another page\" is not in the body \"Test Page")?;
    watch.down(broken, "500 Internal Server Error")?;
    watch.down(missing, "404 Not Found")?;
    for refused in [nameless, elsewhere] {
        watch.down(refused, &format!("500 Can't connect to {} (", place.at(443)))?;
    }
    watch.down(nobody, &format!("500 Can't connect to {} (Connection refused)", place.at(81)))?;

    nginx.hang()?;
    for hung in [page, head, named] {
        watch.down(hung, "500 Timeout Alarm")?;
        assert!(watch.age(beside)? < Duration::from_secs(2), "hung servers hold up the others");
    }
    nginx.go_on();
    for up in [page, named] {
        watch.up(up)?;
    }
    drop(nginx);
    watch.down(named, "Connection refused")?;
    watch.up(beside)?;
    drop(bystander);
    watch.end(&[])
}
