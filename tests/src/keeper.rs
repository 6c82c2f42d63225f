//! Keeps the IPVS table in place of `lvsctl serve`: the same socket, the same words, a table in memory that refuses
//! what the kernel refuses. One for all tests, as a machine has one table. Only in namespaces of their own, where the
//! socket's directory is theirs.

use std::path::Path;
use std::sync::{OnceLock, mpsc};
use std::thread;

use lvs::control::lvsctl::{Outcome, Page, Request, SPEAKS};
use lvs::control::{SOCKET_DIRECTORY, socket};
use lvs::ipc::{Call, Fault, Greeting, Listen, Policy, Server, VERSION};
use lvs::ipvs::Table;
use lvs::programmer::{Fake, Programmer};

/// The table as it is now. The keeper begins with the first call.
///
/// # Panics
/// If somebody else listens at the socket.
#[must_use]
pub fn table() -> Table {
    keeper().now()
}

fn keeper() -> &'static Fake {
    static KEEPER: OnceLock<Fake> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let table = Fake::default();
        let (listens, heard) = mpsc::channel();
        let kept = table.clone();
        thread::spawn(move || keep(kept, &listens));
        heard.recv().expect("the keeper listens");
        table
    })
}

fn keep(mut table: Fake, listens: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let greeting =
            Greeting { speaks: SPEAKS.into(), version: VERSION, program: "keeper 0".into(), node: "here".into() };
        let path = socket(Path::new(SOCKET_DIRECTORY), SPEAKS);
        // Whoever ldirectord has become may ask; nobody else is in these namespaces.
        let listen = Listen { path, mode: 0o666, group: None, greeting, policy: Policy::default() };
        let mut server: Server<Request> = Server::bind(listen).await.expect("nobody else listens in these namespaces");
        listens.send(()).expect("somebody waits for it");
        loop {
            let call = server.next_call().await;
            answer(call, &mut table).await;
        }
    });
}

async fn answer(call: Call<Request>, table: &mut Fake) {
    match call.request.clone() {
        Request::Table { after } => call.answer(Ok(Page::of(&table.now(), after.as_ref()))),
        Request::Change { changes } => {
            let results = table.change(&changes).await.expect("a table in memory is always there");
            let outcomes = changes.into_iter().zip(results).map(|(change, result)| Outcome::of(change, result));
            call.answer(Ok(outcomes.collect::<Vec<_>>()));
        }
        other => call.answer::<()>(Err(Fault::new("bad-request", format!("the keeper does not know {other:?}")))),
    }
}
