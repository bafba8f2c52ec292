//! A run of `ganymede get`.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use ganymede::{
    Action, Attached, Batch, Context, DigestValidation, DownloadError, ErrorKind, Event, Factory, Failure,
    FileWriter, MirrorDelegate, Request, RetryDelegate, SizeValidation, Transfer, stream,
};

use crate::arguments::Get;
use crate::claims::Claims;
use crate::input::BadLine;
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::item::Item;
use crate::log;
use crate::outcome::Reason;
use crate::progress::Progress;
use crate::report::Report;
use crate::settings::{Items, Settings, Usage};
use crate::watch::{Clock, Watch};

/// The exit status when something failed.
const FAILED: u8 = 1;

/// The exit status of bad usage or input.
pub(crate) const MISUSED: u8 = 2;

/// Downloads what the arguments ask for, and returns the exit status.
pub(crate) fn get(arguments: &Get) -> Result<u8, Usage> {
    let settings = Settings::new(arguments)?;
    let context = Context::new();
    let items = settings.items(arguments, &context)?;
    let progress = Progress::new(&arguments.output);
    log::start(arguments.output.verbose, &progress);
    let report = Arc::new(Report::new(arguments, settings.to_stdout, progress.clone()));
    let interrupt = Interrupt::install(&context, &report)?;
    let run = Run { settings, context, report, progress };
    let end = match () {
        () if arguments.files.dry_run => run.plan(items),
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

type Job = Attached<Transfer<Factory>, Arc<Watch>>;

impl Run {
    /// Downloads the items into files.
    fn download(&self, items: Items) -> io::Result<End> {
        let mut claims = Claims::new();
        let known = std::iter::from_fn(|| {
            self.progress.complete();
            None
        });
        let jobs = items.chain(known).map(|item| Ok::<Job, BadLine>(self.job(&item?, &mut claims)));
        let mut batch = Batch::try_new(jobs)
            .concurrency(self.settings.concurrency)
            .backlog(self.settings.backlog)
            .context(&self.context);
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
        let mut body = match stream(self.transfer(item, watch, None), &self.context) {
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
    fn plan(&self, items: Items) -> io::Result<End> {
        let mut claims = Claims::new();
        let mut end = End::Complete;
        for item in items {
            let item = match item {
                Ok(item) => item,
                Err(bad) => {
                    self.report.error(&bad.to_string());
                    end = End::BadInput;
                    continue;
                }
            };
            let path = (!self.settings.to_stdout).then(|| item.path(self.settings.folder.as_deref()));
            let refused = path.as_deref().and_then(|path| refusal(path, &mut claims));
            let watch = Watch::new(&item, path);
            match refused.or_else(|| self.unsupported(&item)) {
                Some(failure) => self.report.failed(&watch, &(&failure).into())?,
                None => self.report.planned(&watch, &item)?,
            }
        }
        Ok(end)
    }

    /// Returns why none of the sources of an item can be asked, if that is clear beforehand.
    fn unsupported(&self, item: &Item) -> Option<Failure> {
        let mut sources = std::iter::once(&item.url).chain(&item.mirrors);
        if self.settings.mirror_list.is_some() || sources.any(|url| self.knows(url.scheme())) {
            return None;
        }
        self.settings.factory.download(item.url.as_str()).err()
    }

    fn knows(&self, scheme: &str) -> bool {
        self.settings.factory.schemes().contains(&scheme)
    }

    /// Makes the download of an item into its file, or one that fails at once if that is another one's.
    fn job(&self, item: &Item, claims: &mut Claims) -> Job {
        let path = item.path(self.settings.folder.as_deref());
        let watch = Arc::new(Watch::new(item, Some(path.clone())));
        let transfer = self.transfer(item, &watch, refusal(&path, claims)).writer(FileWriter::new(path));
        transfer.attach(watch)
    }

    fn transfer(&self, item: &Item, watch: &Arc<Watch>, refused: Option<Failure>) -> Transfer<Factory> {
        let settings = &self.settings;
        let mut transfer = Transfer::new(Request::new(item.url.clone()), settings.factory.clone())
            // How many there are, the handlers decide: so many for each source.
            .attempts(u32::MAX)
            .monitor(&watch.monitor)
            .handler(Clock::new(watch, &self.progress));
        if let Some(failure) = refused {
            transfer = transfer.handler(move |event: &mut Event<'_>, _: &Context| match event {
                Event::Prepared { .. } => Action::Fail(failure.clone()),
                _ => Action::Continue,
            });
        }
        transfer = transfer.handler(RetryDelegate::new(settings.retries));
        if !item.mirrors.is_empty() {
            transfer = transfer.handler(MirrorDelegate::new(item.mirrors.clone()));
        }
        if let Some(list) = &settings.mirror_list {
            let mut delegate = MirrorDelegate::list(list.clone()).protocol(settings.factory.clone());
            if settings.several {
                delegate = delegate.folders();
            }
            if let Some(name) = &settings.listed_name {
                delegate = delegate.name(name).replaces();
            }
            transfer = transfer.handler(delegate);
        }
        for digest in &item.digests {
            transfer = transfer.validation(DigestValidation::new(*digest));
        }
        if let Some(size) = item.size {
            transfer = transfer.validation(SizeValidation::new(size));
        }
        match settings.deadline {
            Some(deadline) => transfer.deadline(deadline),
            None => transfer,
        }
    }
}

/// Claims a path, and returns why that failed.
fn refusal(path: &Path, claims: &mut Claims) -> Option<Failure> {
    if claims.claim(path) {
        return None;
    }
    let path = path.display();
    let text = format!(
        "{path} is already the file of another download of this run: give one of them another name with out=, in a list for --input"
    );
    Some(Failure::new(ErrorKind::Other, text))
}

fn reason(error: io::Error) -> Reason {
    match error.downcast::<DownloadError>() {
        Ok(error) => (&error).into(),
        Err(error) => (&Failure::from(error)).into(),
    }
}
