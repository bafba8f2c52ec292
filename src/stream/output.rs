//! Where a streamed download writes to: the reader, as far as what was read before allows it.

use std::io::{self, Write};
use std::mem::take;
use std::sync::Arc;
use std::task::Waker;

use crossbeam_channel::{Sender, TrySendError, bounded, select};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::cancel::Hook;
use crate::context::Context;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::transfer::Receipt;
use crate::writer::{Output, Writer};

/// How many bytes a block has, at least, of which more come at once: as much as is received in one go.
const FULL: usize = 64 << 10;

/// How many bytes are handed over in one go, at most, unless they come so.
const JOINED: usize = 128 << 10;

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

/// The writer of a stream; its outputs, one for each copy, share what was forwarded.
pub(super) struct StreamWriter(pub(super) Arc<Shared>);

pub(super) struct Shared {
    /// Before the alarm: it is gone when that rings for the last time.
    sender: Sender<Message>,
    end: LastRing,
    /// Whether success proves what the content is.
    identified: bool,
    forwarded: Mutex<Forwarded>,
    context: Context,
}

#[derive(Default)]
struct Forwarded {
    head: Option<Head>,
    length: u64,
    prefix: Sha256,
}

impl Shared {
    /// Makes what the writer of a download and its thread share.
    pub(super) fn new(sender: Sender<Message>, alarm: Alarm, identified: bool, context: Context) -> Self {
        Self { sender, end: LastRing(alarm), identified, forwarded: Mutex::default(), context }
    }

    /// Sends the last message: waits until it fits, or it is cancelled.
    pub(super) fn send_end(&self, result: Result<Receipt, DownloadError>) -> io::Result<()> {
        self.put(Message::End(Box::new(result)))?;
        self.end.0.ring();
        Ok(())
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

    /// Puts the head before what follows at once.
    pub(super) fn put_head(&self, head: &Head) -> io::Result<()> {
        let mut forwarded = self.forwarded.lock();
        if forwarded.head.is_some() {
            return Ok(());
        }
        forwarded.head = Some(head.clone());
        drop(forwarded);
        self.put(Message::Head(Box::new(head.clone())))
    }

    fn put_block(&self, head: Option<&Head>, block: Vec<u8>) -> io::Result<()> {
        if let Some(head) = head {
            self.put_head(head)?;
        }
        let mut forwarded = self.forwarded.lock();
        forwarded.length += block.len() as u64;
        forwarded.prefix.update(&block);
        drop(forwarded);
        self.put(Message::Block(block))
    }
}

impl Writer for StreamWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        let shared = Arc::clone(&self.0);
        Ok(Box::new(StreamOutput {
            shared,
            head: None,
            held: Vec::new(),
            flows: false,
            received: 0,
            again: None,
        }))
    }
}

/// One copy on its way to the reader.
struct StreamOutput {
    shared: Arc<Shared>,
    head: Option<Head>,
    /// The last block, until another one or the commit shows that it may go.
    held: Vec<u8>,
    /// Something of this copy was forwarded.
    flows: bool,
    received: u64,
    /// What a copy that starts again repeats of what was forwarded.
    again: Option<Repetition>,
}

/// The beginning of a copy that has been forwarded already, from another one.
struct Repetition {
    left: u64,
    prefix: Sha256,
}

impl Output for StreamOutput {
    fn offset(&self) -> u64 {
        self.received
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if offset > 0 {
            return Ok(());
        }
        self.received = 0;
        self.held.clear();
        self.head = Some(head.clone());
        let forwarded = self.shared.forwarded.lock();
        let Some(first) = forwarded.head.as_ref() else { return Ok(()) };
        let same_tag = first.strong_etag().is_some() && first.strong_etag() == head.strong_etag();
        let same_total = first.total().is_none() || head.total().is_none() || first.total() == head.total();
        if !same_total || !(same_tag || self.shared.identified) {
            let message =
                "cannot start again after the first byte: nothing proves that it is the same content";
            return Err(Failure::new(ErrorKind::Incomplete, message).transient(false).into());
        }
        self.again = Some(Repetition { left: forwarded.length, prefix: Sha256::new() });
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        if self.again.is_some() {
            return Err(other_content());
        }
        let held = take(&mut self.held);
        // The end, which follows at once, wakes who reads: of a small content, once for all of it.
        match &self.head {
            Some(head) if held.is_empty() => self.shared.put_head(head),
            head => self.shared.put_block(head.as_ref(), held),
        }
    }
}

impl StreamOutput {
    /// Tells whether a block goes on together with what is held. Blocks that are full come fast, so nobody waits long for
    /// the next one, and to hand each over for itself would be most of the work; the first goes alone, at once.
    fn joins(&self, new: &[u8]) -> bool {
        let held = self.held.len();
        self.flows && new.len() >= FULL && held >= FULL && held + new.len() <= JOINED
    }

    /// Takes from a block what repeats the bytes that were forwarded, which must be the same.
    fn repeat<'b>(&mut self, block: &'b [u8]) -> io::Result<&'b [u8]> {
        let Some(again) = &mut self.again else { return Ok(block) };
        let length = usize::try_from(again.left).unwrap_or(usize::MAX).min(block.len());
        let (repeated, new) = block.split_at(length);
        again.left -= length as u64;
        again.prefix.update(repeated);
        if again.left == 0 {
            let prefix = take(&mut again.prefix).finalize();
            if prefix != self.shared.forwarded.lock().prefix.clone().finalize() {
                return Err(other_content());
            }
            self.again = None;
        }
        Ok(new)
    }
}

impl Write for StreamOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let new = self.repeat(block)?;
        if !new.is_empty() {
            if self.joins(new) {
                self.held.extend_from_slice(new);
            } else {
                let mut next = Vec::with_capacity(if new.len() < FULL { new.len() } else { JOINED });
                next.extend_from_slice(new);
                let held = std::mem::replace(&mut self.held, next);
                if !held.is_empty() {
                    self.flows = true;
                    self.shared.put_block(self.head.as_ref(), held)?;
                    self.shared.end.0.ring();
                }
            }
        }
        self.received += block.len() as u64;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn other_content() -> io::Error {
    let message = "the source has another content than the one whose beginning was read";
    Failure::new(ErrorKind::Incomplete, message).transient(false).into()
}
