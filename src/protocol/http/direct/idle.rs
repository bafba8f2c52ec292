//! The connections that wait for their next request.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::IDLE;
use super::line::Line;

/// Connections that are open and not in use, by their host and port.
#[derive(Default)]
pub(super) struct Idle(Mutex<State>);

#[derive(Default)]
struct State {
    lines: HashMap<Box<str>, Vec<Resting>>,
    /// Whether somebody looks after those that rest for too long.
    tended: bool,
}

struct Resting {
    line: Box<Line>,
    since: Instant,
}

impl Idle {
    /// Returns the one that was used last, if its server has not closed it.
    pub(super) fn take(&self, place: &str) -> Option<Box<Line>> {
        loop {
            let resting = self.0.lock().lines.get_mut(place)?.pop()?;
            if resting.since.elapsed() < IDLE && resting.line.is_quiet() {
                return Some(resting.line);
            }
        }
    }

    /// Keeps one for the next request.
    pub(super) fn put(idle: &Arc<Self>, place: &str, line: Box<Line>, runtime: &Handle) {
        let mut state = idle.0.lock();
        let resting = Resting { line, since: Instant::now() };
        match state.lines.get_mut(place) {
            Some(lines) => lines.push(resting),
            None => drop(state.lines.insert(place.into(), vec![resting])),
        }
        if !std::mem::replace(&mut state.tended, true) {
            runtime.spawn(Self::tend(Arc::downgrade(idle)));
        }
    }

    /// Closes those of a host: it has closed one that it could have kept.
    pub(super) fn forget(&self, place: &str) {
        let lines = self.0.lock().lines.remove(place);
        drop(lines);
    }

    /// Closes what rests for too long, as long as there is any.
    async fn tend(idle: Weak<Self>) {
        loop {
            sleep(IDLE).await;
            let Some(idle) = idle.upgrade() else { return };
            let mut state = idle.0.lock();
            for lines in state.lines.values_mut() {
                lines.retain(|resting| resting.since.elapsed() < IDLE);
            }
            state.lines.retain(|_, lines| !lines.is_empty());
            if state.lines.is_empty() {
                state.tended = false;
                return;
            }
        }
    }
}
