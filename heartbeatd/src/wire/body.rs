//! What a message says, typed: the kinds that matter between two haresources nodes
//! (spec/heartbeat.md 4.7).

use std::time::Duration;

use super::message::{Malformed, Message};

/// A node's own word about itself (spec 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeStatus {
    /// Just started.
    Init,
    /// Runs, communication not yet up.
    Up,
    /// Full member.
    Active,
    /// Only in `shutdone`: all resources are released.
    Dead,
    /// A ping node that answers.
    Ping,
}

/// Which of the two bags of resources, from the point of view of who says it (spec 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Neither.
    None,
    /// The groups that are at home on the sender.
    Local,
    /// The groups that are at home on the other node.
    Foreign,
    /// Both.
    All,
}

/// A step of the standby protocol (spec 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// "I want to give these away."
    Me,
    /// "I can take them."
    Other,
    /// "Released" from the giver, "acquired" from the taker.
    Done,
}

/// The message by kind, with its own fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `status`: the heartbeat itself.
    Status {
        /// Where the sender is in its life.
        status: NodeStatus,
        /// After how long a silence the sender wants to be declared dead (`dt`, ms on the
        /// wire). Not bounded here.
        deadtime: Option<Duration>,
        /// Missing in very old versions, which then do no flow control.
        protocol: Option<u64>,
    },
    /// `NS_ackmsg`: everything up to `seq` has arrived.
    Ack {
        /// Whose messages are acknowledged.
        dest: String,
        /// The highest number.
        seq: u64,
    },
    /// `NS_rexmit`: please send these again.
    Rexmit {
        /// Who shall send them.
        dest: String,
        /// First number.
        first: u64,
        /// Last number, not below the first.
        last: u64,
    },
    /// `NS_nak_rexmit`: cannot be sent again.
    NakRexmit {
        /// Who had asked.
        dest: String,
        /// The number.
        seq: u64,
        /// `seqno too low` or `seqno not found`.
        info: String,
    },
    /// `reqnodes`: which nodes do you know?
    ReqNodes {
        /// Who is asked.
        dest: String,
    },
    /// `repnodes`: the answer.
    RepNodes {
        /// Who had asked.
        dest: String,
        /// Names as in ha.cf.
        nodes: Vec<String>,
        /// Names taken out at run time; none in haresources mode.
        deleted: Vec<String>,
    },
    /// `starting`: my communication is up.
    Starting,
    /// `resource`: what I hold.
    Resource {
        /// The bags.
        hold: Hold,
        /// `rtype=full`: `hold` is the whole truth. Without, it is added to what was known.
        full: bool,
        /// `isstable`; absent in messages from scripts.
        stable: Option<bool>,
        /// `req_our_resources()`, `shutdown`, `standby`, `mach_down`.
        info: Option<String>,
    },
    /// `ask_resources`: the standby protocol.
    AskResources {
        /// What is given away, from the giver's point of view.
        hold: Hold,
        /// The step.
        phase: Phase,
    },
    /// `hb_takeover`: the sender's administrator wants the receiver to go standby.
    HbTakeover {
        /// What the sender wants to have, from its own point of view. `failback` arrives
        /// as [`Hold::Local`]: its own groups are to come home (fault 5).
        hold: Hold,
    },
    /// `ip-request`: legacy mode asks for a group.
    IpRequest {
        /// First resource of the group, as written.
        key: String,
    },
    /// `ip-request-resp`: its answer; in nice mode heartbeat sends it to itself.
    IpRequestResp {
        /// For whom.
        dest: String,
        /// First resource of the group.
        key: String,
        /// The sender had the group.
        we_own: bool,
        /// The sender has released it or never had it.
        ok: bool,
    },
    /// `shutdone`: everything is released, I am leaving.
    Shutdone,
    /// `stonith`: how fencing went; informative.
    Stonith {
        /// The victim.
        node: String,
        /// `OK`, `badhost`, `bad`, `n_stnth`, `unneeded`.
        result: String,
    },
    /// From a client of the sender's heartbeat to one here.
    Client {
        /// For whom.
        dest: String,
        /// What it says.
        word: ClientWord,
    },
    /// Any other kind, among them others of the client API.
    Unknown {
        /// Field `t`.
        kind: String,
    },
}

/// What ipfail says to ipfail, and the question whether it is there (spec 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientWord {
    /// `num_ping_nodes`: so many ping nodes answer me.
    PingNodes {
        /// How many.
        count: u64,
    },
    /// `abort_giveup`: as many answer me.
    Balanced,
    /// `you_are_dead`: more of them answer me.
    YouAreDead,
    /// `query-cstatus`: does this client run there?
    Query {
        /// The client.
        client: String,
        /// Whom to answer.
        from: String,
    },
    /// `respond-cstatus`.
    Answer {
        /// The client.
        client: String,
        /// Who had asked.
        to: String,
        /// Whether it runs.
        online: bool,
    },
}

/// A closed vocabulary with its words on the wire.
trait Word: Sized + Copy + PartialEq + 'static {
    const WORDS: &'static [(Self, &'static str)];

    fn parse(field: &'static str, text: &str) -> Result<Self, Malformed> {
        let known = Self::WORDS.iter().find(|(_, word)| *word == text);
        known.map(|&(value, _)| value).ok_or(Malformed::UnknownWord(field))
    }

    fn word(self) -> &'static str {
        // Every value stands in its table; `words_and_values_match` holds that.
        Self::WORDS.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }
}

impl Word for NodeStatus {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Init, "init"), (Self::Up, "up"), (Self::Active, "active"), (Self::Dead, "dead"), (Self::Ping, "ping")];
}

impl Word for Hold {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::None, "none"), (Self::Local, "local"), (Self::Foreign, "foreign"), (Self::All, "all")];
}

impl Word for Phase {
    const WORDS: &'static [(Self, &'static str)] = &[(Self::Me, "me"), (Self::Other, "other"), (Self::Done, "done")];
}

impl NodeStatus {
    /// The word on the wire and in log lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Hold {
    /// The word on the wire and in log lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }

    /// The same bags seen from the other node.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Local => Self::Foreign,
            Self::Foreign => Self::Local,
            Self::None | Self::All => self,
        }
    }
}

impl Phase {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

fn names(list: &str) -> Vec<String> {
    list.split_ascii_whitespace().map(str::to_ascii_lowercase).collect()
}

/// Each name followed by a blank; an empty list is one blank (spec 4.7, `repnodes`).
fn name_list(names: &[String]) -> String {
    if names.is_empty() { " ".into() } else { names.iter().map(|name| format!("{name} ")).collect() }
}

impl Message {
    /// What the message says.
    ///
    /// # Errors
    /// A kind we know lacks a field it must have, or holds a number or word that is none.
    pub fn body(&self) -> Result<Body, Malformed> {
        let dest = || self.expect("dest").map(str::to_ascii_lowercase);
        let owned = |name| self.expect(name).map(str::to_owned);
        let required = |name, number: Option<u64>| number.ok_or(Malformed::Missing(name));
        let hold = || Hold::parse("rsc_hold", self.expect("rsc_hold")?);
        Ok(match self.expect("t")? {
            "status" => Body::Status {
                status: NodeStatus::parse("st", self.expect("st")?)?,
                deadtime: self.hex("dt")?.map(Duration::from_millis),
                protocol: self.decimal("protocol")?,
            },
            "NS_ackmsg" => Body::Ack { dest: dest()?, seq: required("ackseq", self.hex("ackseq")?)? },
            "NS_rexmit" => {
                let first = required("firstseq", self.decimal("firstseq")?)?;
                let last = required("lastseq", self.decimal("lastseq")?)?;
                if first == 0 {
                    return Err(Malformed::Zero("firstseq"));
                }
                if last < first {
                    return Err(Malformed::NotANumber("lastseq"));
                }
                Body::Rexmit { dest: dest()?, first, last }
            }
            "NS_nak_rexmit" => Body::NakRexmit {
                dest: dest()?,
                seq: required("firstseq", self.hex("firstseq")?)?,
                info: self.text("info").unwrap_or_default().to_owned(),
            },
            "reqnodes" => Body::ReqNodes { dest: dest()? },
            "repnodes" => Body::RepNodes {
                dest: dest()?,
                nodes: names(self.expect("nodelist")?),
                deleted: names(self.text("delnodelist").unwrap_or_default()),
            },
            "starting" => Body::Starting,
            "resource" => Body::Resource {
                hold: hold()?,
                full: self.text("rtype") == Some("full"),
                stable: match self.text("isstable") {
                    None => None,
                    Some("1") => Some(true),
                    Some("0") => Some(false),
                    Some(_) => return Err(Malformed::UnknownWord("isstable")),
                },
                info: self.text("info").map(str::to_owned),
            },
            "ask_resources" => Body::AskResources { hold: hold()?, phase: Phase::parse("info", self.expect("info")?)? },
            "hb_takeover" => {
                Body::HbTakeover { hold: if self.text("rsc_hold") == Some("failback") { Hold::Local } else { hold()? } }
            }
            "ip-request" => Body::IpRequest { key: owned("ipaddr")? },
            "ip-request-resp" => Body::IpRequestResp {
                dest: dest()?,
                key: owned("ipaddr")?,
                we_own: self.text("weown") == Some("yes"),
                ok: self.text("ok") == Some("OK"),
            },
            "shutdone" => Body::Shutdone,
            "stonith" => Body::Stonith { node: owned("node")?.to_ascii_lowercase(), result: owned("result")? },
            "num_ping_nodes" => {
                let count = required("num_ping", self.decimal("num_ping")?)?;
                Body::Client { dest: dest()?, word: ClientWord::PingNodes { count } }
            }
            "abort_giveup" => Body::Client { dest: dest()?, word: ClientWord::Balanced },
            "you_are_dead" => Body::Client { dest: dest()?, word: ClientWord::YouAreDead },
            "query-cstatus" => Body::Client {
                dest: dest()?,
                word: ClientWord::Query { client: owned("cn")?, from: owned("from_id")? },
            },
            "respond-cstatus" => {
                let online = self.text("cs") == Some("online");
                let word = ClientWord::Answer { client: owned("cn")?, to: owned("to_id")?, online };
                Body::Client { dest: dest()?, word }
            }
            kind => Body::Unknown { kind: kind.to_owned() },
        })
    }
}

impl From<&Body> for Message {
    /// The message's own fields in the order heartbeat sends them; [`Message::complete`]
    /// adds the rest.
    fn from(body: &Body) -> Self {
        let hex = |number: &u64| format!("{number:x}");
        match body {
            Body::Status { status, deadtime, protocol } => {
                let mut message = Self::new("status").with("st", status.as_str());
                if let Some(deadtime) = deadtime {
                    message = message.with("dt", format!("{:x}", deadtime.as_millis()));
                }
                match protocol {
                    Some(protocol) => message.with("protocol", protocol.to_string()),
                    None => message,
                }
            }
            Body::Ack { dest, seq } => Self::new("NS_ackmsg").with("dest", dest.as_str()).with("ackseq", hex(seq)),
            Body::Rexmit { dest, first, last } => Self::new("NS_rexmit")
                .with("dest", dest.as_str())
                .with("firstseq", first.to_string())
                .with("lastseq", last.to_string()),
            Body::NakRexmit { dest, seq, info } => Self::new("NS_nak_rexmit")
                .with("firstseq", hex(seq))
                .with("dest", dest.as_str())
                .with("info", info.as_str()),
            Body::ReqNodes { dest } => Self::new("reqnodes").with("dest", dest.as_str()),
            Body::RepNodes { dest, nodes, deleted } => Self::default()
                .with("dest", dest.as_str())
                .with("t", "repnodes")
                .with("nodelist", name_list(nodes))
                .with("delnodelist", name_list(deleted)),
            Body::Starting => Self::new("starting"),
            Body::Resource { hold, full, stable, info } => {
                let mut message = Self::new("resource").with("rsc_hold", hold.as_str());
                if *full {
                    message = message.with("rtype", "full");
                }
                if let Some(stable) = stable {
                    message = message.with("isstable", if *stable { "1" } else { "0" });
                }
                match info {
                    Some(info) => message.with("info", info.as_str()),
                    None => message,
                }
            }
            Body::AskResources { hold, phase } => {
                Self::new("ask_resources").with("rsc_hold", hold.as_str()).with("info", phase.as_str())
            }
            Body::HbTakeover { hold } => Self::new("hb_takeover").with("rsc_hold", hold.as_str()),
            Body::IpRequest { key } => Self::new("ip-request").with("ipaddr", key.as_str()),
            Body::IpRequestResp { dest, key, we_own, ok } => Self::new("ip-request-resp")
                .with("dest", dest.as_str())
                .with("ipaddr", key.as_str())
                .with("weown", if *we_own { "yes" } else { "no" })
                .with("ok", if *ok { "OK" } else { "bad" }),
            Body::Shutdone => Self::new("shutdone").with("st", NodeStatus::Dead.as_str()),
            Body::Stonith { node, result } => {
                Self::new("stonith").with("node", node.as_str()).with("result", result.as_str())
            }
            Body::Client { dest, word } => client(dest, word),
            Body::Unknown { kind } => Self::new(kind),
        }
    }
}

fn client(dest: &str, word: &ClientWord) -> Message {
    let ipfail = |message: Message| {
        message.with("dest", dest).with("from_id", "ipfail").with("to_id", "ipfail").with("client_gen", "0")
    };
    match word {
        ClientWord::PingNodes { count } => ipfail(Message::new("num_ping_nodes").with("num_ping", count.to_string())),
        ClientWord::Balanced => ipfail(Message::new("abort_giveup")),
        ClientWord::YouAreDead => ipfail(Message::new("you_are_dead")),
        ClientWord::Query { client, from } => {
            Message::new("query-cstatus").with("dest", dest).with("cn", client.as_str()).with("from_id", from.as_str())
        }
        ClientWord::Answer { client, to, online } => Message::new("respond-cstatus")
            .with("dest", dest)
            .with("result", "OK")
            .with("cn", client.as_str())
            .with("to_id", to.as_str())
            .with("cs", if *online { "online" } else { "offline" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_match() {
        fn check<W: Word + std::fmt::Debug>() {
            for &(value, word) in W::WORDS {
                assert_eq!((W::parse("x", word), value.word()), (Ok(value), word));
            }
            assert_eq!(W::parse("x", "ACTIVE"), Err(Malformed::UnknownWord("x")));
        }
        check::<NodeStatus>();
        check::<Hold>();
        check::<Phase>();
    }

    #[test]
    fn retransmission_counts_in_decimal_and_its_refusal_in_hexadecimal() {
        let ask = Message::new("NS_rexmit").with("dest", "Node1").with("firstseq", "42").with("lastseq", "42");
        assert_eq!(ask.body(), Ok(Body::Rexmit { dest: "node1".into(), first: 42, last: 42 }));
        let nak = Message::new("NS_nak_rexmit").with("firstseq", "2a").with("dest", "node1");
        assert_eq!(nak.body(), Ok(Body::NakRexmit { dest: "node1".into(), seq: 42, info: String::new() }));
    }

    #[test]
    fn a_retransmission_request_that_makes_no_sense_is_malformed() {
        let ask = |first: &str, last: &str| {
            Message::new("NS_rexmit").with("dest", "a").with("firstseq", first).with("lastseq", last).body()
        };
        assert_eq!(ask("0", "1"), Err(Malformed::Zero("firstseq")));
        assert_eq!(ask("5", "4"), Err(Malformed::NotANumber("lastseq")));
        assert_eq!(ask("2a", "42"), Err(Malformed::NotANumber("firstseq")));
    }

    #[test]
    fn a_wish_for_failback_means_the_senders_own_groups() {
        let wish = Message::new("hb_takeover").with("rsc_hold", "failback");
        assert_eq!(wish.body(), Ok(Body::HbTakeover { hold: Hold::Local }));
    }

    #[test]
    fn an_unknown_kind_is_kept_and_a_known_one_that_lacks_a_field_is_malformed() {
        assert_eq!(Message::new("addnode").body(), Ok(Body::Unknown { kind: "addnode".into() }));
        assert_eq!(Message::new("resource").body(), Err(Malformed::Missing("rsc_hold")));
        assert_eq!(Message::default().body(), Err(Malformed::Missing("t")));
    }
}
