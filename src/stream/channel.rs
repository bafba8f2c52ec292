//! The way from a download to who reads it.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use crossbeam_channel::{Sender, TrySendError, bounded, select};
use parking_lot::Mutex;

use super::sink::Sink;
use crate::cancel::Hook;
use crate::context::Context;
use crate::error::DownloadError;
use crate::failure::Failure;
use crate::reply::Head;
use crate::transfer::Receipt;

/// What goes from the download to the reader.
pub(super) enum Message {
    Head(Box<Head>),
    Block(Vec<u8>),
    End(Box<Result<Receipt, DownloadError>>),
}

/// Wakes the task that waits for a message, if one does.
#[derive(Clone, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<Waker>>>);

impl Alarm {
    pub(super) fn set(&self, waker: &Waker) {
        *self.0.lock() = Some(waker.clone());
    }

    fn ring(&self) {
        let waker = self.0.lock().take();
        // Without the lock: the task may be dropped by that, and the body with it.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Rings when no more messages can come, also if none has said so.
struct LastRing(Alarm);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The download's end of the way.
pub(super) struct Channel {
    /// Before the alarm: it is gone when that rings for the last time.
    sender: Sender<Message>,
    end: LastRing,
    context: Context,
}

impl Channel {
    pub(super) fn new(sender: Sender<Message>, alarm: Alarm, context: Context) -> Self {
        Self { sender, end: LastRing(alarm), context }
    }

    /// Waits until the message fits, or it is cancelled; who reads is not woken for it unless somebody rings.
    fn put(&self, message: Message) -> io::Result<()> {
        let message = match self.sender.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(message)) => {
                // Who is to make room may not know of what came before.
                self.end.0.ring();
                message
            }
            Err(TrySendError::Disconnected(_)) => return Err(Failure::cancelled().into()),
        };
        let (raise, raised) = bounded::<()>(0);
        let _hook: Hook = self.context.on_cancel(move || drop(raise));
        select! {
            send(self.sender, message) -> sent => sent.map_err(|_| Failure::cancelled().into()),
            recv(raised) -> _ => Err(Failure::cancelled().into()),
        }
    }
}

impl Sink for Channel {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.put(Message::Head(Box::new(head.clone())))
    }

    fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
        self.put(Message::Block(block))?;
        self.end.0.ring();
        Ok(())
    }

    fn last(&mut self, block: Vec<u8>) -> io::Result<()> {
        // The end wakes who reads: for a small content, once for all of it.
        self.put(Message::Block(block))
    }

    fn end(self: Box<Self>, result: Result<Receipt, DownloadError>) {
        // Nobody may be there any more; who is will be told by the last ring.
        let _ = self.put(Message::End(Box::new(result)));
    }
}
