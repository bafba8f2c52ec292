//! `ganymede stream`, as its operators see it.

mod bounds;
mod ending;
mod keeping;
mod logging;
mod misuse;
mod prefetching;
mod serving;
mod sources;

use serving::Serving;

/// More than is on its way between an origin and a client, but for what systems buffer.
const LARGE: usize = 3_000_000;

/// A line of a list of digests, as sha256sum writes it.
fn listed(path: &str, content: &[u8]) -> String {
    format!("{}  {path}\n", crate::ganymede::digest("sha256", content))
}
