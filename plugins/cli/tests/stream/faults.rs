//! The fault matrix of the framework's own tests, served through the command: nobody ever has a complete wrong body.
//!
//! Each case is a cell of the matrix, one who asks, and whether what is served is kept. Where it is, each cell is asked for
//! by curl, by a raw socket and by a slow reader; where it is not, they take turns. The remote is checked by a digest and
//! retried twice, with a good mirror and without one; what happens on this side of the network is tested where it can be
//! made to happen. There are cases without a digest, too, where the right content was kept before and has to be asked for
//! again. Three requests are made in each case:
//!
//! 1. While the fault is there. The client gets the whole right content, or what it can tell from one: an error, or a
//!    response that breaks off. Which of them is known, but where wrong bytes may have been passed on before that was
//!    found out: then both are right.
//! 2. When it is gone: the whole right content. So nothing wrong was kept.
//! 3. When all sources answer by errors: where it is kept the whole right content, and nobody is asked; else an error.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ganymede_kit::faults::{Cell, Content, Fault, Front, Phase, Source};
use ganymede_kit::{Authority, Folder, Origin, Received, Reply};

use crate::clients::{Asker, Taken};
use crate::list;
use crate::serving::Serving;

/// How long the content is: several blocks are passed on before its middle.
const SIZE: usize = 300_000;

/// What the time-outs are where they must not matter.
const LONG: Duration = Duration::from_secs(100);

/// What they are where they are waited for, and how many cases wait at once; what fails is run once more, with more
/// patience, since a machine may be too busy.
const SHORT: [(Duration, usize); 2] = [(Duration::from_secs(2), 160), (Duration::from_secs(6), 32)];

/// How many cases run at once that do not wait.
const WORKING: usize = 48;

/// One case.
#[derive(Clone, Copy, Debug)]
struct Case {
    cell: Cell,
    asker: Asker,
    keeps: bool,
}

/// How the first request of a case ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Content,
    Failure,
    Either,
}

impl Case {
    fn all() -> Vec<Self> {
        // What the remote of the command has: retries, and nothing that knows a size.
        let tested = |cell: &Cell| cell.retry && !cell.size && !cell.fault.is_own();
        let cells = Cell::all().filter(|cell| cell.excuse().is_none() && tested(cell));
        let cells = cells.filter(|cell| cell.digest || has_part_of_the_right(cell));
        let with_all = |(number, cell): (usize, Cell)| {
            // One has many versions, which take turns.
            let curl = [Asker::Curl, Asker::CurlHttp2][number % 2];
            let askers = [curl, Asker::Raw, Asker::Slow].into_iter();
            let all = askers.flat_map(move |asker| [true, false].map(|keeps| Self { cell, asker, keeps }));
            // They take turns, too, where it takes time, or is the same to all of them: below HTTP, and beside a digest.
            let (turn, by_all) =
                (number / 2 % 3, cell.digest && !cell.waits() && cell.phase >= Phase::Header);
            let cases = all.enumerate().filter(move |(at, case)| (by_all && case.keeps) || at / 2 == turn);
            cases.map(|(_, case)| case).filter(|case| case.keeps || case.cell.digest)
        };
        cells.enumerate().flat_map(with_all).collect()
    }

    fn expected(&self) -> Expected {
        use Fault::{Closed, Dripped, Garbage, OtherLength, OtherTag, PartTotal, Refused, Reset, SameTag};
        use Fault::{Stalled, Status, TooLong, Truncated, Wrong};
        let Cell { fault, phase, always, announced, .. } = self.cell;
        match fault {
            // Nothing proves that another source has the same content, once a part of it was passed on.
            _ if !self.cell.digest => Expected::Either,
            // Wrong bytes come first, and are known to be wrong when some of them are on their way.
            OtherTag | SameTag | OtherLength => Expected::Either,
            TooLong if !announced => Expected::Either,
            _ if self.cell.mirror => Expected::Content,
            // Each attempt brings some bytes more, or none.
            Dripped => Expected::Either,
            // A total that nothing contradicts is believed, until there is nothing behind the end.
            PartTotal => Expected::Either,
            // They let nobody in before the second request.
            Refused => Expected::Failure,
            Stalled if phase == Phase::Connect => Expected::Failure,
            Closed | Reset | Stalled | Status(500 | 503) if !always => Expected::Content,
            Garbage if !always && phase.is_in_the_body() => Expected::Content,
            Closed | Reset | Stalled | Garbage | Status(_) | Wrong | Truncated => Expected::Failure,
            _ => Expected::Content,
        }
    }
}

/// Whether all that the source of a cell sends is the right content or a part of it, which can be told from the whole: a
/// content that is not checked by a digest is what the source says it is.
fn has_part_of_the_right(cell: &Cell) -> bool {
    use Fault::{OtherLength, OtherTag, SameTag, TooLong, Truncated, Wrong};
    let other = matches!(cell.fault, OtherLength | OtherTag | SameTag | TooLong | Truncated | Wrong);
    // What waits is like that, too, and takes its time.
    !other && !cell.waits() && cell.phase >= Phase::Header
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {:?} × {}kept", self.cell, self.asker, if self.keeps { "" } else { "not " })
    }
}

/// What answers at a path.
enum Answering {
    Faulty(Arc<Source>),
    Good,
    /// An error, and so many have asked.
    Failing(usize),
}

/// What all cases share.
struct Stage {
    sources: [Origin; 2],
    stranger: Origin,
    mirror: Origin,
    answering: Arc<Mutex<HashMap<String, Answering>>>,
    folder: Folder,
    authority: String,
    list: String,
    /// The servers of those cases whose remote is no other than that of others.
    servers: Mutex<HashMap<(String, bool), Arc<Serving>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn good() -> Reply {
    Reply::ok(Content::Right.bytes(SIZE)).ranges()
}

/// Answers as is said for the path; what no source can do any more, no mirror can either.
fn answer(answering: &Mutex<HashMap<String, Answering>>, received: &Received, mirrors: bool) -> Reply {
    match locked(answering).get_mut(received.path()) {
        Some(Answering::Failing(asked)) => {
            *asked += 1;
            Reply::error(500)
        }
        Some(_) if mirrors => good().etag("\"mirror\""),
        Some(Answering::Faulty(source)) => source.reply(received),
        Some(Answering::Good) => good().etag("\"good\""),
        None => Reply::error(404),
    }
}

impl Stage {
    fn start(cases: usize) -> Self {
        let (authority, folder) = (Authority::new("trusted"), Folder::new());
        let known = authority.server(&["127.0.0.1"]);
        let sources = [Origin::start(), Origin::tls(&known)];
        let mirror = Origin::start();
        let answering: Arc<Mutex<HashMap<String, Answering>>> = Arc::default();
        for (origin, mirrors) in [(&sources[0], false), (&sources[1], false), (&mirror, true)] {
            let answering = Arc::clone(&answering);
            origin.handle("/", move |received| answer(&answering, received, mirrors));
        }
        // Each case has a path of its own, and another one when it is run again.
        let list = folder.write("SHA256SUMS", list(&Content::Right.bytes(SIZE), 0..2 * cases));
        Self {
            sources,
            stranger: Origin::tls(&Authority::new("stranger").server(&["127.0.0.1"])),
            mirror,
            answering,
            authority: authority.write_to(folder.path(), "authority").display().to_string(),
            list: list.display().to_string(),
            folder,
            servers: Mutex::default(),
        }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [0, 1].map(|at: usize| self.sources[at].address())
    }

    fn says(&self, path: &str, answering: Answering) {
        locked(&self.answering).insert(path.to_owned(), answering);
    }

    /// Starts a server of this remote.
    fn serve(&self, case: &Case, remote: &str, limit: Duration, cache: &str) -> Serving {
        let (cache, limit) =
            (self.folder.file(cache).display().to_string(), format!("{}ms", limit.as_millis()));
        let mirror = self.mirror.url("/");
        let mut arguments = vec!["--remote", remote, "--retries", "2"];
        arguments.extend(["--connect-timeout", &limit, "--read-timeout", &limit, "--clients", "10000"]);
        arguments.extend(["--ca-certificate", &self.authority, "--cooldown", "0s", "--negative", "0s"]);
        if case.cell.digest {
            arguments.extend(["--digests", &self.list]);
        }
        if case.cell.mirror {
            arguments.extend(["--remote", &mirror]);
        }
        if case.keeps {
            arguments.extend(["--cache", &cache]);
        }
        Serving::start(arguments)
    }

    /// The server that cases share whose source stands before nothing.
    fn shared(&self, case: &Case, limit: Duration) -> Arc<Serving> {
        let Cell { mirror, digest, .. } = case.cell;
        let cache = format!("cache-{mirror}-{digest}-{}", limit.as_millis());
        let mut servers = locked(&self.servers);
        let start = || Arc::new(self.serve(case, &self.sources[0].url("/"), limit, &cache));
        Arc::clone(servers.entry((cache.clone(), case.keeps)).or_insert_with(start))
    }
}

/// Runs a case, and returns what is not as it should be.
fn run(case: &Case, limit: Duration, stage: &Stage) -> Vec<String> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let path = format!("/{turn}");
    let source = Arc::new(Source::new(case.cell, SIZE));
    let [plain, secure] = stage.addresses();
    let front = Front::start(&case.cell, plain, secure);
    let own = |remote: &str| Arc::new(stage.serve(case, remote, limit, &format!("cache-{turn}")));
    let server = match &front {
        Some(front) => own(&front.url("/")),
        None if case.cell.is_a_stranger() => own(&stage.stranger.url("/")),
        None => stage.shared(case, limit),
    };
    let right = Content::Right.bytes(SIZE);
    let mut wrong = Vec::new();
    let mut check = |holds: bool, taken: &Taken, when: &str| {
        if !holds {
            wrong.push(format!("{when}: {}", taken.brief()));
        }
    };

    if !case.cell.digest {
        stage.says(&path, Answering::Good);
        let taken = Asker::Raw.get(&server, &path);
        check(taken.is_content(&right), &taken, "before the fault");
    }
    stage.says(&path, Answering::Faulty(Arc::clone(&source)));
    let taken = case.asker.get(&server, &path);
    let is_asked = case.cell.phase < Phase::Header || !source.asked().is_empty();
    check(is_asked, &taken, "the source was not asked");
    let is_right = taken.is_content(&right);
    check(is_right || !taken.is_taken_for_content(), &taken, "it is taken for the content");
    match case.expected() {
        Expected::Content => check(is_right, &taken, "the content was expected"),
        Expected::Failure => check(!is_right, &taken, "a failure was expected"),
        Expected::Either => {}
    }

    stage.says(&path, Answering::Good);
    if let Some(front) = &front {
        front.open();
    }
    let stays = case.cell.is_a_stranger() && !case.cell.mirror;
    let taken = Asker::Raw.get(&server, &path);
    check(taken.is_content(&right) != stays, &taken, "when the fault was gone");

    stage.says(&path, Answering::Failing(0));
    let taken = Asker::Raw.get(&server, &path);
    // What is not checked may have changed, so it is asked for each time, and there is no answer.
    let kept = case.keeps && case.cell.digest && !stays;
    check(taken.is_content(&right) == kept, &taken, "when nobody had it any more");
    check(kept || !taken.is_taken_for_content(), &taken, "it is taken for the content when nobody has it");
    let asked = locked(&stage.answering).remove(&path);
    if let (true, Some(Answering::Failing(asked @ 1..))) = (kept, asked) {
        check(false, &taken, &format!("{asked} were asked for what is kept"));
    }
    wrong
}

/// Runs some cases, and returns those that failed, and how.
#[allow(clippy::print_stdout, reason = "the numbers are for who runs the test")]
fn run_all(cases: &[&Case], threads: usize, limit: Duration, stage: &Stage) -> Vec<(usize, String)> {
    let (next, failed, start) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    let wrong = run(case, limit, stage);
                    if !wrong.is_empty() {
                        locked(&failed).push((number, format!("{case}: {}", wrong.join("; "))));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = start.elapsed();
    println!("{} cases on {threads} threads took {took:?}, {} failed", cases.len(), failed.len());
    failed
}

#[test]
fn whatever_goes_wrong_nobody_has_a_complete_wrong_body_and_nothing_wrong_is_kept() {
    let cases = Case::all();
    // Those that wait have servers of their own, which are busy with little else.
    let [patient, busy] = [0, 1].map(|_| Stage::start(cases.len()));
    let (waiting, working): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.cell.waits());
    let failed = thread::scope(|scope| {
        let working = scope.spawn(|| run_all(&working, WORKING, LONG, &busy));
        let mut left = waiting;
        let mut struck = Vec::new();
        for (limit, threads) in SHORT {
            struck = run_all(&left, threads, limit, &patient);
            left = struck.iter().map(|(number, _)| left[*number]).collect();
        }
        struck.into_iter().chain(working.join().unwrap()).map(|(_, what)| what).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
