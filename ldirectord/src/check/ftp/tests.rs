use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use super::{converse, extended_port, passive_port};
use crate::check::dialogue::Dialogue;
use crate::check::dialogue::play::{Twist, address, misbehave, play};
use crate::check::scripted::{LONG, SHORT, negotiate, serve};
use crate::check::stage::Stage;
use crate::check::testing::run;
use crate::config::Pattern;
use crate::config::model::{Credentials, Ftp, Probe, Secret};

const HEALTHY: &[&str] =
    &["220-welcome\r\n220 ready\r\n", "331 password?\r\n", "230-hello\r\nno code here\r\n230 in\r\n", "221 bye\r\n"];

fn ftp(at: SocketAddr, path: &str, receive: &str) -> Ftp {
    let login = Credentials { name: "joe".into(), password: Secret::new("open sesame".into()) };
    let receive = Some(Pattern::new(receive).expect("a pattern")).filter(|pattern| !pattern.as_str().is_empty());
    Ftp { at, login, path: path.into(), receive }
}

async fn log_in_only(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    converse(Dialogue::over(stage, pipe), &ftp(address(), "/", ""), stage).await
}

#[test]
fn fault_b7_without_a_request_the_login_is_checked() {
    let played = play(HEALTHY, None, log_in_only);
    assert_eq!(played.result, Ok("220-welcome".to_owned()));
    assert_eq!(played.heard, ["USER joe", "PASS open sesame", "QUIT"]);
    assert!(play(&["120 in a minute\r\n220 now\r\n", "230 no password needed\r\n"], None, log_in_only).result.is_ok());
    for (step, says, told) in [
        (0, "421 too many\r\n", "a greeting 2xx, got \"421 too many\""),
        (1, "530 no\r\n", "2xx or 331 to USER, got \"530 no\""),
        (2, "530 not with open sesame\r\n", "2xx to PASS, got \"530 not with ***\""),
    ] {
        let why = play(HEALTHY, Some((step, Twist::Say(says))), log_in_only).result.expect_err("refused");
        assert_eq!(why, format!("192.0.2.1:2525: expected {told}"));
    }
}

#[test]
fn whatever_else_a_server_does_it_is_down_in_time() {
    misbehave(HEALTHY, 3, "220-more\r\n", log_in_only);
}

#[test]
fn ports_are_read_as_servers_write_them() {
    assert_eq!(passive_port("227 Entering Passive Mode (192,0,2,1,195,80)."), Some(50000));
    assert_eq!(passive_port("227 Entering Passive Mode. 192,0,2,1,0,21"), Some(21));
    for wrong in ["227", "227 (1,2,3)", "227 (1,2,3,4,5,256)", "227 (1,2,3,4,0,0)", "227 (1,2,3,4,5,6,7)", "227 \u{e9}"]
    {
        assert_eq!(passive_port(wrong), None, "{wrong}");
    }
    assert_eq!(extended_port("229 Entering Extended Passive Mode (|||50000|)"), Some(50000));
    assert_eq!(extended_port("229 ok (!!!21!)"), Some(21));
    for wrong in ["229", "229 ()", "229 (|||x|)", "229 (|||0|)", "229 (|||70000|)", "229 (|1|)"] {
        assert_eq!(extended_port(wrong), None, "{wrong}");
    }
}

/// What a server does when the file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Sent(&'static str),
    Refused,
    CutOff,
    Hung,
    Endless,
}

/// A server with one file; says in the passive reply that it is somewhere else.
async fn server(file: File) -> (SocketAddr, Rc<RefCell<Vec<String>>>) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = heard.clone();
    let at = serve(move |stream| talk(stream, file, log.clone())).await;
    (at, heard)
}

async fn talk(stream: TcpStream, file: File, heard: Rc<RefCell<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let data = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let [high, low] = data.local_addr().expect("its address").port().to_be_bytes();
    let mut answer = "220 ready\r\n".to_owned();
    loop {
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(line)) = lines.next_line().await else { return };
        heard.borrow_mut().push(line.clone());
        answer = match line.split(' ').next().unwrap_or_default() {
            "USER" => "331 password?\r\n".to_owned(),
            "PASS" => "230 in\r\n".to_owned(),
            "PASV" => format!("227 Entering Passive Mode (198,51,100,77,{high},{low})\r\n"),
            "RETR" if file == File::Refused => "550 no such file\r\n".to_owned(),
            "RETR" => {
                let _ = write.write_all(b"150 here it comes\r\n").await;
                let (mut data, _) = data.accept().await.expect("the client");
                match file {
                    File::Sent(text) => drop(data.write_all(text.as_bytes()).await),
                    File::Endless => while data.write_all(&[b'x'; 65536]).await.is_ok() {},
                    File::Hung => std::future::pending().await,
                    File::CutOff | File::Refused => {}
                }
                drop(data);
                if file == File::CutOff { "426 disk failed\r\n" } else { "226 done\r\n" }.to_owned()
            }
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "250 very well\r\n".to_owned(),
        };
    }
}

#[test]
fn the_file_is_fetched_from_the_address_that_is_checked() {
    run(async {
        let (at, heard) = server(File::Sent("Test Page\n")).await;
        assert_eq!(negotiate(Probe::Ftp(ftp(at, "/file", "Test")), LONG).await, Ok("220 ready".into()));
        let said = ["USER joe", "PASS open sesame", "CWD /", "TYPE I", "PASV", "RETR /file", "QUIT"];
        assert_eq!(*heard.borrow(), said);
        assert!(negotiate(Probe::Ftp(ftp(at, "/file", "")), LONG).await.is_ok());
        let why = negotiate(Probe::Ftp(ftp(at, "/file", "other")), LONG).await.expect_err("another file");
        let told = format!("{at}: \"other\" is not in the file /file, which begins with \"Test Page\\n\", after ");
        assert!(why.starts_with(&told), "{why}");
    });
}

#[test]
fn fault_b7_a_file_that_does_not_come_is_down_with_or_without_a_pattern() {
    run(async {
        for (file, told) in [
            (File::Refused, "expected 1xx to RETR, got \"550 no such file\""),
            (File::CutOff, "expected 2xx at the end of the file, got \"426 disk failed\""),
            (File::Hung, "expected the file, got nothing"),
        ] {
            let (at, _) = server(file).await;
            for receive in ["", "Test"] {
                let limit = if file == File::Hung { SHORT } else { LONG };
                let why = negotiate(Probe::Ftp(ftp(at, "/file", receive)), limit).await.expect_err("no file");
                assert!(why.contains(&format!("{at}: {told}")), "{why}");
            }
        }
    });
}

#[test]
fn an_endless_file_is_looked_at_to_its_first_megabyte() {
    run(async {
        let (at, _) = server(File::Endless).await;
        assert!(negotiate(Probe::Ftp(ftp(at, "/file", "^xxx")), LONG).await.is_ok());
        assert!(negotiate(Probe::Ftp(ftp(at, "/file", "the end")), LONG).await.is_err());
    });
}
