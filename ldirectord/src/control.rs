//! What the socket is asked (DESIGN chapter 4), and who may ask it.

use std::time::Instant;

use lvs::control::ldirectord::{Ready, Request, Status};
use lvs::ipc::{Call, Fault, Operate, Permit, Program};

use crate::director::Director;
use crate::notice::Notice;

impl Director {
    /// Answers a request, or keeps it until it can be answered.
    pub(crate) fn answer(&mut self, call: Call<Request>) {
        match &call.request {
            Request::Status {} => call.answer(Ok(self.status(0))),
            Request::More { from } => {
                let page = self.status(*from);
                call.answer(Ok(page));
            }
            Request::Watch {} => call.answer_watch(&self.status(0)),
            Request::Ready {} => call.answer(Ok(self.ready())),
            Request::Reload {} => match call.permit::<Operate>() {
                Ok(permit) => {
                    log::info!("Reloading the configuration on request of uid {}", permit.caller().uid);
                    self.reloads.push(call);
                    self.reload();
                }
                Err(fault) => call.answer::<()>(Err(fault)),
            },
            Request::HandOver {} => match call.permit::<Program>() {
                Ok(permit) => {
                    log::info!("Handing over to the next ldirectord on request of uid {}", permit.caller().uid);
                    self.heirs.push(call);
                    self.reload();
                }
                Err(fault) => call.answer::<()>(Err(fault)),
            },
            Request::Drain { real, service } => {
                let result = call.permit().and_then(|permit| self.drain(permit, real, service.as_deref(), true));
                call.answer(result);
            }
            Request::Undrain { real, service } => {
                let result = call.permit().and_then(|permit| self.drain(permit, real, service.as_deref(), false));
                call.answer(result);
            }
            Request::Activate {} => match call.permit() {
                // Answered when the table is programmed: see answer_activations.
                Ok(permit) => {
                    self.set_active(permit, true);
                    self.activations.push(call);
                }
                Err(fault) => call.answer::<()>(Err(fault)),
            },
            Request::Deactivate {} => {
                let result = call.permit().map(|permit| self.set_active(permit, false));
                call.answer(result.map(|()| self.ready()));
            }
        }
    }

    fn drain(
        &mut self,
        _permit: Permit<Operate>,
        real: &str,
        service: Option<&str>,
        drained: bool,
    ) -> Result<(), Fault> {
        let notices = self.farm.drain(real, service, drained).map_err(|e| Fault::new("refused", e.to_string()))?;
        notices.iter().for_each(|notice| self.tell(notice));
        // Whoever gave the order may rely on it from now on.
        self.remember();
        Ok(())
    }

    fn set_active(&mut self, _permit: Permit<Operate>, active: bool) {
        if self.active.replace(active) != Some(active) {
            self.tell(&Notice::Active { active });
        }
    }

    fn ready(&self) -> Ready {
        Ready { ready: self.farm.is_ready(), blind: self.farm.is_blind() }
    }

    /// The farm is ready: whoever gave this node the addresses is told so.
    pub(crate) fn answer_activations(&mut self) {
        let ready = self.ready();
        self.activations.drain(..).for_each(|call| call.answer(Ok(ready)));
    }

    /// The file was read again.
    pub(crate) fn answer_reloads(&mut self, result: &Result<(), Vec<String>>) {
        for call in self.reloads.drain(..) {
            call.answer(result.clone().map_err(|mistakes| Fault::new("refused", mistakes.join("\n"))));
        }
        if self.heirs.is_empty() {
            return;
        }
        if result.is_err() {
            // It may be that only this one cannot read it: it has other rights. The table is the next one's all the same.
            log::warn!(
                "What the file knows no more stays in the table, as the next ldirectord can read it and this one cannot"
            );
        }
        self.leave();
        self.heirs.drain(..).for_each(|call| call.answer::<()>(Ok(())));
    }

    /// A page of it.
    fn status(&self, from: usize) -> Status {
        let page = self.farm.page(Instant::now(), from);
        Status {
            config: self.path.display().to_string(),
            ready: self.farm.is_ready(),
            active: self.active,
            ipvs: self.access.to_owned(),
            generation: self.farm.generation(),
            virtuals: page.virtuals,
            next: page.next,
        }
    }
}
