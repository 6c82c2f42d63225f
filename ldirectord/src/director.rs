//! The driver: the only `select!` of the program.
//!
//! It makes the checks that [`crate::farm`] orders, carries out the changes that the farm
//! wants, answers its socket, obeys signals, and tells whatever is worth telling. It decides
//! nothing. Checks run as tasks of their own and the table is programmed by another
//! ([`hand`]), so that neither a hung server nor a hung helper holds up anything else.

mod confine;
mod hand;
mod outside;
mod start;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs::control::ldirectord::Request;
use lvs::daemon::detach::Readiness;
use lvs::daemon::signals::{Signal, Signals};
use lvs::diag::chain;
use lvs::ipc::{Call, Server};
use lvs::ipvs::{Refusal, Table};
use lvs::programmer::{Programmer, ProgrammerError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::check::{self, Report, Tools};
use crate::config::Config;
use crate::farm::Farm;
use crate::file_watch::Happened;
use crate::memory::Keeper;
use crate::notice::Notice;
use crate::schedule::CheckId;
use hand::{Done, Hand};
pub use outside::Outside;
use outside::{News, complaint};
pub use start::{Options, StartError, run};

/// Reads the configuration again; the texts of its mistakes if it cannot be used. May take long
/// (names are looked up) and is called on a thread of its own.
pub type Reread = Arc<dyn Fn() -> Result<Config, Vec<String>> + Send + Sync>;

/// Told of each configuration that was read again and is in force from now on.
pub type InForce = Box<dyn Fn(&Config)>;

/// Pauses between attempts to reach a table that cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the first checks wait for the table: what serves already should be known before the
/// first result comes.
const HEAD_START: Duration = Duration::from_secs(2);

/// How long a stop may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a director is made of.
pub struct Parts<P> {
    /// Programs the table.
    pub programmer: P,
    /// How, in a word: `helper` or `direct`.
    pub access: &'static str,
    /// Its socket.
    pub server: Server<Request>,
    /// Its signals.
    pub signals: Signals,
    /// The file in use, for the status.
    pub path: PathBuf,
    /// How to read the file again.
    pub reread: Reread,
    /// Whom to tell that this was done.
    pub in_force: InForce,
    /// Whom to tell that the table was programmed for the first time, if somebody waits for that.
    pub readiness: Option<Readiness>,
    /// Mails, monitor files, commands, other instances.
    pub outside: Outside,
    /// Keeps what the next ldirectord should know, and has what the one before knew.
    pub keeper: Keeper,
}

/// A running ldirectord.
pub struct Director {
    pub(crate) farm: Farm,
    pub(crate) server: Server<Request>,
    pub(crate) path: PathBuf,
    pub(crate) access: &'static str,
    /// What heartbeatd said.
    pub(crate) active: Option<bool>,
    /// Answered when the farm is ready.
    pub(crate) activations: Vec<Call<Request>>,
    /// Answered when the file has been read.
    pub(crate) reloads: Vec<Call<Request>>,
    /// The same; then the table is the next one's.
    pub(crate) heirs: Vec<Call<Request>>,
    /// It ends as soon as the table is as the file says, and at this moment at the latest.
    leaving: Option<Instant>,
    tools: Tools,
    hand: Hand,
    outside: Outside,
    keeper: Keeper,
    /// Something that is to be remembered may have changed.
    memorable: bool,
    /// The callback is run when the file that changed has been read.
    call_back: bool,
    signals: Signals,
    checks: JoinSet<()>,
    reports_in: mpsc::UnboundedSender<(CheckId, Report)>,
    reports: mpsc::UnboundedReceiver<(CheckId, Report)>,
    reread: Reread,
    in_force: InForce,
    rereading: Option<JoinHandle<Result<Config, Vec<String>>>>,
    reread_again: bool,
    reach: Reach,
    /// The first checks are held back until this moment, or until the table was seen.
    hold_until: Option<Instant>,
    readiness: Option<Readiness>,
    began: bool,
}

/// Whether the table answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Fine,
    /// It does not; when to try again, and how long the pause before was.
    Lost {
        until: Instant,
        pause: Duration,
    },
}

/// What the loop waits for.
enum Event {
    Signal(Signal),
    Call(Call<Request>),
    Report(CheckId, Report),
    Done(Done),
    Reread(Result<Config, Vec<String>>),
    News(News),
    Time,
}

impl Director {
    /// A director that has not done anything yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new<P: Programmer + 'static>(parts: Parts<P>, config: Config) -> Self {
        let Parts { programmer, access, server, signals, path, reread, in_force, readiness, .. } = parts;
        let (mut outside, keeper) = (parts.outside, parts.keeper);
        let (reports_in, reports) = mpsc::unbounded_channel();
        let now = Instant::now();
        let posted = outside.begin(&config);
        let (mut farm, mut notices) = Farm::new(now, config);
        for (service, real) in farm.recall(keeper.known()) {
            log::info!(
                "{real} of {service} stays drained: the order is from before this start, `lvsctl undrain` ends it"
            );
        }
        notices.extend(farm.post(posted));
        let mut seed = [0; 8];
        // Without chance every start has the same jitter, which is still a jitter.
        let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::NONBLOCK);
        farm.seed(u64::from_ne_bytes(seed));
        let mut director = Self {
            farm,
            server,
            path,
            access,
            active: None,
            activations: Vec::new(),
            reloads: Vec::new(),
            heirs: Vec::new(),
            leaving: None,
            tools: Tools::new(),
            hand: Hand::new(programmer),
            outside,
            keeper,
            memorable: true,
            call_back: false,
            signals,
            checks: JoinSet::new(),
            reports_in,
            reports,
            reread,
            in_force,
            rereading: None,
            reread_again: false,
            reach: Reach::Fine,
            hold_until: Some(now + HEAD_START),
            readiness,
            began: false,
        };
        director.tell_all(notices);
        director
    }

    /// Runs until a signal stops it, and leaves the table as the file says (spec 7.7).
    pub async fn run(mut self) {
        let name = loop {
            self.turn(Instant::now());
            if self.has_left(Instant::now()) {
                return self.handed_over().await;
            }
            match self.next_event().await {
                Event::Signal(Signal::Stop(name)) => break name,
                Event::Signal(Signal::Reload) => {
                    log::info!("Reloading Linux Director Daemon config on signal");
                    self.reload();
                }
                Event::Signal(Signal::Louder) => set_level(log::max_level().increment_severity()),
                Event::Signal(Signal::Quieter) => set_level(log::max_level().decrement_severity()),
                Event::Call(call) => self.answer(call),
                Event::Report(id, report) => self.heard(id, &report),
                Event::Done(done) => self.done(done),
                Event::Reread(result) => self.reread(result),
                Event::News(news) => self.news(news),
                Event::Time => {}
            }
        };
        self.tell(&Notice::Stopping {});
        self.checks.abort_all();
        self.outside.stopping();
        if self.farm.has_to_tidy_up() {
            match tokio::time::timeout(FAREWELL, self.tidy_up()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::error!("The virtual services stay in the table: {}", chain(&error)),
                Err(_) => log::error!("The virtual services stay in the table: it did not answer within 5 s"),
            }
        }
        for errand in self.farm.last_errands() {
            self.outside.run(errand);
        }
        self.finish_outside().await;
        log::info!("Linux Director Daemon terminated on signal: {name}");
    }

    /// From now on the next one is waited for.
    pub(crate) fn leave(&mut self) {
        self.leaving = Some(Instant::now() + FAREWELL);
    }

    fn has_left(&self, now: Instant) -> bool {
        self.leaving.is_some_and(|until| until <= now || !self.hand.is_busy() && self.farm.is_settled())
    }

    /// The table stays as it is. Mails, commands and other instances that are under way are waited for, as at a stop.
    async fn handed_over(mut self) {
        for name in self.farm.retired() {
            log::error!("{name} is in the file no more and stays in the table, unchecked: it was not removed in time");
        }
        self.checks.abort_all();
        self.finish_outside().await;
        log::info!("Linux Director Daemon terminated: handed over, the table stays as it is");
    }

    async fn finish_outside(&mut self) {
        if tokio::time::timeout(FAREWELL, self.outside.finish()).await.is_err() {
            log::warn!("Mails, commands or other instances were not done within {} s", FAREWELL.as_secs());
        }
    }

    /// Takes a result, and all that have come with it: thousands of checks may end at a time, and one turn is for all.
    fn heard(&mut self, id: CheckId, report: &Report) {
        self.note(id, report);
        while let Ok((id, report)) = self.reports.try_recv() {
            self.note(id, &report);
        }
        while self.checks.try_join_next().is_some() {}
    }

    fn note(&mut self, id: CheckId, report: &Report) {
        log::debug!("check {}: {report:?}", id.0);
        self.outside.monitor(&self.farm.monitored(id, report));
        let notices = self.farm.heard(Instant::now(), id, report);
        self.tell_all(notices);
    }

    /// Starts what is due.
    fn turn(&mut self, now: Instant) {
        if self.hold_until.is_some_and(|until| until <= now) {
            self.hold_until = None;
        }
        if self.hold_until.is_none() {
            for order in self.farm.due(now) {
                let (tools, reports) = (self.tools.clone(), self.reports_in.clone());
                self.checks.spawn(async move {
                    let report = check::run(&order.step, &tools).await;
                    // Nobody listens any more when the program stops.
                    let _ = reports.send((order.id, report));
                });
            }
        }
        let reachable = match self.reach {
            Reach::Fine => true,
            Reach::Lost { until, .. } => until <= now,
        };
        if reachable && !self.hand.is_busy() && self.farm.wants_table(now) {
            self.hand.read(self.farm.to_count());
        }
        if let Some(notice) = self.farm.became_ready(now) {
            self.outside.ready();
            self.tell(&notice);
        }
        for errand in self.farm.errands() {
            self.outside.run(errand);
        }
        self.outside.remind(now);
        self.remember();
        if self.farm.is_ready() {
            self.answer_activations();
        }
    }

    /// When to look again although nothing happens.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let checks = if self.hold_until.is_some() { self.hold_until } else { self.farm.next_check() };
        let table = match self.reach {
            _ if self.hand.is_busy() => None,
            Reach::Fine => self.farm.next_attempt(),
            Reach::Lost { until, .. } if self.farm.wants_table(now) => Some(until),
            Reach::Lost { until, .. } => self.farm.next_attempt().map(|attempt| attempt.max(until)),
        };
        [checks, table, self.outside.deadline(), self.leaving].into_iter().flatten().min()
    }

    async fn next_event(&mut self) -> Event {
        let deadline = self.deadline(Instant::now());
        let mut time = pin!(async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => pending().await,
            }
        });
        loop {
            tokio::select! {
                signal = self.signals.next() => return Event::Signal(signal),
                call = self.server.next_call() => return Event::Call(call),
                Some((id, report)) = self.reports.recv() => return Event::Report(id, report),
                done = self.hand.done() => return Event::Done(done),
                result = finished(&mut self.rereading) => return Event::Reread(result),
                news = self.outside.next() => return Event::News(news),
                // A finished task is only cleared away: its report came by the channel.
                Some(_) = self.checks.join_next() => {}
                () = &mut time => return Event::Time,
            }
        }
    }

    /// Something came of the table.
    fn done(&mut self, done: Done) {
        let now = Instant::now();
        self.hold_until = None;
        match done {
            Done::Table(Ok((live, counted))) => {
                self.farm.counted(now, &counted);
                self.program(now, &live);
            }
            Done::Changed(Ok(results)) => self.settle(now, results),
            Done::Table(Err(error)) | Done::Changed(Err(error)) => self.lost(now, &error),
        }
        if !self.hand.is_busy() && !std::mem::replace(&mut self.began, true) {
            self.begun();
        }
    }

    fn program(&mut self, now: Instant, live: &Table) {
        if self.reach != Reach::Fine {
            self.reach = Reach::Fine;
            self.tell(&Notice::TableFound {});
        }
        match self.farm.plan(now, live) {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => self.hand.change(changes),
            // The batch before is settled before the table is read again.
            Err(occupied) => log::error!("the table was read too early: {occupied}"),
        }
    }

    fn settle(&mut self, now: Instant, results: Vec<Result<(), Refusal>>) {
        let notices = self.farm.settle(now, results);
        self.tell_all(notices);
    }

    fn lost(&mut self, now: Instant, error: &ProgrammerError) {
        self.farm.lost();
        let pause = match self.reach {
            Reach::Fine => {
                self.tell(&Notice::TableLost { why: chain(error) });
                FIRST_PAUSE
            }
            Reach::Lost { pause, .. } => (pause * 2).min(LONGEST_PAUSE),
        };
        self.reach = Reach::Lost { until: now + pause, pause };
    }

    /// The table was programmed for the first time, as far as it could be.
    fn begun(&mut self) {
        if let Some(readiness) = self.readiness.take()
            && let Err(error) = readiness.ready()
        {
            log::warn!("cannot leave the caller's terminal: {error}");
        }
        // Without a service manager there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    /// Reads the file again, in the background; a wish that comes meanwhile is fulfilled afterwards.
    pub(crate) fn reload(&mut self) {
        if self.rereading.is_some() {
            self.reread_again = true;
            return;
        }
        let reread = self.reread.clone();
        self.rereading = Some(tokio::task::spawn_blocking(move || reread()));
    }

    fn reread(&mut self, result: Result<Config, Vec<String>>) {
        if std::mem::take(&mut self.reread_again) {
            // The file may have changed since it was read.
            self.reload();
            return;
        }
        match &result {
            Ok(config) => {
                (self.in_force)(config);
                let posted = self.outside.follow(config);
                let mut notices = self.farm.reload(Instant::now(), config.clone());
                notices.extend(self.farm.post(posted));
                self.tell(&Notice::Reloaded { virtuals: config.virtuals.len() });
                self.tell_all(notices);
            }
            Err(mistakes) => self.tell(&Notice::ReloadFailed { mistakes: mistakes.clone() }),
        }
        self.answer_reloads(&result.map(|_| ()));
        if std::mem::take(&mut self.call_back) {
            self.outside.call_back();
        }
    }

    /// Something happened outside.
    fn news(&mut self, news: News) {
        let (what, outcome) = match news {
            News::Posted(posted) => {
                self.outside.note_posted(&posted);
                let notices = self.farm.post(posted);
                return self.tell_all(notices);
            }
            News::File(happened) => return self.file(happened),
            News::ErrandDone { service, what, outcome } => {
                self.outside.errand_done(&service);
                (what, outcome)
            }
            News::CommandDone { what, outcome } => (what, outcome),
        };
        if let Some(notice) = complaint(what, &outcome) {
            self.tell(&notice);
        }
    }

    /// The configuration file is not what it was (spec 7.6).
    fn file(&mut self, happened: Happened) {
        let path = self.outside.config_file().display();
        match happened {
            Happened::Vanished => {
                log::warn!("Warning [{}]: can not open file {path} for checking", std::process::id());
            }
            Happened::Changed => {
                log::info!("Configuration file '{path}' has changed on disk");
                if self.outside.reloads_itself() {
                    log::info!(" - reread new configuration");
                    self.call_back = true;
                    self.reload();
                } else {
                    log::info!(" - ignore new configuration");
                    self.outside.call_back();
                }
            }
        }
    }

    /// Removes what should not outlast the program.
    async fn tidy_up(&mut self) -> Result<(), ProgrammerError> {
        if self.hand.is_busy()
            && let Done::Changed(Ok(results)) = self.hand.done().await
        {
            self.settle(Instant::now(), results);
        }
        self.hand.read(Vec::new());
        let (live, _) = match self.hand.done().await {
            Done::Table(result) => result?,
            Done::Changed(result) => return result.map(|_| ()),
        };
        let (changes, notices): (Vec<_>, Vec<_>) = self.farm.farewell(&live).into_iter().unzip();
        if changes.is_empty() {
            return Ok(());
        }
        self.hand.change(changes);
        let results = match self.hand.done().await {
            Done::Changed(result) => result?,
            Done::Table(result) => return result.map(|_| ()),
        };
        for (notice, result) in notices.iter().zip(results) {
            match result {
                Ok(()) => self.tell(notice),
                Err(refusal) => log::error!("The kernel refused a change: {refusal}"),
            }
        }
        Ok(())
    }

    fn tell_all(&mut self, notices: Vec<Notice>) {
        notices.iter().for_each(|notice| self.tell(notice));
    }

    /// Writes down what the next one should know, if that may have changed.
    pub(crate) fn remember(&mut self) {
        if std::mem::take(&mut self.memorable) {
            self.keeper.keep(self.farm.memory());
        }
    }

    /// To the log, and to whoever watches.
    pub(crate) fn tell(&mut self, notice: &Notice) {
        if let Notice::ReloadFailed { mistakes } = notice {
            // Each mistake has lines of its own: they show the place.
            mistakes.iter().for_each(|mistake| log::error!("{mistake}"));
        }
        if let Some(level) = notice.level() {
            log::log!(level, "{notice}");
        }
        self.memorable |= matches!(notice, Notice::Drain { .. } | Notice::AgentSays { .. } | Notice::Reloaded { .. });
        self.server.notify(notice);
        self.outside.note(Instant::now(), notice);
    }
}

async fn finished(rereading: &mut Option<JoinHandle<Result<Config, Vec<String>>>>) -> Result<Config, Vec<String>> {
    let Some(handle) = rereading else { return pending().await };
    let result = handle.await;
    *rereading = None;
    result.unwrap_or_else(|error| Err(vec![format!("the configuration could not be read: {error}")]))
}

fn set_level(level: log::LevelFilter) {
    log::set_max_level(level.clamp(log::LevelFilter::Info, log::LevelFilter::Debug));
    log::info!("Log level is {}", log::max_level());
}
