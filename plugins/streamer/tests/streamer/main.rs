//! The streamer between scripted origins and clients on raw sockets, which see every byte and how it ends.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod caching;
mod coalescing;
mod cutting;
mod fetching;
mod freshness;
mod headers;
mod http2;
mod leaving;
mod limits;
#[path = "../../../../tests/support/mirroring.rs"]
mod mirroring;
mod mirrors;
mod persistence;
mod ranges;
mod refusals;
mod remote;
mod running;
mod streamed;

use ganymede::{Algorithm, Digest, Facts};
use ganymede_kit::{Folder, Origin};
use ganymede_streamer::{Cache, Digests, Remote, ResourcePath, Streamer};

use running::Running;

/// More than all buffers between an origin and a client hold, but for those of the system.
const LARGE: usize = 3_000_000;

fn remote(origin: &Origin) -> Remote {
    Remote::new(&origin.url("/")).unwrap().retry(ganymede::RetryDelegate::new(0))
}

/// A cache with room for everything.
fn cache(folder: &Folder) -> Cache {
    Cache::open(folder.file("cache"), 1 << 30).unwrap()
}

/// A server that keeps what it serves.
fn keeping(origin: &Origin, folder: &Folder) -> Running {
    Running::start(Streamer::new(remote(origin)).cache(cache(folder)))
}

/// A server that keeps nothing.
fn passing(origin: &Origin) -> Running {
    Running::start(Streamer::new(remote(origin)))
}

fn sha256(content: &[u8]) -> Digest {
    Facts::of(content, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap()
}

fn digests(path: &str, content: &[u8]) -> Digests {
    Digests::new().with(&path.parse::<ResourcePath>().unwrap(), sha256(content))
}

/// Returns the files below a folder of the cache: `objects` or `incoming`.
fn files(folder: &Folder, below: &str) -> Vec<String> {
    let below = format!("cache/{below}/");
    folder.entries().into_iter().filter(|name| name.starts_with(&below) && !name.ends_with('/')).collect()
}
