//! What is asked over the control socket, the files that are read again, and what is answered when it is done.

use lvs::control::heartbeatd::{Request, Set, Status};
use lvs::ipc::{Call, Fault, Operate};
use serde::Serialize;

use super::{Beside, Driver};
use crate::act::identity::StoreError;
use crate::config::{self, Config, Loaded, Problem};
use crate::core::{Event, GroupId, Refusal, Ticket, Which};

impl Driver {
    pub(super) fn answer(&mut self, call: Call<Request>) {
        let which = |set: Set, group: Option<&str>| match (set, group) {
            (Set::All, None) => Ok(Which::All),
            (Set::Local, None) => Ok(Which::Local),
            (Set::Foreign, None) => Ok(Which::Foreign),
            (Set::All, Some(name)) => self.groups.find(name).map(Which::Group),
            (Set::Local | Set::Foreign, Some(_)) => Err("either a set of groups or one of them".to_owned()),
        };
        match call.request {
            Request::Status {} => call.answer(Ok(self.status())),
            Request::Watch {} => call.answer_watch(&self.status()),
            Request::Standby { set, ref group } => match which(set, group.as_deref()) {
                Ok(which) => self.operate(call, |ticket| Event::Standby { which, ticket }),
                Err(why) => call.answer::<()>(Err(Fault::new("refused", why))),
            },
            Request::Takeover { set, ref group } => match which(set, group.as_deref()) {
                Ok(which) => self.operate(call, |ticket| Event::Takeover { which, ticket }),
                Err(why) => call.answer::<()>(Err(Fault::new("refused", why))),
            },
            Request::ConfirmDead { ref node } => {
                let node = node.to_lowercase();
                self.operate(call, |ticket| Event::ConfirmDead { node, ticket });
            }
            Request::Maintenance { on } => match call.permit::<Operate>() {
                Ok(_) => self.maintain(on, call),
                Err(fault) => call.answer::<()>(Err(fault)),
            },
            Request::Reload {} => match call.permit::<Operate>() {
                Ok(_) => self.read_again(Some(call)),
                Err(fault) => call.answer::<()>(Err(fault)),
            },
        }
    }

    fn operate(&mut self, call: Call<Request>, event: impl FnOnce(Ticket) -> Event) {
        if let Err(fault) = call.permit::<Operate>() {
            return call.answer::<()>(Err(fault));
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.asked.insert(ticket, call);
        self.happen(event(ticket));
    }

    fn status(&self) -> Status {
        let mut status = self.node.report();
        status.refused = self.refused.by_reason();
        for (at, group) in status.groups.iter_mut().enumerate() {
            group.duplicates = self.groups.duplicates(GroupId(at));
        }
        for link in status.nodes.iter_mut().flat_map(|node| &mut node.links) {
            link.trouble = self
                .media
                .links()
                .iter()
                .filter(|medium| medium.name() == link.name)
                .find_map(|medium| medium.trouble());
        }
        status
    }

    /// The files may name hosts, and a name service may take its time: not in the loop.
    pub(super) fn read_again(&mut self, call: Option<Call<Request>>) {
        let (directory, done) = (self.directory.clone(), self.beside.0.clone());
        tokio::task::spawn_blocking(move || {
            let result = Box::new(config::load(&directory));
            // The loop may have ended meanwhile.
            let _ = done.blocking_send(Beside::Reread { result, call });
        });
    }

    /// It is in force when it is stored, and not before: what was answered holds after a loss of power too.
    fn maintain(&mut self, on: bool, call: Call<Request>) {
        if std::mem::replace(&mut self.storing, true) {
            return call
                .answer::<()>(Err(Fault::new("refused", "the answer to another request is still being stored")));
        }
        let (store, done) = (self.store.clone(), self.beside.0.clone());
        tokio::task::spawn_blocking(move || {
            let result = store.save_maintenance(on);
            // The loop may have ended meanwhile.
            let _ = done.blocking_send(Beside::Stored { result, on, call });
        });
    }

    pub(super) fn stored(&mut self, result: Result<(), StoreError>, on: bool, call: Call<Request>) {
        self.storing = false;
        let answer = match result {
            Ok(()) => {
                self.happen(Event::Maintenance(on));
                Ok(Outcome { done: true })
            }
            Err(e) => Err(Fault::new("refused", format!("nothing has changed: {}", lvs::diag::chain(&e)))),
        };
        call.answer(answer);
    }

    pub(super) fn reread(&mut self, result: Result<Loaded<Config>, Vec<Problem>>, call: Option<Call<Request>>) {
        let answer = match result {
            Ok(Loaded { value, warnings }) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                let answer = self.use_again(&value);
                // What ha.cf and haresources say now counts from the next start, but the files should be the same now.
                self.happen(Event::FilesRead(config::digests(&value)));
                self.keys = value.keys;
                log::info!("{}", answer.message);
                Ok(answer)
            }
            Err(problems) => {
                for problem in &problems {
                    log::error!("{problem}");
                }
                let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
                log::error!("the files were not taken over: the ones read before stay in force");
                Err(Fault::new("refused", all.join("\n")))
            }
        };
        if let Some(call) = call {
            call.answer(answer);
        }
    }

    fn use_again(&self, fresh: &Config) -> Reloaded {
        let changed = !self.groups.is_configured_by(fresh);
        let message = if changed {
            "keys taken over; ha.cf or haresources differs from what runs: restart heartbeatd on the standby node, \
             switch over, and restart it on the other, to use it"
        } else {
            "keys taken over; ha.cf and haresources are as before"
        };
        Reloaded { restart_needed: changed, message: message.to_owned() }
    }
}

/// The answer to a switch that was carried out.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) done: bool,
}

/// The answer to a reload.
#[derive(Serialize)]
struct Reloaded {
    restart_needed: bool,
    message: String,
}

pub(super) fn refuse(refusal: &Refusal) -> Fault {
    Fault::new("refused", refusal.to_string())
}
