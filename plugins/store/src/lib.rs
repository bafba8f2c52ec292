#![doc = include_str!("../README.md")]
#![allow(clippy::doc_markdown, reason = "the README has names of products")]

mod body;
mod driver;
mod existing;
mod failure;
mod location;
mod protocol;
mod question;
mod service;
mod session;
mod settings;
mod transport;
mod upload;
mod writer;

pub use existing::StoreConditional;
pub use location::object_in;
pub use protocol::{Store, StoreDownload};
pub use service::schemes;
pub use writer::StoreWriter;
