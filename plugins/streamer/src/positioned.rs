//! Reading a file at a position, from a task that must not block.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::spawn_blocking;

/// Reads up to `length` bytes at a position, and at least one.
///
/// What is in memory is read at once, and only what a disk must be waited for is read on another thread.
pub(crate) async fn read(file: &Arc<File>, position: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut buffer = BytesMut::zeroed(length);
    let read = match at_once(file, position, &mut buffer) {
        Some(read) => read,
        None => {
            let file = Arc::clone(file);
            let (read, filled) = spawn_blocking(move || (at(&file, position, &mut buffer), buffer)).await?;
            buffer = filled;
            read?
        }
    };
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
    }
    buffer.truncate(read);
    Ok(buffer.freeze())
}

/// Reads all of a file of this length, if it is in memory.
pub(crate) fn read_all_at_once(file: &File, length: u64) -> Option<Bytes> {
    let mut buffer = BytesMut::zeroed(usize::try_from(length).ok()?);
    let read = at_once(file, 0, &mut buffer)?;
    (read == buffer.len()).then(|| buffer.freeze())
}

/// Writes all of some blocks at a position. It may block.
pub(crate) fn write(file: &File, blocks: &[Bytes], position: u64) -> io::Result<u64> {
    let mut position = position;
    let mut rest: Vec<IoSlice<'_>> = blocks.iter().map(|block| IoSlice::new(block)).collect();
    let mut rest = rest.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let written = put(file, &rest[..rest.len().min(MOST)], position)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        position += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(position)
}

/// How many blocks are written in one go: the least that a system must take.
const MOST: usize = 16;

/// Reads what is in memory; `None` if that is nothing, or cannot be told.
#[cfg(target_os = "linux")]
fn at_once(file: &File, position: u64, buffer: &mut [u8]) -> Option<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let mut buffers = [io::IoSliceMut::new(buffer)];
    match preadv2(file, &mut buffers, position, ReadWriteFlags::NOWAIT) {
        // A file system in memory has no such flag, and needs none.
        Err(Errno::OPNOTSUPP) if is_in_memory(file) => at(file, position, buffer).ok(),
        read => read.ok(),
    }
    .filter(|read| *read > 0)
}

#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS))
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: &File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

#[cfg(unix)]
fn at(file: &File, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn at(file: &File, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

#[cfg(target_os = "linux")]
fn put(file: &File, blocks: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    loop {
        match rustix::io::pwritev(file, blocks, position) {
            Err(rustix::io::Errno::INTR) => {}
            written => return Ok(written?),
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn put(file: &File, blocks: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    blocks.first().map_or(Ok(0), |block| std::os::unix::fs::FileExt::write_at(file, block, position))
}

#[cfg(windows)]
fn put(file: &File, blocks: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    blocks.first().map_or(Ok(0), |block| std::os::windows::fs::FileExt::seek_write(file, block, position))
}
