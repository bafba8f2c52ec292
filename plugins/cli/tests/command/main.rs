//! The command as its users see it: run as a program, against scripted servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and nothing here is a library"
)]

mod connections;
mod credentials;
mod existing;
mod files;
#[cfg(feature = "ftp")]
mod ftp;
mod ganymede;
mod guarding;
mod interrupting;
mod limits;
mod lists;
#[cfg(feature = "metalink")]
mod metalink;
mod mirrors;
mod naming;
mod pages;
mod patience;
mod planning;
mod reports;
mod resuming;
mod secrets;
mod segments;
mod stats;
#[cfg(feature = "store")]
mod store;
mod storing;
#[cfg(all(feature = "stream", unix))]
mod stream;
mod tracing;
mod usage;
mod verification;
