//! Replays the recorded cases on a kernel with IPVS: `compat-lab PROGRAM [CASE...]`.
//!
//! PROGRAM is run under the name ipvsadm. It needs root, a mount namespace that may be changed and the
//! modules dummy, veth and nf_tables; `tests/compat/run` sees to that. Names come from fixed files, and each
//! case has network and process namespaces of its own, so what it leaves behind is gone with it.

mod files;
mod vectors;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use vectors::{Case, Input, Step, cases, difference, transcript};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--inside", program, ref only @ ..] => all(program, only),
        ["--case", name, path] => one(name, path).map(|()| true),
        [program, ref only @ ..] => enter(program, only),
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

/// Goes on in a mount namespace of its own, where the name service can be replaced.
fn enter(program: &str, only: &[&str]) -> Result<bool, Failure> {
    let program = fs::canonicalize(program).map_err(|error| format!("{program}: {error}"))?;
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private", "--"]).arg(std::env::current_exe()?);
    Ok(inside.arg("--inside").arg(program).args(only).status()?.success())
}

fn all(program: &str, only: &[&str]) -> Result<bool, Failure> {
    let work = tempfile::tempdir()?;
    let nsswitch = "hosts: files\nservices: files\nprotocols: files\n";
    for (name, content) in [("hosts", files::HOSTS), ("services", files::SERVICES), ("nsswitch.conf", nsswitch)] {
        let (ours, theirs) = (work.path().join(name), Path::new("/etc").join(name));
        fs::write(&ours, content)?;
        let mounted = Command::new("mount").arg("--bind").arg(&ours).arg(&theirs).status()?;
        if !mounted.success() {
            return Err(format!("cannot put a file over {}", theirs.display()).into());
        }
    }
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
