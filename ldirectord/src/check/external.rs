//! `checktype=external` and `external-perl`: a program tells by its exit status (spec/ldirectord.md
//! 8.3).
//!
//! Exit status 0 is up; any other, death by a signal (B9), no end in time, and a program that is
//! not there are down.

use lvs::ipvs::MAX_WEIGHT;

use super::{Advice, reason};
use crate::command::{Command, Ended, Outcome};
use crate::config::model::External;

/// How much of what a program says is told, characters.
const QUOTED: usize = 120;

/// Who runs Perl files: each is a program of its own here.
const PERL: &str = "perl";

/// Runs the program itself, without a shell: the whole of `checkcommand` is its name. A good check
/// may print advice.
pub async fn check(target: &External, advice: &mut Option<Advice>) -> Result<String, String> {
    let outcome = Command::new(&target.command, &target.arguments, target.timeout).run().await;
    if outcome.is_success() {
        *advice = outcome.output.lines().find_map(advised);
    }
    judge(target, &outcome)
}

/// `weight 5`, `weight 50%` or `drain`, alone on its line.
fn advised(line: &str) -> Option<Advice> {
    let line = line.trim();
    if line == "drain" {
        return Some(Advice::Drain);
    }
    let value = line.strip_prefix("weight ")?.trim_start();
    match value.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|&percent| percent <= 1000).map(Advice::Percent),
        None => value.parse().ok().filter(|&weight| weight <= MAX_WEIGHT).map(Advice::Weight),
    }
}

/// Runs the Perl file with the same arguments.
pub async fn check_perl(target: &External) -> Result<String, String> {
    let arguments = [&target.command].into_iter().chain(&target.arguments);
    judge(target, &Command::new(PERL, arguments, target.timeout).run().await)
}

fn judge(target: &External, outcome: &Outcome) -> Result<String, String> {
    let line = || format!("{} {}", target.command, target.arguments.join(" "));
    match &outcome.ended {
        Ended::Status(status) if status.success() => Ok("exit status 0".to_owned()),
        ended @ Ended::Status(_) => Err(match outcome.complaint() {
            Some(complaint) => {
                let complaint: String = complaint.chars().take(QUOTED).collect();
                format!("{ended} of {}: {}", target.command, complaint.escape_debug())
            }
            None => format!("{ended} of {}", target.command),
        }),
        Ended::TimedOut => {
            log::info!("system_timeout({}, {}) timed out, kill -TERM child", target.timeout.as_secs(), line());
            Err(format!("{} did not end in time", target.command))
        }
        Ended::NotStarted(error) => {
            log::info!("Exiting with exit_status 127: exec({}) failed: {}", line(), reason(error));
            Err(format!("cannot run {} ({})", target.command, reason(error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{report, run};
    use crate::config::model::{Check, External};
    use std::fs;
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(20);

    /// A program of this text, and the four arguments of an address service.
    fn program(text: &str, timeout: Duration) -> (TempDir, External) {
        let directory = tempfile::tempdir().expect("a directory");
        let (source, path) = (directory.path().join("source"), directory.path().join("check it"));
        fs::write(&source, text).expect("written");
        // By another process: a descriptor for writing that a sibling test's child inherits for a
        // moment would make it "busy".
        let installed = std::process::Command::new("install").args(["-m", "755"]).args([&source, &path]).status();
        assert!(installed.expect("coreutils are there").success());
        let arguments = ["10.0.0.1", "80", "[2001:db8::1]", "0"].map(str::to_owned);
        let command = path.to_str().expect("a name").to_owned();
        (directory, External { command, arguments, timeout })
    }

    #[test]
    fn row_41_exit_0_is_up_and_everything_else_is_down() {
        run(async {
            let (_kept, up) = program("#!/bin/sh\nexit 0\n", LONG);
            assert_eq!(report(&Check::External(up)).await, Ok("exit status 0".to_owned()));
            let (_kept, down) = program("#!/bin/sh\necho 'no\tdisk' >&2\nexit 7\n", LONG);
            let why = report(&Check::External(down)).await.expect_err("exit status 7");
            assert!(why.starts_with("exit status 7 of ") && why.contains("check it: no\\tdisk, after "), "{why}");
            let (_kept, hung) = program("#!/bin/sh\nsleep 60\n", Duration::from_millis(300));
            let begin = Instant::now();
            let why = report(&Check::External(hung)).await.expect_err("it hangs");
            assert!(why.contains("did not end in time") && begin.elapsed() < LONG, "{why}");
            let missing = External { command: "/no/such/check -v".into(), ..program("", LONG).1 };
            let why = report(&Check::External(missing)).await.expect_err("the arguments are part of its name");
            assert!(why.starts_with("cannot run /no/such/check -v (No such file or directory), after "), "{why}");
        });
    }

    #[test]
    fn a_good_check_may_print_a_weight() {
        use super::super::{Advice, Tools, run as check};
        run(async {
            let said = async |line: &str, status: u8| {
                let (_kept, target) = program(&format!("#!/bin/sh\necho '{line}'\nexit {status}\n"), LONG);
                check(&Check::External(target), &Tools::new()).await.advice
            };
            assert_eq!(said("weight 5", 0).await, Some(Advice::Weight(5)));
            assert_eq!(said("weight 40%", 0).await, Some(Advice::Percent(40)));
            assert_eq!(said("drain", 0).await, Some(Advice::Drain));
            for (line, status) in [("weight five", 0), ("weight 99999999999", 0), ("drained", 0), ("weight 5", 1)] {
                assert_eq!(said(line, status).await, None, "{line}");
            }
        });
    }

    #[test]
    fn fault_b9_a_check_that_is_killed_is_down() {
        run(async {
            let (_kept, killed) = program("#!/bin/sh\nkill -9 $$\n", LONG);
            let why = report(&Check::External(killed)).await.expect_err("killed");
            assert!(why.starts_with("killed by signal 9 of "), "{why}");
        });
    }

    #[test]
    fn row_42_the_four_arguments_arrive() {
        run(async {
            let text = "#!/bin/sh\ntest \"$*\" = '10.0.0.1 80 [2001:db8::1] 0' && test $# = 4\n";
            let (_kept, exact) = program(text, LONG);
            assert_eq!(report(&Check::External(exact)).await, Ok("exit status 0".to_owned()));
        });
    }

    #[test]
    fn a_perl_file_tells_by_its_exit_and_by_its_death() {
        run(async {
            let text = "exit($ARGV[0] eq '10.0.0.1' && @ARGV == 4 ? 0 : 1);\n";
            let (_kept, up) = program(text, LONG);
            assert_eq!(report(&Check::ExternalPerl(up)).await, Ok("exit status 0".to_owned()));
            let (_kept, fell_off) = program("my $x = 1;\n", LONG);
            assert_eq!(report(&Check::ExternalPerl(fell_off)).await, Ok("exit status 0".to_owned()));
            let (_kept, died) = program("die 'no answer';\n", LONG);
            let why = report(&Check::ExternalPerl(died)).await.expect_err("it died");
            assert!(why.contains("no answer at "), "{why}");
            let program = External { command: "/bin/true".into(), ..program("", LONG).1 };
            assert!(report(&Check::ExternalPerl(program)).await.is_err(), "the default command is no Perl");
        });
    }
}
