//! What goes on beside checks and table: mails, monitor files, commands, other instances, the
//! maintenance directory, and the configuration file itself. Everything that may take long is a
//! task; what comes of it is [`News`] for the director.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lvs::daemon::node_name;
use rustix::process::geteuid;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::alert::post::Post;
use crate::alert::{Alerts, Phase};
use crate::children;
use crate::command::{Command, Outcome};
use crate::config::Config;
use crate::config::model::Globals;
use crate::farm::Errand;
use crate::file_watch::{self, Happened};
use crate::maintenance::{self, Posted};
use crate::monitor::{Entry, Monitor};
use crate::notice::Notice;

/// How long a command of the file may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where mail relays listen.
const SMTP: u16 = 25;

/// What came of something outside.
#[derive(Debug)]
pub enum News {
    /// The maintenance directory has changed.
    Posted(Posted),
    /// The configuration file has changed.
    File(Happened),
    /// A fallback command ended.
    ErrandDone {
        /// For which service.
        service: String,
        /// What it was.
        what: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// Another command ended.
    CommandDone {
        /// What it was.
        what: String,
        /// How it ended.
        outcome: Outcome,
    },
}

/// See above.
#[derive(Debug)]
pub struct Outside {
    alerts: Alerts,
    post: Post,
    monitor: Monitor,
    news_in: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
    /// Services whose command runs, and what is to be run afterwards.
    errands: HashMap<String, Option<Errand>>,
    /// Who is told of the changes of a service, by `notify`.
    listeners: HashMap<String, Listener>,
    children: Vec<String>,
    telling: JoinSet<()>,
    config_file: PathBuf,
    watching: Vec<AbortHandle>,
    /// The directory that is watched, and what is known of it.
    posted: Option<(PathBuf, Posted)>,
    globals: Globals,
    phase: Phase,
}

impl Outside {
    /// Opens what needs privileges to be opened. `config_file` is the path of the configuration from
    /// the root.
    #[must_use]
    pub fn new(config: &Config, config_file: PathBuf) -> Self {
        let host = node_name();
        let uid = geteuid().as_raw();
        let user = lvs::daemon::privilege::name_of(uid).unwrap_or_else(|| uid.to_string());
        let (news_in, news) = mpsc::unbounded_channel();
        Self {
            alerts: Alerts::of(config, &host),
            post: Post::new(&user, &host, SMTP),
            monitor: Monitor::of(config),
            news_in,
            news,
            errands: HashMap::new(),
            listeners: HashMap::new(),
            children: Vec::new(),
            telling: JoinSet::new(),
            config_file,
            watching: Vec::new(),
            posted: None,
            globals: config.globals.clone(),
            phase: Phase::Starting,
        }
    }

    /// Starts the other instances (`execute`): before privileges are given up, which they need too.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_children(&mut self) {
        self.tell_children(self.globals.execute.clone());
    }

    fn tell_children(&mut self, after: Vec<String>) {
        let mut order = children::orders(&self.children, &after);
        // A configuration that is named twice is one instance.
        let mut seen = HashSet::new();
        order.retain(|(_, config)| seen.insert(config.clone()));
        for (word, config) in order {
            self.telling.spawn(children::tell(word, config));
        }
        self.children = after;
    }

    /// Begins to watch, and says what is in the maintenance directory now.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn begin(&mut self, config: &Config) -> Posted {
        self.watch(config)
    }

    /// Another configuration is in force; what is in its maintenance directory now.
    #[must_use]
    pub fn follow(&mut self, config: &Config) -> Posted {
        self.globals = config.globals.clone();
        self.alerts.follow(config);
        self.monitor.follow(config);
        self.tell_children(config.globals.execute.clone());
        self.phase = Phase::Reloading;
        self.watch(config)
    }

    fn watch(&mut self, config: &Config) -> Posted {
        self.listen(config);
        self.watching.drain(..).for_each(|task| task.abort());
        let tell = self.news_in.clone();
        let interval = config.globals.check_interval;
        let path = self.config_file.clone();
        let watching = file_watch::watch(path, interval, move |happened| tell.send(News::File(happened)).is_ok());
        self.watching.push(tokio::spawn(watching).abort_handle());
        let directory = config.globals.maintenance_directory.clone();
        let before = self.posted.take();
        let Some(directory) = directory else { return Posted::default() };
        let names = before.filter(|(known, _)| *known == directory).map(|(_, posted)| posted.names).unwrap_or_default();
        // What cannot be read now is told by the task.
        let posted = Posted { files: maintenance::files(&directory).unwrap_or_default(), names };
        let mut addresses: Vec<_> = config.virtuals.iter().flat_map(|v| &v.reals).map(|real| real.at.ip()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let tell = maintenance::by_channel(self.news_in.clone(), News::Posted);
        let watching = maintenance::watch(directory.clone(), addresses, posted.clone(), tell);
        self.watching.push(tokio::spawn(watching).abort_handle());
        self.posted = Some((directory, posted.clone()));
        posted
    }

    /// Remembers what was posted.
    pub fn note_posted(&mut self, posted: &Posted) {
        if let Some((_, known)) = &mut self.posted {
            known.clone_from(posted);
        }
    }

    /// The next of the news. Cancel-safe.
    pub async fn next(&mut self) -> News {
        loop {
            tokio::select! {
                Some(news) = self.news.recv() => return news,
                Some(_) = self.telling.join_next() => {}
                // A sender is kept, so the news never end.
                else => std::future::pending().await,
            }
        }
    }

    /// Every server was checked.
    pub fn ready(&mut self) {
        self.phase = Phase::Running;
    }

    /// The program stops: so do the other instances.
    pub fn stopping(&mut self) {
        self.phase = Phase::Stopping;
        self.tell_children(Vec::new());
    }

    /// The automatic reload is asked for.
    #[must_use]
    pub fn reloads_itself(&self) -> bool {
        self.globals.auto_reload
    }

    /// The file's path, for messages.
    #[must_use]
    pub fn config_file(&self) -> &std::path::Path {
        &self.config_file
    }

    /// One listener for each service with a command; one whose command stays goes on.
    fn listen(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.listeners);
        for service in &config.virtuals {
            let Some(command) = &service.extensions.notify else { continue };
            let known = before.remove(&service.id()).filter(|listener| listener.command == *command);
            let listener = known.unwrap_or_else(|| Listener::start(command, service.id(), self.news_in.clone()));
            self.listeners.insert(service.id(), listener);
        }
    }

    /// Mails what somebody wants to be told, and tells whoever listens.
    pub fn note(&mut self, now: Instant, notice: &Notice) {
        if let Some(service) = notice.concerns()
            && let Some(listener) = self.listeners.get(service.id())
        {
            listener.tell(notice);
        }
        if let Some(letter) = self.alerts.note(now, self.phase, notice) {
            self.post.send(letter);
        }
    }

    /// Reminds of servers that are down.
    pub fn remind(&mut self, now: Instant) {
        for letter in self.alerts.due(now, self.phase) {
            self.post.send(letter);
        }
    }

    /// When [`Self::remind`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.alerts.deadline()
    }

    /// Writes to monitor files.
    pub fn monitor(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.monitor.write(entry));
    }

    /// Runs a command, or, if one of that service runs, this one afterwards. Of several that wait
    /// the last counts.
    pub fn run(&mut self, errand: Errand) {
        let service = errand.service.id().to_owned();
        if let Some(next) = self.errands.get_mut(&service) {
            *next = Some(errand);
            return;
        }
        self.errands.insert(service.clone(), None);
        let tell = self.news_in.clone();
        tokio::spawn(async move {
            let words: Vec<&str> = errand.words.iter().map(String::as_str).collect();
            let what = format!("fallbackcommand {} {}", errand.command, words.join(" "));
            let outcome = Command::shell(&errand.command, &words, PATIENCE).run().await;
            // Nobody listens any more when the program stops.
            let _ = tell.send(News::ErrandDone { service, what, outcome });
        });
    }

    /// A command ended: the next one of its service may run.
    pub fn errand_done(&mut self, service: &str) {
        if let Some(next) = self.errands.remove(service).flatten() {
            self.run(next);
        }
    }

    /// Runs the callback, if there is one and it is a program.
    pub fn call_back(&self) {
        let Some(callback) = self.globals.callback.clone() else { return };
        if !is_program(&callback) {
            return;
        }
        let (tell, path) = (self.news_in.clone(), self.config_file.display().to_string());
        tokio::spawn(async move {
            let outcome = Command::shell(&callback, &[&path], PATIENCE).run().await;
            let _ = tell.send(News::CommandDone { what: format!("callback {callback} {path}"), outcome });
        });
    }

    /// Waits for what is under way as the program stops; the caller knows how long.
    pub async fn finish(&mut self) {
        while self.telling.join_next().await.is_some() {}
        while !self.errands.is_empty() {
            if let Some(News::ErrandDone { service, .. }) = self.news.recv().await {
                self.errand_done(&service);
            }
        }
        self.post.finish().await;
    }
}

/// Runs a command for each change, one after the other, with the change as JSON on its standard input.
#[derive(Debug)]
struct Listener {
    command: String,
    changes: mpsc::Sender<Vec<u8>>,
}

/// Changes that wait for a command; further ones are not told.
const BACKLOG: usize = 64;

impl Listener {
    fn start(command: &str, service: String, tell: mpsc::UnboundedSender<News>) -> Self {
        let (changes, mut told) = mpsc::channel::<Vec<u8>>(BACKLOG);
        let line = command.to_owned();
        tokio::spawn(async move {
            while let Some(change) = told.recv().await {
                let outcome = Command::shell(&line, &[], PATIENCE).reading(change).run().await;
                let what = format!("notify of {service} {line}");
                if tell.send(News::CommandDone { what, outcome }).is_err() {
                    return;
                }
            }
        });
        Self { command: command.to_owned(), changes }
    }

    fn tell(&self, notice: &Notice) {
        let mut change = match serde_json::to_value(notice) {
            Ok(change) => change,
            Err(error) => return log::error!("cannot put a change in JSON: {error}"),
        };
        change["node"] = node_name().into();
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        change["time"] = time.as_secs().into();
        if self.changes.try_send((change.to_string() + "\n").into_bytes()).is_err() {
            log::warn!("notify {}: {BACKLOG} changes wait already; this one is not told", self.command);
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.watching.drain(..).for_each(|task| task.abort());
    }
}

/// What is to be said about a command that ended, if something is.
pub fn complaint(what: String, outcome: &Outcome) -> Option<Notice> {
    if outcome.is_success() {
        return None;
    }
    let words = outcome.complaint().map_or_else(String::new, |complaint| format!(": {complaint}"));
    Some(Notice::CommandFailed { what, why: format!("{}{words}", outcome.ended) })
}

fn is_program(path: &str) -> bool {
    let executable = rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    executable && std::path::Path::new(path).is_file()
}
