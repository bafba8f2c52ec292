//! Metalinks: read, downloaded, verified piece by piece, and discovered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and nothing here is a library"
)]

mod conformance;
mod discovery;
mod downloads;
mod importing;
mod names;
mod parsing;
mod pieces;
mod property;
mod repairs;
mod segments;
mod support;
