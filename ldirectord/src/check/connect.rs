//! `checktype=connect`: a TCP connection, closed at once.

use tokio::net::TcpStream;

use super::reason;
use crate::config::model::Connect;

/// Connects and closes.
pub async fn check(target: &Connect) -> Result<String, String> {
    let at = target.at;
    match TcpStream::connect(at).await {
        Ok(_) => Ok("connected".to_owned()),
        Err(error) => Err(format!("Can't connect to {at} ({})", reason(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{closed_port, full_queue, report, run};
    use crate::config::model::{Check, Connect};
    use std::net::SocketAddr;
    use std::time::Duration;

    fn connect(at: SocketAddr, timeout: Duration) -> Check {
        Check::Connect(Connect { at, timeout })
    }

    #[test]
    fn a_listening_port_is_up_although_nobody_accepts() {
        run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let at = listener.local_addr().expect("its address");
            assert_eq!(report(&connect(at, Duration::from_secs(5))).await, Ok("connected".to_owned()));
        });
    }

    #[test]
    fn a_refused_connection_names_address_and_reason() {
        run(async {
            let at = closed_port().await;
            let why = report(&connect(at, Duration::from_secs(5))).await.expect_err("nobody listens");
            assert!(why.starts_with(&format!("Can't connect to {at} (Connection refused), after ")), "{why}");
        });
    }

    #[test]
    fn a_port_that_does_not_answer_is_down_when_the_timeout_has_passed() {
        run(async {
            let hung = full_queue().await;
            let timeout = Duration::from_millis(300);
            let begin = std::time::Instant::now();
            let why = report(&connect(hung.at, timeout)).await.expect_err("nothing answers");
            assert!(begin.elapsed() >= timeout);
            assert!(why.starts_with(&format!("500 Timeout Alarm: {} does not answer", hung.at)), "{why}");
        });
    }
}
