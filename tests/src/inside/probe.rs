//! The client of [`crate::probe`], in the network of its machine: one thread, one `poll`.

use crate::clock;
use crate::error::{Attempt, Result};
use crate::probe::{Failure, Outcome, Record, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// More than any page of a story.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Asks until standard input ends, then finishes what is under way.
pub fn run(spec: &Spec) -> Result<()> {
    let stdin = io::stdin();
    let mut asking = true;
    let mut requests: Vec<Request> = Vec::new();
    let mut next = clock::now();
    while asking || !requests.is_empty() {
        let now = clock::now();
        if asking && now >= next {
            match Request::start(spec, now) {
                Ok(request) => requests.push(request),
                Err(error) => tell(&Record { at: now, took: Duration::ZERO, outcome: failure(&error) })?,
            }
            // Whoever was held up does not make up for it with a burst; the gap shows in the records.
            next = (next + spec.every).max(now);
        }
        let deadlines = requests.iter().map(|request| request.until);
        let wake = deadlines.chain(asking.then_some(next)).min().unwrap_or(now);
        let ready = wait(&stdin, asking, &requests, wake.saturating_sub(clock::now()))?;
        asking &= !ready[0];

        let now = clock::now();
        // While this program was not run it could not hear an answer: that time is not the server's.
        let late = now.saturating_sub(wake);
        let mut waiting = Vec::with_capacity(requests.len());
        for (mut request, ready) in requests.into_iter().zip(&ready[1..]) {
            request.until += late;
            let outcome = if *ready { request.go_on(spec) } else { None };
            let expired = || (now >= request.until).then_some(Outcome::Failure(Failure::Timeout));
            match outcome.or_else(expired) {
                Some(outcome) => tell(&Record { at: request.at, took: now - request.at, outcome })?,
                None => waiting.push(request),
            }
        }
        requests = waiting;
    }
    Ok(())
}

/// Which are ready: standard input first (it says nothing, it only ends), then the requests.
fn wait(stdin: &io::Stdin, asking: bool, requests: &[Request], limit: Duration) -> Result<Vec<bool>> {
    let input = if asking { PollFlags::IN } else { PollFlags::empty() };
    let mut polled = vec![PollFd::new(stdin, input)];
    polled.extend(
        requests.iter().map(|request| {
            PollFd::new(&request.socket, if request.connected { PollFlags::IN } else { PollFlags::OUT })
        }),
    );
    let limit =
        Timespec { tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: limit.subsec_nanos().into() };
    match poll(&mut polled, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).attempt(|| "wait for answers".into()),
    }
    let mut ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    ready[0] &= asking;
    Ok(ready)
}

fn tell(record: &Record) -> Result<()> {
    let mut line = serde_json::to_vec(record).map_err(io::Error::from).attempt(|| "write a record".into())?;
    line.push(b'\n');
    io::stdout().write_all(&line).attempt(|| "report to the story".into())
}

struct Request {
    at: Duration,
    /// When it is given up.
    until: Duration,
    socket: Socket,
    connected: bool,
    heard: Vec<u8>,
}

impl Request {
    fn start(spec: &Spec, at: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(spec.target), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&spec.target.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
            _ => Ok(Self { at, until: at + spec.timeout, socket, connected: false, heard: Vec::new() }),
        }
    }

    /// Something happened on the socket; the outcome if that was the end.
    fn go_on(&mut self, spec: &Spec) -> Option<Outcome> {
        if !self.connected {
            return match self.ask(spec.target) {
                Ok(()) => None,
                Err(error) => Some(failure(&error)),
            };
        }
        let mut piece = [0; 4096];
        match self.socket.read(&mut piece) {
            Ok(0) => Some(judge(&self.heard)),
            Ok(length) if self.heard.len() + length > ANSWER_LIMIT => Some(Outcome::Failure(Failure::Closed)),
            Ok(length) => {
                self.heard.extend_from_slice(&piece[..length]);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(failure(&error)),
        }
    }

    fn ask(&mut self, target: SocketAddr) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        self.connected = true;
        let question = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.ip());
        // A fresh connection has room for it.
        self.socket.write_all(question.as_bytes())
    }
}

/// The whole answer: status line, header, empty line, body.
fn judge(answer: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(200), Some((_, body))) => {
            Outcome::Answer(body.lines().next().unwrap_or_default().chars().take(64).collect())
        }
        (Some(status), _) if status != 200 => Outcome::Failure(Failure::Status(status)),
        _ => Outcome::Failure(Failure::Closed),
    }
}

fn failure(error: &io::Error) -> Outcome {
    Outcome::Failure(match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Failure::Refused,
        Some(Errno::CONNRESET | Errno::PIPE) => Failure::Reset,
        Some(Errno::TIMEDOUT) => Failure::Timeout,
        Some(Errno::HOSTUNREACH | Errno::NETUNREACH) => Failure::Unreachable,
        other => Failure::Errno(other.map_or(0, Errno::raw_os_error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_page_names_the_server() {
        let answer = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 4\r\n\r\nrs1\n";
        assert_eq!(judge(answer), Outcome::Answer("rs1".into()));
    }

    #[test]
    fn only_status_200_is_an_answer() {
        assert_eq!(judge(b"HTTP/1.1 503 No\r\n\r\nbusy"), Outcome::Failure(Failure::Status(503)));
        assert_eq!(judge(b""), Outcome::Failure(Failure::Closed));
        assert_eq!(judge(b"HTTP/1.1 200 OK\r\nServer"), Outcome::Failure(Failure::Closed));
    }
}
