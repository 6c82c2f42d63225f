//! `make bench`: what a client of the cluster goes through, with this toolkit and with keepalived; and large tables, with
//! lvsctl and with ipvsadm (`bench bulk`); and health checks, with ldirectord and with keepalived and the original
//! (`bench checks`).
//!
//! Same machines, same network, same web servers, same probe; only what runs on the directors differs. In the lab only,
//! the checks in namespaces: tests/bench/run. Nothing is judged here: the exit status tells whether everything could be
//! measured.

mod bulk;
mod checks;
mod contender;
mod course;
mod median;
mod table;

use contender::Contender;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let part = words.next_if(|word| word == "bulk" || word == "checks");
    let usual = if part.as_deref() == Some("bulk") { 5 } else { 3 };
    let Ok(runs @ 1..=100) = words.next().map_or(Ok(usual), |word| word.parse::<usize>()) else {
        eprintln!("usage: bench [bulk|checks] [RUNS], from 1 to 100");
        return ExitCode::from(64);
    };
    match part.as_deref() {
        Some("bulk") => large_tables(runs),
        Some(_) => health_checks(runs),
        None => outages(runs),
    }
}

fn health_checks(runs: usize) -> ExitCode {
    let mut figures = checks::Figures::default();
    let measured = checks::Bench::new().and_then(|bench| {
        for run in 1..=runs {
            println!("run {run} of {runs}, checks");
            bench.run(&mut figures, &mut |line| println!("    {line}"))?;
        }
        Ok(())
    });
    end(&figures, measured)
}

fn large_tables(runs: usize) -> ExitCode {
    let mut figures = bulk::Figures::default();
    let measured = lab::program("lvsctl").and_then(|ours| {
        for run in 1..=runs {
            println!("run {run} of {runs}, large tables");
            bulk::run(&ours, "ipvsadm", &mut figures)?;
        }
        Ok(())
    });
    end(&figures, measured)
}

fn end(figures: &dyn std::fmt::Display, measured: lab::Result<()>) -> ExitCode {
    println!("\n{figures}");
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("breaks off: {}", lvs::diag::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn outages(runs: usize) -> ExitCode {
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
