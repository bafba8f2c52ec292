//! Stores, against an S3 server in this process and, by the feature `fs`, against a folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test fails by panicking, and nothing here is a library"
)]

#[cfg(feature = "s3")]
mod cancelling;
mod conforming;
#[cfg(feature = "fs")]
mod folders;
#[cfg(feature = "s3")]
mod refusals;
#[cfg(feature = "s3")]
mod resuming;
#[cfg(feature = "s3")]
mod server;
#[cfg(feature = "s3")]
mod sources;
#[cfg(feature = "s3")]
mod targets;

#[cfg(feature = "s3")]
mod support {
    use ganymede::{BufferWriter, Context, Download, DownloadError, Protocol, Receipt, Request, Transfer};
    use ganymede_store::Store;

    use crate::server::{ID, SECRET, Server};

    /// The protocol with the server's endpoint and credentials.
    pub fn store(server: &Server) -> Store {
        Store::new().endpoint(server.endpoint()).credentials(ID, SECRET)
    }

    /// A download into memory, and what it brought.
    pub fn fetch(store: &Store, url: &str) -> (Result<Receipt, DownloadError>, Option<Vec<u8>>) {
        let buffer = BufferWriter::new(64 << 20);
        let request = Request::get(url).unwrap();
        let mut download = Transfer::new(request, store.clone()).writer(buffer.clone());
        (download.run(&Context::new()), buffer.take())
    }

    /// Why a source says no.
    pub fn refused(store: &Store, url: &str) -> ganymede::Failure {
        store.send(&Request::get(url).unwrap(), &Context::new()).expect_err("a failure")
    }
}
