//! The peak memory of a batch over 1,000,000 downloads of nothing, above that of the process's start.

#![allow(clippy::print_stdout, reason = "the figure is what it is run for")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nothing to measure")]

use std::fs;
use std::io;

use ganymede::{Batch, BufferWriter, Context, Failure, Head, Reply, Request, Transfer};

fn main() {
    const DOWNLOADS: usize = 1_000_000;
    let nothing = |request: &Request, _: &Context| -> Result<Reply, Failure> {
        Ok(Reply::new(Head::new(request.url()).with_length(Some(0)), io::empty()))
    };
    let before = peak();
    let downloads = (0..DOWNLOADS).map(|number| {
        let request = Request::get(&format!("nothing:{number}")).expect("a URL");
        Transfer::new(request, nothing).writer(BufferWriter::new(0))
    });
    let done = Batch::new(downloads).filter(|plan| plan.result().is_ok()).count();
    assert_eq!(done, DOWNLOADS);
    println!("{DOWNLOADS} downloads: {} KiB above the {before} KiB at the start", peak() - before);
}

/// Returns the peak of the resident memory, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}
