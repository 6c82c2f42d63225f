//! Sends letters, and holds up nothing: each is a task of its own with a time, tried a few times,
//! and there are never more than so many under way.

use std::sync::Arc;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::{Date, HeaderName, HeaderValue, Headers};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Letter;
use crate::command::Command;

/// Letters under way; more are dropped, and that is logged.
const MOST: usize = 256;

/// Letters that are being sent at the same time.
const AT_ONCE: usize = 4;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Pauses before a letter is tried again. After the last it is given up.
const PAUSES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// Where the local mail system has its door.
const SENDMAIL: [&str; 2] = ["/usr/sbin/sendmail", "/usr/lib/sendmail"];

/// Where letters go and who sends them.
#[derive(Debug)]
pub struct Post {
    sender: Arc<Sender>,
    gates: Arc<Semaphore>,
    under_way: JoinSet<()>,
}

#[derive(Debug)]
struct Sender {
    /// `USER@HOST`.
    own: String,
    host: String,
    port: u16,
}

impl Post {
    /// A post that sends as `user` of `host`; relays are asked on `port`, 25 outside of tests.
    #[must_use]
    pub fn new(user: &str, host: &str, port: u16) -> Self {
        let sender = Sender { own: format!("{user}@{host}"), host: host.to_owned(), port };
        Self { sender: Arc::new(sender), gates: Arc::new(Semaphore::new(AT_ONCE)), under_way: JoinSet::new() }
    }

    /// Takes a letter. A failure to send it is logged.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn send(&mut self, letter: Letter) {
        log::info!("emailalert: {}", letter.text);
        while self.under_way.try_join_next().is_some() {}
        if self.under_way.len() >= MOST {
            return log::warn!("{}: {MOST} mails wait already", failed(&letter));
        }
        let (sender, gates) = (self.sender.clone(), self.gates.clone());
        self.under_way.spawn(async move {
            let mut pauses = PAUSES.into_iter();
            loop {
                let sent = match gates.acquire().await {
                    Ok(_gate) => sender.deliver(&letter).await,
                    Err(_) => return,
                };
                match (sent, pauses.next()) {
                    (Ok(()), _) => return,
                    (Err(why), None) => return log::warn!("{}: {why}", failed(&letter)),
                    (Err(why), Some(pause)) => {
                        log::warn!("{}: {why}; trying again in {} s", failed(&letter), pause.as_secs());
                        sleep(pause).await;
                    }
                }
            }
        });
    }

    /// Waits for the letters under way, as the program stops.
    pub async fn finish(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }
}

fn failed(letter: &Letter) -> &'static str {
    if letter.relay.is_some() { "failed to send SMTP email message" } else { "failed to send email message" }
}

impl Sender {
    async fn deliver(&self, letter: &Letter) -> Result<(), String> {
        let message = self.message(letter);
        if let Some(relay) = &letter.relay {
            return self.by_smtp(relay, letter, &message).await;
        }
        // A local mail system that listens takes it from whoever has no privilege to use its queue.
        let local = self.by_smtp("127.0.0.1", letter, &message).await;
        match SENDMAIL.iter().find(|path| std::path::Path::new(path).exists()) {
            Some(sendmail) if local.is_err() => by_program(sendmail, message).await,
            _ => local,
        }
    }

    /// Each recipient has a turn of his own if they cannot be had together (B16).
    async fn by_smtp(&self, relay: &str, letter: &Letter, message: &[u8]) -> Result<(), String> {
        let all = self.recipients(&letter.to)?;
        if self.transmit(relay, &all, message).await.is_ok() {
            return Ok(());
        }
        let mut trouble = Vec::new();
        for recipient in &all {
            if let Err(why) = self.transmit(relay, std::slice::from_ref(recipient), message).await {
                trouble.push(format!("{recipient} by {relay}: {why}"));
            }
        }
        if trouble.is_empty() { Ok(()) } else { Err(trouble.join("; ")) }
    }

    async fn transmit(&self, relay: &str, to: &[Address], message: &[u8]) -> Result<(), String> {
        let from = self.own.parse().map_err(|error| format!("{} is no address: {error}", self.own))?;
        let envelope = Envelope::new(Some(from), to.to_vec()).map_err(|error| error.to_string())?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(relay)
            .port(self.port)
            .hello_name(ClientId::Domain("localhost.localdomain".to_owned()))
            .timeout(Some(ATTEMPT))
            .build();
        match timeout(ATTEMPT, transport.send_raw(&envelope, message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(lvs::diag::chain(&error)),
            Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
        }
    }

    /// The addresses in `emailalert`; one without a host is somebody here.
    fn recipients(&self, list: &str) -> Result<Vec<Address>, String> {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        let addresses: Result<Vec<Address>, String> = parts
            .map(|part| {
                let bare = part.rsplit_once('<').map_or(part, |(_, rest)| rest.trim_end_matches('>'));
                let full = if bare.contains('@') { bare.to_owned() } else { format!("{bare}@{}", self.host) };
                full.parse().map_err(|error| format!("{part} is no mail address: {error}"))
            })
            .collect();
        match addresses {
            Ok(none) if none.is_empty() => Err(format!("\"{list}\" names nobody")),
            other => other,
        }
    }

    /// Headers and body. `emailalertfrom` is taken as it is (T21).
    fn message(&self, letter: &Letter) -> Vec<u8> {
        let mut headers = Headers::new();
        let from = letter.from.as_ref().unwrap_or(&self.own);
        for (name, value) in [("From", from), ("To", &letter.to), ("Subject", &letter.subject)] {
            headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.clone()));
        }
        headers.set(Date::now());
        let mut text = headers.to_string();
        text.push_str("Auto-Submitted: auto-generated\r\n");
        if !letter.body.is_ascii() {
            text.push_str("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
            text.push_str("Content-Transfer-Encoding: 8bit\r\n");
        }
        text.push_str("\r\n");
        // The end of the last line comes with the end of the message.
        let body = letter.body.strip_suffix('\n').unwrap_or(&letter.body);
        text.push_str(&body.replace('\n', "\r\n"));
        text.into_bytes()
    }
}

async fn by_program(sendmail: &str, message: Vec<u8>) -> Result<(), String> {
    let command = Command::new(sendmail, ["-t", "-i"], ATTEMPT).reading(message);
    let outcome = command.run().await;
    if outcome.is_success() {
        return Ok(());
    }
    let complaint = outcome.complaint().map_or_else(String::new, |complaint| format!(": {complaint}"));
    Err(format!("{sendmail}: {}{complaint}", outcome.ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    fn letter(to: &str) -> Letter {
        Letter {
            to: to.into(),
            from: Some("\"LVS\" <lvs@x.net>".into()),
            relay: Some("127.0.0.1".into()),
            text: "Deleted".into(),
            subject: "[Büro] Deleted".into(),
            body: ".\nline\n".into(),
        }
    }

    /// A mail server that refuses a recipient who is `nobody`; what it was sent.
    async fn relay(listener: TcpListener) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 test\r\n").await.expect("sent");
            let (mut in_data, mut done) = (false, false);
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                let text = std::mem::take(&mut line).trim_end().to_owned();
                let answer = match (in_data, text.as_str()) {
                    (true, ".") => {
                        (in_data, done) = (false, true);
                        "250 taken\r\n"
                    }
                    (true, _) => "",
                    (false, "DATA") => {
                        in_data = true;
                        "354 go on\r\n"
                    }
                    (false, rcpt) if rcpt.starts_with("RCPT TO:<nobody") => "550 nobody\r\n",
                    (false, _) => "250 fine\r\n",
                };
                heard.push(text);
                stream.write_all(answer.as_bytes()).await.expect("sent");
                if done {
                    return heard;
                }
            }
        }
    }

    fn heard(to: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("its address").port();
            let mut post = Post::new("root", "lvs1", port);
            post.send(letter(to));
            let story = timeout(Duration::from_secs(30), relay(listener));
            story.await.expect("in time")
        })
    }

    #[test]
    fn fault_b16_each_recipient_is_named_to_the_server_by_himself() {
        let said = heard("a@x.net, root");
        let rcpt: Vec<_> = said.iter().filter(|line| line.starts_with("RCPT")).map(String::as_str).collect();
        assert_eq!(rcpt, ["RCPT TO:<a@x.net>", "RCPT TO:<root@lvs1>"]);
        assert!(said[0].starts_with("EHLO localhost.localdomain"), "{}", said[0]);
        assert!(said.iter().any(|line| line.starts_with("MAIL FROM:<root@lvs1>")), "{said:?}");
        for header in ["From: \"LVS\" <lvs@x.net>", "To: a@x.net, root", "Subject: =?utf-8?b?W0LDvHJvXQ==?= Deleted"] {
            assert!(said.iter().any(|line| line == header), "{header} in {said:?}");
        }
        assert_eq!(said[said.len() - 3..], ["..", "line", "."]);
    }

    #[test]
    fn one_recipient_that_is_refused_does_not_cost_the_others_their_mail() {
        let said = heard("nobody@x.net, a@x.net");
        let last = said.iter().rev().find(|line| line.starts_with("RCPT")).expect("somebody");
        assert_eq!(last, "RCPT TO:<a@x.net>");
        assert_eq!(said.last().map(String::as_str), Some("."));
    }
}
