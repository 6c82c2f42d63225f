//! The part of the lab that runs inside the machines of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match lab::inside::main(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-inside: {}", lvs::diag::chain(&error));
            ExitCode::FAILURE
        }
    }
}
