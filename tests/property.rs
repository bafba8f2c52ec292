//! Whatever servers do, by chance: the target is absent, or holds one of the contents that the origin had, in whole.
//!
//! Each case is a script of faults for the origin and for mirrors. Left out are only lies that nobody can find out:
//! one tag or date for two contents, and, unless a digest is expected, a length that is announced too short.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Action, Algorithm, Context, DigestValidation, Download, Event, Facts, FileWriter, HttpDownload,
    MirrorDelegate, RetryDelegate, stream,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseResult, TestRunner};

/// How many contents the origin has had.
const VERSIONS: usize = 3;

/// By what a source lets its contents be recognised.
#[derive(Clone, Copy, Debug)]
enum Validators {
    None,
    Strong,
    Weak,
    Date,
    Both,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunked,
    Longer(u64),
    Shorter(u64),
}

/// How a reply ends, after this share (of 255) of its body.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Whole,
    Cut(u8),
    Reset(u8),
    Stall(u8),
}

/// How a range is answered.
#[derive(Clone, Copy, Debug)]
enum Part {
    Honest,
    Whole,
    Elsewhere(i64),
    Total(u64),
    Tag,
    Unguarded,
    ByDate,
    Missing,
}

/// What a source answers to one request.
#[derive(Clone, Copy, Debug)]
struct Step {
    status: Option<u16>,
    version: usize,
    framing: Framing,
    block: u64,
    ending: Ending,
    part: Part,
}

#[derive(Clone, Debug)]
struct Source {
    validators: Validators,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Case {
    lengths: [usize; VERSIONS],
    sources: Vec<Source>,
    /// The version whose digest is expected.
    digest: Option<usize>,
    /// After how many bytes a handler cancels.
    cancel: Option<u64>,
    runs: usize,
}

fn steps() -> impl Strategy<Value = Step> {
    let status = prop_oneof![6 => Just(None), 1 => prop_oneof![Just(500), Just(503), Just(404), Just(416)].prop_map(Some)];
    let framing = prop_oneof![
        4 => Just(Framing::Length),
        3 => Just(Framing::Chunked),
        1 => (1..500_u64).prop_map(Framing::Longer),
        1 => (1..500_u64).prop_map(Framing::Shorter),
    ];
    let ending = prop_oneof![
        20 => Just(Ending::Whole),
        40 => any::<u8>().prop_map(Ending::Cut),
        10 => any::<u8>().prop_map(Ending::Reset),
        1 => any::<u8>().prop_map(Ending::Stall),
    ];
    let part = prop_oneof![
        6 => Just(Part::Honest),
        1 => Just(Part::Whole),
        1 => (-500..500_i64).prop_map(Part::Elsewhere),
        1 => (1..6000_u64).prop_map(Part::Total),
        1 => Just(Part::Tag),
        2 => Just(Part::Unguarded),
        1 => Just(Part::ByDate),
        1 => Just(Part::Missing),
    ];
    // Mostly one version, so that there is something to go on with.
    let version = prop_oneof![3 => Just(0), 1 => 1..VERSIONS];
    (status, version, framing, 1..3000_u64, ending, part).prop_map(
        |(status, version, framing, block, ending, part)| Step {
            status,
            version,
            framing,
            block,
            ending,
            part,
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let validators = prop_oneof![
        2 => Just(Validators::None),
        3 => Just(Validators::Strong),
        1 => Just(Validators::Weak),
        2 => Just(Validators::Date),
        1 => Just(Validators::Both),
    ];
    let source =
        (validators, vec(steps(), 1..7)).prop_map(|(validators, steps)| Source { validators, steps });
    let lengths = [0..5000_usize, 1..5000, 1..5000];
    let cancel = prop_oneof![9 => Just(None), 1 => (0..5000_u64).prop_map(Some)];
    (lengths, vec(source, 1..4), option::of(0..VERSIONS), cancel, 1..4_usize)
        .prop_map(|(lengths, sources, digest, cancel, runs)| Case { lengths, sources, digest, cancel, runs })
}

impl Case {
    /// Two versions differ in every byte.
    fn content(&self, version: usize) -> Vec<u8> {
        let mask = [0x00, 0xff, 0x55][version];
        pattern(self.lengths[version]).into_iter().map(|byte| byte ^ mask).collect()
    }

    fn reply(&self, source: &Source, step: &Step, ranged: bool) -> Reply {
        if let Some(status) = step.status {
            return Reply::error(status);
        }
        if ranged && matches!(step.part, Part::Missing) {
            return Reply::error(416);
        }
        let reply = self.tagged(source.validators, step.version).drip(step.block, Duration::ZERO);
        let length = self.lengths[step.version] as u64;
        let reply = match step.framing {
            Framing::Length => reply,
            Framing::Chunked => reply.chunked(),
            Framing::Longer(more) => reply.length(length + more),
            Framing::Shorter(less) if self.digest.is_some() => reply.length(length.saturating_sub(less)),
            Framing::Shorter(_) => reply.chunked(),
        };
        let reply = match step.part {
            Part::Honest | Part::Missing => reply.ranges(),
            Part::Whole => reply,
            Part::Elsewhere(bytes) => reply.range_shift(bytes),
            Part::Total(total) => reply.range_total(total),
            Part::Tag => reply.range_etag("\"another\""),
            Part::Unguarded => reply.range_unguarded(),
            Part::ByDate => reply.range_by_date(),
        };
        let at = |share: u8| length * u64::from(share) / 255;
        match step.ending {
            Ending::Whole => reply,
            Ending::Cut(share) => reply.cut_after(at(share)),
            Ending::Reset(share) => reply.reset_after(at(share)),
            Ending::Stall(share) => reply.stall_after(at(share)),
        }
    }

    fn tagged(&self, validators: Validators, version: usize) -> Reply {
        let reply = Reply::ok(self.content(version));
        let dated = |reply: Reply| reply.modified(format!("Sun, 06 Nov 1994 08:49:3{version} GMT"));
        match validators {
            Validators::None => reply,
            Validators::Strong => reply.etag(format!("\"{version}\"")),
            Validators::Weak => reply.etag(format!("W/\"{version}\"")),
            Validators::Date => dated(reply),
            Validators::Both => dated(reply).etag(format!("\"{version}\"")),
        }
    }

    /// Starts a source, which is good when its script has come to its end.
    fn start(&self, source: &Source) -> Origin {
        let (origin, case, source) = (Origin::start(), self.clone(), source.clone());
        let turn = AtomicUsize::new(0);
        origin.handle("/", move |received| match source.steps.get(turn.fetch_add(1, Ordering::SeqCst)) {
            Some(step) => case.reply(&source, step, received.header("range").is_some()),
            None => case.tagged(source.validators, case.digest.unwrap_or_default()).ranges(),
        });
        origin
    }

    fn download(&self, origins: &[Origin]) -> HttpDownload {
        let mut urls = origins.iter().map(|origin| origin.url("/file").parse().unwrap());
        let first: ganymede::Url = urls.next().unwrap();
        let download = HttpDownload::get(first.as_str()).unwrap().no_proxy();
        let mut download = download.read_timeout(Duration::from_millis(300));
        if let Some(version) = self.digest {
            let facts = Facts::of(&self.content(version)[..], [Algorithm::Sha256]).unwrap();
            download = download.validation(DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap()));
        }
        if let Some(cancel) = self.cancel {
            download = download.handler(move |event: &mut Event<'_>, context: &Context| {
                if let Event::Fetched { received, .. } = event
                    && *received >= cancel
                {
                    context.cancel();
                }
                Action::Continue
            });
        }
        let download = download.handler(RetryDelegate::new(4).base(Duration::ZERO));
        download.handler(MirrorDelegate::new(urls))
    }

    /// Fails unless this is one of the contents in whole, and the expected one if there is one.
    fn check(&self, stored: &[u8]) -> TestCaseResult {
        let is = |version: usize| stored == self.content(version);
        match self.digest {
            Some(version) => prop_assert!(is(version), "{} bytes are not the expected ones", stored.len()),
            None => prop_assert!((0..VERSIONS).any(is), "{} bytes are none of the contents", stored.len()),
        }
        Ok(())
    }
}

/// Runs a property on many cases; one that fails is kept, to be tried first ever after.
fn for_all(property: impl Fn(Case) -> TestCaseResult) {
    let persistence = FileFailurePersistence::WithSource("seeds");
    let config = Config {
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        max_shrink_iters: 500,
        ..Config::default()
    };
    if let Err(failed) = TestRunner::new(config).run(&cases(), property) {
        panic!("{failed}");
    }
}

#[test]
fn a_target_is_absent_or_one_whole_content_whatever_the_servers_do() {
    let (successes, continuations) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_all(|case| {
        let (folder, origins) =
            (Folder::new(), case.sources.iter().map(|source| case.start(source)).collect::<Vec<_>>());
        for _ in 0..case.runs {
            let mut download = case.download(&origins).writer(FileWriter::new(folder.file("file")));
            let result = download.run(&Context::new());
            let entries = folder.entries();
            if let Ok(receipt) = result {
                prop_assert_eq!(entries, ["file"]);
                case.check(&folder.read("file"))?;
                prop_assert_eq!(receipt.facts().size(), folder.read("file").len() as u64);
                successes.fetch_add(1, Ordering::SeqCst);
                continuations.fetch_add(usize::from(receipt.head().offset() > 0), Ordering::SeqCst);
                break;
            }
            let partial = [".file.ganymede-part", ".file.ganymede-state"];
            prop_assert!(entries.is_empty() || entries == partial, "{:?} after {:?}", entries, result);
        }
        Ok(())
    });
    let (successes, continuations) = (successes.into_inner(), continuations.into_inner());
    assert!(successes > 50 && continuations > 10, "{successes} successes, {continuations} of them continued");
}

#[test]
fn a_stream_ends_well_with_one_whole_content_only_whatever_the_servers_do() {
    let successes = AtomicUsize::new(0);
    for_all(|case| {
        let origins: Vec<_> = case.sources.iter().map(|source| case.start(source)).collect();
        if let Ok((_, mut body)) = stream(case.download(&origins), &Context::new()) {
            let mut bytes = Vec::new();
            if body.read_to_end(&mut bytes).is_ok() {
                case.check(&bytes)?;
                successes.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    });
    assert!(successes.into_inner() > 50);
}
