//! One request and its answer.

use std::mem::replace;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::bounded;
use http::Request;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use reqwest::Body;
use tokio::task::AbortHandle;
use url::Url;

use super::super::connecting::Connecting;
use super::super::driver::{STALE, after};
use super::super::pipe::{Answer, Pipe};
use super::super::{DRAIN_BYTES, DRAIN_TIME};
use super::idle::Idle;
use super::line::{Line, Patience};
use super::pump::Pump;
use super::wire::Socket;
use super::{Direct, place};
use crate::cancel::Hook;
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::timing::Timing;

/// How much of a body comes before a thread is worth its while that receives the rest.
const PUMPED_AFTER: u64 = 512 << 10;

/// How much must be left then, if that is known.
const PUMPED_FROM: u64 = 2 << 20;

/// A request under way, on the thread that waits for it.
pub(in super::super) struct Exchange {
    direct: Arc<Direct>,
    /// Until it is sent.
    request: Option<Request<Bytes>>,
    url: Url,
    read_timeout: Duration,
    stage: Stage,
    stop: Arc<Stop>,
    received: u64,
    pumped: bool,
}

enum Stage {
    /// Nothing was sent, or the answer has ended.
    Off,
    Body(Box<Line>, Incoming),
    Pumped(Pump),
}

/// What ends the waits of an exchange from another thread.
#[derive(Default)]
struct Stop(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    stopped: bool,
    at: At,
}

#[derive(Default)]
enum At {
    #[default]
    Nothing,
    Connecting(AbortHandle),
    Receiving(Arc<Socket>),
    Pumping(Arc<Pipe>, Arc<Socket>),
}

impl Stop {
    /// Says what is waited for from now on.
    fn at(&self, at: At) -> Result<(), Failure> {
        let mut waiting = self.0.lock();
        waiting.at = at;
        if waiting.stopped {
            waiting.at.stop();
            return Err(Failure::cancelled());
        }
        Ok(())
    }

    fn stop(&self) {
        let mut waiting = self.0.lock();
        waiting.stopped = true;
        waiting.at.stop();
    }
}

impl At {
    fn stop(&self) {
        match self {
            Self::Nothing => {}
            Self::Connecting(task) => task.abort(),
            Self::Receiving(socket) => socket.cut(),
            Self::Pumping(pipe, socket) => {
                pipe.cancel();
                socket.cut();
            }
        }
    }
}

impl Exchange {
    pub(in super::super) fn new(
        direct: &Arc<Direct>,
        request: Request<Bytes>,
        url: Url,
        read_timeout: Duration,
        pumped: bool,
    ) -> Self {
        let (direct, stop, request) = (Arc::clone(direct), Arc::default(), Some(request));
        Self { direct, request, url, read_timeout, stage: Stage::Off, stop, received: 0, pumped }
    }

    /// Ends its waits when the context is cancelled.
    pub(in super::super) fn watch(&self, context: &Context) -> Hook {
        let stop = Arc::clone(&self.stop);
        context.on_cancel(move || stop.stop())
    }

    /// Sends the request, and waits for the head of the answer.
    ///
    /// A server may close a connection at any time while it is idle. Who is told so in answer to a request, which asks
    /// for something and changes nothing, may send that again (RFC 9112 §9.3.1 and RFC 9110 §9.2.2).
    pub(in super::super) fn head(
        &mut self,
        again: impl Fn() -> Option<Request<Bytes>>,
    ) -> Result<Answer, Failure> {
        let mut times = 0;
        loop {
            let request = self.request.take().or_else(&again).ok_or(ErrorKind::Unsupported)?;
            let (mut line, connecting) = match self.direct.idle.take(place(&self.url)) {
                Some(line) => (line, None),
                None => {
                    let (line, timing) = self.connect()?;
                    (line, Some(timing))
                }
            };
            self.stop.at(At::Receiving(line.socket()))?;
            let sent = Instant::now();
            let patience = Patience {
                part: "head",
                url: &self.url,
                read_timeout: self.read_timeout,
                limit: Some(after(sent, self.read_timeout)),
                siblings: true,
            };
            let mut response = match line.send(request.map(Body::from), patience) {
                Ok(response) => response,
                Err(failure)
                    if connecting.is_none()
                        && !line.has_heard()
                        && times < STALE
                        && matches!(failure.kind(), ErrorKind::Incomplete) =>
                {
                    times += 1;
                    self.direct.idle.forget(place(&self.url));
                    continue;
                }
                Err(failure) => {
                    let timing = Timing { waiting: sent.elapsed(), ..connecting.unwrap_or_default() };
                    return Err(failure.with_timing(timing));
                }
            };
            let timing = Timing { waiting: sent.elapsed(), ..connecting.unwrap_or_default() };
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            self.stage = Stage::Body(line, response.into_body());
            return Ok(Answer { status, headers, timing });
        }
    }

    fn connect(&self) -> Result<(Box<Line>, Timing), Failure> {
        let watch = Connecting::begun();
        let connecting = watch.clone().scope(self.direct.connector.clone().connect(self.url.clone()));
        let (tell, told) = bounded(1);
        let task = self.direct.driver.spawn(async move {
            // Who has given up does not want to know.
            let _ = tell.send(connecting.await);
        });
        self.stop.at(At::Connecting(task))?;
        // Nobody tells anything when the task was aborted.
        let connected = told.recv().unwrap_or_else(|_| Err(Failure::cancelled()));
        let timing = watch.ended();
        let stream = connected.map_err(|failure| failure.with_timing(timing))?;
        Ok((Line::new(stream, &self.direct.builder, self.direct.driver.join())?, timing))
    }

    /// Waits for the next block of the body; `None` is the end of a complete one.
    pub(in super::super) fn block(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.received >= PUMPED_AFTER && self.pumped {
            self.pump();
        }
        let patience = body_patience(&self.url, self.read_timeout);
        let block = match &mut self.stage {
            Stage::Off => return Ok(None),
            Stage::Body(line, body) => line.block(body, patience, || {}),
            Stage::Pumped(pump) => pump.block(),
        };
        match &block {
            Ok(Some(block)) => self.received += block.len() as u64,
            Ok(None) => self.finish(),
            Err(_) => self.stage = Stage::Off,
        }
        block
    }

    /// Lets a thread of its own receive the rest of a body, while this one does something with what came.
    fn pump(&mut self) {
        self.pumped = false;
        let (line, body) = match replace(&mut self.stage, Stage::Off) {
            Stage::Body(line, body) => (line, body),
            other => {
                self.stage = other;
                return;
            }
        };
        let left = body.size_hint();
        if left.upper().is_some_and(|left| left < PUMPED_FROM) {
            self.stage = Stage::Body(line, body);
            return;
        }
        let (direct, stop) = (Arc::clone(&self.direct), Arc::clone(&self.stop));
        let (url, read_timeout, socket) = (self.url.clone(), self.read_timeout, line.socket());
        // Where no thread can be had, it goes on without.
        let shared = Arc::new(Mutex::new(Some((line, body))));
        let theirs = Arc::clone(&shared);
        let mut own = None;
        let next = move |pipe: &Pipe| {
            let Some((line, body)) = own.get_or_insert_with(|| theirs.lock().take()) else { return Ok(None) };
            let block = line.block(body, body_patience(&url, read_timeout), || pipe.flush());
            if let Ok(None) = block
                && let Some((line, _)) = own.take().flatten()
            {
                rest(&direct, &stop, place(&url), line);
            }
            block
        };
        match Pump::start(self.direct.capacity(), Arc::clone(&socket), next) {
            Ok(pump) => {
                // If it was stopped, the pump will tell.
                let _ = self.stop.at(At::Pumping(pump.pipe(), socket));
                self.stage = Stage::Pumped(pump);
            }
            Err(error) => {
                tracing::debug!(%error, "cannot start a thread that receives");
                if let Some((line, body)) = shared.lock().take() {
                    self.stage = Stage::Body(line, body);
                }
            }
        }
    }

    /// Reads a body that is not wanted, if that is little, so that the connection can be used again.
    pub(in super::super) fn drain(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Stage::Body(line, body) = &mut self.stage else { return Ok(Some(Vec::new())) };
        let end = after(Instant::now(), DRAIN_TIME);
        let mut all = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut patience = body_patience(&self.url, left);
            patience.siblings = false;
            match line.block(body, patience, || {}) {
                Ok(Some(block)) if all.len() + block.len() <= DRAIN_BYTES && !left.is_zero() => {
                    all.extend_from_slice(&block);
                }
                Ok(None) => {
                    self.finish();
                    return Ok(Some(all));
                }
                Err(failure) if matches!(failure.kind(), ErrorKind::Cancelled) => return Err(failure),
                // Nobody has asked for the body, so its errors are nobody's either.
                _ => {
                    self.stage = Stage::Off;
                    return Ok(None);
                }
            }
        }
    }

    /// Closes the connection, unless the answer has ended.
    pub(in super::super) fn cut(&mut self) {
        self.stage = Stage::Off;
    }

    fn finish(&mut self) {
        if let Stage::Body(line, _) = replace(&mut self.stage, Stage::Off) {
            rest(&self.direct, &self.stop, place(&self.url), line);
        }
    }
}

/// Gives a connection to the next request, once nobody can stop it any more who is done with it.
fn rest(direct: &Direct, stop: &Stop, place: &str, line: Box<Line>) {
    if stop.at(At::Nothing).is_ok()
        && let Some(line) = line.rest()
    {
        Idle::put(&direct.idle, place, line, direct.driver.runtime());
    }
}

fn body_patience(url: &Url, read_timeout: Duration) -> Patience<'_> {
    Patience { part: "body", url, read_timeout, limit: None, siblings: true }
}
