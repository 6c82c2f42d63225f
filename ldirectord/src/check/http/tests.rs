use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::testing::{answer, closed_port, report, run, server};
use crate::config::Pattern;
use crate::config::model::{Check, Derived, Http, HttpProxy, Method, Negotiate, Probe};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nTest Page";

fn get(at: SocketAddr) -> Http {
    let host = at.ip().to_string();
    let (method, path) = (Method::Get, "/".to_owned());
    Http {
        tls: false,
        verify: false,
        at,
        method,
        path,
        host,
        server_name: None,
        receive: None,
        url: Derived::default(),
    }
}

fn expecting(at: SocketAddr, receive: &str) -> Http {
    Http { receive: Some(Pattern::new(receive).expect("a pattern")), ..get(at) }
}

async fn ask(request: Http) -> Result<String, String> {
    ask_for(request, Duration::from_secs(10)).await
}

async fn ask_for(request: Http, timeout: Duration) -> Result<String, String> {
    report(&Check::Negotiate(Negotiate { probe: Probe::Http(request), timeout })).await
}

async fn page(text: &'static str) -> SocketAddr {
    server(move |_, stream| answer(stream, text)).await
}

#[test]
fn a_page_that_matches_is_up_and_another_is_down() {
    run(async {
        let at = page(PAGE).await;
        assert_eq!(ask(get(at)).await, Ok("200 OK".to_owned()));
        assert_eq!(ask(expecting(at, "Test [A-Z]age")).await, Ok("200 OK".to_owned()));
        let why = ask(expecting(at, "Welcome")).await.expect_err("another page");
        assert!(
            why.starts_with(&format!("200 OK, but \"Welcome\" is not in the body \"Test Page\" from {at}")),
            "{why}"
        );
    });
}

#[test]
fn patterns_are_perls() {
    run(async {
        let at = page("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\nb").await;
        assert!(ask(expecting(at, "^b")).await.is_err(), "^ binds to the whole body");
        assert!(ask(expecting(at, "(?i)A")).await.is_ok());
        assert!(ask(expecting(at, "a(?=\\nb)")).await.is_ok(), "look-ahead");
    });
}

#[test]
fn the_host_is_the_virtual_hosts_or_the_address_without_port() {
    run(async {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let log = heard.clone();
        let at = server(move |request, stream| {
            log.borrow_mut().push(request);
            answer(stream, PAGE)
        })
        .await;
        ask(Http { path: "/a b?x=1".into(), ..get(at) }).await.expect("up");
        ask(Http { host: "www.example.com".into(), method: Method::Head, ..get(at) }).await.expect("up");
        let heard = heard.borrow();
        assert!(heard[0].starts_with("GET /a%20b?x=1 HTTP/1.1\r\n"), "{}", heard[0]);
        assert!(heard[0].contains("\r\nHost: 127.0.0.1\r\n"), "{}", heard[0]);
        assert!(heard[0].contains("\r\nConnection: close\r\n"), "{}", heard[0]);
        assert!(heard[1].starts_with("HEAD / HTTP/1.1\r\n"), "{}", heard[1]);
        assert!(heard[1].contains("\r\nHost: www.example.com\r\n"), "{}", heard[1]);
        assert_eq!(heard[1].matches("Host:").count(), 1);
    });
}

#[test]
fn an_error_status_is_down_with_its_line() {
    run(async {
        let at = page("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let why = ask(get(at)).await.expect_err("no such page");
        assert!(why.starts_with(&format!("404 Not Found (GET http://{at}/ at {at}), after ")), "{why}");
        let at = page("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(ask(get(at)).await, Ok("204 No Content".to_owned()));
    });
}

#[test]
fn a_refused_connection_is_told_as_the_original_told_it() {
    run(async {
        let at = closed_port().await;
        let why = ask(get(at)).await.expect_err("nobody listens");
        assert!(why.starts_with(&format!("500 Can't connect to {at} (Connection refused), after ")), "{why}");
    });
}

#[test]
fn a_silent_server_is_down_when_the_timeout_has_passed() {
    run(async {
        let at = server(|_, mut stream| async move {
            // Until the client gives up.
            let _ = stream.read_u8().await;
        })
        .await;
        let why = ask_for(get(at), Duration::from_millis(200)).await.expect_err("silence");
        assert!(why.starts_with("500 Timeout Alarm: "), "{why}");
    });
}

#[test]
fn a_body_that_drips_is_cut_off_by_the_one_deadline() {
    run(async {
        let at = server(|_, mut stream| async move {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b".").await.is_ok() {
                tick.tick().await;
            }
        })
        .await;
        let begin = std::time::Instant::now();
        let why = ask_for(expecting(at, "never"), Duration::from_millis(300)).await.expect_err("never ends");
        assert!(why.starts_with("500 Timeout Alarm: "), "{why}");
        assert!(begin.elapsed() >= Duration::from_millis(300));
    });
}

#[test]
fn a_body_shorter_than_announced_is_looked_at_and_an_endless_one_to_its_first_megabyte() {
    run(async {
        let at = page("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nTest Page").await;
        assert_eq!(ask(expecting(at, "Page$")).await, Ok("200 OK".to_owned()));
        let at = server(|_, mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbegin").await;
            let block = [b'x'; 65536];
            while stream.write_all(&block).await.is_ok() {}
        })
        .await;
        assert_eq!(ask(expecting(at, "^beginx")).await, Ok("200 OK".to_owned()));
        assert!(ask(expecting(at, "the end")).await.is_err());
    });
}

#[test]
fn a_connection_that_is_reset_is_down() {
    run(async {
        let at = server(|_, stream| async move {
            let socket = socket2::SockRef::from(&stream);
            socket.set_linger(Some(Duration::ZERO)).expect("linger");
        })
        .await;
        let why = ask(get(at)).await.expect_err("reset");
        assert!(why.starts_with(&format!("500 no answer from {at} (")), "{why}");
    });
}

#[test]
fn seven_redirects_are_followed_and_an_eighth_is_not() {
    run(async {
        let at = server(|request, stream| async move {
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let left: u32 = path.trim_start_matches('/').parse().unwrap_or(0);
            let text = if left == 0 {
                PAGE.to_owned()
            } else {
                format!("HTTP/1.1 302 Found\r\nLocation: /{}\r\nContent-Length: 0\r\n\r\n", left - 1)
            };
            answer(stream, &text).await;
        })
        .await;
        assert_eq!(ask(Http { path: "/7".into(), ..expecting(at, "Test") }).await, Ok("200 OK".to_owned()));
        let why = ask(Http { path: "/8".into(), ..get(at) }).await.expect_err("too many");
        assert!(why.starts_with("302 Found: more than 7 redirects"), "{why}");
    });
}

#[test]
fn a_redirect_to_another_host_asks_it_by_its_own_name_and_one_to_the_virtual_host_stays() {
    run(async {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let log = heard.clone();
        let other = server(move |request, stream| {
            log.borrow_mut().push(request);
            answer(stream, PAGE)
        })
        .await;
        let away = server(move |_, stream| async move {
            answer(stream, &format!("HTTP/1.1 301 Moved\r\nLocation: http://{other}/there\r\n\r\n")).await;
        })
        .await;
        ask(Http { host: "www.example.com".into(), ..get(away) }).await.expect("up");
        let home = server(move |_, stream| async move {
            let port = other.port();
            answer(stream, &format!("HTTP/1.1 301 Moved\r\nLocation: http://www.example.com:{port}/\r\n\r\n")).await;
        })
        .await;
        ask(Http { host: "www.example.com".into(), ..get(home) }).await.expect("up");
        let heard = heard.borrow();
        assert!(heard[0].contains(&format!("\r\nHost: {other}\r\n")), "{}", heard[0]);
        assert!(heard[1].contains(&format!("\r\nHost: www.example.com:{}\r\n", other.port())), "{}", heard[1]);
    });
}

#[test]
fn an_answer_without_head_counts_as_a_page() {
    run(async {
        let at = page("Test Page").await;
        assert!(ask(expecting(at, "Test Page")).await.is_ok());
    });
}

async fn ask_through(at: SocketAddr, url: &str, receive: &str) -> Result<String, String> {
    let receive = Some(Pattern::new(receive).expect("a pattern"));
    let probe = Probe::HttpProxy(HttpProxy { at, method: Method::Get, url: url.to_owned(), receive });
    report(&Check::Negotiate(Negotiate { probe, timeout: Duration::from_secs(10) })).await
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_and_for_every_redirect() {
    run(async {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let log = heard.clone();
        let proxy = server(move |request, stream| {
            let moved = request.starts_with("GET http://www.example.com/ ");
            log.borrow_mut().push(request);
            let there = "HTTP/1.1 302 Found\r\nLocation: http://other.example.com:81/b\r\nContent-Length: 0\r\n\r\n";
            answer(stream, if moved { there } else { PAGE })
        })
        .await;
        assert_eq!(ask_through(proxy, "http://www.example.com/", "Test").await, Ok("200 OK".to_owned()));
        let heard = heard.borrow();
        assert!(heard[0].contains("\r\nHost: www.example.com\r\n"), "{}", heard[0]);
        assert!(heard[1].starts_with("GET http://other.example.com:81/b HTTP/1.1\r\n"), "{}", heard[1]);
        assert!(heard[1].contains("\r\nHost: other.example.com:81\r\n"), "{}", heard[1]);
    });
}

#[test]
fn a_proxy_that_fails_is_down_with_its_own_address() {
    run(async {
        let proxy = page("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        let why = ask_through(proxy, "http://www.example.com/a", "").await.expect_err("no way there");
        assert!(why.starts_with("503 Service Unavailable (GET http://www.example.com/a at "), "{why}");
        let why = ask_through(proxy, "https://www.example.com/", "").await.expect_err("no tunnel");
        assert!(why.starts_with(&format!("500 Can't connect to {proxy} (")), "{why}");
        let nobody = closed_port().await;
        let why = ask_through(nobody, "http://www.example.com/", "").await.expect_err("nobody listens");
        assert!(why.starts_with(&format!("500 Can't connect to {nobody} (Connection refused)")), "{why}");
        let why = ask_through(nobody, "index.html", "").await.expect_err("no URL");
        assert!(why.starts_with("\"index.html\" is not a URL ("), "{why}");
    });
}

/// `openssl s_server` with a self-signed certificate that is marked as an authority's, as
/// `openssl req -x509` makes it.
struct Openssl {
    child: std::process::Child,
    at: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn openssl() -> Openssl {
    let directory = tempfile::TempDir::new().expect("a directory");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=somebody.else.example", "-addext", "basicConstraints=critical,CA:TRUE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory.path())
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let at = closed_port().await;
    fs::write(directory.path().join("index.html"), "Test Page").expect("written");
    let child = Command::new("openssl")
        .args(["s_server", "-accept", &at.to_string(), "-cert", "cert.pem", "-key", "key.pem", "-WWW", "-quiet"])
        .args(["-servername", "www.example.com", "-servername_fatal", "-cert2", "cert.pem", "-key2", "key.pem"])
        .current_dir(directory.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let server = Openssl { child, at, _directory: directory };
    let patience = tokio::time::timeout(Duration::from_secs(20), async {
        while tokio::net::TcpStream::connect(at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    patience.await.expect("openssl listens");
    server
}

#[test]
fn https_takes_a_self_signed_certificate_and_says_the_virtual_hosts_name() {
    run(async {
        let server = openssl().await;
        let request = Http {
            tls: true,
            path: "/index.html".into(),
            host: "WWW.Example.com".into(),
            server_name: Some("WWW.Example.com".into()),
            ..expecting(server.at, "Test Page")
        };
        assert_eq!(ask(request.clone()).await.map(|s| s[..3].to_owned()), Ok("200".to_owned()));
        let nameless = Http { server_name: Some("192.0.2.77".into()), ..request.clone() };
        assert!(ask(nameless).await.is_ok(), "an address is no name, and not connected to");
        let another = Http { server_name: Some("other.example.com".into()), ..request };
        let why = ask(another).await.expect_err("the server refuses the name");
        assert!(why.starts_with(&format!("500 Can't connect to {} (", server.at)), "{why}");
    });
}

#[test]
fn https_to_a_server_without_tls_is_down() {
    run(async {
        // Garbage to a TLS client, whatever it says.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("its address");
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            answer(stream, PAGE).await;
        });
        let why = ask(Http { tls: true, ..get(at) }).await.expect_err("no TLS there");
        assert!(why.starts_with(&format!("500 Can't connect to {at} (")), "{why}");
    });
}
