//! Runs the cells, each on real sockets into a folder of its own, and compares.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{
    Action, Algorithm, Context, DigestValidation, Download, DownloadError, Event, Facts, FileWriter,
    HttpDownload, MirrorDelegate, Receipt, RetryDelegate, SizeValidation,
};
use ganymede_kit::faults::{Cell, Content, Fault, Front, Phase, Source, TAG};
use ganymede_kit::{Authority, Folder, Origin, Reply};

use crate::oracle::{RETRIES, SIZE, expect, position};
use crate::own::{Failing, handler};

/// What the time-outs are where they must not matter.
const LONG: Duration = Duration::from_secs(120);

/// What they are where they are waited for, and how many cells wait at once.
///
/// A machine that is too busy to answer within the first strikes where none should. So what fails of the cells that
/// wait is run once more, with more patience and fewer at a time, and only that counts.
const SHORT: [(Duration, usize); 2] = [(Duration::from_secs(2), 64), (Duration::from_secs(8), 32)];

/// How many cells run at once that do not wait.
const WORKING: usize = 8;

/// How many servers of each kind there are: one alone would keep those waiting that must not wait.
const SHARDS: usize = 16;

/// Servers that tell cells apart by their paths.
struct Shard {
    plain: Origin,
    secure: Origin,
    mirror: Origin,
}

/// What all cells share.
struct Stage {
    shards: Vec<Shard>,
    stranger: Origin,
    mirrored: Mutex<HashMap<String, usize>>,
    sources: Mutex<HashMap<String, Arc<Source>>>,
    _folder: Folder,
    authority: PathBuf,
    digest: DigestValidation,
}

impl Stage {
    fn start() -> Arc<Self> {
        let (authority, folder) = (Authority::new("trusted"), Folder::new());
        let known = authority.server(&["127.0.0.1"]);
        let facts = Facts::of(&Content::Right.bytes(SIZE)[..], [Algorithm::Sha256]).unwrap();
        let shard =
            |_| Shard { plain: Origin::start(), secure: Origin::tls(&known), mirror: Origin::start() };
        let stage = Arc::new(Self {
            shards: (0..SHARDS).map(shard).collect(),
            stranger: Origin::tls(&Authority::new("stranger").server(&["127.0.0.1"])),
            mirrored: Mutex::default(),
            sources: Mutex::default(),
            authority: authority.write_to(folder.path(), "authority"),
            _folder: folder,
            digest: DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap()),
        });
        let good = Reply::ok(Content::Right.bytes(SIZE)).etag("\"mirror\"").ranges();
        for shard in &stage.shards {
            for origin in [&shard.plain, &shard.secure] {
                let stage = Arc::downgrade(&stage);
                origin.handle("/", move |received| {
                    let source = |stage: Arc<Self>| locked(&stage.sources).get(received.path()).cloned();
                    let source = stage.upgrade().and_then(source);
                    source.map_or_else(|| Reply::error(404), |source| source.reply(received))
                });
            }
            let (stage, good) = (Arc::downgrade(&stage), good.clone());
            shard.mirror.handle("/", move |received| {
                if let Some(stage) = stage.upgrade() {
                    *locked(&stage.mirrored).entry(received.path().to_owned()).or_default() += 1;
                }
                good.clone()
            });
        }
        stage
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a cell's download begins.
fn begin(cell: &Cell, path: &str, front: Option<&Front>, stage: &Stage, shard: &Shard) -> String {
    match front {
        Some(front) => front.url(path),
        None if cell.is_a_stranger() => stage.stranger.url(path),
        None => shard.plain.url(path),
    }
}

/// Composes the download of a cell, but for its time-outs, mirror and writer.
fn compose(cell: &Cell, url: &str, front: Option<&Arc<Front>>, stage: &Stage) -> HttpDownload {
    let mut download = HttpDownload::get(url).unwrap().no_proxy();
    if cell.phase == Phase::Tls {
        download = download.ca_certificate(&stage.authority);
    }
    if cell.size {
        download = download.validation(SizeValidation::new(SIZE as u64));
    }
    if cell.digest {
        download = download.validation(stage.digest.clone());
    }
    if let Some(front) = front.filter(|front| front.is_closed() && !cell.always) {
        let front = Arc::clone(front);
        download = download.handler(move |event: &mut Event<'_>, _: &Context| {
            if let Event::Error { .. } = event {
                front.open();
            }
            Action::Continue
        });
    }
    if cell.fault.is_own() {
        download = download.handler(handler(*cell));
    }
    if cell.retry {
        download = download.handler(RetryDelegate::new(RETRIES).base(Duration::ZERO));
    }
    download
}

/// Runs a cell, and returns what is not as expected.
fn run(cell: &Cell, number: usize, limit: Duration, stage: &Stage) -> Vec<String> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let (path, folder) = (format!("/{}", TURN.fetch_add(1, Ordering::Relaxed)), Folder::new());
    let source = Arc::new(Source::new(*cell, SIZE));
    locked(&stage.sources).insert(path.clone(), Arc::clone(&source));
    let shard = &stage.shards[number % SHARDS];
    let front = Front::start(cell, shard.plain.address(), shard.secure.address()).map(Arc::new);
    let url = begin(cell, &path, front.as_deref(), stage, shard);
    let download = compose(cell, &url, front.as_ref(), stage).connect_timeout(limit);
    let download = match cell.fault {
        Fault::Dripped if cell.phase.is_in_the_body() => download.read_timeout(LONG).deadline(limit),
        _ => download.read_timeout(limit),
    };
    let mirror = cell.mirror.then(|| shard.mirror.url(&path).parse().unwrap());
    let download =
        mirror.into_iter().fold(download, |download, url| download.handler(MirrorDelegate::new([url])));
    let target = folder.file("file");
    let mut download = match cell.fault {
        Fault::Writer => download.writer(Failing::new(target, cell.phase)),
        _ => download.writer(FileWriter::new(target)),
    };
    let context = Context::new();
    let ended = catch_unwind(AssertUnwindSafe(|| download.run(&context)));
    drop((context, download));
    locked(&stage.sources).remove(&path);
    let mirrored = locked(&stage.mirrored).get(&path).copied().unwrap_or_default();
    let ended = ended.as_ref().map_err(|_| "panicked");
    compare(cell, ended, &source.asked(), mirrored, &folder)
}

fn compare(
    cell: &Cell,
    ended: Result<&Result<Receipt, DownloadError>, &'static str>,
    asked: &[[Option<String>; 2]],
    mirrored: usize,
    folder: &Folder,
) -> Vec<String> {
    let expected = expect(cell);
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let (kind, attempts) = match ended {
        Ok(Ok(receipt)) => (None, Some(receipt.attempts())),
        Ok(Err(error)) => (Some(error.kind().name()), Some(error.attempts())),
        Err(panicked) => (Some(panicked), None),
    };
    let named = kind.map_or(expected.kinds.is_empty(), |kind| expected.kinds.contains(&kind));
    check(named, format!("ended in {kind:?}, expected {:?}: {ended:?}", expected.kinds));
    let entries = folder.entries();
    let stored = entries.iter().any(|name| name == "file").then(|| folder.read("file"));
    match expected.target {
        None => check(stored.is_none(), "something is at the target".to_owned()),
        Some(content) => {
            let right = stored.as_ref().is_some_and(|bytes| *bytes == content.bytes(SIZE));
            let length = stored.as_ref().map(Vec::len);
            check(right, format!("{content:?} is not at the target, but {length:?} bytes"));
        }
    }
    let left: Vec<_> = entries.iter().filter(|name| *name != "file").collect();
    check(left.is_empty() || (stored.is_none() && is_partial(&left)), format!("{left:?} are left behind"));
    let kept = expected.kept.is_none_or(|kept| stored.is_some() || kept != left.is_empty());
    check(kept, format!("{left:?} are kept, expected: {:?}", expected.kept));
    let told = attempts.is_none_or(|attempts| expected.attempts.contains(&attempts));
    check(told, format!("{attempts:?} attempts, expected {:?}", expected.attempts));
    let requests = asked.len();
    check(
        expected.requests.contains(&requests),
        format!("{requests} requests, expected {:?}", expected.requests),
    );
    check(mirrored == expected.mirrored, format!("{mirrored} at the mirror, expected {}", expected.mirrored));
    if let (Some(rest), Some(second)) = (expected.rest, asked.get(1)) {
        let range = rest.then(|| format!("bytes={}-", position(cell.phase)));
        let guard = (rest && cell.tagged).then(|| TAG.to_owned());
        check(*second == [range, guard], format!("asked for {second:?}, the rest expected: {rest}"));
    }
    wrong
}

/// Whether this is what an interrupted download leaves to be gone on with.
fn is_partial(left: &[&String]) -> bool {
    left == [".file.ganymede-part", ".file.ganymede-state"]
}

/// Runs all cells, prints how many there are and why others are not, and returns those that failed.
#[allow(clippy::print_stdout, reason = "the numbers are for who runs the test")]
pub(crate) fn run_all() -> (usize, Vec<String>) {
    let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cells = Vec::new();
    for cell in Cell::all() {
        match cell.excuse() {
            Some(excuse) => *excused.entry(excuse).or_default() += 1,
            None => cells.push(cell),
        }
    }
    println!("{} cells run; {} do not apply:", cells.len(), excused.values().sum::<usize>());
    for (excuse, count) in excused {
        println!("  {count:5}  {excuse}");
    }
    let stage = Stage::start();
    let (waiting, working): (Vec<_>, Vec<_>) = cells.iter().enumerate().partition(|(_, cell)| cell.waits());
    let mut left = waiting;
    let mut struck = Vec::new();
    for (limit, threads) in SHORT {
        struck = run_some(&left, threads, limit, &stage);
        left = struck.iter().map(|(number, _)| (*number, &cells[*number])).collect();
    }
    let mut failed = run_some(&working, WORKING, LONG, &stage);
    failed.append(&mut struck);
    (cells.len(), failed.into_iter().map(|(_, what)| what).collect())
}

/// Runs some cells, and returns the numbers of those that failed, and how.
#[allow(clippy::print_stdout, reason = "the numbers are for who runs the test")]
fn run_some(
    cells: &[(usize, &Cell)],
    threads: usize,
    limit: Duration,
    stage: &Stage,
) -> Vec<(usize, String)> {
    let (next, failed, start) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, cell)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = run(cell, *number, limit, stage);
                    if !wrong.is_empty() {
                        locked(&failed).push((*number, format!("{cell}: {}", wrong.join("; "))));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} cells on {threads} threads took {:?}, {} failed",
        cells.len(),
        start.elapsed(),
        failed.len()
    );
    failed
}
