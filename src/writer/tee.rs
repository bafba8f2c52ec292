//! Writing to two places at once.

use std::io::{self, Read, Write};

use crate::context::Context;
use crate::record::Record;
use crate::reply::Head;
use crate::writer::{Output, Writer};

/// Writes the same bytes to two writers.
///
/// Both are committed or, if the first cannot be, none; when the second cannot be, the first is there already and the
/// download fails. So let the one come first whose commit may fail, and last the one that counts.
///
/// ```
/// use ganymede::{BufferWriter, FileWriter, TeeWriter};
///
/// let writer = TeeWriter::new(BufferWriter::new(1 << 20), FileWriter::new("copy"));
/// # let _ = writer;
/// ```
#[derive(Debug, Clone)]
pub struct TeeWriter<A, B> {
    first: A,
    second: B,
}

impl<A: Writer, B: Writer> TeeWriter<A, B> {
    /// Writes to `first`, then to `second`.
    #[must_use]
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<A: Writer, B: Writer> Writer for TeeWriter<A, B> {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(TeeOutput { first: self.first.open()?, second: self.second.open()? }))
    }

    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        let (first, second) = (self.first.open_in(context)?, self.second.open_in(context)?);
        Ok(Box::new(TeeOutput { first, second }))
    }
}

struct TeeOutput {
    first: Box<dyn Output>,
    second: Box<dyn Output>,
}

impl Write for TeeOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.first.write_all(block)?;
        self.second.write_all(block)?;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.first.flush()?;
        self.second.flush()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Output for TeeOutput {
    /// Two outputs can only go on together where they stand at the same byte.
    fn offset(&self) -> u64 {
        let offset = self.first.offset();
        if self.second.offset() == offset { offset } else { 0 }
    }

    fn kept(&self) -> Option<Record> {
        self.second.kept().filter(|record| self.first.kept().as_ref() == Some(record))
    }

    fn replay(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.second.replay()
    }

    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        let first = self.first.keep(record);
        self.second.keep(record).and(first)
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        self.first.begin(head, offset)?;
        self.second.begin(head, offset)
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        self.first.commit()?;
        self.second.commit()
    }
}
