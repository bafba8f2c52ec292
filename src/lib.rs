//! Ganymede downloads: one file or millions, from mirrors, verified, in parallel or as a stream.
//!
//! A download is composed. It *has* a protocol, a writer, validations, monitors and event handlers, and runs in a
//! context that it shares with others:
//!
//! ```no_run
//! use ganymede::{Context, DigestValidation, Download, FileWriter, HttpDownload, MirrorDelegate, RetryDelegate};
//!
//! let digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".parse()?;
//! let mut download = HttpDownload::get("https://example.com/image.iso")?
//!     .writer(FileWriter::new("image.iso"))
//!     .validation(DigestValidation::new(digest))
//!     .handler(RetryDelegate::new(3))
//!     .handler(MirrorDelegate::new(["https://mirror.example.org/image.iso".parse()?]));
//! let receipt = download.run(&Context::new())?;
//! println!("{} bytes from {}", receipt.facts().size(), receipt.source());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Three ways to use it
//!
//! - **Importers** run many: a [`Batch`] takes an iterator, however long, and yields a [`Plan`] for each download.
//!   [`Attached`] ties a value of yours to one, and a [`DownloadMonitor`] computes size and digests on the way.
//! - **Streamers** pass bytes on while they arrive: [`stream`] turns any [`Download`], as a black box, into a [`Head`]
//!   and a reader that never ends cleanly on a wrong content, and [`forward`] hands the same to a [`Sink`] of yours.
//! - **Plugin writers** implement a small trait, or pass a closure: [`Protocol`] (one method), [`Writer`],
//!   [`Validation`], [`EventHandler`], [`Importer`]. A [`Factory`] finds protocols by the scheme of a URL, and
//!   [`conformance`] is the suite to run yours through.
//!
//! # The one law
//!
//! *A download is made of specifications; for each copy of the bytes, fresh state is opened from them.*
//!
//! | specification | opens | state of one copy |
//! | --- | --- | --- |
//! | [`Protocol`] | [`send`](Protocol::send) | [`Reply`]: a [`Head`], and a body to read |
//! | [`Writer`] | [`open`](Writer::open) | [`Output`]: nothing is at the target before [`commit`](Output::commit) |
//! | [`Validation`] | [`begin`](Validation::begin) | [`Check`]: sees each block, decides at the end |
//!
//! An attempt that starts at the first byte opens everything anew, and one that resumes carries the state on. So
//! nothing is ever left over from one attempt in the next, and a specification serves any number of downloads.
//!
//! # What happens in a run
//!
//! [`Transfer`] is the one engine: open, send, begin, read, check, write, commit, repair. Handlers take part through
//! [`Event`]s: `Prepared`, then for each attempt `Sending`, `Replied`, `Fetched` for each block and, if it failed,
//! `Error`; last, exactly one of `Succeeded` and `Failed`. The engine has no policy of its own: retrying is a
//! [`RetryDelegate`], failing over a [`MirrorDelegate`], and what they cannot repair is returned as a
//! [`DownloadError`] with the history of all attempts.
//!
//! What a broken attempt has received is gone on with by the next one, if a validator or an expected digest proves that
//! it is the same content. An output may keep it, with a [`Record`] of what proves it, for a later run to go on: a
//! [`FileWriter`] does.
//!
//! A [`Context`] is the room that downloads share: clients with their connections, sessions, mirror lists; the
//! [`Limits`] by which hosts are treated; and the token that cancels them. HTTP goes through [`reqwest`], which is re-exported: [`Http`] has the common
//! settings as builder methods and hooks for all others, and a `reqwest::blocking::Client` of your own is a protocol
//! as it is.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod adaptive;
mod attached;
mod batch;
mod begun;
mod cancel;
pub mod conformance;
mod connection;
mod context;
mod copy;
mod counters;
mod delegate;
mod digest;
mod disposition;
mod download;
mod engine;
mod error;
mod event;
mod exchange;
mod factory;
mod facts;
mod failure;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod integrity;
mod limits;
mod monitor;
mod name;
mod network;
mod pace;
mod parking;
mod plan;
mod pool;
mod protocol;
mod record;
mod reply;
mod request;
mod settings;
mod stream;
mod timing;
mod transfer;
mod trust;
mod validation;
mod watchdog;
mod workers;
mod writer;

pub use attached::Attached;
pub use batch::{Batch, CancelHandle, TryBatch};
pub use cancel::Hook;
pub use connection::{Connection, Connector};
pub use context::{Context, SlotKey};
pub use counters::Counters;
pub use delegate::{MirrorDelegate, RetryDelegate, SpaceDelegate};
pub use digest::{Algorithm, Digest, ParseDigestError};
pub use download::{Download, Importer};
pub use error::{Attempt, DownloadError};
pub use event::{Action, Event, EventHandler};
pub use factory::Factory;
pub use facts::Facts;
pub use failure::{ErrorKind, Failure};
pub use guard::Guard;
pub use limits::{Limits, Permit};
pub use monitor::{DownloadMonitor, Phase, Progress};
pub use name::FileName;
pub use plan::Plan;
pub use pool::Pool;
pub use protocol::Protocol;
pub use protocol::conditional::{Conditional, Existing};
pub use protocol::file::{FileDownload, FileProtocol};
pub use protocol::http::{Http, HttpDownload};
pub use protocol::segmented::Segmented;
pub use record::{ParseRecordError, Record};
pub use reply::{Head, Reply, Validator};
pub use request::{ByteRange, Credentials, Method, Request};
pub use stream::{Body, Sink, forward, stream};
pub use timing::Timing;
pub use transfer::{Receipt, Transfer};
pub use trust::Trust;
pub use validation::{Check, DigestValidation, SizeValidation, Validation, ValidationError, WarnOnly};
pub use writer::{BufferWriter, FileWriter, Output, TeeWriter, Writer};

pub use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
pub use reqwest;
pub use rustls;
pub use url::Url;
