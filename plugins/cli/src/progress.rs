//! Progress bars: one for each running download, and a line for all of them.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use console::Term;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ganymede::{Counters, Phase};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use crate::arguments::{Output, When};
use crate::terminal::Terminal;
use crate::watch::Watch;

/// How often the bars are drawn.
const INTERVAL: Duration = Duration::from_millis(100);

/// Over how long the rate of all downloads is taken.
const WINDOW: Duration = Duration::from_secs(5);

/// Where bars are drawn, if they are; what else is printed goes through it, so that it does not mix with them.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Option<Arc<Screen>>);

#[derive(Debug)]
struct Screen {
    bars: MultiProgress,
    running: Mutex<Vec<Arc<Watch>>>,
    /// How many bytes earlier runs have received of what has succeeded.
    resumed: AtomicU64,
    /// Whether there is nothing more to come than what has been pulled.
    complete: AtomicBool,
}

impl Screen {
    /// Returns how many bytes earlier runs have received, of what has succeeded and of what is running.
    fn resumed(&self, running: &[Arc<Watch>]) -> u64 {
        let under_way: u64 = running.iter().map(|watch| watch.resumed()).sum();
        self.resumed.load(Ordering::Relaxed) + under_way
    }
}

/// Draws until it is dropped.
#[derive(Debug)]
pub(crate) struct Drawing {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn new(output: &Output) -> Self {
        let wanted = match output.progress {
            When::Always => true,
            When::Never => false,
            When::Auto => !output.quiet && io::stderr().is_terminal(),
        };
        Self(wanted.then(|| {
            // A target of the library's own for standard error hides the bars where that is no terminal.
            let target = ProgressDrawTarget::term_like(Box::new(Terminal::new()));
            Arc::new(Screen {
                bars: MultiProgress::with_draw_target(target),
                running: Mutex::default(),
                resumed: AtomicU64::new(0),
                complete: AtomicBool::new(false),
            })
        }))
    }

    /// Runs `print` while no bar is on the screen.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(screen) => screen.bars.suspend(print),
            None => print(),
        }
    }

    pub(crate) fn started(&self, watch: &Arc<Watch>) {
        if let Some(screen) = &self.0 {
            screen.running.lock().push(Arc::clone(watch));
        }
    }

    pub(crate) fn ended(&self, watch: &Arc<Watch>) {
        if let Some(screen) = &self.0 {
            let mut running = screen.running.lock();
            let before = running.len();
            running.retain(|other| !Arc::ptr_eq(other, watch));
            // What has failed counts for nothing, and twice told, it has ended once.
            if running.len() < before && watch.monitor.progress().phase == Phase::Succeeded {
                screen.resumed.fetch_add(watch.resumed(), Ordering::Relaxed);
            }
        }
    }

    /// Says that all downloads of the run are known.
    pub(crate) fn complete(&self) {
        if let Some(screen) = &self.0 {
            screen.complete.store(true, Ordering::Relaxed);
        }
    }

    /// Starts drawing; `counters` are those of all downloads.
    pub(crate) fn draw(&self, counters: Option<Arc<Counters>>) -> Drawing {
        let Some(screen) = self.0.clone() else { return Drawing { stop: None, thread: None } };
        let (stop, stopped) = bounded::<()>(0);
        let draw = move || Canvas::new(&screen, counters).draw(&stopped);
        // Without a thread for them there are no bars, and all else works.
        let thread = thread::Builder::new().name("ganymede-bars".to_owned()).spawn(draw).ok();
        Drawing { stop: Some(stop), thread }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// A writer of whole lines to standard error, above the bars.
#[derive(Debug, Clone)]
pub(crate) struct Above(pub(crate) Progress);

impl Write for Above {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(block))?;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The bars on a screen.
struct Canvas<'a> {
    screen: &'a Screen,
    bars: Vec<Bar>,
    /// Of what has no counters, there is one download, and no total.
    total: Option<(ProgressBar, Arc<Counters>)>,
    /// How many bytes there were when it was looked last, and how many have come while it was looked.
    received: u64,
    seen: u64,
    samples: VecDeque<(Instant, u64)>,
}

/// The bar of a download.
struct Bar {
    watch: Arc<Watch>,
    bar: ProgressBar,
    /// How many bytes an earlier run has received, as far as it was looked at: they say nothing about the rate.
    resumed: u64,
}

impl<'a> Canvas<'a> {
    fn new(screen: &'a Screen, counters: Option<Arc<Counters>>) -> Self {
        let bar = || screen.bars.add(ProgressBar::no_length().with_style(style("{wide_msg}")));
        let total = counters.map(|counters| (bar(), counters));
        Self { screen, bars: Vec::new(), total, received: 0, seen: 0, samples: VecDeque::new() }
    }

    fn draw(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let running = self.screen.running.lock().clone();
            self.draw_running(&running);
            self.draw_total(&running);
        }
        for shown in &self.bars {
            shown.bar.finish_and_clear();
        }
        if let Some((total, _)) = &self.total {
            total.finish_and_clear();
        }
        // A refresh may be due that the limit on their number has put off.
        let _ = self.screen.bars.clear();
    }

    fn draw_running(&mut self, running: &[Arc<Watch>]) {
        let bars = &self.screen.bars;
        self.bars.retain(|shown| {
            let runs = running.iter().any(|other| Arc::ptr_eq(other, &shown.watch));
            if !runs {
                shown.bar.finish_and_clear();
                bars.remove(&shown.bar);
            }
            runs
        });
        let rows = usize::from(Term::stderr().size().0).saturating_sub(2).max(1);
        for watch in running {
            if self.bars.len() < rows && !self.bars.iter().any(|shown| Arc::ptr_eq(&shown.watch, watch)) {
                let bar = match &self.total {
                    Some((total, _)) => bars.insert_before(total, ProgressBar::no_length()),
                    None => bars.add(ProgressBar::no_length()),
                };
                self.bars.push(Bar { watch: Arc::clone(watch), bar, resumed: 0 });
            }
        }
        self.bars.iter_mut().for_each(Bar::draw);
    }

    fn draw_total(&mut self, running: &[Arc<Watch>]) {
        let Some((total, counters)) = self.total.clone() else { return };
        let progress: Vec<_> = running.iter().map(|watch| watch.monitor.progress()).collect();
        let under_way: u64 = progress.iter().map(|progress| progress.received).sum();
        let received = counters.bytes() + under_way;
        let rate = self.rate(received.saturating_sub(self.screen.resumed(running)));
        let (done, failed, pulled) = (counters.succeeded(), counters.failed(), counters.pulled());
        let missing: u64 = progress
            .iter()
            .filter_map(|progress| Some(progress.total?.saturating_sub(progress.received)))
            .sum();
        // The others are taken to be as long as those that are done; until one is, nothing is known of them.
        let waiting = pulled.saturating_sub(done + failed + progress.len() as u64);
        let missing = missing + waiting * counters.bytes().checked_div(done).unwrap_or_default();
        let complete = self.screen.complete.load(Ordering::Relaxed);
        let (more, at_least) = if complete { ("", "") } else { (" or more", "at least ") };
        let (bytes, bytes_a_second) = (HumanBytes(received), HumanBytes(rate));
        let mut text = format!("{done} of {pulled}{more} files, {bytes} at {bytes_a_second}/s");
        if failed > 0 {
            text.push_str(&format!(", {failed} failed"));
        }
        if let Some(seconds) = missing.checked_div(rate).filter(|_| missing > 0) {
            // However fast the others are, the slowest is waited for.
            let slowest = self.bars.iter().map(|shown| shown.bar.eta().as_secs()).max().unwrap_or_default();
            text.push_str(&format!(", {at_least}{} left", whole(seconds.max(slowest).max(1))));
        }
        total.set_message(text);
    }

    /// Returns the bytes a second that all downloads together have had of late.
    fn rate(&mut self, received: u64) -> u64 {
        // What a failed download had is gone, and has come all the same.
        self.seen += received.saturating_sub(self.received);
        self.received = received;
        let now = Instant::now();
        while self.samples.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, self.seen));
        let Some((then, before)) = self.samples.front() else { return 0 };
        let millis = u64::try_from(now.duration_since(*then).as_millis()).unwrap_or(u64::MAX);
        ((self.seen - before) * 1000).checked_div(millis).unwrap_or_default()
    }
}

impl Bar {
    fn draw(&mut self) {
        let bar = &self.bar;
        let progress = self.watch.monitor.progress();
        // A server may have the name, and say it late.
        bar.set_prefix(name(&self.watch));
        let state = match progress.phase {
            Phase::Waiting | Phase::Sending if progress.attempt > 1 => {
                format!("attempt {}", progress.attempt)
            }
            Phase::Waiting | Phase::Sending => "waiting for the server".to_owned(),
            Phase::Repairing => format!("attempt {} failed, waiting for the next", progress.attempt),
            _ => String::new(),
        };
        if !state.is_empty() {
            bar.set_style(style("{prefix:24!} {wide_msg}"));
            bar.set_message(state);
            return;
        }
        if let Some(total) = progress.total {
            bar.set_length(total);
            bar.set_style(style(
                "{prefix:24!} [{wide_bar}] {bytes:>10} of {total_bytes:<10} {binary_bytes_per_sec:>12} {eta:>4}",
            ));
        } else {
            bar.set_style(style("{prefix:24!} {spinner} {bytes:>10} {binary_bytes_per_sec:>12}"));
            bar.tick();
        }
        bar.set_position(progress.received);
        let resumed = self.watch.resumed();
        if resumed != self.resumed {
            self.resumed = resumed;
            bar.reset_eta();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

fn name(watch: &Watch) -> String {
    let path = watch.path();
    let file = path.as_deref().and_then(|path| path.file_name());
    file.map_or_else(|| watch.url.clone(), |file| file.to_string_lossy().into_owned())
}

/// Writes a duration as people say it: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => whole(seconds),
    }
}

fn whole(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
