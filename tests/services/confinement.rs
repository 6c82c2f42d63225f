//! ldirectord as another user and under Landlock, as packages run it: it can do all that it must, and what runs in its
//! confinement can do nothing else.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use lab::{Attempt, Error, Result, keeper, wait_for};
use lvs::control::ldirectord::{RealStatus, Request, SPEAKS, Status, socket_name};
use lvs::control::{SOCKET_DIRECTORY, socket};
use lvs::daemon::privilege;
use lvs::diag::chain;
use lvs::ipc::Client;

use crate::commands::script;
use crate::place::Place;

const SOON: Duration = Duration::from_secs(30);

/// Whom it becomes. Nothing on a machine belongs to this user.
const USER: &str = "nobody";

/// Carries out a verb with an `lvs.toml` of its own, with the `sendmail` beside that if there is one, and if need be a `/dev` that has what is in this directory and nothing
/// else but the usual few devices.
///
/// # Errors
/// If it cannot be started.
pub fn ldirectord(settings: &Path, devices: Option<&Path>, file: &Path, verb: &str) -> Result<Output> {
    let bind = r#"mount --bind "$0" /etc/ha.d/lvs.toml && dev=$1 && shift &&
        for it in "${0%/*}/sendmail"; do [ ! -e "$it" ] || mount --bind "$it" /usr/sbin/sendmail || exit; done && { [ -z "$dev" ] || {
        for it in null random urandom; do : >"$dev/$it" && mount --bind "/dev/$it" "$dev/$it"; done
        mount --rbind "$dev" /dev; }; } && exec "$@""#;
    Command::new("unshare")
        .args(["--mount", "sh", "-c", bind])
        .arg(settings)
        .arg(devices.unwrap_or("".as_ref()))
        .arg(env::var_os("LVS_LDIRECTORD").unwrap_or_default())
        .args([file.as_os_str(), verb.as_ref()])
        .output()
        .attempt(|| "start ldirectord".into())
}

/// A daemon in the background, with an `lvs.toml` of its own.
struct Daemon<'p> {
    place: &'p Place,
    settings: PathBuf,
    file: PathBuf,
}

impl Daemon<'_> {
    fn log(&self) -> PathBuf {
        self.place.directory().join("logs/ldirectord.log")
    }

    /// A configuration: these lines, and one service with a server that is checked like this.
    fn write(&self, globals: &str, section: &str) -> Result<()> {
        let (place, directory) = (self.place, self.place.directory().display());
        let text = format!(
            "checkinterval=1\nchecktimeout=2\nquiescent=yes\nlogfile=\"{directory}/logs/ldirectord.log\"\n\
             maintenancedir={directory}/maintenance\n{globals}\n\
             virtual={}:80\n\treal={} masq\n\tprotocol=tcp\n{section}\n",
            place.virtual_address(),
            place.at(81),
        );
        // At once: the daemon may be reading.
        let new = place.write("new.cf", &text)?;
        fs::rename(new, &self.file).attempt(|| "put the configuration in place".into())
    }

    /// `ldirectord FILE VERB`, as an administrator types it.
    fn tell(&self, verb: &str) -> Result<()> {
        let output = ldirectord(&self.settings, None, &self.file, verb)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(())
        } else {
            Err(Error::Senseless(format!("{verb}: {} {said}", output.status)))
        }
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, request: &Request) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| chain(&e))?;
        runtime.block_on(async {
            let name = self.file.file_name().unwrap_or_default().to_string_lossy();
            let socket = socket(SOCKET_DIRECTORY.as_ref(), &socket_name(&name));
            let mut client = Client::connect(&socket, SPEAKS).await.map_err(|e| chain(&e))?;
            client.call(request).await.map_err(|e| chain(&e))
        })
    }

    fn await_server(&self, what: &str, is_so: impl Fn(&RealStatus) -> bool) -> Result<RealStatus> {
        wait_for(what, SOON, || {
            let status: Status = self.ask(&Request::Status {})?;
            let real =
                status.virtuals.into_iter().next().and_then(|mut service| service.reals.pop()).ok_or("no server")?;
            if is_so(&real) { Ok(real) } else { Err(format!("{real:?}")) }
        })
    }

    /// Waits until the server has this weight in the table.
    fn await_weight(&self, weight: u32) -> Result<()> {
        let service = SocketAddr::from((self.place.virtual_address(), 80));
        wait_for(&format!("weight {weight}"), SOON, || {
            let table = keeper::table();
            let found = table.iter().find(|(key, _)| format!("{key:?}").contains(&service.to_string()));
            let server = found.and_then(|(_, entry)| entry.destinations.get(&self.place.at(81)));
            if server.is_some_and(|server| server.weight == weight) { Ok(()) } else { Err(format!("{server:?}")) }
        })
    }

    fn await_log(&self, words: &str) -> Result<()> {
        wait_for(&format!("{words:?} in the log"), SOON, || {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            if log.contains(words) { Ok(()) } else { Err(log) }
        })
    }
}

/// Takes mail and says which subjects came.
fn mail_server(place: &Place) -> Result<Receiver<String>> {
    let listener = TcpListener::bind(place.at(25)).attempt(|| "listen for mail".into())?;
    let (tell, subjects) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut out, mut text) = (&stream, false);
            let mut answer = |line: &str| drop(out.write_all(format!("{line}\r\n").as_bytes()));
            answer("220 mail.example.net ESMTP");
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                match line.as_str() {
                    "." => {
                        text = false;
                        answer("250 taken");
                    }
                    line if text => {
                        if let Some(subject) = line.strip_prefix("Subject: ") {
                            drop(tell.send(subject.to_owned()));
                        }
                    }
                    "DATA" => {
                        text = true;
                        answer("354 go on");
                    }
                    "QUIT" => answer("221 bye"),
                    _ => answer("250 fine"),
                }
            }
        }
    });
    Ok(subjects)
}

#[test]
fn a_confined_daemon_does_all_it_must_and_a_program_in_its_confinement_nothing_else() -> Result<()> {
    let Some(place) = Place::new("confinement", &["sh"]) else { return Ok(()) };
    let enforced = thread::spawn(|| privilege::write_nothing(&[])).join().expect("no panic");
    if !enforced.expect("a kernel that has Landlock does not refuse") {
        place.skip("the kernel has no Landlock");
        return Ok(());
    }
    let _ = keeper::table();
    let (logs, monitors) = (place.directory_of("logs", USER, 0o755)?, place.directory_of("monitors", USER, 0o755)?);
    let elsewhere = place.directory_of("elsewhere", USER, 0o777)?;
    let maintenance = place.directory_of("maintenance", "root", 0o755)?;
    let settings = place.write("lvs.toml", &format!("ipvs = \"helper\"\n[ldirectord]\nuser = \"{USER}\"\n"))?;
    let daemon = Daemon { place: &place, settings, file: place.directory().join("confinement.cf") };
    let server = TcpListener::bind(place.at(81)).attempt(|| "listen".into())?;
    let subjects = mail_server(&place)?;
    let monitor = monitors.join("monitor");
    let mail = format!("emailalert=admin@example.net\nsmtp={}", place.address());
    let connect = format!("\tservice=none\n\tchecktype=connect\n\tmonitorfile={}", monitor.display());

    daemon.write(&mail, &connect)?;
    daemon.tell("start")?;
    daemon.await_weight(1)?;
    let pid = fs::read_to_string("/run/ldirectord.confinement.cf.pid").attempt(|| "read the pid".into())?;
    let owner = fs::metadata(format!("/proc/{}", pid.trim())).attempt(|| "look at the daemon".into())?.uid();
    assert_eq!(Some(owner), privilege::user(USER).map(|user| user.uid));
    // CAP_NET_RAW, for ping, and nothing else, now or by a program that it starts.
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    let set = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    for name in ["CapEff", "CapPrm"] {
        assert_eq!(set(name), Some("0000000000002000"), "{name} in {status}");
    }
    assert_eq!((set("CapInh"), set("NoNewPrivs")), (Some("0000000000000000"), Some("1")), "{status}");

    // Its log and its monitor file are rotated under it.
    for file in [daemon.log(), monitor.clone()] {
        fs::rename(&file, file.with_extension("1")).attempt(|| format!("rotate {}", file.display()))?;
    }
    fs::write(maintenance.join(place.address().to_string()), "").attempt(|| "put a server into maintenance".into())?;
    daemon.await_weight(0)?;
    daemon.await_log("Server in maintenance")?;
    fs::remove_file(maintenance.join(place.address().to_string())).attempt(|| "end that".into())?;
    daemon.await_weight(1)?;
    wait_for("the new monitor file", SOON, || if monitor.exists() { Ok(()) } else { Err("none") })?;

    // An order to drain is written down.
    daemon.ask::<()>(&Request::Drain { real: place.at(81).to_string(), service: None }).map_err(Error::Senseless)?;
    let memory = fs::read_to_string("/run/lvs/ldirectord.confinement.cf.memory.json").unwrap_or_default();
    assert!(memory.contains(&place.at(81).to_string()), "{memory}");
    daemon.await_weight(0)?;
    daemon.ask::<()>(&Request::Undrain { real: place.at(81).to_string(), service: None }).map_err(Error::Senseless)?;
    daemon.await_weight(1)?;

    // Mail about what happens to the server.
    drop(server);
    daemon.await_weight(0)?;
    let is_about_it =
        |subject: &String| subject.contains("Quiescent real server") && subject.contains(&place.at(81).to_string());
    wait_for("a mail", SOON, || subjects.try_iter().find(is_about_it).map(drop).ok_or("none"))?;
    let _server = TcpListener::bind(place.at(81)).attempt(|| "listen again".into())?;
    daemon.await_weight(1)?;

    // A monitor file elsewhere: everybody may write there, but not who is confined.
    let forbidden = place.write("elsewhere/monitor", "")?;
    fs::set_permissions(&forbidden, Permissions::from_mode(0o666)).attempt(|| "open a file to everybody".into())?;
    daemon.write(&mail, &format!("\tservice=none\n\tchecktype=connect\n\tmonitorfile={}", forbidden.display()))?;
    daemon.tell("reload")?;
    daemon.await_log("cannot write monitorfile")?;
    assert_eq!(fs::read_to_string(&forbidden).unwrap_or_default(), "");
    daemon.await_weight(1)?;

    // A program that says what it may do. The file had none when the daemon was started.
    let tries = |name: &str, attempt: &str| {
        format!("if {{ {attempt}; }} 2>/dev/null; then echo -n '{name}=yes '; else echo -n '{name}=no '; fi\n")
    };
    let text = tries("shadow", "cat /etc/shadow >/dev/null")
        + &tries("elsewhere", &format!("echo x >{}", elsewhere.join("file").display()))
        + &tries("config", &format!("echo x >>{}", daemon.file.display()))
        + &tries("rename", &format!("mv {0}/words {0}/other", elsewhere.display()))
        + &tries("logs", &format!("echo x >{}", logs.join("file").display()))
        + &tries("null", "echo x >/dev/null")
        + &tries("file", &format!("grep -q virtual {}", daemon.file.display()))
        + &tries("gain", "grep -q 'NoNewPrivs:.0' /proc/self/status")
        + "echo\nexit 7\n";
    fs::write(elsewhere.join("words"), "").attempt(|| "write a file".into())?;
    let program = script(&place, "tries", &text)?;
    let external = format!("\tservice=none\n\tchecktype=external\n\tcheckcommand={}", program.display());
    daemon.write(&mail, &external)?;
    daemon.tell("reload")?;
    let told = |real: &RealStatus| real.why.as_deref().is_some_and(|why| why.contains("gain="));
    let why = daemon.await_server("what the program may do", told)?.why.unwrap_or_default();
    let confined = "shadow=no elsewhere=no config=no rename=no logs=yes null=yes file=yes gain=no";
    assert!(why.contains(confined), "{why}");
    daemon.await_log("programs started by checktype=external cannot write files")?;

    // As it says: a daemon that is started on this file lets it write where its user may. So with the local mailer.
    let letter = elsewhere.join("letter");
    let mailer = Path::new("/usr/sbin/sendmail").exists();
    if mailer {
        script(&place, "sendmail", &format!("cat >>{}\n", letter.display()))?;
        daemon.write("emailalert=admin@example.net", &external)?;
    } else {
        place.skip("mail by the local mailer: there is no /usr/sbin/sendmail");
    }
    daemon.tell("restart")?;
    let free = |real: &RealStatus| real.why.as_deref().is_some_and(|why| why.contains("elsewhere=yes"));
    let why = daemon.await_server("what the program may do now", free)?.why.unwrap_or_default();
    assert!(why.contains("shadow=no elsewhere=yes") && why.contains("config=no") && why.contains("gain=no"), "{why}");
    fs::write(&program, "#!/bin/sh\nexit 0\n").attempt(|| "mend the server".into())?;
    daemon.await_weight(1)?;
    if mailer {
        wait_for("a mail by the local mailer", SOON, || {
            let text = fs::read_to_string(&letter).unwrap_or_default();
            let told = text.lines().any(|line| line.starts_with("Subject: ") && line.contains("Restored real server"));
            if told && text.contains("To: admin@example.net") { Ok(()) } else { Err(text) }
        })?;
    }
    daemon.tell("stop")?;
    daemon.await_log("Linux Director Daemon terminated on signal")?;
    // What it could not remove as another user says all the same that it has ended.
    wait_for("the status of a daemon that does not run", SOON, || match daemon.tell("status") {
        Err(error) if error.to_string().contains("exit status: 3") => Ok(()),
        other => Err(format!("{other:?}")),
    })
}
