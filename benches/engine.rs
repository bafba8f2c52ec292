//! What the engine itself costs: a block on its way through writer, checks and handlers, and a download in a batch.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nothing to measure")]

use std::hint::black_box;
use std::io::{self, Write};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ganymede::{
    Action, Algorithm, Batch, Context, Download, DownloadMonitor, Event, Failure, Head, Output, Reply,
    Request, SizeValidation, Transfer, Writer,
};

const SIZE: u64 = 64 << 20;
const BLOCK: usize = 64 << 10;

/// A body that is there already, in blocks of a size that sockets give.
struct Blocks {
    block: Vec<u8>,
    left: u64,
    at: usize,
}

impl io::Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = io::Read::read(&mut io::BufRead::fill_buf(self)?, buffer)?;
        io::BufRead::consume(self, length);
        Ok(length)
    }
}

impl io::BufRead for Blocks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            self.at = 0;
        }
        Ok(if self.left == 0 { &[] } else { &self.block[self.at..] })
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
        self.left -= length as u64;
    }
}

fn blocks(request: &Request, _: &Context) -> Result<Reply, Failure> {
    let head = Head::new(request.url()).with_length(Some(SIZE));
    Ok(Reply::new(head, Blocks { block: vec![7; BLOCK], left: SIZE, at: 0 }))
}

/// A writer that stores nothing.
struct Nowhere;

impl Writer for Nowhere {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(Self))
    }
}

impl Write for Nowhere {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        Ok(black_box(block).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Nowhere {
    fn begin(&mut self, _: &Head, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

fn request() -> Request {
    Request::get("memory:block").expect("a URL")
}

fn block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("64 MiB in blocks of 64 KiB");
    group.throughput(Throughput::Bytes(SIZE)).sample_size(10);
    let context = Context::new();
    let bare = || Transfer::new(request(), blocks).writer(Nowhere);
    let handled = || {
        bare().validation(SizeValidation::new(SIZE)).handler(|event: &mut Event<'_>, _: &Context| {
            black_box(event);
            Action::Continue
        })
    };
    let cases = [
        ("bare", bare()),
        ("size and a handler", handled()),
        ("sha256", bare().monitor(&DownloadMonitor::new([Algorithm::Sha256]))),
        ("all six digests", bare().monitor(&DownloadMonitor::new(Algorithm::ALL))),
    ];
    for (name, mut download) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| download.run(&context).expect("it succeeds"));
        });
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    const DOWNLOADS: u64 = 10_000;
    let mut group = criterion.benchmark_group("a batch of 10,000 downloads of nothing");
    group.throughput(Throughput::Elements(DOWNLOADS)).sample_size(10);
    let nothing = |request: &Request, _: &Context| -> Result<Reply, Failure> {
        Ok(Reply::new(Head::new(request.url()).with_length(Some(0)), io::empty()))
    };
    for concurrency in [1, 2, 8] {
        group.bench_function(format!("{concurrency} at a time"), |bencher| {
            bencher.iter(|| {
                let downloads = (0..DOWNLOADS).map(|_| Transfer::new(request(), nothing).writer(Nowhere));
                let plans = Batch::new(downloads).concurrency(concurrency);
                assert_eq!(plans.filter(|plan| plan.result().is_ok()).count() as u64, DOWNLOADS);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, block, batch);
criterion_main!(benches);
