//! What becomes of an object that is there already.

use ganymede::{Context, ErrorKind, Existing, Failure, Head, Method, Protocol, Reply, Request, StatusCode};

use crate::failure::exists;
use crate::writer::StoreWriter;

/// A protocol that asks for a content only if the object that it is for is not there yet: what
/// [`Conditional`](ganymede::Conditional) is for files.
///
/// Where the object stays, the reply has status 304 and no body, so the run succeeds and writes nothing. An object
/// that appears while the content is on its way is replaced all the same, unless the writer may
/// [create only](StoreWriter::create_only).
///
/// ```
/// use ganymede::{Existing, HttpDownload};
/// use ganymede_store::{Store, StoreConditional, StoreWriter};
///
/// # if ganymede_store::schemes().contains(&"s3") {
/// let writer = StoreWriter::new(&Store::new(), "s3://bucket/a.iso")?.create_only();
/// let download = HttpDownload::get("https://example.com/a.iso")?
///     .map(|http| StoreConditional::new(http, writer.clone(), Existing::Skip))
///     .writer(writer);
/// # let _ = download;
/// # }
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug)]
pub struct StoreConditional<P> {
    protocol: P,
    writer: StoreWriter,
    existing: Existing,
}

impl<P: Protocol> StoreConditional<P> {
    /// Asks `protocol` for what the writer's object is to hold.
    ///
    /// [`Existing::Update`] and [`Existing::Verify`] compare contents, which an object's own tags do not tell: with
    /// them, every request fails with [`ErrorKind::Unsupported`].
    #[must_use]
    pub fn new(protocol: P, writer: StoreWriter, existing: Existing) -> Self {
        Self { protocol, writer, existing }
    }

    /// Looks at what is there.
    fn there(&self, context: &Context) -> Result<Option<Head>, Failure> {
        let (store, mut request) = self.writer.look();
        request.set_method(Method::Head);
        match store.send(&request, context) {
            Ok(reply) => Ok(Some(reply.into_parts().0)),
            Err(failure) if is_missing(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Tells whether there is no object: a missing bucket is another matter, but says the same to who only looks.
fn is_missing(failure: &Failure) -> bool {
    matches!(failure.kind(), ErrorKind::NotFound)
}

impl<P: Protocol> Protocol for StoreConditional<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        context.check()?;
        match self.existing {
            Existing::Replace => self.protocol.send(request, context),
            Existing::Skip | Existing::Fail => match self.there(context)? {
                None => self.protocol.send(request, context),
                Some(_) if self.existing == Existing::Fail => Err(exists(&self.writer.url())),
                Some(there) => {
                    let head = Head::new(request.url()).with_length(there.length());
                    let head = there.modified().map_or(head.clone(), |modified| head.with_modified(modified));
                    Ok(Reply::bodiless(head.with_status(StatusCode::NOT_MODIFIED)))
                }
            },
            _ => {
                let message = "an object cannot be compared with its source before that is asked for it";
                Err(Failure::new(ErrorKind::Unsupported, message))
            }
        }
    }
}
