use tokio::io::DuplexStream;

use super::converse;
use crate::check::dialogue::Dialogue;
use crate::check::dialogue::play::{Twist, play};
use crate::check::stage::Stage;

async fn check(stage: &Stage, pipe: DuplexStream) -> Result<String, String> {
    converse(Dialogue::over(stage, pipe), stage).await
}

#[test]
fn row_45_a_greeting_that_begins_with_2_is_up() {
    for (greeting, shown) in [("200 ready\r\n", "200 ready"), ("201 read only", "201 read only")] {
        let played = play(&[greeting, "205 bye\r\n"], None, check);
        assert_eq!(played.result, Ok(shown.to_owned()));
        assert_eq!(played.heard, ["QUIT"]);
    }
    let why = play(&["400 not now\r\n"], None, check).result.expect_err("not now");
    assert_eq!(why, "192.0.2.1:2525: expected a greeting 2xx, got \"400 not now\\r\\n\"");
}

#[test]
fn silence_an_end_and_garbage_are_down() {
    for (twist, told) in [
        (Twist::Hang, "500 Timeout Alarm: 192.0.2.1:2525: expected a greeting 2xx, got nothing"),
        (Twist::Close, "192.0.2.1:2525: expected a greeting 2xx, got the end of the connection"),
        (Twist::Garbage, "192.0.2.1:2525: expected a greeting 2xx, got \"\u{fffd}\\0\\u{1b}[2J\\u{7} go away\\r\\n\""),
    ] {
        assert_eq!(play(&["200 ready\r\n"], Some((0, twist)), check).result, Err(told.to_owned()));
    }
}

#[test]
fn no_more_than_64_bytes_are_looked_at() {
    let played = play(&["200 ready\r\n"], Some((0, Twist::EndlessLine)), check);
    assert_eq!(played.result, Ok("2".repeat(64)));
}
