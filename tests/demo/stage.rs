//! How the story is told: chapters, commands as an administrator types them with what they print, log lines.

use lab::{Node, Result, clock, wait_for};
use std::thread;
use std::time::Duration;

/// Begins a chapter.
pub fn chapter(title: &str) {
    println!("\n=== {title}\n");
}

/// Runs a command in a machine, shows both and returns what it printed.
pub fn run(node: &Node, command: &str) -> Result<String> {
    println!("{}# {command}", node.name());
    let output = carry_out(node, command)?;
    show(&output);
    Ok(output)
}

/// Runs the same commands in several machines at a time.
pub fn run_on_each(nodes: &[&Node], commands: &[&str]) -> Result<()> {
    for command in commands {
        nodes.iter().for_each(|node| println!("{}# {command}", node.name()));
        let outputs = thread::scope(|scope| {
            let threads: Vec<_> = nodes.iter().map(|&node| scope.spawn(move || carry_out(node, command))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread without panics")).collect::<Vec<_>>()
        });
        for (node, output) in nodes.iter().zip(outputs) {
            output?.lines().for_each(|line| println!("    {}: {line}", node.name()));
        }
    }
    Ok(())
}

fn carry_out(node: &Node, command: &str) -> Result<String> {
    node.run(&command.split_whitespace().collect::<Vec<_>>())
}

fn show(text: &str) {
    text.lines().for_each(|line| println!("    {line}"));
}

/// The end of a log file that a machine's rsyslogd writes.
pub struct Log<'a> {
    node: &'a Node,
    file: &'static str,
    /// So many bytes of it belong to what has been told.
    told: usize,
}

impl<'a> Log<'a> {
    /// Of this log, everything that is written from now on.
    pub fn follow(node: &'a Node, file: &'static str) -> Result<Self> {
        let told = node.read(file)?.len();
        Ok(Self { node, file, told })
    }

    /// Waits until each of these texts stands in what has not been shown yet, shows that, and returns when that was.
    pub fn await_lines(&mut self, texts: &[&str], limit: Duration) -> Result<Duration> {
        let Self { node, file, told } = self;
        let what = format!("\"{}\" in {file} of {}", texts.join("\" and \""), node.name());
        let (at, new) = wait_for(&what, limit, || {
            let all = node.read(file).map_err(|error| lvs::diag::chain(&error))?;
            let new = all.get(*told..).unwrap_or_default();
            let new = &new[..new.rfind('\n').map_or(0, |end| end + 1)];
            if texts.iter().all(|text| new.contains(text)) {
                Ok((clock::now(), new.to_owned()))
            } else {
                Err(new.to_owned())
            }
        })?;
        *told += new.len();
        println!("{}:{file}", node.name());
        show(&new);
        Ok(at)
    }
}
