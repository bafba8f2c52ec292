//! A run of `ganymede get`.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use ganymede::{Batch, Context, DownloadError, ErrorKind, Failure, stream};

use crate::arguments::Get;
use crate::input::BadLine;
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::item::Item;
use crate::job::{Job, Jobs};
use crate::log;
use crate::observation::Observation;
use crate::outcome::Reason;
use crate::progress::Progress;
use crate::report::Report;
use crate::settings::{Items, Settings, Usage};
use crate::watch::Watch;

/// The exit status when something failed.
pub(crate) const FAILED: u8 = 1;

/// The exit status of bad usage or input.
pub(crate) const MISUSED: u8 = 2;

/// Downloads what the arguments ask for, and returns the exit status.
pub(crate) fn get(arguments: &Get) -> Result<u8, Usage> {
    let settings = Settings::new(arguments)?;
    let context = Context::with_limits(settings.limits);
    let items = settings.items(arguments, &context)?;
    let observation = Observation::new(&arguments.output)?;
    let progress = Progress::new(&arguments.output);
    log::start(arguments.output.verbose, &progress);
    let (output, dry_run) = (&arguments.output, arguments.files.dry_run);
    let report = Arc::new(Report::new(output, dry_run, &settings, progress.clone(), observation));
    let interrupt = Interrupt::install(&context, &report)?;
    let run = Run { settings, context, report, progress };
    let end = match () {
        () if dry_run => run.plan(items),
        () if run.settings.to_stdout => run.pour(items),
        () => run.download(items),
    };
    let interrupted = interrupt.happened();
    let end = end.and_then(|end| run.report.sum_up(interrupted).map(|()| end));
    match end {
        _ if interrupted => Ok(INTERRUPTED),
        // Nobody reads any more, and has said so in the usual way.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(FAILED),
        Err(error) => {
            run.report.error(&error.to_string());
            Ok(FAILED)
        }
        Ok(End::BadInput) => Ok(MISUSED),
        Ok(End::Complete) if run.report.totals().failed > 0 => Ok(FAILED),
        Ok(End::Complete) => Ok(0),
    }
}

/// How far the input was of use.
enum End {
    Complete,
    BadInput,
}

struct Run {
    settings: Settings,
    context: Context,
    report: Arc<Report>,
    progress: Progress,
}

impl Run {
    /// Downloads the items into files.
    fn download(&self, items: Items) -> io::Result<End> {
        let jobs = Jobs::new(&self.settings, &self.report, &self.progress);
        let known = std::iter::from_fn(|| {
            self.progress.complete();
            None
        });
        let downloads = items.chain(known).map(|item| Ok::<Job, BadLine>(jobs.job(&item?)));
        let (settings, batch) = (&self.settings, Batch::try_new(downloads));
        let batch = match settings.adaptive {
            true => batch.adaptive(settings.concurrency),
            false => batch.concurrency(settings.concurrency),
        };
        let mut batch = batch.backlog(settings.backlog).context(&self.context);
        let drawing = self.progress.draw(Some(batch.counters()));
        let mut end = End::Complete;
        for plan in &mut batch {
            let plan = match plan {
                Ok(plan) => plan,
                Err(bad) => {
                    self.report.error(&bad.to_string());
                    end = End::BadInput;
                    continue;
                }
            };
            let watch = plan.attachment();
            // One that has panicked did not say that it has ended.
            self.progress.ended(watch);
            match plan.result() {
                Ok(receipt) => self.report.succeeded(watch, receipt)?,
                Err(error) => self.report.failed(watch, &error.into())?,
            }
        }
        drop(drawing);
        Ok(end)
    }

    /// Downloads the one item there is to standard output.
    fn pour(&self, items: Items) -> io::Result<End> {
        for item in items.flatten() {
            let watch = Arc::new(Watch::new(&item, None));
            let drawing = self.progress.draw(None);
            let poured = self.pour_one(&item, &watch);
            drop(drawing);
            if let Err(reason) = poured? {
                self.report.failed(&watch, &reason)?;
            }
        }
        Ok(End::Complete)
    }

    fn pour_one(&self, item: &Item, watch: &Arc<Watch>) -> io::Result<Result<(), Reason>> {
        let jobs = Jobs::new(&self.settings, &self.report, &self.progress);
        let mut body = match stream(jobs.stream(item, watch), &self.context) {
            Ok((_, body)) => body,
            Err(error) => return Ok(Err((&error).into())),
        };
        let mut output = io::stdout().lock();
        loop {
            let block = match body.fill_buf() {
                Ok([]) => break,
                Ok(block) => block,
                Err(error) => return Ok(Err(reason(error))),
            };
            let length = block.len();
            if let Err(error) = output.write_all(block).and_then(|()| output.flush()) {
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Err(error);
                }
                let text = format!("cannot write to standard output: {error}");
                return Ok(Err((&Failure::new(ErrorKind::Write, text)).into()));
            }
            body.consume(length);
        }
        drop(output);
        match body.receipt() {
            Some(receipt) => self.report.succeeded(watch, receipt).map(Ok),
            None => Ok(Err((&Failure::cancelled()).into())),
        }
    }

    /// Tells what would be downloaded.
    fn plan(&self, mut items: Items) -> io::Result<End> {
        let jobs = Jobs::new(&self.settings, &self.report, &self.progress);
        let schemes = self.settings.factory.schemes();
        let mut end = End::Complete;
        loop {
            // Where the next item has to be waited for, what is known is told.
            if items.size_hint().0 == 0 {
                self.report.flush()?;
            }
            let Some(item) = items.next() else { return Ok(end) };
            let item = match item {
                Ok(item) => item,
                Err(bad) => {
                    self.report.flush()?;
                    self.report.error(&bad.to_string());
                    end = End::BadInput;
                    continue;
                }
            };
            let (watch, claimed) = jobs.planned(&item);
            if let Some(failure) = claimed.err().or_else(|| self.unsupported(&item, &schemes)) {
                self.report.flush()?;
                self.report.failed(&watch, &(&failure).into())?;
            } else {
                self.report.planned(&watch, &item)?;
            }
        }
    }

    /// Returns why none of the sources of an item can be asked, if that is clear beforehand.
    fn unsupported(&self, item: &Item, schemes: &[&str]) -> Option<Failure> {
        let mut sources = std::iter::once(&item.url).chain(&item.mirrors);
        if self.settings.mirror_list.is_some() || sources.any(|url| schemes.contains(&url.scheme())) {
            return None;
        }
        self.settings.factory.download(item.url.as_str()).err()
    }
}

fn reason(error: io::Error) -> Reason {
    match error.downcast::<DownloadError>() {
        Ok(error) => (&error).into(),
        Err(error) => (&Failure::from(error)).into(),
    }
}
