//! The hand on the table: a task of its own, so that a helper that does not answer holds up
//! nothing. It does one thing at a time.

use lvs::diag::chain;
use lvs::ipvs::{Change, Refusal, ServiceKey, Table};
use lvs::programmer::{Programmer, ProgrammerError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::farm::Counted;

enum Job {
    /// The table, and the connections of these services.
    Read(Vec<ServiceKey>),
    Change(Vec<Change>),
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// The table was read, and connections were counted.
    Table(Result<(Table, Counted), ProgrammerError>),
    /// Changes were carried out; one result each.
    Changed(Result<Vec<Result<(), Refusal>>, ProgrammerError>),
}

/// The director's end.
#[derive(Debug)]
pub struct Hand {
    jobs: mpsc::UnboundedSender<Job>,
    done: mpsc::UnboundedReceiver<Done>,
    busy: bool,
    task: JoinHandle<()>,
}

impl Hand {
    /// Starts the task.
    pub fn new<P: Programmer + 'static>(programmer: P) -> Self {
        let (jobs, jobs_out) = mpsc::unbounded_channel();
        let (done_in, done) = mpsc::unbounded_channel();
        let task = tokio::spawn(work(programmer, jobs_out, done_in));
        Self { jobs, done, busy: false, task }
    }

    /// A job is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Has the table read, and the connections of these services counted.
    pub fn read(&mut self, count: Vec<ServiceKey>) {
        self.start(Job::Read(count));
    }

    /// Has changes carried out.
    pub fn change(&mut self, changes: Vec<Change>) {
        self.start(Job::Change(changes));
    }

    fn start(&mut self, job: Job) {
        self.busy = self.jobs.send(job).is_ok();
    }

    /// The result of the job that is under way; waits for ever without one. Cancel-safe.
    pub async fn done(&mut self) -> Done {
        if self.busy
            && let Some(done) = self.done.recv().await
        {
            self.busy = false;
            return done;
        }
        std::future::pending().await
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read<P: Programmer>(programmer: &mut P, count: Vec<ServiceKey>) -> Result<(Table, Counted), ProgrammerError> {
    let table = programmer.table().await?;
    let mut counted = Counted::new();
    for key in count.into_iter().filter(|key| table.contains_key(key)) {
        match programmer.left(&key).await {
            Ok(left) => {
                counted.insert(key, left);
            }
            // Whoever waits for connections to end waits for a limited time.
            Err(error) => log::debug!("{}", chain(&error)),
        }
    }
    Ok((table, counted))
}

async fn work<P: Programmer>(
    mut programmer: P,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    done: mpsc::UnboundedSender<Done>,
) {
    while let Some(job) = jobs.recv().await {
        let result = match job {
            Job::Read(count) => Done::Table(read(&mut programmer, count).await),
            Job::Change(changes) => Done::Changed(programmer.change(&changes).await),
        };
        if done.send(result).is_err() {
            return;
        }
    }
}
