//! One who reads a fill.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ganymede::DownloadError;

use super::{Fill, Progress, State};
use crate::positioned;

/// How much is read from a file in one go, in bytes.
pub(crate) const BLOCK: u64 = 64 << 10;

/// One who reads a fill, at its own speed; the fill is left when the last one is dropped.
pub(crate) struct Reader {
    pub(crate) fill: Arc<Fill>,
    id: u64,
    position: u64,
}

/// Why there is no more to read, although there should be.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReadError {
    /// The content is of no use.
    #[error("{0}")]
    Failed(Arc<DownloadError>),
    /// Others were faster than what is kept in memory allows.
    #[error("the reader was too slow for what is kept of the content")]
    Lagged,
    /// What was kept cannot be read.
    #[error("cannot read what was kept of the content: {0}")]
    File(Arc<io::Error>),
}

/// Where the next bytes are.
enum Next {
    Block(Bytes),
    File(Arc<File>, u64),
    End,
}

impl Reader {
    pub(super) fn enter(fill: &Arc<Fill>, state: &mut State) -> Self {
        let id = state.next;
        state.next += 1;
        state.readers.insert(id, Progress::default());
        Self { fill: Arc::clone(fill), id, position: 0 }
    }

    /// Goes on at this position; one that it has passed is there only in what is kept.
    pub(crate) fn skip_to(&mut self, position: u64) {
        if self.position != position {
            self.position = position;
            self.note();
        }
    }

    /// Lets the fill know where it is.
    fn note(&self) {
        self.fill.state.lock().readers.entry(self.id).or_default().position = self.position;
        self.fill.read.notify_all();
    }

    /// Returns the next bytes, at most up to `end`; none is the end, and means that all was there and passed.
    pub(crate) async fn next(&mut self, end: u64) -> Result<Option<Bytes>, ReadError> {
        let position = self.position;
        let next = self.fill.wait(|state| Self::look(state, position)).await?;
        let most = end.saturating_sub(position);
        let block = match next {
            Next::End => return Ok(None),
            Next::Block(block) => block.slice(..block.len().min(usize::try_from(most).unwrap_or(usize::MAX))),
            Next::File(file, available) => {
                let length = available.min(most).min(BLOCK);
                let read = positioned::read(&file, position, length).await;
                read.map_err(|error| ReadError::File(Arc::new(error)))?
            }
        };
        self.position += block.len() as u64;
        self.note();
        Ok(Some(block))
    }

    fn look(state: &State, position: u64) -> Option<Result<Next, ReadError>> {
        if let Some(Err(error)) = &state.outcome {
            return Some(Err(ReadError::Failed(Arc::clone(error))));
        }
        if position >= state.end {
            // A position behind the end is waited for.
            let end = state.outcome.is_some();
            return end.then_some(Ok(Next::End));
        }
        let after = state.ring.partition_point(|(at, _)| *at <= position);
        if let Some((at, block)) = after.checked_sub(1).and_then(|index| state.ring.get(index)) {
            let skipped = usize::try_from(position - at).unwrap_or(usize::MAX);
            return Some(Ok(Next::Block(block.slice(skipped.min(block.len())..))));
        }
        match &state.file {
            Some(file) if position < state.written => {
                Some(Ok(Next::File(Arc::clone(file), state.written - position)))
            }
            _ => Some(Err(ReadError::Lagged)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state.lock();
        state.readers.remove(&self.id);
        let left = state.leave_if_useless(self.fill.finishes);
        drop(state);
        if left {
            self.fill.context.cancel();
        }
        self.fill.read.notify_all();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("position", &self.position).finish_non_exhaustive()
    }
}
