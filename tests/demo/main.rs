//! `make demo`: a cluster of five machines loses a web server and a director, told as a story.
//!
//! Real programs on a real kernel, in the lab only: tests/demo/run. What every step came to stands in a table at the
//! end, and a step that is not as it should be makes the exit status 1.

mod figures;
mod stage;
mod story;

use figures::Figures;
use lab::{Cluster, Result, clock};
use std::process::ExitCode;
use std::time::Duration;

/// The whole story, building the cluster included.
const LIMIT: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let from = clock::now();
    let mut figures = Figures::default();
    if let Err(error) = Cluster::direct_routing().and_then(|cluster| tell(&cluster, &mut figures)) {
        println!("\nThe story breaks off: {}", lvs::diag::chain(&error));
        figures.note("the story", "breaks off", "an end", false);
    }
    let took = clock::now() - from;
    let expected = format!("at most {} s", LIMIT.as_secs());
    figures.note("the whole story", format!("{:.1} s", took.as_secs_f64()), expected, took <= LIMIT);
    println!("\n{figures}");
    if figures.are_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// If the story breaks off, what the directors have logged may tell why.
fn tell(cluster: &Cluster, figures: &mut Figures) -> Result<()> {
    let ended = story::tell(cluster, figures);
    if ended.is_err() {
        for name in ["lvs1", "lvs2"] {
            println!("\n{name}:/var/log/all.log\n{}", cluster.node(name).read("/var/log/all.log")?);
        }
    }
    ended
}
