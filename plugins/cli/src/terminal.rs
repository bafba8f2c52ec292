//! The terminal as the bars see it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use console::Term;
use indicatif::TermLike;

/// How many columns at the right edge are left to what the terminal itself writes there: the echo of Ctrl-C.
///
/// At the very edge it would begin another line, of which the bars know nothing.
const MARGIN: u16 = 3;

/// Standard error, terminal or not, with a margin.
///
/// The bars are written as one line and one filling of its rest by turns, which breaks lines at the edge of the
/// screen and leaves the cursor there. Here lines are broken between them, and the last one just ends.
#[derive(Debug)]
pub(crate) struct Terminal {
    term: Term,
    /// How many lines and fillings were written since the last flush.
    written: AtomicUsize,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { term: Term::buffered_stderr(), written: AtomicUsize::new(0) }
    }
}

#[deny(clippy::missing_trait_methods)]
impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.term.size().1.saturating_sub(MARGIN)
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        match self.written.fetch_add(1, Ordering::Relaxed) {
            0 => self.term.write_str(text),
            filling if filling % 2 == 1 => Ok(()),
            _ => self.term.write_str("\n").and_then(|()| self.term.write_str(text)),
        }
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.written.store(0, Ordering::Relaxed);
        self.term.flush()
    }
}
