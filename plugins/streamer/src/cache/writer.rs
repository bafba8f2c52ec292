//! The thread that stores contents.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::Builder;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The thread that stores contents, one after the other: only one can be at the index at a time, and more threads would
/// only wait for each other.
#[derive(Debug)]
pub(super) struct Writer(Sender<Work>);

impl Writer {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = channel::<Work>();
        Builder::new().name("ganymede-cache".to_owned()).spawn(move || {
            // It ends with the last one who may send something.
            receiver.into_iter().for_each(|work| {
                // What panics is not stored, and whoever waits for it learns that.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            });
        })?;
        Ok(Self(sender))
    }

    /// Does something on that thread, after what came before; `None` if that panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        let work = move || drop(sender.send(work()));
        self.0.send(Box::new(work)).ok()?;
        done.await.ok()
    }
}
