//! Clusters in virtual time.
//!
//! `SIM_SEED=144 cargo test -p lvs-tests --test sim -- --nocapture one_seed` tells the story
//! of one run; `SIM_SEEDS=100000` runs more of them.

mod chance;
mod check;
mod profile;
mod world;

use profile::Profile;
use world::{Flaw, World};

/// Runs of the everyday test.
const SEEDS: u64 = 20_000;

fn run(seed: u64, flaw: Flaw, tell: bool) -> (World, Result<(), String>) {
    let mut world = World::new(seed, Profile::wild(seed), flaw);
    world.story = tell.then(Vec::new);
    let result = world.run().and_then(|()| quiet_end(&world, &Profile::wild(seed)));
    (world, result)
}

fn quiet_end(world: &World, profile: &Profile) -> Result<(), String> {
    for (group, (home, _)) in profile.groups.iter().enumerate() {
        let owners = world.owners(group);
        let [owner] = owners[..] else { return Err(format!("in the end group {group} is on {owners:?}")) };
        let moved = world.check.was_operated() || world.check.had_failed_start();
        if profile.auto_failback == [true, true] && !moved && owner != *home {
            return Err(format!("in the end group {group} is not at home although auto_failback is on"));
        }
    }
    Ok(())
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn whatever_happens_to_two_nodes_the_rules_hold() {
    let range = seeds();
    let single = range.end - range.start == 1;
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let run_every = |first: u64| {
        let mut figures = (0u64, 0u64, 0u64, 0u64);
        for seed in range.clone().skip(first as usize).step_by(threads as usize) {
            let (world, result) = run(seed, Flaw::None, single);
            if let Some(story) = &world.story {
                story.iter().for_each(|line| println!("{line}"));
            }
            if let Err(fault) = result {
                panic!(
                    "seed {seed}: {fault}\n  its story: SIM_SEED={seed} cargo test -p lvs-tests --test sim -- \
                     --nocapture whatever"
                );
            }
            figures.0 += world.events;
            figures.1 += world.check.planned;
            figures.2 = figures.2.max(world.check.longest_overlap);
            figures.3 = figures.3.max(world.check.longest_gap);
        }
        figures
    };
    let figures: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || run_every(first))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let count = range.end - range.start;
    let events: u64 = figures.iter().map(|each| each.0).sum();
    let planned: u64 = figures.iter().map(|each| each.1).sum();
    println!("{count} seeds, {events} events, {planned} planned switches in {:.1} s", began.elapsed().as_secs_f64());
}
