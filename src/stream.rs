//! A download as a stream: its head, and its bytes while they arrive.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::cancel::Hook;
use crate::context::Context;
use crate::download::Download;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::transfer::Receipt;
use crate::writer::{Output, Writer};

/// How many blocks wait to be read, at most.
const BLOCKS: usize = 8;

/// Runs a download on a thread of its own, and returns the head and a reader of its bytes as they arrive.
///
/// Whatever writer it had is replaced, so nothing is stored. Memory is bounded: when nobody reads, the source is not
/// read either. The last block is held back until every validation has passed, and the head comes with the first
/// block that is released: a reader that comes to its end has read just the validated content, and a wrong content
/// of a single block is an error here already.
///
/// Before the first byte all failover is possible. After it, the download goes on only with bytes that belong to the
/// same content: an exact continuation, or one from the start whose beginning is the one that was read, if a strong
/// entity tag or an expected digest vouches for it. Everything else ends the reader with an error.
///
/// ```
/// use std::io::Read;
/// use ganymede::{Context, FileDownload, stream};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # std::fs::write(&path, "hello")?;
/// # let url = format!("file://{}", path.display());
///
/// let (head, mut body) = stream(FileDownload::get(&url)?, &Context::new())?;
/// assert_eq!(head.end_to_end()["content-length"], "5");
/// let mut text = String::new();
/// body.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why there is no content, when that is known before the first byte.
pub fn stream<D: Download + 'static>(download: D, context: &Context) -> Result<(Head, Body), DownloadError> {
    let mut download = download;
    let url = download.request().url().clone();
    let context = context.child();
    let (sender, receiver) = bounded(BLOCKS);
    let writer = StreamWriter(Arc::new(Shared {
        sender,
        identified: download.identifies(),
        forwarded: Mutex::default(),
        context: context.clone(),
    }));
    let shared = Arc::clone(&writer.0);
    download.set_writer(Arc::new(writer));
    let running = context.clone();
    let thread = Builder::new().name("ganymede-stream".to_owned()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| download.run(&running))).unwrap_or_else(|panic| {
            Err(DownloadError::new(download.request().url(), Failure::panicked(&*panic)))
        });
        if let Ok(receipt) = &result {
            // A reply without a body is never committed, so its head is still here.
            let _ = shared.send_head(receipt.head());
        }
        // Nobody may be there any more.
        let _ = shared.send(Message::End(Box::new(result)));
    });
    let thread = thread.map_err(|error| {
        let message = format!("cannot start a thread: {error}");
        DownloadError::new(&url, Failure::new(ErrorKind::Other, message))
    })?;
    let body = Body { receiver, context, thread: Some(thread), block: Vec::new(), at: 0, end: None };
    match body.receiver.recv() {
        Ok(Message::Head(head)) => Ok((*head, body)),
        Ok(Message::End(result)) => match *result {
            Err(error) => Err(error),
            Ok(_) => {
                Err(DownloadError::new(&url, Failure::new(ErrorKind::Other, "the download wrote nothing")))
            }
        },
        Ok(Message::Block(_)) | Err(_) => {
            body.context.cancel();
            Err(DownloadError::new(&url, Failure::cancelled()))
        }
    }
}

enum Message {
    Head(Box<Head>),
    Block(Vec<u8>),
    End(Box<Result<Receipt, DownloadError>>),
}

/// The bytes of a [`stream`]. Dropping it cancels the download and waits for its thread.
///
/// Its end, `Ok(0)`, means that all was there and passed. An error is a [`DownloadError`] inside an [`io::Error`].
///
/// ```
/// use std::io::{self, Write};
/// use ganymede::Body;
///
/// fn forward(mut body: Body, client: &mut dyn Write) -> io::Result<u64> {
///     io::copy(&mut body, client)?;
///     Ok(body.receipt().map_or(0, |receipt| receipt.facts().size()))
/// }
/// # let _ = forward;
/// ```
pub struct Body {
    receiver: Receiver<Message>,
    context: Context,
    thread: Option<JoinHandle<()>>,
    block: Vec<u8>,
    at: usize,
    end: Option<Result<Receipt, DownloadError>>,
}

impl Body {
    /// Returns the receipt, when the end was read.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.end.as_ref()?.as_ref().ok()
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.block.len() {
            match &self.end {
                Some(Ok(_)) => return Ok(&[]),
                Some(Err(error)) => return Err(error.clone().into()),
                None => {}
            }
            match self.receiver.recv() {
                Ok(Message::Block(block)) => (self.block, self.at) = (block, 0),
                Ok(Message::End(result)) => self.end = Some(*result),
                Ok(Message::Head(_)) => {}
                // The thread always sends an end, unless the context is cancelled.
                Err(_) => return Err(Failure::cancelled().into()),
            }
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at = self.block.len().min(self.at + length);
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.context.cancel();
        if let Some(thread) = self.thread.take() {
            // It catches the panics of what it runs.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("end", &self.end).finish_non_exhaustive()
    }
}

/// The writer of a stream; its outputs, one for each copy, share what was forwarded.
struct StreamWriter(Arc<Shared>);

struct Shared {
    sender: Sender<Message>,
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
    /// Waits until the message fits, or it is cancelled.
    fn send(&self, message: Message) -> io::Result<()> {
        let message = match self.sender.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(message)) => message,
            Err(TrySendError::Disconnected(_)) => return Err(Failure::cancelled().into()),
        };
        let (raise, raised) = bounded::<()>(0);
        let _hook: Hook = self.context.on_cancel(move || drop(raise));
        select! {
            send(self.sender, message) -> sent => sent.map_err(|_| Failure::cancelled().into()),
            recv(raised) -> _ => Err(Failure::cancelled().into()),
        }
    }

    fn send_head(&self, head: &Head) -> io::Result<()> {
        let mut forwarded = self.forwarded.lock();
        if forwarded.head.is_some() {
            return Ok(());
        }
        forwarded.head = Some(head.clone());
        drop(forwarded);
        self.send(Message::Head(Box::new(head.clone())))
    }

    fn forward(&self, head: Option<&Head>, block: Vec<u8>) -> io::Result<()> {
        if let Some(head) = head {
            self.send_head(head)?;
        }
        let mut forwarded = self.forwarded.lock();
        forwarded.length += block.len() as u64;
        forwarded.prefix.update(&block);
        drop(forwarded);
        self.send(Message::Block(block))
    }
}

impl Writer for StreamWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        let shared = Arc::clone(&self.0);
        Ok(Box::new(StreamOutput { shared, head: None, held: Vec::new(), received: 0, again: None }))
    }
}

/// One copy on its way to the reader.
struct StreamOutput {
    shared: Arc<Shared>,
    head: Option<Head>,
    /// The last block, until another one or the commit shows that it may go.
    held: Vec<u8>,
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
        match &self.head {
            Some(head) if held.is_empty() => self.shared.send_head(head),
            head => self.shared.forward(head.as_ref(), held),
        }
    }
}

impl StreamOutput {
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
            let held = std::mem::replace(&mut self.held, new.to_vec());
            if !held.is_empty() {
                self.shared.forward(self.head.as_ref(), held)?;
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
