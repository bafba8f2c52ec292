//! What the client library's errors mean.

use std::error::Error;
use std::io;

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
        return failure(ErrorKind::Timeout, format!("no connection to {host} within the time allowed"));
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
    if causes.too_large {
        let bounds = "too many header fields, too long ones, or a length beyond counting";
        return failure(ErrorKind::Malformed, format!("the head that {host} sent is too large: {bounds}"));
    }
    if causes.malformed && !causes.broken {
        return failure(ErrorKind::Malformed, format!("what {host} answered is not valid HTTP: {root}"));
    }
    if error.is_body() || error.is_decode() || causes.broken || causes.system.is_some() {
        return failure(ErrorKind::Incomplete, format!("{host} broke off: {root}"));
    }
    failure(ErrorKind::Other, format!("the request to {host} failed: {root}"))
}
