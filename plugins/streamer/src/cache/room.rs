//! Making room, and writing down now and then what may be lost.

use std::fs::File;
use std::io;
use std::mem::take;
use std::sync::atomic::Ordering;

use super::index::Index;
use super::{Cache, Inner};

/// How many bytes an entry takes beside its content, about.
const ENTRY: u64 = 256;

/// How many bytes are made free at least when the disk is full.
const RELIEF: u64 = 1 << 20;

/// How many entries are looked at in one go.
const BATCH: usize = 64;

impl Cache {
    /// Makes room on a disk that is full, which may be smaller than what is set, or used by others, too; false if there is
    /// nothing that may go. It may block.
    pub(crate) fn give_way(&self, bytes: u64) -> bool {
        let mut index = self.0.settled();
        self.0.relieve(&mut index, bytes)
    }
}

impl Inner {
    /// Removes what was not used for the longest time until the contents are within their size.
    pub(super) fn make_room(&self) {
        if self.taken() > self.limit {
            self.evict(&mut self.settled(), |_| self.taken() <= self.limit);
        }
    }

    /// Removes what was not used for the longest time from a disk that is full; false if there is nothing that may go.
    pub(super) fn relieve(&self, index: &mut Index, bytes: u64) -> bool {
        tracing::warn!("the disk of the cache is full: contents make room before their time");
        self.evict(index, |gone| gone >= bytes.max(RELIEF)) > 0
    }

    /// Returns how many bytes the contents take: each has a file and a row, also one that is empty.
    fn taken(&self) -> u64 {
        let entries = self.count.load(Ordering::Relaxed).saturating_mul(ENTRY);
        self.size.load(Ordering::Relaxed).saturating_add(entries)
    }

    /// Removes what was not used for the longest time until that is enough, of so many bytes that are gone.
    fn evict(&self, index: &mut Index, enough: impl Fn(u64) -> bool) -> u64 {
        self.note_use(index);
        // Those that are being read stay, and are passed over.
        let (mut gone, mut passed) = (0, 0);
        while !enough(gone) {
            let oldest = index.oldest(BATCH, passed).unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot read the index of the cache");
                Vec::new()
            });
            if oldest.is_empty() {
                break;
            }
            for victim in oldest {
                if enough(gone) {
                    break;
                }
                if self.objects.is_read(victim.id) || !self.lately.give_up(&victim.key, victim.id) {
                    passed += 1;
                    continue;
                }
                let removed = index.remove(victim.id).or_else(|_| {
                    // A full disk may have no room for that either. A row without its object is of no harm.
                    self.objects.remove(victim.id);
                    index.remove(victim.id)
                });
                match removed {
                    Ok(true) => {
                        self.gone(victim.id, victim.size);
                        self.evicted.fetch_add(1, Ordering::Relaxed);
                        gone += victim.size;
                    }
                    _ => passed += 1,
                }
            }
        }
        gone
    }

    /// Tells the index when entries were used last.
    fn note_use(&self, index: &mut Index) {
        let used = take(&mut *self.used.lock());
        if !used.is_empty()
            && let Err(error) = index.touch(used)
        {
            tracing::warn!(%error, "cannot write the index of the cache");
        }
    }

    /// Tells the index when entries were used, and which objects are on the disk for good.
    pub(super) fn write_down(&self) {
        let unsynced = self.unsynced.swap(false, Ordering::Relaxed);
        let mut index = self.settled();
        self.note_use(&mut index);
        if !unsynced {
            return;
        }
        let turned = index.turn();
        drop(index);
        let done = turned.map_err(io::Error::other).and_then(|()| {
            synchronise(&File::open(&self.folder)?)?;
            self.index.lock().synced().map_err(io::Error::other)
        });
        if let Err(error) = done {
            tracing::warn!(%error, "cannot write the cache to the disk");
            self.unsynced.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut index = self.settled();
        self.note_use(&mut index);
    }
}

/// Has all that was written to a folder's file system written to its disk.
fn synchronise(folder: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}
