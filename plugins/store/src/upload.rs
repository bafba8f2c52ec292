//! One upload: an object in the making.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ganymede::{Context, ErrorKind, Failure, Hook, Url};
use opendal::options::WriteOptions;
use opendal::{Operator, Writer};
use tokio::sync::mpsc;

use crate::failure::unwritten;
use crate::session::Session;
use crate::transport::Seen;

/// How long is waited at most until nothing is left of an upload that is given up; after that, it goes on by itself.
const GRACE: Duration = Duration::from_millis(700);

enum Step {
    Part(Bytes),
    Commit,
}

/// Where an object goes, and how.
pub(crate) struct Destination {
    pub(crate) operator: Operator,
    pub(crate) seen: Seen,
    pub(crate) key: String,
    pub(crate) url: Url,
    pub(crate) options: WriteOptions,
}

/// An object in the making, which is nowhere before it is committed. Dropped before that, nothing is left of it.
pub(crate) struct Upload {
    steps: Option<mpsc::UnboundedSender<Step>>,
    answers: Receiver<Result<(), Failure>>,
    context: Context,
    /// Ends the wait for an answer.
    hook: Option<Hook>,
    /// The thread that carries it must outlast the context that it was begun in.
    _session: Arc<Session>,
}

impl Upload {
    pub(crate) fn begin(destination: Destination, session: &Arc<Session>, context: &Context) -> Self {
        let (steps, next) = mpsc::unbounded_channel();
        let (sender, answers) = channel();
        let waker = sender.clone();
        session.driver.spawn_to_the_end(destination.carry(next, sender));
        Self {
            steps: Some(steps),
            answers,
            context: context.clone(),
            hook: Some(context.on_cancel(move || drop(waker.send(Err(Failure::cancelled()))))),
            _session: Arc::clone(session),
        }
    }

    /// Takes the next part, which is on its way then.
    pub(crate) fn put(&mut self, part: Bytes) -> Result<(), Failure> {
        self.step(Step::Part(part))
    }

    /// Makes the object real.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        self.step(Step::Commit)
    }

    fn step(&mut self, step: Step) -> Result<(), Failure> {
        self.context.check()?;
        let sent = self.steps.as_ref().is_some_and(|steps| steps.send(step).is_ok());
        let answer = if sent { self.answers.recv().ok() } else { None };
        self.context.check()?;
        answer.unwrap_or_else(|| Err(given_up()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        drop(self.steps.take());
        // What holds no other end any more cannot be waited for.
        drop(self.hook.take());
        let end = Instant::now() + GRACE;
        while let Ok(_) | Err(RecvTimeoutError::Timeout) =
            self.answers.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            if Instant::now() >= end {
                tracing::debug!("an upload that is given up is still being removed");
                return;
            }
        }
    }
}

/// How an upload is left.
enum End {
    Committed,
    Failed(Failure),
    GivenUp,
}

impl Destination {
    /// Carries it out, step by step, until it is committed, fails, or nobody is there any more.
    async fn carry(self, mut steps: mpsc::UnboundedReceiver<Step>, answers: Sender<Result<(), Failure>>) {
        let Self { operator, seen, key, url, options } = self;
        let _ended = Ended(answers.clone());
        let mut writer = match operator.writer_options(&key, options).await {
            Ok(writer) => writer,
            Err(error) => {
                let _ = answers.send(Err(unwritten(&error, &seen, &url)));
                return;
            }
        };
        let end = work(&mut writer, &mut steps, &answers, |error| unwritten(error, &seen, &url)).await;
        if !matches!(end, End::Committed)
            && let Err(error) = writer.abort().await
        {
            tracing::warn!(%url, %error, "what is left of an unfinished upload could not be removed");
        }
        match end {
            End::Committed => drop(answers.send(Ok(()))),
            End::Failed(failure) => drop(answers.send(Err(failure))),
            End::GivenUp => {}
        }
    }
}

/// Tells who waits that nothing more comes, also after a panic.
struct Ended(Sender<Result<(), Failure>>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(Err(given_up()));
    }
}

fn given_up() -> Failure {
    Failure::new(ErrorKind::Write, "the upload was given up")
}

async fn work(
    writer: &mut Writer,
    steps: &mut mpsc::UnboundedReceiver<Step>,
    answers: &Sender<Result<(), Failure>>,
    failed: impl Fn(&opendal::Error) -> Failure,
) -> End {
    let mut parts = 0_u32;
    while let Some(step) = steps.recv().await {
        // Before the second part is taken, it is not known by what name the store keeps the parts: who left then would
        // leave them there.
        let named = parts >= 2;
        let done = match step {
            Step::Part(part) => {
                parts += 1;
                interruptible(writer.write(part), steps, named).await
            }
            Step::Commit => match interruptible(writer.close(), steps, named).await {
                Some(Ok(_)) => return End::Committed,
                done => done.map(|closed| closed.map(drop)),
            },
        };
        match done {
            None => return End::GivenUp,
            Some(Err(error)) => return End::Failed(failed(&error)),
            Some(Ok(())) => drop(answers.send(Ok(()))),
        }
    }
    End::GivenUp
}

/// Waits for some work, or, if it may be interrupted, until nobody is there any more.
async fn interruptible<T>(
    work: impl Future<Output = T>,
    steps: &mut mpsc::UnboundedReceiver<Step>,
    may: bool,
) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        // The next step comes only after the answer to this one.
        _ = steps.recv(), if may => None,
    }
}
