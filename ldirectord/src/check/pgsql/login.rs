//! Logging in: PostgreSQL's methods, without a connection.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::message::{Message, Refusal, password};
use super::scram::{First, Keys, Last, MECHANISM};
use crate::check::stage::quoted;
use crate::config::model::Sql;

const OK: u32 = 0;
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Say this.
    Say(Zeroizing<Vec<u8>>),
    /// Wait for the next message.
    Wait,
    /// Logged in, and the server is ready.
    Ready,
    /// The server refuses.
    Refused(Refusal),
    /// The server says what cannot be.
    Lost(String),
}

enum Scram {
    No,
    Begun(First),
    Proven(Last),
}

/// A login under way.
pub struct Login<'a> {
    sql: &'a Sql,
    nonce: [u8; 18],
    scram: Scram,
    /// The server is satisfied, and so are we.
    in_order: bool,
}

impl<'a> Login<'a> {
    /// `nonce` is unpredictable.
    pub fn new(sql: &'a Sql, nonce: [u8; 18]) -> Self {
        Self { sql, nonce, scram: Scram::No, in_order: false }
    }

    /// Takes the server's next message.
    pub async fn hear(&mut self, message: &Message, keys: &Keys) -> Next {
        match message {
            Message::Login(kind, body) => match self.question(*kind, body, keys).await {
                Ok(next) => next,
                Err(why) => Next::Lost(why),
            },
            Message::Refused(refusal) => Next::Refused(refusal.clone()),
            Message::Ready if self.in_order => Next::Ready,
            Message::Noise => Next::Wait,
            other => Next::Lost(other.name()),
        }
    }

    async fn question(&mut self, kind: u32, body: &[u8], keys: &Keys) -> Result<Next, String> {
        let secret = self.sql.login.password.reveal();
        match (kind, std::mem::replace(&mut self.scram, Scram::No)) {
            (OK, Scram::No) => {
                self.in_order = true;
                Ok(Next::Wait)
            }
            (OK, _) => Err("an end of the login without a proof that the server knows the password".to_owned()),
            (CLEARTEXT, Scram::No) => Ok(Next::Say(password(&Zeroizing::new([secret.as_bytes(), &[0]].concat())))),
            (MD5, Scram::No) => {
                let salt: [u8; 4] = body.try_into().map_err(|_| "a salt that has not four bytes".to_owned())?;
                Ok(Next::Say(password(&hashed(&self.sql.login.name, secret, salt))))
            }
            (SASL, Scram::No) => {
                if !body.split(|&byte| byte == 0).any(|name| name == MECHANISM.as_bytes()) {
                    return Err(format!("a demand for one of the login methods {}", quoted(body)));
                }
                let first = First::new(self.nonce);
                let said = first.say();
                let length = u32::try_from(said.len()).unwrap_or(u32::MAX).to_be_bytes();
                let whole = [MECHANISM.as_bytes(), &[0], &length, said.as_bytes()].concat();
                self.scram = Scram::Begun(first);
                Ok(Next::Say(password(&whole)))
            }
            (SASL_CONTINUE, Scram::Begun(first)) => {
                let (said, last) = first.hear(body, secret, keys).await?;
                self.scram = Scram::Proven(last);
                Ok(Next::Say(password(said.as_bytes())))
            }
            (SASL_FINAL, Scram::Proven(last)) => {
                last.hear(body)?;
                Ok(Next::Wait)
            }
            (kind, _) => Err(format!("a demand for the login method {kind}, which is not known here")),
        }
    }
}

/// `md5` and the hash of (the hash of password and name) and salt.
fn hashed(name: &str, secret: &str, salt: [u8; 4]) -> Vec<u8> {
    let inner = hex(&Md5::new().chain_update(secret).chain_update(name).finalize());
    let outer = hex(&Md5::new().chain_update(inner).chain_update(salt).finalize());
    format!("md5{outer}\0").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::run;
    use crate::config::model::{Credentials, Secret, SqlEngine};
    use proptest::prelude::*;

    fn sql() -> Sql {
        Sql {
            engine: SqlEngine::Postgres,
            at: ([127, 0, 0, 1], 5432).into(),
            login: Credentials { name: "probe".to_owned(), password: Secret::new("s3cret".to_owned()) },
            database: String::new(),
            query: "SELECT 1".to_owned(),
        }
    }

    async fn last(messages: &[Message]) -> Next {
        let sql = sql();
        let mut login = Login::new(&sql, [7; 18]);
        let mut next = Next::Wait;
        for message in messages {
            next = login.hear(message, &Keys::default()).await;
        }
        next
    }

    #[test]
    fn passwords_are_said_as_the_server_asks() {
        run(async {
            assert_eq!(last(&[Message::Login(3, Vec::new())]).await, Next::Say(password(b"s3cret\0")));
            // md5(md5("s3cretprobe") + 1 2 3 4), by md5sum.
            let hashed = password(b"md5aa3c39422cff2688411ab425de60c255\0");
            assert_eq!(last(&[Message::Login(5, vec![1, 2, 3, 4])]).await, Next::Say(hashed));
            let Next::Say(said) = last(&[Message::Login(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0".to_vec())]).await
            else {
                panic!("SCRAM")
            };
            assert_eq!(said[5..], *b"SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=BwcHBwcHBwcHBwcHBwcHBwcH");
        });
    }

    #[test]
    fn it_is_ready_only_after_the_login() {
        run(async {
            assert_eq!(last(&[Message::Login(0, Vec::new()), Message::Noise, Message::Ready]).await, Next::Ready);
            assert_eq!(last(&[Message::Ready]).await, Next::Lost("the end of an answer".to_owned()));
            let early = [Message::Login(10, b"SCRAM-SHA-256\0\0".to_vec()), Message::Login(0, Vec::new())];
            let Next::Lost(why) = last(&early).await else { panic!("no proof") };
            assert!(why.contains("without a proof"), "{why}");
        });
    }

    #[test]
    fn what_cannot_be_is_told() {
        run(async {
            for (message, wanted) in [
                (Message::Login(7, Vec::new()), "login method 7, which is not known here"),
                (Message::Login(5, vec![1, 2, 3]), "a salt that has not four bytes"),
                (Message::Login(10, b"OAUTHBEARER\0\0".to_vec()), r#"login methods "OAUTHBEARER\0\0""#),
                (Message::Login(11, Vec::new()), "login method 11"),
                (Message::Row, "a row"),
            ] {
                let Next::Lost(why) = last(&[message]).await else { panic!("{wanted}") };
                assert!(why.contains(wanted), "{why}");
            }
        });
    }

    proptest! {
        #[test]
        fn any_questions_are_taken(questions in prop::collection::vec((0..13_u32, prop::collection::vec(any::<u8>(), 0..40)), 0..5)) {
            run(async move {
                let messages: Vec<Message> = questions.into_iter().map(|(kind, body)| Message::Login(kind, body)).collect();
                let _ = last(&messages).await;
            });
        }
    }
}
