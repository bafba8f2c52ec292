//! Where lines go.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where lines go.
#[derive(Debug)]
pub(crate) enum Destination {
    Output,
    Errors,
    File {
        path: PathBuf,
        file: File,
        /// The last line that was written is not whole.
        torn: bool,
    },
}

impl Destination {
    /// Opens a file, or makes it; what is there stays.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self::File { path: path.to_owned(), file, torn: false })
    }

    /// Opens the file of that name anew: another one, where it was renamed.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, .. } = self {
            *self = Self::file(path)?;
        }
        Ok(())
    }

    /// Writes whole lines.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Output => {
                let mut output = io::stdout().lock();
                output.write_all(lines)?;
                output.flush()
            }
            Self::Errors => io::stderr().lock().write_all(lines),
            Self::File { file, torn, .. } => {
                if *torn {
                    file.write_all(b"\n")?;
                    *torn = false;
                }
                let mut rest = lines;
                while !rest.is_empty() {
                    match file.write(rest) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(length) => rest = &rest[length..],
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            let written = &lines[..lines.len() - rest.len()];
                            *torn = written.last().is_some_and(|byte| *byte != b'\n');
                            return Err(error);
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("standard output"),
            Self::Errors => f.write_str("standard error"),
            Self::File { path, .. } => path.display().fmt(f),
        }
    }
}
