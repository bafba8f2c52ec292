//! Names of files, which may lead into folders.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ganymede::FileName;

use crate::error::{Problem, shown};

/// How many segments a path has at most.
const DEEPEST: usize = 32;

/// The relative path of a file, harmless in whatever folder it is joined to.
///
/// A Metalink gives a file a name or a path with folders (RFC 5854 §4.1.2.1). What would lead out of the folder is
/// refused: a path that begins with `/` or has a segment `.`, `..` or none. Each segment is then made a [`FileName`], so
/// that none is hidden, a device or one of the framework's own files.
///
/// ```
/// use ganymede_metalink::FilePath;
///
/// let path: FilePath = "images/.a.iso".parse()?;
/// assert_eq!(path.as_str(), "images/_a.iso");
/// for bad in ["", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/"] {
///     assert!(bad.parse::<FilePath>().is_err());
/// }
/// # Ok::<(), ganymede_metalink::Problem>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Returns it as text, with `/` between the segments.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the folders that it leads through, the outermost first, each with those before it.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }

    /// Returns the name of the file alone.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for FilePath {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let bad = |reason| Problem::Name { text: shown(text), reason };
        if text.trim().is_empty() {
            return Err(bad("is empty"));
        }
        if text.starts_with('/') {
            return Err(bad("begins with /"));
        }
        let mut path = String::with_capacity(text.len());
        for (depth, segment) in text.split('/').enumerate() {
            match segment.trim() {
                "" => return Err(bad("has a segment without a name")),
                // Also where other systems see the end of a segment.
                plain if plain.split('\\').any(|part| matches!(part.trim(), "." | "..")) => {
                    return Err(bad("leads to another folder"));
                }
                _ if depth == DEEPEST => return Err(bad("leads through too many folders")),
                _ => {}
            }
            if depth > 0 {
                path.push('/');
            }
            path.push_str(FileName::new(segment).as_str());
        }
        Ok(Self(path))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for FilePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl From<FilePath> for PathBuf {
    fn from(path: FilePath) -> Self {
        path.0.into()
    }
}
