//! The paths that a run writes to, each of them once.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};
use std::path::{Component, Path, PathBuf};

use ganymede::{ErrorKind, Failure};
use parking_lot::Mutex;

/// Into how many sets the claims are divided, so that growing never copies all of them at once.
const SHARDS: usize = 64;

/// Remembers which paths were claimed, as keyed hashes of 64 bits: a million of them take some 19 MB.
///
/// That two different paths of so many meet is less likely than one to thirty million.
#[derive(Debug)]
pub(crate) struct Claims {
    hasher: RandomState,
    folder: PathBuf,
    /// What has hashed the folder already.
    inside: DefaultHasher,
    shards: Vec<Shard>,
}

type Shard = Mutex<HashSet<u64, BuildHasherDefault<Hashed>>>;

impl Default for Claims {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        // Without a current folder, relative paths are compared with each other all the same.
        let folder = plain(&std::env::current_dir().unwrap_or_default());
        let hasher = RandomState::new();
        let mut inside = hasher.build_hasher();
        folder.components().for_each(|component| component.hash(&mut inside));
        Self { hasher, folder, inside, shards }
    }
}

impl Claims {
    /// Claims the path of a file, and says in plain words why that failed.
    pub(crate) fn take(&self, path: &Path) -> Result<(), Failure> {
        if self.claim(path) {
            return Ok(());
        }
        let path = path.display();
        let text = format!(
            "{path} is already the file of another download of this run: give one of them another name with out=, in a list for --input"
        );
        Err(Failure::new(ErrorKind::Write, text))
    }

    /// Claims a path; false if it was claimed before, be it written in another way.
    pub(crate) fn claim(&self, path: &Path) -> bool {
        let hash = self.hash(path);
        // The low bits: the sets look at the high ones, too.
        let shard = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[shard].lock().insert(hash / SHARDS as u64)
    }

    /// Hashes the names that lead to a path, one after the other, however that is written.
    fn hash(&self, path: &Path) -> u64 {
        // Most have only names, and need not be put together for it.
        if path.components().all(|component| matches!(component, Component::Normal(_))) {
            let mut hasher = self.inside.clone();
            path.components().for_each(|component| component.hash(&mut hasher));
            return hasher.finish();
        }
        let mut hasher = self.hasher.build_hasher();
        let path = plain(&self.folder.join(path));
        path.components().for_each(|component| component.hash(&mut hasher));
        hasher.finish()
    }
}

/// Returns a path without names that are left again.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Takes a value that is a hash for its own hash.
#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // The sets take the 7 highest bits apart from the lowest ones, and division has emptied those.
        self.0 = hash.rotate_right(7);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Claims;

    #[test]
    fn a_path_is_claimed_once_however_it_is_written() {
        let claims = Claims::default();
        assert!(claims.claim(Path::new("a/b")));
        for same in ["a/b", "./a/b", "a/./b", "a//b", "x/../a/b"] {
            assert!(!claims.claim(Path::new(same)), "{same}");
        }
        let absolute = std::env::current_dir().unwrap_or_default().join("a/b");
        assert!(!claims.claim(&absolute));
        assert!(claims.claim(Path::new("b/a")));
    }

    #[test]
    fn a_hundred_thousand_paths_are_all_different() {
        let claims = Claims::default();
        assert!((0..100_000).all(|number| claims.claim(Path::new(&format!("folder/{number}")))));
        assert!((0..100_000).all(|number| !claims.claim(Path::new(&format!("folder/{number}")))));
    }
}
