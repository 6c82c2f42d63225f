//! heartbeatd whose main loop can be made to spin: from the next line it has to log on, once /run/spin is there.

use lvs::daemon::logging::wanted;
use std::path::Path;
use std::process::ExitCode;

struct Spinning;

impl log::Log for Spinning {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        wanted(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}", record.args());
        }
        while Path::new("/run/spin").exists() {
            std::hint::spin_loop();
        }
    }

    fn flush(&self) {}
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(heartbeatd::act::guard::ARGUMENT) {
        return heartbeatd::act::guard::main().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    log::set_max_level(log::LevelFilter::Info);
    if log::set_logger(&Spinning).is_err() {
        return ExitCode::FAILURE;
    }
    match heartbeatd::start::run(&heartbeatd::start::Places::default(), None, false) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", lvs::diag::chain(&error));
            ExitCode::FAILURE
        }
    }
}
