//! Faults of this side: handlers that panic or cancel, and a writer that fails.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ganymede::{Action, Context, Event, FileWriter, Head, Output, Record, Writer};
use ganymede_kit::faults::{Cell, Fault, Phase};

use crate::oracle::{SIZE, position};

/// Does what the cell says when its phase has come.
pub(crate) fn handler(cell: Cell) -> impl FnMut(&mut Event<'_>, &Context) -> Action {
    let mut done = false;
    move |event, context| {
        let now = match event {
            Event::Sending { .. } => cell.phase == Phase::Connect,
            Event::Replied { .. } => cell.phase == Phase::Header,
            Event::Fetched { received, .. } => match cell.phase {
                Phase::FirstByte => true,
                Phase::MidBody => *received >= position(Phase::MidBody) as u64,
                Phase::LastByte => *received == SIZE as u64,
                _ => false,
            },
            Event::Succeeded { .. } => cell.phase == Phase::Commit,
            _ => false,
        };
        if now && !done {
            done = true;
            match cell.fault {
                // Without the words that a panic prints.
                Fault::Panic => resume_unwind(Box::new("planned")),
                Fault::Cancel => context.cancel(),
                _ => {}
            }
        }
        Action::Continue
    }
}

/// A file whose first copy fails in a phase.
pub(crate) struct Failing {
    file: FileWriter,
    phase: Phase,
    failed: AtomicBool,
}

impl Failing {
    pub(crate) fn new(path: PathBuf, phase: Phase) -> Self {
        Self { file: FileWriter::new(path), phase, failed: AtomicBool::new(false) }
    }
}

impl Writer for Failing {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        let output = self.file.open()?;
        if self.failed.swap(true, Ordering::SeqCst) {
            return Ok(output);
        }
        if self.phase == Phase::Connect {
            return Err(planned());
        }
        Ok(Box::new(FailingOutput { output, phase: self.phase, written: 0 }))
    }
}

struct FailingOutput {
    output: Box<dyn Output>,
    phase: Phase,
    written: usize,
}

impl Write for FailingOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let room = match self.phase {
            Phase::FirstByte | Phase::MidBody | Phase::LastByte => position(self.phase) - self.written,
            _ => block.len(),
        };
        if room == 0 {
            return Err(planned());
        }
        let written = self.output.write(&block[..block.len().min(room)])?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Output for FailingOutput {
    fn offset(&self) -> u64 {
        self.output.offset()
    }

    fn kept(&self) -> Option<Record> {
        self.output.kept()
    }

    fn replay(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.output.replay()
    }

    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        self.output.keep(record)
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if self.phase == Phase::Header { Err(planned()) } else { self.output.begin(head, offset) }
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        if self.phase == Phase::Commit { Err(planned()) } else { self.output.commit() }
    }
}

fn planned() -> io::Error {
    io::Error::other("no room, as planned")
}
