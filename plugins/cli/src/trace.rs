//! The timeline of a run, in the Trace Event Format: what `--trace` writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ganymede::{Failure, FileName, Timing, Url};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::observation::Attempt;
use crate::settings::Usage;
use crate::stats::phases;

/// How many bytes are written at once.
const BLOCK: usize = 64 << 10;

/// A file that is written as the run goes on: a lane for each thread, and a bar for each attempt.
///
/// What is in the file always ends at the end of an event, so that a viewer takes it also if the run is killed.
#[derive(Debug)]
pub(crate) struct Trace {
    path: PathBuf,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once it is ended, or cannot be written any more.
    file: Option<File>,
    /// Events that are not written yet.
    pending: Vec<u8>,
    lanes: HashMap<ThreadId, usize>,
}

/// An event of the format.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'a str,
    ph: &'a str,
    /// Both in microseconds.
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    pid: u32,
    tid: usize,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

/// A bar within that of an attempt.
struct Part {
    name: &'static str,
    start: Instant,
    end: Instant,
    args: Value,
}

impl Trace {
    /// Begins the trace of a run.
    pub(crate) fn create(path: &Path) -> Result<Self, Usage> {
        if path == Path::new("-") {
            return Err("--trace - is no file: name one".into());
        }
        let failed = |error: io::Error| format!("--trace: cannot write {}: {error}", path.display());
        let state = State {
            file: Some(File::create(path).map_err(failed)?),
            pending: b"[".to_vec(),
            lanes: HashMap::new(),
        };
        let trace = Self { path: path.to_owned(), start: Instant::now(), state: Mutex::new(state) };
        trace.state.lock().name("process_name", 0, "ganymede get").map_err(failed)?;
        Ok(trace)
    }

    /// Writes the bar of an attempt on this thread's lane, with those of its parts.
    pub(crate) fn add(&self, attempt: &Attempt) -> io::Result<()> {
        let mut name = FileName::of_url(&attempt.source).as_str().to_owned();
        if attempt.number > 1 {
            name.push_str(&format!(" (attempt {})", attempt.number));
        }
        let parts = parts(attempt);
        let parts = parts.iter().map(|part| (part.name, "part", part.start, part.end, part.args.clone()));
        let whole = (&*name, "attempt", attempt.start, attempt.end, described(attempt));
        self.draw(std::iter::once(whole).chain(parts))
    }

    /// Writes the bar of a wait before the next attempt.
    pub(crate) fn paused(&self, start: Instant, end: Instant) -> io::Result<()> {
        self.draw(std::iter::once(("pause", "pause", start, end, Value::Null)))
    }

    /// Ends it; what comes after that is left out.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.pending.extend(b"\n]\n");
        let written = state.write();
        state.file = None;
        written.map_err(|error| self.failed(&error))
    }

    fn draw<'a>(
        &self,
        bars: impl Iterator<Item = (&'a str, &'a str, Instant, Instant, Value)>,
    ) -> io::Result<()> {
        let micros = |at: Instant| {
            u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
        };
        let mut state = self.state.lock();
        let drawn = state.lane().and_then(|lane| {
            for (name, cat, start, end, args) in bars {
                let (ts, dur) = (micros(start), Some(micros(end) - micros(start)));
                let record = Record { name, cat, ph: "X", ts, dur, pid: std::process::id(), tid: lane, args };
                state.put(&record)?;
            }
            if state.pending.len() >= BLOCK { state.write() } else { Ok(()) }
        });
        drawn.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> io::Error {
        let path = self.path.display();
        io::Error::new(error.kind(), format!("the trace {path} is not complete: cannot write it: {error}"))
    }
}

impl State {
    /// Returns the number of this thread's lane.
    fn lane(&mut self) -> io::Result<usize> {
        let thread = thread::current();
        let next = self.lanes.len() + 1;
        let lane = *self.lanes.entry(thread.id()).or_insert(next);
        if lane == next {
            self.name("thread_name", lane, thread.name().unwrap_or("a thread"))?;
        }
        Ok(lane)
    }

    fn name(&mut self, what: &str, lane: usize, name: &str) -> io::Result<()> {
        let args = json!({"name": name});
        let pid = std::process::id();
        self.put(&Record { name: what, cat: "", ph: "M", ts: 0, dur: None, pid, tid: lane, args })
    }

    fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        // The first one follows the bracket that opens the array.
        let first = self.pending == b"[";
        self.pending.extend(if first { "\n" } else { ",\n" }.as_bytes());
        Ok(serde_json::to_writer(&mut self.pending, record)?)
    }

    /// Writes what is pending; the first failure is the last, since nothing is written after it.
    fn write(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            self.pending.clear();
            return Ok(());
        };
        let written = file.write_all(&self.pending);
        self.pending.clear();
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

/// Returns what an attempt was made of, one after the other and within it.
///
/// How long each has lasted is known, and that the head is the end of some of them and the commit is at the end.
fn parts(attempt: &Attempt) -> Vec<Part> {
    let Attempt { start, end, timing, .. } = *attempt;
    let replied = attempt.reply.as_ref().map(|reply| reply.at);
    let begun = replied.unwrap_or(start);
    let committed = end.checked_sub(timing.committing).unwrap_or(begun).max(begun);
    let head = replied.unwrap_or(committed);
    let until_head: Vec<_> = phases(&timing).into_iter().take(5).collect();
    let took: Duration = until_head.iter().map(|(_, time)| *time).sum();
    let mut at = head.checked_sub(took).unwrap_or(start).max(start);
    let mut parts = Vec::new();
    let mut part = |name, start: Instant, end: Instant, args| {
        if end.duration_since(start) >= Duration::from_micros(1) {
            parts.push(Part { name, start, end, args });
        }
    };
    for (name, time) in until_head {
        let next = (at + time).min(head);
        part(if name == "tls" { "TLS" } else { name }, at, next, Value::Null);
        at = next;
    }
    if attempt.received > 0 || !timing.receiving.is_zero() {
        part("receive, check and write", head, committed, shares(&timing));
    }
    part("commit", committed, end, Value::Null);
    parts
}

/// Returns what the time in which a content was received was made of, in microseconds.
fn shares(timing: &Timing) -> Value {
    let body = phases(timing)
        .into_iter()
        .filter(|(name, _)| matches!(*name, "receive" | "throttle" | "check" | "write"));
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    body.map(|(name, time)| (format!("{name}_us"), Value::from(micros(time))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Returns what is to be known of an attempt.
fn described(attempt: &Attempt) -> Value {
    let mut args = json!({
        "url": public(&attempt.source),
        "attempt": attempt.number,
        "bytes": attempt.received,
    });
    let reply = attempt.reply.as_ref();
    let refused = attempt.failure.as_ref().and_then(Failure::status);
    if let Some(status) = refused.or_else(|| reply.map(|reply| reply.status)) {
        args["status"] = status.as_u16().into();
    }
    if let Some(reply) = reply.filter(|reply| public(&reply.url) != public(&attempt.source)) {
        args["found"] = public(&reply.url).into();
    }
    if let Some(failure) = &attempt.failure {
        args["error"] = without_query(&failure.to_string(), &attempt.source).into();
        args["kind"] = failure.kind().name().into();
    }
    args
}

/// Returns the URL without what may be secret in it.
fn public(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    crate::item::shown(&url)
}

/// Takes the query of a URL out of a text that may name it.
fn without_query(text: &str, url: &Url) -> String {
    match url.query().filter(|query| !query.is_empty()) {
        Some(query) => text.replace(&format!("?{query}"), "?.."),
        None => text.to_owned(),
    }
}
