//! `lvsctl top`: the live view on a terminal, or once on paper.

mod screen;

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{complain, fail, print_json};
use crate::netlink::ipvs::Client;
use crate::top::{Top, to_text};

/// As the kernel sums its counters.
const USUAL_INTERVAL: &str = "2";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print it once as text, after one interval, and end
    #[arg(long)]
    once: bool,
    /// As --once, as one JSON object
    #[arg(long)]
    json: bool,
    /// Seconds between two looks, 0.1 to 3600; the kernel sums its counters every two
    #[arg(long, value_name = "SECONDS", default_value = USUAL_INTERVAL, value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("it has to be between 0.1 and 3600 seconds".to_owned())
    }
}

pub(super) fn run(Arguments { once, json, interval }: &Arguments) -> u8 {
    let mut kernel = match Client::open() {
        Ok(kernel) => kernel,
        Err(error) => return fail(&error),
    };
    if *once || *json {
        return print_once(&mut kernel, *interval, *json);
    }
    if !io::stdout().is_terminal() {
        complain(&"lvsctl: standard output is no terminal; \"lvsctl top --once\" prints text");
        return super::FAILED;
    }
    match screen::run(&mut kernel, *interval) {
        Ok(status) => status,
        Err(error) => fail(&error),
    }
}

fn print_once(kernel: &mut Client, interval: Duration, json: bool) -> u8 {
    let mut top = Top::default();
    let start = Instant::now();
    for look in 0..2 {
        if look > 0 {
            sleep(interval);
        }
        match kernel.listing() {
            Ok(listing) => top.update(start.elapsed(), listing),
            Err(error) => return fail(&error),
        }
    }
    if json {
        return print_json(&json!({"seconds": start.elapsed().as_secs_f64(), "rows": top.rows()}));
    }
    match io::stdout().write_all(to_text(&top).as_bytes()) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_within_reason() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "1e9", "fast", ""] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
