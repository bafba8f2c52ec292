//! A download as a stream: its head, and its bytes while they arrive.

mod channel;
mod output;
mod sink;
mod threads;

use std::fmt;
use std::io::{self, BufRead, Read};
use std::mem::take;
use std::task::{self, Poll};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use url::Url;

use channel::{Alarm, Channel, Message};
use sink::start;

pub use sink::{Sink, forward};

use crate::context::Context;
use crate::download::Download;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::transfer::Receipt;

/// How many blocks wait to be read, at most.
const BLOCKS: usize = 4;

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
    let body = Body::begin(download, context)?;
    let message = body.receiver.recv();
    Ok((body.head(message.ok())?, body))
}

/// The bytes of a [`stream`]. Dropping it cancels the download and waits for its end.
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
    url: Url,
    receiver: Receiver<Message>,
    alarm: Alarm,
    context: Context,
    /// Disconnected when the download is over; nobody waits for it once it is left.
    running: Option<Receiver<()>>,
    block: Vec<u8>,
    at: usize,
    end: Option<Result<Receipt, DownloadError>>,
}

impl Body {
    /// Begins a [`stream`] and waits for nothing, for event loops: the head comes by [`poll_head`](Self::poll_head),
    /// then the bytes by [`poll_block`](Self::poll_block). Where waiting is not allowed, [`leave`](Self::leave) it in
    /// place of dropping it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn begin<D: Download + 'static>(download: D, context: &Context) -> Result<Self, DownloadError> {
        let url = download.request().url().clone();
        let (context, alarm) = (context.child(), Alarm::default());
        let (sender, receiver) = bounded(BLOCKS);
        let channel = Channel::new(sender, alarm.clone(), context.clone());
        let (over, running) = bounded(0);
        start(download, &context, Box::new(channel), over)?;
        Ok(Self {
            url,
            receiver,
            alarm,
            context,
            running: Some(running),
            block: Vec::new(),
            at: 0,
            end: None,
        })
    }

    /// Returns the head once it is there, or has the task woken: the first to be asked for, and once.
    pub fn poll_head(&mut self, wake: &mut task::Context<'_>) -> Poll<Result<Head, DownloadError>> {
        self.poll_message(wake).map(|message| self.head(message))
    }

    /// Returns the next block once it is there, or has the task woken; an empty one is the end, and means that all was
    /// there and passed.
    pub fn poll_block(&mut self, wake: &mut task::Context<'_>) -> Poll<Result<Vec<u8>, DownloadError>> {
        if self.at < self.block.len() {
            return Poll::Ready(Ok(take(&mut self.block).split_off(take(&mut self.at))));
        }
        loop {
            match &self.end {
                Some(Ok(_)) => return Poll::Ready(Ok(Vec::new())),
                Some(Err(error)) => return Poll::Ready(Err(error.clone())),
                None => {}
            }
            match task::ready!(self.poll_message(wake)) {
                Some(Message::Block(block)) => return Poll::Ready(Ok(block)),
                Some(Message::End(result)) => self.end = Some(*result),
                Some(Message::Head(_)) => {}
                None => return Poll::Ready(Err(self.cancelled())),
            }
        }
    }

    /// Cancels the download, and does not wait for it, which ends by itself.
    pub fn leave(mut self) {
        self.context.cancel();
        self.running = None;
    }

    /// Returns the receipt, when the end was read.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.end.as_ref()?.as_ref().ok()
    }

    fn poll_message(&self, wake: &mut task::Context<'_>) -> Poll<Option<Message>> {
        let look = || match self.receiver.try_recv() {
            Ok(message) => Poll::Ready(Some(message)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        };
        if let Poll::Ready(message) = look() {
            return Poll::Ready(message);
        }
        self.alarm.set(wake.waker());
        // It may have come before the alarm was set.
        look()
    }

    /// Takes the head from the first message.
    fn head(&self, message: Option<Message>) -> Result<Head, DownloadError> {
        match message {
            Some(Message::Head(head)) => Ok(*head),
            Some(Message::End(result)) => match *result {
                Err(error) => Err(error),
                Ok(_) => {
                    let failure = Failure::new(ErrorKind::Other, "the download wrote nothing");
                    Err(DownloadError::new(&self.url, failure))
                }
            },
            Some(Message::Block(_)) | None => {
                self.context.cancel();
                Err(self.cancelled())
            }
        }
    }

    fn cancelled(&self) -> DownloadError {
        DownloadError::new(&self.url, Failure::cancelled())
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
        if let Some(running) = self.running.take() {
            // It ends by being disconnected.
            let _ = running.recv();
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("end", &self.end).finish_non_exhaustive()
    }
}
