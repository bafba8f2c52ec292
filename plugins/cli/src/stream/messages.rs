//! What the operator is told, on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::destination::Destination;
use super::lines::Lines;

/// What the operator is told: the server never waits for who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Messages(Arc<Lines<String>>);

impl Messages {
    pub(crate) fn start() -> io::Result<Self> {
        let write = |line: &String, block: &mut Vec<u8>| block.extend_from_slice(line.as_bytes());
        // There is nobody else to complain to.
        Ok(Self(Arc::new(Lines::start(Destination::Errors, write, Box::new(drop))?)))
    }

    /// Tells something, in a line.
    pub(crate) fn tell(&self, line: String) {
        self.0.send(line);
    }

    /// Shows warnings of the framework, and more if that is asked for: those of others might hold secrets.
    pub(crate) fn show_events(&self, verbosity: u8) {
        let level = match verbosity {
            0 => Level::WARN,
            1 => Level::INFO,
            _ => Level::DEBUG,
        };
        let messages = self.clone();
        let lines = fmt::layer()
            .with_writer(move || Event(messages.clone()))
            .with_ansi(io::stderr().is_terminal())
            .with_target(false);
        let filter = Targets::new().with_target("ganymede", level);
        // It is set once: nothing else in this process does.
        let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    }

    /// Writes what is left, for no longer than this.
    pub(crate) fn end(&self, longest: Duration) {
        self.0.end(longest);
    }
}

/// One event, which is written in one go.
struct Event(Messages);

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.tell(text.trim_end_matches('\n').to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
