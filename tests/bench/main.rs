//! `make bench`: what a client of the cluster goes through, with this toolkit and with keepalived.
//!
//! Same machines, same network, same web servers, same probe; only what runs on the directors differs. In the lab only:
//! tests/bench/run. Nothing is judged here: the exit status tells whether everything could be measured.

mod contender;
mod course;
mod table;

use contender::Contender;
use std::process::ExitCode;

fn main() -> ExitCode {
    let runs = match std::env::args().nth(1).map(|word| word.parse::<usize>()) {
        None => 3,
        Some(Ok(runs @ 1..=100)) => runs,
        Some(_) => {
            eprintln!("usage: bench [RUNS], from 1 to 100");
            return ExitCode::from(64);
        }
    };
    let mut table = table::Table::default();
    let mut complete = true;
    // In turn, so that other work on the machine meets all of them alike.
    for run in 1..=runs {
        for contender in Contender::ALL {
            println!("run {run} of {runs}, {contender}");
            let ended = course::run(contender, &mut |step, sample| {
                println!("    {}: {sample}", step.what());
                table.note(step, contender, sample);
            });
            if let Err(error) = ended {
                println!("    breaks off: {}", lvs::diag::chain(&error));
                complete = false;
            }
        }
    }
    println!("\n{table}");
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
