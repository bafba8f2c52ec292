//! What the client library's errors mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use url::Url;

use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};

/// What is found in the chain of an error's sources.
#[derive(Default)]
struct Causes {
    system: Option<io::ErrorKind>,
    tls: bool,
    broken: bool,
    malformed: bool,
    /// The server said so on purpose.
    refused: bool,
    requires_http1: bool,
    too_large: bool,
    proxy: bool,
    own: Option<Failure>,
    root: String,
}

impl Causes {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut causes = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.root = error.to_string();
            causes.own = causes.own.or_else(|| error.downcast_ref::<Failure>().cloned());
            causes.tls |= error.is::<rustls::Error>();
            causes.proxy |= causes.root.contains("proxy auth");
            if let Some(http) = error.downcast_ref::<hyper::Error>() {
                causes.broken |= http.is_incomplete_message() || http.is_canceled() || http.is_closed();
                causes.malformed |= http.is_parse();
                // The method that tells it is there for servers only.
                causes.too_large |= http.is_parse() && http.to_string().contains("head is too large");
            }
            if let Some(http) = error.downcast_ref::<h2::Error>().filter(|error| !error.is_io()) {
                // What was found by the library is what the server did wrong.
                causes.malformed |= http.is_library();
                causes.broken |= !http.is_library();
                causes.refused |= http.is_remote() && http.reason() != Some(h2::Reason::NO_ERROR);
                causes.requires_http1 |=
                    http.is_remote() && http.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED);
            }
            next = error.source();
            if let Some(system) = error.downcast_ref::<io::Error>() {
                causes.system = Some(system.kind());
                // What an `io::Error` wraps is no source of it.
                if let Some(inner) = system.get_ref() {
                    next = Some(inner);
                }
            }
        }
        causes
    }

    fn cut(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(self.system, Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
    }

    /// Tells whether it is about a connection that was there.
    fn is_broken(&self) -> bool {
        self.broken || self.malformed || self.too_large || self.system.is_some()
    }

    /// Says how a connection broke.
    fn broken(&self, url: &Url) -> Failure {
        let (host, root) = (redacted(url), &self.root);
        let host = host.authority();
        if self.too_large {
            let bounds = "too many header fields, too long ones, or a length beyond counting";
            let message = format!("the head that {host} sent is too large: {bounds}");
            return Failure::new(ErrorKind::Malformed, message);
        }
        if self.malformed && !self.broken {
            let message = format!("what {host} answered is not valid HTTP: {root}");
            return Failure::new(ErrorKind::Malformed, message);
        }
        Failure::new(ErrorKind::Incomplete, format!("{host} broke off: {root}"))
    }
}

/// Turns an error of a connection of our own into a failure.
pub(super) fn broken(error: &(dyn Error + 'static), url: &Url) -> Failure {
    let mut causes = Causes::of(error);
    causes.own.take().unwrap_or_else(|| causes.broken(url))
}

/// Turns an error in connecting into a failure.
pub(super) fn unconnected(error: &(dyn Error + 'static), url: &Url) -> Failure {
    let causes = Causes::of(error);
    let timed_out = causes.system == Some(io::ErrorKind::TimedOut);
    let failure = || match timed_out {
        true => no_connection(url),
        false => {
            let message = format!("cannot connect to {}: {}", redacted(url).authority(), causes.root);
            Failure::new(ErrorKind::Connect, message)
        }
    };
    causes.own.clone().unwrap_or_else(failure)
}

/// Says that a connection took too long to make.
pub(super) fn no_connection(url: &Url) -> Failure {
    let message = format!("no connection to {} within the time allowed", redacted(url).authority());
    Failure::new(ErrorKind::Timeout, message)
}

/// Says that nothing came for so many times the time-out.
pub(super) fn no_byte(part: &str, url: &Url, timeout: Duration, pauses: u32) -> Failure {
    let (host, seconds) = (redacted(url), timeout.saturating_mul(pauses).as_secs_f64());
    let message = format!("no byte of the {part} came from {} within {seconds} s", host.authority());
    Failure::new(ErrorKind::Timeout, message)
}

/// What may be done at once about a request that was not answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Remedy {
    None,
    /// Sending it again, if its connection had been there before.
    Again,
    /// Sending the next one on another connection: this one may be dead.
    Elsewhere,
    /// Sending it over HTTP/1.1 (RFC 9113 §7).
    Http1,
}

/// Turns an error of the library, in place of a head, into a failure, and says what may be done about it.
pub(super) fn unanswered(error: reqwest::Error, url: &Url) -> (Failure, Remedy) {
    let Causes { requires_http1, refused, .. } = Causes::of(&error);
    let failure = failure_of(error, url);
    let remedy = match failure.kind() {
        ErrorKind::Incomplete if requires_http1 => Remedy::Http1,
        ErrorKind::Incomplete if !refused => Remedy::Again,
        _ => Remedy::None,
    };
    (failure, remedy)
}

/// Turns an error of the library into a failure.
pub(crate) fn failure_of(error: reqwest::Error, url: &Url) -> Failure {
    // Ours has been redacted, the library's has not.
    let error = error.without_url();
    let causes = Causes::of(&error);
    if let Some(own) = causes.own {
        return own;
    }
    let (host, root) = (redacted(url), &causes.root);
    let host = host.authority();
    let failure = |kind, message| Failure::new(kind, message);
    if error.is_builder() {
        return failure(ErrorKind::Unsupported, format!("this cannot be sent: {root}"));
    }
    if causes.proxy {
        return failure(ErrorKind::Unauthorized, "the proxy wants other credentials".to_owned());
    }
    if error.is_timeout() && error.is_connect() {
        return no_connection(url);
    }
    if error.is_timeout() {
        return failure(ErrorKind::Timeout, format!("{host} did not answer within the time allowed"));
    }
    // In the middle of a body it is a broken connection like any other.
    if causes.tls && !(error.is_body() || error.is_decode()) {
        return failure(ErrorKind::Tls, format!("no secure connection to {host}: {root}"));
    }
    if error.is_connect() && causes.cut() && url.scheme() == "https" {
        let cut = failure(ErrorKind::Tls, format!("{host} cut the TLS handshake: {root}"));
        return cut.transient(true);
    }
    if error.is_connect() {
        return failure(ErrorKind::Connect, format!("cannot connect to {host}: {root}"));
    }
    if error.is_body() || error.is_decode() || causes.is_broken() {
        return causes.broken(url);
    }
    failure(ErrorKind::Other, format!("the request to {host} failed: {root}"))
}
