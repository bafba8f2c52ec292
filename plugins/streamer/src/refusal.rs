//! What a source says instead of sending a content.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ganymede::{DownloadError, Head};
use http::{HeaderMap, StatusCode};

use crate::freshness::{Freshness, is_storable};
use crate::headers::kept;
use crate::rules::Rules;

/// What a source says instead of sending a content: that there is none, say, and why.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// What is kept of the headers.
    pub(crate) headers: HeaderMap,
    /// The body, where it is known.
    pub(crate) text: Option<Bytes>,
    pub(crate) freshness: Freshness,
}

impl Refusal {
    /// Returns what a source has said, if that is meant for the clients.
    pub(crate) fn of(error: &DownloadError, asked: SystemTime, rules: &Rules) -> Option<Self> {
        let received = SystemTime::now();
        let head = error.failure().head().filter(|head| is_for_clients(head.status()));
        let status = match head {
            Some(head) => head.status(),
            // Other protocols than HTTP can only say that.
            None => Some(error.gateway_status()).filter(|status| is_nothing(*status))?,
        };
        let headers = kept(head.unwrap_or(&Head::new(error.url())), received);
        let text = error.failure().explanation().map(Bytes::copy_from_slice);
        let freshness = Freshness::of(&headers, asked, received, rules);
        Some(Self { status, headers, text, freshness })
    }

    /// Tells whether it says that there is nothing at the path.
    pub(crate) fn is_nothing(&self) -> bool {
        is_nothing(self.status)
    }

    /// Returns how long it may answer other requests; `sent` are the headers that the source was sent.
    pub(crate) fn lifetime(&self, sent: &HeaderMap, rules: &Rules) -> Duration {
        if !is_storable(sent, self.status, &self.headers, rules) {
            return Duration::ZERO;
        }
        // What may be guessed of (RFC 9110 §15.1), but for what is decided by the rules.
        let guessed = matches!(self.status.as_u16(), 204 | 300 | 301 | 308 | 405 | 414 | 501);
        match self.freshness.explicit {
            false if self.is_nothing() => rules.negative,
            false if !guessed && !self.freshness.public => Duration::ZERO,
            _ => self.freshness.rest(SystemTime::now()),
        }
    }
}

fn is_nothing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// Tells whether a status is about what the client has asked for, and not about how this server has asked for it.
fn is_for_clients(status: StatusCode) -> bool {
    let own = matches!(
        status.as_u16(),
        100..=200 | 203 | 206 | 304 | 401 | 407 | 408 | 416 | 421 | 425 | 426 | 429 | 511
    );
    !own
}
