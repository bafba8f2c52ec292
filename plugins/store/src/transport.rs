//! How the library's requests are sent: by the framework's HTTP client, with its settings.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, stream};
use ganymede::reqwest::{self, Body, Client, Method, StatusCode};
use ganymede::{ErrorKind, Failure, Http, Url};
use http::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use http_body::Body as _;
use opendal::{Buffer, Error, ErrorKind as Kind, HttpBody, HttpTransport};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// How often a request that puts something is sent in all, when it fails for the moment.
const TRIES: u32 = 3;

/// The first wait between them; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest wait that is made within a request.
const LONGEST: Duration = Duration::from_secs(20);

/// How long a machine's own metadata service may take: where there is none, nobody answers at all.
const METADATA: Duration = Duration::from_secs(1);

/// How many bytes a second are taken to be sent at least.
const SLOWEST: u64 = 64 << 10;

/// How long the removal of an upload waits for the parts of it that are on their way.
const BEHIND: Duration = Duration::from_millis(400);

/// How much of what a server says of an error is read, in bytes.
const SAID: usize = 64 << 10;

/// The header in which a store names the region of a bucket.
const REGION: &str = "x-amz-bucket-region";

/// What a server said last to one who was refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) region: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

/// What was seen of the answers to one operation.
pub(crate) type Seen = Arc<Mutex<Option<Refusal>>>;

/// A transport for the requests of one operation.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) http: Arc<Http>,
    pub(crate) client: Client,
    pub(crate) read_timeout: Duration,
    pub(crate) seen: Seen,
    pub(crate) parts: Parts,
}

/// The requests under way that put parts of an upload, also those for which nobody waits any more.
pub(crate) type Parts = Arc<Mutex<JoinSet<()>>>;

impl HttpTransport for Transport {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string())
            .map_err(|error| Error::new(Kind::Unexpected, "no URL").set_source(error))?;
        self.http.admits(&url).map_err(carried)?;
        let body = body.to_bytes();
        let tries = if parts.method == Method::GET { 1 } else { TRIES };
        let mut pause = PAUSE;
        for left in (0..tries).rev() {
            let asked = self.ask_in_turn(&parts.method, &url, parts.headers.clone(), body.clone()).await;
            let again = match &asked {
                Ok(response) => is_passing(response.status()),
                Err(failure) => failure.is_transient(),
            };
            if left > 0 && again {
                let said = asked.as_ref().ok().and_then(|response| retry_after(response.headers()));
                // What is longer is for those to wait for who can tell all others.
                if let Some(wait) = Some(said.unwrap_or(pause)).filter(|wait| *wait <= LONGEST) {
                    sleep(wait).await;
                    pause *= 2;
                    continue;
                }
            }
            let response = asked.map_err(carried)?;
            return self.answer(&parts.method, response, url).await;
        }
        Err(carried(ErrorKind::Other.into()))
    }
}

impl Transport {
    /// Asks AWS in which region a bucket is, which it tells anybody.
    pub(crate) async fn region(&self, bucket: &str) -> Option<String> {
        let url = Url::parse(&format!("https://s3.amazonaws.com/{bucket}")).ok()?;
        self.http.admits(&url).ok()?;
        let response = self.ask(&Method::HEAD, &url, HeaderMap::new(), Bytes::new()).await.ok()?;
        response.headers().get(REGION)?.to_str().ok().map(str::to_owned)
    }

    /// Asks; what removes an upload comes behind the parts of it, for a while: one that arrived later would be left.
    async fn ask_in_turn(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, Failure> {
        let uploads = url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("uploadId"));
        if uploads && *method == Method::DELETE {
            let mut parts = take(&mut *self.parts.lock());
            let ended = async { while parts.join_next().await.is_some() {} };
            // Those that take longer are cut.
            let _ = timeout(BEHIND, ended).await;
        }
        if !uploads || *method != Method::PUT {
            return self.ask(method, url, headers, body).await;
        }
        let (sender, answer) = oneshot::channel();
        // Without the parts, which are cut when nobody has them any more.
        let transport = Self { parts: Parts::default(), ..self.clone() };
        let (method, url) = (method.clone(), url.clone());
        let asking = async move {
            let _ = sender.send(transport.ask(&method, &url, headers, body).await);
        };
        {
            let mut parts = self.parts.lock();
            while parts.try_join_next().is_some() {}
            parts.spawn(asking);
        }
        answer.await.unwrap_or_else(|_| Err(Failure::cancelled()))
    }

    async fn ask(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, Failure> {
        let sending = Duration::from_secs(body.len() as u64 / SLOWEST);
        let local = matches!(url.host_str(), Some("169.254.169.254" | "[fd00:ec2::254]"));
        let limit = if local { METADATA } else { self.read_timeout + sending };
        let mut request = self.client.request(method.clone(), url.clone()).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        match timeout(limit, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::from_reqwest(error, url)),
            Err(_) => {
                let (host, seconds) = (url.authority(), limit.as_secs_f64());
                let message = format!("no answer came from {host} within {seconds} s");
                Err(Failure::new(ErrorKind::Timeout, message))
            }
        }
    }

    async fn answer(
        &self,
        method: &Method,
        response: reqwest::Response,
        url: Url,
    ) -> opendal::Result<http::Response<HttpBody>> {
        let (status, headers) = (response.status(), response.headers().clone());
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // The length in answer to HEAD is that of another body.
        let length = length.filter(|_| method != Method::HEAD);
        let chunks = Chunks::new(response, url, self.read_timeout);
        let body = if status.is_client_error() || status.is_server_error() || status.is_redirection() {
            let said = chunks.read(SAID).await;
            *self.seen.lock() = Some(Refusal::of(status, &headers, &said));
            HttpBody::new(stream::iter([Ok(Buffer::from(said))]), None)
        } else {
            HttpBody::new(chunks, length)
        };
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

impl Refusal {
    fn of(status: StatusCode, headers: &HeaderMap, said: &[u8]) -> Self {
        let said = String::from_utf8_lossy(said);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status,
            retry_after: retry_after(headers),
            region: text(REGION),
            code: element(&said, "Code").or_else(|| text("x-ms-error-code")),
            message: element(&said, "Message"),
        }
    }
}

/// Returns the text of an element in the XML of an error, of which there is one of each kind.
fn element(said: &str, name: &str) -> Option<String> {
    let (_, rest) = said.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    // What others have written may be of any length, and is shown on one line.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    let text = text.replace("&quot;", "\"").replace("&apos;", "'").replace("&lt;", "<");
    let text = text.replace("&gt;", ">").replace("&amp;", "&");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Reads when a server wants to be asked again (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Tells whether the same request may well succeed a little later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Puts a failure into an error of the library, from where [`carried_by`] takes it.
fn carried(failure: Failure) -> Error {
    let temporary = failure.is_transient();
    Error::new(Kind::Unexpected, "the request failed").with_temporary(temporary).set_source(failure)
}

/// Returns the failure that an error of the library carries.
pub(crate) fn carried_by(error: &Error) -> Option<Failure> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        next = cause.source();
    }
    None
}

/// A body while it arrives: it fails when nothing has come for as long as the time-out says.
struct Chunks {
    body: Pin<Box<Body>>,
    url: Url,
    read_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Chunks {
    fn new(response: reqwest::Response, url: Url, read_timeout: Duration) -> Self {
        let body = http::Response::<Body>::from(response).into_body();
        let idle = Box::pin(sleep(read_timeout));
        Self { body: Box::pin(body), url, read_timeout, idle, waiting: false }
    }

    /// Reads the beginning of it, as far as there is one.
    async fn read(mut self, most: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < most {
            match poll_fn(|context| Pin::new(&mut self).poll_next(context)).await {
                Some(Ok(block)) => block.for_each(|block| read.extend_from_slice(&block)),
                Some(Err(_)) | None => break,
            }
        }
        read.truncate(most);
        read
    }

    fn failed(&self, error: reqwest::Error) -> Failure {
        let failure = Failure::from_reqwest(error, &self.url);
        match failure.kind() {
            ErrorKind::Other => {
                let message = format!("{} broke off: {failure}", self.url.authority());
                Failure::new(ErrorKind::Incomplete, message)
            }
            _ => failure,
        }
    }
}

impl Stream for Chunks {
    type Item = opendal::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.body.as_mut().poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = false;
                    if let Ok(block) = frame.into_data()
                        && !block.is_empty()
                    {
                        return Poll::Ready(Some(Ok(block.into())));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(carried(self.failed(error)))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    // The time counts in which the server is waited for, and not a slow reader.
                    if !self.waiting {
                        self.waiting = true;
                        let limit = Instant::now() + self.read_timeout;
                        self.idle.as_mut().reset(limit);
                    }
                    ready!(self.idle.as_mut().poll(context));
                    let (host, seconds) = (self.url.authority(), self.read_timeout.as_secs_f64());
                    let message = format!("no byte of the body came from {host} within {seconds} s");
                    let failure = Failure::new(ErrorKind::Timeout, message);
                    return Poll::Ready(Some(Err(carried(failure))));
                }
            }
        }
    }
}
