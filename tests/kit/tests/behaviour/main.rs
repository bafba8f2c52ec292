//! The scripted servers, driven by raw sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod client;
mod faults;
mod observing;
mod origin;
mod proxy;
mod relay;
mod tls;
