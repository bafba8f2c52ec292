//! The thread that writes to the index.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::Inner;

/// How long what is stored waits for more that is, before both are written to the index.
const TOGETHER: Duration = Duration::from_millis(10);

/// How often what may be lost is written down.
const INTERVAL: Duration = Duration::from_secs(30);

/// The thread that writes to the index what was stored, a few contents at once, and now and then what may be lost.
/// Dropping it waits for its end.
#[derive(Debug)]
pub(super) struct Writer {
    wake: SyncSender<()>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(inner: &Arc<Inner>) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let (stop, stopped) = channel();
        let inner = Arc::clone(inner);
        let work = move || work(&inner, INTERVAL, &woken, &stopped);
        let thread = Builder::new().name("ganymede-cache".to_owned()).spawn(work)?;
        Ok(Self { wake, stop: Some(stop), thread: Some(thread) })
    }

    /// Lets it know that there is something to write.
    pub(super) fn wake(&self) {
        // Where there is no room for that, it was told, and has not looked yet.
        let _ = self.wake.try_send(());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop = None;
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes until it is stopped: whenever it is woken, and what may be lost once in an interval.
pub(super) fn work(inner: &Inner, interval: Duration, woken: &Receiver<()>, stopped: &Receiver<()>) {
    let mut due = Instant::now() + interval;
    loop {
        match woken.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(()) => {
                let stops = stopped.recv_timeout(TOGETHER) == Err(RecvTimeoutError::Disconnected);
                let _ = woken.try_recv();
                drop(inner.settled());
                if stops {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Where more comes all the time, nothing else would ever be due.
        if Instant::now() >= due {
            inner.write_down();
            due = Instant::now() + interval;
        }
    }
}
