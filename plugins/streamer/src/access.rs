//! A line for each request.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::json;

/// How one request was answered, told when its last byte has been sent or it was cut.
///
/// It is shown as a line of text, and [`json`](Self::json) is one for programs.
///
/// ```
/// use ganymede_streamer::{Access, Cache, Remote, Streamer};
///
/// let streamer = Streamer::new(Remote::new("https://example.com/")?).access_log(|access: &Access| {
///     println!("{access}");
/// });
/// # let _ = streamer;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Access {
    /// When the request came.
    pub time: SystemTime,
    /// Who has asked, if the server knows.
    pub client: Option<SocketAddr>,
    /// The method.
    pub method: String,
    /// The target, as it came, but without a query, which may be a secret.
    pub path: String,
    /// The status.
    pub status: u16,
    /// How many bytes of the body were sent.
    pub bytes: u64,
    /// Whether all of them were; else it was cut, or the client has left.
    pub complete: bool,
    /// From the request's coming to the last byte.
    pub duration: Duration,
    /// In a word, how it was answered: `hit`, `miss`, `collapsed`, ..
    pub cache: &'static str,
    /// What the client says it is.
    pub agent: Option<String>,
}

impl Access {
    /// Returns it as an object of JSON, in one line.
    #[must_use]
    pub fn json(&self) -> String {
        json!({
            "time": date(self.time),
            "client": self.client.map(|client| client.to_string()),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "bytes": self.bytes,
            "complete": self.complete,
            "seconds": self.duration.as_secs_f64(),
            "cache": self.cache,
            "agent": self.agent,
        })
        .to_string()
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string());
        let end = if self.complete { "" } else { " cut" };
        let agent = self.agent.as_deref().unwrap_or("-");
        write!(
            f,
            "{client} [{}] \"{} {}\" {} {} {:.3} {}{end} {agent:?}",
            date(self.time),
            self.method,
            self.path.escape_default(),
            self.status,
            self.bytes,
            self.duration.as_secs_f64(),
            self.cache,
        )
    }
}

fn date(time: SystemTime) -> String {
    // Times before 1970 or after 9999 have no such form, and no request comes then.
    httpdate::fmt_http_date(time)
}
