//! Where a streamed download writes to: its sink, as far as what was forwarded before allows it.

use std::io::{self, Write};
use std::mem::take;
use std::sync::Arc;

use blake3::Hasher;
use parking_lot::Mutex;

use super::sink::Sink;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::transfer::Receipt;
use crate::writer::{Output, Writer};

/// How many bytes a block has, at least, of which more come at once: as much as is received in one go.
const FULL: usize = 64 << 10;

/// How many bytes are handed over in one go, at most, unless they come so.
const JOINED: usize = 128 << 10;

/// The writer of a stream; its outputs, one for each copy, share what was forwarded.
pub(super) struct StreamWriter(pub(super) Arc<Forwarding>);

/// Where a download is forwarded to, and what has been.
pub(super) struct Forwarding {
    /// Whether success proves what the content is.
    identified: bool,
    forwarded: Mutex<Forwarded>,
}

struct Forwarded {
    /// It is there until the end.
    sink: Option<Box<dyn Sink>>,
    head: Option<Head>,
    length: u64,
    /// By BLAKE3, since it is compared with its like only, and takes less than half of the time of SHA-256.
    prefix: Hasher,
}

impl Forwarding {
    /// Forwards to a sink what is identified by its success, or not.
    pub(super) fn new(sink: Box<dyn Sink>, identified: bool) -> Self {
        let forwarded = Forwarded { sink: Some(sink), head: None, length: 0, prefix: Hasher::new() };
        Self { identified, forwarded: Mutex::new(forwarded) }
    }

    /// Forwards the head, unless one was.
    pub(super) fn put_head(&self, head: &Head) -> io::Result<()> {
        self.forwarded.lock().put_head(head)
    }

    /// Forwards a block, and before the first one the head.
    fn put(&self, head: Option<&Head>, block: Vec<u8>, last: bool) -> io::Result<()> {
        let mut forwarded = self.forwarded.lock();
        if let Some(head) = head {
            forwarded.put_head(head)?;
        }
        if last {
            // Nothing starts again behind it.
            return forwarded.sink()?.last(block);
        }
        forwarded.length += block.len() as u64;
        forwarded.prefix.update(&block);
        forwarded.sink()?.block(block)
    }

    /// Forwards the end.
    pub(super) fn end(&self, result: Result<Receipt, DownloadError>) {
        let sink = self.forwarded.lock().sink.take();
        if let Some(sink) = sink {
            sink.end(result);
        }
    }
}

impl Forwarded {
    fn sink(&mut self) -> io::Result<&mut dyn Sink> {
        let ended = || io::Error::other("something was written after the end of the download");
        self.sink.as_deref_mut().map(|sink| sink as _).ok_or_else(ended)
    }

    fn put_head(&mut self, head: &Head) -> io::Result<()> {
        if self.head.is_some() {
            return Ok(());
        }
        self.head = Some(head.clone());
        self.sink()?.head(head)
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
    shared: Arc<Forwarding>,
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
    prefix: Hasher,
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
        self.again = Some(Repetition { left: forwarded.length, prefix: Hasher::new() });
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        if self.again.is_some() {
            return Err(other_content());
        }
        let held = take(&mut self.held);
        match &self.head {
            Some(head) if held.is_empty() => self.shared.put_head(head),
            _ if held.is_empty() => Ok(()),
            head => self.shared.put(head.as_ref(), held, true),
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
                    self.shared.put(self.head.as_ref(), held, false)?;
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
