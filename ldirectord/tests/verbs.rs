//! The verbs against daemons that only look like one (spec/ldirectord.md chapters 1 and 16).

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ldirectord::cli::Verb;
use ldirectord::config::Fixed;
use ldirectord::instance::{Instance, Places};
use ldirectord::replace::replace;
use ldirectord::verbs::{self, Context, Half, Next};
use tempfile::TempDir;

const GOOD: &str = "virtual=198.51.100.1:80\n\tchecktype=on\n\treal=192.0.2.1:80 masq 5\n";

/// A machine of its own: /etc/ha.d and /var/run.
struct Machine {
    root: TempDir,
}

/// What a verb did.
struct Done {
    next: Next,
    out: String,
    err: String,
}

impl Done {
    fn exit(&self) -> Option<u8> {
        match self.next {
            Next::Exit(code) => Some(code),
            // It shows what the daemon knows, and that is all.
            Next::Show { .. } => Some(0),
            Next::Launch | Next::Serve(_) | Next::Replace { .. } => None,
        }
    }
}

impl Machine {
    fn with(config: &str) -> Self {
        let machine = Self { root: TempDir::new().expect("a directory") };
        fs::write(machine.root.path().join("web.cf"), config).expect("written");
        machine
    }

    fn instance(&self) -> Instance {
        let places = Places {
            config_directories: vec![self.root.path().to_owned()],
            run: self.root.path().to_owned(),
            log: self.root.path().join("log"),
            settings: self.root.path().join("lvs.toml"),
        };
        Instance::find(Some("web.cf".as_ref()), &places, Path::new("/")).expect("it was written")
    }

    fn run(&self, verb: Verb) -> Done {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut context =
            Context { surroundings: &Fixed::default(), journal: None, arguments: &[], out: &mut out, err: &mut err };
        let next = verbs::carry_out(verb, self.instance(), false, Half::Command, &mut context);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Done { next, out: text(out), err: text(err) }
    }

    fn write_pid(&self, pid: u32) {
        fs::write(self.instance().pid_file, format!("{pid}\n")).expect("written");
    }

    fn written_pid(&self) -> Option<String> {
        fs::read_to_string(self.instance().pid_file).ok()
    }
}

/// A process with this name and argument that ends with status 7 when told by `signal`.
struct Daemon(Child);

impl Daemon {
    fn named(name: &str, signal: &str) -> Self {
        let script = format!("sleep 600 & trap 'kill $!; exit 7' {signal}; echo ready; wait");
        let mut command = Command::new("/bin/sh");
        command.arg0(name).args(["-c", &script, "web.cf", "start"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("ready");
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn told(mut self) -> bool {
        let status = self.0.wait().expect("it ends");
        assert_eq!(status.signal(), None);
        status.code() == Some(7)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its trap ends the sleep as well, where it has not ended yet.
        let _ = Command::new("kill").arg(self.0.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// The pid of a process that has ended.
fn dead_pid() -> u32 {
    let mut child = Command::new("/bin/true").spawn().expect("true");
    child.wait().expect("it ends");
    child.id()
}

#[test]
fn status_is_3_if_never_started_and_1_if_it_died() {
    let machine = Machine::with(GOOD);
    let config = machine.instance().config.display().to_string();
    let done = machine.run(Verb::Status);
    assert_eq!(
        (done.exit(), done.out, done.err),
        (Some(3), format!("ldirectord is stopped for {config}\n"), String::new())
    );

    machine.write_pid(dead_pid());
    let done = machine.run(Verb::Status);
    let pid_file = machine.instance().pid_file.display().to_string();
    assert!(pid_file.ends_with("/ldirectord.web.cf.pid"));
    assert_eq!(done.exit(), Some(1));
    assert_eq!(done.out, format!("ldirectord is stopped for {config}\n"));
    assert_eq!(done.err, format!("ldirectord stale pid file {pid_file} for {config}\n"));
}

#[test]
fn status_of_a_running_daemon_goes_to_standard_error() {
    let machine = Machine::with(GOOD);
    let daemon = Daemon::named("/usr/sbin/ldirectord", "TERM");
    machine.write_pid(daemon.pid());
    let done = machine.run(Verb::Status);
    let config = machine.instance().config.display().to_string();
    assert_eq!((done.exit(), done.out.as_str()), (Some(0), ""));
    assert_eq!(done.err, format!("ldirectord for {config} is running with pid: {}\n", daemon.pid()));
}

#[test]
fn start_does_nothing_if_it_runs_and_goes_to_the_background_if_not() {
    let machine = Machine::with(GOOD);
    assert!(matches!(machine.run(Verb::Start).next, Next::Launch));
    let daemon = Daemon::named("ldirectord", "TERM");
    machine.write_pid(daemon.pid());
    assert_eq!(machine.run(Verb::Start).exit(), Some(0));
    assert_eq!(machine.written_pid(), Some(format!("{}\n", daemon.pid())));
}

#[test]
fn stop_sends_term_and_does_not_wait() {
    let machine = Machine::with(GOOD);
    let daemon = Daemon::named("ldirectord", "TERM");
    machine.write_pid(daemon.pid());
    assert_eq!(machine.run(Verb::Stop).exit(), Some(0));
    assert!(daemon.told());
}

#[test]
fn reload_sends_hup_and_is_1_and_silent_if_stopped() {
    let machine = Machine::with(GOOD);
    let done = machine.run(Verb::Reload);
    assert_eq!((done.exit(), done.out.as_str(), done.err.as_str()), (Some(1), "", ""));
    let daemon = Daemon::named("ldirectord", "HUP TERM");
    machine.write_pid(daemon.pid());
    assert_eq!(machine.run(Verb::Reload).exit(), Some(0));
    assert!(daemon.told());
}

#[test]
fn stop_and_try_restart_of_a_stopped_daemon_are_fine() {
    let machine = Machine::with(GOOD);
    assert_eq!(machine.run(Verb::Stop).exit(), Some(0));
    assert_eq!(machine.run(Verb::TryRestart).exit(), Some(0));
    assert!(matches!(machine.run(Verb::Restart).next, Next::Launch));
}

#[test]
fn restart_of_a_daemon_that_does_not_hand_over_waits_until_it_has_ended() {
    for verb in [Verb::Restart, Verb::TryRestart] {
        let machine = Machine::with(GOOD);
        let mut daemon = Daemon::named("ldirectord", "TERM");
        machine.write_pid(daemon.pid());
        let Next::Replace { pid, order } = machine.run(verb).next else { panic!("it is replaced") };
        assert_eq!(pid, daemon.pid());
        replace(pid, &machine.root.path().join("no.sock")).expect("it is stopped");
        assert!(matches!(order.begin(), Next::Launch));
        let status = daemon.0.try_wait().expect("a child").expect("it has ended already");
        assert_eq!(status.code(), Some(7));
    }
}

#[test]
fn a_broken_file_is_2_for_every_verb_and_leaves_the_pid_file_alone() {
    let machine = Machine::with("fork=perhaps\n");
    let daemon = Daemon::named("ldirectord", "TERM");
    machine.write_pid(daemon.pid());
    let path = machine.instance().config.display().to_string();
    for verb in [Verb::Status, Verb::Start, Verb::Reload, Verb::Restart, Verb::TryRestart, Verb::Stop] {
        let done = machine.run(verb);
        assert_eq!(done.exit(), Some(2), "{verb:?}");
        let first = format!("Error [{}] reading file {path} at line 1: fork must be 'yes' or 'no'", std::process::id());
        assert_eq!(done.err.lines().next(), Some(first.as_str()), "{verb:?}");
        assert_eq!(done.err.lines().nth(2), Some("      |      ^^^^^^^"), "{verb:?}");
        assert_eq!(machine.written_pid(), Some(format!("{}\n", daemon.pid())), "{verb:?}");
    }
    // The last one was stop, which is carried out all the same.
    assert!(daemon.told());
}

#[test]
fn a_process_that_only_mentions_the_name_is_not_taken_for_the_daemon() {
    let machine = Machine::with(GOOD);
    let other = Daemon::named("edit-ldirectord-notes", "TERM");
    machine.write_pid(other.pid());
    assert_eq!(machine.run(Verb::Status).exit(), Some(1));
    assert_eq!(machine.run(Verb::Stop).exit(), Some(0));
    assert!(matches!(machine.run(Verb::Start).next, Next::Launch), "it does not block the start");
}

#[test]
fn a_supervised_daemon_stays_in_the_foreground() {
    let machine = Machine::with(&format!("supervised=yes\n{GOOD}"));
    let Next::Serve(order) = machine.run(Verb::Start).next else { panic!("it is served here") };
    assert!(order.foreground() && !order.debug);
}

#[test]
fn warnings_are_printed_once() {
    let machine = Machine::with(&format!("checkcount=2\n{GOOD}"));
    let text = "checkcount option is deprecated and slated for removal.  please see 'failurecount'";
    assert!(machine.run(Verb::Status).err.contains(text));
    // The process in the background says it.
    let done = machine.run(Verb::Start);
    assert!(matches!(done.next, Next::Launch) && done.err.is_empty());
}

#[test]
fn check_tells_what_the_file_holds_or_everything_that_is_wrong() {
    let check = |config: &str| {
        let machine = Machine::with(config);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut context =
            Context { surroundings: &Fixed::default(), journal: None, arguments: &[], out: &mut out, err: &mut err };
        let code = verbs::check(&machine.instance(), &mut context);
        (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
    };
    let (code, out, err) = check(GOOD);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("web.cf: 1 virtual server, 1 real server\n"), "{out}");
    let (code, out, err) = check("fork=perhaps\nquiescent=maybe\n");
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err.matches("Error [").count(), 2, "{err}");
}
