//! `ldirectord`, the health checker.

use serde::{Deserialize, Serialize};

use crate::ipc::{CallError, Client, Fault};

/// Name in the greeting and of the socket; further instances are `ldirectord.NAME`.
pub const SPEAKS: &str = "ldirectord";

/// What may be asked.
///
/// ```
/// use lvs::control::ldirectord::Request;
///
/// let line = serde_json::to_string(&Request::Drain { real: "10.0.0.1:80".to_owned(), service: None })?;
/// assert_eq!(line, r#"{"op":"drain","real":"10.0.0.1:80"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// [`Status`], or its beginning; [`status`] asks for all of it. Rank read.
    Status {},
    /// [`Status`] from [`Status::next`] on. Rank read.
    More {
        /// The place to go on from.
        from: usize,
    },
    /// [`Status`] or its beginning, then notices. Rank read.
    Watch {},
    /// [`Ready`]. Rank read.
    Ready {},
    /// Reads the file again, as SIGHUP does. Rank operate.
    Reload {},
    /// Reads the file again, as [`Request::Reload`] does, and when that is programmed ends and leaves the table as it is:
    /// whoever asks starts the next one. Answered when the file has been read. Rank operate.
    HandOver {},
    /// Takes a real server out: weight 0 until `undrain`. Rank operate.
    Drain {
        /// `192.168.60.132:80`, or the address alone for each of its ports.
        real: String,
        /// Only in this virtual service, such as `tcp:192.168.60.200:80`; in all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// Puts a drained real server back under its checks. Rank operate.
    Undrain {
        /// As in [`Request::Drain`].
        real: String,
        /// As in [`Request::Drain`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// This node has the virtual addresses: heartbeatd's order. Answered when the table is
    /// programmed. Rank operate.
    Activate {},
    /// This node has given the virtual addresses away. Checks and table stay. Rank operate.
    Deactivate {},
}

/// Whether the table can be trusted.
///
/// ```
/// use lvs::control::ldirectord::Ready;
///
/// let it: Ready = serde_json::from_str(r#"{"ready":true}"#)?;
/// assert_eq!(it, Ready { ready: true, blind: false });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Every real server has been checked once since start or reload, and the table says what
    /// the checks found.
    pub ready: bool,
    /// Not one of the checked real servers answered its last check: this node may be cut off from
    /// them, and is not the one to give the addresses to.
    #[serde(default)]
    pub blind: bool,
}

/// Everything the checker knows.
///
/// ```no_run
/// use std::path::Path;
/// use lvs::control::ldirectord::{SPEAKS, Status, status};
/// use lvs::ipc::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::connect(Path::new("/run/lvs/ldirectord.sock"), SPEAKS).await?;
/// let Status { config, virtuals, .. } = status(&mut client).await?;
/// println!("{config}: {} virtual services", virtuals.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The file in use.
    pub config: String,
    /// As [`Ready::ready`].
    pub ready: bool,
    /// Whether heartbeatd said that this node has the addresses; `None` if it never said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// How the table is programmed: `helper` or `direct`.
    pub ipvs: String,
    /// Grows with each reload: pages of different generations do not belong together.
    #[serde(default)]
    pub generation: u64,
    /// The virtual services in the file's order. Where the last one has more servers than are
    /// here, the next page begins with it.
    pub virtuals: Vec<VirtualStatus>,
    /// There is more: ask for it with [`Request::More`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

/// Asks for the whole status, page by page.
///
/// # Errors
/// If a page cannot be had, or the daemon reloads faster than its status can be read.
pub async fn status(client: &mut Client) -> Result<Status, CallError> {
    for _ in 0..5 {
        let mut whole: Status = client.call(&Request::Status {}).await?;
        loop {
            let Some(from) = whole.next.take() else { return Ok(whole) };
            let page: Status = client.call(&Request::More { from }).await?;
            if page.generation != whole.generation {
                break;
            }
            whole.append(page);
        }
    }
    Err(Fault::new("failed", "it was reloaded while its status was read").into())
}

impl Status {
    fn append(&mut self, page: Self) {
        let mut virtuals = page.virtuals.into_iter().peekable();
        if let (Some(last), Some(first)) = (self.virtuals.last_mut(), virtuals.peek_mut())
            && last.id == first.id
        {
            last.reals.append(&mut first.reals);
            virtuals.next();
        }
        self.virtuals.extend(virtuals);
        self.next = page.next;
    }
}

/// One virtual service.
///
/// ```
/// use lvs::control::ldirectord::VirtualStatus;
///
/// let line = r#"{"id":"tcp:192.0.2.1:80","scheduler":"wrr","fallback_active":false,"reals":[]}"#;
/// let it: VirtualStatus = serde_json::from_str(line)?;
/// assert!(it.fallback.is_none() && !it.fallback_active);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VirtualStatus {
    /// `tcp:192.168.60.200:80` (spec/ldirectord.md 5.4).
    pub id: String,
    /// Scheduler.
    pub scheduler: String,
    /// Fallback server, if one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether the fallback serves now.
    pub fallback_active: bool,
    /// Changes that the kernel refused and that are tried again, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// Its real servers in the file's order.
    pub reals: Vec<RealStatus>,
}

/// What is thought of a real server.
///
/// ```
/// use lvs::control::ldirectord::RealState;
///
/// let it: RealState = serde_json::from_str(r#""drained""#)?;
/// assert_eq!(it, RealState::Drained);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RealState {
    /// Not checked yet.
    Unknown,
    /// Serves.
    Up,
    /// Failed its checks.
    Down,
    /// Taken out by an administrator.
    Drained,
    /// Taken out by a file in the maintenance directory.
    Maintenance,
}

/// One real server of one virtual service.
///
/// ```
/// use lvs::control::ldirectord::{RealState, RealStatus};
///
/// let it: RealStatus = serde_json::from_str(r#"{"real":"10.0.0.1:80","state":"up","weight":1,"failures":0}"#)?;
/// assert_eq!((it.state, it.weight), (RealState::Up, Some(1)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RealStatus {
    /// Address and port.
    pub real: String,
    /// What the checks say, or by what it was taken out.
    pub state: RealState,
    /// An order to drain holds, whatever the state is.
    #[serde(default)]
    pub drained: bool,
    /// The file in the maintenance directory that takes it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// What its agent said last (`agentport`), or why it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Weight it should have in the table now; `None` if it should not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Failed checks in a row, below `failurecount`.
    pub failures: u32,
    /// Seconds since the last check ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check_seconds_ago: Option<f64>,
    /// How long that check took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    /// Why the last check failed, or what it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The socket of the instance that reads this file: `ldirectord` for `ldirectord.cf`, else
/// `ldirectord.NAME` by the last component of the file's name. Without a file: the instance of `ldirectord.cf`.
#[must_use]
pub fn socket_name(config: &str) -> String {
    match config.rsplit('/').next().unwrap_or_default() {
        "" | "ldirectord" | "ldirectord.cf" => SPEAKS.to_owned(),
        name => format!("{SPEAKS}.{name}"),
    }
}
