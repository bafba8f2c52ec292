//! Lines for others to read, written by a thread of their own: nothing else waits for a slow disk or reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::destination::Destination;

/// How many lines may wait to be written.
const BACKLOG: usize = 8192;

/// How many bytes are written at once, about.
const BLOCK: usize = 64 << 10;

/// Who is told when lines are lost.
pub(crate) type Complaint = Box<dyn Fn(String) + Send + Sync>;

/// Lines that are on their way to a destination.
///
/// Those that find no place, or cannot be written, are left out, which is told once when it begins, and with their
/// number when it is over.
pub(crate) struct Lines<T> {
    queue: Sender<Option<T>>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

struct Shared {
    name: String,
    complain: Complaint,
    reopen: AtomicBool,
    end: AtomicBool,
    /// How many lines were left out.
    lost: AtomicU64,
}

impl<T: Send + 'static> Lines<T> {
    /// Starts the thread, which writes a value by `write`, without the end of the line.
    pub(crate) fn start(
        destination: Destination,
        write: impl Fn(&T, &mut Vec<u8>) + Send + 'static,
        complain: Complaint,
    ) -> io::Result<Self> {
        let (queue, waiting) = bounded(BACKLOG);
        let (ending, ended) = bounded(0);
        let shared = Shared {
            name: destination.to_string(),
            complain,
            reopen: AtomicBool::new(false),
            end: AtomicBool::new(false),
            lost: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        let mut writing =
            Writing { destination, waiting, shared: Arc::clone(&shared), write, block: Vec::new() };
        thread::Builder::new().name("ganymede-log".to_owned()).spawn(move || {
            writing.run();
            drop(ending);
        })?;
        Ok(Self { queue, shared, ended })
    }

    /// Hands a line over, and never waits.
    pub(crate) fn send(&self, line: T) {
        if self.queue.try_send(Some(line)).is_err() {
            self.shared.lose(1, "it takes them too slowly");
        }
    }

    /// Opens the destination anew, if it is a file.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // Where there is no place, the thread is awake.
        let _ = self.queue.try_send(None);
    }

    /// Writes what was handed over, and takes nothing else; waits for that, but no longer than this.
    pub(crate) fn end(&self, longest: Duration) {
        self.shared.end.store(true, Ordering::Release);
        let _ = self.queue.try_send(None);
        // It ends by being disconnected.
        let _ = self.ended.recv_timeout(longest);
    }
}

impl Shared {
    fn lose(&self, lines: u64, reason: &str) {
        if self.lost.fetch_add(lines, Ordering::AcqRel) == 0 {
            (self.complain)(format!("{}: lines are left out: {reason}", self.name));
        }
    }
}

/// What the thread has.
struct Writing<T, W> {
    destination: Destination,
    waiting: Receiver<Option<T>>,
    shared: Arc<Shared>,
    write: W,
    block: Vec<u8>,
}

impl<T, W: Fn(&T, &mut Vec<u8>)> Writing<T, W> {
    fn run(&mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut lines = self.take(first);
            while self.block.len() < BLOCK
                && let Ok(next) = self.waiting.try_recv()
            {
                lines += self.take(next);
            }
            self.flush(lines);
            if self.shared.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = self.destination.reopen()
            {
                let name = &self.shared.name;
                (self.shared.complain)(format!(
                    "{name}: cannot open it anew: {error}; the old one is used on"
                ));
            }
            if self.shared.end.load(Ordering::Acquire) && self.waiting.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, line: Option<T>) -> u64 {
        let Some(line) = line else { return 0 };
        (self.write)(&line, &mut self.block);
        self.block.push(b'\n');
        1
    }

    fn flush(&mut self, lines: u64) {
        if lines == 0 {
            return;
        }
        let written = self.destination.write(&self.block);
        self.block.clear();
        match written {
            Err(error) => self.shared.lose(lines, &format!("they cannot be written: {error}")),
            // While there are more than can be written, it is not over.
            Ok(()) if self.waiting.is_empty() => match self.shared.lost.swap(0, Ordering::AcqRel) {
                0 => {}
                lost => (self.shared.complain)(format!("{}: {lost} lines were left out", self.shared.name)),
            },
            Ok(()) => {}
        }
    }
}

impl<T> fmt::Debug for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("to", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use ganymede_kit::{Folder, wait_until};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn text(line: &String, block: &mut Vec<u8>) {
        block.extend_from_slice(line.as_bytes());
    }

    #[test]
    fn all_lines_are_there_at_the_end_in_their_order() {
        let folder = Folder::new();
        let file = Destination::file(&folder.file("log")).unwrap();
        let lines = Lines::start(file, text, Box::new(|told| panic!("{told}"))).unwrap();
        let expected: String = (0..5000).map(|number| format!("{number}\n")).collect();
        expected.lines().for_each(|line| lines.send(line.to_owned()));
        lines.end(PATIENCE);
        assert_eq!(String::from_utf8(folder.read("log")).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_is_too_slow_is_not_waited_for_and_what_it_misses_is_told() {
        let folder = Folder::new();
        let file = Destination::file(&folder.file("log")).unwrap();
        let (go, gate) = channel::<()>();
        let (complaints, told) = channel();
        let slow = move |line: &String, block: &mut Vec<u8>| {
            let _ = gate.recv();
            text(line, block);
        };
        let lines = Lines::start(file, slow, Box::new(move |line| complaints.send(line).unwrap())).unwrap();
        let all = BACKLOG + 100;
        (0..all).for_each(|number| lines.send(number.to_string()));
        assert!(told.recv_timeout(PATIENCE).unwrap().contains("too slowly"));
        drop(go);
        let summary = told.recv_timeout(PATIENCE).unwrap();
        lines.end(PATIENCE);
        let written = fs::read_to_string(folder.file("log")).unwrap().lines().count();
        assert!(summary.ends_with(&format!(": {} lines were left out", all - written)), "{summary}");
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_file_that_was_renamed_is_begun_anew() {
        let folder = Folder::new();
        let file = Destination::file(&folder.file("log")).unwrap();
        let lines = Lines::start(file, text, Box::new(|told| panic!("{told}"))).unwrap();
        lines.send("one".to_owned());
        wait_until("the line", || folder.read("log") == b"one\n");
        fs::rename(folder.file("log"), folder.file("log.1")).unwrap();
        lines.reopen();
        wait_until("the new file", || folder.file("log").exists());
        lines.send("two".to_owned());
        lines.end(PATIENCE);
        assert_eq!((folder.read("log.1"), folder.read("log")), (b"one\n".to_vec(), b"two\n".to_vec()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_cannot_be_written_is_told_once() {
        let full = Destination::file("/dev/full".as_ref()).unwrap();
        let (complaints, told) = channel();
        let lines = Lines::start(full, text, Box::new(move |line| complaints.send(line).unwrap())).unwrap();
        lines.send("one".to_owned());
        let complaint = told.recv_timeout(PATIENCE).unwrap();
        assert!(
            complaint.starts_with("/dev/full: lines are left out: they cannot be written: "),
            "{complaint}"
        );
        lines.send("two".to_owned());
        lines.end(PATIENCE);
        assert!(told.try_recv().is_err());
    }
}
