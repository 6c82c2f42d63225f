//! `make bench`: what a client of the cluster goes through, with this toolkit and with keepalived; and large tables, with
//! lvsctl and with ipvsadm (`bench bulk`); and health checks, with ldirectord and with keepalived and the original
//! (`bench checks`); and takeovers without IPVS, with heartbeatd and with heartbeat (`bench takeover`).
//!
//! Same machines, same network, same web servers, same probe; only what runs on the directors differs. In the lab only,
//! the checks and the takeovers in namespaces: tests/bench/run. Nothing is judged here: the exit status tells whether everything could be
//! measured.

mod bulk;
mod checks;
mod contender;
mod course;
mod median;
mod table;
mod takeover;
mod usage;

use contender::Contender;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let part = words.next_if(|word| ["bulk", "checks", "takeover", "load"].contains(&word.as_str()));
    let (usual, most) = match part.as_deref() {
        Some("bulk") => (5, 100),
        Some("load") => (600, 86_400),
        _ => (3, 100),
    };
    let number = words.next().map_or(Ok(usual), |word| word.parse::<usize>());
    let Some(number) = number.ok().filter(|number| (1..=most).contains(number)) else {
        eprintln!("usage: bench [bulk|checks|takeover] [RUNS], from 1 to 100; bench load [SECONDS]");
        return ExitCode::from(64);
    };
    match part.as_deref() {
        Some("bulk") => large_tables(number),
        Some("checks") => health_checks(number),
        Some("takeover") => takeovers(number),
        Some(_) => end(&"", takeover::under_load(std::time::Duration::from_secs(number as u64))),
        None => outages(number),
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

fn takeovers(runs: usize) -> ExitCode {
    let mut figures = takeover::Figures::default();
    let measured = (1..=runs).try_for_each(|run| {
        println!("run {run} of {runs}, takeovers");
        takeover::run(&mut figures)
    });
    end(&figures, measured)
}

fn large_tables(runs: usize) -> ExitCode {
    let mut figures = bulk::Figures::default();
    print!("{}", bulk::mitigations());
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
