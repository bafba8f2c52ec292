//! Tries one mirror after the other, by a protocol of one's own around another one.
//!
//! `cargo run --example mirrors_protocol -- FILE DIGEST URL MIRROR..`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Action, Context, DigestValidation, Download, Event, Failure, FileWriter, HttpDownload, Protocol, Reply,
    Request, Url,
};

/// Asks the next source each time it is asked.
struct Mirrored<P> {
    protocol: P,
    sources: Vec<Url>,
    next: AtomicUsize,
}

impl<P: Protocol> Protocol for Mirrored<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.sources.len();
        let mut request = request.clone();
        request.set_url(self.sources[next].clone());
        println!("asking {}", request.display_url());
        self.protocol.send(&request, context)
    }
}

/// Makes another attempt at once, whatever went wrong.
fn again(event: &mut Event<'_>, _: &Context) -> Action {
    match event {
        Event::Error { .. } => Action::Retry(Duration::ZERO),
        _ => Action::Continue,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, digest, urls @ ..] = arguments.as_slice() else {
        return Err("usage: mirrors_protocol FILE DIGEST URL MIRROR..".into());
    };

    let first = urls.first().ok_or("name at least one URL")?;
    let sources: Vec<Url> = urls.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
    let receipt = HttpDownload::get(first)?
        .map(|protocol| Mirrored { protocol, sources, next: AtomicUsize::new(0) })
        .writer(FileWriter::new(file))
        .validation(DigestValidation::new(digest.parse()?))
        .handler(again)
        .attempts(u32::try_from(urls.len())?)
        .run(&Context::new())?;

    println!("{} bytes from {}", receipt.facts().size(), receipt.head().url());
    Ok(())
}
