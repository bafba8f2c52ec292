//! The download: a protocol, a writer, validations, monitors and handlers, composed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::attached::Attached;
use crate::context::Context;
use crate::digest::Digest;
use crate::download::Download;
use crate::engine::Run;
use crate::error::DownloadError;
use crate::event::EventHandler;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::monitor::DownloadMonitor;
use crate::pace::MinSpeed;
use crate::protocol::Protocol;
use crate::reply::Head;
use crate::request::{ByteRange, Credentials, Method, Request};
use crate::timing::Timing;
use crate::validation::{Validation, ValidationError};
use crate::writer::Writer;

/// A download over a protocol: *the* implementation of [`Download`].
///
/// [`HttpDownload`](crate::HttpDownload) and [`FileDownload`](crate::FileDownload) are names for it, with the
/// settings of their protocol as further builder methods. All parts are optional but the writer, and that may be set
/// later by who runs it.
///
/// A failed attempt is repaired by the handlers: without any, the first failure is final. One that broke in the
/// middle goes on where it stopped, if the source can prove that it still has the same content or an expected digest
/// will.
///
/// ```no_run
/// use ganymede::{Context, DigestValidation, Download, FileWriter, HttpDownload, RetryDelegate};
///
/// let mut download = HttpDownload::get("https://example.com/image.iso")?
///     .writer(FileWriter::new("image.iso"))
///     .validation(DigestValidation::new("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".parse()?))
///     .handler(RetryDelegate::new(3));
/// let receipt = download.run(&Context::new())?;
/// println!("{} bytes from {}", receipt.facts().size(), receipt.source());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transfer<P> {
    pub(crate) protocol: P,
    pub(crate) request: Request,
    pub(crate) writer: Option<Arc<dyn Writer>>,
    pub(crate) validations: Vec<Box<dyn Validation>>,
    pub(crate) monitors: Vec<DownloadMonitor>,
    pub(crate) handlers: Vec<Box<dyn EventHandler>>,
    pub(crate) attempts: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) min_speed: Option<MinSpeed>,
    pub(crate) max_size: Option<u64>,
    pub(crate) resume: bool,
}

impl<P: Protocol + Default> Transfer<P> {
    /// Makes a download of a URL over the protocol with its default settings: `HttpDownload::get(..)`, or that of a
    /// plugin, whose own name for `Transfer<Its>` has it, too.
    ///
    /// ```
    /// use std::io::Cursor;
    /// use ganymede::{BufferWriter, Context, Download, Failure, Head, Protocol, Reply, Request, Transfer};
    ///
    /// /// The protocol of URLs that hold their content, like `echo:hello`.
    /// #[derive(Default)]
    /// struct Echo;
    /// impl Protocol for Echo {
    ///     fn send(&self, request: &Request, _: &Context) -> Result<Reply, Failure> {
    ///         let content = request.url().path().to_owned();
    ///         Ok(Reply::new(Head::new(request.url()), Cursor::new(content)))
    ///     }
    /// }
    /// type EchoDownload = Transfer<Echo>;
    ///
    /// let mut download = EchoDownload::get("echo:hello")?.writer(BufferWriter::new(10));
    /// assert_eq!(download.run(&Context::new()).unwrap().facts().size(), 5);
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the text is no absolute URL.
    pub fn get(url: &str) -> Result<Self, Failure> {
        Ok(Self::new(Request::get(url)?, P::default()))
    }
}

impl<P: Protocol> Transfer<P> {
    /// Makes a download of a request over a protocol.
    #[must_use]
    pub fn new(request: Request, protocol: P) -> Self {
        Self {
            protocol,
            request,
            writer: None,
            validations: Vec::new(),
            monitors: Vec::new(),
            handlers: Vec::new(),
            attempts: 100,
            deadline: None,
            min_speed: None,
            max_size: None,
            resume: true,
        }
    }

    /// Sets where the content goes.
    #[must_use]
    pub fn writer(mut self, writer: impl Writer + 'static) -> Self {
        self.writer = Some(Arc::new(writer));
        self
    }

    /// Adds a validation that the content must pass.
    #[must_use]
    pub fn validation(mut self, validation: impl Validation + 'static) -> Self {
        self.validations.push(Box::new(validation));
        self
    }

    /// Adds a handler, to be asked after those added before.
    #[must_use]
    pub fn handler(mut self, handler: impl EventHandler + 'static) -> Self {
        self.handlers.push(Box::new(handler));
        self
    }

    /// Adds a monitor.
    #[must_use]
    pub fn monitor(mut self, monitor: &DownloadMonitor) -> Self {
        self.monitors.push(monitor.clone());
        self
    }

    /// Sets the most attempts of one run, whatever the handlers say; 100 unless set, at least 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets how long a whole run may take, all attempts and the time between them; unlimited unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the least speed, on average over a time; 0 is none, as is unless set.
    ///
    /// An attempt that is slower while it receives the content fails with [`ErrorKind::Timeout`], which is transient.
    /// Only the time counts in which the source is waited for: not that of a slow writer or reader, or of a
    /// [limit](crate::Limits::rate) on the rate.
    ///
    /// [`ErrorKind::Timeout`]: crate::ErrorKind::Timeout
    #[must_use]
    pub fn min_speed(mut self, bytes_per_second: u64, over: Duration) -> Self {
        self.min_speed = (bytes_per_second > 0).then_some(MinSpeed { bytes_per_second, over });
        self
    }

    /// Sets the most bytes that the content may have; unlimited unless set.
    ///
    /// More is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), at once when the length is announced.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Sets whether an attempt goes on with what an earlier one, in this run or another, has received; it does unless
    /// set, where it can be proved that it is the same content.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Sets the method; GET unless set.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.request.set_method(method);
        self
    }

    /// Asks for a range of the bytes only; the content is then that range.
    #[must_use]
    pub fn range(mut self, range: ByteRange) -> Self {
        self.request.set_range(Some(range));
        self
    }

    /// Sets the credentials for the source.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.request.set_credentials(Some(credentials));
        self
    }

    /// Exchanges the protocol for one made of it: how a wrapper is put around it.
    #[must_use]
    pub fn map<Q: Protocol>(self, wrap: impl FnOnce(P) -> Q) -> Transfer<Q> {
        Transfer {
            protocol: wrap(self.protocol),
            request: self.request,
            writer: self.writer,
            validations: self.validations,
            monitors: self.monitors,
            handlers: self.handlers,
            attempts: self.attempts,
            deadline: self.deadline,
            min_speed: self.min_speed,
            max_size: self.max_size,
            resume: self.resume,
        }
    }

    /// Ties a value of the caller's to the download.
    #[must_use]
    pub fn attach<A: Send>(self, attachment: A) -> Attached<Self, A> {
        Attached::new(self, attachment)
    }

    /// Returns the protocol.
    #[must_use]
    pub fn protocol(&self) -> &P {
        &self.protocol
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol> Download for Transfer<P> {
    fn request(&self) -> &Request {
        &self.request
    }

    fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    fn set_writer(&mut self, writer: Arc<dyn Writer>) {
        self.writer = Some(writer);
    }

    fn identifies(&self) -> bool {
        self.validations.iter().any(|validation| validation.identifies() && validation.enforced())
    }

    fn digests(&self) -> Vec<Digest> {
        let enforced = self.validations.iter().filter(|validation| validation.enforced());
        enforced.filter_map(Validation::expected).collect()
    }

    fn run(&mut self, context: &Context) -> Result<Receipt, DownloadError> {
        Run::new(self, context).drive()
    }
}

impl<P: fmt::Debug> fmt::Debug for Transfer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer")
            .field("protocol", &self.protocol)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// What a successful download has to show.
///
/// ```
/// use ganymede::Receipt;
///
/// fn line(receipt: &Receipt) -> String {
///     let (facts, attempts) = (receipt.facts(), receipt.attempts());
///     format!("{} bytes from {} after {attempts} attempts", facts.size(), receipt.source())
/// }
/// # let _ = line;
/// ```
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(crate) facts: Facts,
    pub(crate) head: Head,
    pub(crate) source: Url,
    pub(crate) attempts: u32,
    pub(crate) timing: Timing,
    pub(crate) warnings: Vec<ValidationError>,
}

impl Receipt {
    /// Returns the size and the digests that monitors and validations asked for.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the head of the reply that completed the content.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the source that served it, as it was asked for and without credentials;
    /// [`Head::url`] is where redirects led.
    #[must_use]
    pub fn source(&self) -> &Url {
        &self.source
    }

    /// Returns how many attempts it took, this one included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns where the time of the last attempt has gone; that of a failed one is
    /// [in the history](crate::Attempt::timing) of an error.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Returns what validations found that only [warn](crate::WarnOnly).
    #[must_use]
    pub fn warnings(&self) -> &[ValidationError] {
        &self.warnings
    }
}
