//! A run of `ganymede stream`.

mod access;
mod belonging;
mod destination;
mod lines;
mod listening;
mod messages;
mod prefetching;
mod settings;
mod signals;
mod upstream;
mod witnessed;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ganymede_streamer::{Access, Prefetched, Server, Streamer};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use crate::arguments::Stream;
use crate::interrupt::INTERRUPTED;
use crate::run::FAILED;
use crate::settings::Usage;

use lines::Lines;
use messages::Messages;
use signals::{Signals, Told};
use upstream::Upstream;

/// How long what is left of a log may take at the end, should nobody read it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long the tasks of the event loop may take to be gone.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until it is told to end, and returns the exit status.
pub(crate) fn stream(arguments: &Stream) -> Result<u8, Usage> {
    settings::check_combination(arguments)?;
    let messages = Messages::start().map_err(|error| cannot_begin(&error))?;
    messages.show_events(arguments.journal.verbose);
    let status = run(arguments, &messages);
    messages.end(LAST_WORDS);
    status
}

fn run(arguments: &Stream, messages: &Messages) -> Result<u8, Usage> {
    let upstream = Arc::new(Upstream::new(arguments)?);
    let paths = prefetching::paths(&arguments.keeping, &upstream)?;
    let log = access::open(&arguments.journal, messages)?;
    let mut streamer = settings::streamer(arguments, &upstream)?;
    if let Some(log) = log.clone() {
        streamer = streamer.access_log(move |access| log.send(access.clone()));
    }
    listening::allow_many();
    let runtime = Runtime::new().map_err(|error| cannot_begin(&error))?;
    let serving = Serving { upstream, messages: messages.clone(), log: log.clone() };
    let status = runtime.block_on(serving.run(arguments, streamer, paths));
    // What is cut now must not look like an end, so sockets are closed by their owners and not by the system.
    runtime.shutdown_timeout(FAREWELL);
    if let Some(log) = log {
        log.end(LAST_WORDS);
    }
    status
}

fn cannot_begin(error: &io::Error) -> Usage {
    format!("cannot begin: {error}").into()
}

/// What is there while it serves.
struct Serving {
    upstream: Arc<Upstream>,
    messages: Messages,
    log: Option<Arc<Lines<Access>>>,
}

impl Serving {
    async fn run(self, arguments: &Stream, streamer: Streamer, paths: Vec<String>) -> Result<u8, Usage> {
        let listeners = listening::listen(&arguments.service.listen).await?;
        let signals = Signals::new().map_err(|error| cannot_begin(&error))?;
        let fetches = !paths.is_empty();
        let (router, fetching) = streamer.prefetch(paths, arguments.keeping.prefetch_at_once.into());
        let server = settings::server(Server::new(router), &arguments.bounds);
        let (stop, stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        for listener in listeners {
            let address = listener.local_addr().map_err(|error| cannot_begin(&error))?;
            let (server, mut stopped) = (server.clone(), stopped.clone());
            serving.spawn(async move {
                server.run(listener, async move { drop(stopped.wait_for(|stop| *stop).await) }).await
            });
            self.messages.tell(format!("Listening on http://{address}/"));
        }
        let fetching = fetches.then(|| tokio::spawn(told(fetching, self.messages.clone())));
        let status = self.wait(serving, signals, &stop, arguments.bounds.drain).await;
        if let Some(fetching) = fetching {
            fetching.abort();
        }
        Ok(status)
    }

    /// Waits until all that serve have ended, or until that is not waited for any more.
    async fn wait(
        &self,
        mut serving: JoinSet<io::Result<()>>,
        mut signals: Signals,
        stop: &watch::Sender<bool>,
        drain: Duration,
    ) -> u8 {
        let mut status = 0;
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Told::Reload => self.reload(),
                    Told::End if stop.send_replace(true) => return INTERRUPTED,
                    Told::End => {
                        let time = humantime::format_duration(drain);
                        let again = "a second signal ends it at once";
                        self.messages.tell(format!("Ending: what is being answered has {time}; {again}"));
                    }
                },
                ended = serving.join_next() => {
                    let failed = match ended {
                        None => return status,
                        Some(Ok(Ok(()))) => continue,
                        Some(Ok(Err(error))) => error.to_string(),
                        Some(Err(error)) => error.to_string(),
                    };
                    self.messages.tell(format!("error: cannot serve: {failed}"));
                    status = FAILED;
                    stop.send_replace(true);
                }
            }
        }
    }

    /// Begins anew what others may have changed: the file of the access log, and the lists of digests.
    fn reload(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
        let (upstream, messages) = (Arc::clone(&self.upstream), self.messages.clone());
        drop(spawn_blocking(move || {
            messages.tell(match upstream.reload() {
                Ok(None) => "Reloaded".to_owned(),
                Ok(Some(files)) => format!("Reloaded: the digests of {files} files are known"),
                Err(reason) => format!("error: {reason}\nWhat was read before counts on"),
            });
        }));
    }
}

/// Tells what has come of fetching before anybody asked.
async fn told(fetching: impl Future<Output = Prefetched>, messages: Messages) {
    let Prefetched { fetched, failed, .. } = fetching.await;
    messages.tell(match failed {
        0 => format!("Prefetched: all {fetched} files are there"),
        _ => format!("Prefetched: {fetched} files are there, {failed} are not: see the access log for why"),
    });
}
