//! Adds the protocol of a plugin, and downloads over it like over any other: retried, mirrored and verified.
//!
//! `cargo run --example plugin -- FILE DIGEST URL MIRROR..`, with `redis:` URLs among the others.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::time::Duration;

use ganymede::{
    Connector, Context, DigestValidation, Download, Factory, FileWriter, MirrorDelegate, RetryDelegate, Url,
};
use ganymede_template::Redis;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, digest, url, mirrors @ ..] = arguments.as_slice() else {
        return Err("usage: plugin FILE DIGEST URL MIRROR..".into());
    };

    // The one line that makes it known; its settings are its own.
    let redis = Redis::new().connector(Connector::new().connect_timeout(Duration::from_secs(5)));
    let factory = Factory::new().register("redis", redis);

    // A factory is itself a protocol, so a mirror may speak another one than the source.
    let mirrors: Vec<Url> = mirrors.iter().map(|mirror| mirror.parse()).collect::<Result<_, _>>()?;
    let result = factory
        .download(url)?
        .writer(FileWriter::new(file))
        .validation(DigestValidation::new(digest.parse()?))
        .handler(RetryDelegate::new(2).base(Duration::from_millis(50)))
        .handler(MirrorDelegate::new(mirrors))
        .run(&Context::new());

    let receipt = result.inspect_err(|error| {
        for attempt in error.history() {
            println!("{}: {}", attempt.source(), attempt.failure());
        }
    })?;
    println!("{} bytes from {}", receipt.facts().size(), receipt.source());
    println!("attempts: {}", receipt.attempts());
    Ok(())
}
