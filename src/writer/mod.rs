//! Where the bytes go.

mod buffer;
mod durable;
mod file;
mod nameless;
pub(crate) mod note;
mod partial;
mod tee;

use std::io::{self, Read, Write};
use std::sync::Arc;

pub use buffer::BufferWriter;
pub use file::FileWriter;
pub use tee::TeeWriter;

use crate::context::Context;
use crate::record::Record;
use crate::reply::Head;

/// Where a content goes: a specification, shared by all attempts.
///
/// For each copy of the bytes a fresh [`Output`] is opened from it. A closure that opens one is a writer, too.
///
/// ```
/// use std::io;
/// use ganymede::{Head, Output, Writer};
///
/// /// Counts the lines of a text, and prints the number when the text is complete.
/// struct LineCount;
/// struct Counting(usize);
///
/// impl Writer for LineCount {
///     fn open(&self) -> io::Result<Box<dyn Output>> { Ok(Box::new(Counting(0))) }
/// }
/// impl io::Write for Counting {
///     fn write(&mut self, block: &[u8]) -> io::Result<usize> {
///         self.0 += block.iter().filter(|byte| **byte == b'\n').count();
///         Ok(block.len())
///     }
///     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// }
/// impl Output for Counting {
///     fn begin(&mut self, _: &Head, _: u64) -> io::Result<()> { Ok(()) }
///     fn commit(self: Box<Self>) -> io::Result<()> { println!("{} lines", self.0); Ok(()) }
/// }
/// # let _ = LineCount;
/// ```
pub trait Writer: Send + Sync {
    /// Opens the output of one copy, before anything is sent.
    ///
    /// # Errors
    /// Those of the system, when nothing could be written there anyway.
    fn open(&self) -> io::Result<Box<dyn Output>>;

    /// Opens the output of one copy in the context that its download runs in: this is what the engine calls.
    ///
    /// By default that is [`open`](Self::open). A writer that waits for others, as one to a network does, keeps what it
    /// shares in the context's slots, and ends its waits when the context is cancelled. One that wraps another passes
    /// the context on.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        let _ = context;
        self.open()
    }
}

/// One copy of a content in the making; nothing is at the target unless it is committed.
pub trait Output: Write + Send {
    /// Returns at which byte of the content the output can go on, asked when it was opened and after each failure.
    ///
    /// 0, the default, is that of an output that always starts anew.
    fn offset(&self) -> u64 {
        0
    }

    /// Returns what was noted with the bytes before [`offset()`](Self::offset), if they are from an earlier run.
    fn kept(&self) -> Option<Record> {
        None
    }

    /// Reads those bytes again, for the checks; it happens before the first [`begin`](Self::begin).
    ///
    /// # Errors
    /// Those of the system; the output then starts anew.
    fn replay(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Says what is to be kept with the bytes if the output is dropped uncommitted, so that a later run goes on with
    /// them; with `None`, the default, nothing is left.
    ///
    /// It is called after each [`begin`](Self::begin), and when the bytes have turned out to be of no use.
    ///
    /// # Errors
    /// Those of the system; the download goes on, and if it is interrupted, nothing is left.
    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        let _ = record;
        Ok(())
    }

    /// Learns what is known of the content, before its first byte is written and each time a new reply goes on.
    ///
    /// `offset` is where that reply begins: [`offset()`](Self::offset), or 0, where all that was kept is discarded.
    /// The head of a reply that goes on tells what the first one told of the content's name and time, too.
    /// A head that [is alone](Head::is_alone) is followed by nothing, and not committed.
    ///
    /// # Errors
    /// Those of the system; the attempt fails.
    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()>;

    /// Makes the content real. Dropped without this, nothing of it is left at the target.
    ///
    /// # Errors
    /// Those of the system; the attempt fails, and nothing is at the target.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

#[deny(clippy::missing_trait_methods)]
impl<W: Writer + ?Sized> Writer for Arc<W> {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        (**self).open()
    }

    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        (**self).open_in(context)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Writer for Box<dyn Writer> {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        (**self).open()
    }

    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        (**self).open_in(context)
    }
}

/// Opens outputs by calling a function.
impl<F> Writer for F
where
    F: Fn() -> io::Result<Box<dyn Output>> + Send + Sync,
{
    fn open(&self) -> io::Result<Box<dyn Output>> {
        self()
    }
}
