//! One run told line by line, for a seed that fails.

use heartbeatd::core::{Action, Heard};
use heartbeatd::wire::Body;

pub(super) fn told(action: &Action) -> String {
    match action {
        Action::Notice(notice) => format!("{:?}: {notice}", notice.level()),
        Action::Send(_)
        | Action::Resend { .. }
        | Action::SendInstead(_)
        | Action::PassOn
        | Action::Acquire { .. }
        | Action::Release { .. }
        | Action::Announce { .. }
        | Action::Withhold { .. }
        | Action::Restore { .. }
        | Action::Serve(_)
        | Action::Fence { .. }
        | Action::StopFencing { .. }
        | Action::Reboot { .. }
        | Action::SaveGeneration(_)
        | Action::Answer { .. }
        | Action::Stopped => format!("{action:?}"),
    }
}

pub(super) fn said(heard: &Heard) -> String {
    match (&heard.body, &heard.word) {
        (Body::Status { status, .. }, Some(word)) => format!("status {} [{word}]", status.as_str()),
        (body, _) => format!("{body:?}"),
    }
}
