//! The thread on which the library works.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use ganymede::{Context, ErrorKind, Failure, SlotKey};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long the thread goes on at the end, for uploads that are to leave nothing behind.
const LINGER: Duration = Duration::from_secs(5);

/// A runtime on a thread of its own, one for each context, which ends with the last who uses it.
pub(crate) struct Driver {
    handle: Handle,
    /// Held by those who must not be interrupted at once.
    busy: Option<mpsc::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(PartialEq, Eq, Hash)]
struct DriverKey;

impl SlotKey for DriverKey {
    type Value = Arc<Driver>;
}

impl Driver {
    /// Returns the driver of a context, which is started if need be.
    pub(crate) fn of(context: &Context) -> Result<Arc<Self>, Failure> {
        let driver = context.slot(DriverKey, |_| {
            let failed = |error: io::Error| {
                Failure::new(ErrorKind::Other, format!("cannot start the thread for stores: {error}"))
            };
            Self::start().map(Arc::new).map_err(failed)
        })?;
        Ok(Arc::clone(&driver))
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("ganymede-files").build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (busy, mut idle) = mpsc::channel::<()>(1);
        let thread = std::thread::Builder::new().name("ganymede-store".to_owned()).spawn(move || {
            runtime.block_on(async {
                // Ends when told to, or when the other side is gone.
                let _ = stopped.await;
                let _ = timeout(LINGER, idle.recv()).await;
            });
            // A look into a file that is under way cannot be interrupted; its thread ends when the system answers.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, busy: Some(busy), stop: Some(stop), thread: Some(thread) })
    }

    /// Runs something on the thread. What is spawned must not hold the driver, whose end waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    /// Runs something on the thread that may finish when the driver is not needed any more, within bounds.
    pub(crate) fn spawn_to_the_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let busy = self.busy.clone();
        self.handle.spawn(async move {
            task.await;
            drop(busy);
        });
    }

    /// Runs something on the thread and waits for it, or until the context is cancelled.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        context: &Context,
        task: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = sync_channel(1);
        let task = self.spawn(async move {
            // Nobody waits any more.
            let _ = sender.send(task.await);
        });
        let _hook = context.on_cancel(move || task.abort());
        let ended = receiver.recv();
        // Whatever a socket says then.
        context.check()?;
        ended.unwrap_or_else(|_| Err(Failure::new(ErrorKind::Panicked, "the thread for stores has given up")))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.busy.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported where it happened.
            let _ = thread.join();
        }
    }
}
