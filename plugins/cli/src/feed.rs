//! Reading ahead on a thread, so that waiting for input can be interrupted.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, bounded, select};
use ganymede::{Context, Hook};

/// How many items are read ahead, at most.
const AHEAD: usize = 16;

/// The items of another iterator, which runs on a thread; it ends when the context is cancelled.
pub(crate) struct Feed<T> {
    items: Receiver<T>,
    cancelled: Receiver<()>,
    _hook: Hook,
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn new(
        source: impl Iterator<Item = T> + Send + 'static,
        context: &Context,
    ) -> io::Result<Self> {
        let (sender, items) = bounded(AHEAD);
        let (raise, cancelled) = bounded::<()>(0);
        let hook = context.on_cancel(move || drop(raise));
        // Never joined: nobody can wake it when it waits for standard input.
        thread::Builder::new().name("ganymede-input".to_owned()).spawn(move || {
            for item in source {
                if sender.send(item).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { items, cancelled, _hook: hook })
    }
}

impl<T> Iterator for Feed<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        select! {
            recv(self.items) -> item => item.ok(),
            recv(self.cancelled) -> _ => None,
        }
    }
}
