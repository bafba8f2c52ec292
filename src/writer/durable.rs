//! Making sure that files survive a power cut, many at a time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::{Condvar, Mutex};

use crate::writer::partial::Partial;

/// Makes a file the target, data and name, so that both are there after a power cut when this returns.
///
/// What others bring meanwhile is done together: the data of all of them first, then their names, then the folders
/// that hold these. So it is one flush for a group and not one for each file, and a name never comes before its data.
pub(super) fn persist(partial: Partial, target: PathBuf) -> io::Result<()> {
    let group = Group::of(partial.file())?;
    let ticket = Arc::new(Ticket::default());
    let mut queue = group.queue.lock();
    queue.waiting.push(Commit { partial, target, ticket: Arc::clone(&ticket) });
    loop {
        if let Some(result) = ticket.0.lock().take() {
            return result;
        }
        if queue.busy {
            group.done.wait(&mut queue);
            continue;
        }
        // Nobody does it, so this thread does, for all who wait.
        queue.busy = true;
        let commits = std::mem::take(&mut queue.waiting);
        drop(queue);
        let leader = Leader(&group);
        commit(commits);
        drop(leader);
        queue = group.queue.lock();
    }
}

/// Those who commit to one file system.
#[derive(Default)]
struct Group {
    queue: Mutex<Queue>,
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Commit>,
    busy: bool,
}

struct Commit {
    partial: Partial,
    target: PathBuf,
    ticket: Arc<Ticket>,
}

/// Where the result of a commit is put.
#[derive(Default)]
struct Ticket(Mutex<Option<io::Result<()>>>);

/// The one who commits for all; when it is done, in whatever way, another may.
struct Leader<'a>(&'a Group);

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().busy = false;
        self.0.done.notify_all();
    }
}

impl Group {
    /// Returns the group of the file system that a file is on.
    fn of(file: &File) -> io::Result<Arc<Self>> {
        static GROUPS: LazyLock<Mutex<HashMap<u64, Arc<Group>>>> = LazyLock::new(Mutex::default);
        #[cfg(unix)]
        let device = std::os::unix::fs::MetadataExt::dev(&file.metadata()?);
        #[cfg(not(unix))]
        let device = file.metadata().map(|_| 0)?;
        Ok(Arc::clone(GROUPS.lock().entry(device).or_default()))
    }
}

fn commit(commits: Vec<Commit>) {
    let mut synced = sync_data(&commits);
    let mut named = Vec::new();
    for Commit { partial, target, ticket } in commits {
        let result = match synced.next().unwrap_or(Ok(())) {
            Ok(()) => partial.persist(&target),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => named.push((target, ticket)),
            Err(error) => *ticket.0.lock() = Some(Err(error)),
        }
    }
    let mut folders = HashMap::new();
    for (target, ticket) in named {
        let folder = folder(&target).to_owned();
        let synced = folders.entry(folder).or_insert_with(|| sync_folder(&target));
        *ticket.0.lock() = Some(match synced {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        });
    }
}

/// Flushes the data of all of them, and tells how that went for each.
fn sync_data(commits: &[Commit]) -> impl Iterator<Item = io::Result<()>> + use<> {
    #[cfg(target_os = "linux")]
    if let [first, _, ..] = commits
        && rustix::fs::syncfs(first.partial.file()).is_ok()
    {
        return Vec::new().into_iter();
    }
    let results: Vec<_> = commits.iter().map(|commit| commit.partial.file().sync_all()).collect();
    results.into_iter()
}

/// Makes sure that the names in a file's folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened like a file, and needs not.
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

/// Returns the folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder with all above it, durably if that is wanted.
pub(super) fn make_folder(folder: &Path, durable: bool) -> io::Result<()> {
    if !durable {
        return fs::create_dir_all(folder);
    }
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    fs::create_dir_all(folder)?;
    missing.iter().filter(|folder| !folder.as_os_str().is_empty()).try_for_each(|folder| sync_folder(folder))
}
