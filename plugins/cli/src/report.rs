//! What a run tells: lines for people on standard error, or JSON on standard output.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use console::style;
use ganymede::{Receipt, StatusCode};
use indicatif::HumanBytes;
use parking_lot::Mutex;

use crate::arguments::Output;
use crate::event::Line;
use crate::item::Item;
use crate::observation::Observation;
use crate::outcome::{Reason, Why};
use crate::progress::{Progress, duration};
use crate::settings::Settings;
use crate::table::table;
use crate::watch::Watch;

/// How long a note is not repeated that each of many downloads has reason to make.
const NOTED: Duration = Duration::from_secs(60);

/// How much is printed at once when there is much to print, in bytes.
const PAGE: usize = 32 << 10;

/// Tells how downloads end, and sums them up.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// Whether standard output is taken by a content, so that what else belongs there goes to standard error.
    occupied: bool,
    /// Why a file is kept, if one is.
    why: Why,
    progress: Progress,
    observation: Observation,
    start: Instant,
    totals: Mutex<Totals>,
    notes: Mutex<HashMap<String, Instant>>,
    /// Lines of the output proper that were not printed yet.
    page: Mutex<String>,
    summed_up: AtomicBool,
}

/// What a run has come to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    pub(crate) succeeded: u64,
    /// Those that were cancelled included.
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Those whose file was there already, and does.
    pub(crate) kept: u64,
    /// Those that have failed and can be gone on with, and how many bytes are kept of them.
    partial: u64,
    partial_bytes: u64,
    pub(crate) bytes: u64,
    /// How many of those an earlier run has received.
    resumed: u64,
    /// How many a dry run would download.
    pub(crate) planned: Option<u64>,
    /// Where the last file went.
    last: Option<PathBuf>,
}

impl Report {
    pub(crate) fn new(
        output: &Output,
        dry_run: bool,
        settings: &Settings,
        progress: Progress,
        observation: Observation,
    ) -> Self {
        let planned = dry_run.then_some(0);
        Self {
            json: output.json,
            quiet: output.quiet,
            verbose: output.verbose > 0,
            occupied: settings.to_stdout,
            why: Why::of(settings.existing),
            progress,
            observation,
            start: Instant::now(),
            totals: Mutex::new(Totals { planned, ..Totals::default() }),
            notes: Mutex::default(),
            page: Mutex::default(),
            summed_up: AtomicBool::new(false),
        }
    }

    /// Returns what the run has come to until now.
    pub(crate) fn totals(&self) -> Totals {
        self.totals.lock().clone()
    }

    /// Returns what is noted of each attempt.
    pub(crate) fn observation(&self) -> &Observation {
        &self.observation
    }

    /// Tells that the trace has failed, if it has: the downloads go on.
    pub(crate) fn traced(&self, written: io::Result<()>) {
        if let Err(error) = written {
            let warning = style("warning:").for_stderr().yellow();
            self.say(&format!("{warning} {error}"));
        }
    }

    /// Tells that a download has succeeded.
    pub(crate) fn succeeded(&self, watch: &Watch, receipt: &Receipt) -> io::Result<()> {
        if receipt.head().status() == StatusCode::NOT_MODIFIED {
            return self.kept(watch, receipt);
        }
        let size = receipt.facts().size();
        let mut totals = self.totals.lock();
        totals.succeeded += 1;
        totals.bytes += size;
        totals.resumed += watch.resumed();
        totals.last = watch.path();
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

    /// Tells that the file which is there already was kept.
    fn kept(&self, watch: &Watch, receipt: &Receipt) -> io::Result<()> {
        let mut totals = self.totals.lock();
        totals.kept += 1;
        totals.last = watch.path();
        drop(totals);
        if self.json {
            return self.line(&Line::kept(watch, receipt, self.why));
        }
        if self.verbose {
            self.say(&format!("kept {}: {}", target(watch), self.why.text()));
        }
        Ok(())
    }

    /// Tells that a download has failed.
    pub(crate) fn failed(&self, watch: &Watch, reason: &Reason) -> io::Result<()> {
        let (cancelled, partial) = (reason.kind == "cancelled", watch.kept());
        let mut totals = self.totals.lock();
        totals.failed += 1;
        totals.cancelled += u64::from(cancelled);
        totals.partial += u64::from(partial > 0);
        totals.partial_bytes += partial;
        drop(totals);
        if self.json {
            return self.line(&Line::failed(watch, reason, partial));
        }
        // Who has interrupted the run need not be told of each download that it was.
        if !cancelled || self.verbose {
            let failed = style("failed:").for_stderr().red();
            let hint = reason.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.say(&format!("{failed} {}: {}{hint}", watch.url, account(reason)));
        }
        Ok(())
    }

    /// Tells that an item would be downloaded, at the latest when the report is [flushed](Self::flush).
    pub(crate) fn planned(&self, watch: &Watch, item: &Item) -> io::Result<()> {
        if let Some(planned) = &mut self.totals.lock().planned {
            *planned += 1;
        }
        let line = match watch.path() {
            _ if self.json => serde_json::to_string(&Line::planned(watch, item))?,
            None if !self.occupied => format!("{} -> a name that its server has", watch.url),
            _ => format!("{} -> {}", watch.url, target(watch)),
        };
        if self.add(&line) >= PAGE { self.flush() } else { Ok(()) }
    }

    /// Tells what is wrong with the run as a whole.
    pub(crate) fn error(&self, text: &str) {
        let error = style("error:").for_stderr().red();
        self.say(&format!("{error} {text}"));
    }

    /// Tells what holds the downloads up, once for all that say the same.
    pub(crate) fn note(&self, text: &str) {
        let now = Instant::now();
        let last = self.notes.lock().insert(text.to_owned(), now);
        if last.is_none_or(|last| now.duration_since(last) > NOTED) {
            self.say(text);
        }
    }

    /// Sums up, if that has not been done.
    pub(crate) fn sum_up(&self, interrupted: bool) -> io::Result<()> {
        if self.summed_up.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (totals, elapsed) = (self.totals(), self.start.elapsed());
        let stats = self.observation.summary(elapsed);
        self.traced(self.observation.finish());
        if self.json {
            return self.line(&Line::summary(&totals, elapsed, stats.as_ref()));
        }
        if !self.quiet {
            self.say(&self.summary(&totals, interrupted));
        }
        if let Some(stats) = stats {
            self.say(&table(&stats, elapsed));
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
            text.push_str(&self.account(totals));
        }
        if failed > 0 {
            text.push_str(&format!("; {failed} failed"));
        }
        if totals.cancelled > 0 {
            let nothing = if totals.partial == 0 { ", of which nothing was stored" } else { "" };
            text.push_str(&format!("; {} given up{nothing}", totals.cancelled));
        }
        if totals.partial > 0 {
            let (files, bytes) = (files(totals.partial), HumanBytes(totals.partial_bytes));
            text.push_str(&format!(
                ". What was received of {files} ({bytes}) is kept: the same command goes on with it"
            ));
        }
        text
    }

    /// Returns what was downloaded.
    fn account(&self, totals: &Totals) -> String {
        let (bytes, elapsed) = (HumanBytes(totals.bytes), duration(self.start.elapsed()));
        let (number, alone) = (totals.succeeded + totals.kept, totals.failed == 0);
        let path = totals.last.as_ref().filter(|_| number == 1 && alone);
        let mut text = match path.map(|path| path.display()) {
            Some(path) if totals.kept == 1 => return format!("Kept {path}: {}", self.why.text()),
            Some(path) => format!("Stored {path}: {bytes} in {elapsed}"),
            None => format!("Downloaded {}, {bytes} in {elapsed}", files(totals.succeeded)),
        };
        if totals.resumed > 0 {
            text.push_str(&format!(", {} of it earlier", HumanBytes(totals.resumed)));
        }
        if totals.kept > 0 {
            text.push_str(&format!(", {} kept", totals.kept));
        }
        text
    }

    fn line(&self, line: &Line<'_>) -> io::Result<()> {
        self.print(&serde_json::to_string(line)?)
    }

    /// Prints a line of the output proper.
    fn print(&self, line: &str) -> io::Result<()> {
        self.add(line);
        self.flush()
    }

    /// Adds a line to what is to be printed, and returns how many bytes these are.
    fn add(&self, line: &str) -> usize {
        let mut page = self.page.lock();
        page.push_str(line);
        page.push('\n');
        page.len()
    }

    /// Prints what is left to print of the output proper.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut page = self.page.lock();
        if page.is_empty() {
            return Ok(());
        }
        let written = self.progress.suspend(|| {
            if self.occupied {
                return io::stderr().lock().write_all(page.as_bytes());
            }
            let mut output = io::stdout().lock();
            output.write_all(page.as_bytes())?;
            output.flush()
        });
        page.clear();
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
    watch.path().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
}

fn files(number: u64) -> String {
    if number == 1 { "1 file".to_owned() } else { format!("{number} files") }
}
