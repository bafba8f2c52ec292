//! The private parsers and judgements, for the fuzz targets alone.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each is what the one of its name is that it calls"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::Url;

use crate::protocol::http::answer;
use crate::{Digest, Failure, Guard, Head};

#[must_use]
pub fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    answer::content_range(text)
}

#[must_use]
pub fn unsatisfied_range(text: &str) -> Option<u64> {
    answer::unsatisfied_range(text)
}

#[must_use]
pub fn retry_after(text: &str) -> Option<Duration> {
    answer::wait(text)
}

pub fn mirror_list(text: &str, base: &Url) -> Result<Vec<Url>, String> {
    crate::delegate::mirror::parse(text, base)
}

/// The digests of the body, and those of the whole content.
#[must_use]
pub fn stated_digests(head: &Head) -> (Vec<Digest>, Vec<Digest>) {
    (crate::integrity::of_body(head), crate::integrity::of_content(head))
}

#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    crate::network::not_public(address)
}

pub fn check(guard: &Guard, url: &Url) -> Result<(), Failure> {
    guard.check(url)
}

pub fn admit(guard: &Guard, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
    guard.admit(name, addresses.into_iter())
}

/// The text of a note as it is written again.
#[must_use]
pub fn note(text: &str) -> Option<String> {
    crate::writer::note::Note::parse(text).map(|note| note.to_string())
}
