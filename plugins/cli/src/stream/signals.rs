//! The signals that tell a server what to do.

/// What a server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    End,
    Reload,
}

pub(crate) use system::Signals;

#[cfg(unix)]
mod system {
    use std::io::{self, IsTerminal};

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::Told;

    /// The signals that came.
    #[derive(Debug)]
    pub(crate) struct Signals {
        terminate: Signal,
        interrupt: Signal,
        hangup: Signal,
        /// Whether it was started at a terminal.
        terminal: bool,
    }

    impl Signals {
        /// Takes the signals from now on; before, they end the process.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
                terminal: io::stderr().is_terminal(),
            })
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Told {
            tokio::select! {
                _ = self.terminate.recv() => Told::End,
                _ = self.interrupt.recv() => Told::End,
                // It comes, too, when the terminal is closed, and then nobody is there any more.
                _ = self.hangup.recv() => match self.terminal && !io::stderr().is_terminal() {
                    true => Told::End,
                    false => Told::Reload,
                },
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Told;

    /// The signals that came.
    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Told {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Told::End,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
