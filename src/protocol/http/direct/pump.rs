//! Receiving on a thread of its own, while another one checks and writes what came.

use std::io;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Builder, JoinHandle, Thread};

use bytes::Bytes;

use super::super::pipe::Pipe;
use super::wire::Socket;
use crate::failure::{ErrorKind, Failure};

/// A thread that receives one body.
pub(super) struct Pump {
    pipe: Arc<Pipe>,
    socket: Arc<Socket>,
    /// Until the end of the body was taken.
    thread: Option<JoinHandle<()>>,
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Ends the body when its thread is gone, in whatever way.
struct Ended(Arc<Pipe>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.finish(Err(ErrorKind::Incomplete.into()));
    }
}

impl Pump {
    /// Receives all of a body on a new thread, by way of `next`, which returns `None` at its end.
    pub(super) fn start(
        capacity: usize,
        socket: Arc<Socket>,
        mut next: impl FnMut(&Pipe) -> Result<Option<Bytes>, Failure> + Send + 'static,
    ) -> io::Result<Self> {
        let pipe = Arc::new(Pipe::new(capacity));
        let end = Ended(Arc::clone(&pipe));
        let thread = Builder::new().name("ganymede-receive".to_owned()).spawn(move || {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut context = Context::from_waker(&waker);
            let result = loop {
                while end.0.poll_room(&mut context).is_pending() {
                    thread::park();
                }
                match next(&end.0) {
                    Ok(Some(block)) => end.0.put_block(block),
                    Ok(None) => break Ok(()),
                    Err(failure) => break Err(failure),
                }
            };
            // The connection goes back to the others first: what is sent next shall find it.
            drop(next);
            end.0.finish(result);
        })?;
        Ok(Self { pipe, socket, thread: Some(thread) })
    }

    /// Returns what is to be cancelled for its waits to end.
    pub(super) fn pipe(&self) -> Arc<Pipe> {
        Arc::clone(&self.pipe)
    }

    pub(super) fn block(&mut self) -> Result<Option<Bytes>, Failure> {
        let block = self.pipe.block();
        if let Ok(None) = block {
            // The connection is others' by now.
            self.join();
        }
        block
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.pipe.cancel();
            self.socket.cut();
            self.join();
        }
    }
}
