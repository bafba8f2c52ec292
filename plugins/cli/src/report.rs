//! What a run tells: lines for people on standard error, or JSON on standard output.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use console::style;
use ganymede::Receipt;
use indicatif::HumanBytes;
use parking_lot::Mutex;

use crate::arguments::Get;
use crate::event::Line;
use crate::item::Item;
use crate::outcome::Reason;
use crate::progress::{Progress, duration};
use crate::watch::Watch;

/// Tells how downloads end, and sums them up.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// Whether standard output is taken by a content, so that what else belongs there goes to standard error.
    occupied: bool,
    progress: Progress,
    start: Instant,
    totals: Mutex<Totals>,
    summed_up: AtomicBool,
}

/// What a run has come to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    pub(crate) succeeded: u64,
    /// Those that were cancelled included.
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) bytes: u64,
    /// How many a dry run would download.
    pub(crate) planned: Option<u64>,
    /// Where the last file went.
    last: Option<PathBuf>,
}

impl Report {
    pub(crate) fn new(arguments: &Get, to_stdout: bool, progress: Progress) -> Self {
        let planned = arguments.files.dry_run.then_some(0);
        Self {
            json: arguments.output.json,
            quiet: arguments.output.quiet,
            verbose: arguments.output.verbose > 0,
            occupied: to_stdout,
            progress,
            start: Instant::now(),
            totals: Mutex::new(Totals { planned, ..Totals::default() }),
            summed_up: AtomicBool::new(false),
        }
    }

    /// Returns what the run has come to until now.
    pub(crate) fn totals(&self) -> Totals {
        self.totals.lock().clone()
    }

    /// Tells that a download has succeeded.
    pub(crate) fn succeeded(&self, watch: &Watch, receipt: &Receipt) -> io::Result<()> {
        let size = receipt.facts().size();
        let mut totals = self.totals.lock();
        totals.succeeded += 1;
        totals.bytes += size;
        totals.last.clone_from(&watch.path);
        drop(totals);
        if self.json {
            return self.line(&Line::succeeded(watch, receipt));
        }
        if self.verbose {
            let digests: Vec<String> = receipt.facts().digests().iter().map(ToString::to_string).collect();
            let (path, source) = (target(watch), receipt.source());
            self.say(&format!("stored {path}: {size} bytes from {source}, {}", digests.join(", ")));
        }
        Ok(())
    }

    /// Tells that a download has failed.
    pub(crate) fn failed(&self, watch: &Watch, reason: &Reason) -> io::Result<()> {
        let cancelled = reason.kind == "cancelled";
        let mut totals = self.totals.lock();
        totals.failed += 1;
        totals.cancelled += u64::from(cancelled);
        drop(totals);
        if self.json {
            return self.line(&Line::failed(watch, reason));
        }
        // Who has interrupted the run need not be told of each download that it was.
        if !cancelled || self.verbose {
            let failed = style("failed:").for_stderr().red();
            let hint = reason.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.say(&format!("{failed} {}: {}{hint}", watch.url, account(reason)));
        }
        Ok(())
    }

    /// Tells that an item would be downloaded.
    pub(crate) fn planned(&self, watch: &Watch, item: &Item) -> io::Result<()> {
        if let Some(planned) = &mut self.totals.lock().planned {
            *planned += 1;
        }
        if self.json {
            return self.line(&Line::planned(watch, item));
        }
        self.print(&format!("{} -> {}", watch.url, target(watch)))
    }

    /// Tells what is wrong with the run as a whole.
    pub(crate) fn error(&self, text: &str) {
        let error = style("error:").for_stderr().red();
        self.say(&format!("{error} {text}"));
    }

    /// Sums up, if that has not been done.
    pub(crate) fn sum_up(&self, interrupted: bool) -> io::Result<()> {
        if self.summed_up.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (totals, elapsed) = (self.totals(), self.start.elapsed());
        if self.json {
            return self.line(&Line::summary(&totals, elapsed));
        }
        if !self.quiet {
            self.say(&self.summary(&totals, interrupted));
        }
        Ok(())
    }

    fn summary(&self, totals: &Totals, interrupted: bool) -> String {
        let failed = totals.failed - totals.cancelled;
        let mut text = String::new();
        if interrupted {
            text.push_str("Interrupted: ");
        }
        if let Some(planned) = totals.planned {
            text.push_str(&format!("{} would be downloaded", files(planned)));
        } else {
            let (bytes, elapsed) = (HumanBytes(totals.bytes), duration(self.start.elapsed()));
            match &totals.last {
                Some(path) if totals.succeeded == 1 && totals.failed == 0 => {
                    text.push_str(&format!("Stored {}: {bytes} in {elapsed}", path.display()));
                }
                _ => text.push_str(&format!("Downloaded {}, {bytes} in {elapsed}", files(totals.succeeded))),
            }
        }
        if failed > 0 {
            text.push_str(&format!("; {failed} failed"));
        }
        if totals.cancelled > 0 {
            text.push_str(&format!("; {} given up, of which nothing was stored", totals.cancelled));
        }
        text
    }

    fn line(&self, line: &Line<'_>) -> io::Result<()> {
        self.print(&serde_json::to_string(line)?)
    }

    /// Prints a line of the output proper.
    fn print(&self, line: &str) -> io::Result<()> {
        let written = self.progress.suspend(|| {
            if self.occupied {
                return writeln!(io::stderr().lock(), "{line}");
            }
            let mut output = io::stdout().lock();
            writeln!(output, "{line}")?;
            output.flush()
        });
        written.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
        })
    }

    /// Prints a line for a person. When standard error is gone, there is nobody to tell.
    fn say(&self, line: &str) {
        let _ = self.progress.suspend(|| writeln!(io::stderr().lock(), "{line}"));
    }
}

/// Returns what happened at each source, or what happened at all.
fn account(reason: &Reason) -> String {
    match reason.sources.as_slice() {
        [] | [_] => reason.message.clone(),
        sources => {
            let each: Vec<String> =
                sources.iter().map(|source| format!("{}: {}", source.url, source.error)).collect();
            let mut text = format!("all sources failed: {}", each.join("; "));
            // A mirror list that cannot be had is the reason, and no source.
            if !sources.iter().any(|source| source.error == reason.message) {
                text = format!("{}; {text}", reason.message);
            }
            text
        }
    }
}

fn target(watch: &Watch) -> String {
    watch.path.as_deref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
}

fn files(number: u64) -> String {
    if number == 1 { "1 file".to_owned() } else { format!("{number} files") }
}
