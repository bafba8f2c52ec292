//! Ctrl-C, and the signals that ask a program to end.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ganymede::Context;

use crate::report::Report;
use crate::settings::Usage;

/// The exit status of an interrupted run.
pub(crate) const INTERRUPTED: u8 = 130;

/// How long a run may take to end by itself when it was interrupted.
const GRACE: Duration = Duration::from_millis(750);

/// How long telling what was finished may take after that, should nobody read it.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Whether the run was interrupted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Cancels `context` on the first signal, and ends the process on the second, or when the first has no effect.
    pub(crate) fn install(context: &Context, report: &Arc<Report>) -> Result<Self, Usage> {
        let interrupt = Self::default();
        let (seen, context, report) = (interrupt.clone(), context.clone(), Arc::clone(report));
        let handler = move || {
            if seen.0.swap(true, Ordering::Relaxed) {
                exit(INTERRUPTED.into());
            }
            watch_over(&report);
            context.cancel();
        };
        ctrlc::set_handler(handler).map_err(|error| format!("cannot handle signals: {error}"))?;
        Ok(interrupt)
    }

    /// Tells whether the run was interrupted.
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the process when the run does not end by itself: it may wait for a disk, or for who reads its output.
fn watch_over(report: &Arc<Report>) {
    let report = Arc::clone(report);
    let named = || thread::Builder::new().name("ganymede-end".to_owned());
    let telling = named().spawn(move || {
        thread::sleep(GRACE);
        // Whether anybody has read it makes no difference any more.
        let _ = report.sum_up(true);
        exit(INTERRUPTED.into());
    });
    let ending = named().spawn(|| {
        thread::sleep(GRACE + LAST_WORDS);
        exit(INTERRUPTED.into());
    });
    if telling.is_err() && ending.is_err() {
        exit(INTERRUPTED.into());
    }
}
