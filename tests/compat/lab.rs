//! Replays the recorded cases on a kernel with IPVS: `compat-lab PROGRAM [CASE...]`. Or looks for more that
//! should be: `compat-lab --hunt ORIGINAL PROGRAM SEED SECONDS` runs both on generated sequences of command lines.
//!
//! PROGRAM is run under the name ipvsadm. It needs root, a mount namespace that may be changed and the
//! modules dummy, veth and nf_tables; `tests/compat/run` sees to that. Names come from fixed files, and each
//! case has network and process namespaces of its own, so what it leaves behind is gone with it.

#[path = "../sim/chance.rs"]
mod chance;
mod files;
mod generate;
mod hunt;
mod vectors;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use vectors::{Case, Input, Step, cases, difference, transcript};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--inside", "--hunt", original, program, seed, seconds] => differences(original, program, seed, seconds),
        ["--inside", program, ref only @ ..] => all(program, only),
        ["--case", name, path] => one(name, path).map(|()| true),
        ["--hunt", original, program, seed, seconds] => {
            let (original, program) = (absolute(original), absolute(program));
            original.and_then(|original| enter(&["--net"], &["--hunt", &original, &program?, seed, seconds]))
        }
        [program, ref only @ ..] => {
            absolute(program).and_then(|program| enter(&[], &[&[program.as_str()], only].concat()))
        }
        [] => Err("usage: compat-lab PROGRAM [CASE...]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compat-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn absolute(program: &str) -> Result<String, Failure> {
    let path = fs::canonicalize(program).map_err(|error| format!("{program}: {error}"))?;
    Ok(path.to_str().ok_or("the program's name is no UTF-8")?.to_owned())
}

/// Goes on in a mount namespace of its own, where the name service can be replaced, and in others.
fn enter(namespaces: &[&str], arguments: &[&str]) -> Result<bool, Failure> {
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private"]).args(namespaces).arg("--");
    Ok(inside.arg(std::env::current_exe()?).arg("--inside").args(arguments).status()?.success())
}

/// Lets names come from fixed files only, which lie in `work`.
fn replace_names(work: &Path) -> Result<(), Failure> {
    let nsswitch = "hosts: files\nservices: files\nprotocols: files\n";
    for (name, content) in [("hosts", files::HOSTS), ("services", files::SERVICES), ("nsswitch.conf", nsswitch)] {
        let (ours, theirs) = (work.join(name), Path::new("/etc").join(name));
        fs::write(&ours, content)?;
        let mounted = Command::new("mount").arg("--bind").arg(&ours).arg(&theirs).status()?;
        if !mounted.success() {
            return Err(format!("cannot put a file over {}", theirs.display()).into());
        }
    }
    Ok(())
}

/// Hunts for differences in the namespaces of this process; whether there are none.
fn differences(original: &str, program: &str, seed: &str, seconds: &str) -> Result<bool, Failure> {
    let work = tempfile::tempdir()?;
    replace_names(work.path())?;
    // Sync daemons want interfaces with a way to their group.
    let links = "ip link set lo up && for d in d0 d1; do ip link add $d type dummy && ip link set $d up || exit; done
        ip addr add 10.9.0.1/24 dev d0 && ip addr add 2001:db8:9::1/64 dev d0 nodad";
    quietly(Command::new("sh").args(["-c", links]))?;
    // Both are started very often, and in a guest their own files are far away.
    let (near, ours) = (work.path().join("original"), work.path().join("ours"));
    fs::copy(original, &near)?;
    fs::copy(program, &ours)?;
    let theirs = hunt::Program { path: &near, wrappers: Path::new(original).parent() };
    let ours = hunt::Program { path: &ours, wrappers: None };
    Ok(hunt::hunt(&theirs, &ours, seed.parse()?, Duration::from_secs(seconds.parse()?))? == 0)
}

fn all(program: &str, only: &[&str]) -> Result<bool, Failure> {
    let work = tempfile::tempdir()?;
    replace_names(work.path())?;
    let bin = work.path().join("bin");
    fs::create_dir(&bin)?;
    symlink(program, bin.join("ipvsadm"))?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());

    let chosen = cases().into_iter().filter(|case| only.is_empty() || only.contains(&case.name.as_str()));
    let (mut passed, mut failed) = (0, 0);
    // One after the other: a dump of services goes on at a position that counts those of all namespaces, so a
    // neighbour's changes would make rows appear twice or not at all.
    for case in chosen {
        match judge(&case, &path) {
            None => passed += 1,
            Some(text) => {
                failed += 1;
                println!("=== {}\n{text}", case.name);
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped: {program}");
    Ok(failed == 0 && passed > 0)
}

/// What is wrong with a case; `None` if nothing is.
fn judge(case: &Case, path: &str) -> Option<String> {
    let replay = || -> Result<String, Failure> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        command.arg(std::env::current_exe()?).args(["--case", &case.name, path]);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    match replay() {
        Ok(got) => difference(&case.expected, &got),
        Err(error) => Some(format!("could not be replayed: {error}\n")),
    }
}

/// One case, in the namespaces of this process; its record goes to standard output.
fn one(name: &str, path: &str) -> Result<(), Failure> {
    let case = cases().into_iter().find(|case| case.name == name).ok_or("no such case")?;
    if !case.bare {
        quietly(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    }
    let directory = tempfile::tempdir()?;
    let program = |name: &str| {
        let mut command = Command::new(name);
        command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir(directory.path());
        command
    };
    let mut record = std::io::stdout().lock();
    for step in &case.steps {
        match step {
            // What a set-up line starts in the background must not hold our pipes.
            Step::SetUp(command) => quietly(program("bash").args(["-c", command]))?,
            Step::Run(run) => {
                let mut command = program("ipvsadm");
                command.args(run.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()));
                let input = directory.path().join("standard-input");
                match &run.input {
                    Input::Text(text) => fs::write(&input, text)?,
                    Input::File(file) => drop(fs::copy(directory.path().join(file), &input)?),
                }
                let output = command.stdin(fs::File::open(&input)?).output()?;
                let status = output.status.code().unwrap_or(-1);
                record.write_all(transcript(&run.line, status, &output.stdout, &output.stderr).as_bytes())?;
            }
        }
    }
    Ok(())
}

fn quietly(command: &mut Command) -> Result<(), Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
