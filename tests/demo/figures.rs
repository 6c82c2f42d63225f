//! The closing table: of each step what came out, and what was expected.

use std::fmt;

/// One step.
#[derive(Debug)]
struct Row {
    step: &'static str,
    figure: String,
    expected: String,
    good: bool,
}

/// All steps, in the order of the story.
#[derive(Debug, Default)]
pub struct Figures(Vec<Row>);

impl Figures {
    /// Notes what came of a step.
    pub fn note(&mut self, step: &'static str, figure: impl Into<String>, expected: impl Into<String>, good: bool) {
        self.0.push(Row { step, figure: figure.into(), expected: expected.into(), good });
    }

    /// Whether everything was as expected.
    pub fn are_good(&self) -> bool {
        self.0.iter().all(|row| row.good)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:<46} {:<30}", "STEP", "CAME OUT", "EXPECTED")?;
        for Row { step, figure, expected, good } in &self.0 {
            writeln!(f, "{step:<28} {figure:<46} {expected:<30} {}", if *good { "ok" } else { "NOT OK" })?;
        }
        let bad = self.0.iter().filter(|row| !row.good).count();
        match bad {
            0 => write!(f, "\nAll {} steps went as expected.", self.0.len()),
            _ => write!(f, "\n{bad} of {} steps did not go as expected.", self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_step_spoils_the_demo() {
        let mut figures = Figures::default();
        figures.note("one", "3 ms", "at most 5 ms", true);
        assert!(figures.are_good() && figures.to_string().contains("All 1 steps"), "{figures}");
        figures.note("two", "7 ms", "at most 5 ms", false);
        assert!(!figures.are_good() && figures.to_string().contains("NOT OK\n\n1 of 2"), "{figures}");
    }
}
