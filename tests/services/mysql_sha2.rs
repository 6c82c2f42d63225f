//! `caching_sha2_password`, which MySQL 8 and later want and MariaDB's server does not have. Debian has no server that
//! does, so the server's side stands here; MariaDB's client, which knows the method, tells whether it is right.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lab::{Attempt, Result};
use sha2::{Digest, Sha256};

use crate::place::Place;

const PASSWORD: &[u8] = b"s3cret";
const SCRAMBLE: &[u8] = b"a scramble of twenty";
const METHOD: &[u8] = b"caching_sha2_password\0";

/// One user, `probe`.
struct MySql {
    key: std::path::PathBuf,
    public: Vec<u8>,
    /// Whether the password has been seen since the start.
    remembers: AtomicBool,
    /// Logins with the password itself, encrypted; and without, as it is remembered.
    full: AtomicUsize,
    fast: AtomicUsize,
    hangs: Mutex<()>,
}

impl MySql {
    fn listen(self: &Arc<Self>, listener: TcpListener) {
        let server = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                // A client that gives up is part of the story.
                thread::spawn(move || server.serve(stream));
            }
        });
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        drop(self.hangs.lock());
        let capabilities: u32 = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
        let [a, b, c, d] = capabilities.to_le_bytes();
        let mut greeting = b"\x0a8.4.0\0\x01\0\0\0".to_vec();
        greeting.extend_from_slice(&SCRAMBLE[..8]);
        greeting.extend_from_slice(&[0, a, b, 45, 2, 0, c, d, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        greeting.extend_from_slice(&SCRAMBLE[8..]);
        greeting.push(0);
        greeting.extend_from_slice(METHOD);
        say(&mut stream, 0, &greeting)?;
        let (number, answer) = hear(&mut stream)?;
        let said = answer.get(32..).unwrap_or_default();
        let name = said.split(|&byte| byte == 0).next().unwrap_or_default();
        let proof = said.get(name.len() + 2..).unwrap_or_default();
        let proof = &proof[..proof.len().min(32)];
        let number = number + 1;
        let once = Sha256::digest(PASSWORD);
        let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(SCRAMBLE).finalize();
        let right: Vec<u8> = once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        let number = if self.remembers.load(Ordering::SeqCst) && proof == right {
            self.fast.fetch_add(1, Ordering::SeqCst);
            say(&mut stream, number, &[1, 3])?;
            number + 1
        } else {
            say(&mut stream, number, &[1, 4])?;
            let (number, asked) = hear(&mut stream)?;
            assert_eq!(asked, [2], "without TLS the key is asked for");
            say(&mut stream, number + 1, &[&[1], self.public.as_slice()].concat())?;
            let (number, encrypted) = hear(&mut stream)?;
            let password: Vec<u8> = self.decrypt(&encrypted).iter().zip(SCRAMBLE).map(|(a, b)| a ^ b).collect();
            if name != b"probe" || password != [PASSWORD, &[0]].concat() {
                return say(&mut stream, number + 1, b"\xff\x15\x04#28000Access denied for user 'probe'");
            }
            self.full.fetch_add(1, Ordering::SeqCst);
            self.remembers.store(true, Ordering::SeqCst);
            number + 1
        };
        say(&mut stream, number, b"\0\0\0\x02\0\0\0")?;
        while hear(&mut stream)?.1.starts_with(&[3]) {
            for (number, packet) in (1..).zip([
                b"\x01".as_slice(),
                b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\xfd\0\0\0\0\0",
                b"\xfe\0\0\x02\0",
                b"\x011",
                b"\xfe\0\0\x02\0",
            ]) {
                say(&mut stream, number, packet)?;
            }
        }
        Ok(())
    }

    fn decrypt(&self, encrypted: &[u8]) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(encrypted).expect("written");
        let run = Command::new("openssl")
            .args(["pkeyutl", "-decrypt", "-pkeyopt", "rsa_padding_mode:oaep", "-inkey"])
            .arg(&self.key)
            .arg("-in")
            .arg(file.path())
            .output()
            .expect("openssl");
        run.stdout
    }
}

fn say(stream: &mut TcpStream, number: u8, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len()).expect("short").to_le_bytes();
    stream.write_all(&[&length[..3], &[number], body].concat())
}

fn hear(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; usize::from(u16::from_le_bytes([head[0], head[1]]))];
    stream.read_exact(&mut body)?;
    Ok((head[3], body))
}

#[test]
fn mysql_with_caching_sha2_password() -> Result<()> {
    let Some(place) = Place::new("mysql-sha2", &["mariadb", "openssl"]) else { return Ok(()) };
    let key = place.directory().join("key.pem");
    let made = Command::new("openssl").arg("genrsa").arg("-out").arg(&key).arg("2048").output();
    made.attempt(|| "run openssl".into())?;
    let public = Command::new("openssl").arg("rsa").arg("-pubout").arg("-in").arg(&key).output();
    let public = public.attempt(|| "run openssl".into())?.stdout;
    let server = Arc::new(MySql {
        key,
        public,
        remembers: AtomicBool::new(false),
        full: AtomicUsize::new(0),
        fast: AtomicUsize::new(0),
        hangs: Mutex::new(()),
    });
    server.listen(TcpListener::bind(place.at(3306)).attempt(|| "listen".into())?);

    // The judge of this server: it has to be let in with the password, twice, and with no other.
    let judge = |password: &str| {
        let host = place.address().to_string();
        let run = Command::new("mariadb")
            .args(["--no-defaults", "--skip-ssl", "-h", &host, "-u", "probe"])
            .arg(format!("-p{password}"))
            .args(["-N", "-e", "SELECT 1"])
            .output()
            .expect("MariaDB's client");
        (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
    };
    assert_eq!(judge("s3cret"), (true, "1\n".to_owned()));
    assert_eq!(judge("s3cret"), (true, "1\n".to_owned()));
    assert!(!judge("wr0ng").0);
    let counts = || (server.full.load(Ordering::SeqCst), server.fast.load(Ordering::SeqCst));
    assert_eq!(counts(), (1, 1), "the first time with the password, then by a proof");
    server.remembers.store(false, Ordering::SeqCst);

    let mut checks = place.checks();
    let asks = |password: &str| {
        format!("service=mysql\nlogin=\"probe\"\npasswd=\"{password}\"\ndatabase=\"shop\"\nrequest=\"SELECT 1\"")
    };
    let right = checks.add(3306, &asks("s3cret"));
    let wrong = checks.add(3306, &asks("wr0ng"));
    let watch = checks.start()?;
    watch.up(right)?;
    watch.down(wrong, "expected a login, got error 1045 \"Access denied for user 'probe'\"")?;
    lab::wait_for("logins by a proof", Duration::from_secs(20), || match counts() {
        (2, 3..) => Ok(()),
        counts => Err(format!("{counts:?}")),
    })?;
    let hung = server.hangs.lock();
    watch.down(right, "500 Timeout Alarm")?;
    drop(hung);
    watch.up(right)?;
    watch.end(&["s3cret", "wr0ng"])
}
