//! What an agent on a real server says about it, in the words of HAProxy's agent-check (HAProxy's configuration
//! manual, `agent-check`).
//!
//! Pure. An answer is one line of words; what it does not mention stays as the agent left it, so only the agent takes back
//! what the agent said.

use serde::{Deserialize, Serialize};

/// An answer has no more bytes than this; the words of one fit in a tenth of it.
pub const LONGEST: usize = 1024;

/// The largest percentage; there is no use in more, and weights are bounded.
const MOST: u32 = 1000;

/// What one answer says. `None`: nothing about that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// `up`, or `down`, `failed`, `stopped`: whether the server works.
    pub works: Option<bool>,
    /// `ready`, `drain`, `maint`.
    pub order: Option<Order>,
    /// `75%`: so many per cent of the weight, at most 1000.
    pub percent: Option<u32>,
}

/// What the agent wants done with the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Nothing.
    #[default]
    Ready,
    /// No new connections; those that there are go on.
    Drain,
    /// Taken out as by a file in the maintenance directory.
    Maintenance,
}

impl Said {
    /// Reads an answer without its line end: words separated by blanks, tabs or commas, in any case and order; of
    /// contradicting ones the last counts. Behind a `#` stands whatever the agent wants to tell people.
    ///
    /// # Errors
    /// If no word of it is known. Among known words unknown ones are passed over, `maxconn:N` too.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words = line.split_once('#').map_or(line, |(words, _)| words);
        let (mut said, mut known) = (Self::default(), false);
        for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "up" => said.works = Some(true),
                "down" | "failed" | "stopped" => said.works = Some(false),
                "ready" => said.order = Some(Order::Ready),
                "drain" => said.order = Some(Order::Drain),
                "maint" => said.order = Some(Order::Maintenance),
                number => match percentage(number) {
                    Some(percent) => said.percent = Some(percent),
                    None if number.starts_with("maxconn:") => {}
                    None => continue,
                },
            }
            known = true;
        }
        let cut: String = line.chars().take(80).collect();
        if known { Ok(said) } else { Err(format!("no known word in {cut:?}")) }
    }
}

fn percentage(word: &str) -> Option<u32> {
    let digits = word.strip_suffix('%')?;
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    (number <= MOST).then_some(number)
}

/// What an agent has said so far, put together. Without a word from it: that it has nothing to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stance {
    /// It said that the server does not work, and did not take that back.
    pub down: bool,
    /// The last order.
    pub order: Order,
    /// The last percentage.
    pub percent: Option<u32>,
}

impl Stance {
    /// With another answer.
    #[must_use]
    pub fn after(self, said: Said) -> Self {
        Self {
            down: said.works.map_or(self.down, |works| !works),
            order: said.order.unwrap_or(self.order),
            percent: said.percent.or(self.percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(line: &str) -> Said {
        Said::parse(line).unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    #[test]
    fn words_come_in_any_order_and_case_with_blanks_tabs_or_commas() {
        let works = |works| Said { works: Some(works), ..Said::default() };
        let order = |order| Said { order: Some(order), ..Said::default() };
        for (line, expected) in [
            ("up", works(true)),
            ("UP", works(true)),
            ("down", works(false)),
            ("failed#disk is full, 75%", works(false)),
            ("stopped # up", works(false)),
            ("ready", order(Order::Ready)),
            ("drain", order(Order::Drain)),
            ("Maint", order(Order::Maintenance)),
            ("maxconn:30", Said::default()),
            ("0%", Said { percent: Some(0), ..Said::default() }),
            (" ,75%\t, up ready", Said { works: Some(true), order: Some(Order::Ready), percent: Some(75) }),
            ("up down", works(false)),
            ("up and running", works(true)),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }

    #[test]
    fn a_line_without_a_known_word_says_so() {
        for line in
            ["", " , ", "75", "%", "1001%", "+5%", "-5%", "4294967296%", "HTTP/1.1 400 Bad Request", "#up", "upp"]
        {
            let why = Said::parse(line).expect_err(line);
            assert!(why.starts_with("no known word in "), "{why}");
        }
        assert!(Said::parse("\u{1b}[2J\n").expect_err("no word").chars().all(|c| !c.is_control()));
    }

    #[test]
    fn what_is_not_mentioned_stays() {
        let mut stance = Stance::default();
        for (line, down, order, percent) in [
            ("50%", false, Order::Ready, Some(50)),
            ("down", true, Order::Ready, Some(50)),
            ("drain", true, Order::Drain, Some(50)),
            ("up 100%", false, Order::Drain, Some(100)),
            ("maint", false, Order::Maintenance, Some(100)),
            ("ready", false, Order::Ready, Some(100)),
        ] {
            stance = stance.after(said(line));
            assert_eq!(stance, Stance { down, order, percent }, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_reason_changes_nothing(words in "(up|down|drain|ready|maint|[0-9]{1,3}%|[ ,\t]){0,9}", reason in ".*") {
            prop_assert_eq!(Said::parse(&words).ok(), Said::parse(&format!("{words}#{reason}")).ok());
        }
    }
}
