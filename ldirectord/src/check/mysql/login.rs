//! Logging in: the methods of MySQL and MariaDB, without a connection.

use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest;
use zeroize::Zeroizing;

use super::packet::{CLIENT_SSL, EOF, Greeting, MORE, OK, Packet, emit, take, take_text};
use super::public_key::PublicKey;
use crate::check::stage::quoted;
use crate::config::model::Sql;

/// What the client can do, in MySQL's names: long password, protocol 4.1, transactions, secure
/// connection, plugin authentication. That it can end lists without an EOF packet is not said.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
const CLIENT_CONNECT_WITH_DB: u32 = 0x8;

/// Most bytes of a packet that the client is prepared for.
const MAX_PACKET: u32 = 0x100_0000;

/// `utf8mb4_general_ci`.
const CHARACTER_SET: u8 = 45;

/// What a server answers that lets nobody in without TLS, or not this user: MySQL's
/// `ER_SECURE_TRANSPORT_REQUIRED`, and `ER_ACCESS_DENIED_ERROR`, which may mean a wrong password, too.
const TLS_REQUIRED: [u16; 2] = [3159, 1045];

/// How a password is shown to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// `mysql_native_password`: a double SHA-1.
    Native,
    /// `caching_sha2_password`: a double SHA-256 if the server remembers the password, else the password itself.
    CachingSha2,
    /// `sha256_password`: the password itself.
    Sha256,
}

impl Method {
    fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Native, Self::CachingSha2, Self::Sha256].into_iter().find(|method| method.name().as_bytes() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
        }
    }

    /// The word by which the server's key is asked for.
    fn key_request(self) -> &'static [u8] {
        match self {
            Self::Sha256 => &[1],
            Self::Native | Self::CachingSha2 => &[2],
        }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Say this.
    Say(Zeroizing<Vec<u8>>),
    /// Wait for the next packet.
    Wait,
    /// Logged in.
    In,
    /// Begin again with TLS; why.
    NeedsTls(String),
    /// Not let in; why.
    Refused(String),
}

/// A login under way.
pub struct Login<'a> {
    sql: &'a Sql,
    greeting: Greeting,
    method: Method,
    /// Whether the connection has TLS.
    encrypted: bool,
    /// For the padding of an encrypted password.
    seed: [u8; 20],
    key_asked: bool,
}

impl<'a> Login<'a> {
    /// Begins with the server's greeting.
    pub fn new(sql: &'a Sql, greeting: Greeting, encrypted: bool, seed: [u8; 20]) -> Self {
        // A server whose own method is unknown here may still have users with another one.
        let method = Method::from_name(&greeting.method).unwrap_or(Method::Native);
        Self { sql, greeting, method, encrypted, seed, key_asked: false }
    }

    /// The packet after which TLS begins.
    pub fn tls_request(&self) -> Zeroizing<Vec<u8>> {
        emit(1, &self.head())
    }

    /// The first packet, or the first one over TLS.
    pub fn begin(&mut self) -> Zeroizing<Vec<u8>> {
        let mut body = Zeroizing::new(self.head());
        body.extend_from_slice(self.sql.login.name.as_bytes());
        body.push(0);
        let proof = self.proof();
        // 255 bytes are the longest that fit; a longer password comes when it is asked for.
        let length = u8::try_from(proof.len()).unwrap_or_default();
        body.push(length);
        body.extend_from_slice(&proof[..usize::from(length)]);
        if !self.sql.database.is_empty() {
            body.extend_from_slice(self.sql.database.as_bytes());
            body.push(0);
        }
        body.extend_from_slice(self.method.name().as_bytes());
        body.push(0);
        emit(if self.encrypted { 2 } else { 1 }, &body)
    }

    fn head(&self) -> Vec<u8> {
        let mut capabilities = CAPABILITIES;
        if self.encrypted {
            capabilities |= CLIENT_SSL;
        }
        if !self.sql.database.is_empty() {
            capabilities |= CLIENT_CONNECT_WITH_DB;
        }
        let mut head = [capabilities.to_le_bytes(), MAX_PACKET.to_le_bytes()].concat();
        head.push(CHARACTER_SET);
        head.resize(32, 0);
        head
    }

    fn password(&self) -> &[u8] {
        self.sql.login.password.reveal().as_bytes()
    }

    /// The password and the zero that ends it.
    fn plain(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.password(), &[0]].concat())
    }

    fn proof(&mut self) -> Zeroizing<Vec<u8>> {
        let (password, scramble) = (self.password(), self.greeting.scramble.as_slice());
        Zeroizing::new(match self.method {
            _ if password.is_empty() => Vec::new(),
            Method::Native => {
                let once = Sha1::digest(password);
                let salted = Sha1::new().chain_update(scramble).chain_update(Sha1::digest(once)).finalize();
                xor(&once, &salted)
            }
            Method::CachingSha2 => {
                let once = Sha256::digest(password);
                let salted = Sha256::new().chain_update(Sha256::digest(once)).chain_update(scramble).finalize();
                xor(&once, &salted)
            }
            Method::Sha256 if self.encrypted => return self.plain(),
            Method::Sha256 => {
                self.key_asked = true;
                self.method.key_request().to_vec()
            }
        })
    }

    /// Takes the server's next packet.
    pub fn hear(&mut self, packet: &Packet) -> Next {
        let number = packet.number.wrapping_add(1);
        if let Some(refusal) = packet.refusal() {
            // Without TLS a server may also have no key to encrypt a password with.
            let wants_tls = TLS_REQUIRED.contains(&refusal.code) || self.key_asked;
            let may_have_it = wants_tls && !self.encrypted && self.greeting.speaks_tls;
            return if may_have_it { Next::NeedsTls(refusal.to_string()) } else { Next::Refused(refusal.to_string()) };
        }
        match packet.body.as_slice() {
            [OK, ..] => Next::In,
            [EOF, switch @ ..] => self.switch(switch, number),
            [MORE, more @ ..] => self.more(more, number),
            other => Next::Refused(format!("another packet, {}", quoted(other))),
        }
    }

    /// Another method is asked for.
    fn switch(&mut self, mut body: &[u8], number: u8) -> Next {
        let Some(name) = take_text(&mut body) else {
            return Next::Refused("a demand for a login of before MySQL 4.1".to_owned());
        };
        let Some(method) = Method::from_name(name) else {
            return Next::Refused(format!("a demand for the login method {}, which is not known here", quoted(name)));
        };
        self.method = method;
        self.greeting.scramble = take(&mut body, 20).unwrap_or(body).to_vec();
        Next::Say(emit(number, &self.proof()))
    }

    /// The method's own words.
    fn more(&mut self, more: &[u8], number: u8) -> Next {
        match (self.method, more) {
            // The server remembers the password; "OK" follows.
            (Method::CachingSha2, [3]) => Next::Wait,
            (Method::CachingSha2, [4]) if self.encrypted => Next::Say(emit(number, &self.plain())),
            (Method::CachingSha2, [4]) if !self.key_asked => {
                self.key_asked = true;
                Next::Say(emit(number, self.method.key_request()))
            }
            (Method::CachingSha2 | Method::Sha256, key) if self.key_asked => {
                self.key_asked = false;
                match self.encrypt(key) {
                    Ok(encrypted) => Next::Say(emit(number, &encrypted)),
                    Err(why) => Next::Refused(why.to_owned()),
                }
            }
            (method, _) => Next::Refused(format!("a word that {} does not have", method.name())),
        }
    }

    /// The password, masked and encrypted with the server's key.
    fn encrypt(&self, key: &[u8]) -> Result<Vec<u8>, &'static str> {
        let key = PublicKey::from_pem(key).ok_or("a key that cannot be read")?;
        let mask = self.greeting.scramble.iter().cycle();
        let masked: Zeroizing<Vec<u8>> = Zeroizing::new(self.plain().iter().zip(mask).map(|(a, b)| a ^ b).collect());
        key.encrypt(&masked, self.seed).ok_or("a key that is too short for the password")
    }
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Credentials, Secret, SqlEngine};
    use proptest::prelude::*;

    fn sql(password: &str) -> Sql {
        Sql {
            engine: SqlEngine::MySql,
            at: ([127, 0, 0, 1], 3306).into(),
            login: Credentials { name: "probe".to_owned(), password: Secret::new(password.to_owned()) },
            database: "shop".to_owned(),
            query: "SELECT 1".to_owned(),
        }
    }

    fn greeting(method: &str) -> Greeting {
        Greeting { scramble: b"01234567890123456789".to_vec(), speaks_tls: true, method: method.as_bytes().to_vec() }
    }

    fn login<'a>(sql: &'a Sql, method: &str, encrypted: bool) -> Login<'a> {
        Login::new(sql, greeting(method), encrypted, [7; 20])
    }

    fn packet(body: &[u8]) -> Packet {
        Packet { number: 2, body: body.to_vec(), whole: true }
    }

    #[test]
    fn proofs_are_those_of_other_clients() {
        // What go-sql-driver's tests expect of the same scramble and password.
        let scramble = [10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21];
        for (password, wanted) in [
            ("secret", "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c"),
            ("secret2", "abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6"),
        ] {
            let sql = sql(password);
            let mut login = login(&sql, "caching_sha2_password", false);
            login.greeting.scramble = scramble.to_vec();
            let proof: String = login.proof().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(proof, wanted);
        }
    }

    #[test]
    fn the_first_packet_names_user_database_and_method() {
        let sql = sql("");
        let said = login(&sql, "mysql_native_password", false).begin();
        assert_eq!(said[..4], [32 + 6 + 1 + 5 + 22, 0, 0, 1]);
        assert_eq!(said[36..], *b"probe\0\0shop\0mysql_native_password\0");
        assert_eq!(u32::from_le_bytes([said[4], said[5], said[6], said[7]]) & 0x808, 0x008);
        let over_tls = login(&sql, "unknown", true).begin();
        assert_eq!(over_tls[3], 2);
        assert!(over_tls.ends_with(b"\0mysql_native_password\0"));
    }

    #[test]
    fn a_remembered_password_is_enough() {
        let sql = sql("s3cret");
        let mut login = login(&sql, "caching_sha2_password", false);
        login.begin();
        assert_eq!(login.hear(&packet(&[1, 3])), Next::Wait);
        assert_eq!(login.hear(&packet(&[0, 0, 0, 2, 0, 0, 0])), Next::In);
    }

    #[test]
    fn over_tls_the_password_itself_is_said_and_without_it_never() {
        let sql = sql("s3cret");
        let mut encrypted = login(&sql, "caching_sha2_password", true);
        assert_eq!(encrypted.hear(&packet(&[1, 4])), Next::Say(emit(3, b"s3cret\0")));
        let mut plain = login(&sql, "caching_sha2_password", false);
        assert_eq!(plain.hear(&packet(&[1, 4])), Next::Say(emit(3, &[2])));
        let refused = plain.hear(&packet(b"\xff\x15\x04#28000No key"));
        assert_eq!(refused, Next::NeedsTls("error 1045 \"No key\"".to_owned()));
        let garbage = login(&sql, "caching_sha2_password", false);
        let mut garbage = Login { key_asked: true, ..garbage };
        assert_eq!(garbage.hear(&packet(b"\x01no key")), Next::Refused("a key that cannot be read".to_owned()));
    }

    #[test]
    fn a_server_that_insists_on_tls_gets_it_once() {
        let sql = sql("s3cret");
        for demand in [b"\xff\x57\x0c#HY000insecure transport".as_slice(), b"\xff\x15\x04#28000Access denied"] {
            let demand = packet(demand);
            assert!(matches!(login(&sql, "mysql_native_password", false).hear(&demand), Next::NeedsTls(_)));
            assert!(matches!(login(&sql, "mysql_native_password", true).hear(&demand), Next::Refused(_)));
        }
    }

    #[test]
    fn another_method_may_be_asked_for() {
        let sql = sql("s3cret");
        let mut login = login(&sql, "caching_sha2_password", false);
        let Next::Say(said) = login.hear(&packet(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0")) else {
            panic!("a proof")
        };
        assert_eq!((said.len(), said[3]), (24, 3));
        assert_eq!(login.greeting.scramble, b"abcdefghijklmnopqrst");
        for (body, wanted) in [
            (b"\xfe".as_slice(), "before MySQL 4.1"),
            (b"\xfeclient_ed25519\0abc", "\"client_ed25519\", which is not known here"),
            (b"\x01\x09", "a word that mysql_native_password does not have"),
            (b"", "another packet"),
        ] {
            let Next::Refused(why) = login.hear(&packet(body)) else { panic!("{wanted}") };
            assert!(why.contains(wanted), "{why}");
        }
    }

    proptest! {
        #[test]
        fn any_packets_are_taken(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6), encrypted: bool) {
            let sql = sql("s3cret");
            let mut login = login(&sql, "caching_sha2_password", encrypted);
            for body in bodies {
                let _ = login.hear(&packet(&body));
            }
        }
    }
}
