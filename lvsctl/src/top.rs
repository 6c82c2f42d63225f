//! The live view: what each service and server does per second, from differences of the kernel's counters.
//!
//! [`Top`] takes listings and keys and says what is to be shown; [`draw`] draws it. `lvsctl top` brings both
//! to a kernel and a terminal.

mod rates;
mod rows;
mod view;

pub use rates::Rates;
pub use rows::{Row, Sort, Subject};
pub use view::{draw, to_text};

use std::time::Duration;

use crate::ipvs::ServiceListing;
use rates::Tracks;

/// What a filter may have at most: more does not fit into its line.
const LONGEST_FILTER: usize = 60;

/// A key, without the terminal's own view of it.
///
/// ```
/// use lvs::top::{Key, Reaction, Top};
///
/// assert_eq!(Top::default().press(Key::Char('q')), Reaction::Quit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Something with a sign of its own.
    Char(char),
    /// Ends typing.
    Enter,
    /// Ends typing and forgets what was typed; elsewhere the filter.
    Escape,
    /// Takes back a character.
    Backspace,
    /// Moves by so many rows.
    Move(i32),
    /// To the first row.
    Home,
    /// To the last row.
    End,
}

/// What a key asks of the driver.
///
/// ```
/// use lvs::top::{Key, Reaction, Top};
///
/// let mut top = Top::default();
/// assert_eq!(top.press(Key::Char(' ')), Reaction::Redraw); // paused
/// assert_eq!(top.press(Key::Char(' ')), Reaction::Refresh); // and going on
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Draw again.
    Redraw,
    /// Look at the kernel now.
    Refresh,
    /// End.
    Quit,
}

/// The view's state.
///
/// ```
/// use std::time::Duration;
/// use lvs::top::{Top, to_text};
///
/// let mut top = Top::default();
/// top.update(Duration::ZERO, Vec::new()); // what the kernel lists
/// assert!(top.rows().is_empty());
/// println!("{}", to_text(&top));
/// ```
#[derive(Debug, Default)]
pub struct Top {
    tracks: Tracks,
    services: Vec<ServiceListing>,
    sort: Sort,
    reverse: bool,
    filter: String,
    typing: bool,
    paused: bool,
    help: bool,
    first_row: usize,
    trouble: Option<String>,
}

impl Top {
    /// Takes a look at the kernel, `at` since some fixed moment.
    pub fn update(&mut self, at: Duration, services: Vec<ServiceListing>) {
        self.trouble = None;
        self.tracks.update(at, &services);
        self.services = services;
    }

    /// A look failed; shown until one succeeds.
    pub fn fail(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// Whether the picture should stay as it is.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Takes a key.
    pub fn press(&mut self, key: Key) -> Reaction {
        if self.typing {
            self.type_filter(key);
            return Reaction::Redraw;
        }
        match key {
            Key::Char('q') => return Reaction::Quit,
            Key::Char(' ') => {
                self.paused = !self.paused;
                return if self.paused { Reaction::Redraw } else { Reaction::Refresh };
            }
            Key::Char('/') => self.typing = true,
            Key::Char('h' | '?') => self.help = !self.help,
            Key::Char('r') => self.reverse = !self.reverse,
            Key::Char(letter) => {
                if let Some(sort) = Sort::by_letter(letter) {
                    (self.sort, self.reverse) = (sort, false);
                }
            }
            Key::Escape if self.help => self.help = false,
            Key::Escape => self.filter.clear(),
            Key::Move(rows) => self.first_row = self.first_row.saturating_add_signed(rows as isize),
            Key::Home => self.first_row = 0,
            // Drawing knows where the end is.
            Key::End => self.first_row = usize::MAX,
            Key::Enter | Key::Backspace => {}
        }
        Reaction::Redraw
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(letter) if self.filter.len() < LONGEST_FILTER => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.filter.clear();
                self.typing = false;
            }
            Key::Char(_) | Key::Move(_) | Key::Home | Key::End => {}
        }
        self.first_row = 0;
    }

    /// The rows to show, sorted and filtered.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        rows::of(&self.services, &self.tracks, self.sort, self.reverse, &self.filter)
    }
}

#[cfg(test)]
mod tests;
