//! The protocol: from a request to a reply.

use std::fmt;
use std::sync::Arc;

use ganymede::{
    Context, ErrorKind, Failure, Head, Method, Permit, Protocol, Reply, Request, StatusCode, Timing,
    Transfer, Validator,
};
use suppaftp::{FtpError, TransferStream};

use crate::body::{Body, Extent};
use crate::failure::{Answer, failure_of, has_left};
use crate::pool::{Lease, Pool};
use crate::session::About;
use crate::settings::Settings;
use crate::target::Target;
use crate::tls::Secure;

/// A download over FTP.
///
/// ```no_run
/// use ganymede::{Context, Download, FileWriter, RetryDelegate};
/// use ganymede_ftp::FtpDownload;
///
/// FtpDownload::get("ftp://example.com/pub/image.iso")?
///     .writer(FileWriter::new("image.iso"))
///     .handler(RetryDelegate::new(3))
///     .run(&Context::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type FtpDownload = Transfer<Ftp>;

/// The protocol of `ftp:`, `ftps:` and `ftpes:` URLs (RFC 959, RFC 2428, RFC 3659, RFC 4217).
///
/// ```
/// use ganymede::Factory;
/// use ganymede_ftp::Ftp;
///
/// let ftp = Ftp::new().user("amy", "secret");
/// let factory = Factory::new().register("ftp", ftp.clone()).register("ftps", ftp.clone()).register("ftpes", ftp);
/// assert_eq!(factory.schemes(), ["file", "ftp", "ftpes", "ftps", "http", "https"]);
/// ```
#[derive(Clone, Default)]
pub struct Ftp {
    pub(crate) settings: Arc<Settings>,
}

impl Ftp {
    /// Makes the protocol with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Protocol for Ftp {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        context.check()?;
        let target = Target::of(request, &self.settings)?;
        if let Some(guard) = &self.settings.guard {
            guard.check(request.url())?;
        }
        let permit = context.permit(request)?;
        let exchange = Exchange { ftp: self, request, target, context };
        let mut timing = Timing::default();
        match exchange.reply(permit, &mut timing) {
            Ok(reply) => Ok(reply.with_timing(timing)),
            Err(failure) => Err(failure.with_timing(timing)),
        }
    }
}

impl fmt::Debug for Ftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ftp").finish_non_exhaustive()
    }
}

/// One request, and what it asks for.
struct Exchange<'a> {
    ftp: &'a Ftp,
    request: &'a Request,
    target: Target,
    context: &'a Context,
}

/// Why a session brings no reply.
enum Trouble {
    /// The server has left it, or something is wrong with the connection.
    Session(FtpError),
    /// The server says so, or the request.
    Failure(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What a session has brought.
enum Brought {
    Head(Head),
    Body(Head, TransferStream<Secure>, Extent),
}

impl Exchange<'_> {
    fn reply(&self, mut permit: Permit, timing: &mut Timing) -> Result<Reply, Failure> {
        let (lease, brought) = self.asked(timing).map_err(|failure| match self.context.check() {
            Ok(()) => permit.failed(failure),
            // Whatever the socket says: it was cut by the cancelling.
            Err(cancelled) => cancelled,
        })?;
        match brought {
            Brought::Head(head) => {
                permit.served();
                lease.give_back();
                Ok(Reply::bodiless(head))
            }
            Brought::Body(head, transfer, extent) => {
                let body = Body::begin(transfer, self.target.path.clone(), lease, permit, extent);
                body.map(|body| Reply::new(head, body))
            }
        }
    }

    /// Asks a session, and another one if the server has left it while it was idle.
    fn asked(&self, timing: &mut Timing) -> Result<(Lease, Brought), Failure> {
        let settings = &self.ftp.settings;
        let pool = Pool::of(&self.target, settings, self.context)?;
        loop {
            let mut lease = pool.lease(&self.target, settings, self.context, timing)?;
            let error = match self.ask(&mut lease) {
                Ok(brought) => return Ok((lease, brought)),
                Err(Trouble::Failure(failure)) => {
                    lease.give_back();
                    return Err(failure);
                }
                Err(Trouble::Session(error)) => error,
            };
            lease.session.wire().cut();
            if !lease.used || !has_left(&error) || self.context.is_cancelled() {
                return Err(failure_of(error, settings.read_timeout));
            }
            tracing::debug!(host = %self.target.host, %error, "an idle session was closed");
        }
    }

    fn ask(&self, lease: &mut Lease) -> Result<Brought, Trouble> {
        let (session, path) = (&mut lease.session, &self.target.path);
        let about = session.about(path).map_err(Trouble::Session)?;
        let mut head = self.head(&about);
        if self.request.if_changed().is_some_and(|known| is_unchanged(&head, known)) {
            return Ok(Brought::Head(head.with_status(StatusCode::NOT_MODIFIED)));
        }
        if let Some(answer) = &about.refusal {
            // Most servers have one code for all that may be wrong, and some look only once they should send.
            let failure = session.refused(answer, path);
            if !matches!(failure.kind(), ErrorKind::NotFound) || self.request.method() == Method::Head {
                return Err(failure.into());
            }
        }
        let validator = head.validator();
        let unchanged = self.request.if_range().is_none_or(|expected| validator.as_ref() == Some(expected));
        let range = self.request.range().filter(|_| unchanged);
        if let (Some(range), Some(total)) = (range, about.size)
            && range.first() >= total
            && total > 0
        {
            let message = format!("it has {total} bytes: there is no {range}");
            let status = Failure::from_status(StatusCode::RANGE_NOT_SATISFIABLE);
            return Err(status.message(message).with_total(Some(total)).into());
        }
        let first = range.map_or(0, |range| range.first());
        let retrieved = match self.request.method() {
            Method::Get => Some(session.retrieve(path, first)),
            _ => None,
        };
        let transfer = match retrieved.transpose() {
            Ok(transfer) => transfer,
            Err(FtpError::UnexpectedResponse(response)) => {
                let answer = Answer::of(&response);
                return Err(match answer.code {
                    421 => Trouble::Session(FtpError::UnexpectedResponse(response)),
                    // It was looked at already.
                    _ if about.refusal.is_some() => answer.failure().into(),
                    _ => session.refused(&answer, path).into(),
                });
            }
            Err(error) => return Err(Trouble::Session(error)),
        };
        let restarts = session.knows_restart();
        head = head.with_header("accept-ranges", if restarts { "bytes" } else { "none" });
        let last = range.filter(|_| restarts).map(|range| range.last());
        let Some(last) = last else {
            let extent = about.size.map_or(Extent::Unknown, Extent::Whole);
            return Ok(brought(head, transfer, extent));
        };
        let end = |total: u64| last.map_or(total, |last| total.min(last.saturating_add(1)));
        let length = about.size.map(|total| end(total).saturating_sub(first));
        let extent = match (about.size, last) {
            (Some(total), _) if end(total) == total => Extent::Whole(total.saturating_sub(first)),
            (Some(_), Some(last)) => Extent::Part((last - first).saturating_add(1)),
            (None, Some(last)) => Extent::Most((last - first).saturating_add(1)),
            (_, None) => Extent::Unknown,
        };
        Ok(brought(head.with_part(first, length, about.size), transfer, extent))
    }

    fn head(&self, about: &About) -> Head {
        let head = Head::new(self.request.url()).with_length(about.size);
        match about.modified {
            Some(modified) => head.with_modified(modified),
            None => head,
        }
    }
}

fn brought(head: Head, transfer: Option<TransferStream<Secure>>, extent: Extent) -> Brought {
    match transfer {
        Some(transfer) => Brought::Body(head, transfer, extent),
        None => Brought::Head(head),
    }
}

/// Tells whether a file is not newer than what the target has.
fn is_unchanged(head: &Head, known: &Validator) -> bool {
    let Validator::LastModified(known) = known else { return false };
    let known = httpdate::parse_http_date(known);
    known.is_ok_and(|known| head.modified().is_some_and(|modified| modified <= known))
}
