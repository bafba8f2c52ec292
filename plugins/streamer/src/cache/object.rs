//! Files of stored contents, and of those that are on their way.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::memory::{Memory, SMALL};
use crate::positioned;

/// The folder of the objects, and of what may become one.
#[derive(Debug)]
pub(super) struct Objects {
    objects: PathBuf,
    incoming: PathBuf,
    next: AtomicU64,
    /// Those that are being read: while one of them is alive, its file is not removed to make room.
    reading: Mutex<HashMap<i64, Weak<Object>>>,
    memory: Memory,
}

/// A stored content, to be read.
#[derive(Debug)]
pub(crate) enum Stored {
    Memory(Bytes),
    Object(Arc<Object>),
}

/// A stored content that is being read: its file stays until this is dropped.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
}

/// A content on its way: a file that is gone when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) file: Arc<File>,
    path: PathBuf,
    kept: bool,
}

impl Objects {
    /// Opens the folders below this one; what was on its way when the last run ended is of no use.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let (objects, incoming) = (folder.join("objects"), folder.join("incoming"));
        fs::create_dir_all(&objects)?;
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&incoming)?,
        }
        for shelf in 0..=255_u8 {
            match fs::create_dir(objects.join(format!("{shelf:02x}"))) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(Self {
            objects,
            incoming,
            next: AtomicU64::new(0),
            reading: Mutex::default(),
            memory: Memory::default(),
        })
    }

    /// Returns the objects that are there, by number, with their sizes.
    pub(super) fn list(&self) -> io::Result<HashMap<i64, u64>> {
        let mut all = HashMap::new();
        for shelf in fs::read_dir(&self.objects)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(shelf.path())? {
                let file = file?;
                let number = file.file_name().to_str().and_then(|name| i64::from_str_radix(name, 16).ok());
                if let Some(id) = number.filter(|id| self.path(*id) == file.path()) {
                    all.insert(id, file.metadata()?.len());
                }
            }
        }
        Ok(all)
    }

    /// Begins a content.
    pub(super) fn incoming(&self) -> io::Result<Incoming> {
        let path = self.incoming.join(format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Incoming { file: Arc::new(file), path, kept: false })
    }

    /// Puts a content where the object of this number is, which it is once it is to be [kept](Incoming::keep).
    pub(super) fn place(&self, incoming: &mut Incoming, id: i64) -> io::Result<()> {
        let path = self.path(id);
        fs::rename(&incoming.path, &path)?;
        incoming.path = path;
        Ok(())
    }

    /// Finds the content of an object, or opens it.
    pub(super) fn read(&self, id: i64, size: u64) -> io::Result<Stored> {
        if let Some(content) = self.memory.find(id) {
            return Ok(Stored::Memory(content));
        }
        let object = self.open_object(id, size)?;
        if size <= SMALL
            && let Some(content) = positioned::read_all_at_once(&object.file, size)
        {
            self.memory.remember(id, content.clone());
            return Ok(Stored::Memory(content));
        }
        Ok(Stored::Object(object))
    }

    /// Opens an object, which stays while it is read.
    fn open_object(&self, id: i64, size: u64) -> io::Result<Arc<Object>> {
        if let Some(object) = self.reading.lock().get(&id).and_then(Weak::upgrade) {
            return Ok(object);
        }
        let file = File::open(self.path(id))?;
        if file.metadata()?.len() != size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the object has another size than it was stored with",
            ));
        }
        let object = Arc::new(Object { file: Arc::new(file), size });
        let mut reading = self.reading.lock();
        if reading.len() >= 1024 && reading.len().is_power_of_two() {
            reading.retain(|_, object| object.strong_count() > 0);
        }
        reading.insert(id, Arc::downgrade(&object));
        Ok(object)
    }

    pub(super) fn is_read(&self, id: i64) -> bool {
        self.reading.lock().get(&id).is_some_and(|object| object.strong_count() > 0)
    }

    pub(super) fn remove(&self, id: i64) {
        self.reading.lock().remove(&id);
        self.memory.forget(id);
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove an object");
            }
            _ => {}
        }
    }

    /// Objects are spread over folders, since large ones are slow in some file systems.
    fn path(&self, id: i64) -> PathBuf {
        self.objects.join(format!("{:02x}", id & 0xff)).join(format!("{id:x}"))
    }
}

impl Incoming {
    /// Has it stay where it is.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
