//! Making room, and writing down now and then what may be lost.

use std::fs::File;
use std::mem::take;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Cache, Inner};

/// How often what may be lost is written down, at most.
const INTERVAL: Duration = Duration::from_secs(30);

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
        tracing::warn!("the disk of the cache is full: contents make room before their time");
        self.0.evict(|gone| gone >= bytes.max(RELIEF)) > 0
    }

    /// Writes down what may be lost, if that is due; it is done on a thread that may block.
    pub(crate) fn maintain(&self) {
        let mut last = self.0.maintained.lock();
        if last.elapsed() >= INTERVAL {
            *last = Instant::now();
            let inner = std::sync::Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || inner.write_down());
        }
    }
}

impl Inner {
    /// Removes what was not used for the longest time until the contents are within their size.
    pub(super) fn make_room(&self) {
        self.evict(|_| self.taken() <= self.limit);
    }

    /// Returns how many bytes the contents take: each has a file and a row, also one that is empty.
    fn taken(&self) -> u64 {
        let entries = self.count.load(Ordering::Relaxed).saturating_mul(ENTRY);
        self.size.load(Ordering::Relaxed).saturating_add(entries)
    }

    /// Removes what was not used for the longest time until that is enough, of so many bytes that are gone.
    fn evict(&self, enough: impl Fn(u64) -> bool) -> u64 {
        let mut gone = 0;
        if enough(gone) {
            return gone;
        }
        self.note_use();
        // Those that are being read stay, and are passed over.
        let mut passed = 0;
        while !enough(gone) {
            let index = self.index.lock();
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
                if self.objects.is_read(victim.id) {
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
                        self.hot.lock().remove(&victim.key);
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
    fn note_use(&self) {
        let used = take(&mut *self.used.lock());
        if !used.is_empty()
            && let Err(error) = self.index.lock().touch(used)
        {
            tracing::warn!(%error, "cannot write the index of the cache");
        }
    }

    /// Tells the index when entries were used, and which objects are on the disk for good.
    fn write_down(&self) {
        self.note_use();
        if !self.unsynced.swap(false, Ordering::Relaxed) {
            return;
        }
        let last = self.index.lock().last();
        let synced = File::open(&self.folder).and_then(|folder| synchronise(&folder));
        match (last, synced) {
            (Ok(last), Ok(())) => {
                if let Err(error) = self.index.lock().synced(last) {
                    tracing::warn!(%error, "cannot write the index of the cache");
                }
            }
            (_, Err(error)) => tracing::warn!(%error, "cannot write the cache to the disk"),
            (Err(error), _) => tracing::warn!(%error, "cannot read the index of the cache"),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.note_use();
    }
}

/// Has all that was written to a folder's file system written to its disk.
fn synchronise(folder: &File) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}
