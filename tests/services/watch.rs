//! ldirectord, the program, and what it finds.

use std::env;
use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lab::{Attempt, Error, Result, keeper, wait_for};
use lvs::control::ldirectord::{RealState, RealStatus, Request, SPEAKS, Status, socket_name};
use lvs::control::{SOCKET_DIRECTORY, socket};
use lvs::diag::chain;
use lvs::ipc::Client;
use lvs::ipvs::{Destination, ServiceKey};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;

/// Until a state must be seen: several times pause and deadline of a check, on a machine that has other work.
const LIMIT: Duration = Duration::from_secs(30);

/// How often is asked.
const LOOK: Duration = Duration::from_millis(40);

/// One virtual service with one real server: its place in the file, from 0.
#[derive(Debug, Clone, Copy)]
pub struct Check(u16);

/// An `ldirectord.cf` being written.
pub struct Checks<'p> {
    place: &'p Place,
    text: String,
    reals: Vec<SocketAddr>,
    authorities: Option<PathBuf>,
}

impl<'p> Checks<'p> {
    pub(crate) fn new(place: &'p Place) -> Self {
        let log = place.directory().join("ldirectord.log");
        let text = format!(
            "checkinterval=1\nchecktimeout=2\nnegotiatetimeout=2\nquiescent=no\nsupervised=yes\nlogfile=\"{}\"\n\n",
            log.display()
        );
        Self { place, text, reals: Vec::new(), authorities: None }
    }

    /// The authorities that the machine is said to trust: a file of certificates.
    pub fn trust(&mut self, authorities: &Path) {
        self.authorities = Some(authorities.to_owned());
    }

    /// A directive outside of sections.
    pub fn globally(&mut self, line: &str) {
        self.text.insert_str(0, &format!("{line}\n"));
    }

    /// Checks a port of the place's address; `lines` are the section's, such as `service=nntp`, one directive a line.
    pub fn add(&mut self, port: u16, lines: &str) -> Check {
        self.add_at(self.place.at(port), lines)
    }

    /// The same for any address.
    pub fn add_at(&mut self, at: SocketAddr, lines: &str) -> Check {
        let number = u16::try_from(self.reals.len()).expect("a handful of checks");
        let service = virtual_service(self.place, Check(number), at);
        let six = if at.is_ipv6() { "6" } else { "" };
        let lines: String = lines.lines().map(|line| format!("\t{}\n", line.trim())).collect();
        let negotiate = if lines.contains("checktype=") { "" } else { "\tchecktype=negotiate\n" };
        write!(self.text, "virtual{six}={service}\n\treal{six}={at} masq\n{negotiate}{lines}\n")
            .expect("a string takes all");
        self.reals.push(at);
        Check(number)
    }

    /// Starts ldirectord on them.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(self) -> Result<Watch<'p>> {
        let Self { place, text, reals, authorities } = self;
        // It programs the table as soon as it runs.
        let _ = keeper::table();
        let name = format!("{}.cf", place.name());
        let path = place.write(&name, &text)?;
        let output = place.directory().join("ldirectord.out");
        File::create(&output).attempt(|| format!("make {}", output.display()))?;
        let program = Program { path, authorities, output };
        let child = program.begin("start")?;
        let socket = socket(SOCKET_DIRECTORY.as_ref(), &socket_name(&name));
        Ok(Watch { place, child, socket, reals, program })
    }
}

/// How ldirectord is started.
struct Program {
    path: PathBuf,
    authorities: Option<PathBuf>,
    output: PathBuf,
}

impl Program {
    fn begin(&self, verb: &str) -> Result<Child> {
        let program = env::var("LVS_LDIRECTORD").unwrap_or_default();
        let file = OpenOptions::new().append(true).open(&self.output);
        let file = file.attempt(|| format!("write {}", self.output.display()))?;
        Command::new(&program)
            // What rustls-native-certs looks at before the system's own.
            .envs(self.authorities.as_ref().map(|file| ("SSL_CERT_FILE", file)))
            .args([self.path.as_os_str(), verb.as_ref()])
            .stdin(Stdio::null())
            .stdout(file.try_clone().attempt(|| "share an output file".into())?)
            .stderr(file)
            .spawn()
            .attempt(|| format!("start {program}"))
    }
}

/// ldirectord at work; killed when this value goes.
pub struct Watch<'p> {
    place: &'p Place,
    child: Child,
    socket: PathBuf,
    reals: Vec<SocketAddr>,
    program: Program,
}

impl Watch<'_> {
    /// Waits until a server is up, in the status and in the table, and returns what it was answered.
    ///
    /// # Errors
    /// [`Error::Late`], with what is there instead.
    pub fn up(&self, check: Check) -> Result<String> {
        self.wait(check, "up", |real, destination| {
            real.state == RealState::Up && destination.is_some_and(|it| it.weight == 1)
        })
    }

    /// Waits until a server is down for a reason with `why` in it, in the status and in the table, and returns the
    /// whole reason.
    ///
    /// # Errors
    /// [`Error::Late`], with what is there instead.
    pub fn down(&self, check: Check, why: &str) -> Result<String> {
        self.wait(check, &format!("down with \"{why}\""), |real, destination| {
            let told = real.why.as_deref().unwrap_or_default();
            real.state == RealState::Down && told.contains(why) && destination.is_none()
        })
    }

    /// Waits until a server is in this state, and in the table with this weight or not at all.
    ///
    /// # Errors
    /// [`Error::Late`], with what is there instead.
    pub fn seen(&self, check: Check, state: RealState, weight: Option<u32>) -> Result<()> {
        self.seen_saying(check, state, weight, "")
    }

    /// The same, while the status tells this of its agent.
    ///
    /// # Errors
    /// As [`Self::seen`].
    pub fn seen_saying(&self, check: Check, state: RealState, weight: Option<u32>, agent: &str) -> Result<()> {
        let what = format!("{state:?} with weight {weight:?} and an agent saying {agent:?}");
        let seen = self.wait(check, &what, |real, destination| {
            let said = real.agent.as_deref().unwrap_or_default();
            real.state == state && destination.map(|it| it.weight) == weight && said.contains(agent)
        });
        seen.map(drop)
    }

    /// Has ldirectord carry out an order.
    ///
    /// # Errors
    /// If it does not.
    pub fn order(&self, request: &Request) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.attempt(|| "start a runtime".into())?;
        let answer = runtime.block_on(async {
            let mut client = Client::connect(&self.socket, SPEAKS).await.map_err(|e| chain(&e))?;
            client.call::<()>(request).await.map_err(|e| chain(&e))
        });
        answer.map_err(Error::Senseless)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has another ldirectord take its place: `restart`.
    ///
    /// # Errors
    /// If it does not give way.
    pub fn restart(&mut self) -> Result<()> {
        let next = self.program.begin("restart")?;
        let mut before = std::mem::replace(&mut self.child, next);
        wait_for("the end of the ldirectord that was replaced", LIMIT, || {
            before.try_wait().ok().flatten().ok_or_else(|| self.written())
        })
        .map(drop)
    }

    /// Kills ldirectord and starts it again.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn kill_and_start(&mut self) -> Result<()> {
        self.child.kill().attempt(|| "kill ldirectord".into())?;
        self.child.wait().attempt(|| "await the end of ldirectord".into())?;
        self.child = self.program.begin("start")?;
        Ok(())
    }

    /// Waits until a check of this server has ended in the ldirectord that runs now.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn checked(&self, check: Check) -> Result<()> {
        self.wait(check, "checked", |real, _| real.last_check_seconds_ago.is_some()).map(drop)
    }

    /// Says which weights these servers have in the table, for as long as somebody wants to know.
    pub fn onlooker(&self, checks: &[Check]) -> impl Fn() -> Vec<Option<u32>> + Send + use<> {
        let servers: Vec<_> =
            checks.iter().map(|&check| (self.service(check), self.reals[usize::from(check.0)])).collect();
        move || {
            let table = keeper::table();
            let weight = |(key, at): &(Option<ServiceKey>, SocketAddr)| {
                Some(table.get(key.as_ref()?)?.destinations.get(at)?.weight)
            };
            servers.iter().map(weight).collect()
        }
    }

    /// How long ago the last check of this server ended.
    ///
    /// # Errors
    /// If ldirectord does not tell.
    pub fn age(&self, check: Check) -> Result<Duration> {
        let real = self.look(check).map_err(Error::Senseless)?.0;
        Ok(Duration::from_secs_f64(real.last_check_seconds_ago.unwrap_or(f64::INFINITY).min(1e6)))
    }

    /// Ends ldirectord, which has to leave a clean table, and looks for passwords in everything it wrote.
    ///
    /// # Errors
    /// If it does not end well.
    pub fn end(mut self, secrets: &[&str]) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).attempt(|| "end ldirectord".into())?;
        let status = wait_for("the end of ldirectord", LIMIT, || {
            self.child.try_wait().ok().flatten().ok_or_else(|| self.written())
        })?;
        let written = self.written();
        if !status.success() {
            return Err(Error::Senseless(format!("ldirectord ended with {status}: {written}")));
        }
        if let Some(secret) = secrets.iter().find(|secret| written.contains(*secret)) {
            return Err(Error::Senseless(format!("ldirectord wrote the password {secret}: {written}")));
        }
        let left = (0..).map(Check).zip(&self.reals).find(|(check, _)| self.service(*check).is_some());
        left.map_or(Ok(()), |(check, _)| Err(Error::Senseless(format!("{check:?} is still in the table"))))
    }

    /// Both its streams and its log.
    fn written(&self) -> String {
        let read = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        read(self.program.output.clone()) + &read(self.place.directory().join("ldirectord.log"))
    }

    fn wait(
        &self,
        check: Check,
        what: &str,
        is_so: impl Fn(&RealStatus, Option<Destination>) -> bool,
    ) -> Result<String> {
        let Check(number) = check;
        let what = format!("check {number} of {} to be {what}", self.place.name());
        wait_for(&what, LIMIT, || {
            let instead = match self.look(check) {
                Ok((real, destination)) if is_so(&real, destination) => return Ok(real.why.unwrap_or_default()),
                Ok((real, destination)) => format!("{real:?}, in the table {destination:?}"),
                Err(why) => format!("{why}\n{}", self.written()),
            };
            thread::sleep(LOOK);
            Err(instead)
        })
    }

    /// What ldirectord says of the server, and what the table says.
    fn look(&self, check: Check) -> Result<(RealStatus, Option<Destination>), String> {
        let Check(number) = check;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| chain(&e))?;
        let status: Status = runtime.block_on(async {
            let mut client = Client::connect(&self.socket, SPEAKS).await.map_err(|e| chain(&e))?;
            client.call(&Request::Status {}).await.map_err(|e| chain(&e))
        })?;
        let service = status.virtuals.into_iter().nth(number.into());
        let real = service.and_then(|mut service| service.reals.pop()).ok_or("not in the status")?;
        let at = self.reals[usize::from(number)];
        Ok((real, self.service(check).and_then(|key| keeper::table()[&key].destinations.get(&at).copied())))
    }

    /// Its service, if it is in the table.
    fn service(&self, check: Check) -> Option<ServiceKey> {
        let Check(number) = check;
        let wanted = virtual_service(self.place, check, self.reals[usize::from(number)]);
        keeper::table().into_keys().find(|key| matches!(key, ServiceKey::Address { at, .. } if *at == wanted))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port for each, none of which suggests a service, and the family of the real server.
fn virtual_service(place: &Place, Check(number): Check, real: SocketAddr) -> SocketAddr {
    let port = 4000 + number;
    match real {
        SocketAddr::V4(_) => (place.virtual_address(), port).into(),
        SocketAddr::V6(_) => (place.virtual_address6(), port).into(),
    }
}
