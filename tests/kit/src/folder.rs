//! A temporary folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A temporary folder, removed with all that is in it when dropped.
///
/// ```
/// let folder = ganymede_kit::Folder::new();
/// folder.write("b/two", "2");
/// folder.write("one", "1");
/// assert_eq!(folder.entries(), ["b/", "b/two", "one"]);
/// assert_eq!(folder.read("one"), b"1");
/// ```
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes an empty folder with a name of its own in the system's temporary folder.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ganymede-kit-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self { path },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot make {}: {error}", path.display()),
            }
        }
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder, whether it exists or not.
    #[must_use]
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file in the folder.
    #[track_caller]
    #[must_use]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.file(name);
        fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    /// Writes a file in the folder, making the folders on the way, and returns its path.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a path with a parent")).expect("a folder");
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// All that is in the folder and below it, sorted, relative to it; a folder's name ends in `/`.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.path, "", &mut names);
        names.sort();
        names
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    // What vanishes while it is listed is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = format!("{name}/");
            collect(&entry.path(), &name, names);
            names.push(name);
        } else {
            names.push(name);
        }
    }
}
