//! Writing to memory.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::writer::{Output, Writer};

/// Writes to memory, up to a cap; a clone is the same buffer.
///
/// More than the cap is [`ErrorKind::TooLarge`], at once when the length is announced.
///
/// ```
/// use ganymede::{BufferWriter, Context, Download, FileDownload};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # std::fs::write(&path, "hello")?;
/// # let url = format!("file://{}", path.display());
///
/// let buffer = BufferWriter::new(1 << 20);
/// FileDownload::get(&url)?.writer(buffer.clone()).run(&Context::new())?;
/// assert_eq!(buffer.take().unwrap(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BufferWriter {
    cap: usize,
    committed: Arc<Mutex<Option<Vec<u8>>>>,
}

impl BufferWriter {
    /// Makes a buffer for at most `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { cap, committed: Arc::default() }
    }

    /// Takes the content out; `None` if none was committed since.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        self.committed.lock().take()
    }
}

impl Writer for BufferWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(BufferOutput { writer: self.clone(), bytes: Vec::new() }))
    }
}

impl fmt::Debug for BufferWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferWriter").field("cap", &self.cap).finish_non_exhaustive()
    }
}

struct BufferOutput {
    writer: BufferWriter,
    bytes: Vec<u8>,
}

impl BufferOutput {
    fn fits(&self, size: u64) -> io::Result<()> {
        let cap = self.writer.cap;
        if size <= cap as u64 {
            return Ok(());
        }
        Err(Failure::new(ErrorKind::TooLarge, format!("more than the {cap} bytes that are allowed")).into())
    }
}

impl Write for BufferOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.fits((self.bytes.len() + block.len()) as u64)?;
        self.bytes.extend_from_slice(block);
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for BufferOutput {
    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if offset == 0 {
            self.bytes.clear();
        }
        if head.is_alone() {
            return Ok(());
        }
        self.fits(offset.saturating_add(head.length().unwrap_or_default()))
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        *self.writer.committed.lock() = Some(self.bytes);
        Ok(())
    }
}
