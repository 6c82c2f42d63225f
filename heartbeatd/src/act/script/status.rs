//! What the words of a `status` call mean.

/// Whether a script's output says that its resource runs. The exit status does not count, and the
/// first rule that matches decides (spec/heartbeat.md 2.3): "not", a blank and later "running" is
/// no; "running" or "OK" is yes; anything else is no.
#[must_use]
pub fn says_running(output: &str) -> bool {
    let running = |text: &str| text.contains("running") || text.contains("Running");
    let denied = output.to_ascii_lowercase().find("not ").is_some_and(|at| running(&output[at..]));
    !denied && (running(output) || output.contains("OK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_mean_what_they_mean_to_heartbeat() {
        for yes in ["Running OK", "anything is running", "OK", "nothing\nis Running"] {
            assert!(says_running(yes), "{yes:?}");
        }
        for no in [
            "stopped",
            "",
            "ok",
            "NOT Running",
            "not currently running",
            "OK: not running",
            "RUNNING",
            "a knot tied, running",
        ] {
            assert!(!says_running(no), "{no:?}");
        }
        // The blank must follow directly.
        assert!(says_running("not: running"));
        assert!(says_running("running, not broken"));
    }
}
