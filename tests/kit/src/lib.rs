//! Scripted servers for tests: every byte, pause and broken connection is under the test's control.
//!
//! - [`Origin`] is an HTTP server, plain or over TLS, where it may speak HTTP/2, that answers each path with a
//!   [`Reply`]: a builder value with validators, ranges, framing, pace and faults. A [`Gate`] makes a reply wait for
//!   the test.
//! - [`Proxy`] forwards requests and opens tunnels; a [`Relay`] passes connections on and breaks them at any byte;
//!   [`Silent`] never answers; [`Backlog`] does not accept and [`Refusing`] refuses, until the test opens them.
//! - [`faults`] is the matrix of what can go wrong with a source; [`Daemon`] is a real server: nginx, apache2, ..
//! - [`Client`] is an HTTP client on a raw socket, which tells a complete response from one that was cut, and how.
//! - [`FtpOrigin`] is an FTP server whose replies and data connections are scripted in the same way.
//! - [`Authority`] issues the certificates, [`Ledger`] is what a server has seen and how a test waits for it.
//! - [`Folder`], [`pattern`], [`wait_until`], [`descriptors`] and [`threads`] are what else most tests need.
//!
//! All of it is synchronous, on threads, on 127.0.0.1, on a port the system chooses. Dropping a server closes its
//! connections, stalled ones too, and joins its threads.
//!
//! ```
//! use ganymede_kit::{Origin, Reply, pattern};
//!
//! let origin = Origin::start();
//! let whole = Reply::ok(pattern(10_000)).etag("\"one\"").ranges();
//! let url = origin.sequence("/file", [whole.clone().cut_after(4_000), whole]);
//! assert_eq!(url, origin.url("/file"));
//! // .. download it ..
//! assert_eq!(origin.requests("/file"), 0);
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "used by tests alone, where a panic is how a failure is told"
)]

mod answer;
mod body;
mod client;
mod daemon;
mod delivery;
#[cfg(unix)]
mod disk;
pub mod faults;
mod folder;
mod frames;
mod ftp;
mod gate;
mod identity;
mod ledger;
mod origin;
mod process;
mod proxy;
mod received;
mod relay;
mod reply;
mod server;
mod silent;
mod streams;
mod wire;

pub use body::pattern;
pub use client::{Client, End, Response};
pub use daemon::Daemon;
#[cfg(unix)]
pub use disk::{Disk, with_disk};
pub use folder::Folder;
pub use ftp::{FtpFile, FtpOrigin, FtpReply};
pub use gate::Gate;
pub use identity::{Authority, Identity};
pub use ledger::Ledger;
pub use origin::Origin;
pub use process::{PATIENCE, descriptors, threads, threads_named, wait_until};
pub use proxy::Proxy;
pub use received::Received;
pub use relay::{Break, Passage, Relay};
pub use reply::Reply;
pub use silent::{Backlog, Refusing, Silent, closed_port};
