//! The loop that runs a node: the only place where its parts meet time and the network.
//!
//! Everything is decided in [`crate::core`]; here its actions are carried out and what comes
//! back is handed in. Nothing in the loop waits for anything but the next event: scripts,
//! ldirectord and the file reader run beside it and report (DESIGN chapter 5).

mod control;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lvs::control::heartbeatd::Request;
use lvs::daemon::signals::{Signal, Signals};
use lvs::ipc::{Call, Server};
use lvs::netlink::address::Address;
use lvs::netlink::route;
use lvs::netlink::watch::{self, Watch};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::act::fence::Fencer;
use crate::act::groups::{Groups, News};
use crate::act::helper::{self, Helpers, RebootWanted};
use crate::act::identity::{Store, StoreError};
use crate::act::notify::Notifier;
use crate::act::probe::Finding;
use crate::act::watchdog::Watchdog;
use crate::config::{Config, Loaded, Medium, Problem};
use crate::core::{Action, Event, Heard, History, Level, Node, Notice, Outgoing, Ticket, Which};
use crate::media::{self, Interfaces, Media, Packet, Pinger, Reason, Refused};
use crate::wire::{Form, Keys, Malformed};
use control::{Outcome, refuse};

/// Datagrams taken before the timers are looked at again: a flood costs its share and no more.
const BUDGET: usize = 64;
/// How long the last messages may take to leave over a serial line: four of them at 9600 baud.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Interval of what is not urgent: media that wait for their interface, counts for the log.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What the driver is made of.
pub struct Parts {
    /// The node, not yet started.
    pub node: Node,
    /// The checked files.
    pub config: Config,
    /// Where the generation is kept.
    pub store: Store,
    /// What it says of maintenance.
    pub maintenance: bool,
    /// The resources.
    pub groups: Groups,
    /// What resets the machine when the loop stands still.
    pub watchdog: Option<Watchdog>,
    /// Who is told of changes.
    pub notifier: Notifier,
    /// What asks the ping nodes.
    pub pinger: Pinger,
    /// The control socket.
    pub server: Server<Request>,
    /// Signals of this process.
    pub signals: Signals,
    /// Events about interfaces.
    pub watch: Watch,
    /// The kernel's list of interfaces.
    pub kernel: route::Client,
}

/// A running node.
pub struct Driver {
    node: Node,
    media: Media,
    /// Whether one of them has been open; `None` before the core was told either.
    listening: Option<bool>,
    /// Of each medium, which link of the core it belongs to.
    link_of: Vec<usize>,
    keys: Keys,
    form: Form,
    directory: PathBuf,
    store: Store,
    kernel: route::Client,
    groups: Groups,
    fencer: Fencer,
    helpers: Helpers,
    watchdog: Option<Watchdog>,
    notifier: Notifier,
    pinger: Pinger,
    server: Server<Request>,
    signals: Signals,
    watch: Watch,
    history: History<Packet>,
    refused: Refused,
    asked: HashMap<Ticket, Call<Request>>,
    /// Addresses that are taken off again and again, whose groups are being given to the other node.
    given: HashMap<Ticket, IpAddr>,
    next_ticket: u64,
    beside: (mpsc::Sender<Beside>, mpsc::Receiver<Beside>),
    /// Whether this node is in maintenance is being stored.
    storing: bool,
    load: String,
    housekeeping: Instant,
    /// Addresses that have gone since the last turn.
    gone: Vec<Address>,
    ready: bool,
    stopped: bool,
}

/// What was done beside the loop because it takes time, and who wants to know.
enum Beside {
    /// The files were read again.
    Reread { result: Box<Result<Loaded<Config>, Vec<Problem>>>, call: Option<Call<Request>> },
    /// Whether this node is in maintenance was stored.
    Stored { result: Result<(), StoreError>, on: bool, call: Call<Request> },
}

/// What woke the loop.
enum Wake {
    Datagrams,
    News(News),
    Fenced(u64, bool),
    Failfast(RebootWanted),
    Asked(Call<Request>),
    Signal(Signal),
    Interfaces(io::Result<watch::Event>),
    Beside(Beside),
    Time,
}

impl Driver {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            node,
            config,
            store,
            maintenance,
            groups,
            watchdog,
            notifier,
            pinger,
            server,
            signals,
            watch,
            kernel,
        } = parts;
        let now = Instant::now();
        let mut this = Self {
            link_of: link_of(&config),
            helpers: Helpers::new(&config.ha_cf.helpers),
            fencer: Fencer::new(&config.ha_cf.fences, config.ha_cf.others(), now),
            media: Media::new(&config.ha_cf.media),
            listening: None,
            keys: config.keys,
            form: config.ha_cf.form,
            directory: config.directory,
            node,
            store,
            kernel,
            groups,
            watchdog,
            notifier,
            pinger,
            server,
            signals,
            watch,
            history: History::new(),
            refused: Refused::default(),
            asked: HashMap::new(),
            given: HashMap::new(),
            next_ticket: 0,
            beside: mpsc::channel(1),
            storing: false,
            load: load_average(),
            housekeeping: now,
            gone: Vec::new(),
            ready: false,
            stopped: false,
        };
        if maintenance {
            this.happen(Event::Maintenance(true));
        }
        for group in this.groups.left() {
            this.happen(Event::Stopping { group });
        }
        this
    }

    /// Runs until the node has stopped in good order.
    pub async fn run(mut self) {
        self.look_at_interfaces();
        let actions = self.node.start(Instant::now());
        self.carry_out(actions);
        let ready = self.groups.is_ready();
        self.tell_ready(ready);
        while !self.stopped {
            let wake = self.wait().await;
            self.turn(wake);
        }
        self.groups.release_everything();
        // Nothing is held, and nobody tells the device anything while the programs take their time to end.
        if let Some(watchdog) = self.watchdog {
            watchdog.close();
        }
        self.media.drain(LAST_WORDS).await;
        self.helpers.stop().await;
        self.notifier.finish().await;
    }

    async fn wait(&mut self) -> Wake {
        let deadline = [self.node.deadline(), self.housekeeping].into_iter();
        let deadline = deadline.chain(self.groups.deadline()).chain(self.pinger.deadline());
        let deadline =
            deadline.chain(self.fencer.deadline()).chain(self.watchdog.as_ref().map(Watchdog::deadline)).min();
        let deadline = deadline.unwrap_or(self.housekeeping).into();
        tokio::select! {
            () = self.media.ready() => Wake::Datagrams,
            () = self.pinger.readable() => Wake::Datagrams,
            news = self.groups.next_news() => Wake::News(news),
            (attempt, ok) = self.fencer.ended() => Wake::Fenced(attempt, ok),
            died = self.helpers.next() => Wake::Failfast(died),
            call = self.server.next_call() => Wake::Asked(call),
            signal = self.signals.next() => Wake::Signal(signal),
            event = self.watch.next() => Wake::Interfaces(event),
            Some(done) = self.beside.1.recv() => Wake::Beside(done),
            () = sleep_until(deadline) => Wake::Time,
        }
    }

    /// One turn of the loop. What waits in the sockets is read before time is looked at: after
    /// a pause the peer's messages may be there, and none of its silence is real.
    fn turn(&mut self, wake: Wake) {
        self.hear();
        for node in self.pinger.turn(Instant::now()) {
            self.happen(Event::PingAnswered(node));
        }
        match wake {
            Wake::Datagrams | Wake::Time => {}
            Wake::News(News::Acquired { group, ok }) => self.happen(Event::Acquired { group, ok }),
            Wake::News(News::Released { group, ok }) => self.happen(Event::Released { group, ok }),
            Wake::News(News::Stuck { group }) => self.happen(Event::Stuck { group }),
            Wake::News(News::Failed { group, resource }) => self.happen(Event::Failed { group, resource }),
            Wake::News(News::Ready(ready)) => self.tell_ready(ready),
            Wake::News(News::Found(findings)) => self.found(findings),
            Wake::Fenced(attempt, ok) => self.happen(Event::Fenced { attempt, ok }),
            Wake::Failfast(RebootWanted { program }) => failfast(&program),
            Wake::Asked(call) => self.answer(call),
            Wake::Signal(signal) => self.signalled(signal),
            Wake::Interfaces(event) => self.interfaces_changed(event),
            Wake::Beside(done) => match done {
                Beside::Reread { result, call } => self.reread(*result, call),
                Beside::Stored { result, on, call } => self.stored(result, on, call),
            },
        }
        let now = Instant::now();
        if self.node.deadline() <= now {
            let actions = self.node.tick(now);
            self.carry_out(actions);
        }
        // Only now: a node that was stopped for too long has let go in the lines above.
        let leases: Vec<_> = self.node.leases().collect();
        for gone in std::mem::take(&mut self.gone) {
            let wants = self.groups.address_gone(Instant::now(), &gone, &leases);
            if let Some(group) = wants.filter(|_| !self.node.is_maintained()) {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.given.insert(ticket, gone.ip);
                self.happen(Event::Standby { which: Which::Group(group), ticket });
            }
        }
        self.groups.turn(Instant::now(), &leases);
        self.fencer.turn(now);
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.alive(now);
        }
        if self.housekeeping <= now {
            self.keep_house(now);
        }
    }

    fn hear(&mut self) {
        let mut heard = Vec::new();
        let mut refusals = Vec::new();
        let Self { media, keys, .. } = self;
        log_media(media.take(BUDGET, |at, datagram| match open(keys, datagram) {
            Ok((message, wrong)) => {
                heard.push((at, message, datagram.to_owned()));
                refusals.extend(wrong.map(|wrong| (at, wrong.into())));
            }
            Err(reason) => refusals.push((at, reason)),
        }));
        for (at, reason) in refusals {
            self.refused.note(self.media.links()[at].name(), reason);
        }
        for (at, message, datagram) in heard {
            let actions = self.node.heard(Instant::now(), self.link_of[at], &message);
            if actions.contains(&Action::PassOn) {
                let text = if self.media.has_lines() { self.keys.pass_on(&datagram) } else { None };
                log_media(self.media.pass_on(at, &Packet { datagram, text }));
            }
            self.carry_out(actions);
        }
    }

    fn happen(&mut self, event: Event) {
        let actions = self.node.handle(Instant::now(), event);
        self.carry_out(actions);
    }

    fn tell_ready(&mut self, ready: bool) {
        if ready != self.ready {
            self.ready = ready;
            self.happen(Event::Ready(ready));
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(message) => self.send(&message),
                Action::SendInstead(message) => {
                    let packet = self.transmit(&message);
                    self.history.replace(message.seq.unwrap_or_default(), packet);
                }
                Action::Resend { seq } => {
                    if let Some(packet) = self.history.get(seq) {
                        let notices = self.media.send(packet);
                        log_media(notices);
                    }
                }
                // Done by whoever has the datagram.
                Action::PassOn => {}
                Action::Acquire { group, why } => self.groups.acquire(group, why),
                Action::Release { group, why } => self.groups.release(group, why),
                Action::Announce { group } => self.groups.announce(group, Instant::now()),
                Action::Fence { node, attempt } => self.fencer.fence(&node, attempt),
                Action::StopFencing { node } => self.fencer.stop(&node),
                Action::Withhold { group } => self.groups.withhold(group),
                Action::Restore { group } => self.groups.restore(group, Instant::now()),
                // Why, the core has told.
                Action::Reboot { .. } => reboot(),
                Action::Serve(serving) => self.groups.serve(serving),
                Action::SaveGeneration(generation) => {
                    if let Err(e) = self.store.save_generation(generation) {
                        log::error!("{}: the peer may take our next life for a replay", lvs::diag::chain(&e));
                    }
                }
                Action::Notice(notice) => self.note(&notice),
                Action::Answer { ticket, result } => {
                    if let (Some(ip), Err(refusal)) = (self.given.remove(&ticket), &result) {
                        log::error!("the group of {ip} cannot be given: {refusal}; it stays here and {ip} is put back");
                    }
                    if let Some(call) = self.asked.remove(&ticket) {
                        call.answer(result.map(|()| Outcome { done: true }).map_err(|e| refuse(&e)));
                    }
                }
                Action::Stopped => self.stopped = true,
            }
        }
        self.groups.handover(&self.node);
    }

    fn send(&mut self, outgoing: &Outgoing) {
        let packet = self.transmit(outgoing);
        if let Some(seq) = outgoing.seq {
            self.history.push(seq, packet);
        }
    }

    /// Signs and sends; what has left.
    fn transmit(&mut self, outgoing: &Outgoing) -> Packet {
        let ts = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs().max(1));
        let message = outgoing.message(ts, &self.load);
        let seal = |form| self.keys.seal(&message, form, self.node.speaks_to_its_like());
        let text = self.media.has_lines().then(|| seal(Form::Classic));
        let packet = Packet { datagram: seal(self.form), text };
        log_media(self.media.send(&packet));
        packet
    }

    fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::Fencing { node } => self.fencer.begins(node),
            Notice::CommunicationUp => self.helpers.start(),
            _ => {}
        }
        let level = match notice.level() {
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error | Level::Crit => log::Level::Error,
        };
        log::log!(level, "{notice}");
        self.server.notify(notice);
        self.notifier.note(notice);
    }

    fn found(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let level = match finding {
                Finding::Duplicate { .. } => log::Level::Error,
                Finding::Alone { .. } => log::Level::Info,
            };
            log::log!(level, "{finding}");
            self.server.notify(&finding);
            self.notifier.found(&finding);
        }
    }

    fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::Stop(name) => {
                log::info!("stopping on signal {name}");
                self.happen(Event::Stop);
            }
            Signal::Reload => self.read_again(None),
            Signal::Louder => log::set_max_level(log::LevelFilter::Debug),
            Signal::Quieter => log::set_max_level(log::LevelFilter::Info),
        }
    }

    /// What the interfaces have become: for the media, and for who can reach what.
    fn look_at_interfaces(&mut self) {
        match Interfaces::list(&mut self.kernel) {
            Ok(interfaces) => {
                let notices = self.media.refresh(&interfaces, Instant::now());
                let plugged_in = notices.iter().any(|notice| matches!(notice, media::Notice::PluggedIn { .. }));
                log_media(notices);
                for (group, reachable) in self.groups.reach(&interfaces) {
                    self.happen(Event::Reach { group, reachable });
                }
                if plugged_in {
                    self.happen(Event::CableBack);
                }
            }
            Err(e) => log::warn!("{}", lvs::diag::chain(&e)),
        }
        self.tell_listening();
    }

    /// Tells the core once that no medium is open, and once that the first is. A line that is being opened is waited for.
    fn tell_listening(&mut self) {
        let listening = if self.media.is_any_open() {
            true
        } else if self.media.is_any_opening() {
            return;
        } else {
            false
        };
        if self.listening.is_none_or(|before| listening && !before) {
            self.listening = Some(listening);
            self.happen(Event::Listening(listening));
        }
    }

    /// Our own renewals of addresses are events too, and change nothing for the media.
    fn interfaces_changed(&mut self, event: io::Result<watch::Event>) {
        use watch::Event::{AddressGone, Link, LinkGone, Missed};
        match event {
            Ok(AddressGone(state)) => {
                self.groups.networks_changed(Some(state.address.ip));
                self.gone.push(state.address);
                self.look_at_interfaces();
            }
            Ok(Link(_) | LinkGone(_) | Missed) => {
                self.groups.networks_changed(None);
                self.look_at_interfaces();
            }
            Ok(watch::Event::Address(state)) => self.groups.networks_changed(Some(state.address.ip)),
            Err(e) => {
                log::warn!("cannot hear about interfaces any more: {e}");
                self.groups.networks_changed(None);
                match Watch::open() {
                    Ok(watch) => self.watch = watch,
                    Err(e) => log::error!("cannot listen for changes of interfaces: {e}"),
                }
            }
        }
    }

    fn keep_house(&mut self, now: Instant) {
        self.housekeeping = now + HOUSEKEEPING;
        self.look_at_interfaces();
        self.load = load_average();
        if let Some(line) = self.refused.line(now) {
            log::warn!("{line}");
        }
        self.groups.keep_house();
    }
}

/// The peer takes over as soon as this node is silent, and is not kept waiting.
fn failfast(program: &str) {
    log::error!("{program} has died and is failfast: rebooting this machine");
    reboot();
}

fn reboot() {
    if let Err(e) = helper::reboot() {
        log::error!("cannot reboot: {e}");
    }
}

fn open(keys: &Keys, datagram: &[u8]) -> Result<(Heard, Option<Malformed>), Reason> {
    Ok(Heard::read(&keys.open(datagram)?)?)
}

/// The links by name, each once, in ha.cf's order: several media may share one.
#[must_use]
pub fn link_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for medium in &config.ha_cf.media {
        if !names.iter().any(|name| name == medium.link()) {
            names.push(medium.link().to_owned());
        }
    }
    names
}

fn link_of(config: &Config) -> Vec<usize> {
    let names = link_names(config);
    let place = |medium: &Medium| names.iter().position(|name| name == medium.link()).unwrap_or(0);
    config.ha_cf.media.iter().map(place).collect()
}

fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").map(|text| text.trim_end().to_owned()).unwrap_or_default()
}

fn log_media(notices: Vec<media::Notice>) {
    for notice in notices {
        let level = if notice.is_good() { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "{notice}");
    }
}
