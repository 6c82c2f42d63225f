//! `lvsctl completions` and `lvsctl man`: what usually lies in files, from the program itself.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use super::fail;

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// Which page
    #[arg(value_enum, default_value_t)]
    page: Page,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Page {
    /// This program
    #[default]
    Lvsctl,
    /// Files for "apply" and "restore"
    LvsTable,
    /// The command line with a first argument that begins with "-"
    Ipvsadm,
}

impl Page {
    /// The page as it is shipped: written by hand, it says more than the options do.
    fn text(self) -> &'static str {
        match self {
            Self::Lvsctl => include_str!("../../../../docs/man/lvsctl.8"),
            Self::LvsTable => include_str!("../../../../docs/man/lvs-table.5"),
            Self::Ipvsadm => include_str!("../../../../docs/man/ipvsadm.8"),
        }
    }
}

pub(super) fn completions(Completions { shell }: &Completions, mut command: clap::Command) -> u8 {
    // Into memory first: the generator panics where it cannot write, and a pipe may be closed.
    let mut text = Vec::new();
    clap_complete::generate(*shell, &mut command, "lvsctl", &mut text);
    print(&text)
}

/// On a terminal as `man` shows it; elsewhere the page's source, for `man -l -`.
pub(super) fn man(Man { page }: &Man) -> u8 {
    if io::stdout().is_terminal() && shown(page.text()) {
        return 0;
    }
    print(page.text().as_bytes())
}

fn shown(page: &str) -> bool {
    let man = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn();
    man.is_ok_and(|mut man| {
        // A reader that quits early closes the pipe.
        let _ = man.stdin.take().map(|mut stdin| stdin.write_all(page.as_bytes()));
        man.wait().is_ok_and(|status| status.success())
    })
}

fn print(text: &[u8]) -> u8 {
    match io::stdout().write_all(text) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::verbs::Arguments;
    use clap::{CommandFactory, ValueEnum};

    #[test]
    fn the_page_tells_of_every_verb_and_every_option() {
        let page = Page::Lvsctl.text().replace("\\-", "-");
        for verb in Arguments::command().get_subcommands() {
            assert!(
                page.contains(&format!("fBlvsctl {}", verb.get_name())),
                "{} is not in the synopsis",
                verb.get_name()
            );
            for option in verb.get_arguments().filter_map(|argument| argument.get_long()).filter(|name| *name != "help")
            {
                assert!(page.contains(&format!("--{option}")), "--{option} of {} is not told", verb.get_name());
            }
        }
    }

    #[test]
    fn every_shell_gets_every_verb() {
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "lvsctl", &mut text);
            let text = String::from_utf8(text).expect("UTF-8");
            for verb in Arguments::command().get_subcommands() {
                assert!(text.contains(verb.get_name()), "{shell} does not know {}", verb.get_name());
            }
        }
    }
}
