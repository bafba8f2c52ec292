//! A body on its way from the thread of the library to the one that reads it.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::{Buf, Bytes};
use futures::StreamExt;
use ganymede::{Context, ErrorKind, Failure, Hook, Permit, Url};
use opendal::BufferStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::failure::failure_of;
use crate::session::Session;
use crate::transport::Seen;

/// How many bytes may wait to be read, before no more are received.
const CAPACITY: usize = 512 << 10;

enum Step {
    Block(Bytes),
    /// All of it was there.
    End,
    Failed(Failure),
}

/// The body of a reply, while it arrives.
pub(crate) struct Body {
    steps: Receiver<Step>,
    room: Arc<Semaphore>,
    block: Bytes,
    done: bool,
    task: AbortHandle,
    context: Context,
    permit: Option<Permit>,
    _hook: Hook,
    /// The thread that carries it must outlast the context that it was asked for in.
    _session: Arc<Session>,
}

/// What comes of an object.
pub(crate) struct Arriving {
    pub(crate) stream: BufferStream,
    /// How many bytes there are to come.
    pub(crate) length: u64,
    pub(crate) seen: Seen,
    pub(crate) url: Url,
}

impl Body {
    pub(crate) fn new(arriving: Arriving, session: &Arc<Session>, permit: Permit, context: &Context) -> Self {
        let (sender, steps) = channel();
        let room = Arc::new(Semaphore::new(CAPACITY));
        let task = session.driver.spawn(arriving.carry(sender, Arc::clone(&room)));
        let cut = task.clone();
        Self {
            steps,
            room,
            block: Bytes::new(),
            done: false,
            task,
            context: context.clone(),
            permit: Some(permit),
            _hook: context.on_cancel(move || cut.abort()),
            _session: Arc::clone(session),
        }
    }

    fn next(&mut self) -> Result<(), Failure> {
        let step = self.steps.recv();
        self.context.check()?;
        match step {
            Ok(Step::Block(block)) => {
                self.room.add_permits(weight(&block));
                self.block = block;
            }
            Ok(Step::End) => {
                self.done = true;
                if let Some(mut permit) = self.permit.take() {
                    permit.served();
                }
            }
            Ok(Step::Failed(failure)) => {
                return Err(match self.permit.take() {
                    Some(mut permit) => permit.failed(failure),
                    None => failure,
                });
            }
            Err(_) => return Err(Failure::new(ErrorKind::Incomplete, "the body was given up")),
        }
        Ok(())
    }
}

impl Arriving {
    /// Hands the blocks over, as there is room for them.
    async fn carry(mut self, sender: Sender<Step>, room: Arc<Semaphore>) {
        let mut left = self.length;
        let end = loop {
            match self.stream.next().await {
                Some(Ok(blocks)) => {
                    for block in blocks {
                        let weight = u32::try_from(weight(&block)).unwrap_or(u32::MAX);
                        // It is never closed, and given back by who reads.
                        if let Ok(taken) = room.acquire_many(weight).await {
                            taken.forget();
                        }
                        let Some(rest) = left.checked_sub(block.len() as u64) else {
                            let message =
                                format!("{}: more came than the {} bytes there are", self.url, self.length);
                            let _ = sender.send(Step::Failed(Failure::new(ErrorKind::Incomplete, message)));
                            return;
                        };
                        left = rest;
                        // Nobody reads any more: this ends with the task.
                        let _ = sender.send(Step::Block(block));
                    }
                }
                Some(Err(error)) => break Step::Failed(failure_of(&error, &self.seen, &self.url)),
                None if left > 0 => {
                    let got = self.length - left;
                    let message =
                        format!("{}: the body ended after {got} of {} bytes", self.url, self.length);
                    break Step::Failed(Failure::new(ErrorKind::Incomplete, message));
                }
                None => break Step::End,
            }
        };
        let _ = sender.send(end);
    }
}

/// Returns what a block counts for: one that is larger than all the room there is takes all of it.
fn weight(block: &Bytes) -> usize {
    block.len().min(CAPACITY)
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.block.is_empty() && !self.done {
            self.next()?;
        }
        Ok(&self.block)
    }

    fn consume(&mut self, length: usize) {
        self.block.advance(length.min(self.block.len()));
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
        self.task.abort();
    }
}
