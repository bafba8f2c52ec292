//! What HTTP/2 needs (RFC 9113): bounds for streams that share a connection, and the end of each told from a cut.

use std::any::TypeId;
use std::sync::LazyLock;

use http::Version;
use hyper::body::Body as _;
use reqwest::{Body, ClientBuilder, Response};
use url::Url;

use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::settings::ClientSettings;

/// How many bytes of one body may be on their way, or wait to be taken.
///
/// It bounds the speed of a download to so much for each round trip, and what is held for one whose writer is slow: as
/// much as the system grants a connection of HTTP/1.1.
const STREAM_WINDOW: u32 = 6 << 20;

/// The same for all bodies of a connection: far more than one, since those that nobody takes must leave room for the
/// others. Servers take hardly more than a hundred requests at once on a connection.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// How large a head may be: as large as over HTTP/1.1.
const HEAD: u32 = 408 << 10;

/// How many fields a head may have, unless something else is set: as many as over HTTP/1.1.
pub(super) const FIELDS: usize = 100;

/// Sets what is to be known before the first connection.
pub(super) fn prepare(builder: ClientBuilder, settings: &ClientSettings) -> ClientBuilder {
    let builder = match settings.max_headers {
        Some(most) => builder.http1_max_headers(most),
        None => builder,
    };
    if settings.http1_only {
        return builder.http1_only();
    }
    builder
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEAD)
}

/// Fails if a head has too many fields, which the library does not count.
pub(super) fn check(response: &Response, fields: usize, url: &Url) -> Result<(), Failure> {
    if response.headers().len() <= fields {
        return Ok(());
    }
    let host = redacted(url);
    let message = format!("the head that {} sent is too large: too many header fields", host.authority());
    Err(Failure::new(ErrorKind::Malformed, message))
}

/// Says that a body is over, but has not ended.
pub(super) fn given_up(url: &Url) -> Failure {
    let host = redacted(url);
    Failure::new(ErrorKind::Incomplete, format!("{} broke off: it gave the stream up", host.authority()))
}

/// Tells whether a body that is over was ended by the server, and not only its stream.
///
/// The library takes a stream that was given up without an error for one that has ended (RFC 9113 §8.1 has that for
/// requests, when the reply is complete).
pub(super) fn is_whole(response: Response) -> bool {
    response.version() != Version::HTTP_2 || !*TOLD || Body::from(response).is_end_stream()
}

/// Whether the library tells how a body has ended: decoders, which another crate may have compiled in, keep it to
/// themselves, though none is used.
static TOLD: LazyLock<bool> = LazyLock::new(|| {
    let builder = reqwest::Client::builder;
    let [gzip, brotli] = [is_absent(builder().gzip(false)), is_absent(builder().brotli(false))];
    let [deflate, zstd] = [is_absent(builder().deflate(false)), is_absent(builder().zstd(false))];
    gzip && brotli && deflate && zstd
});

/// What a decoder is set to that is not there.
struct Absent;

/// Methods of the library's builder that stand behind its own, which are there only with their decoders.
trait Decoders: Sized {
    fn gzip(self, _: bool) -> Absent {
        Absent
    }

    fn brotli(self, _: bool) -> Absent {
        Absent
    }

    fn deflate(self, _: bool) -> Absent {
        Absent
    }

    fn zstd(self, _: bool) -> Absent {
        Absent
    }
}

impl Decoders for ClientBuilder {}

fn is_absent<T: 'static>(_: T) -> bool {
    TypeId::of::<T>() == TypeId::of::<Absent>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_tells_how_a_body_has_ended() {
        assert!(*TOLD, "this crate has it without decoders");
        assert!(!is_absent(reqwest::Client::builder().no_gzip()));
    }
}
