//! What ldirectord reads from strangers: configurations, and what real servers, name servers and agents answer.
//!
//! A check is made as ldirectord makes it, over loopback, against a server that says the bytes and closes. The same
//! functions run on random input in `ldirectord/tests/fuzz_targets.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ldirectord::agent::{Said, Stance};
use ldirectord::check::{self, Report, Tools};
use ldirectord::config::model::{
    AgentCheck, Check, Credentials, Derived, Dns, Encryption, Ftp, Grpc, Http, HttpProxy, Ldap, Mailbox, Method,
    Negotiate, Probe, Radius, Secret, SimpleTcp, Sip, Smtp, Sql, SqlEngine, Transport, Udp,
};
use ldirectord::config::{self, Fixed, Pattern};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;

/// A server that closes is never waited for, so this is never reached.
const LIMIT: Duration = Duration::from_secs(20);

/// Until nobody answers a datagram any more.
const SILENCE: Duration = Duration::from_millis(30);

const PASSWORD: &str = "s3cret-0f-the-check";

/// A whole `ldirectord.cf`. One that is taken is taken again; one that is not says where it is wrong.
pub fn configuration(data: &[u8]) {
    let path = Path::new("t.cf");
    let around = Fixed::default();
    match config::load(path, data, &around) {
        Ok(loaded) => {
            let again = config::load(path, data, &around).expect("it was taken before");
            assert_eq!(loaded.config, again.config);
            loaded.warnings.iter().for_each(|found| drop(config::rendered(found, 1)));
        }
        Err(found) => {
            assert!(!found.is_empty());
            for text in found.iter().map(|found| config::rendered(found, 1)) {
                assert!(text.starts_with("Error [1]") || text.starts_with("Warning [1]"), "{text}");
            }
        }
    }
}

/// An agent's line, and what it makes of what was said before.
pub fn agent_line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut stance = Stance::default();
    for line in text.lines() {
        match Said::parse(line) {
            Ok(said) => {
                assert!(said.percent.is_none_or(|percent| percent <= 1000));
                stance = stance.after(said);
                assert_eq!(stance.after(said), stance, "to say it twice changes nothing");
            }
            Err(why) => printable(&why),
        }
    }
}

/// What a server says on a TCP connection. The first byte chooses the check.
pub fn conversation(data: &[u8]) {
    let Some((&kind, said)) = data.split_first() else { return };
    // Somebody else's redirect would have us talk to somebody else.
    if said.to_ascii_lowercase().windows(8).any(|it| it == b"location") {
        return;
    }
    inside(async |tools| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("its address");
        let server = async {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                // A client that has heard enough closes.
                drop(stream.write_all(said).await);
                drop(stream.shutdown().await);
                drop(stream.read_to_end(&mut Vec::new()).await);
            }
        };
        let check = stream_check(kind, at);
        let report = tokio::select! {
            report = check::run(&check, tools) => report,
            () = server => unreachable!("a listener goes on listening"),
        };
        assert!(report.took < LIMIT / 2, "it waited for somebody who has closed: {report:?}");
        judge(&report);
    });
}

/// What a server answers to datagrams. The first byte chooses the check, and of the second the lowest bit whether the
/// beginning of the question is put before the answer: only so is the rest looked at.
pub fn datagram(data: &[u8]) {
    let [kind, how, said @ ..] = data else { return };
    inside(async |tools| {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let at = socket.local_addr().expect("its address");
        let server = async {
            let mut question = vec![0; 4096];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut question).await else { return };
                let head = match (kind % 4, how & 1) {
                    (_, 0) => Vec::new(),
                    // Id and question of a name server's answer: all of the question, said to be an answer.
                    (0, _) => {
                        let mut head = question[..length].to_vec();
                        head.get_mut(2).into_iter().for_each(|flags| *flags |= 0x80);
                        head.get_mut(7).into_iter().for_each(|answers| *answers = how >> 1);
                        head
                    }
                    // Code and id of RADIUS.
                    (1, _) => vec![2, question.get(1).copied().unwrap_or_default()],
                    _ => b"SIP/2.0 200 ".to_vec(),
                };
                drop(socket.send_to(&[&head, said].concat(), from).await);
            }
        };
        let check = datagram_check(*kind, at);
        let report = tokio::select! {
            report = check::run(&check, tools) => report,
            () = server => return,
        };
        judge(&report);
    });
}

/// Whatever came: what is told of it is one clean line and no secret.
fn judge(report: &Report) {
    let (Ok(text) | Err(text)) = &report.result;
    printable(text);
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(text.len() < 4096, "{} bytes: {text}", text.len());
}

fn printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn inside(story: impl AsyncFnOnce(&Tools)) {
    thread_local! {
        static ROOM: (Runtime, Tools) = {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            (runtime, Tools::new())
        };
    }
    ROOM.with(|(runtime, tools)| runtime.block_on(story(tools)));
}

/// How many checks [`conversation`] knows.
pub const STREAM_CHECKS: u8 = 18;

fn stream_check(kind: u8, at: SocketAddr) -> Check {
    let credentials = || Credentials { name: "probe".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    let login = || Some(credentials());
    let starttls = || Some(Encryption { starttls: true, name: None, verify: false });
    let receive = || Pattern::new("^2").ok();
    let mailbox = |encryption| Mailbox { at, encryption, login: login() };
    let ldap = |encryption| Ldap { at, encryption, bind: login(), base: "dc=x".to_owned(), receive: receive() };
    let sql = |engine| Sql { engine, at, login: credentials(), database: "d".to_owned(), query: "select 1".to_owned() };
    let probe = match kind % STREAM_CHECKS {
        0 => Probe::Smtp(Smtp { at, encryption: None }),
        1 => Probe::Smtp(Smtp { at, encryption: starttls() }),
        2 => Probe::Pop(mailbox(None)),
        3 => Probe::Pop(mailbox(starttls())),
        4 => Probe::Imap(mailbox(None)),
        5 => Probe::Imap(mailbox(starttls())),
        6 => Probe::Ftp(Ftp { at, login: credentials(), path: "/file".to_owned(), receive: receive() }),
        7 => Probe::Nntp { at },
        8 => Probe::Ldap(ldap(None)),
        9 => Probe::Ldap(ldap(starttls())),
        10 => Probe::Sql(sql(SqlEngine::MySql)),
        11 => Probe::Sql(sql(SqlEngine::Postgres)),
        12 => {
            let request = "PING\n".to_owned();
            Probe::SimpleTcp(SimpleTcp { at, transport: Transport::Tcp, request, receive: receive() })
        }
        13 => Probe::Sip(Sip { at, transport: Transport::Tcp, login: "probe@x".to_owned() }),
        14 => Probe::Http(Http {
            tls: false,
            verify: false,
            at,
            method: Method::Get,
            path: "/".to_owned(),
            host: "127.0.0.1".to_owned(),
            server_name: None,
            receive: receive(),
            url: Derived::default(),
        }),
        15 => Probe::HttpProxy(HttpProxy {
            at,
            method: Method::Get,
            url: "http://x.invalid/".to_owned(),
            receive: receive(),
        }),
        16 => Probe::Grpc(Grpc { at, authority: "x".to_owned(), service: String::new() }),
        _ => return Check::Agent(AgentCheck { at, timeout: LIMIT }),
    };
    Check::Negotiate(Negotiate { probe, timeout: LIMIT })
}

fn datagram_check(kind: u8, at: SocketAddr) -> Check {
    let receive = || Pattern::new("^2").ok();
    let probe = match kind % 4 {
        0 => {
            let question = "www.example.com".to_owned();
            Probe::Dns(Dns { at, transport: Transport::Udp, question, search: Vec::new(), receive: receive() })
        }
        1 => {
            let secret = || Secret::new(PASSWORD.to_owned());
            let login = Credentials { name: "probe".to_owned(), password: secret() };
            Probe::Radius(Radius { at, login, secret: secret() })
        }
        2 => Probe::Sip(Sip { at, transport: Transport::Udp, login: "probe@x".to_owned() }),
        _ => Probe::Udp(Udp { at, request: b"PING".to_vec(), receive: receive() }),
    };
    Check::Negotiate(Negotiate { probe, timeout: SILENCE })
}
