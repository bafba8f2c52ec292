//! The one body, in order, that the pieces make.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::board::{Board, Next};
use super::fetcher::{Open, start};
use crate::cancel::Hook;
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};

/// How much of a piece that is not whole is read at once.
const BLOCK: usize = 128 << 10;

/// The body that the pieces make; its fetchers end with it.
pub(super) struct Body {
    board: Arc<Board>,
    fetchers: Vec<JoinHandle<()>>,
    /// The position of the next byte that is not in the block.
    position: u64,
    block: Vec<u8>,
    at: usize,
    /// Whether the block is a whole piece, to be given back.
    whole: bool,
    /// What parts of a piece are copied to.
    copied: Vec<u8>,
    _hook: Hook,
}

impl Body {
    /// Starts the fetchers; the first of them goes on with a reply that is there.
    pub(super) fn start(
        board: Arc<Board>,
        context: &Context,
        open: Open,
        fetchers: usize,
    ) -> Result<Self, Failure> {
        let weak = Arc::downgrade(&board);
        let hook = context.on_cancel(move || {
            if let Some(board) = weak.upgrade() {
                board.wake();
            }
        });
        let position = open.job.piece.start;
        let mut body = Self {
            board,
            fetchers: Vec::new(),
            position,
            block: Vec::new(),
            at: 0,
            whole: false,
            copied: Vec::new(),
            _hook: hook,
        };
        let first = start(&body.board, 0, Some(open)).map_err(|error| {
            Failure::new(ErrorKind::Other, format!("cannot start a thread for a segment: {error}"))
        })?;
        body.fetchers.push(first);
        for _ in 1..fetchers {
            if !body.reinforce() {
                break;
            }
        }
        Ok(body)
    }

    /// Starts another fetcher; false if there is no thread to be had.
    pub(super) fn reinforce(&mut self) -> bool {
        let me = self.board.join();
        match start(&self.board, me, None) {
            Ok(fetcher) => {
                self.fetchers.push(fetcher);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "cannot start a thread for a segment");
                self.board.dismiss();
                false
            }
        }
    }

    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// Returns how many bytes were not read yet.
    pub(super) fn left(&self) -> u64 {
        self.board.content.length - self.position
    }

    /// Waits for bytes; false if none have come until a moment.
    pub(super) fn fill(&mut self, until: Option<Instant>) -> Result<bool, Failure> {
        if self.at < self.block.len() {
            return Ok(true);
        }
        self.at = 0;
        match std::mem::take(&mut self.whole) {
            true => self.board.give_back(std::mem::take(&mut self.block)),
            false => self.copied = std::mem::take(&mut self.block),
        }
        if self.left() == 0 {
            self.end();
            return Ok(true);
        }
        self.copied.clear();
        self.copied.reserve_exact(BLOCK);
        match self.board.read(self.position, &mut self.copied, until)? {
            Next::Later => return Ok(false),
            Next::Some => self.block = std::mem::take(&mut self.copied),
            Next::Whole(bytes, read) => (self.block, self.at, self.whole) = (bytes, read, true),
        }
        self.position += (self.block.len() - self.at) as u64;
        // A piece of which all was read before has nothing to say but that it is over.
        if self.at == self.block.len() { self.fill(until) } else { Ok(true) }
    }

    /// Returns what [`fill`](Self::fill) has brought.
    pub(super) fn filled(&self) -> &[u8] {
        self.block.get(self.at..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.at = self.block.len().min(self.at + length);
    }

    fn end(&mut self) {
        self.board.end();
        for fetcher in self.fetchers.drain(..) {
            // A panic of it was passed on.
            let _ = fetcher.join();
        }
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill(None)?;
        Ok(self.filled())
    }

    fn consume(&mut self, length: usize) {
        Self::consume(self, length);
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        Self::consume(self, length);
        Ok(length)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.end();
    }
}
