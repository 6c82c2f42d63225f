//! The terminal: what is typed goes to [`Top`], what it says is drawn.
//!
//! However this ends (a key, a signal, an error, a panic), the terminal is left as it was found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::diag::chain;
use crate::netlink::ipvs::Client;
use crate::top::{Key, Reaction, Top, draw};

/// How soon a signal is obeyed.
const NOTICE: Duration = Duration::from_millis(200);
const PAGE: i32 = 20;

/// Puts the terminal back when it goes.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        // This also hooks panics, which would otherwise print into the alternate screen.
        // Where it fails halfway the terminal may be in raw mode already.
        ratatui::try_init().map(Self).inspect_err(|_| drop(ratatui::try_restore()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the view until it is quit; the exit status, 128 and the signal's number after one.
pub(super) fn run(kernel: &mut Client, interval: Duration) -> io::Result<u8> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let value = usize::try_from(number).unwrap_or_default();
        signal_hook::flag::register_usize(number, Arc::clone(&signal), value)?;
    }
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::open()?;
    let (start, mut top) = (Instant::now(), Top::default());
    let mut next_look = Duration::ZERO;
    loop {
        let now = start.elapsed();
        if now >= next_look && !top.paused() {
            match kernel.listing() {
                Ok(listing) => top.update(now, listing),
                Err(error) => top.fail(chain(&error)),
            }
            next_look = now + interval;
        }
        screen.0.draw(|frame| draw(&mut top, frame, colours))?;
        let received = loop {
            let ended_by = signal.load(Ordering::Relaxed);
            if ended_by != 0 {
                return Ok(u8::try_from(128 + ended_by).unwrap_or(u8::MAX));
            }
            let wait = if top.paused() { NOTICE } else { next_look.saturating_sub(start.elapsed()).min(NOTICE) };
            if event::poll(wait)? {
                break Some(event::read()?);
            }
            if !top.paused() && start.elapsed() >= next_look {
                break None;
            }
        };
        match received.and_then(|event| key(&event)).map(|key| top.press(key)) {
            Some(Reaction::Quit) => return Ok(0),
            Some(Reaction::Refresh) => next_look = start.elapsed(),
            Some(Reaction::Redraw) | None => {}
        }
    }
}

/// What a key means; a terminal in raw mode sends no signals, so ^C is a key.
fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Char('c') if control => {
            // Ends it while a filter is being typed, too.
            let _ = signal_hook::low_level::raise(SIGINT);
            None
        }
        KeyCode::Char(letter) if !control => Some(Key::Char(*letter)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Up => Some(Key::Move(-1)),
        KeyCode::Down => Some(Key::Move(1)),
        KeyCode::PageUp => Some(Key::Move(-PAGE)),
        KeyCode::PageDown => Some(Key::Move(PAGE)),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        _ => None,
    }
}
