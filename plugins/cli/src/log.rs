//! What `-v` and `-vv` show of the framework's work.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::progress::{Above, Progress};

/// Shows events of the framework on standard error: those of others might hold secrets.
pub(crate) fn start(verbosity: u8, progress: &Progress) {
    let level = match verbosity {
        0 => return,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let progress = progress.clone();
    let lines = fmt::layer()
        .with_writer(move || Above(progress.clone()))
        .with_ansi(io::stderr().is_terminal())
        .with_timer(fmt::time::uptime())
        .with_target(false);
    let filter = Targets::new().with_target("ganymede", level);
    // It is set once: nothing else in this process does.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}
